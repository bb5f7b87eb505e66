//! What to simulate: every parameter with its unit, range and the origin of its default.
//!
//! "Assumption" marks a default for which no published figure was found; such values are round.

mod behaviour;
mod check;
mod drawn;
mod preset;
mod sent;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use behaviour::{AppBehaviour, NetworkBehaviour};
pub use check::{Problem, ScenarioError};
pub use drawn::{DrawnLaw, DrawnRange};

use crate::app::{App, Network};
use std::collections::BTreeMap;

/// A whole scenario. Loadable from TOML with [`Scenario::from_toml`]; what a file leaves out keeps
/// its default, except the maps `apps` and `networks`, which a file replaces as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Seed of all randomness; any number. The same scenario and seed give the same bytes.
    pub seed: u64,
    /// Name and host of the site, 1–253 of `[a-z0-9.-]`; the default is a reserved example name.
    pub site: String,
    /// Hosts of further sites of the same publisher, read by the same people; at most 63. Each has
    /// articles and arrivals of its own by the same parameters.
    pub more_sites: Vec<String>,
    /// Start of the period, RFC 3339 with zone, 1971 to 2200.
    pub start: Timestamp,
    /// Length of the period in days, above 0 to 3660.
    pub days: f64,
    /// Where above 0: scale arrivals, robots and bursts so that about this many requests result
    /// (within some 5 %, above 200,000 some 15 %: pilots of at most that many measure requests per
    /// arrival). 0 to 10⁹; 0 leaves the rates as they are.
    pub requests_target: u64,
    /// What the site publishes.
    pub content: Content,
    /// Readers who come without anyone's private share.
    pub arrivals: Arrivals,
    /// What brings them.
    pub channels: Channels,
    /// How they come without a referrer, where nobody knows how often.
    pub openings: Openings,
    /// How links are passed on.
    pub sharing: Sharing,
    /// Share tokens.
    pub tokens: Tokens,
    /// Who the readers are, and on what devices and networks.
    pub audience: Audience,
    /// What readers do on the site.
    pub reading: Reading,
    /// Apps for private messages, some with public places too, and how each behaves; an app that is
    /// not listed is not used.
    pub apps: BTreeMap<App, AppBehaviour>,
    /// Public networks and how each behaves; at least one.
    pub networks: BTreeMap<Network, NetworkBehaviour>,
    /// How hits reach a collector.
    pub delivery: Delivery,
    /// Visitors that are no people.
    pub robots: Robots,
    /// Sudden attention for one article.
    pub bursts: Vec<Burst>,
}

impl Default for Scenario {
    fn default() -> Self {
        Scenario {
            seed: 1,
            site: "news.example".into(),
            more_sites: Vec::new(),
            // A Monday at midnight UTC, so that a default week has five working days first.
            start: Timestamp::constant(1_772_409_600, 0),
            days: 14.0,
            requests_target: 0,
            content: Content::default(),
            arrivals: Arrivals::default(),
            channels: Channels::default(),
            openings: Openings::default(),
            sharing: Sharing::default(),
            tokens: Tokens::default(),
            audience: Audience::default(),
            reading: Reading::default(),
            apps: behaviour::default_apps(),
            networks: behaviour::default_networks(),
            delivery: Delivery::default(),
            robots: Robots::default(),
            bursts: vec![Burst::default()],
        }
    }
}

/// What the site publishes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Content {
    /// Articles that exist at the start, aged up to a year; 1 to 10⁶. Assumption.
    pub archive: u32,
    /// New articles a day, mostly by day; 0 to 10⁴. Assumption for a mid-size publisher.
    pub published_per_day: f64,
    /// Exponent of the Pareto law of popularity, P(X > x) ∝ x^−a; 0.5 to 5, smaller is heavier.
    /// 1.2 is within what is usual for news (assumption).
    pub popularity_exponent: f64,
    /// Hours after which interest of readers from social, referral and mail has halved; 0.1 to
    /// 10⁴. Assumption; bitly 2011 gives 2.8–3.4 h for links of one post.
    pub half_life_hours: f64,
    /// Part of articles whose interest does not fade, 0 to 1. Assumption.
    pub evergreen: f64,
    /// Names of the sections, each a path segment `[a-z0-9-]+`; at least one.
    pub sections: Vec<String>,
    /// Part of articles below `/YYYY/MM/DD/section/`, 0 to 1; the others are below `/section/`.
    pub dated_paths: f64,
    /// Part of articles that end in an id (`-1234567.html`), 0 to 1.
    pub numbered_paths: f64,
}

