//! Sharers who are no readers of a content: who came to it from another page of the site, or whose
//! hits never came.
//!
//! A reader is who lands on a content. Whoever turns to it in the middle of a visit may pass it on as
//! well, and is nobody's child. What part of the shares they make, tokens tell: how often the owner
//! of one that came back was no reader.

use serde::{Deserialize, Serialize};

/// Tokens of strangers and of readers, before any came: a quarter, with the weight of ten. Our
/// reading: publishers count one and a half to two pages a visit, and people who browse share less
/// of each.
const PRIOR: [f64; 2] = [2.5, 7.5];

/// Whose the tokens of a site were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Strangers {
    strangers: u32,
    readers: u32,
}

impl Strangers {
    /// A link's token came back for the first time, and its owner is known. One link that brings
    /// hundreds is one sharer, who says as much of the others as any.
    pub(super) fn came_back(&mut self, of_stranger: bool) {
        let count = match of_stranger {
            true => &mut self.strangers,
            false => &mut self.readers,
        };
        *count = count.saturating_add(1);
    }

    /// Part of the site's shares that strangers make, from 0 to 1.
    pub(super) fn part(self) -> f64 {
        let strangers = f64::from(self.strangers) + PRIOR[0];
        strangers / (strangers + f64::from(self.readers) + PRIOR[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_until_tokens_say_otherwise() {
        let mut strangers = Strangers::default();
        assert_eq!(strangers.part(), 0.25);
        (0..400).for_each(|number| strangers.came_back(number % 8 == 0));
        assert!((strangers.part() - 0.125).abs() < 0.005);
        let all = Strangers {
            strangers: u32::MAX,
            readers: 0,
        };
        assert!(all.part() < 1.0);
    }
}
