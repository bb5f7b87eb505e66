//! What is remembered of one content: when it was first seen, the latest share acts, and by which ways
//! others came, or that they left no trace.

use std::borrow::Cow;

use grapevine_event::{AddressOf, Share, ShareKind};
use serde::{Deserialize, Serialize};

use super::company::{Company, Counted, Said, is_crowd};
use super::hints::{DAY_MS, HOUR_MS, Hint, Hints, MINUTE_MS, Words};
use super::{Arrival, HOLD_MS};
use crate::evidence;
use crate::model::{Model, Range, Weight};

/// Share acts kept of a content: the latest. Those of the last hour count.
const ACTS_MAX: usize = 8;
/// A content is fresh for a day (our reading of MozCon 2015's split).
const FRESH_MS: i64 = DAY_MS;
/// The data must reach back a week before a content's first visit, or the visit is merely the
/// first that the data holds.
const HISTORY_MS: i64 = 7 * DAY_MS;
/// A page of the long tail is rarely seen too; what is fresh is seen several times in its day.
const FRESH_VISITS: usize = 3;
const OLD_MS: i64 = 30 * DAY_MS;
/// Stands for the time of a visit that has not come; no event time is as late.
const NEVER: i64 = i64::MAX;

/// A share act.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Act {
    time: i64,
    network: Option<i64>,
    app: u16,
    /// Private; `None` where the fetcher serves both.
    private: Option<bool>,
    seen: Seen,
}

/// How an act was seen. In this order: states of release 0.1.0 have a flag in its place, of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Seen {
    /// A server of the app fetched the link.
    Server,
    /// The sharer's own device fetched it.
    Device,
    /// On the page: its address was copied, or a share button pressed.
    Page,
}

impl Act {
    pub(super) fn of(share: &Share<'_>, app: u16) -> Act {
        Act {
            time: share.time,
            network: share.network,
            app,
            private: share.private,
            seen: match (share.kind, share.address_of) {
                (ShareKind::Copy | ShareKind::Button, _) => Seen::Page,
                (_, AddressOf::Sender) => Seen::Device,
                _ => Seen::Server,
            },
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Content {
    /// Event times of the first visits, in order; [`NEVER`] where there were fewer.
    earliest: [i64; FRESH_VISITS],
    last: i64,
    /// Oldest first.
    acts: Vec<Act>,
    company: Company,
}

/// [`Content`] as release 0.1.0 saved it.
#[derive(Deserialize)]
pub(super) struct SavedContent {
    first: Option<i64>,
    last: i64,
    visits: u32,
    acts: Vec<Act>,
}

impl From<SavedContent> for Content {
    fn from(saved: SavedContent) -> Self {
        // Of the others nothing is known but that they were.
        let came = |at: usize| u32::try_from(at).is_ok_and(|at| at < saved.visits);
        Content {
            earliest: std::array::from_fn(|at| saved.first.filter(|_| came(at)).unwrap_or(NEVER)),
            last: saved.last,
            acts: saved.acts,
            company: Company::default(),
        }
    }
}

impl Content {
    pub(super) fn visited_first(time: i64) -> Content {
        let mut content = Content {
            earliest: [NEVER; FRESH_VISITS],
            last: time,
            acts: Vec::new(),
            company: Company::default(),
        };
        content.visited(time);
        content
    }

    pub(super) fn acted_first(act: Act) -> Content {
        let mut content = Content {
            earliest: [NEVER; FRESH_VISITS],
            last: act.time,
            acts: Vec::new(),
            company: Company::default(),
        };
        content.acted(act);
        content
    }

    pub(super) fn visited(&mut self, time: i64) {
        self.last = self.last.max(time);
        let mut time = time;
        for known in &mut self.earliest {
            if time < *known {
                std::mem::swap(known, &mut time);
            }
        }
    }

    pub(super) fn acted(&mut self, act: Act) {
        self.last = self.last.max(act.time);
        if act.private != Some(false) {
            self.company.joined(act.time, Counted::Act);
        }
        // By event time, so that the order of moments makes no difference.
        let place = |act: &Act| (act.time, act.app, act.network);
        let mut at = self
            .acts
            .partition_point(|known| place(known) <= place(&act));
        if self.acts.len() == ACTS_MAX {
            let Some(before) = at.checked_sub(1) else {
                return;
            };
            self.acts.remove(0);
            at = before;
        }
        self.acts.insert(at, act);
    }

    /// A reader came so.
    pub(super) fn joined(&mut self, time: i64, as_what: Counted) {
        self.company.joined(time, as_what);
    }

    pub(super) fn last_seen(&self) -> i64 {
        self.last
    }

    /// What this history says about a landing; `since` is how far back the data reaches.
    pub(super) fn hints<'m>(
        &self,
        arrival: &Arrival<'_>,
        since: i64,
        model: &'m Model,
    ) -> Hints<'m> {
        let others = self.company.says(arrival.time, since, model);
        let others_count = others.is_some();
        let [private, public, traceless] = others.unwrap_or_default();
        let act = self.preview(arrival, model);
        // An act shortly before, the readers whom it brought, and those of them who left no trace are signs of the
        // same: together they say less than each adds alone, and the last nothing beside the first. A crowd that they do
        // not explain is a sign of something else.
        let traceless = traceless.filter(|said| act.is_none() || is_crowd(said.name));
        let hint = |said: Said<'m>, words: Words, half: bool| Hint {
            name: said.name,
            words,
            weight: match half {
                true => Cow::Owned(halved(said.weight)),
                false => Cow::Borrowed(said.weight),
            },
        };
        let by = |by, [readers, _]: [f32; 2]| Words::Company { by, readers };
        Hints {
            private: private
                .map(|said| hint(said, by("private links", said.readers), act.is_some())),
            public: public.map(|said| hint(said, by("public ways", said.readers), false)),
            traceless: traceless.map(|said| {
                let [traceless, beside] = said.readers;
                let words = match is_crowd(said.name) {
                    true => Words::Crowd {
                        traceless,
                        signs: beside,
                    },
                    false => Words::Traceless {
                        traceless,
                        public: beside,
                    },
                };
                hint(said, words, private.is_some() && !is_crowd(said.name))
            }),
            read_before: None,
            others_count,
            age: self.age(arrival, since, model),
            act,
        }
    }

