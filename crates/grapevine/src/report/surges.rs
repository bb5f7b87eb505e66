//! What spreads in the dark faster than its baseline: asked for, and put into words.

use clickhouse::Row;
use grapevine_inference::surges::has_few_signs;
use jiff::Timestamp;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

use super::figures::Estimate;
use crate::numerals::{count, percent, plural};

/// The surges of a site in a period, those that go on first, then the largest; at most twelve.
pub(super) const QUERY: &str = "SELECT content, toString(state) AS state, toUnixTimestamp64Milli(started) AS started_ms, toUnixTimestamp64Milli(updated) AS updated_ms, visits, dark, dark_low, dark_high, baseline, baseline_high, rate_per_hour, doubling_seconds, doubling_seconds_low, doubling_seconds_high, CAST(apps AS Array(Tuple(String, Float32))) AS apps, arrayMap(seed -> (toString(seed.1), toString(seed.2), toUnixTimestamp64Milli(seed.3), seed.4, seed.5), seeds) AS seeds, share_acts, signs, signs_usual, networks, chained, reproduction_number, reproduction_low, reproduction_high, false_alarm, new_content FROM grapevine.surges WHERE site = {site:String} AND toDate(updated) >= {from:Date} AND toDate(started) <= {to:Date} ORDER BY surges.state = 'over', dark DESC, surge_id LIMIT 12";
/// Surges that are over and named one by one.
const OVER_MAX: usize = 3;

/// A row of [`QUERY`].
#[derive(Row, Deserialize)]
pub(super) struct SurgeRow {
    content: String,
    state: String,
    started_ms: i64,
    updated_ms: i64,
    visits: i64,
    dark: f64,
    dark_low: f64,
    dark_high: f64,
    baseline: f64,
    baseline_high: f64,
    rate_per_hour: f64,
    doubling_seconds: Option<f64>,
    doubling_seconds_low: Option<f64>,
    doubling_seconds_high: Option<f64>,
    apps: Vec<(String, f32)>,
    seeds: Vec<(String, String, i64, String, f32)>,
    share_acts: f64,
    signs: f64,
    signs_usual: f64,
    networks: i64,
    chained: i64,
    reproduction_number: Option<f64>,
    reproduction_low: Option<f64>,
    reproduction_high: Option<f64>,
    false_alarm: f64,
    new_content: bool,
}

/// One surge.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SurgeFigures {
    /// Canonical URL.
    pub content: String,
    /// `raised`, `updated` or `over`.
    pub state: String,
    /// Since when it is above its baseline, UTC, RFC 3339.
    pub started: String,
    /// Time of the newest record of it, UTC, RFC 3339.
    pub updated: String,
    /// Visits since then, of all channels.
    pub visits: f64,
    /// Of them, privately passed on.
    pub dark_social: Estimate,
    /// Dark visits that were to be expected in that time.
    pub baseline: f64,
    /// 90 % quantile of that expectation.
    pub baseline_high: f64,
    /// Dark visits an hour when the record was written.
    pub rate_per_hour: f64,
    /// Seconds in which the rate doubles, where growth is certain at 90 %.
    pub doubling_seconds: Option<Estimate>,
    /// P(app) of a dark visit, likeliest first.
    pub apps: Vec<(String, f64)>,
    /// Its first readers and acts of sharing, as far as they were seen, earliest first.
    pub seeds: Vec<SeedFigures>,
    /// Acts of sharing seen; expected.
    pub share_acts: f64,
    /// Signs that it was passed on: readers whose private link a fact tells of, and acts of sharing; expected.
    pub signs: f64,
    /// How many are usual on this site for so many dark visits.
    pub signs_usual: f64,
    /// About how many networks the visits came from.
    pub networks: f64,
    /// Visits that a token proves to come from another visit.
    pub chained: f64,
    /// Visits that one visit causes, where it is inferred.
    pub reproduction_number: Option<Estimate>,
    /// Rises a day on this site that are as unusual, at most 1.
    pub false_alarm: f64,
    /// Whether the content was new, so that the baseline is the site's typical early curve.
    pub new_content: bool,
}

/// One of those a surge began with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeedFigures {
    /// `visit` or `share`.
    pub kind: String,
    /// Identity: `visit_id` of `visits`, or `share_id` of `shares`.
    pub id: String,
    /// Event time, UTC, RFC 3339.
    pub time: String,
    /// App, or `unknown`.
    pub app: String,
    /// P(dark social) of the visit, or probability that the act was one.
    pub probability: f64,
}

