//! What a site itself sends without tags, added to a scenario.

use super::drawn::{even, ratio};
use super::{Burst, BurstKind, Scenario};
use crate::dice::Dice;

/// Hours before the end in which nothing is sent, so that most of its readers still come.
const LAST_HOURS: f64 = 6.0;
/// Least landings of one: fewer are no crowd.
const LANDINGS_MIN: f64 = 25.0;
/// Most that a burst may have.
const LANDINGS_MAX: f64 = 1e7;

impl Scenario {
    /// The scenario with bursts of [`BurstKind::Sent`] added: a mean of `per_day` a day (0 to 100;
    /// what is beyond an end counts as that end), their number by a Poisson law, evenly over the
    /// period but for its last 6 hours, which have none.
    ///
    /// Each brings 40 to 600 landings (evenly in the logarithm) where `arrivals.per_day` is 6000,
    /// in proportion elsewhere and at least 25. It starts at its peak and falls to 1/e in 0.1
    /// hours, as a push notification may, to 3 hours, as mail may (evenly in the logarithm). The
    /// article spreads as one of mean virality, whatever it would have without. All of this is
    /// assumption: no figures are published.
    ///
    /// The scenario's seed decides, by draws of their own: the same seed, period and rates give the
    /// same bursts, and everything else of the scenario stays what it is. Its events do not: all
    /// arrivals of a simulation are drawn from one stream, so any burst makes those after it
    /// others. Compare such scenarios among themselves, not event by event with the one without.
    ///
    /// [`Scenario::scaled`] and `requests_target` scale these bursts as any others, below 25
    /// landings too.
    pub fn with_sent(mut self, per_day: f64) -> Scenario {
        let hours = self.days.clamp(0.0, 3660.0) * 24.0 - LAST_HOURS;
        // A stream of its own: `drawn` has the one before.
        let dice = &mut Dice::new(self.seed, 3);
        let size = self.arrivals.per_day / 6_000.0;
        let sharing = &self.sharing;
        let reproduction = sharing.reproduction.min(sharing.reproduction_limit);
        let count = dice.poisson(per_day.clamp(0.0, 100.0) / 24.0 * hours);
        self.bursts.extend((0..count).map(|_| Burst {
            kind: BurstKind::Sent,
            at_hours: even(dice, 0.0, hours),
            landings: (size * ratio(dice, 40.0, 600.0)).clamp(LANDINGS_MIN, LANDINGS_MAX),
            rise_hours: 0.0,
            decay_hours: ratio(dice, 0.1, 3.0),
            reproduction,
        }));
        self
    }
}
