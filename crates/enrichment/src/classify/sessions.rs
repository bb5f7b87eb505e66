//! Which hits of a visitor are one visit.

use grapevine_event::{Hit, Id};
use grapevine_inference::{Clock, Recent};
use grapevine_signals::{Link, Referrer, ReferrerKind};
use serde::{Deserialize, Serialize};

/// A visit ends after half an hour without a hit, as in GA4 and Matomo.
pub(super) const GAP_MS: i64 = 30 * 60_000;
/// Visitors remembered by the collector's clock, and by that of imports: the ones seen last, at
/// 64 bytes each (a test counts). Those forgotten come back as new visitors.
const VISITORS_MAX: [u32; 2] = [917_504, 458_752];

/// The last visit of a visitor.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Session {
    visit: Id,
    /// Event time of its latest hit.
    last: i64,
    /// Address and referrer of its landing: the same again is a reload.
    arrival: u32,
    /// The tokens given to its landing and to its latest page, or to the visit before where there
    /// is none of these: the reader's own.
    tokens: [u32; 2],
    /// The token that the visitor came with; 0 where the landing had none.
    came_with: u32,
}

/// What a page view is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The first of a visit.
    Landing {
        /// The visitor was seen on this site before.
        returning: bool,
        /// The link's token is one that the visitor was given or came with before.
        token_again: bool,
    },
    /// A later one of a visit, or of one whose landing is not known.
    Later {
        /// That visit.
        visit: Option<Id>,
    },
}

/// The visitors' last visits, by clock.
#[derive(Serialize, Deserialize)]
pub(super) struct Sessions([Recent<Session>; 2]);

impl Default for Sessions {
    fn default() -> Self {
        Sessions(VISITORS_MAX.map(Recent::new))
    }
}

impl Sessions {
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(Recent::len).sum()
    }

    /// True where a hit's visitor was seen on its site before.
    pub(super) fn knows(&self, clock: Clock, hit: &Hit<'_>) -> bool {
        let key = hit.visitor.map(|visitor| visitor_key(hit.site, visitor));
        key.is_some_and(|key| self.0[clock.index()].peek(key).is_some())
    }

    /// Takes a page view of anybody: person or robot.
    pub(super) fn of_page_view(
        &mut self,
        clock: Clock,
        hit: &Hit<'_>,
        link: &Link<'_>,
        referrer: &Referrer<'_>,
        internal: bool,
    ) -> Step {
        let Some(visitor) = hit.visitor else {
            return match internal {
                true => Step::Later { visit: None },
                false => Step::Landing {
                    returning: false,
                    token_again: false,
                },
            };
        };
        let sessions = &mut self.0[clock.index()];
        let key = visitor_key(hit.site, visitor);
        let time = hit.event_time;
        let given = hit.share_token.map_or(0, |token| fold(hash(0, token)));
        let known = sessions.get(key);
        let returning = known.is_some();
        let token = link
            .share_token
            .as_deref()
            .map(|token| fold(hash(0, token)));
        let own = |session: &Session| token.is_some_and(|token| session.tokens.contains(&token));
        let token_again = known.as_deref().is_some_and(|session| {
            own(session) || token.is_some_and(|token| session.came_with == token)
        });
        // What the visitor came with, and was given, outlives visits without a token.
        let before = known.as_deref().map_or(0, |session| session.came_with);
        let own_before = known.as_deref().map_or([0; 2], |session| session.tokens);
        if let Some(session) = known
            && session.last.abs_diff(time) <= GAP_MS as u64
        {
            let arrives = !own(session) && !internal && arrives(link, referrer);
            if !arrives || session.arrival == arrival(hit) {
                session.last = session.last.max(time);
                if given != 0 {
                    session.tokens[1] = given;
                }
                return Step::Later {
                    visit: Some(session.visit),
                };
            }
        }
        let session = Session {
            visit: hit.hit_id,
            last: time,
            arrival: arrival(hit),
            tokens: match given {
                0 => own_before,
                given => [given, own_before[0]],
            },
            came_with: token.unwrap_or(before),
        };
        sessions.set(key, session);
        Step::Landing {
            returning,
            token_again,
        }
    }

    /// The visit that a hit other than a page view belongs to; the visit goes on.
    pub(super) fn of_event(&mut self, clock: Clock, hit: &Hit<'_>) -> Option<Id> {
        let key = visitor_key(hit.site, hit.visitor?);
        let session = self.0[clock.index()].get(key)?;
        if session.last.abs_diff(hit.event_time) > GAP_MS as u64 {
            return None;
        }
        session.last = session.last.max(hit.event_time);
        Some(session.visit)
    }
}

/// True where link or referrer say that the visitor comes from elsewhere.
fn arrives(link: &Link<'_>, referrer: &Referrer<'_>) -> bool {
    let from_elsewhere = !matches!(
        referrer.kind,
        ReferrerKind::None | ReferrerKind::Malformed | ReferrerKind::Browser(_)
    );
    from_elsewhere
        || link.share_token.is_some()
        || !link.click_ids.is_empty()
        || !link.share_marks.is_empty()
        || !link.campaign.is_empty()
        || link.mailed_by().is_some()
}

fn arrival(hit: &Hit<'_>) -> u32 {
    fold(hash(hash(0, hit.url), hit.referrer.unwrap_or_default()))
}

/// Visitor pseudonyms are keyed hashes already, so this only has to keep sites apart.
fn visitor_key(site: &str, visitor: i64) -> u64 {
    hash(0, site) ^ (visitor as u64)
}

/// FNV-1a, 64 bits, from `seed` on (Fowler, Noll, Vo). Whoever makes it collide disturbs only the
/// own visits.
pub(super) fn hash(seed: u64, text: &str) -> u64 {
    let start = seed ^ 0xcbf2_9ce4_8422_2325;
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(start, step)
}

pub(super) fn fold(hash: u64) -> u32 {
    // Never 0, which stands for no token.
    ((hash >> 32) as u32 ^ hash as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_takes_at_most_64_bytes() {
        // Key and two links beside the session; the index takes 4 bytes and one of control for
        // each of 8/7 places.
        let slot = 8 + 4 + 4 + size_of::<Session>();
        let index = 5.0 * 8.0 / 7.0;
        assert!(slot as f64 + index <= 64.0, "{slot} + {index}");
    }
}