impl From<SurgeRow> for SurgeFigures {
    fn from(row: SurgeRow) -> Self {
        let range = |expected: Option<f64>, low: Option<f64>, high: Option<f64>| {
            let (expected, low, high) = (expected?, low?, high?);
            Some(Estimate {
                expected,
                low,
                high,
            })
        };
        SurgeFigures {
            content: row.content,
            state: row.state,
            started: moment(row.started_ms, "%Y-%m-%dT%H:%M:%SZ"),
            updated: moment(row.updated_ms, "%Y-%m-%dT%H:%M:%SZ"),
            visits: row.visits as f64,
            dark_social: Estimate {
                expected: row.dark,
                low: row.dark_low,
                high: row.dark_high,
            },
            baseline: row.baseline,
            baseline_high: row.baseline_high,
            rate_per_hour: row.rate_per_hour,
            doubling_seconds: range(
                row.doubling_seconds,
                row.doubling_seconds_low,
                row.doubling_seconds_high,
            ),
            apps: row
                .apps
                .into_iter()
                .map(|(app, probability)| (app, f64::from(probability)))
                .collect(),
            seeds: row
                .seeds
                .into_iter()
                .map(|(kind, id, time, app, probability)| SeedFigures {
                    kind,
                    id,
                    time: moment(time, "%Y-%m-%dT%H:%M:%SZ"),
                    app,
                    probability: f64::from(probability),
                })
                .collect(),
            share_acts: row.share_acts,
            signs: row.signs,
            signs_usual: row.signs_usual,
            networks: row.networks as f64,
            chained: row.chained as f64,
            reproduction_number: range(
                row.reproduction_number,
                row.reproduction_low,
                row.reproduction_high,
            ),
            false_alarm: row.false_alarm,
            new_content: row.new_content,
        }
    }
}

fn moment(ms: i64, format: &str) -> String {
    Timestamp::from_millisecond(ms).map_or_else(
        |_| ms.to_string(),
        |time| Offset::UTC.to_datetime(time).strftime(format).to_string(),
    )
}

/// The section in paragraphs; `name` gives the address of a content as the other tables show it.
/// None where there was no surge.
pub(super) fn paragraphs(surges: &[SurgeFigures], name: &dyn Fn(&str) -> String) -> Vec<String> {
    let (over, active): (Vec<_>, Vec<_>) = surges.iter().partition(|surge| surge.state == "over");
    let mut out: Vec<String> = active
        .iter()
        .map(|surge| told(surge, &name(&surge.content)))
        .collect();
    if out.is_empty() && !over.is_empty() {
        out.push("Nothing does at the end of this period.".to_owned());
    }
    for surge in over.iter().take(OVER_MAX) {
        let dark = &surge.dark_social;
        out.push(format!(
            "Over: {}, {} to {} UTC, about {} dark {} ({} to {}), where {} were to be expected.",
            name(&surge.content),
            clock(&surge.started),
            clock(&surge.updated),
            count(dark.expected),
            plural(dark.expected, "visit", "visits"),
            count(dark.low),
            count(dark.high),
            count(surge.baseline),
        ));
    }
    out
}

/// `2026-03-05T13:02:11Z` as `2026-03-05 13:02`.
fn clock(time: &str) -> String {
    time.get(..16).unwrap_or(time).replace('T', " ")
}

fn told(surge: &SurgeFigures, name: &str) -> String {
    let dark = &surge.dark_social;
    let mut text = format!(
        "{name}: since {} UTC about {} dark {} ({} to {}) of {} in all, where {} (at most {}) were to be expected{}. At {} it had {} an hour",
        clock(&surge.started),
        count(dark.expected),
        plural(dark.expected, "visit", "visits"),
        count(dark.low),
        count(dark.high),
        count(surge.visits),
        count(surge.baseline),
        count(surge.baseline_high),
        if surge.new_content {
            " of a new content"
        } else {
            ""
        },
        clock(&surge.updated),
        count(surge.rate_per_hour),
    );
    match &surge.doubling_seconds {
        Some(doubling) => {
            text += &format!(
                ", doubling in {} ({} to {}).",
                duration(doubling.expected),
                duration(doubling.low),
                duration(doubling.high)
            )
        }
        None => text += "; whether it still grows is not certain.",
    }
    let apps: Vec<String> = surge
        .apps
        .iter()
        .take(4)
        .map(|(app, probability)| {
            format!("{} {}", app.replace('_', " "), percent(*probability, 1.0))
        })
        .collect();
    text += &format!(" Apps: {}.", apps.join(", "));
    text += &began(&surge.seeds);
    text += &format!(
        " It comes from about {} {}; {} {} of sharing {} seen, {} {} by a token of an earlier one.",
        count(surge.networks),
        plural(surge.networks, "network", "networks"),
        count(surge.share_acts),
        plural(surge.share_acts, "act", "acts"),
        plural(surge.share_acts, "was", "were"),
        count(surge.chained),
        plural(surge.chained, "visit came", "visits came"),
    );
    if has_few_signs(surge.signs, surge.signs_usual) {
        text += &format!(
            " Hardly anything shows that people pass it on: {} {} where {} are usual for so many. What the site itself \
             sends without tags, as a notification, looks so.",
            count(surge.signs),
            plural(surge.signs, "sign", "signs"),
            count(surge.signs_usual),
        );
    }
    if let Some(reproduction) = &surge.reproduction_number {
        text += &format!(
            " One visit causes {:.2} more ({:.2} to {:.2}).",
            reproduction.expected, reproduction.low, reproduction.high
        );
    }
    text += &format!(
        " So unusual a rise is to be expected here {} a day.",
        times(surge.false_alarm)
    );
    text
}

