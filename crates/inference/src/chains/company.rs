//! By which ways others came to a content of late, and how many without a trace of any.
//!
//! Readers without a trace come to an article when those of one known source do (Chartbeat 2015). So whoever
//! comes while an app that names itself, a token or a mark brings others, is likelier one of theirs, and while
//! search, networks or a campaign do, likelier one of those. Only facts count: whose way is itself guessed
//! says nothing of the next (a token is a fact, though whether it was passed on hangs on the rest of its visit).
//!
//! How many come without a trace is a fact too, however each of them came. People type and search for a content
//! in proportion to those who come to it by ways that show, while shares breed others like them: so many without
//! a trace beside few who came by public ways are a sign of private links, and a landing beside nobody speaks
//! against them. Those with a token as their only trace count among them, so that how many there are does not hang
//! on which links keep theirs.
//!
//! But whoever passes links on leaves signs: of many readers by private links some come by an app that names
//! itself, and apps fetch what is sent; and who is sent a link takes hours to send it on. Many without a trace within
//! one hour, beside hardly a sign, are rather a crowd that something else sent: the site's own notification or
//! newsletter without tags, a post that hides where it stands.

use serde::{Deserialize, Serialize};

use super::Judgement;
use super::hints::{DAY_MS, HOUR_MS};
use crate::evidence;
use crate::model::{Model, Weight};

/// Readers are counted in slots of so long. Whoever comes within one after a landing was sent may be told
/// before it (hits come out of order by seconds), so he is counted from the slot after the next on.
const SLOT_MS: i64 = super::HOLD_MS;
/// Slots that may still be counted without one another.
const SLOTS: usize = 3;
/// What an hour leaves of a reader: half after 12 hours. Of 3, 6, 12, 24 and 48 that told most on simulated
/// sites, with little between 6 and 24.
const HOUR_LEAVES: f32 = 0.943_874_36;
/// Readers fewer than so many are none.
const LEAST: f32 = 1e-3;
/// A reader or act so many hours before those that were counted is of another time: the count begins anew
/// with him, so that one clock of another year does not silence a content.
const ANEW_HOURS: i64 = 10 * 24;
/// P(private link) from which on a fact tells of a private way.
const PRIVATE_MIN: f32 = 0.85;
/// Up to which it tells of a public one.
const PUBLIC_MAX: f32 = 0.15;
/// Readers by private links, from which on there is one, are few, are many.
const PRIVATE: [f32; 3] = [0.5, 1.5, 4.0];
/// Readers by public ways, from which on they are some, are many.
const PUBLIC: [f32; 2] = [4.0, 10.0];

/// Readers without a trace for each by public ways (one more of either), up to which there are few, and from which
/// on there are some, and many: one alone for half a day is some, two are many. No one or two readers reach the latter two
/// exactly, so that an hour's decay does not take them over a limit.
const TRACELESS: [f32; 3] = [1.0, 1.4, 2.4];
/// Readers without a trace of the last hour beyond those by public ways, for each sign that somebody passed the link
/// on (one more), from which on they are a crowd, and a large one. Found on simulated sites with messages sent without
/// tags: up to 8 sharing explains them.
const CROWD: [f32; 2] = [8.0, 20.0];
/// A crowd comes at once: so large a part of those without a trace of late came within the hour.
const AT_ONCE: f32 = 8.0 / 9.0;
/// Where less than this is known of a site, that few came says nothing.
const FEW_AFTER_MS: i64 = DAY_MS;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// A reader by a private link, as a fact tells.
    Private,
    /// A reader by search, a network, another site or a campaign, as a fact tells.
    Public,
    /// A reader without a trace, but for a token at the most.
    Traceless,
    /// An act of sharing that may be private.
    Act,
}

const COUNTED: usize = 4;
/// The first of them: ways in which readers came.
const WAYS: usize = 3;

