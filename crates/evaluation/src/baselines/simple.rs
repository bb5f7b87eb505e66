//! What is obvious: one cause, the same for everybody.

use super::scoring::{Seen, Weigh};

/// The node just before.
pub(super) struct MostRecent;

impl Weigh for MostRecent {
    fn weigh(&self, seen: &Seen<'_>, weights: &mut [f64]) {
        weights.fill(0.0);
        weights[seen.node - 1] = 1.0;
    }

    fn is_sure(&self) -> bool {
        true
    }
}

/// The publisher's own broadcast.
pub(super) struct AlwaysRoot;

impl Weigh for AlwaysRoot {
    fn weigh(&self, _: &Seen<'_>, weights: &mut [f64]) {
        weights.fill(0.0);
        weights[0] = 1.0;
    }

    fn is_sure(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::scoring::tests::{cascade, close, probabilities};
    use super::*;

    #[test]
    fn all_weight_is_on_one_node() {
        let found = probabilities(&MostRecent, &cascade(), &[]);
        close(&found[2], &[0.0, 0.0, 1.0]);
        let found = probabilities(&AlwaysRoot, &cascade(), &[]);
        close(&found[2], &[1.0, 0.0, 0.0]);
    }
}
