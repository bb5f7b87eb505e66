//! The figures of a report.

use serde::Serialize;

use super::surges::SurgeFigures;

/// A count that is partly a guess: what is expected, and the range that it lies in.
///
/// `expected` is the sum of the visits' probabilities. `low` and `high` are the sums under the
/// low and high ends of what is known of priors and weights, widened by the 90 % sampling range
/// of the sum (1.645 times the root of the sum of p (1 - p)). Where a figure has another range, its
/// own words say which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Expected count.
    pub expected: f64,
    /// Low end.
    pub low: f64,
    /// High end.
    pub high: f64,
}

/// Standard normal quantile of a two-sided 90 % range.
const NORMAL_90: f64 = 1.645;

impl Estimate {
    /// From sums of probabilities; `variance` is the sum of p (1 - p), `total` the number of visits.
    pub fn of_sums(expected: f64, low: f64, high: f64, variance: f64, total: f64) -> Self {
        let half = NORMAL_90 * variance.max(0.0).sqrt();
        Estimate {
            expected: expected.clamp(0.0, total),
            low: (low.min(expected) - half).clamp(0.0, total),
            high: (high.max(expected) + half).clamp(0.0, total),
        }
    }

    /// Of `total` visits those that are not counted here: as many more as these are fewer.
    pub fn rest_of(self, total: f64) -> Self {
        let rest = |count: f64| (total - count).max(0.0);
        Estimate {
            expected: rest(self.expected),
            low: rest(self.high),
            high: rest(self.low),
        }
    }

    /// A part of it, 0 to 1.
    pub fn times(self, part: f64) -> Self {
        Estimate {
            expected: self.expected * part,
            low: self.low * part,
            high: self.high * part,
        }
    }
}

/// One channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ChannelFigures {
    /// Name of the channel.
    pub channel: String,
    /// Visits that ordinary analytics would book here.
    pub conventional: f64,
    /// Visits that belong here as far as can be told. Where a fact decided, the range is that of
    /// the private links among them, turned round. How search and typed addresses divide visits
    /// that no fact decided has no known range: theirs reaches from what facts decided to that and
    /// all of these that were not passed on, so it bounds each and says nothing of both together.
    pub found: Estimate,
}

/// What the visits that ordinary analytics books as direct really are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct DirectFigures {
    /// Visits booked as direct.
    pub visits: f64,
    /// Of them, privately passed links.
    pub dark_social: Estimate,
    /// Of them, all others: searches without referrer, typed and bookmarked addresses together. The
    /// range is that of `dark_social`, turned round.
    pub others: Estimate,
    /// Of `others`, search engines without referrer; expected. It has no range: any part of
    /// `others` may be.
    pub dark_search: f64,
    /// Of them, decided by one fact (token, own browser, referrer …) rather than by weighing; expected.
    pub certain: f64,
}

/// One app that links are passed on in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AppFigures {
    /// Name of the app; `unknown` where nothing tells.
    pub app: String,
    /// Visits through it.
    pub visits: Estimate,
    /// Of them, decided by one fact (token, own browser, referrer …) rather than by weighing; expected.
    pub certain: f64,
    /// Preview fetches and other share acts seen in it.
    pub shares: f64,
}

/// One content.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ContentFigures {
    /// Canonical URL.
    pub content: String,
    /// Visits.
    pub visits: f64,
    /// Of them, privately passed on.
    pub dark_social: Estimate,
    /// Share acts seen.
    pub shares: f64,
}

/// One hour of the day, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HourFigures {
    /// 0 to 23.
    pub hour: u8,
    /// Visits.
    pub visits: f64,
    /// Of them, privately passed on.
    pub dark_social: Estimate,
}

/// One kind of evidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvidenceFigures {
    /// Name of the fact.
    pub name: String,
    /// Visits that it was found on.
    pub visits: f64,
    /// Of them, those that a fact decided: this one, or another beside which it was noted.
    pub decided: f64,
    /// Mean log-odds of dark social, against search and typed addresses together, that it adds; 0
    /// where it decides by itself, and where it is noted only. How the two rivals stand on each visit is in the view
    /// `visit_odds`.
    pub log_odds: f64,
    /// Mean log-odds of dark search, against typed addresses, that it adds; 0 where it decides by
    /// itself or says nothing of it. `None` where no visit of the period says it: those judged by a
    /// release that did not keep it.
    pub search_log_odds: Option<f64>,
    /// The fact in words, as on one of those visits.
    pub example: String,
}

/// Share chains: those known for certain, and those inferred.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ChainFigures {
    /// Visits that came by a surviving share token.
    pub token_visits: f64,
    /// Cascades of more than one visit.
    pub cascades: f64,
    /// Visits in the largest; at least, since tokens get lost.
    pub largest: f64,
    /// Most times that a link went from hand to hand on one way through a cascade: edges on the
    /// longest path. At least, since tokens get lost and who passes a link on without visiting is
    /// invisible.
    pub deepest: f64,
    /// Readers (first visits of people on a content) whose causes are settled, on contents that were
    /// first read in the period.
    pub readers: f64,
    /// Of them, those to whom somebody passed the link on, whether he had landed on the content
    /// himself or not. The range is that of 80 of 100 cases on each content, added up as if all
    /// erred the same way.
    pub from_readers: Estimate,
    /// Of these, those whom somebody sent who never landed on that content: who came to it from
    /// another page of the site, or was never seen. By the part of such senders among those of the
    /// period; its range is that of `from_readers` alone.
    pub from_strangers: Estimate,
    /// R: readers that one reader brings, those still to come included, over those contents; what
    /// is 1 or more spreads by itself. Every reader counts by the part of its children that should
    /// have come by now. `from_strangers` are in it, as if a reader stood behind each. Range of 80
    /// of 100 cases; none where no cause is settled.
    pub reproduction: Option<Estimate>,
    /// The same without `from_strangers`: R where no reader stands behind them.
    pub reproduction_without_strangers: Option<Estimate>,
    /// From which app to which, most frequent first.
    pub transitions: Vec<TransitionFigures>,
    /// Contents that spread the furthest.
    pub spreading: Vec<SpreadingFigures>,
    /// How well causes are inferred on this site, by its own tokens; none where there are none.
    pub calibration: Option<ChainCalibration>,
}

