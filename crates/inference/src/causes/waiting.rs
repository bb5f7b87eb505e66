//! Who waits to be settled.

use super::candidate::Known;
use super::state::Spread;

impl Spread {
    /// Event time (milliseconds since 1970 UTC, whole seconds after the content's start) of the
    /// arrival that is settled next; none where all are.
    pub fn waiting_since(&self) -> Option<i64> {
        let front = self.pending.front()?;
        let seconds = self.candidates[usize::from(front.slot)].time;
        Some(self.start.saturating_add(i64::from(seconds) * 1_000))
    }

    /// True where the arrival that is settled next came by a certain share.
    pub fn waiting_shared(&self) -> bool {
        let front = self.pending.front();
        front.is_some_and(|front| matches!(front.known(), Known::Share(..)))
    }
}
