//! What happens: requests as a server sees them, what page script knows, and the truth behind.

use std::net::IpAddr;
use std::sync::Arc;

use grapevine_event::{Channel, HitKind};

/// One thing that happens, at a point in time.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Identity within the simulation; also the id of the hit, as [`Event::hit_id`].
    pub id: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    /// How far the clock of the sender of the hit is ahead, milliseconds; see
    /// [`deliver`](crate::deliver).
    pub clock_ms: i64,
    /// What kind of thing.
    pub kind: EventKind,
    /// The request; for [`EventKind::Action`] the page it happens on.
    pub request: Request,
    /// What page script knows and sends; `None` where no script runs or it sees nothing.
    pub client: Option<Client>,
    /// What really happened.
    pub truth: Truth,
}

impl Event {
    /// Whether a web server writes a line for it.
    pub fn is_logged(&self) -> bool {
        self.kind != EventKind::Action
    }

    /// Whether a hit is sent for it: by page script, or by the server for what is no person.
    pub fn is_hit(&self) -> bool {
        self.client.is_some() || (self.kind == EventKind::Page && self.truth.actor != Actor::Person)
    }

    /// Whether this is a landing of a person: what classification is judged by.
    pub fn is_landing(&self) -> bool {
        self.is_visit() && self.truth.cause != Cause::Internal
    }

    /// Whether this is a person's page view.
    pub fn is_visit(&self) -> bool {
        self.kind == EventKind::Page && self.truth.actor == Actor::Person
    }

    /// Whether this is the act of passing a link on, seen by page script or by nobody.
    pub fn is_share_act(&self) -> bool {
        self.kind == EventKind::Action && self.truth.share.is_some()
    }

    /// The id of the hit, and the key of the truth row.
    pub fn hit_id(&self) -> String {
        format!("sim-{:x}", self.id)
    }
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A page is requested.
    Page,
    /// A request that is answered by a redirect; the page request follows.
    Redirect,
    /// A style sheet, script, picture, `robots.txt`: no page.
    Asset,
    /// Something done on a page without a request to it: a copy, a share, an engagement.
    Action,
}

/// A request as the web server sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Address of the client, from test and documentation ranges.
    pub address: IpAddr,
    /// Method; empty where the request line is no HTTP, and `target` is all of it.
    pub method: &'static str,
    /// Path and query, percent-encoded, without fragment.
    pub target: Arc<str>,
    /// Response status.
    pub status: u16,
    /// Size of the response in bytes.
    pub bytes: u32,
    /// `Referer`, if sent.
    pub referrer: Option<Arc<str>>,
    /// `User-Agent`, if sent.
    pub user_agent: Option<Arc<str>>,
    /// `Accept-Language`, if sent.
    pub language: Option<Arc<str>>,
    /// Other headers that tell something.
    pub headers: Headers,
}

/// Request headers beyond those of an access log; each absent unless sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// `Sec-Fetch-Site`.
    pub sec_fetch_site: Option<&'static str>,
    /// `Sec-Fetch-Mode`.
    pub sec_fetch_mode: Option<&'static str>,
    /// `Sec-Fetch-Dest`.
    pub sec_fetch_dest: Option<&'static str>,
    /// `Sec-Fetch-User`.
    pub sec_fetch_user: Option<&'static str>,
    /// `Sec-CH-UA`.
    pub sec_ch_ua: Option<Arc<str>>,
    /// `X-Requested-With`.
    pub x_requested_with: Option<&'static str>,
    /// `Sec-Purpose`.
    pub sec_purpose: Option<&'static str>,
    /// `Range`.
    pub range: Option<&'static str>,
}

/// What page script knows and would send.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// Type of the hit.
    pub kind: HitKind,
    /// First-party id of this cookie jar.
    pub visitor: Arc<str>,
    /// Token that this page view was given, which its address bar now carries.
    pub token: Option<Arc<str>>,
    /// Fragment of the address at landing, without `#`.
    pub fragment: Option<Arc<str>>,
    /// Title of the page.
    pub title: Arc<str>,
    /// App that script itself knows: the target of a share button, or a web view it sees.
    pub app: Option<&'static str>,
    /// Seconds on the page of an engagement.
    pub seconds: Option<u32>,
}

