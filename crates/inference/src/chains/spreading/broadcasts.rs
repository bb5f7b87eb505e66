//! Links that were posted in public: a token whose children come from public places, or many at
//! once, is a broadcast and no chain of private messages.
//!
//! A link is either passed on in private or posted in public. What is believed before anything of it
//! is known is the published part of shares that are public (RadiumOne 2016: 84 % are private). Each
//! child then says something by how it came, and all of them by how many came at once. How each
//! child came is its own P(private link), as classification states it for a landing with a token.

use serde::{Deserialize, Serialize};

use crate::causes::Range;
use crate::clock::key;
use crate::recent::Recent;

/// Part of shares that are public posts, before anything is known of one.
const PUBLIC: f64 = 0.16;
/// Part of the children of a link posted in public that come from a public place; the others were
/// sent the post's link in private. Our reading.
const PUBLIC_OF_POSTED: f64 = 0.9;
/// The same of a link passed on in private: one of those who got it posts it. Our reading.
const PUBLIC_OF_PRIVATE: f64 = 0.02;
/// Children of one link come by the same app and network, so they are no independent witnesses: so
/// alike are any two of them, and n count as n / (1 + (n − 1) · ALIKE) (Kish 1965).
const ALIKE: f64 = 0.3;
/// By what power of their number children at once speak for a post. Set on simulated sites, by the
/// Brier score of two values (docs/chains.md).
const CROWD: f64 = 0.6;
/// Over so long children count as having come at once, e-fold: a posted link has half of its clicks
/// in 2.8 to 3.2 hours (bitly 2011).
const AT_ONCE_MS: f64 = 4.3 * 3_600_000.0;
/// P(from a public place) that is believed of a child at the most, and 1 less it at the least.
const SURE: f64 = 0.99;
/// Links remembered: 60 bytes each.
const LINKS_MAX: u32 = 65_536;

/// What is known of one reader's link to a content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Link {
    /// Children so far.
    children: u32,
    /// Sum of what each says by how it came, log-odds.
    said: f32,
    /// Children of late, as of `newest`.
    crowd: f32,
    /// The most there ever were.
    crowd_max: f32,
    /// Event time of the newest child, milliseconds since 1970 UTC.
    newest: i64,
}

impl Link {
    /// One more child, who came from a public place with probability `public`.
    fn brought(&mut self, public: f64, time: i64) {
        let newest = if self.children == 0 {
            time
        } else {
            self.newest
        };
        let since = time.saturating_sub(newest);
        // One who is told late is counted with those of his time.
        let faded = (-(since.max(0) as f64) / AT_ONCE_MS).exp();
        let counted = (since.min(0) as f64 / AT_ONCE_MS).exp();
        self.crowd = (f64::from(self.crowd) * faded + counted) as f32;
        self.crowd_max = self.crowd_max.max(self.crowd);
        self.newest = newest.max(time);
        self.children = self.children.saturating_add(1);
        self.said += witness(public) as f32;
    }

    /// Probability that it was posted in public; 0 before any child.
    fn posted(&self) -> f64 {
        if self.children == 0 {
            return 0.0;
        }
        let alike = 1.0 + (f64::from(self.children) - 1.0) * ALIKE;
        let crowd = CROWD * f64::from(self.crowd_max.max(1.0)).ln();
        let log_odds = log_odds(PUBLIC) + f64::from(self.said) / alike + crowd;
        1.0 / (1.0 + (-log_odds).exp())
    }
}

/// What a child says of its link, log-odds of a post.
fn witness(public: f64) -> f64 {
    let public = match public.is_nan() {
        true => PUBLIC,
        false => public.clamp(1.0 - SURE, SURE),
    };
    // Its own odds hold the part of shares that are public already.
    let by = (log_odds(public) - log_odds(PUBLIC)).exp();
    let seen = |part: f64| part * by + 1.0 - part;
    (seen(PUBLIC_OF_POSTED) / seen(PUBLIC_OF_PRIVATE)).ln()
}

fn log_odds(probability: f64) -> f64 {
    (probability / (1.0 - probability)).ln()
}

/// The links of all contents.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Links(Recent<Link>);

impl Default for Links {
    fn default() -> Self {
        Links(Recent::new(LINKS_MAX))
    }
}

