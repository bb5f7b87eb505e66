//! Records by seed.

use std::borrow::Cow;

use grapevine_event::{
    AddressOf, Calibration, Cascade, ChainModel, Channel, DeadLetter, Device, Edge, EdgeMethod,
    Evidence, HitKind, Id, Method, ParentKind, Property, SeedKind, Share, ShareKind, Spread, Surge,
    SurgeApp, SurgeSeed, SurgeState, Visit, VisitEvent, VisitorBasis, topic,
};
use grapevine_log::Commit;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// 2024-02-20 12:00 UTC.
const START: i64 = 1_708_430_400_000;
const DAY: i64 = 86_400_000;

pub(crate) struct Generator {
    dice: ChaCha8Rng,
}

fn one<T: Copy>(dice: &mut ChaCha8Rng, of: &[T]) -> T {
    of[dice.random_range(0..of.len())]
}

fn text(dice: &mut ChaCha8Rng) -> String {
    let alphabet = [
        'a', 'z', '0', '/', '.', ' ', '\n', '\t', '\'', '\\', '"', ';', '\0', 'é', '🍇',
    ];
    let length = dice.random_range(0..12);
    (0..length).map(|_| one(dice, &alphabet)).collect()
}

fn optional<T>(dice: &mut ChaCha8Rng, value: T) -> Option<T> {
    dice.random_bool(0.5).then_some(value)
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Generator {
        Generator {
            dice: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    pub(crate) fn number(&mut self, below: u64) -> u64 {
        self.dice.random_range(0..below)
    }

    fn id(&mut self) -> Id {
        let mut bytes = [0; 16];
        self.dice.fill_bytes(&mut bytes);
        Id(bytes)
    }

    /// A time within so many days.
    fn time(&mut self, days: i64) -> i64 {
        START + self.dice.random_range(0..days * DAY)
    }

    fn site(&mut self) -> &'static str {
        one(&mut self.dice, &["example.org", "example.com", "пример"])
    }

    fn app(&mut self) -> &'static str {
        one(
            &mut self.dice,
            &["", "unknown", "whatsapp", "telegram", "mail"],
        )
    }

    /// Appends one record to the topic, spread over so many days.
    pub(crate) fn append(&mut self, topic: &'static str, commit: &mut Commit, days: i64) {
        let mut bytes = Vec::new();
        match topic {
            topic::VISITS => self.visit(days, &mut bytes),
            topic::EVENTS => self.event(days, &mut bytes),
            topic::SHARES => self.share(days, &mut bytes),
            topic::EDGES => self.edge(days, &mut bytes),
            topic::CASCADES => self.cascade(days, &mut bytes),
            topic::SPREADS => self.spread(days, &mut bytes),
            topic::MODELS => self.model(days, &mut bytes),
            topic::SURGES => self.surge(days, &mut bytes),
            topic::CALIBRATIONS => self.calibration(days, &mut bytes),
            topic::DEAD_LETTERS => self.dead_letter(days, &mut bytes),
            other => panic!("no records for topic {other}"),
        }
        commit.append(topic, &bytes);
    }

    pub(crate) fn visit(&mut self, days: i64, out: &mut Vec<u8>) {
        let texts: Vec<String> = (0..14).map(|_| text(&mut self.dice)).collect();
        let (id, cascade, time, site, app) = (
            self.id(),
            self.id(),
            self.time(days),
            self.site(),
            self.app(),
        );
        let dice = &mut self.dice;
        let chance: f32 = dice.random();
        let facts = dice.random_range(0..4);
        let evidence = (0..facts)
            .map(|index| Evidence {
                name: one(dice, &["deep_path", "fresh_content", "mobile"]),
                detail: Cow::Borrowed(texts[index].as_str()),
                log_odds: dice.random_range(-3.0..3.0),
                search_log_odds: dice.random_bool(0.8).then(|| dice.random_range(-3.0..3.0)),
            })
            .collect();
        let visit = Visit {
            visit_id: id,
            site,
            time,
            visitor: optional(dice, i64::from(chance.to_bits()) % 500),
            visitor_basis: one(dice, VisitorBasis::ALL),
            returning: chance > 0.5,
            network: optional(dice, i64::MIN + i64::from(chance.to_bits())),
            content: Cow::Borrowed(one(dice, &["a.example/x", "a.example/y/z", "b.example/"])),
            title: optional(dice, &texts[4]),
            referrer_host: optional(dice, Cow::Borrowed(texts[5].as_str())),
            campaign_source: optional(dice, Cow::Borrowed(texts[6].as_str())),
            campaign_medium: optional(dice, Cow::Borrowed(texts[7].as_str())),
            campaign_name: optional(dice, Cow::Borrowed(texts[8].as_str())),
            device: one(dice, Device::ALL),
            system: &texts[9],
            browser: &texts[10],
            language: optional(dice, Cow::Borrowed("de-at")),
            conventional_channel: one(dice, Channel::ALL),
            channel: one(dice, Channel::ALL),
            app: Cow::Borrowed(app),
            method: one(dice, Method::ALL),
            dark_probability: chance,
            dark_probability_low: chance * 0.5,
            dark_probability_high: 1.0 - (1.0 - chance) * 0.5,
            dark_search_probability: (1.0 - chance) * 0.25,
            evidence,
            model_version: Cow::Borrowed("test-1"),
            robot: optional(dice, Cow::Borrowed(texts[11].as_str())),
            incoming_token: optional(dice, Cow::Borrowed(texts[12].as_str())),
            share_token: optional(dice, &texts[13]),
            cascade_id: optional(dice, cascade),
            generation: optional(dice, 3),
        };
        visit.encode(out).expect("fits its schema");
    }

    fn event(&mut self, days: i64, out: &mut Vec<u8>) {
        let (name, value) = (text(&mut self.dice), text(&mut self.dice));
        let (id, visit, time, site) = (self.id(), self.id(), self.time(days), self.site());
        let dice = &mut self.dice;
        let props = dice.random_range(0..3);
        let event = VisitEvent {
            event_id: id,
            visit_id: optional(dice, visit),
            site,
            time,
            kind: one(dice, HitKind::ALL),
            content: Cow::Borrowed("a.example/x"),
            name: optional(dice, &name),
            value: optional(dice, 12.5),
            props: ["plan", "colour"][..props]
                .iter()
                .map(|name| Property {
                    name,
                    value: Cow::Borrowed(&value),
                })
                .collect(),
        };
        event.encode(out).expect("fits its schema");
    }

    fn share(&mut self, days: i64, out: &mut Vec<u8>) {
        let token = text(&mut self.dice);
        let (id, visit, time, site, app) = (
            self.id(),
            self.id(),
            self.time(days),
            self.site(),
            self.app(),
        );
        let dice = &mut self.dice;
        let share = Share {
            share_id: id,
            site,
            time,
            content: Cow::Borrowed("a.example/x"),
            kind: one(dice, ShareKind::ALL),
            app: Cow::Borrowed(app),
            private: optional(dice, true),
            probability: dice.random(),
            address_of: one(dice, AddressOf::ALL),
            network: optional(dice, -1),
            visitor: optional(dice, i64::MAX),
            sharer_visit: optional(dice, visit),
            token: optional(dice, Cow::Borrowed(&token)),
        };
        share.encode(out).expect("fits its schema");
    }

    fn edge(&mut self, days: i64, out: &mut Vec<u8>) {
        let (child, parent, time, site) = (self.id(), self.id(), self.time(days), self.site());
        let (from, to) = (self.app(), self.app());
        let dice = &mut self.dice;
        let edge = Edge {
            site,
            content: Cow::Borrowed("a.example/x"),
            child_visit: child,
            parent_visit: optional(dice, parent),
            time,
            method: one(dice, EdgeMethod::ALL),
            probability: dice.random(),
            lag_ms: optional(dice, 60_000),
            parent_app: Cow::Borrowed(from),
            child_app: Cow::Borrowed(to),
            model_version: Cow::Borrowed("test-1"),
            parent_kind: one(dice, ParentKind::ALL),
            sign: one(dice, &[1, 1, 1, -1]),
        };
        edge.encode(out).expect("fits its schema");
    }

    fn cascade(&mut self, days: i64, out: &mut Vec<u8>) {
        let (updated, site) = (self.time(days), self.site());
        // Few of them, so that they change: whatever stays the same is a function of which.
        let which = self.dice.random_range(0..50u8);
        let dice = &mut self.dice;
        let cascade = Cascade {
            cascade_id: Id([which; 16]),
            site: if which % 2 == 0 {
                "example.org"
            } else {
                "example.com"
            },
            content: Cow::Borrowed(site),
            started: START + i64::from(which) * DAY * days / 50,
            updated,
            method: one(dice, EdgeMethod::ALL),
            size: dice.random_range(1..1000),
            depth: dice.random_range(0..20),
            breadth: (0..dice.random_range(0..5))
                .map(|_| dice.random_range(1..50))
                .collect(),
            structural_virality: optional(dice, 2.5),
            reproduction_number: optional(dice, 0.75),
        };
        cascade.encode(out).expect("fits its schema");
    }

    fn spread(&mut self, days: i64, out: &mut Vec<u8>) {
        let updated = self.time(days);
        let contents = ["a.example/x", "a.example/y/z", "b.example/"];
        let which = self.dice.random_range(0..50u8);
        let dice = &mut self.dice;
        let spread = Spread {
            site: if which % 2 == 0 {
                "example.org"
            } else {
                "example.com"
            },
            content: Cow::Borrowed(contents[usize::from(which % 3)]),
            started: START + i64::from(which) * DAY * days / 50,
            updated,
            closed: dice.random_bool(0.5),
            arrivals: dice.random_range(1..1000),
            settled: dice.random_range(1..1000),
            certain_shares: dice.random_range(1..1000),
            certain_outside: dice.random_range(1..1000),
            tokens: dice.random_range(1..1000),
            shares: dice.random_range(1..1000),
            chain_arrivals: dice.random(),
            chain_arrivals_low: dice.random(),
            chain_arrivals_high: dice.random(),
            reproduction: dice.random(),
            reproduction_low: dice.random(),
            reproduction_high: dice.random(),
            structural_virality: optional(dice, 2.5),
            structural_virality_low: optional(dice, 2.5),
            structural_virality_high: optional(dice, 2.5),
            depth: dice.random(),
            depth_low: dice.random(),
            depth_high: dice.random(),
            generation: dice.random(),
            breadth: (0..dice.random_range(0..5))
                .map(|_| dice.random())
                .collect(),
            generation_time_seconds: optional(dice, 2.5),
            generation_time_seconds_low: optional(dice, 2.5),
            generation_time_seconds_high: optional(dice, 2.5),
            half_life_seconds: optional(dice, 2.5),
            half_life_seconds_low: optional(dice, 2.5),
            half_life_seconds_high: optional(dice, 2.5),
            k_factor: optional(dice, 2.5),
            k_factor_low: optional(dice, 2.5),
            k_factor_high: optional(dice, 2.5),
            reproduction_now: optional(dice, 2.5),
            reproduction_now_low: optional(dice, 2.5),
            reproduction_now_high: optional(dice, 2.5),
            amplification: optional(dice, 2.5),
            amplification_low: optional(dice, 2.5),
            amplification_high: optional(dice, 2.5),
            doubling_seconds: optional(dice, 2.5),
            doubling_seconds_low: optional(dice, 2.5),
            doubling_seconds_high: optional(dice, 2.5),
            broadcast: dice.random_bool(0.5),
            largest_broadcast: dice.random_range(1..1000),
            broadcast_probability: optional(dice, 2.5),
            broadcast_arrivals: optional(dice, 2.5),
            broadcast_arrivals_low: optional(dice, 2.5),
            broadcast_arrivals_high: optional(dice, 2.5),
            model_version: Cow::Borrowed("test-1"),
        };
        spread.encode(out).expect("fits its schema");
    }

    fn model(&mut self, days: i64, out: &mut Vec<u8>) {
        let (time, site, weights) = (self.time(days), self.site(), text(&mut self.dice));
        let dice = &mut self.dice;
        let hours = one(dice, &[0, 24]);
        let model = ChainModel {
            site,
            time,
            version: Cow::Borrowed("test-2"),
            learned_from: Cow::Borrowed("test-1"),
            lessons: dice.random_range(1..1000),
            weights: Cow::Borrowed(&weights),
            scored: dice.random_range(1..1000),
            log_loss: optional(dice, 2.5),
            brier: optional(dice, 2.5),
            ece: optional(dice, 2.5),
            top1: optional(dice, 2.5),
            reliability_count: (0..dice.random_range(0..5))
                .map(|_| dice.random_range(1..50))
                .collect(),
            reliability_predicted: (0..dice.random_range(0..5))
                .map(|_| dice.random())
                .collect(),
            reliability_observed: (0..dice.random_range(0..5))
                .map(|_| dice.random())
                .collect(),
            alarm: dice.random_bool(0.5),
            token_survival: dice.random(),
            copying_app: optional(dice, 0.25),
            copying_app_edges: optional(dice, 40),
            copying_network: optional(dice, 0.25),
            copying_network_edges: optional(dice, 40),
            copying_device: optional(dice, 0.25),
            copying_device_edges: optional(dice, 40),
            arrivals_per_act: optional(dice, 1.5),
            outside_shift: optional(dice, -0.5),
            outside_shift_deviation: optional(dice, 0.25),
            outside_shift_known: optional(dice, 0.25),
            outside_shift_known_deviation: optional(dice, 0.25),
            strangers: optional(dice, 0.25),
            balance: optional(dice, -0.75),
            mean_log_odds: optional(dice, 1.25),
            hours_outside: (0..hours).map(|_| dice.random_range(0..1000)).collect(),
            hours_shared: (0..hours).map(|_| dice.random_range(0..1000)).collect(),
        };
        model.encode(out).expect("fits its schema");
    }

    fn surge(&mut self, days: i64, out: &mut Vec<u8>) {
        let (updated, app) = (self.time(days), self.app());
        // Few of them, so that they change: whatever stays the same is a function of which.
        let which = self.dice.random_range(0..50u8);
        let dice = &mut self.dice;
        let surge = Surge {
            surge_id: Id([which; 16]),
            site: if which % 2 == 0 {
                "example.org"
            } else {
                "example.com"
            },
            content: Cow::Borrowed("https://example.org/a"),
            state: one(dice, SurgeState::ALL),
            started: START + i64::from(which) * DAY * days / 50,
            updated,
            visits: dice.random_range(1..1000),
            dark: dice.random(),
            dark_low: dice.random(),
            dark_high: dice.random(),
            baseline: dice.random(),
            baseline_high: dice.random(),
            rate_per_hour: dice.random(),
            doubling_seconds: optional(dice, 900.5),
            doubling_seconds_low: optional(dice, 600.5),
            doubling_seconds_high: optional(dice, 1_200.5),
            apps: (0..dice.random_range(0..4))
                .map(|_| SurgeApp {
                    app,
                    probability: dice.random(),
                })
                .collect(),
            seeds: (0..dice.random_range(0..4u8))
                .map(|seed| SurgeSeed {
                    kind: one(dice, SeedKind::ALL),
                    id: Id([seed; 16]),
                    time: START + i64::from(seed),
                    app,
                    probability: dice.random(),
                })
                .collect(),
            share_acts: dice.random(),
            signs: dice.random(),
            signs_usual: dice.random(),
            networks: dice.random_range(1..1000),
            chained: dice.random_range(0..1000),
            reproduction_number: optional(dice, 0.75),
            reproduction_low: optional(dice, 0.5),
            reproduction_high: optional(dice, 1.5),
            false_alarm: dice.random(),
            new_content: dice.random(),
            model_version: Cow::Borrowed("test-1"),
        };
        surge.encode(out).expect("fits its schema");
    }

    fn calibration(&mut self, days: i64, out: &mut Vec<u8>) {
        let (time, site) = (self.time(days), self.site());
        let dice = &mut self.dice;
        let bins = dice.random_range(0..11);
        let calibration = Calibration {
            site,
            time,
            model_version: Cow::Borrowed("test-1+site.40"),
            landings: dice.random_range(0..1000),
            tokens: dice.random_range(0..100),
            known: dice.random_range(0..100),
            known_with_token: dice.random_range(0..50),
            token_survival: optional(dice, 0.5),
            token_survival_low: optional(dice, 0.25),
            token_survival_high: optional(dice, 0.75),
            intercept: optional(dice, -0.5),
            intercept_low: optional(dice, -1.5),
            intercept_high: optional(dice, 0.5),
            slope: optional(dice, 0.25),
            ece: optional(dice, 0.125),
            ece_low: optional(dice, 0.0),
            ece_high: optional(dice, 0.25),
            brier: optional(dice, 0.25),
            private_part: 0.92,
            bin_landings: (0..bins).map(|_| dice.random_range(0..500)).collect(),
            bin_tokens: (0..bins).map(|_| dice.random_range(0..50)).collect(),
            bin_predicted: (0..bins).map(|_| dice.random()).collect(),
        };
        calibration.encode(out).expect("fits its schema");
    }

    fn dead_letter(&mut self, days: i64, out: &mut Vec<u8>) {
        let (id, time) = (self.id(), self.time(days));
        let detail = text(&mut self.dice);
        let payload: Vec<u8> = (0..self.number(40)).map(|_| self.dice.random()).collect();
        let letter = DeadLetter {
            letter_id: id,
            time,
            site: "example.org",
            stage: "import",
            reason: one(&mut self.dice, &["not_a_log_line", "too_long"]),
            detail: Cow::Borrowed(&detail),
            source: "access.log",
            partition: None,
            position: 17,
            payload: &payload,
            payload_length: 40,
        };
        letter.encode(out).expect("fits its schema");
    }
}