/// Who makes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Actor {
    /// A reader.
    Person,
    /// A preview fetcher of an app or network.
    Preview,
    /// A mail security scanner that opens links.
    Scanner,
    /// A reader's browser, loading in advance what is then not read.
    Prefetch,
    /// Any other robot.
    Robot,
}

impl Actor {
    /// Name in truth files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Actor::Person => "person",
            Actor::Preview => "preview",
            Actor::Scanner => "scanner",
            Actor::Prefetch => "prefetch",
            Actor::Robot => "robot",
        }
    }
}

/// What brought a request about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// A search engine's result.
    Search,
    /// The same without a referrer.
    DarkSearch,
    /// A typed address.
    Typed,
    /// A bookmark, a start page and the like.
    Bookmark,
    /// A public post of someone who is no reader of the site.
    PublicPost,
    /// A link on another site.
    Referral,
    /// An AI assistant's answer.
    Assistant,
    /// The site's newsletter.
    Newsletter,
    /// An advertisement.
    Paid,
    /// What the site itself sends without tags: a push notification, an app's alert, a newsletter.
    Sent,
    /// A private message of someone who is no reader of the site: has no parent.
    Message,
    /// A reader's share, private or public: has a parent.
    Share,
    /// The same person opening the same page again.
    Return,
    /// A link on the same site.
    Internal,
    /// A message that is composed and never sent: a preview without readers.
    Unsent,
    /// A robot's own schedule.
    Crawl,
}

impl Cause {
    /// Name in truth files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Cause::Search => "search",
            Cause::DarkSearch => "dark_search",
            Cause::Typed => "typed",
            Cause::Bookmark => "bookmark",
            Cause::PublicPost => "public_post",
            Cause::Referral => "referral",
            Cause::Assistant => "assistant",
            Cause::Newsletter => "newsletter",
            Cause::Paid => "paid",
            Cause::Sent => "sent",
            Cause::Message => "message",
            Cause::Share => "share",
            Cause::Return => "return",
            Cause::Internal => "internal",
            Cause::Unsent => "unsent",
            Cause::Crawl => "crawl",
        }
    }
}

/// What really happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// Who.
    pub actor: Actor,
    /// Why.
    pub cause: Cause,
    /// The channel a perfect classifier would give; for anything but people [`Channel::Bot`].
    pub channel: Channel,
    /// App, network, engine, assistant or robot, where there is one; else empty.
    pub carrier: &'static str,
    /// Person, where there is one; the same person has several devices and cookie jars.
    pub person: Option<u64>,
    /// Visit: one page view of one content by one person. Its redirect, assets and actions carry
    /// the same number; a preview carries the sharer's.
    pub visit: Option<u64>,
    /// Visit that began the session; equal to `visit` for a landing.
    pub session: Option<u64>,
    /// Visit whose reader shared the link this visit came by.
    pub parent: Option<u64>,
    /// Share: for a visit the one it came by, for a preview or a share action the one it is.
    pub share: Option<u64>,
    /// Visit at the root of the cascade on this content.
    pub root: Option<u64>,
    /// Shares between the root and this visit.
    pub generation: u32,
    /// Earlier visit of the same person to the same page, for [`Cause::Return`].
    pub returns_to: Option<u64>,
    /// Visit whose share token the link carried. For a child the parent, unless the message was
    /// forwarded or the parent ran no script: then an earlier visit. For a return its own.
    pub token_of: Option<u64>,
    /// Whether the message itself was forwarded, with the link it had.
    pub forwarded: bool,
    /// People between parent and visit who passed the link on without opening it.
    pub unseen_hops: u32,
    /// Path of the content, without query.
    pub content: Arc<str>,
}