impl Default for Content {
    fn default() -> Self {
        let sections = [
            "politics", "world", "business", "science", "culture", "sport", "local",
        ];
        Content {
            archive: 600,
            published_per_day: 24.0,
            popularity_exponent: 1.2,
            half_life_hours: 14.0,
            evergreen: 0.06,
            sections: sections.map(String::from).to_vec(),
            dated_paths: 0.6,
            numbered_paths: 0.4,
        }
    }
}

/// Readers who come without anyone's private share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Arrivals {
    /// Landings a day that no share on this site caused; 0 to 10⁸. Assumption.
    pub per_day: f64,
    /// Relative weight of each hour of the day in UTC, 24 numbers of 0 or more, not all 0. The
    /// default has a low at 3 h and peaks at noon and 20 h. Assumption.
    pub hourly: Vec<f64>,
    /// Saturdays and Sundays against other days, 0 to 10. Assumption.
    pub weekend: f64,
}

impl Default for Arrivals {
    fn default() -> Self {
        let hourly = [
            22, 14, 9, 7, 8, 14, 30, 52, 66, 70, 68, 70, 78, 74, 68, 66, 66, 70, 76, 84, 88, 80,
            60, 38,
        ];
        Arrivals {
            per_day: 6_000.0,
            hourly: hourly.map(f64::from).to_vec(),
            weekend: 0.8,
        }
    }
}

/// Relative weights of what brings readers who were not sent privately; each 0 or more, not all 0.
/// Assumptions; dark search is kept a serious rival of private sharing among deep landings without
/// referrer (Groupon 2014: 60 % of deep "direct" was search, with the browsers of the time).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Channels {
    /// Search engines that send a referrer.
    pub search: f64,
    /// Search that leaves no referrer.
    pub dark_search: f64,
    /// Typed addresses: home page and sections mostly.
    pub typed: f64,
    /// Bookmarks and the like: home page, sections and single articles.
    pub bookmark: f64,
    /// Public posts (of people who did not visit first).
    pub social: f64,
    /// Links on other sites.
    pub referral: f64,
    /// AI assistants.
    pub assistant: f64,
    /// The site's newsletter, tagged with utm parameters.
    pub newsletter: f64,
    /// Advertisements, with click ids.
    pub paid: f64,
    /// Messages of people who did not visit first, those in public places of apps among them. Not
    /// published by anyone: 0 leaves whatever goes by apps to visitors.
    pub message: f64,
}

impl Default for Channels {
    fn default() -> Self {
        Channels {
            search: 30.0,
            dark_search: 12.0,
            typed: 16.0,
            bookmark: 5.0,
            social: 17.0,
            referral: 7.0,
            assistant: 2.0,
            newsletter: 8.0,
            paid: 5.0,
            message: 0.0,
        }
    }
}

/// How readers who were not sent privately come without a referrer, where nobody knows how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Openings {
    /// Part of searches without referrer that an app hands to the browser (a search widget, the
    /// search box of a system), 0 to 1: `Sec-Fetch-Site: none` in Chromium. The others come from a
    /// page of results whose referrer is taken off on the way, and say `cross-site`. The large
    /// engines' pages keep a referrer, so those are few; how few is an assumption.
    pub dark_search_by_app: f64,
    /// Part of paid clicks on phones that come from an advertisement inside an app, 0 to 1: the
    /// click id of Google without referrer, or TikTok's in its own browser. Assumption.
    pub paid_in_app: f64,
}

