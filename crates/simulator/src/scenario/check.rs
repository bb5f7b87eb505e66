//! Reading and checking a scenario: every problem at once, each with its key and its fix.

use std::fmt;

use thiserror::Error;

use super::Scenario;

/// One thing that is wrong with a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Key as in the TOML file, such as `sharing.reproduction`.
    pub key: String,
    /// The value found.
    pub found: String,
    /// What to write instead.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} is {}: {}", self.key, self.found, self.fix)
    }
}

/// Why a scenario cannot be simulated.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// Not TOML, or a key or type that no scenario has; the message names line and key.
    #[error("scenario cannot be read: {0}")]
    Unreadable(String),
    /// Values out of range, all of them.
    #[error("scenario has {} wrong value(s): {}", .0.len(), list(.0))]
    Invalid(Vec<Problem>),
}

fn list(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(Problem::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

#[derive(Default)]
struct Checker(Vec<Problem>);

impl Checker {
    fn require(&mut self, holds: bool, key: &str, found: impl fmt::Display, fix: &str) {
        if !holds {
            self.0.push(Problem {
                key: key.into(),
                found: found.to_string(),
                fix: fix.into(),
            });
        }
    }

    fn range(&mut self, key: &str, value: f64, low: f64, high: f64) {
        let fix = format!("write a number from {low} to {high}");
        self.require((low..=high).contains(&value), key, value, &fix);
    }

    fn probabilities(&mut self, table: &str, values: &[(&str, f64)]) {
        for (name, value) in values {
            self.range(&format!("{table}.{name}"), *value, 0.0, 1.0);
        }
    }

    fn weights<'a>(&mut self, key: &str, weights: impl Iterator<Item = (&'a str, f64)>) {
        let mut sum = 0.0;
        for (name, weight) in weights {
            self.range(&format!("{key}.{name}"), weight, 0.0, 1e9);
            sum += weight;
        }
        self.require(
            sum > 0.0,
            key,
            "without any weight above 0",
            "give at least one a weight",
        );
    }
}

impl Scenario {
    /// Reads a scenario from TOML and checks it.
    ///
    /// # Errors
    /// [`ScenarioError::Unreadable`] names line and key of what is no TOML, unknown or of the
    /// wrong type; [`ScenarioError::Invalid`] lists every value out of range with its fix.
    pub fn from_toml(text: &str) -> Result<Scenario, ScenarioError> {
        let scenario: Scenario = toml::from_str(text)
            .map_err(|error| ScenarioError::Unreadable(error.to_string().trim_end().into()))?;
        scenario.validate()?;
        Ok(scenario)
    }

