//! What is done with one content: a reader is taken in, causes are settled, said, and learned from.

use crate::causes::{Arrival, Cause, Certain, Posterior, Scratch, Settled, TokenLaw};

use super::finding::{self, Finding, Named};
use super::followed::Followed;
use super::publishing::publish;
use super::readers::{Reader, Readers};
use super::site::Site;
use super::told::{Origin, Reading};
use crate::chains::PASSED_ON_MIN;

/// Log-odds of what is as good as certain without being told as a label.
const SURE_LOG_ODDS: f64 = 20.0;
/// What is told teaches where it is as sure as this: a token that may be the reader's own is no label.
const TEACHES_MIN: f64 = 0.75;

/// How far an arrival's causes are settled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Until {
    /// Where enough came since.
    Enough,
    /// Where it came by then, too.
    Came(i64),
    /// All.
    Everyone,
}

/// Room to work in.
#[derive(Clone, Debug)]
pub(super) struct Room {
    pub(super) plain: Scratch,
    noting: Scratch,
    named: Vec<Named>,
}

impl Default for Room {
    fn default() -> Self {
        Room {
            plain: Scratch::default(),
            noting: Scratch::with_examples(),
            named: Vec::new(),
        }
    }
}

/// The pieces that settling needs beside the content.
pub(super) struct Desk<'d> {
    pub(super) readers: &'d mut Readers,
    pub(super) room: &'d mut Room,
    pub(super) apps: &'d [String],
    pub(super) emit: &'d mut dyn FnMut(Finding<'_>),
}

/// Takes a reader's first visit in.
pub(super) fn arrive(
    clock: u8,
    own: u64,
    reading: &Reading<'_>,
    followed: &mut Followed,
    site: &mut Site,
    desk: &mut Desk<'_>,
) {
    if reading.gives_token {
        site.gave_token();
    }
    let passed_on = reading.passed_on.map(f64::from);
    let [_, sure, _] = passed_on;
    // A token that is more likely his own says of nobody else that he shared.
    let by_token = reading.incoming.filter(|_| sure > f64::from(PASSED_ON_MIN));
    followed.came(by_token.is_some());
    if let Some(token) = by_token
        && desk.readers.came_back(token)
    {
        site.came_back();
    }
    site.laws.arrived(reading.marks);
    site.laws.tokens = TokenLaw::by_share(site.token_survival());
    let mut arrival = Arrival::new(own, reading.time);
    arrival.marks = reading.marks;
    let mut told = false;
    // P(passed on), of whom that is all that is known.
    let mut grey = None;
    // By clocks that disagree a child may come before its parent: whose share it was is not to be
    // said then, or the parent would be taken for somebody else when it comes.
    let origin = match reading.origin {
        Origin::Parent(parent, time)
            if time >= reading.time && desk.readers.of(parent, reading.content_key).is_none() =>
        {
            Origin::SomeShare
        }
        origin => origin,
    };
    match origin {
        Origin::Parent(..) if by_token.is_none() => {
            told = true;
            grey = Some(passed_on);
        }
        Origin::Parent(parent, time) => {
            told = true;
            arrival.certain = Some(Certain::Share {
                key: parent,
                time,
                sure,
            });
            followed.add_shared(passed_on);
            followed.certain_shares = followed.certain_shares.saturating_add(1);
            let stranger = desk.readers.of(parent, reading.content_key).is_none();
            let children = u32::from(desk.readers.bore(parent));
            followed.largest = followed.largest.max(children);
            let link = (reading.content_key, followed.started, parent);
            let broadcasts = &mut followed.broadcasts;
            let links = &mut desk.readers.links;
            if links.brought(link, reading.public, reading.time, broadcasts) {
                site.strangers.came_back(stranger);
            }
            site.count_known(reading.time, false, Some(sure));
        }
        Origin::SomeShare | Origin::AnyShare => {
            told = matches!(origin, Origin::SomeShare);
            match sure < 1.0 {
                true => grey = Some(passed_on),
                false => {
                    arrival.outside_log_odds = -SURE_LOG_ODDS;
                    followed.add_shared(passed_on);
                    followed.add_shown(site.shown(sure));
                    site.count_expected(1.0);
                }
            }
            if by_token.is_some() {
                site.count_known(reading.time, false, None);
            }
        }
        Origin::Outside => {
            told = true;
            followed.certain_outside = followed.certain_outside.saturating_add(1);
            site.count_known(reading.time, true, None);
            // As frequent a label as shares are, so that labels say nothing of the cause.
            match draw(own) < site.proven_part() {
                true => arrival.certain = Some(Certain::Outside),
                false => arrival.outside_log_odds = SURE_LOG_ODDS,
            }
        }
        Origin::Grey(dark) => grey = Some(dark),
    }
    if let Some(shared) = grey {
        let [_, likely, _] = shared;
        arrival.outside_log_odds = site.outside_log_odds(likely, reading.time);
        followed.add_shared(shared);
        followed.add_shown(site.shown(likely));
    }
    let Desk { readers, room, .. } = desk;
    followed.spread.expect_strangers(site.strangers.part());
    let weights = site.learned.weights();
    let posterior = followed
        .spread
        .consider(&arrival, weights, &site.laws, &mut room.plain);
    let outside = posterior.outside();
    followed.spread.admit(&arrival, weights, &room.plain);
    followed.touch(reading.time);
    if let Some([_, likely, _]) = grey {
        site.count_expected(1.0 - outside);
        site.balance(likely, 1.0 - outside);
    }
    // The first has nobody to come from, and says nothing of the weights.
    if followed.spread.arrivals() > 1 {
        site.count_odds(outside, arrival.outside_log_odds);
    }
    readers.name(&Reader {
        visit: reading.visit,
        visitor: reading.visitor,
        time: reading.time,
        content: reading.content_key,
        clock,
        app: reading.app,
        settled: false,
        told,
    });
}

