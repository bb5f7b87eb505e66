//! How contents spread: every reader's causes inferred, and what that says of each content.
//!
//! [`Spreading`] keeps a [`crate::causes::Spread`] for each content that is read, tells it who
//! arrives, what is certain and which acts of sharing were seen, and says what it finds as
//! [`Finding`]s: edges once an arrival's causes are settled, a record of each content as it grows,
//! and weights as they are learned.
//!
//! **Settled** is an arrival when 96 more have come, when event time has passed it by
//! [`SETTLE_MS`], when the import that it came in has ended, or when its content is closed.
//! **Closed** is a content that nobody read for [`IDLE_MS`], or that has to make room; who reads it
//! again starts it anew. All of it is a function of what came; what came within five seconds of
//! event time may come in any order.

mod broadcasts;
mod finding;
mod followed;
mod held;
mod late;
mod learned;
mod publishing;
mod readers;
mod rises;
mod scores;
mod settling;
mod site;
mod strangers;
mod told;

use std::collections::BTreeSet;
use std::sync::Arc;

use grapevine_event::{Id, ShareKind};
use serde::{Deserialize, Serialize};

use crate::causes::{Act, Weights};
use crate::clock::{Clock, key};
use crate::recent::Recent;
pub use finding::Finding;
use followed::{ActName, Followed};
pub use held::HOLD_MS;
use held::{Hold, Telling};
pub(super) use late::{Orphan, Owner};
use publishing::{write, write_model};
use readers::{Reader, Readers};
pub use rises::Reproductions;
use settling::{Desk, Room, Until, arrive, settle};
use site::Site;
pub(super) use told::{Origin, Reading, Rise, Sharing};

/// Event time after which an arrival's causes are settled, though few came since.
pub const SETTLE_MS: i64 = 6 * 3_600_000;
/// Event time after which a content that nobody reads is closed.
pub const IDLE_MS: i64 = 30 * 24 * 3_600_000;
/// Contents followed of each clock: 2 kB each and what their readers take.
const CONTENTS_MAX: u32 = 8_192;
/// Readers kept as possible causes over all contents of a clock, 256 of one at the most: about 70
/// bytes each, 28 MB.
const KEPT_MAX: u64 = 393_216;
/// Readers that one content keeps.
const KEPT_OF_ONE: u32 = crate::causes::CANDIDATES_MAX as u32;
/// Sites with a profile of their own.
const SITES_MAX: u32 = 128;
/// A longer address is not followed: its certain edges are still found.
const CONTENT_BYTES_MAX: usize = 2_048;
/// Event time goes on by at most this with one landing or act: one clock gone wrong settles nobody
/// else. The collector's own clock is believed.
const STEP_MS: i64 = 24 * 3_600_000;

/// What could not be followed, for the stage's counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotFollowed {
    /// Readers of contents whose address is too long.
    pub long_contents: u64,
    /// Tokens whose owner became known too late to correct what had been said.
    pub late_tokens: u64,
}

/// Everything that is followed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Spreading {
    contents: [Recent<Followed>; 2],
    /// Readers kept as possible causes, by clock.
    kept: [u64; 2],
    /// When each content is looked at again, by clock.
    due: [BTreeSet<(i64, u64)>; 2],
    /// Newest event time by clock, and up to when things were taken.
    newest: [Option<i64>; 2],
    now: [Option<i64>; 2],
    held: [Hold; 2],
    readers: Readers,
    sites: Recent<Site>,
    orphans: Recent<Vec<Orphan>>,
    not_followed: NotFollowed,
    #[serde(skip)]
    room: Room,
    /// Weights that sites start from; as shipped where there are none.
    #[serde(skip)]
    deployed: Option<Arc<Weights>>,
}

