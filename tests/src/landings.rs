//! Numbered hits, each known by its number alone: which landing an act of sharing is on.

/// What counts of a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    Landing,
    /// An act of sharing.
    Act,
    Nothing,
}

/// A landing before act `number` that no other act is on: the same reader who does the same again within
/// moments does it once. The first hit must be a landing, and landings more than acts.
pub(crate) fn own_landing(number: u64, counts: impl Fn(u64) -> Counts) -> u64 {
    let mut acts = 1;
    for at in (0..number).rev() {
        match counts(at) {
            Counts::Act => acts += 1,
            Counts::Landing if acts == 1 => return at,
            Counts::Landing => acts -= 1,
            Counts::Nothing => {}
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_acts_are_on_one_landing() {
        // Landings, acts among them, and others.
        let counts = |number: u64| match number {
            0..4 => Counts::Landing,
            _ => match number % 5 {
                0 | 3 => Counts::Act,
                2 => Counts::Nothing,
                _ => Counts::Landing,
            },
        };
        let acts = (0..500).filter(|number| counts(*number) == Counts::Act);
        let mut landings: Vec<u64> = acts.map(|act| own_landing(act, counts)).collect();
        let all = landings.len();
        assert!(landings.iter().all(|at| counts(*at) == Counts::Landing));
        landings.sort_unstable();
        landings.dedup();
        assert_eq!(landings.len(), all);
    }
}
