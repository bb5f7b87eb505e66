//! Certain share chains, and what the history of a content says about a landing.
//!
//! A visit is given a share token; links that are passed on from it carry it; who arrives with it
//! came from that visit, for certain. One node is one person's first visit of a content: a return
//! of the same person is no edge. A chain has no cycle by construction, since an arrival is only
//! ever hung below a node that was there before it.
//!
//! Edges without token are inferred by [`crate::causes`], content by content: [`Chains::read`] and
//! [`Chains::pass_on`] say what they find.

mod company;
mod content;
mod forest;
mod hints;
mod spreading;

use grapevine_event::{
    AddressOf, Cascade, Edge, Evidence, Id, Method, ParentKind, Share, ShareKind,
};
use serde::{Deserialize, Serialize};

use crate::causes::Marks;
use crate::clock::{Clock, key, short};
use crate::model::Model;
use crate::recent::Recent;
use company::Counted;
use content::{Act, Content, SavedContent};
use forest::Forest;
use forest::token_key;
pub use forest::{Cause, Place};
pub use hints::{Hint, Hints, add_to_rest};
pub use spreading::{Finding, HOLD_MS, IDLE_MS, NotFollowed, Reproductions, SETTLE_MS};
use spreading::{Origin, Orphan, Owner, Reading, Rise, Sharing, Spreading};

/// Contents remembered of each clock: with eight acts each, at most 96 MB together.
const CONTENTS_MAX: u32 = 114_688;
/// Sites whose first event time is remembered.
const SITES_MAX: u32 = 4_096;
/// Visits later than this before the collector's clock live by it, whatever brought them.
const LIVE_MS: i64 = 2 * 24 * 3_600_000;

/// P(a token was passed on) above which it is told as a share; else as what is more likely the reader's
/// own.
const PASSED_ON_MIN: f32 = 0.5;

/// A landing, as far as chains are concerned. Robots are none.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Site, lower case.
    pub site: &'a str,
    /// Canonical URL.
    pub content: &'a str,
    /// The visit.
    pub visit: Id,
    /// Pseudonym of the reader.
    pub visitor: Option<i64>,
    /// Event time, milliseconds since 1970 UTC.
    pub time: i64,
    /// App of the arrival, or empty.
    pub app: &'a str,
    /// Token that the link carried.
    pub incoming_token: Option<&'a str>,
    /// Token that the visit was given.
    pub share_token: Option<&'a str>,
    /// The reader's network.
    pub network: Option<i64>,
}

/// A share token that was given to a visit after its landing: on a later page, or by a button.
#[derive(Clone, Copy, Debug)]
pub struct Gift<'a> {
    /// Site, lower case.
    pub site: &'a str,
    /// Canonical URL that the token shares.
    pub content: &'a str,
    /// The sharer's visit.
    pub visit: Id,
    /// Pseudonym of the sharer, where known.
    pub visitor: Option<i64>,
    /// Event time, milliseconds since 1970 UTC.
    pub time: i64,
    /// The token.
    pub token: &'a str,
}

/// What else is known of a landing that is no return.
#[derive(Clone, Copy, Debug)]
pub struct Judgement {
    /// True where a fact says that it came from outside: search, another site, a campaign.
    pub outside: bool,
    /// True where a fact decided its channel.
    pub decided: bool,
    /// True where a fact decided, and it is no page of the site itself: `dark` says by which way it came, or
    /// leaves that open.
    pub way_known: bool,
    /// True where nothing tells how it came, but for a token that comes with it at the most.
    pub traceless: bool,
    /// True where it is booked as dark social.
    pub private: bool,
    /// P(privately passed on): low, likely and high, 0 to 1.
    pub dark: [f32; 3],
    /// P(the link's token was passed on), else it is the reader's own: low, likely and high, 0 to 1; 1
    /// where nothing speaks for that.
    pub passed_on: [f32; 3],
    /// Device family, system and language together, as [`Marks::device_of`] numbers them.
    pub device: u8,
}

impl Judgement {
    /// P(its token was passed on), likely value.
    pub fn sure(&self) -> f32 {
        self.passed_on[1]
    }
}

/// What a token's edge leaves: that the reader came by an own token, on another device or with a new id.
/// None where it leaves nothing.
pub fn own_token<'a>(edge: &Edge<'a>) -> Option<Edge<'a>> {
    (edge.probability < 1.0).then(|| Edge {
        parent_visit: None,
        probability: 1.0 - edge.probability,
        lag_ms: None,
        parent_app: "".into(),
        parent_kind: ParentKind::Outside,
        ..edge.clone()
    })
}

