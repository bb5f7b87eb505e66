//! Visits by channel, and what is behind "direct", from sums over visits that are alike.

use std::collections::BTreeMap;

use clickhouse::Row;
use serde::Deserialize;

use crate::report::figures::{ChannelFigures, DirectFigures, Estimate};

/// Sums over the visits of one booking and one judgement; columns in this order.
#[derive(Row, Deserialize)]
pub(super) struct ChannelRow {
    pub(super) conventional: String,
    pub(super) channel: String,
    /// One fact decided; otherwise the visits left no trace, and evidence was weighed.
    pub(super) certain: bool,
    pub(super) visits: u64,
    pub(super) dark: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) variance: f64,
    pub(super) search: f64,
}

/// Visits with the sums of their P(private).
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    visits: f64,
    dark: f64,
    low: f64,
    high: f64,
    variance: f64,
}

impl Sums {
    fn add(&mut self, row: &ChannelRow) {
        self.visits += row.visits as f64;
        self.dark += row.dark;
        self.low += row.low;
        self.high += row.high;
        self.variance += row.variance;
    }

    /// Those that were passed on in private.
    fn dark(self) -> Estimate {
        Estimate::of_sums(self.dark, self.low, self.high, self.variance, self.visits)
    }

    /// All others.
    fn others(self) -> Estimate {
        self.dark().rest_of(self.visits)
    }
}

/// What one channel is made of.
#[derive(Clone, Copy, Debug, Default)]
struct Made {
    conventional: f64,
    /// Visits that a fact put here; what of them was passed on in private is counted there.
    decided: Sums,
    /// Expected visits without a trace that belong here.
    weighed: f64,
    /// Visits without a trace that may belong here.
    open: Sums,
}

impl Made {
    fn found(&self) -> Estimate {
        let decided = self.decided.others();
        Estimate {
            expected: decided.expected + self.weighed,
            low: decided.low,
            high: decided.high + self.open.others().high,
        }
    }
}

/// Where the part of a visit goes that is neither dark social nor dark search: to the channel that
/// a fact gave it, or, where that is dark social itself or no fact gave one, to what analytics
/// would book. Without a trace that is direct: the address was typed or bookmarked.
fn remainder(row: &ChannelRow) -> &str {
    if row.certain && row.channel != "dark_social" {
        &row.channel
    } else {
        &row.conventional
    }
}

/// Every visit once, by channel, the largest first.
pub(super) fn channels(rows: &[ChannelRow]) -> Vec<ChannelFigures> {
    let mut made = BTreeMap::<&str, Made>::new();
    let mut all = Sums::default();
    for row in rows {
        all.add(row);
        made.entry(&row.conventional).or_default().conventional += row.visits as f64;
        let rest = made.entry(remainder(row)).or_default();
        if row.certain {
            rest.decided.add(row);
            continue;
        }
        rest.weighed += (row.visits as f64 - row.dark - row.search).max(0.0);
        rest.open.add(row);
        let search = made.entry("search").or_default();
        search.weighed += row.search;
        search.open.add(row);
    }
    let mut list: Vec<ChannelFigures> = made
        .into_iter()
        .map(|(channel, made)| ChannelFigures {
            channel: channel.to_owned(),
            conventional: made.conventional,
            found: made.found(),
        })
        .collect();
    if all.dark > 0.0 {
        list.push(ChannelFigures {
            channel: "dark_social".to_owned(),
            conventional: 0.0,
            found: all.dark(),
        });
    }
    list.retain(|figures| figures.conventional > 0.0 || figures.found.high > 0.0);
    list.sort_by(|a, b| {
        b.found
            .expected
            .total_cmp(&a.found.expected)
            .then_with(|| a.channel.cmp(&b.channel))
    });
    list
}

/// What the visits are that analytics would book as direct.
pub(super) fn direct(rows: &[ChannelRow]) -> DirectFigures {
    let mut sums = Sums::default();
    let mut figures = DirectFigures::default();
    for row in rows.iter().filter(|row| row.conventional == "direct") {
        sums.add(row);
        figures.dark_search += row.search;
        if row.certain {
            figures.certain += row.visits as f64;
        }
    }
    figures.visits = sums.visits;
    figures.dark_social = sums.dark();
    figures.others = sums.others();
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(
        conventional: &str,
        channel: &str,
        certain: bool,
        visits: u64,
        dark: f64,
        search: f64,
    ) -> ChannelRow {
        ChannelRow {
            conventional: conventional.into(),
            channel: channel.into(),
            certain,
            visits,
            dark,
            low: dark * 0.5,
            high: dark * 1.5,
            search,
            variance: 0.0,
        }
    }

    fn rows() -> [ChannelRow; 5] {
        [
            row("direct", "direct", false, 100, 30.0, 20.0),
            row("direct", "search", false, 10, 1.0, 6.0),
            row("direct", "dark_social", true, 40, 38.0, 0.0),
            row("social", "social", true, 60, 12.0, 0.0),
            row("search", "search", true, 50, 0.0, 0.0),
        ]
    }

    fn of(channels: &[ChannelFigures], name: &str) -> ChannelFigures {
        let found = channels.iter().find(|figures| figures.channel == name);
        found.expect("there").clone()
    }

    #[track_caller]
    fn near(found: Estimate, wanted: [f64; 3]) {
        for (found, wanted) in [found.low, found.expected, found.high]
            .into_iter()
            .zip(wanted)
        {
            assert!((found - wanted).abs() < 1e-9, "{found}, not {wanted}");
        }
    }

    #[test]
    fn every_visit_is_counted_once_in_each_booking() {
        let channels = channels(&rows());
        let conventional: f64 = channels.iter().map(|figures| figures.conventional).sum();
        let found: f64 = channels.iter().map(|figures| figures.found.expected).sum();
        assert!((conventional - 260.0).abs() < 1e-9 && (found - 260.0).abs() < 1e-9);
        let expected = |name| of(&channels, name).found.expected;
        assert!((expected("dark_social") - 81.0).abs() < 1e-9);
        assert!((expected("search") - 76.0).abs() < 1e-9);
        let direct = expected("direct");
        assert!(
            (direct - 55.0).abs() < 1e-9,
            "50 and 3 of the grey ones, and what the certain ones leave: {direct}"
        );
    }

    #[test]
    fn a_channel_is_as_uncertain_as_what_may_belong_to_it() {
        let channels = channels(&rows());
        // 6 to 18 of the 60 that a fact put there were passed on in private.
        near(of(&channels, "social").found, [42.0, 48.0, 54.0]);
        // Of 110 without a trace 15.5 at the least were passed on; the others may all be searches,
        // or none.
        near(of(&channels, "search").found, [50.0, 76.0, 144.5]);
        // A fact decided 40, of which 19 at the least were passed on, perhaps all.
        near(of(&channels, "direct").found, [0.0, 55.0, 115.5]);
        near(of(&channels, "dark_social").found, [40.5, 81.0, 121.5]);
    }

    #[test]
    fn what_is_behind_direct_adds_up() {
        let direct = direct(&rows());
        assert_eq!((direct.visits, direct.certain), (150.0, 40.0));
        near(direct.dark_social, [34.5, 69.0, 103.5]);
        near(direct.others, [46.5, 81.0, 115.5]);
        assert!((direct.dark_search - 26.0).abs() < 1e-9);
    }
}