impl Default for Openings {
    fn default() -> Self {
        Openings {
            dark_search_by_app: 0.8,
            paid_in_app: 0.3,
        }
    }
}

/// How links are passed on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sharing {
    /// Probability that the reader of an article of mean virality shares it, above 0 to 1.
    /// Assumption, near the 1–4 % of readers that click share tools plus copies nobody sees.
    pub probability: f64,
    /// Mean number of visits that one visit to an article of mean virality causes by sharing; 0 to
    /// 0.95. Measured R of public cascades is .24–.38 (data sets of the project's own notes).
    pub reproduction: f64,
    /// Dispersion k of the negative-binomial number of visits per share, 0.05 to 1000; smaller is
    /// more uneven. Assumption: most shares bring nobody.
    pub dispersion: f64,
    /// Exponent of the Pareto law of virality between articles (mean 1), 1.1 to 20. Assumption.
    pub virality_exponent: f64,
    /// Largest reproduction of any article, 0 to 0.98; keeps every cascade finite.
    pub reproduction_limit: f64,
    /// Lomax exponent theta of the delay from share to click, 0.1 to 10. Fitted to Weibo and
    /// Twitter cascades: .46–.52.
    pub delay_exponent: f64,
    /// Lomax scale of that delay in seconds, 1 to 10⁶. Same fits: 650–1450 s.
    pub delay_scale_seconds: f64,
    /// Longest delay in hours, 0.1 to 8760.
    pub delay_limit_hours: f64,
    /// Probability that a reader who came by an app passes the link on by the same app, 0 to 1.
    pub same_app: f64,
    /// Probability that a recipient is on the sharer's home network, 0 to 1. Assumption.
    pub same_household: f64,
    /// Probability that a recipient has the sharer's language, 0 to 1, before chance. Assumption.
    pub same_language: f64,
    /// Part of shares that are posts on public networks, 0 to 1: RadiumOne 2016 found 84 % private.
    /// The others go by apps, a few of them into public places there ([`AppBehaviour::public`]).
    pub public: f64,
    /// Part of shares by the app that the reader came by that forward the message itself: the
    /// incoming link with its token, no new preview, 0 to 1. Assumption.
    pub forward: f64,
    /// Part of those who get a link and pass it on without opening it, 0 to 1: hops that no site
    /// sees. The mean number of visits a share brings stays the same. Not published by anyone.
    pub unseen: f64,
    /// Part of shares made with a button on the page, 0 to 1: AddThis ≈2011 gives 5–30 %.
    pub button: f64,
    /// Part of shares by copying that page script sees, 0 to 1; the address bar shows none.
    pub copy_seen: f64,
    /// Messages with a preview that are composed and never sent, per sent one, 0 to 1. Assumption.
    pub composed_unsent: f64,
    /// Part of mailed links that a security scanner opens before the reader, 0 to 1: 10–30 % is
    /// said of business mail.
    pub mail_scanned: f64,
}

impl Default for Sharing {
    fn default() -> Self {
        Sharing {
            probability: 0.05,
            reproduction: 0.25,
            dispersion: 0.5,
            virality_exponent: 2.0,
            reproduction_limit: 0.85,
            delay_exponent: 0.5,
            delay_scale_seconds: 900.0,
            delay_limit_hours: 96.0,
            same_app: 0.5,
            same_household: 0.06,
            same_language: 0.8,
            public: 0.16,
            forward: 0.2,
            unseen: 0.0,
            button: 0.15,
            copy_seen: 0.2,
            composed_unsent: 0.1,
            mail_scanned: 0.2,
        }
    }
}

/// Where a page keeps the share token in its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenPlace {
    /// No tokens at all.
    None,
    /// `?gv=…`: seen by servers, logs and preview fetchers.
    Query,
    /// `#gv=…`: seen by page script only.
    Fragment,
}

