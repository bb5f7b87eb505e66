//! Whose the tokens are that a site learns from.
//!
//! Where visits are given tokens, whoever passes a link on was seen to be given its token. One that nobody was seen to
//! be given is older than the state or than what it remembers, of a visit that did not come, or made up. Honest ones
//! are few, and many of them readers' own; of made-up ones anybody can send as many as he likes. So a site learns
//! from none of them: what comes by one is left out, landing and all.
//!
//! This holds off tokens that are only made up. Who sends a visit that is given a token, and then another one by it, sends
//! a share like any other.

use serde::{Deserialize, Serialize};

/// Part of a site's visits that are given a token, from which on nobody's is made up or lost. Above what somebody could send
/// of his own to a site that gives none, below what is left of a site's own among many that are sent to it. Our reading.
const GIVEN_MIN: f64 = 0.1;

/// Whose the token of a link is, as far as was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenOwner {
    /// A visit of this content that was given it.
    Seen,
    /// Nobody was seen to be given it, although visits of the site are given tokens.
    Nobody,
    /// Visits of the site are given none, as in an access log; or it was not asked.
    #[default]
    Untold,
}

impl TokenOwner {
    /// Whether a site learns from such a token.
    pub(super) fn teaches(self) -> bool {
        self != TokenOwner::Nobody
    }
}

/// How many of a site's visits are given tokens.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Owners {
    /// Visits of people, and those that were given a token.
    visits: f64,
    given: f64,
}

impl Owners {
    /// Takes a visit of a person.
    pub(super) fn visit(&mut self, given_token: bool) {
        self.visits += 1.0;
        self.given += f64::from(u8::from(given_token));
    }

    /// Whose a token is, of which is known whether a visit was seen that was given it.
    pub(super) fn of(&self, owner_seen: bool) -> TokenOwner {
        let gives_tokens = self.given > 0.0 && self.given >= GIVEN_MIN * self.visits;
        match owner_seen {
            true => TokenOwner::Seen,
            false if gives_tokens => TokenOwner::Nobody,
            false => TokenOwner::Untold,
        }
    }

    pub(super) fn halve(&mut self) {
        self.visits /= 2.0;
        self.given /= 2.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_gives_tokens_where_a_tenth_of_its_visits_is_given_one() {
        let mut owners = Owners::default();
        assert_eq!(owners.of(false), TokenOwner::Untold);
        owners.visit(true);
        for _ in 1..10 {
            assert_eq!(
                [owners.of(false), owners.of(true)],
                [TokenOwner::Nobody, TokenOwner::Seen]
            );
            owners.visit(false);
        }
        assert_eq!(owners.of(false), TokenOwner::Nobody);
        owners.visit(false);
        assert_eq!(
            [owners.of(false), owners.of(true)],
            [TokenOwner::Untold, TokenOwner::Seen]
        );
    }
}