/// A number from 0 to 1 that follows from a key.
fn draw(key: u64) -> f64 {
    (key >> 11) as f64 / (1u64 << 53) as f64
}

/// Settles who is due on a content, says what is found and learns from what is certain.
pub(super) fn settle(
    content: u64,
    followed: &mut Followed,
    site: &mut Site,
    until: Until,
    desk: &mut Desk<'_>,
) {
    loop {
        let closed = match until {
            Until::Enough => false,
            Until::Everyone => true,
            Until::Came(by) => followed
                .spread
                .waiting_since()
                .is_some_and(|since| since <= by),
        };
        let wanted = followed.spread.waiting_shared() && site.learned.collects();
        let scratch = match wanted {
            true => &mut desk.room.noting,
            false => &mut desk.room.plain,
        };
        let weights = site.learned.weights();
        let settled = followed.spread.settle(closed, weights, &site.laws, scratch);
        let Some(settled) = settled else {
            return;
        };
        followed.touched = true;
        let child = desk.readers.settle(settled.key, content);
        match settled.certain {
            Some(cause) => {
                let cause = match cause {
                    // A token's owner is not always a reader here.
                    Cause::Reader(key) if desk.readers.of(key, content).is_none() => {
                        Cause::Stranger
                    }
                    cause => cause,
                };
                if settled.sure >= TEACHES_MIN {
                    learn(&settled, cause, wanted, site);
                }
            }
            None => {
                if let Some(child) = child.filter(|child| !child.told) {
                    let page = finding::Page {
                        site: &followed.site,
                        content: &followed.content,
                        key: content,
                        acts: &followed.acts,
                        apps: desk.apps,
                        model_version: site.learned.weights().version(),
                    };
                    let (posterior, named) = (&settled.posterior, &mut desk.room.named);
                    finding::causes(&page, &child, posterior, desk.readers, named, desk.emit);
                }
            }
        }
        let (key, certain) = (settled.key, settled.certain.is_some());
        if certain {
            let time = child.map_or(0, |child| child.time);
            site.last = site.last.max(time);
            publish(site, key, desk.emit);
        }
    }
}

/// Scores a certain cause as if its token were missing, and learns from it.
fn learn(settled: &Settled<'_>, cause: Cause, wanted: bool, site: &mut Site) {
    site.laws.learn(settled);
    site.learned.saw();
    let posterior = &settled.posterior;
    // A lone reader has nothing to be told apart from.
    if posterior.ordinal() <= 1 {
        return;
    }
    let (truth, best, right) = judged(posterior, cause);
    site.scores.add(truth, best, right);
    if !wanted {
        return;
    }
    let parent = match cause {
        Cause::Reader(key) => (key, ordinal_of(posterior, key)),
        Cause::Gone(ordinal) => (0, ordinal),
        Cause::Outside | Cause::Act(_) | Cause::Stranger => return,
    };
    if let Some(example) = posterior.example() {
        site.learned.take(example, parent);
    }
}

fn ordinal_of(posterior: &Posterior<'_>, key: u64) -> u32 {
    let found = posterior.readers().find(|(known, _, _)| *known == key);
    found.map_or(0, |(_, ordinal, _)| ordinal)
}

/// Probability of the true cause, that of the likeliest, and whether they are the same. A reader's
/// probability is that of the shares of his that were seen and that were not.
fn judged(posterior: &Posterior<'_>, cause: Cause) -> (f64, f64, bool) {
    let by_acts = |key: u64| -> f64 {
        let of = posterior.acts().map(|act| {
            let sharers = act.sharers.into_iter().flatten();
            let own = sharers.filter(|(sharer, _)| *sharer == key);
            act.probability * own.map(|(_, probability)| probability).sum::<f64>()
        });
        of.sum()
    };
    let outside = posterior.outside();
    let (mut truth, mut best) = match cause {
        Cause::Outside => (outside, (outside, true)),
        _ => (0.0, (outside, false)),
    };
    let strangers = posterior.strangers();
    if cause == Cause::Stranger {
        truth = strangers;
    }
    if strangers > best.0 {
        best = (strangers, cause == Cause::Stranger);
    }
    let any_acts = posterior.acts().next().is_some();
    for (key, _, probability) in posterior.readers() {
        let own = cause == Cause::Reader(key);
        let probability = match any_acts && (own || probability > best.0 / 2.0) {
            true => probability + by_acts(key),
            false => probability,
        };
        if own {
            truth = probability;
        }
        if probability > best.0 {
            best = (probability, own);
        }
    }
    if let Cause::Gone(ordinal) = cause {
        let block = posterior.pooled().find(|block| ordinal <= block.last);
        truth = block.map_or(0.0, |block| {
            block.probability / f64::from(block.count.max(1))
        });
    }
    (truth, best.0, best.1)
}