    fn age<'m>(&self, arrival: &Arrival<'_>, since: i64, model: &'m Model) -> Option<Hint<'m>> {
        let [first, .., enough] = self.earliest;
        if first == NEVER {
            return None;
        }
        // Who comes within seconds of the landing may be told before it or after, and is not counted.
        let by = arrival.time.saturating_sub(HOLD_MS);
        let age_ms = arrival.time.saturating_sub(first);
        if age_ms >= OLD_MS {
            Some(Hint {
                name: evidence::OLD_CONTENT,
                words: Words::Old { age_ms },
                weight: Cow::Borrowed(&model.weight.old_content),
            })
        } else if (0..=FRESH_MS).contains(&age_ms)
            && first.saturating_sub(since) >= HISTORY_MS
            && enough <= by
        {
            Some(Hint {
                name: evidence::FRESH_CONTENT,
                words: Words::Fresh { age_ms },
                weight: Cow::Borrowed(&model.weight.fresh_content),
            })
        } else {
            None
        }
    }

    /// The strongest of the acts before the landing; acts do not add up, since they may be one
    /// person's in several apps.
    fn preview<'m>(&self, arrival: &Arrival<'_>, model: &'m Model) -> Option<Hint<'m>> {
        let weights = &model.weight;
        let mut best: Option<Hint<'m>> = None;
        for act in self.acts.iter().rev() {
            let before_ms = arrival.time.saturating_sub(act.time);
            if !(0..=HOUR_MS).contains(&before_ms) || act.private == Some(false) {
                continue;
            }
            let same_network =
                act.seen != Seen::Server && act.network.is_some() && act.network == arrival.network;
            let weight = if same_network {
                &weights.preview_same_network
            } else if before_ms <= MINUTE_MS {
                &weights.preview_minute
            } else if before_ms <= 10 * MINUTE_MS {
                &weights.preview_ten_minutes
            } else {
                &weights.preview_hour
            };
            let weight = match act.private {
                Some(_) => Cow::Borrowed(weight),
                None => Cow::Owned(halved(weight)),
            };
            let stronger = |known: &Hint<'_>| weight.dark.likely > known.weight.dark.likely;
            if best.as_ref().is_none_or(stronger) {
                best = Some(Hint {
                    name: evidence::PREVIEW_BEFORE,
                    words: Words::Act {
                        fetched_by: (act.seen != Seen::Page).then_some(act.app),
                        before_ms,
                        same_network,
                    },
                    weight,
                });
            }
        }
        best
    }
}

/// Half of a weight, its range down to nothing: of an act whose fetcher serves posts and messages alike, of
/// others' private links beside an act, of those without a trace beside these.
fn halved(weight: &Weight) -> Weight {
    let half = |range: Range| Range {
        low: range.low.min(0.0),
        likely: range.likely / 2.0,
        high: range.high.max(0.0),
    };
    Weight {
        dark: half(weight.dark),
        search: weight.search / 2.0,
        published: half(weight.published),
        published_search: weight.published_search / 2.0,
        source: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use grapevine_event::Id;

    use super::*;

    /// Who comes within seconds of a landing may be told before it or after: neither makes a content fresh.
    #[test]
    fn a_content_is_fresh_by_three_who_came_seconds_before_told_in_any_order() {
        const LANDED: i64 = HOUR_MS;
        const BY: i64 = LANDED - HOLD_MS;
        let model = Model::builtin();
        let is_fresh = |visits: &[i64]| {
            let mut content = Content::visited_first(visits[0]);
            visits[1..].iter().for_each(|time| content.visited(*time));
            let arrival = Arrival {
                site: "example.org",
                content: "https://example.org/a",
                visit: Id::default(),
                visitor: None,
                time: LANDED,
                app: "",
                incoming_token: None,
                share_token: None,
                network: None,
            };
            let hint = content.age(&arrival, -HISTORY_MS, &model);
            hint.is_some_and(|hint| hint.name == evidence::FRESH_CONTENT)
        };
        for fresh in [[0, 1, BY], [BY, 1, 0], [1, BY, 0]] {
            assert!(is_fresh(&fresh), "{fresh:?}");
        }
        assert!(is_fresh(&[LANDED, BY, BY + 1, 0, 1]));
        for not_yet in [[0, 1, BY + 1], [BY + 1, 0, 1]] {
            assert!(!is_fresh(&not_yet), "{not_yet:?}");
        }
        assert!(!is_fresh(&[0, LANDED, 1, BY + 1]));
    }
}
