//! Machines that look like people and give themselves away by speed: security scanners that open
//! every link of a mail.
//!
//! They come with ordinary user agents, before the reader or instead of him. What tells is that one
//! visitor opens several pages within two seconds, none of them from a page and none by a person's
//! act. A browser that restores its tabs does the same; nobody passed these links on either.
//!
//! It must be one visitor: the readers of a carrier share their network and, since browsers say
//! little of themselves, their user agent. A scanner that changes its address or its name from page
//! to page is not found.

use grapevine_event::{Hit, VisitorBasis};
use grapevine_inference::{Clock, Recent};
use grapevine_signals::headers::is_by_a_person;
use serde::{Deserialize, Serialize};

use super::sessions::{fold, hash};

/// Three links within this time are a scanner's (autoemails.com, live-direct-marketing.online 2025:
/// "three links or more in less than two seconds").
pub(super) const BURST_MS: u64 = 2_000;
/// Visitors remembered: 48 bytes each, half a megabyte. Each matters for two seconds.
const VISITORS_MAX: u32 = 8_192;

/// The last two different pages that a visitor opened.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Opened {
    pages: [u32; 2],
    times: [i64; 2],
}

/// Who opens pages faster than people do.
#[derive(Serialize, Deserialize)]
pub(super) struct Bursts(Recent<Opened>);

impl Default for Bursts {
    fn default() -> Self {
        Bursts(Recent::new(VISITORS_MAX))
    }
}

impl Bursts {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes a page view of what looks like a person. True where it is the third page or a later one
    /// that one visitor opens within two seconds. The first two are not known for what they are
    /// when they come.
    ///
    /// A page that was opened from a page, by a person's act (`Sec-Fetch-User: ?1`), or by a browser
    /// that the site knows, does not count, nor does one of nobody that is known.
    pub(super) fn is_one(
        &mut self,
        clock: Clock,
        hit: &Hit<'_>,
        content: &str,
        known: bool,
    ) -> bool {
        let Some(visitor) = hit.visitor else {
            return false;
        };
        let by_a_person = hit.fetch_user.is_some_and(is_by_a_person);
        let from_a_page = hit.referrer.is_some_and(|referrer| !referrer.is_empty());
        let by_a_known_browser = known && hit.visitor_basis == VisitorBasis::Client;
        if by_a_person || from_a_page || by_a_known_browser {
            return false;
        }
        let visitor = hash(clock.index() as u64, hit.site) ^ visitor as u64;
        let (page, time) = (fold(hash(0, content)), hit.event_time);
        let Some(opened) = self.0.get(visitor) else {
            let opened = Opened {
                pages: [page, 0],
                times: [time, i64::MIN],
            };
            self.0.set(visitor, opened);
            return false;
        };
        let within = |at: usize| opened.times[at].abs_diff(time) <= BURST_MS;
        if opened.pages[0] == page && within(0) {
            return false;
        }
        let scans = within(0) && within(1) && opened.pages[1] != page;
        opened.pages = [page, opened.pages[0]];
        opened.times = [time, opened.times[0]];
        scans
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grapevine_event::Id;

    const T0: i64 = 1_760_000_000_000;

    fn hit(change: impl Fn(&mut Hit<'static>)) -> Hit<'static> {
        let id = Id::builder("bursts").number(1).finish();
        let mut hit = Hit {
            network: Some(7),
            visitor: Some(70),
            visitor_basis: VisitorBasis::Address,
            user_agent: "Mozilla/5.0 (X11)",
            ..Hit::page_view(id, "example.org", T0, "https://example.org/a")
        };
        change(&mut hit);
        hit
    }

    /// Which of these pages, opened at these milliseconds, are taken for a scanner's.
    fn judged(opened: &[(&str, i64)], change: impl Fn(&mut Hit<'static>)) -> Vec<bool> {
        let mut bursts = Bursts::default();
        let one = |(page, at): &(&str, i64)| {
            let hit = hit(|hit| {
                change(hit);
                hit.event_time = T0 + at;
            });
            bursts.is_one(Clock::Live, &hit, page, false)
        };
        opened.iter().map(one).collect()
    }

    #[test]
    fn the_third_page_within_two_seconds_is_a_scanner_s_and_so_are_those_after_it() {
        let mail = [("a", 0), ("b", 400), ("c", 900), ("d", 1_800), ("e", 9_000)];
        assert_eq!(judged(&mail, |_| {}), [false, false, true, true, false]);
    }

    #[test]
    fn people_are_slower_or_open_the_same_page_again() {
        let slow = [("a", 0), ("b", 1_500), ("c", 3_000), ("d", 4_500)];
        assert_eq!(judged(&slow, |_| {}), [false; 4]);
        let again = [("a", 0), ("a", 100), ("b", 200), ("a", 300), ("b", 400)];
        assert_eq!(judged(&again, |_| {}), [false; 5]);
    }

    /// One network and one user agent say nothing: a carrier's phones have both.
    #[test]
    fn readers_of_one_network_who_open_different_pages_are_no_scanner() {
        let mut bursts = Bursts::default();
        for reader in 0..20 {
            let hit = hit(|hit| {
                hit.visitor = Some(reader);
                hit.event_time = T0 + 50 * reader;
            });
            let page = format!("page {}", reader % 7);
            assert!(!bursts.is_one(Clock::Live, &hit, &page, false), "{reader}");
        }
    }

    #[test]
    fn what_a_person_did_or_what_came_from_a_page_is_none() {
        let mail = [("a", 0), ("b", 400), ("c", 900)];
        assert_eq!(judged(&mail, |hit| hit.fetch_user = Some("?1")), [false; 3]);
        assert_eq!(
            judged(&mail, |hit| hit.referrer = Some("https://a.example/")),
            [false; 3]
        );
        assert_eq!(judged(&mail, |hit| hit.visitor = None), [false; 3]);
    }

    #[test]
    fn the_order_within_a_burst_does_not_change_how_many_are_found() {
        let mail = [("a", 900), ("b", 0), ("c", 400)];
        assert_eq!(judged(&mail, |_| {}), [false, false, true]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut bursts = Bursts::default();
        for visitor in 0..i64::from(2 * VISITORS_MAX) {
            let hit = hit(|hit| hit.visitor = Some(visitor));
            bursts.is_one(Clock::Live, &hit, "a", false);
        }
        assert_eq!(bursts.len(), VISITORS_MAX as usize);
        assert!(8 + 4 + 4 + size_of::<Opened>() + 6 <= 48);
    }
}