impl Counted {
    /// All that a reader counts as: one with a token is without another trace, and what his token says
    /// counts besides. Nothing where a fact left it open. A reader's own token tells of no way.
    pub(super) fn of(judgement: &Judgement) -> impl Iterator<Item = Counted> {
        let traceless = judgement.traceless.then_some(Counted::Traceless);
        traceless.into_iter().chain(Counted::known(judgement))
    }

    fn known(judgement: &Judgement) -> Option<Counted> {
        let private = judgement.dark[1];
        if !judgement.way_known {
            None
        } else if private >= PRIVATE_MIN {
            Some(Counted::Private)
        } else if private <= PUBLIC_MAX && judgement.sure() >= 1.0 {
            Some(Counted::Public)
        } else {
            None
        }
    }
}

/// Readers of a content by each way, each of whom counts half after 12 hours, and what was counted in the last hour.
///
/// The same whatever the order of moments was: what is counted falls slot by slot from `latest` to the rest.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Company {
    /// Number of the newest slot with one.
    slot: i64,
    /// Those of the newest slot, and of those before it.
    latest: [[u16; COUNTED]; SLOTS],
    /// Readers of all slots before, as of the hour of the newest of these.
    before: [f32; WAYS],
    /// What was counted in that hour, and in the one before it.
    hours: [[u32; COUNTED]; 2],
}

/// What is counted for a landing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Lately {
    /// By way, each half after 12 hours.
    readers: [f32; WAYS],
    /// Of the last hour, as if those of a clock's hour came evenly: readers by way, and acts.
    hour: [f32; COUNTED],
}

impl Company {
    pub(super) fn joined(&mut self, time: i64, as_what: Counted) {
        let slot = time.div_euclid(SLOT_MS);
        self.pass(slot);
        let at = as_what as usize;
        match usize::try_from(self.slot - slot)
            .ok()
            .filter(|age| *age < SLOTS)
        {
            Some(age) => {
                let readers = &mut self.latest[age][at];
                *readers = readers.saturating_add(1);
            }
            None if self.hour_before() - hour(slot) > ANEW_HOURS => {
                *self = Company {
                    slot,
                    ..Company::default()
                };
                self.latest[0][at] = 1;
            }
            // Long ago, as in an import of several logs.
            None => {
                let ago = self.hour_before() - hour(slot);
                if let Some(readers) = self.before.get_mut(at) {
                    *readers += left(1.0, 0, ago);
                }
                let of_hour = usize::try_from(ago)
                    .ok()
                    .and_then(|ago| self.hours.get_mut(ago));
                if let Some(counted) = of_hour {
                    counted[at] = counted[at].saturating_add(1);
                }
            }
        }
    }

    /// Until a slot is the newest.
    fn pass(&mut self, slot: i64) {
        let steps = slot.saturating_sub(self.slot);
        if steps <= 0 {
            return;
        }
        let mut as_of = self.hour_before();
        for gone in (0..SLOTS as i64).take(steps.min(SLOTS as i64) as usize) {
            let age = SLOTS - 1 - gone as usize;
            let counted = self.latest[age];
            let hour_of = hour(self.slot - age as i64);
            self.age(as_of, hour_of);
            as_of = hour_of;
            for (readers, new) in self.before.iter_mut().zip(counted) {
                *readers += f32::from(new);
            }
            for (all, new) in self.hours[0].iter_mut().zip(counted) {
                *all = all.saturating_add(u32::from(new));
            }
        }
        let kept = SLOTS.saturating_sub(steps.min(SLOTS as i64) as usize);
        self.latest.copy_within(0..kept, SLOTS - kept);
        self.latest[..SLOTS - kept].fill([0; COUNTED]);
        self.slot = slot;
        self.age(as_of, self.hour_before());
    }

    /// What is left in a later hour.
    fn age(&mut self, from: i64, to: i64) {
        self.before = self.before.map(|readers| left(readers, from, to));
        self.hours = match to.saturating_sub(from) {
            ..=0 => self.hours,
            1 => [[0; COUNTED], self.hours[0]],
            _ => Default::default(),
        };
    }

