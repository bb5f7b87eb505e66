//! Preview fetches as share acts: what a fetch says, and which fetches are one act.
//!
//! A messenger fetches a preview while or after a link is written into a message. Telegram and
//! Signal fetch at every keystroke, so a typed link is a ladder of ever longer addresses within
//! seconds; services fetch again when a cache runs out, and in the fediverse every server that
//! receives a post fetches for itself, 1 to 59 s later. Each of these is one act here.

use std::collections::VecDeque;

use grapevine_event::{AddressOf, Id, Share, ShareKind};
use grapevine_signals::{FetchAddress, FetchTime, Fetcher, Surface};
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, key};
use crate::model::Model;
use crate::recent::Recent;

/// How long a fetch made while writing waits for a longer address of the same writer. Whole
/// ladders were seen within 2 s (embracethered.com, 2023).
const TYPING_MS: i64 = 3_000;
/// Nobody types faster than a character in this time (our reading): from two addresses of a service, what grew faster
/// was written by two people.
const KEYSTROKE_MS: u64 = 40;
/// So many characters more may lie between two fetches of one writer from two addresses of a service, which need not
/// come in the order in which they were asked for (our reading).
const OVERTAKEN_MAX: u64 = 8;
/// A sharer's device that fetches the same content again within this time shares it once.
const SENDER_REPEAT_MS: i64 = 10 * 60_000;
/// A service that fetches the same content again within this time, from whatever address, shares
/// it once: Mastodon's servers spread over a minute (its source, 2023).
const SERVER_REPEAT_MS: i64 = 2 * 60_000;
/// The same reader who copies the same address or presses the same button again within this time
/// does it once: a double click, or a page that reports by two ways. Our reading.
const PRESS_REPEAT_MS: i64 = 2_000;
/// Fetches remembered to recognise repeats.
const REPEATS_MAX: u32 = 16_384;
/// Fetches that wait for a longer address.
const TYPING_MAX: usize = 4_096;
/// A longer address is a pasted one, which is whole and waits for nothing; it is kept twice while it waits, and
/// links may have 64 kB. Our reading.
const TYPED_BYTES_MAX: usize = 2_048;

/// A preview fetch of a content.
#[derive(Clone, Copy, Debug)]
pub struct Fetch<'a> {
    /// Identity of the hit.
    pub hit_id: Id,
    /// Which clock it lives by.
    pub clock: Clock,
    /// Site, lower case.
    pub site: &'a str,
    /// Canonical URL that was fetched.
    pub content: &'a str,
    /// URL as it was fetched.
    pub address: &'a str,
    /// Event time, milliseconds since 1970 UTC.
    pub time: i64,
    /// Network that it came from.
    pub network: Option<i64>,
    /// Share token in the fetched link.
    pub token: Option<&'a str>,
    /// Who fetches.
    pub fetcher: &'a Fetcher,
}

/// What a fetch says: a share act, as far as one fetch can tell.
pub fn judge<'a>(fetch: &Fetch<'a>, model: &Model) -> Share<'a> {
    let fetcher = fetch.fetcher;
    let probability = match fetcher.when {
        FetchTime::Compose => model.share.compose,
        FetchTime::Post => model.share.post,
        FetchTime::View => model.share.view,
        FetchTime::Unknown => model.share.unknown,
    };
    Share {
        share_id: fetch.hit_id,
        site: fetch.site,
        time: fetch.time,
        content: fetch.content.into(),
        kind: ShareKind::Preview,
        app: fetcher.app.as_str().into(),
        private: match fetcher.surface {
            Surface::Private => Some(true),
            Surface::Public => Some(false),
            Surface::Unknown => None,
        },
        probability: probability as f32,
        address_of: match fetcher.address {
            FetchAddress::Sender => AddressOf::Sender,
            FetchAddress::Server => AddressOf::Server,
            FetchAddress::Unknown => AddressOf::Unknown,
        },
        network: fetch.network,
        visitor: None,
        sharer_visit: None,
        token: fetch.token.map(Into::into),
    }
}

/// P(a person passed the link on) of an act on the page: a copy or a share button.
pub fn probability_on_page(kind: ShareKind, model: &Model) -> f32 {
    let probability = match kind {
        ShareKind::Button => model.share.button,
        ShareKind::Copy => model.share.copy,
        ShareKind::Preview | ShareKind::Unknown => model.share.unknown,
    };
    probability as f32
}