/// How somebody is known to have read a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// He read it before.
    Before,
    /// A later visit of his, or one of about the same time, was told first.
    First,
}

/// Everything that the chain stage remembers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Chains {
    contents: [Recent<Content>; 2],
    /// Earliest event time by clock and site.
    starts: Recent<i64>,
    forest: Forest,
    /// The collector's clock, by its heartbeats.
    live: Option<i64>,
    spreading: Spreading,
}

/// [`Chains`] as release 0.1.0 saved it, without what spreads.
#[derive(Deserialize)]
pub struct SavedChains {
    contents: [Recent<SavedContent>; 2],
    starts: Recent<i64>,
    forest: Forest,
    live: Option<i64>,
}

impl From<SavedChains> for Chains {
    fn from(saved: SavedChains) -> Self {
        Chains {
            contents: saved.contents.map(|contents| contents.map(Content::from)),
            starts: saved.starts,
            forest: saved.forest,
            live: saved.live,
            spreading: Spreading::default(),
        }
    }
}

impl Default for Chains {
    fn default() -> Self {
        Chains {
            contents: [Recent::new(CONTENTS_MAX), Recent::new(CONTENTS_MAX)],
            starts: Recent::new(SITES_MAX),
            forest: Forest::default(),
            live: None,
            spreading: Spreading::default(),
        }
    }
}

impl Chains {
    /// Takes weights of causes for sites to start from, instead of those shipped. What a site has
    /// learned from its own edges stays; a state that is read back has to be told again.
    pub fn deploy(&mut self, weights: std::sync::Arc<crate::causes::Weights>) {
        self.spreading.deploy(weights);
    }

