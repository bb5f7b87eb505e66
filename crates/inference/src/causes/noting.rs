//! Writing down what is seen of an arrival, to learn from.

use super::cause::Cause;
use super::example::Row;
use super::scoring::Moment;
use super::scratch::Scratch;
use super::state::Spread;
use super::weights::Weights;

impl Spread {
    /// Writes down what is seen of an arrival, where examples are wanted; `gone` are slot and block
    /// of a candidate that counts as gone.
    pub(super) fn note(
        &self,
        moment: &Moment,
        gone: Option<(u8, usize)>,
        weights: &Weights,
        scratch: &mut Scratch,
    ) {
        let Some(mut example) = scratch.example.take() else {
            return;
        };
        example.outside = self.outside_bins(moment);
        let offset = moment.outside_log_odds + scratch.shift;
        example.outside_offset = offset as f32;
        example.rows.clear();
        example.causes.clear();
        example.seen.clear();
        example.brought.clear();
        for (slot, candidate) in self.candidates.iter().enumerate() {
            if gone.is_some_and(|(gone, _)| usize::from(gone) == slot) {
                continue;
            }
            let Some(bins) = self.candidate_bins(candidate, moment) else {
                continue;
            };
            let spreader = self.spreaders.get(usize::from(candidate.spreader));
            // Arrivals settle in order, so children of his who have settled came before.
            if spreader.is_some_and(|spreader| spreader.before > 0) {
                example.brought.push(example.rows.len());
            }
            let offset = moment.likeness.of(candidate.marks()).ln();
            example.rows.push(Row { bins, offset });
            let cause = Cause::Reader(candidate.key());
            example.causes.push((cause, candidate.ordinal));
        }
        for at in 0..self.acts.len() {
            let likelier = self.acts.sharers(at).filter(|(slot, probability)| {
                let seen = f64::from(scratch.acts[at]) * probability;
                seen > f64::from(scratch.candidates[usize::from(*slot)])
            });
            let keys = likelier.map(|(slot, _)| self.candidates[usize::from(slot)].key());
            example.seen.extend(keys);
        }
        for (at, block) in self.pool.blocks().iter().enumerate() {
            let more = gone.filter(|(_, gone)| *gone == at);
            let more = more.map_or(0.0, |(slot, _)| self.candidates[usize::from(slot)].standing);
            let standing = block.standing + more;
            if standing <= 0.0 {
                continue;
            }
            // How many mean members its standing is, so that it moves with the weights.
            let bins = self.block_bins(block, moment);
            let one = bins
                .standing_places()
                .map(|place| weights.logs[usize::from(place)]);
            let offset = standing.ln() - one.iter().sum::<f64>() as f32;
            example.rows.push(Row { bins, offset });
            example.causes.push((Cause::Gone(block.last), block.last));
        }
        scratch.example = Some(example);
    }
}