/// A fetch made while writing: the next one may show that its address was not whole yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Step {
    /// As it was fetched: the canonical URL of a whole address need not begin with that of a part of
    /// it, and may be shorter.
    address: String,
    act: Typing,
}

/// What such a fetch says, should nothing longer follow.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Typing {
    clock: Clock,
    share_id: Id,
    site: String,
    content: String,
    app: String,
    private: Option<bool>,
    probability: f32,
    address_of: AddressOf,
    network: Option<i64>,
    token: Option<String>,
    time: i64,
}

impl Typing {
    fn of(clock: Clock, share: &Share<'_>) -> Typing {
        Typing {
            clock,
            share_id: share.share_id,
            site: share.site.to_owned(),
            content: share.content.clone().into_owned(),
            app: share.app.clone().into_owned(),
            private: share.private,
            probability: share.probability,
            address_of: share.address_of,
            network: share.network,
            token: share.token.clone().map(|token| token.into_owned()),
            time: share.time,
        }
    }

    fn share(&self) -> Share<'_> {
        Share {
            share_id: self.share_id,
            site: &self.site,
            time: self.time,
            content: self.content.as_str().into(),
            kind: ShareKind::Preview,
            app: self.app.as_str().into(),
            private: self.private,
            probability: self.probability,
            address_of: self.address_of,
            network: self.network,
            visitor: None,
            sharer_visit: None,
            token: self.token.as_deref().map(Into::into),
        }
    }
}

impl Step {
    /// True where a fetch of `address`, which says that, is a step of the same ladder, up or down. A service fetches
    /// from whichever of its addresses is free: there the pace of typing stands for the writer's network.
    fn same_ladder(&self, clock: Clock, address: &str, share: &Share<'_>) -> bool {
        let Step { address: own, act } = self;
        let apart = act.time.abs_diff(share.time);
        let one_writer = || {
            let grown = own.len().abs_diff(address.len()) as u64;
            act.network == share.network
                || (act.address_of, share.address_of) == (AddressOf::Server, AddressOf::Server)
                    && grown <= OVERTAKEN_MAX + apart / KEYSTROKE_MS
        };
        act.clock == clock
            && act.app == share.app
            && act.site == share.site
            && apart <= TYPING_MS as u64
            && (address.starts_with(own) || own.starts_with(address))
            && one_writer()
    }
}

/// Which preview fetches are one share act. At most about 5 MB with usual addresses, 35 MB with the longest that wait.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Previews {
    repeats: Recent<i64>,
    typing: VecDeque<Step>,
    collapsed: u64,
}

/// [`Previews`] as release 0.1.0 saved it, which went by canonical URLs.
#[derive(Deserialize)]
pub struct SavedPreviews {
    repeats: Recent<i64>,
    typing: VecDeque<Typing>,
    collapsed: u64,
}

impl From<SavedPreviews> for Previews {
    fn from(saved: SavedPreviews) -> Self {
        let step = |act: Typing| Step {
            address: act.content.clone(),
            act,
        };
        Previews {
            repeats: saved.repeats,
            typing: saved.typing.into_iter().map(step).collect(),
            collapsed: saved.collapsed,
        }
    }
}

impl Default for Previews {
    fn default() -> Self {
        Previews {
            repeats: Recent::new(REPEATS_MAX),
            typing: VecDeque::new(),
            collapsed: 0,
        }
    }
}