    /// The collector says what time it is: what has waited long enough for it is settled.
    pub fn heartbeat(&mut self, time: i64, emit: &mut dyn FnMut(Finding<'_>)) {
        if self.live.is_none() {
            // What came before the first went by the clock of imports, which may be of another year.
            self.spreading.finish(self.forest.apps(), emit);
        }
        self.live = Some(self.live.map_or(time, |live| live.max(time)));
        self.spreading.heartbeat(time, self.forest.apps(), emit);
    }

    /// An import has come to its end: nothing of it waits for more.
    pub fn import_ended(&mut self, emit: &mut dyn FnMut(Finding<'_>)) {
        self.spreading.finish(self.forest.apps(), emit);
    }

    /// Infers why a reader came, once enough came after it; `place` is what
    /// [`arrive`](Self::arrive) said of the same landing. A reader's return is none.
    pub fn read(
        &mut self,
        arrival: &Arrival<'_>,
        place: &Place,
        judgement: &Judgement,
        emit: &mut dyn FnMut(Finding<'_>),
    ) {
        let clock = self.clock_of(arrival.time);
        let app = self.forest.app(arrival.app);
        let content_key = content_key(arrival.site, arrival.content);
        let incoming = arrival
            .incoming_token
            .map(|token| token_key(arrival.site, token));
        // What was passed on and not in private, was in public.
        let sure = judgement.sure().max(f32::MIN_POSITIVE);
        let public = (1.0 - judgement.dark[1] / sure).clamp(0.0, 1.0);
        let origin = match place.cause {
            Cause::Return => return,
            Cause::Parent { visit, lag_ms, .. } => {
                Origin::Parent(short(visit), arrival.time.saturating_sub(lag_ms))
            }
            Cause::SomeShare => Origin::SomeShare,
            Cause::AnyShare => Origin::AnyShare,
            Cause::Unknown if judgement.outside => Origin::Outside,
            Cause::Unknown => Origin::Grey(judgement.dark.map(f64::from)),
        };
        if let (Cause::SomeShare, Some(token)) = (place.cause, incoming) {
            let orphan = Orphan {
                visit: arrival.visit,
                visitor: arrival.visitor,
                time: arrival.time,
                app,
                passed_on: judgement.sure(),
                public,
                content: content_key,
                clock: clock.index() as u8,
            };
            self.spreading.orphan(token, orphan);
        }
        let reading = Reading {
            site: arrival.site,
            content: arrival.content,
            content_key,
            visit: arrival.visit,
            visitor: arrival.visitor,
            time: arrival.time,
            app,
            marks: Marks {
                channel: channel_of(app),
                network: network_of(arrival.network),
                device: judgement.device,
            },
            origin,
            passed_on: judgement.passed_on,
            public,
            incoming,
            gives_token: arrival.share_token.is_some(),
            rise: Rise {
                dark: judgement.dark,
                decided: judgement.decided,
                private: judgement.private,
                network: arrival.network,
                chained: place.generation > 0,
            },
        };
        self.spreading
            .read(clock, &reading, self.forest.apps(), emit);
        if let Some(token) = arrival.share_token {
            self.adopt(arrival.site, arrival.content, token, arrival.visitor, emit);
        }
    }

    /// Takes an act of sharing as a possible cause of what comes; `sharer` is what
    /// [`share`](Self::share) said of it.
    pub fn pass_on(
        &mut self,
        share: &Share<'_>,
        sharer: Option<Id>,
        emit: &mut dyn FnMut(Finding<'_>),
    ) {
        let clock = self.clock_of(share.time);
        let app = self.forest.app(&share.app);
        let own = share.address_of == AddressOf::Sender || share.kind != ShareKind::Preview;
        let sharing = Sharing {
            site: share.site,
            content: &share.content,
            content_key: content_key(share.site, &share.content),
            id: share.share_id,
            kind: share.kind,
            probability: share.probability,
            may_be_private: share.private != Some(false),
            time: share.time,
            app,
            marks: Marks {
                channel: channel_of(app),
                network: network_of(share.network.filter(|_| own)),
                device: 0,
            },
            sharer: share.sharer_visit.or(sharer).map(short),
            visitor: share.visitor,
            token: share
                .token
                .as_deref()
                .map(|token| token_key(share.site, token)),
        };
        self.spreading
            .share(clock, &sharing, self.forest.apps(), emit);
    }

    /// Says of readers who had come by a token whose it is, now that it was given.
    pub fn adopt(
        &mut self,
        site: &str,
        content: &str,
        token: &str,
        visitor: Option<i64>,
        emit: &mut dyn FnMut(Finding<'_>),
    ) {
        let key = token_key(site, token);
        if !self.spreading.is_orphaned(key) {
            return;
        }
        let Some((visit, time, app)) = self.forest.owner_at(site, content, token) else {
            return;
        };
        let owner = Owner {
            site,
            content,
            content_key: content_key(site, content),
            visit,
            visitor,
            time,
            app,
        };
        self.spreading.adopt(key, &owner, self.forest.apps(), emit);
    }

    /// What could not be followed since the beginning.
    pub fn not_followed(&self) -> NotFollowed {
        self.spreading.not_followed()
    }

    /// Somebody comes at that time: what happened [`HOLD_MS`] before or earlier is taken, so that his landing can be
    /// judged by it, whoever else comes or does not.
    pub fn reach(&mut self, time: i64, emit: &mut dyn FnMut(Finding<'_>)) {
        let clock = self.clock_of(time);
        let apps = self.forest.apps();
        self.spreading.reach_landing(clock, time, apps, emit);
    }

    /// What the content's history adds to the judgement of a landing that no fact decided, once it was
    /// [reached](Self::reach), and remembers the landing. The weights are those of the evidence, likely value first.
    pub fn landing<'m>(&mut self, arrival: &Arrival<'_>, model: &'m Model) -> Hints<'m> {
        let clock = self.clock_of(arrival.time);
        let site = key("site", &[&[clock.index() as u8], arrival.site.as_bytes()]);
        let start = match self.starts.get(site) {
            Some(start) => {
                *start = arrival.time.min(*start);
                *start
            }
            None => {
                self.starts.set(site, arrival.time);
                arrival.time
            }
        };
        let contents = &mut self.contents[clock.index()];
        let full = contents.len() == CONTENTS_MAX as usize;
        // Where contents had to be forgotten, an unknown one need not be new.
        let since = match contents.oldest() {
            Some((_, oldest)) if full => oldest.last_seen().max(start),
            _ => start,
        };
        let content = content_key(arrival.site, arrival.content);
        let hints = match contents.get(content) {
            Some(known) => {
                let hints = known.hints(arrival, since, model);
                known.visited(arrival.time);
                hints
            }
            None => {
                let first = Content::visited_first(arrival.time);
                let hints = first.hints(arrival, since, model);
                contents.set(content, first);
                hints
            }
        };
        match self.reader(content, arrival) {
            Some(Told::Before) => hints.of_a_reader(model),
            // He may be among those who came of late all the same.
            Some(Told::First) => hints.without_others(),
            None => hints,
        }
    }

    /// Remembers a share act, and names the sharer's visit where its token is known.
    pub fn share(&mut self, share: &Share<'_>) -> Option<Id> {
        let clock = self.clock_of(share.time);
        let app = self.forest.app(&share.app);
        let act = Act::of(share, app);
        let contents = &mut self.contents[clock.index()];
        let content = content_key(share.site, &share.content);
        match contents.get(content) {
            Some(known) => known.acted(act),
            None => {
                contents.set(content, Content::acted_first(act));
            }
        }
        let token = share.token.as_deref()?;
        self.forest.owner(share.site, &share.content, token)
    }

    /// Gives a landing its place, and remembers by which way it came, or that it left no trace. Who more likely
    /// came by an own token, which P(it was passed on) says, begins a cascade.
    pub fn arrive(&mut self, arrival: &Arrival<'_>, judgement: &Judgement) -> Place {
        let content = content_key(arrival.site, arrival.content);
        if self.reader(content, arrival).is_none() {
            let contents = &mut self.contents[self.clock_of(arrival.time).index()];
            if let Some(known) = contents.peek_mut(content) {
                Counted::of(judgement).for_each(|as_what| known.joined(arrival.time, as_what));
            }
        }
        self.forest.arrive(content, arrival, judgement.sure())
    }

    /// How the visitor is known to have read the content, where he is. Of two visits within [`HOLD_MS`] of each other
    /// only those that tokens tell of are known, since either may be told first.
    fn reader(&self, content: u64, arrival: &Arrival<'_>) -> Option<Told> {
        let visitor = arrival.visitor?;
        let by_token = self.forest.first_read(content, visitor);
        let first = [by_token, self.spreading.first_read(content, visitor)];
        let is_any = |told: &dyn Fn(i64) -> bool| first.into_iter().flatten().any(told);
        let earliest = arrival.time.saturating_sub(HOLD_MS);
        let latest = arrival.time.saturating_add(HOLD_MS);
        if is_any(&|first| first <= earliest) {
            Some(Told::Before)
        } else if by_token.is_some() || is_any(&|first| first > latest) {
            Some(Told::First)
        } else {
            None
        }
    }

    /// Remembers whose token it is.
    pub fn give(&mut self, gift: &Gift<'_>) {
        let content = content_key(gift.site, gift.content);
        let app = || self.spreading.app_of(content, gift.visit);
        self.forest.give(content, gift, app);
    }

    /// Whether a visit of its content was seen that was given the token by which a landing came.
    pub fn owner_is_seen(&self, arrival: &Arrival<'_>) -> bool {
        arrival.incoming_token.is_some_and(|token| {
            let owner = self.forest.owner(arrival.site, arrival.content, token);
            owner.is_some()
        })
    }

    /// Key of the token that a landing came by, where its owner may still come: nobody has it yet. Of a
    /// return too: it has no place below the owner, but whether its token is anybody's is said of it.
    pub fn awaited(&self, arrival: &Arrival<'_>) -> Option<u64> {
        let token = token_key(arrival.site, arrival.incoming_token?);
        (!self.forest.is_owned(token)).then_some(token)
    }

    /// Key of a site.
    pub fn site_key(site: &str) -> u64 {
        key("site", &[site.as_bytes()])
    }

    /// Key of a site's token.
    pub fn token_key(site: &str, token: &str) -> u64 {
        token_key(site, token)
    }

    /// Cascades changed and not yet taken.
    pub fn changed(&self) -> usize {
        self.forest.changed()
    }

    /// Takes the cascades that changed, in the order in which they first did.
    pub fn take_changed(&mut self, emit: &mut dyn FnMut(&Cascade<'_>)) {
        self.forest.take_changed(emit);
    }

    /// Name of an app by its number in a [`Place`].
    pub fn app_name(&self, app: u16) -> &str {
        self.forest.app_name(app)
    }

    /// How many things are remembered.
    pub fn entries(&self) -> usize {
        self.contents.iter().map(Recent::len).sum::<usize>()
            + self.forest.entries()
            + self.spreading.entries()
    }

    /// True once the collector has said what time it is.
    pub fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Which clock an event time lives by.
    pub fn clock_of(&self, time: i64) -> Clock {
        match self.live {
            Some(live) if time >= live.saturating_sub(LIVE_MS) => Clock::Live,
            _ => Clock::Imported,
        }
    }
}

/// An app's number as a mark; 0 where there is none.
fn channel_of(app: u16) -> u8 {
    u8::try_from(app).unwrap_or_default()
}

/// A network's pseudonym as a mark of 16 bits; 0 where there is none.
fn network_of(network: Option<i64>) -> u16 {
    network.map_or(0, |network| {
        let bits = network as u64;
        ((bits ^ bits >> 16 ^ bits >> 32 ^ bits >> 48) as u16).max(1)
    })
}

fn content_key(site: &str, content: &str) -> u64 {
    key("content", &[site.as_bytes(), content.as_bytes()])
}

/// Puts evidence in the order that records have: where a fact decided (`method` is not `prior`) the
/// facts without weight first, then by size.
pub fn order_evidence(evidence: &mut [Evidence<'_>], method: Method) {
    crate::classification::put_in_order(evidence, method);
}

#[cfg(test)]
mod tests;