/// Share tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tokens {
    /// `none`, `query` or `fragment`.
    pub place: TokenPlace,
    /// Part of shared links that carry the sharer's token when they leave, 0 to 1. The rest are
    /// canonical links of system share sheets and hand-typed ones. Assumption.
    pub attached: f64,
    /// Part of return visits that come by the reader's own tagged address (history, open tab), 0
    /// to 1. Assumption.
    pub own_returning: f64,
}

impl Default for Tokens {
    fn default() -> Self {
        Tokens {
            place: TokenPlace::Query,
            attached: 0.8,
            own_returning: 0.4,
        }
    }
}

/// Who the readers are, and on what devices and networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audience {
    /// People who come again and again, 1 to 10⁹. Assumption.
    pub regulars: u64,
    /// Part of an arrival that is one of them: typed, bookmarked and newsletter arrivals and those
    /// of what the site sends without tags always are; this is for the rest, 0 to 1. Assumption.
    pub regular: f64,
    /// Part of arrivals on phones and tablets, 0 to 1; apps have their own. RadiumOne 2016: 62 %.
    pub mobile: f64,
    /// Part of phones that are iPhones, 0 to 1. Assumption near European and US shares.
    pub iphone: f64,
    /// Part of phone visits over the home network, 0 to 1; the others leave through a carrier.
    pub wifi: f64,
    /// Part of home networks that also speak IPv6, 0 to 1; half their visits use it.
    pub ipv6: f64,
    /// Addresses behind which a carrier hides its phones, 1 to 8192.
    pub carrier_addresses: u32,
    /// Home networks in all, 1 to 10⁷; above 65,536 several share an IPv4 address as behind
    /// carrier-grade NAT.
    pub households: u32,
    /// Relative weights of languages, `Accept-Language` primary tags with region, not all 0.
    pub languages: BTreeMap<String, f64>,
    /// Part of readers whose page script never runs, 0 to 1: in the log, not among page hits.
    /// Assumption.
    pub script_blocked: f64,
}

impl Default for Audience {
    fn default() -> Self {
        let languages = [
            ("en-US", 34.0),
            ("en-GB", 24.0),
            ("de-DE", 14.0),
            ("fr-FR", 8.0),
            ("es-ES", 8.0),
            ("pt-BR", 5.0),
            ("ja-JP", 3.0),
            ("ko-KR", 2.0),
            ("zh-CN", 2.0),
        ];
        Audience {
            regulars: 12_000,
            regular: 0.15,
            mobile: 0.62,
            iphone: 0.45,
            wifi: 0.6,
            ipv6: 0.45,
            carrier_addresses: 256,
            households: 60_000,
            languages: languages
                .map(|(tag, weight)| (tag.to_string(), weight))
                .into(),
            script_blocked: 0.06,
        }
    }
}

/// What readers do on the site. All probabilities are assumptions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reading {
    /// Probability of one more page after each page, 0 to 0.95.
    pub next_page: f64,
    /// Seconds on a page, mean of an exponential law, 1 to 3600.
    pub seconds_on_page: f64,
    /// Probability that a reader comes back to the same page without any link, 0 to 0.9.
    pub return_to_page: f64,
    /// Hours until then, mean of an exponential law, 0.01 to 1000.
    pub return_hours: f64,
    /// Requests for style sheets, scripts and pictures that a first page brings, 0 to 30.
    pub assets: u32,
    /// Part of landings that find nothing (404: links cut short), 0 to 1.
    pub not_found: f64,
    /// Part of landings that are first redirected (301: a missing slash, an old address), 0 to 1.
    pub redirected: f64,
    /// Part of search results that a browser loads in advance, 0 to 1 (`Sec-Purpose: prefetch`).
    pub prefetched: f64,
    /// Part of page views with an engagement hit, 0 to 1.
    pub engaged: f64,
    /// Part of page views with a conversion hit, 0 to 1.
    pub converted: f64,
}

impl Default for Reading {
    fn default() -> Self {
        Reading {
            next_page: 0.35,
            seconds_on_page: 55.0,
            return_to_page: 0.03,
            return_hours: 9.0,
            assets: 4,
            not_found: 0.006,
            redirected: 0.03,
            prefetched: 0.02,
            engaged: 0.5,
            converted: 0.004,
        }
    }
}

