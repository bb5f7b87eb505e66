//! Ready-made scenarios, and scaling one to a number of requests.

use super::{Burst, BurstKind, Channels, Robots, Scenario};

impl Scenario {
    /// A rich scenario for demonstrations: about 200,000 requests over 14 days, with several
    /// articles that spread far in private.
    pub fn demo() -> Scenario {
        let burst = |at_hours, kind, landings, decay_hours, reproduction| Burst {
            at_hours,
            kind,
            landings,
            rise_hours: 0.0,
            decay_hours,
            reproduction,
        };
        Scenario {
            requests_target: 200_000,
            bursts: vec![
                burst(33.0, BurstKind::PublicPost, 900.0, 5.0, 0.75),
                burst(106.0, BurstKind::News, 2_000.0, 8.0, 0.6),
                burst(180.0, BurstKind::PublicPost, 500.0, 3.0, 0.88),
                burst(250.0, BurstKind::News, 700.0, 4.0, 0.8),
                burst(299.0, BurstKind::PublicPost, 300.0, 2.0, 0.9),
            ],
            ..Scenario::default()
        }
    }

    /// A small scenario for tests: about two days and a few thousand requests.
    pub fn small() -> Scenario {
        let mut scenario = Scenario {
            days: 2.0,
            requests_target: 6_000,
            ..Scenario::default()
        };
        scenario.content.archive = 60;
        scenario.audience.regulars = 300;
        scenario.bursts[0].at_hours = 20.0;
        scenario.bursts[0].landings = 400.0;
        scenario
    }

    /// The scenario with arrivals, robots and bursts multiplied; articles, and how links are
    /// passed on, stay. Factors that push a rate over its range fail validation afterwards.
    pub fn scaled(&self, factor: f64) -> Scenario {
        let mut scaled = self.clone();
        scaled.requests_target = 0;
        scaled.arrivals.per_day *= factor;
        let robots = &mut scaled.robots;
        for rate in [
            &mut robots.search_per_day,
            &mut robots.ai_per_day,
            &mut robots.seo_per_day,
            &mut robots.tools_per_day,
            &mut robots.probes_per_day,
            &mut robots.disguised_per_day,
        ] {
            *rate *= factor;
        }
        for burst in &mut scaled.bursts {
            burst.landings *= factor;
        }
        scaled
    }
}

impl Channels {
    pub(crate) fn weights(&self) -> [(&'static str, f64); 10] {
        [
            ("search", self.search),
            ("dark_search", self.dark_search),
            ("typed", self.typed),
            ("bookmark", self.bookmark),
            ("social", self.social),
            ("referral", self.referral),
            ("assistant", self.assistant),
            ("newsletter", self.newsletter),
            ("paid", self.paid),
            ("message", self.message),
        ]
    }
}

impl Robots {
    pub(crate) fn rates(&self) -> [(&'static str, f64); 6] {
        [
            ("search", self.search_per_day),
            ("ai", self.ai_per_day),
            ("seo", self.seo_per_day),
            ("tools", self.tools_per_day),
            ("probes", self.probes_per_day),
            ("disguised", self.disguised_per_day),
        ]
    }
}