/// The first acts and readers in words.
fn began(seeds: &[SeedFigures]) -> String {
    let told = |kind: &str| -> Option<String> {
        let of_kind = seeds.iter().filter(|seed| seed.kind == kind);
        let told: Vec<String> = of_kind
            .map(|seed| {
                let time = seed.time.get(11..16).unwrap_or(&seed.time);
                format!("{time} ({})", seed.app.replace('_', " "))
            })
            .collect();
        (!told.is_empty()).then(|| told.join(", "))
    };
    let mut text = String::new();
    if let Some(acts) = told("share") {
        text += &format!(" First seen to be passed on at {acts}.");
    }
    if let Some(readers) = told("visit") {
        text += &format!(" First readers at {readers}.");
    }
    text
}

/// How often in words.
fn times(rate: f64) -> String {
    match rate {
        rate if rate < 0.01 => String::from("less than 0.01 times"),
        rate => format!("{rate:.2} times"),
    }
}

/// A duration in words, in its largest unit of which there are two or more.
fn duration(seconds: f64) -> String {
    const DAY: f64 = 86_400.0;
    if seconds < 120.0 {
        format!("{seconds:.0} s")
    } else if seconds < 7_200.0 {
        format!("{:.0} min", seconds / 60.0)
    } else if seconds < 2.0 * DAY {
        format!("{:.0} h", seconds / 3_600.0)
    } else {
        format!("{:.0} d", seconds / DAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surge(state: &str) -> SurgeFigures {
        SurgeRow {
            content: "https://example.org/a".into(),
            state: state.into(),
            started_ms: 1_772_409_600_000,
            updated_ms: 1_772_413_500_000,
            visits: 120,
            dark: 87.4,
            dark_low: 60.0,
            dark_high: 110.0,
            baseline: 3.2,
            baseline_high: 7.0,
            rate_per_hour: 45.0,
            doubling_seconds: Some(1_080.0),
            doubling_seconds_low: Some(700.0),
            doubling_seconds_high: Some(9_000.0),
            apps: vec![("whatsapp".into(), 0.62), ("unknown".into(), 0.38)],
            seeds: vec![
                (
                    "share".into(),
                    "a".into(),
                    1_772_409_540_000,
                    "signal".into(),
                    0.8,
                ),
                (
                    "visit".into(),
                    "b".into(),
                    1_772_409_660_000,
                    "unknown".into(),
                    0.7,
                ),
            ],
            share_acts: 3.0,
            signs: 21.0,
            signs_usual: 34.0,
            networks: 32,
            chained: 1,
            reproduction_number: None,
            reproduction_low: None,
            reproduction_high: None,
            false_alarm: 4.2e-8,
            new_content: false,
        }
        .into()
    }

    #[test]
    fn a_surge_is_told_with_what_is_known_and_how_surely() {
        let name = |content: &str| content.to_owned();
        let text = paragraphs(&[surge("updated")], &name).join("\n");
        for said in [
            "since 2026-03-02 00:00 UTC about 87 dark visits (60 to 110) of 120 in all",
            "3.2 (at most 7)",
            "At 2026-03-02 01:05 it had 45 an hour, doubling in 18 min (12 min to 2 h).",
            "whatsapp 62\u{202f}%, unknown 38\u{202f}%",
            "First seen to be passed on at 23:59 (signal). First readers at 00:01 (unknown).",
            "about 32 networks; 3 acts of sharing were seen, 1 visit came by a token",
            "to be expected here less than 0.01 times a day",
        ] {
            assert!(text.contains(said), "{said:?} in {text}");
        }
        assert!(!text.contains("One visit causes"));
        assert!(!text.contains("Hardly anything shows"), "{text}");
        let sent = SurgeFigures {
            signs: 1.0,
            signs_usual: 34.0,
            ..surge("raised")
        };
        let told = paragraphs(&[sent], &name).join("\n");
        let said = "people pass it on: 1 sign where 34 are usual for so many.";
        assert!(told.contains(said), "{told}");
        let text = paragraphs(&[surge("over")], &name).join("\n");
        assert!(
            text.starts_with("Nothing does at the end") && text.contains("Over: "),
            "{text}"
        );
        assert!(paragraphs(&[], &name).is_empty());
    }
}