/// How hits reach a collector; an access log is written in order by one clock. The defaults are
/// perfect delivery, so that what is found wrong is the judgement's: set them to see what bad
/// delivery costs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Delivery {
    /// Seconds on the way, mean of an exponential law, 0 to 600: hits overtake each other.
    pub jitter_seconds: f64,
    /// Part of hits that are kept on the device and sent later, 0 to 1.
    pub late: f64,
    /// Minutes until then, mean of an exponential law, 0 to 1440; never more than a day.
    pub late_minutes: f64,
    /// Part of browsers whose clock is wrong, 0 to 1.
    pub skewed: f64,
    /// By how many minutes, mean of an exponential law, 0 to 10⁶; as often ahead as behind.
    pub skew_minutes: f64,
}

/// Visitors that are no people: requests a day of each kind, 0 to 10⁸. Assumptions; robots are
/// commonly a third to a half of all page requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Robots {
    /// Search engines' crawlers.
    pub search_per_day: f64,
    /// AI training and answering crawlers.
    pub ai_per_day: f64,
    /// SEO and marketing crawlers.
    pub seo_per_day: f64,
    /// Scripts, monitors and feed readers.
    pub tools_per_day: f64,
    /// Probes for holes, some with malformed requests.
    pub probes_per_day: f64,
    /// Robots under an ordinary browser's name.
    pub disguised_per_day: f64,
}

impl Default for Robots {
    fn default() -> Self {
        Robots {
            search_per_day: 1_500.0,
            ai_per_day: 1_200.0,
            seo_per_day: 800.0,
            tools_per_day: 500.0,
            probes_per_day: 150.0,
            disguised_per_day: 150.0,
        }
    }
}

/// What sets a burst off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BurstKind {
    /// A public post with many readers: all arrive from one network, or from one channel of a
    /// messenger.
    PublicPost,
    /// News that everyone looks for: search with and without referrer, typed, social.
    News,
    /// A rumour in private chats: all arrive by private messages, none from a reader of the site.
    Rumour,
    /// The first reader who shares the article from then on does so in a public place, tagged link
    /// and all: every arrival is that reader's child, and all come from one network or channel.
    PublicLink,
    /// The site itself sends it to its readers without tags: a push notification, an app's alert,
    /// an untagged newsletter. All arrive without referrer, most on phones; they are people who come
    /// again and again. Drawn scenarios have none, see [`Scenario::with_sent`].
    Sent,
}

impl BurstKind {
    /// Every kind.
    pub const ALL: &'static [BurstKind] = &[
        BurstKind::PublicPost,
        BurstKind::News,
        BurstKind::Rumour,
        BurstKind::PublicLink,
        BurstKind::Sent,
    ];
}

/// Sudden attention for the article that is newest at that time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// Hours after the start, 0 or more, within the period.
    pub at_hours: f64,
    /// What sets it off: `public_post`, `news`, `rumour`, `public_link` or `sent`.
    pub kind: BurstKind,
    /// Mean number of landings it brings by itself, 0 to 10⁷.
    pub landings: f64,
    /// Hours in which the rate doubles while it rises, from a 32nd of its peak; 0 to 100, 0 starts
    /// at the peak. Left out: 0.
    #[serde(default)]
    pub rise_hours: f64,
    /// Hours after the peak after which the rate has fallen to 1/e, 0.05 to 1000.
    pub decay_hours: f64,
    /// Reproduction of the article (see `sharing.reproduction`), 0 to 0.98: how far it then
    /// spreads in private. Of two bursts of one article the later one's holds from then on.
    pub reproduction: f64,
}

impl Default for Burst {
    fn default() -> Self {
        Burst {
            at_hours: 80.0,
            kind: BurstKind::PublicPost,
            landings: 1_500.0,
            rise_hours: 0.0,
            decay_hours: 6.0,
            reproduction: 0.6,
        }
    }
}
