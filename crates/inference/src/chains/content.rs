//! What is remembered of one content: when it was first seen, the latest share acts, and by which ways
//! others came, or that they left no trace.

use std::borrow::Cow;

use grapevine_event::{AddressOf, Share, ShareKind};
use serde::{Deserialize, Serialize};

use super::Arrival;
use super::company::{Company, Counted, Said, is_crowd};
use super::hints::{DAY_MS, HOUR_MS, Hint, Hints, MINUTE_MS, Words};
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
const FRESH_VISITS_MIN: u32 = 3;
const OLD_MS: i64 = 30 * DAY_MS;

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
    /// Event time of the first visit; none where only share acts were seen.
    first: Option<i64>,
    last: i64,
    visits: u32,
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
        Content {
            first: saved.first,
            last: saved.last,
            visits: saved.visits,
            acts: saved.acts,
            company: Company::default(),
        }
    }
}

impl Content {
    pub(super) fn visited_first(time: i64) -> Content {
        Content {
            first: Some(time),
            last: time,
            visits: 1,
            acts: Vec::new(),
            company: Company::default(),
        }
    }

    pub(super) fn acted_first(act: Act) -> Content {
        let mut content = Content {
            first: None,
            last: act.time,
            visits: 0,
            acts: Vec::new(),
            company: Company::default(),
        };
        content.acted(act);
        content
    }

    pub(super) fn visited(&mut self, time: i64) {
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last = self.last.max(time);
        self.visits = self.visits.saturating_add(1);
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
        let first = self.first?;
        let age_ms = arrival.time.saturating_sub(first);
        if age_ms >= OLD_MS {
            Some(Hint {
                name: evidence::OLD_CONTENT,
                words: Words::Old { age_ms },
                weight: Cow::Borrowed(&model.weight.old_content),
            })
        } else if (0..=FRESH_MS).contains(&age_ms)
            && first.saturating_sub(since) >= HISTORY_MS
            && self.visits >= FRESH_VISITS_MIN
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
