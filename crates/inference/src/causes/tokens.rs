//! How share tokens are lost: with the whole share, or on the way of one reader.
//!
//! A link leaves with its token or without it, and so does everybody whom that share brings. Who
//! arrives without a token came by a share that had none, unless it was lost on his way alone. So a
//! reader whose token brought others, or whose marked link a messenger fetched, is no more likely
//! than anybody else to have sent somebody who comes without one, but for what he shared besides.
//! Cascade files, whose edges are hidden one by one, are the other end: each token is lost alone.

use serde::{Deserialize, Serialize};

/// Part of the arrivals by a marked link whose token was lost on their own way. Our reading: no list
/// of what is stripped names the token, what is left are links that are typed or cut.
const LOST_ON_THE_WAY: f64 = 0.05;

/// How share tokens are lost on a site.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLaw {
    /// See [`TokenLaw::lost_alone`].
    lost_alone: f32,
}

impl Default for TokenLaw {
    /// Each token is lost alone.
    fn default() -> Self {
        TokenLaw { lost_alone: 1.0 }
    }
}

impl TokenLaw {
    /// Tokens that leave with a share or not, where an arrival by a share still has one with
    /// probability `survival`.
    pub fn by_share(survival: f64) -> Self {
        let lost = (1.0 - survival).max(LOST_ON_THE_WAY);
        TokenLaw {
            lost_alone: (LOST_ON_THE_WAY / lost) as f32,
        }
    }

    /// Of the arrivals by shares that come without a token, the part whose token was lost alone: the
    /// share had one. From 0 to 1.
    pub(super) fn lost_alone(self) -> f32 {
        self.lost_alone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nearly_all_survive_the_rest_are_lost_alone() {
        assert_eq!(TokenLaw::default().lost_alone(), 1.0);
        assert_eq!(TokenLaw::by_share(0.0).lost_alone(), 0.05);
        assert!((TokenLaw::by_share(0.5).lost_alone() - 0.1).abs() < 1e-6);
        assert_eq!(TokenLaw::by_share(0.95).lost_alone(), 1.0);
        assert_eq!(TokenLaw::by_share(1.0).lost_alone(), 1.0);
    }
}