    /// The hour that `before` is as of.
    fn hour_before(&self) -> i64 {
        hour(self.slot.saturating_sub(SLOTS as i64))
    }

    /// What came before a moment; `None` where something came later already, so that nothing is counted for those
    /// before it.
    fn at(mut self, time: i64) -> Option<Lately> {
        let slot = time.div_euclid(SLOT_MS);
        let over = slot.saturating_add(1);
        if self.slot > over {
            return None;
        }
        // Only slots that are over for whoever comes now.
        self.pass(over);
        let as_of = self.hour_before();
        self.age(as_of, hour(slot));
        let [this, last] = self.hours;
        let gone = slot.saturating_mul(SLOT_MS).rem_euclid(HOUR_MS) as f32 / HOUR_MS as f32;
        Some(Lately {
            readers: self.before,
            hour: [0, 1, 2, 3].map(|at| this[at] as f32 + last[at] as f32 * (1.0 - gone)),
        })
    }

    /// What it says about a landing: of readers by private links, by public ways, and without a trace; `None` where
    /// nobody is counted for it. `since`: how far back the data reaches.
    pub(super) fn says<'m>(
        self,
        time: i64,
        since: i64,
        model: &'m Model,
    ) -> Option<[Option<Said<'m>>; WAYS]> {
        let lately = self.at(time)?;
        let [private, public, traceless] = lately.readers;
        let weights = &model.weight;
        let of = |readers: f32, from: &[f32], named: &[(&'static str, &'m Weight)]| {
            let reached = from.iter().filter(|from| readers >= **from).count();
            let (name, weight) = *named.get(reached.checked_sub(1)?)?;
            Some(Said {
                name,
                weight,
                readers: [readers, 0.0],
            })
        };
        let [few, some, many] = TRACELESS;
        let without_a_trace = match (1.0 + traceless) / (1.0 + public) {
            times if times <= few => (time.saturating_sub(since) >= FEW_AFTER_MS).then_some((
                evidence::FEW_TRACELESS_READERS,
                &weights.few_traceless_readers,
            )),
            times if times < some => None,
            times if times < many => Some((
                evidence::SOME_TRACELESS_READERS,
                &weights.some_traceless_readers,
            )),
            _ => Some((
                evidence::MANY_TRACELESS_READERS,
                &weights.many_traceless_readers,
            )),
        };
        Some([
            of(
                private,
                &PRIVATE,
                &[
                    (evidence::ONE_PRIVATE_READER, &weights.one_private_reader),
                    (evidence::FEW_PRIVATE_READERS, &weights.few_private_readers),
                    (
                        evidence::MANY_PRIVATE_READERS,
                        &weights.many_private_readers,
                    ),
                ],
            ),
            of(
                public,
                &PUBLIC,
                &[
                    (evidence::SOME_PUBLIC_READERS, &weights.some_public_readers),
                    (evidence::MANY_PUBLIC_READERS, &weights.many_public_readers),
                ],
            ),
            lately
                .crowd(model)
                .or(without_a_trace.map(|(name, weight)| Said {
                    name,
                    weight,
                    readers: [traceless, public],
                })),
        ])
    }
}

impl Lately {
    /// That a crowd came at once which sharing does not explain, where one did.
    fn crowd(self, model: &Model) -> Option<Said<'_>> {
        let [_, _, of_late] = self.readers;
        let [private, public, traceless, acts] = self.hour;
        if traceless < AT_ONCE * (1.0 + of_late) {
            return None;
        }
        let signs = private + acts;
        let weights = &model.weight;
        let for_each_sign = (traceless - public) / (1.0 + signs);
        let (name, weight) = match CROWD.map(|from| for_each_sign >= from) {
            [_, true] => (
                evidence::LARGE_CROWD,
                &weights.large_crowd_of_traceless_readers,
            ),
            [true, _] => (evidence::CROWD, &weights.crowd_of_traceless_readers),
            _ => return None,
        };
        Some(Said {
            name,
            weight,
            readers: [traceless, signs],
        })
    }
}

