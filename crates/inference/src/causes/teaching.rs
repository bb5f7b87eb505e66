//! What a certain cause teaches a site.

use super::cause::Cause;
use super::laws::MarkLaws;
use super::posterior::Settled;

impl MarkLaws {
    /// Learns from a settled arrival: what comes from outside, which marks are passed on, what
    /// acts of sharing breed. One whose cause is not certain teaches nothing.
    pub fn learn(&mut self, settled: &Settled<'_>) {
        let Some(certain) = settled.certain else {
            return;
        };
        let posterior = &settled.posterior;
        let from_outside = certain == Cause::Outside;
        self.outside
            .count(posterior.outside(), from_outside, posterior.certain);
        let spread = posterior.spread;
        let candidates = &spread.candidates;
        let of = |key: u64| candidates.iter().position(|kept| kept.key() == key);
        let parent = match certain {
            Cause::Reader(key) => of(key),
            _ => None,
        };
        if let (Some(parent), Some(child)) = (parent, of(settled.key)) {
            self.edge(candidates[parent].marks(), candidates[child].marks());
        }
        let (acts, scratch) = (&posterior.spread.acts, posterior.scratch);
        if acts.is_empty() {
            return;
        }
        // What was seen of the parent's sharing, against what was not.
        let seen = |at: usize| {
            let sharers = acts.sharers(at);
            let own = sharers.filter(|(slot, _)| Some(usize::from(*slot)) == parent);
            let probability: f64 = own.map(|(_, probability)| probability).sum();
            probability * f64::from(scratch.acts[at])
        };
        let unseen = parent.map_or(0.0, |slot| f64::from(scratch.candidates[slot]));
        let all: f64 = (0..acts.len()).map(seen).sum::<f64>() + unseen;
        for at in 0..acts.len() {
            let Some(bred) = scratch.bred[at] else {
                continue;
            };
            let weight = f64::from(scratch.acts[at]);
            let expected = weight / (scratch.outside + scratch.shares);
            let taken = if all > 0.0 { seen(at) / all } else { 0.0 };
            self.acts.count(&bred, expected, taken);
        }
    }
}