impl Previews {
    /// Takes a fetch; gives to `emit` what is now known to be a share act.
    pub fn observe(&mut self, fetch: &Fetch<'_>, model: &Model, emit: &mut dyn FnMut(&Share<'_>)) {
        let share = judge(fetch, model);
        if fetch.fetcher.when != FetchTime::Compose || fetch.address.len() > TYPED_BYTES_MAX {
            self.settle(fetch.clock, &share, emit);
            return;
        }
        let fetched = || Step {
            address: fetch.address.to_owned(),
            act: Typing::of(fetch.clock, &share),
        };
        let ladder = |step: &Step| step.same_ladder(fetch.clock, fetch.address, &share);
        if let Some(at) = self.typing.iter().position(ladder) {
            self.collapsed += 1;
            if let Some(mut step) = self.typing.remove(at) {
                // The latest step waits again; the longest address is the one that was meant.
                let whole = match fetch.address.len() >= step.address.len() {
                    true => fetched(),
                    false => {
                        step.act.time = step.act.time.max(share.time);
                        step
                    }
                };
                self.typing.push_back(whole);
            }
            return;
        }
        self.typing.push_back(fetched());
        if self.typing.len() > TYPING_MAX
            && let Some(Step { act, .. }) = self.typing.pop_front()
        {
            self.settle(act.clock, &act.share(), emit);
        }
    }

    /// Lets time pass: what waited long enough for a longer address is an act.
    pub fn pass(&mut self, clock: Clock, time: i64, emit: &mut dyn FnMut(&Share<'_>)) {
        self.settle_before(clock, time.saturating_sub(TYPING_MS), emit);
    }

    /// Like [`pass`](Self::pass), where nothing older than `time` is to come.
    pub fn finish(&mut self, clock: Clock, time: i64, emit: &mut dyn FnMut(&Share<'_>)) {
        self.settle_before(clock, time.saturating_add(1), emit);
    }

    /// Fetches that were steps or repeats of another.
    pub fn collapsed(&self) -> u64 {
        self.collapsed
    }

    /// How many things are remembered.
    pub fn entries(&self) -> usize {
        self.repeats.len() + self.typing.len()
    }

    fn settle_before(&mut self, clock: Clock, end: i64, emit: &mut dyn FnMut(&Share<'_>)) {
        let due = |step: &Step| step.act.clock == clock && step.act.time < end;
        if !self.typing.iter().any(due) {
            return;
        }
        for step in std::mem::take(&mut self.typing) {
            if due(&step) {
                self.settle(clock, &step.act.share(), emit);
            } else {
                self.typing.push_back(step);
            }
        }
    }

    /// An act, unless it repeats one.
    fn settle(&mut self, clock: Clock, share: &Share<'_>, emit: &mut dyn FnMut(&Share<'_>)) {
        if is_new(&mut self.repeats, clock, share) {
            emit(share);
        } else {
            self.collapsed += 1;
        }
    }
}

/// Whether an act is the first of its kind within its window, and not a repeat of one that is
/// remembered.
fn is_new(known: &mut Recent<i64>, clock: Clock, share: &Share<'_>) -> bool {
    let (who, window) = match (share.kind, share.address_of) {
        // Whoever presses twice, or a page that reports by two ways, did it once.
        (ShareKind::Copy | ShareKind::Button, _) => (share.visitor, PRESS_REPEAT_MS),
        (_, AddressOf::Server) => (None, SERVER_REPEAT_MS),
        (_, AddressOf::Sender | AddressOf::Unknown) => (share.network, SENDER_REPEAT_MS),
    };
    let named = matches!(share.kind, ShareKind::Copy | ShareKind::Button);
    if named && who.is_none() {
        return true;
    }
    let who = who.map_or([0; 9], |who| {
        let [b0, b1, b2, b3, b4, b5, b6, b7] = who.to_le_bytes();
        [1, b0, b1, b2, b3, b4, b5, b6, b7]
    });
    let parts: [&[u8]; 6] = [
        &[clock.index() as u8],
        &[share.kind as u8],
        share.site.as_bytes(),
        share.app.as_bytes(),
        share.content.as_bytes(),
        &who,
    ];
    let act = key("act", &parts);
    if let Some(last) = known.get(act)
        && last.abs_diff(share.time) <= window as u64
    {
        return false;
    }
    known.set(act, share.time);
    true
}

/// Acts of all contents of a partition, joined once more: fetches of one act come from several
/// addresses, and readers' hits by several partitions, so nobody before has seen them all. At most
/// 40 bytes each, 1.3 MB.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Acts {
    known: Recent<i64>,
    joined: u64,
}

impl Default for Acts {
    fn default() -> Self {
        Acts {
            known: Recent::new(2 * REPEATS_MAX),
            joined: 0,
        }
    }
}

impl Acts {
    /// Takes an act; false where it is another sight of one that came before.
    pub fn is_new(&mut self, clock: Clock, share: &Share<'_>) -> bool {
        let new = is_new(&mut self.known, clock, share);
        self.joined += u64::from(!new);
        new
    }

    /// Acts that were seen before.
    pub fn joined(&self) -> u64 {
        self.joined
    }

    /// How many things are remembered.
    pub fn entries(&self) -> usize {
        self.known.len()
    }
}
