//! Room for the weights of one arrival's causes.

use super::acts::{ACTS_MAX, Bred};
use super::candidate::{CANDIDATES_MAX, SPREADERS_MAX};
use super::example::Example;
use super::features::ChangingBins;
use super::pool::BLOCKS_MAX;
use super::weights::BYTES;

/// Candidates whose weights are summed together.
pub(super) const PART: usize = 16;

/// Room for the weights of one arrival's causes, to be used again for the next.
#[derive(Clone, Debug)]
pub struct Scratch {
    pub(super) candidates: [f32; CANDIDATES_MAX],
    /// What each candidate's weight was made of.
    pub(super) bins: [ChangingBins; CANDIDATES_MAX],
    /// Bins of each spreader's nearest child, and from the ninth bit of how many it has.
    pub(super) spreaders: [u32; SPREADERS_MAX],
    /// Factors by the byte of a pace: 0 where a candidate cannot be the cause.
    pub(super) paces: [f32; BYTES],
    /// Sums of [`PART`] candidates each.
    pub(super) parts: [f32; CANDIDATES_MAX / PART],
    /// By how much each candidate weighs more for every child that a tree gives him.
    pub(super) gathering: [f32; CANDIDATES_MAX],
    /// Who hangs in trees where he was drawn: nothing is certain of his share.
    pub(super) drawn: [bool; CANDIDATES_MAX],
    pub(super) blocks: [f32; BLOCKS_MAX],
    pub(super) acts: [f32; ACTS_MAX],
    /// How each act may have bred the arrival; none where it cannot have.
    pub(super) bred: [Option<Bred>; ACTS_MAX],
    pub(super) outside: f64,
    /// What the site's law adds to the outside's log-odds.
    pub(super) shift: f64,
    /// Sum of all other weights.
    pub(super) shares: f64,
    /// Of these, those of acts that were seen.
    pub(super) by_acts: f64,
    /// Filled at every settling where examples are wanted.
    pub(super) example: Option<Example>,
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch {
            candidates: [0.0; CANDIDATES_MAX],
            bins: [ChangingBins::default(); CANDIDATES_MAX],
            spreaders: [0; SPREADERS_MAX],
            paces: [0.0; BYTES],
            parts: [0.0; CANDIDATES_MAX / PART],
            gathering: [0.0; CANDIDATES_MAX],
            drawn: [false; CANDIDATES_MAX],
            blocks: [0.0; BLOCKS_MAX],
            acts: [0.0; ACTS_MAX],
            bred: [None; ACTS_MAX],
            outside: 1.0,
            shift: 0.0,
            shares: 0.0,
            by_acts: 0.0,
            example: None,
        }
    }
}

impl Scratch {
    /// Room that also keeps what was seen of the settled arrival, to learn weights from.
    pub fn with_examples() -> Self {
        Scratch {
            example: Some(Example::default()),
            ..Scratch::default()
        }
    }

    /// What was seen of the arrival that was settled last; none without
    /// [`Scratch::with_examples`].
    pub fn example(&self) -> Option<&Example> {
        self.example.as_ref()
    }

    /// Probability of the outside.
    pub(super) fn outside_alone(&self) -> f64 {
        self.outside / (self.outside + self.shares)
    }

    /// Probability of the outside where its log-odds are shifted.
    pub(super) fn outside_shifted(&self, shift: f64) -> f64 {
        let outside = self.outside * shift.exp();
        outside / (outside + self.shares)
    }

    /// Sums again the part that a candidate's weight was changed in.
    pub(super) fn sum_part(&mut self, slot: usize) {
        let part = slot / PART;
        self.parts[part] = sum_of(&self.candidates[part * PART..][..PART]);
    }
}

/// A sum in four lanes, so that no addition waits for the one before.
pub(super) fn sum_of(weights: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 4];
    for four in weights.chunks_exact(4) {
        for (lane, weight) in lanes.iter_mut().zip(four) {
            *lane += weight;
        }
    }
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3])
}