/// One thing that is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'m> {
    pub(super) name: &'static str,
    pub(super) weight: &'m Weight,
    /// How many, and how many by public ways those without a trace are set against; of a crowd those of the last hour,
    /// and the signs of sharing in it.
    pub(super) readers: [f32; 2],
}

/// Whether what is said under a name is that a crowd came which sharing does not explain.
pub(super) fn is_crowd(name: &str) -> bool {
    [evidence::CROWD, evidence::LARGE_CROWD].contains(&name)
}

fn hour(slot: i64) -> i64 {
    slot.saturating_mul(SLOT_MS).div_euclid(HOUR_MS)
}

/// What is left of readers of one hour in a later one. Hour by hour, so that it is the same whether it was
/// asked for between or not.
fn left(readers: f32, from: i64, to: i64) -> f32 {
    let mut readers = readers;
    for _ in from..to {
        if readers < LEAST {
            return 0.0;
        }
        readers *= HOUR_LEAVES;
    }
    readers
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE_MS: i64 = 60_000;

    fn told(readers: &[(i64, Counted)]) -> Company {
        let mut company = Company::default();
        for (time, as_what) in readers {
            company.joined(*time, *as_what);
        }
        company
    }

    #[test]
    fn a_reader_counts_half_after_twelve_hours() {
        let company = told(&[
            (0, Counted::Private),
            (MINUTE_MS, Counted::Private),
            (0, Counted::Public),
        ]);
        let near = |found: Option<Lately>, private: f32, public: f32| {
            let found = found.expect("nobody came later").readers;
            assert!(
                (found[0] - private).abs() < 1e-3 && (found[1] - public).abs() < 1e-3,
                "{found:?}"
            );
        };
        assert_eq!(company.at(30_000), None, "somebody came later");
        near(company.at(2 * MINUTE_MS), 2.0, 1.0);
        near(company.at(12 * HOUR_MS + MINUTE_MS), 1.0, 0.5);
        near(company.at(24 * HOUR_MS), 0.5, 0.25);
        near(company.at(60 * 24 * HOUR_MS), 0.0, 0.0);
    }

    #[test]
    fn who_comes_within_seconds_of_a_landing_is_not_counted_for_it() {
        let company = told(&[(100_000, Counted::Private)]);
        let private = |time| company.at(time).map(|lately| lately.readers[0]);
        assert_eq!(private(100_000 + SLOT_MS), Some(0.0));
        assert_eq!(private(100_000 + 2 * SLOT_MS), Some(1.0));
    }

    #[test]
    fn clocks_at_both_ends_of_time_are_counted_and_outlived() {
        let mut company = told(&[
            (i64::MAX, Counted::Private),
            (i64::MIN, Counted::Public),
            (0, Counted::Public),
        ]);
        company.joined(i64::MIN, Counted::Private);
        for time in [i64::MIN, 0, i64::MAX] {
            let lately = company.at(time).unwrap_or_default();
            assert!(lately.readers.into_iter().all(|readers| readers <= 4.0));
            assert!(lately.hour.into_iter().all(|counted| counted <= 4.0));
        }
        let mut company = told(&[(0, Counted::Private), (i64::MAX, Counted::Private)]);
        assert_eq!(
            company.at(MINUTE_MS),
            None,
            "nobody is counted for those before him"
        );
        company.joined(MINUTE_MS, Counted::Private);
        assert_eq!(
            company.at(2 * MINUTE_MS).map(|lately| lately.readers),
            Some([1.0, 0.0, 0.0]),
            "begun anew"
        );
    }

    fn counted() -> impl Strategy<Value = Counted> {
        prop_oneof![
            Just(Counted::Private),
            Just(Counted::Public),
            Just(Counted::Traceless),
            Just(Counted::Act),
        ]
    }

    proptest! {
        /// What is told within a slot of its moment says the same to the bit in any order.
        #[test]
        fn the_order_of_moments_makes_no_difference(
            mut readers in prop::collection::vec((0i64..4_000_000, counted()), 1..60),
            late in prop::collection::vec(0i64..SLOT_MS, 60),
            asked in 0i64..4_000_000,
        ) {
            readers.sort_by_key(|(time, _)| *time);
            let mut late: Vec<(i64, (i64, Counted))> = readers
                .iter()
                .zip(&late)
                .map(|((time, as_what), late)| (time + late, (*time, *as_what)))
                .collect();
            late.sort_by_key(|(told, _)| *told);
            let until = |told: i64, all: &[(i64, (i64, Counted))]| {
                let all = all.iter().filter(|(at, _)| *at <= told);
                Company::at(super::tests::told(&all.map(|(_, reader)| *reader).collect::<Vec<_>>()), asked)
            };
            let in_order: Vec<(i64, (i64, Counted))> =
                readers.iter().map(|reader| (reader.0, *reader)).collect();
            // Whatever of the others has come when the landing does, in its order or late.
            prop_assert_eq!(until(asked + SLOT_MS, &late), until(asked, &in_order));
            prop_assert_eq!(until(asked, &late), until(asked + SLOT_MS, &in_order));
        }

        /// As a sum over all readers, each by his own age to the hour.
        #[test]
        fn it_is_the_sum_over_all_readers(
            mut readers in prop::collection::vec((0i64..400 * HOUR_MS, counted()), 0..60),
            asked in 0i64..420 * HOUR_MS,
        ) {
            readers.retain(|(time, _)| time.div_euclid(SLOT_MS) <= asked.div_euclid(SLOT_MS) - 2);
            readers.sort_by_key(|(time, _)| *time);
            let found = told(&readers).at(asked).unwrap_or_default();
            let ways = [Counted::Private, Counted::Public, Counted::Traceless];
            for (at, wanted) in ways.into_iter().enumerate() {
                let sum: f64 = readers
                    .iter()
                    .filter(|(_, as_what)| *as_what == wanted)
                    .map(|(time, _)| {
                        let hours = hour(asked.div_euclid(SLOT_MS)) - hour(time.div_euclid(SLOT_MS));
                        0.5f64.powf(hours as f64 / 12.0)
                    })
                    .sum();
                prop_assert!((f64::from(found.readers[at]) - sum).abs() < 1e-3 * sum.max(1.0));
            }
        }

        /// Those of this clock's hour, and of the last one as large a part as is left of an hour.
        #[test]
        fn what_the_last_hour_brought_is_counted(
            mut told in prop::collection::vec((0i64..4 * HOUR_MS, counted()), 0..60),
            asked in 0i64..5 * HOUR_MS,
        ) {
            told.retain(|(time, _)| time.div_euclid(SLOT_MS) <= asked.div_euclid(SLOT_MS) - 2);
            told.sort_by_key(|(time, _)| *time);
            let found = super::tests::told(&told).at(asked).unwrap_or_default();
            let this = hour(asked.div_euclid(SLOT_MS));
            let gone = (asked / SLOT_MS * SLOT_MS - this * HOUR_MS) as f32 / HOUR_MS as f32;
            let all = [Counted::Private, Counted::Public, Counted::Traceless, Counted::Act];
            for (at, wanted) in all.into_iter().enumerate() {
                let of_hour = |hour_of: i64| {
                    let counted = |(time, what): &&(i64, Counted)| {
                        *what == wanted && hour(time.div_euclid(SLOT_MS)) == hour_of
                    };
                    told.iter().filter(counted).count() as f32
                };
                let wanted = of_hour(this) + of_hour(this - 1) * (1.0 - gone);
                prop_assert!((found.hour[at] - wanted).abs() < 1e-3);
            }
        }
    }
}