/// Visits that came from an earlier visit or a share act.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TransitionFigures {
    /// App (or engine, or network) of the earlier visit; `unknown` where it has none.
    pub from: String,
    /// App of the visit; `unknown` where it has none.
    pub to: String,
    /// Visits; expected, where a sharer can be named with some probability. It has no range: the
    /// probabilities of single causes have none.
    pub visits: f64,
    /// Of them, by tokens that name the sharer, each as probable as that it was passed on.
    pub certain: f64,
}

/// How one content spreads.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpreadingFigures {
    /// Canonical URL.
    pub content: String,
    /// Readers whose causes are settled.
    pub readers: f64,
    /// Of them, those to whom somebody passed the link on, readers or not. Range of 80 of 100
    /// cases, as those of all that follow.
    pub from_readers: Estimate,
    /// R: readers that one reader brings, those still to come included.
    pub reproduction: Estimate,
    /// Mean distance between two readers; none below two.
    pub virality: Option<Estimate>,
    /// Deepest generation, where who came from outside is of the first. Whoever passes a link on
    /// without visiting is in no generation.
    pub depth: Estimate,
    /// Median seconds from a reader to those that he brings; none where too few are expected.
    pub generation_time_seconds: Option<f64>,
    /// R now, of the newest 96 readers and the time since; none below two.
    pub reproduction_now: Option<Estimate>,
    /// Readers that one from outside leads to in the end, itself included; none where R may be 1 or
    /// more.
    pub amplification: Option<Estimate>,
    /// Seconds in which readers double; none unless R is surely above 1.
    pub doubling_seconds: Option<Estimate>,
    /// Seconds from the busiest time to the half of all later readers; none where it has not come.
    pub half_life_seconds: Option<Estimate>,
    /// Readers from earlier readers for each reader so far; none where no cause is settled.
    pub k_factor: Option<Estimate>,
    /// True where a shared link was probably posted in public, or brought more than 50 readers.
    pub broadcast: bool,
    /// Probability that a reader's link was mainly read in public; none where no token named one.
    pub broadcast_probability: Option<f64>,
    /// Readers by such links.
    pub broadcast_readers: Option<Estimate>,
}

/// How well causes are inferred: visits whose token names the sharer, each judged as if it had none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChainCalibration {
    /// Version of the weights in force; of several partitions with their own, all of them.
    pub version: String,
    /// Certain causes scored since the weights before came into force.
    pub scored: f64,
    /// Mean of −ln p(true cause), nats.
    pub log_loss: f64,
    /// Mean distance between how probable the likeliest cause was said to be, and how often it was
    /// right.
    pub calibration_error: f64,
    /// Part of them whose likeliest cause was right, 0 to 1.
    pub likeliest_right: f64,
    /// True where that error is above .05 beyond chance.
    pub alarm: bool,
    /// Probability that a shared link still carries its token.
    pub token_survival: f64,
}

/// Everything a report says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Site.
    pub site: String,
    /// First day, UTC, `YYYY-MM-DD`.
    pub from: String,
    /// Last day, UTC.
    pub to: String,
    /// Visits of people.
    pub visits: f64,
    /// Visits of robots, which are in no other figure.
    pub robots: f64,
    /// Channels, largest first.
    pub channels: Vec<ChannelFigures>,
    /// What is behind "direct".
    pub direct: DirectFigures,
    /// Apps, largest first.
    pub apps: Vec<AppFigures>,
    /// Contents by visits that were privately passed on, largest first.
    pub contents: Vec<ContentFigures>,
    /// Hours of the day.
    pub hours: Vec<HourFigures>,
    /// Evidence, most frequent first.
    pub evidence: Vec<EvidenceFigures>,
    /// Share chains.
    pub chains: ChainFigures,
    /// What spread in the dark faster than its baseline, what still does first.
    pub surges: Vec<SurgeFigures>,
    /// Lines and hits that could not be processed, all sites together.
    pub dead_letters: f64,
    /// Versions of the models that judged the visits.
    pub models: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_expectation_and_stays_possible() {
        let estimate = Estimate::of_sums(3.0, 2.0, 5.0, 100.0, 10.0);
        assert_eq!(
            (estimate.low, estimate.expected, estimate.high),
            (0.0, 3.0, 10.0)
        );
        let sure = Estimate::of_sums(10.0, 10.0, 10.0, 0.0, 10.0);
        assert_eq!((sure.low, sure.expected, sure.high), (10.0, 10.0, 10.0));
        let odd = Estimate::of_sums(4.0, 4.5, 3.5, 0.0, 10.0);
        assert!(odd.low <= odd.expected && odd.expected <= odd.high);
    }

    #[test]
    fn the_rest_is_as_uncertain_as_what_it_is_the_rest_of() {
        let rest = Estimate::of_sums(3.0, 2.0, 5.0, 0.0, 10.0).rest_of(10.0);
        assert_eq!((rest.low, rest.expected, rest.high), (5.0, 7.0, 8.0));
        let none = Estimate::of_sums(4.0, 4.0, 4.0, 0.0, 4.0).rest_of(4.0);
        assert_eq!(none, Estimate::default());
    }
}