impl Links {
    /// A reader's link brought a child, who came from a public place with probability `public`;
    /// what is known of the content's links changes with it. Named is the link by the content, when
    /// that started, and the sharer: a content that starts anew has new links. One that was forgotten
    /// counts as another. True where it is the link's first child.
    pub(super) fn brought(
        &mut self,
        (content, started, sharer): (u64, i64, u64),
        public: f32,
        time: i64,
        broadcasts: &mut Broadcasts,
    ) -> bool {
        let parts = [content, started as u64, sharer].map(u64::to_le_bytes);
        let [content, started, sharer] = &parts;
        let name = key("link", &[content, started, sharer]);
        let before = self.0.get(name).copied().unwrap_or_default();
        let mut after = before;
        after.brought(f64::from(public), time);
        broadcasts.replace(&before, &after);
        self.0.set(name, after);
        before.children == 0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The links of one content together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Broadcasts {
    /// Links with a child.
    links: u32,
    /// ln P(none was posted in public).
    none: f64,
    /// Expected children of posted links.
    children: f64,
    /// Variance of their number.
    variance: f64,
    /// All children.
    all: u32,
}

/// What is said of a content's links.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Broadcast {
    /// Probability that at least one was posted in public.
    pub(super) probability: f64,
    /// Expected children of those that were.
    pub(super) children: Range,
}

impl Broadcasts {
    fn replace(&mut self, before: &Link, after: &Link) {
        let parts = |link: &Link| {
            let (posted, children) = (link.posted(), f64::from(link.children));
            let variance = posted * (1.0 - posted) * children * children;
            [(-posted).ln_1p(), posted * children, variance]
        };
        let [none, children, variance] = parts(before);
        let [none_now, children_now, variance_now] = parts(after);
        self.links += u32::from(before.children == 0);
        self.all = self.all.saturating_add(1);
        self.none = (self.none + none_now - none).min(0.0);
        self.children = (self.children + children_now - children).max(0.0);
        self.variance = (self.variance + variance_now - variance).max(0.0);
    }

    /// None where no link has brought anybody.
    pub(super) fn said(&self) -> Option<Broadcast> {
        (self.links > 0).then(|| {
            let all = f64::from(self.all);
            let likely = self.children.min(all);
            Broadcast {
                probability: -self.none.exp_m1(),
                children: Range::of_sum(likely, self.variance, all),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: i64 = 3_600_000;
    /// P(from a public place) as classification states it of a landing with a token: by a network's
    /// referrer, by none, by a messenger.
    const POST: f32 = 0.985;
    const NOTHING: f32 = 0.066;
    const MESSENGER: f32 = 0.006;

    fn link(children: &[(f32, i64)]) -> f64 {
        let mut link = Link::default();
        for (public, time) in children {
            link.brought(f64::from(*public), *time);
        }
        link.posted()
    }

    #[test]
    fn how_children_come_tells_a_post_from_messages() {
        let spaced = |public: f32, count: i64| -> Vec<(f32, i64)> {
            (0..count)
                .map(|child| (public, child * 24 * HOUR))
                .collect()
        };
        assert!(link(&spaced(POST, 1)) > 0.8);
        assert!(link(&spaced(POST, 5)) > 0.99);
        assert!(link(&spaced(NOTHING, 1)) < 0.1);
        assert!(link(&spaced(MESSENGER, 5)) < 0.01);
        // One in five comes from a network: somebody posted it too; most were sent it.
        let mut mixed = spaced(MESSENGER, 4);
        mixed.push((POST, 9 * HOUR));
        assert!((0.01..0.5).contains(&link(&mixed)), "{}", link(&mixed));
    }

    #[test]
    fn many_at_once_are_a_crowd_and_the_same_over_weeks_are_not() {
        let every = |gap: i64, count: i64| -> Vec<(f32, i64)> {
            (0..count).map(|child| (NOTHING, child * gap)).collect()
        };
        let [few, fifty, more] = [5, 50, 400].map(|count| link(&every(10_000, count)));
        assert!(
            few < 0.1 && (0.1..0.2).contains(&fifty) && more > 0.25,
            "{few} {fifty} {more}"
        );
        assert!(link(&every(24 * HOUR, 400)) < 0.05);
    }

    proptest! {
        #[test]
        fn sums_of_a_content_are_those_of_its_links(
            children in prop::collection::vec((0u64..6, prop_oneof![Just(f32::NAN), 0.0..1.0f32], 0i64..100), 0..200),
        ) {
            let mut links = Links::default();
            let mut broadcasts = Broadcasts::default();
            let mut by_sharer = std::collections::BTreeMap::<u64, Link>::new();
            for (sharer, public, time) in &children {
                links.brought((7, 1, *sharer), *public, *time * HOUR, &mut broadcasts);
                by_sharer.entry(*sharer).or_default().brought(f64::from(*public), *time * HOUR);
            }
            prop_assert_eq!(links.len(), by_sharer.len());
            let Some(said) = broadcasts.said() else {
                prop_assert!(children.is_empty());
                return Ok(());
            };
            let none: f64 = by_sharer.values().map(|link| 1.0 - link.posted()).product();
            let expected: f64 = by_sharer.values().map(|link| link.posted() * f64::from(link.children)).sum();
            prop_assert!((said.probability - (1.0 - none)).abs() < 1e-6);
            prop_assert!((said.children.likely - expected).abs() < 1e-6);
            prop_assert!(0.0 <= said.children.low && said.children.low <= said.children.likely);
            prop_assert!(said.children.likely <= said.children.high);
            prop_assert!(said.children.high <= children.len() as f64);
        }
    }
}
