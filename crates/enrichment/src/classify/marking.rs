//! Which sites mark their links with share tokens.

use grapevine_inference::{Clock, Recent, key};
use grapevine_signals::{Link, Referrer, ReferrerKind};
use serde::{Deserialize, Serialize};

/// Sites remembered of each clock, 24 bytes each.
const SITES_MAX: u32 = 4_096;
/// Landings with a token before a site counts as one that marks its links: one link found in an
/// old mail, or forged, makes no marked site.
const MARKED_MIN: u32 = 20;
/// … and at least one of so many landings without referrer: a site that tries tokens on one page
/// does not mark the others.
const UNMARKED_PER_MARKED_MAX: u32 = 20;
/// Both counts are halved here, so that a site that starts or stops marking is noticed.
const COUNT_MAX: u32 = 1 << 16;

/// Landings without referrer of a site.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Landings {
    marked: u32,
    unmarked: u32,
}

impl Landings {
    fn count(&mut self, marked: bool) {
        match marked {
            true => self.marked += 1,
            false => self.unmarked += 1,
        }
        if self.marked.max(self.unmarked) >= COUNT_MAX {
            self.marked /= 2;
            self.unmarked /= 2;
        }
    }

    fn marks(self) -> bool {
        self.marked >= MARKED_MIN
            && u64::from(self.unmarked)
                <= u64::from(self.marked) * u64::from(UNMARKED_PER_MARKED_MAX)
    }
}

/// Landings with and without token by site, by clock.
#[derive(Serialize, Deserialize)]
pub(super) struct Marking([Recent<Landings>; 2]);

impl Default for Marking {
    fn default() -> Self {
        Marking([Recent::new(SITES_MAX), Recent::new(SITES_MAX)])
    }
}

impl Marking {
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(Recent::len).sum()
    }

    /// Whether the site is known to mark its links, from the landings before this one; then
    /// remembers this one.
    pub(super) fn of_landing(
        &mut self,
        clock: Clock,
        site: &str,
        link: &Link<'_>,
        referrer: &Referrer<'_>,
    ) -> bool {
        let sites = &mut self.0[clock.index()];
        let key = key("marking", &[site.as_bytes()]);
        let mut landings = sites.get(key).copied().unwrap_or_default();
        let marks = landings.marks();
        let without_referrer = matches!(
            referrer.kind,
            ReferrerKind::None | ReferrerKind::Malformed | ReferrerKind::Browser(_)
        );
        if without_referrer {
            landings.count(link.share_token.is_some());
            sites.set(key, landings);
        }
        marks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(marked: u32, unmarked: u32) -> Landings {
        let mut landings = Landings::default();
        (0..unmarked).for_each(|_| landings.count(false));
        (0..marked).for_each(|_| landings.count(true));
        landings
    }

    #[test]
    fn a_site_marks_its_links_once_enough_of_them_were_seen() {
        assert!(!after(0, 0).marks());
        assert!(!after(MARKED_MIN - 1, 0).marks());
        assert!(after(MARKED_MIN, MARKED_MIN * UNMARKED_PER_MARKED_MAX).marks());
        assert!(!after(MARKED_MIN, MARKED_MIN * UNMARKED_PER_MARKED_MAX + 1).marks());
    }

    #[test]
    fn counts_stay_bounded_and_a_site_that_stops_is_noticed() {
        let mut landings = after(COUNT_MAX * 2, 0);
        assert!(landings.marks() && landings.marked < COUNT_MAX);
        (0..COUNT_MAX * 8).for_each(|_| landings.count(false));
        assert!(!landings.marks() && landings.unmarked < COUNT_MAX);
    }
}