    /// The scenario as TOML, readable by [`Scenario::from_toml`].
    ///
    /// # Errors
    /// [`ScenarioError::Unreadable`] where a value has no TOML form, such as a seed above 2⁶³ − 1.
    pub fn to_toml(&self) -> Result<String, ScenarioError> {
        toml::to_string(self).map_err(|error| ScenarioError::Unreadable(error.to_string()))
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    /// [`ScenarioError::Invalid`] with every problem found.
    pub fn validate(&self) -> Result<(), ScenarioError> {
        let mut check = Checker::default();
        self.check_frame(&mut check);
        self.check_content(&mut check);
        self.check_people(&mut check);
        self.check_sharing(&mut check);
        self.check_carriers(&mut check);
        self.check_delivery(&mut check);
        self.check_robots_and_bursts(&mut check);
        if check.0.is_empty() {
            Ok(())
        } else {
            Err(ScenarioError::Invalid(check.0))
        }
    }

    fn check_frame(&self, check: &mut Checker) {
        let host =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
        check.require(
            (1..=253).contains(&self.site.len()) && self.site.bytes().all(host),
            "site",
            format_args!("{:?}", self.site),
            "write a host name in lower case, such as \"news.example\"",
        );
        let more = &self.more_sites;
        let distinct: std::collections::BTreeSet<_> = more.iter().chain([&self.site]).collect();
        check.require(
            more.len() <= 63
                && distinct.len() == more.len() + 1
                && more
                    .iter()
                    .all(|site| (1..=253).contains(&site.len()) && site.bytes().all(host)),
            "more_sites",
            format_args!("{more:?}"),
            "write at most 63 distinct host names in lower case, none of them the site's own",
        );
        check.require(
            (1971..=2200).contains(&jiff::tz::Offset::UTC.to_datetime(self.start).year()),
            "start",
            self.start,
            "write a time between 1971 and 2200, such as 2026-03-02T00:00:00Z in quotes",
        );
        let days = self.days > 0.0 && self.days <= 3660.0;
        check.require(days, "days", self.days, "write a number above 0 up to 3660");
        check.require(
            self.requests_target <= 1_000_000_000,
            "requests_target",
            self.requests_target,
            "write at most 1000000000, or 0 for the rates as they are",
        );
    }

    fn check_content(&self, check: &mut Checker) {
        let content = &self.content;
        check.range("content.archive", f64::from(content.archive), 1.0, 1e6);
        check.range(
            "content.published_per_day",
            content.published_per_day,
            0.0,
            1e4,
        );
        check.require(
            content.published_per_day.max(0.0) * self.days.max(0.0) <= 1e7,
            "content.published_per_day",
            content.published_per_day,
            "at most 10 million articles in all are kept in memory; publish fewer or shorten days",
        );
        check.range(
            "content.popularity_exponent",
            content.popularity_exponent,
            0.5,
            5.0,
        );
        check.range("content.half_life_hours", content.half_life_hours, 0.1, 1e4);
        check.probabilities(
            "content",
            &[
                ("evergreen", content.evergreen),
                ("dated_paths", content.dated_paths),
                ("numbered_paths", content.numbered_paths),
            ],
        );
        let segment = |name: &String| {
            let byte =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            !name.is_empty() && name.bytes().all(byte)
        };
        check.require(
            !content.sections.is_empty() && content.sections.iter().all(segment),
            "content.sections",
            format_args!("{:?}", content.sections),
            "write at least one name of a-z, 0-9 and -",
        );
    }

    fn check_people(&self, check: &mut Checker) {
        check.range("arrivals.per_day", self.arrivals.per_day, 0.0, 1e8);
        check.range("arrivals.weekend", self.arrivals.weekend, 0.0, 10.0);
        let hourly = &self.arrivals.hourly;
        check.require(
            hourly.len() == 24
                && hourly.iter().all(|weight| (0.0..=1e9).contains(weight))
                && hourly.iter().sum::<f64>() > 0.0,
            "arrivals.hourly",
            format_args!("{} number(s)", hourly.len()),
            "write 24 numbers of 0 or more, one an hour, not all 0",
        );
        check.weights("channels", self.channels.weights().into_iter());
        let audience = &self.audience;
        check.require(
            (1..=1_000_000_000).contains(&audience.regulars),
            "audience.regulars",
            audience.regulars,
            "write 1 to 1000000000",
        );
        check.range(
            "audience.carrier_addresses",
            audience.carrier_addresses.into(),
            1.0,
            8192.0,
        );
        check.range("audience.households", audience.households.into(), 1.0, 1e7);
        check.probabilities(
            "audience",
            &[
                ("regular", audience.regular),
                ("mobile", audience.mobile),
                ("iphone", audience.iphone),
                ("wifi", audience.wifi),
                ("ipv6", audience.ipv6),
                ("script_blocked", audience.script_blocked),
            ],
        );
        check.weights(
            "audience.languages",
            audience
                .languages
                .iter()
                .map(|(tag, weight)| (tag.as_str(), *weight)),
        );
        let tag = |tag: &String| {
            tag.len() <= 35
                && tag.split('-').all(|part| {
                    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
                })
        };
        check.require(
            audience.languages.keys().all(tag),
            "audience.languages",
            format_args!("{:?}", audience.languages.keys()),
            "write language tags such as en-GB or de",
        );
        let reading = &self.reading;
        check.range("reading.next_page", reading.next_page, 0.0, 0.95);
        check.range(
            "reading.seconds_on_page",
            reading.seconds_on_page,
            1.0,
            3600.0,
        );
        check.range("reading.return_to_page", reading.return_to_page, 0.0, 0.9);
        check.range("reading.return_hours", reading.return_hours, 0.01, 1000.0);
        check.range("reading.assets", reading.assets.into(), 0.0, 30.0);
        check.probabilities(
            "reading",
            &[
                ("not_found", reading.not_found),
                ("redirected", reading.redirected),
                ("prefetched", reading.prefetched),
                ("engaged", reading.engaged),
                ("converted", reading.converted),
            ],
        );
    }

    fn check_sharing(&self, check: &mut Checker) {
        let sharing = &self.sharing;
        check.range("sharing.probability", sharing.probability, 1e-6, 1.0);
        check.range("sharing.reproduction", sharing.reproduction, 0.0, 0.95);
        check.range(
            "sharing.reproduction_limit",
            sharing.reproduction_limit,
            0.0,
            0.98,
        );
        check.range("sharing.dispersion", sharing.dispersion, 0.05, 1000.0);
        check.range(
            "sharing.virality_exponent",
            sharing.virality_exponent,
            1.1,
            20.0,
        );
        check.range("sharing.delay_exponent", sharing.delay_exponent, 0.1, 10.0);
        check.range(
            "sharing.delay_scale_seconds",
            sharing.delay_scale_seconds,
            1.0,
            1e6,
        );
        check.range(
            "sharing.delay_limit_hours",
            sharing.delay_limit_hours,
            0.1,
            8760.0,
        );
        check.probabilities(
            "sharing",
            &[
                ("same_app", sharing.same_app),
                ("same_household", sharing.same_household),
                ("same_language", sharing.same_language),
                ("public", sharing.public),
                ("forward", sharing.forward),
                ("unseen", sharing.unseen),
                ("button", sharing.button),
                ("copy_seen", sharing.copy_seen),
                ("composed_unsent", sharing.composed_unsent),
                ("mail_scanned", sharing.mail_scanned),
            ],
        );
        check.probabilities(
            "openings",
            &[
                ("dark_search_by_app", self.openings.dark_search_by_app),
                ("paid_in_app", self.openings.paid_in_app),
            ],
        );
        check.probabilities(
            "tokens",
            &[
                ("attached", self.tokens.attached),
                ("own_returning", self.tokens.own_returning),
            ],
        );
    }

    fn check_carriers(&self, check: &mut Checker) {
        check.weights(
            "apps",
            self.apps
                .iter()
                .map(|(app, how)| (app.as_str(), how.weight)),
        );
        for (app, how) in &self.apps {
            check.probabilities(
                &format!("apps.{}", app.as_str()),
                &[
                    ("mobile", how.mobile),
                    ("referrer_kept", how.referrer_kept),
                    ("in_app_browser", how.in_app_browser),
                    ("web_client", how.web_client),
                    ("token_lost", how.token_lost),
                    ("preview", how.preview),
                    ("typed_link", how.typed_link),
                    ("public", how.public),
                ],
            );
            check.require(
                how.public <= 0.0 || app.has_public_places(),
                &format!("apps.{}.public", app.as_str()),
                how.public,
                "leave it out: of the apps only telegram and discord have public places, posts of \
                 others are those of [networks]",
            );
        }
        let networks = self.networks.iter();
        check.weights(
            "networks",
            networks.map(|(network, how)| (network.as_str(), how.weight)),
        );
        for (network, how) in &self.networks {
            check.probabilities(
                &format!("networks.{}", network.as_str()),
                &[
                    ("mobile", how.mobile),
                    ("referrer_kept", how.referrer_kept),
                    ("in_app_browser", how.in_app_browser),
                ],
            );
        }
    }

    fn check_delivery(&self, check: &mut Checker) {
        let delivery = &self.delivery;
        check.range(
            "delivery.jitter_seconds",
            delivery.jitter_seconds,
            0.0,
            600.0,
        );
        check.range("delivery.late_minutes", delivery.late_minutes, 0.0, 1440.0);
        check.range("delivery.skew_minutes", delivery.skew_minutes, 0.0, 1e6);
        check.probabilities(
            "delivery",
            &[("late", delivery.late), ("skewed", delivery.skewed)],
        );
    }

    fn check_robots_and_bursts(&self, check: &mut Checker) {
        for (name, value) in self.robots.rates() {
            check.range(&format!("robots.{name}_per_day"), value, 0.0, 1e8);
        }
        for (index, burst) in self.bursts.iter().enumerate() {
            let key = |name: &str| format!("bursts[{index}].{name}");
            check.range(
                &key("at_hours"),
                burst.at_hours,
                0.0,
                self.days.max(0.0) * 24.0,
            );
            check.range(&key("landings"), burst.landings, 0.0, 1e7);
            check.range(&key("rise_hours"), burst.rise_hours, 0.0, 100.0);
            check.range(&key("decay_hours"), burst.decay_hours, 0.05, 1000.0);
            check.range(&key("reproduction"), burst.reproduction, 0.0, 0.98);
        }
    }
}