impl Default for Spreading {
    fn default() -> Self {
        Spreading {
            contents: [Recent::new(CONTENTS_MAX), Recent::new(CONTENTS_MAX)],
            kept: [0; 2],
            due: [BTreeSet::new(), BTreeSet::new()],
            newest: [None; 2],
            now: [None; 2],
            held: [Hold::default(), Hold::default()],
            readers: Readers::default(),
            sites: Recent::new(SITES_MAX),
            orphans: Recent::new(late::ORPHANS_MAX),
            not_followed: NotFollowed::default(),
            room: Room::default(),
            deployed: None,
        }
    }
}

impl Spreading {
    /// Takes weights for sites to start from, instead of those shipped.
    pub(super) fn deploy(&mut self, weights: Arc<Weights>) {
        self.deployed = Some(weights);
        let keys: Vec<u64> = self.sites.iter().map(|(key, _)| key).collect();
        for key in keys {
            if let Some(site) = self.sites.peek_mut(key) {
                site.learned.deploy(self.deployed.clone());
            }
        }
    }

    /// A person lands on a content.
    pub(super) fn read(
        &mut self,
        clock: Clock,
        reading: &Reading<'_>,
        apps: &[String],
        emit: &mut dyn FnMut(Finding<'_>),
    ) {
        self.held[clock.index()].put(&Telling::Read(*reading));
        self.pass(clock, self.stepped(clock, reading.time), apps, emit);
    }

    /// When a visitor first read a content, event time, of the visits that were told first; `None` until it is taken.
    pub(super) fn first_read(&self, content: u64, visitor: i64) -> Option<i64> {
        self.readers.first_read(content, visitor)
    }

    /// Number of the app that brought a visit to a content which is the first of its reader; 0 where it is not known.
    pub(super) fn app_of(&self, content: u64, visit: Id) -> u16 {
        let key = crate::clock::short(visit);
        let held = || {
            let mut held = self.held.iter();
            held.find_map(|held| held.app_of(content, key))
        };
        let known = self.readers.of(key, content).map(|reader| reader.app);
        known.or_else(held).unwrap_or_default()
    }

    /// Somebody comes at that time, who is told next: what happened [`HOLD_MS`] before or earlier is taken, as far as
    /// one landing moves event time.
    pub(super) fn reach_landing(
        &mut self,
        clock: Clock,
        time: i64,
        apps: &[String],
        emit: &mut dyn FnMut(Finding<'_>),
    ) {
        // The landing itself moves event time, once.
        let newest = self.newest_with(clock, self.stepped(clock, time));
        self.take_due(clock, newest, apps, emit);
    }

    /// Somebody passes a link on.
    pub(super) fn share(
        &mut self,
        clock: Clock,
        sharing: &Sharing<'_>,
        apps: &[String],
        emit: &mut dyn FnMut(Finding<'_>),
    ) {
        self.held[clock.index()].put(&Telling::Share(*sharing));
        self.pass(clock, self.stepped(clock, sharing.time), apps, emit);
    }

    /// The collector says what time it is.
    pub(super) fn heartbeat(
        &mut self,
        time: i64,
        apps: &[String],
        emit: &mut dyn FnMut(Finding<'_>),
    ) {
        self.held[Clock::Live.index()].put(&Telling::Time(time));
        self.pass(Clock::Live, time, apps, emit);
    }

    /// Event time goes on: what happened is taken, what has waited long enough is settled, what is
    /// idle is closed.
    fn pass(
        &mut self,
        clock: Clock,
        time: i64,
        apps: &[String],
        emit: &mut dyn FnMut(Finding<'_>),
    ) {
        let newest = self.newest_with(clock, time);
        self.newest[clock.index()] = Some(newest);
        self.take_due(clock, newest, apps, emit);
    }

    /// The newest event time once something of that time has come.
    fn newest_with(&self, clock: Clock, time: i64) -> i64 {
        self.newest[clock.index()].map_or(time, |newest| newest.max(time))
    }

    /// Takes what was held long enough, and settles and closes what is due, when that is the newest event time.
    fn take_due(
        &mut self,
        clock: Clock,
        newest: i64,
        apps: &[String],
        emit: &mut dyn FnMut(Finding<'_>),
    ) {
        let by = newest.saturating_sub(HOLD_MS);
        self.take(clock, by, apps, emit);
        self.reach(clock.index(), by, apps, emit);
    }

    #[cfg(test)]
    pub(super) fn event_time(&self, clock: Clock) -> Option<i64> {
        self.newest[clock.index()]
    }

    /// How far a thing of that time moves event time.
    fn stepped(&self, clock: Clock, time: i64) -> i64 {
        let newest = self.newest[clock.index()];
        newest.map_or(time, |newest| time.min(newest.saturating_add(STEP_MS)))
    }

    /// Takes what is held and happened by then.
    fn take(&mut self, clock: Clock, by: i64, apps: &[String], emit: &mut dyn FnMut(Finding<'_>)) {
        while let Some((time, held)) = self.held[clock.index()].take(by) {
            self.reach(clock.index(), time.min(by), apps, emit);
            match held.telling() {
                Telling::Read(reading) => {
                    self.take_reading(clock, &reading, apps, emit);
                    emit(Finding::Landed(
                        reading.to_surges(clock, apps),
                        Reproductions(self),
                    ));
                }
                Telling::Share(sharing) => {
                    self.take_sharing(clock, &sharing, apps, emit);
                    emit(Finding::Shared(sharing.to_surges(clock, apps)));
                }
                Telling::Time(time) => emit(Finding::Passed(time, Reproductions(self))),
            }
            self.held[clock.index()].give_back(held);
        }
    }

    fn take_reading(
        &mut self,
        clock: Clock,
        reading: &Reading<'_>,
        apps: &[String],
        emit: &mut dyn FnMut(Finding<'_>),
    ) {
        let (content, own) = (reading.content_key, crate::clock::short(reading.visit));
        if let Some(visitor) = reading.visitor {
            let first = self.readers.first_visit(content, visitor);
            if first.is_some_and(|first| first != own) {
                return;
            }
        }
        if reading.content.len() > CONTENT_BYTES_MAX {
            self.not_followed.long_contents += 1;
            self.recognise(clock, reading);
            return;
        }
        // Whoever has to be forgotten is settled while he is known.
        if let Some((clock, content)) = self.readers.unsettled_to_forget() {
            self.settle_all(clock.into(), content, apps, emit);
        }
        let at = clock.index();
        let page = [reading.site, reading.content];
        self.follow(at, content, page, reading.time, apps, emit);
        let site = site_of(&mut self.sites, &self.deployed, reading.site);
        let Some(followed) = self.contents[at].get(content) else {
            return;
        };
        let mut desk = Desk {
            readers: &mut self.readers,
            room: &mut self.room,
            apps,
            emit,
        };
        arrive(at as u8, own, reading, followed, site, &mut desk);
        self.kept[at] += u64::from(followed.spread.arrivals() <= KEPT_OF_ONE);
        settle(content, followed, site, Until::Enough, &mut desk);
        if followed.has_grown() {
            write(followed, site, reading.time, false, &mut *desk.emit);
        }
        self.plan(at, content);
        while self.kept[at] > KEPT_MAX {
            let Some((oldest, _)) = self.contents[at].oldest() else {
                break;
            };
            self.close(at, oldest, apps, emit);
        }
    }

    /// Remembers a reader of a content that is not followed, to know who comes back.
    fn recognise(&mut self, clock: Clock, reading: &Reading<'_>) {
        if reading.visitor.is_some() {
            self.readers.name(&Reader {
                visit: reading.visit,
                visitor: reading.visitor,
                time: reading.time,
                content: reading.content_key,
                clock: clock.index() as u8,
                app: reading.app,
                settled: true,
                told: true,
            });
        }
    }

    fn take_sharing(
        &mut self,
        clock: Clock,
        sharing: &Sharing<'_>,
        apps: &[String],
        emit: &mut dyn FnMut(Finding<'_>),
    ) {
        if !sharing.is_cause() {
            return;
        }
        let site = site_of(&mut self.sites, &self.deployed, sharing.site);
        match (sharing.kind, sharing.token) {
            (ShareKind::Preview, token) => site.previewed(token.is_some()),
            (_, Some(token)) => {
                site.gave_token();
                site.gave();
                self.readers.gave(token);
            }
            _ => {}
        }
        if sharing.content.len() > CONTENT_BYTES_MAX {
            return;
        }
        let content = sharing.content_key;
        let at = clock.index();
        let page = [sharing.site, sharing.content];
        self.follow(at, content, page, sharing.time, apps, emit);
        let site = site_of(&mut self.sites, &self.deployed, sharing.site);
        let Some(followed) = self.contents[at].get(content) else {
            return;
        };
        let by_visitor = sharing
            .visitor
            .and_then(|visitor| self.readers.known(content, visitor));
        let sharer = sharing.sharer.map(|visit| by_visitor.unwrap_or(visit));
        followed.shares = followed.shares.saturating_add(1);
        followed.touch(sharing.time);
        followed.name_act(ActName {
            key: sharing.key(),
            time: sharing.time,
            app: sharing.app,
        });
        let act = Act {
            key: sharing.key(),
            time: sharing.time,
            marks: sharing.marks,
            sharer,
            marked: sharing.token.is_some(),
        };
        followed.spread.share(&act, &site.laws);
        self.plan(at, content);
    }

    /// Everything up to a time was taken: what has waited for it is settled or closed, each as of the
    /// moment when it was due, so that how far time goes at once makes no difference.
    fn reach(&mut self, at: usize, time: i64, apps: &[String], emit: &mut dyn FnMut(Finding<'_>)) {
        let mut now = self.now[at].unwrap_or(i64::MIN);
        while let Some(&(due, content)) = self.due[at].first() {
            if due > time {
                break;
            }
            // Taken out whatever follows: a state that was damaged must not be looked at for ever.
            self.due[at].pop_first();
            now = now.max(due);
            self.now[at] = Some(now);
            self.look_at(at, content, now, apps, emit);
        }
        self.now[at] = Some(now.max(time));
    }

    /// An import has ended: nothing of it waits for more.
    pub(super) fn finish(&mut self, apps: &[String], emit: &mut dyn FnMut(Finding<'_>)) {
        let at = Clock::Imported.index();
        self.take(Clock::Imported, i64::MAX, apps, emit);
        let waiting: Vec<u64> = self.due[at].iter().map(|(_, content)| *content).collect();
        for content in waiting {
            self.settle_all(at, content, apps, emit);
        }
        // The next file may be older.
        self.now[at] = None;
        self.newest[at] = None;
        let mut last = Vec::new();
        for (_, site) in self.sites.iter() {
            if site.scores.scored() > site.scored_written {
                last.push(key("site", &[site.name.as_bytes()]));
            }
        }
        for site in last {
            if let Some(site) = self.sites.peek_mut(site) {
                write_model(site, None, emit);
            }
        }
    }

    /// What could not be followed.
    pub(super) fn not_followed(&self) -> NotFollowed {
        self.not_followed
    }

    /// How many things are remembered.
    pub(super) fn entries(&self) -> usize {
        let kept: u64 = self.kept.iter().sum();
        self.contents.iter().map(Recent::len).sum::<usize>()
            + self.held.iter().map(Hold::len).sum::<usize>()
            + self.readers.len()
            + usize::try_from(kept).unwrap_or(usize::MAX)
    }

    /// Makes sure that a content is followed, from `time` on where it is not yet.
    fn follow(
        &mut self,
        at: usize,
        content_key: u64,
        [site, content]: [&str; 2],
        time: i64,
        apps: &[String],
        emit: &mut dyn FnMut(Finding<'_>),
    ) {
        if self.contents[at].get(content_key).is_some() {
            return;
        }
        if self.contents[at].len() >= CONTENTS_MAX as usize
            && let Some((oldest, _)) = self.contents[at].oldest()
        {
            self.close(at, oldest, apps, emit);
        }
        let mut followed = Followed::new(site, content, content_key, time);
        followed.due = time.saturating_add(SETTLE_MS);
        self.due[at].insert((followed.due, content_key));
        self.contents[at].set(content_key, followed);
    }

    /// Looks at a content when it is due.
    fn look_at(
        &mut self,
        at: usize,
        content: u64,
        now: i64,
        apps: &[String],
        emit: &mut dyn FnMut(Finding<'_>),
    ) {
        let Some(followed) = self.contents[at].peek_mut(content) else {
            return;
        };
        let site = site_of(&mut self.sites, &self.deployed, &followed.site);
        let mut desk = Desk {
            readers: &mut self.readers,
            room: &mut self.room,
            apps,
            emit,
        };
        let came = now.saturating_sub(SETTLE_MS);
        settle(content, followed, site, Until::Came(came), &mut desk);
        if followed.spread.waiting_since().is_none() {
            if followed.updated.saturating_add(IDLE_MS) <= now {
                self.close(at, content, apps, emit);
                return;
            }
            if followed.touched {
                write(followed, site, now, false, emit);
            }
        }
        let next = next_look(followed, now);
        self.due[at].remove(&(followed.due, content));
        followed.due = next;
        self.due[at].insert((next, content));
    }

    /// Settles everybody who waits on a content.
    fn settle_all(
        &mut self,
        at: usize,
        content: u64,
        apps: &[String],
        emit: &mut dyn FnMut(Finding<'_>),
    ) {
        let Some(followed) = self.contents[at].peek_mut(content) else {
            return;
        };
        let site = site_of(&mut self.sites, &self.deployed, &followed.site);
        let mut desk = Desk {
            readers: &mut self.readers,
            room: &mut self.room,
            apps,
            emit,
        };
        settle(content, followed, site, Until::Everyone, &mut desk);
        if followed.touched {
            let now = self.now[at].unwrap_or(followed.updated);
            write(followed, site, now, false, emit);
        }
    }

    /// Sees to it that a content is looked at when the oldest who waits is due.
    fn plan(&mut self, at: usize, content: u64) {
        let Some(followed) = self.contents[at].peek_mut(content) else {
            return;
        };
        let Some(since) = followed.spread.waiting_since() else {
            return;
        };
        let next = since.saturating_add(SETTLE_MS);
        // One that is too early is put right when it is looked at.
        if next < followed.due {
            self.due[at].remove(&(followed.due, content));
            followed.due = next;
            self.due[at].insert((next, content));
        }
    }

    /// Settles everybody on a content, writes its last record and forgets it.
    fn close(
        &mut self,
        at: usize,
        content: u64,
        apps: &[String],
        emit: &mut dyn FnMut(Finding<'_>),
    ) {
        let Some(mut followed) = self.contents[at].remove(content) else {
            return;
        };
        self.due[at].remove(&(followed.due, content));
        let kept = u64::from(followed.spread.arrivals().min(KEPT_OF_ONE));
        self.kept[at] = self.kept[at].saturating_sub(kept);
        let site = site_of(&mut self.sites, &self.deployed, &followed.site);
        let mut desk = Desk {
            readers: &mut self.readers,
            room: &mut self.room,
            apps,
            emit,
        };
        settle(content, &mut followed, site, Until::Everyone, &mut desk);
        let now = self.now[at].unwrap_or(followed.updated);
        write(&mut followed, site, now, true, emit);
    }
}

/// When a content is to be looked at again, later than `now`.
fn next_look(followed: &Followed, now: i64) -> i64 {
    let next = match followed.spread.waiting_since() {
        Some(since) => since.saturating_add(SETTLE_MS),
        None => followed.updated.saturating_add(IDLE_MS),
    };
    next.max(now.saturating_add(1))
}

fn site_of<'s>(
    sites: &'s mut Recent<Site>,
    deployed: &Option<Arc<Weights>>,
    name: &str,
) -> &'s mut Site {
    let known = key("site", &[name.as_bytes()]);
    if sites.peek(known).is_none() {
        let mut site = Site::new(name);
        site.learned.deploy(deployed.clone());
        sites.set(known, site);
    }
    sites.get(known).expect("set above")
}

#[cfg(test)]
mod tests;
