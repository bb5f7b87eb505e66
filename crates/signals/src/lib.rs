//! What is known of apps, robots and links, as data files and automata.
//!
//! [`Signals`] answers, for one user agent, referrer, link, campaign tag or header at a time,
//! what it is: a person in WhatsApp's own browser, a preview fetcher of Signal, a link shim of
//! Facebook, a share token. Every fact is a row of a TOML file under `data/`, with its source
//! and date; [`Signals::with_overrides`] lays a user's own rows over them without a rebuild (the
//! README says how).
//!
//! What this crate is not: it does no I/O (callers read override files), keeps nothing between
//! calls, and draws no conclusion from several facts at once: that is `grapevine-inference`.
//!
//! ```
//! use grapevine_signals::{ReferrerKind, Signals};
//!
//! let signals = Signals::builtin();
//! let fetcher = signals.agent("WhatsApp/2").share().expect("a share");
//! assert_eq!(fetcher.app, "signal");
//! let referrer = signals.referrer("https://web.whatsapp.com/");
//! assert!(matches!(referrer.kind, ReferrerKind::PrivateApp(app) if app.id == "whatsapp"));
//! let link = signals.link("http://www.example.com/a/?utm_source=x&gv=Ab3#top").unwrap();
//! assert_eq!(link.canonical, "https://example.com/a");
//! assert_eq!(link.share_token.as_deref(), Some("Ab3"));
//! ```
#![forbid(unsafe_code)]

mod address;
mod agents;
mod campaigns;
mod catalogue;
mod decorations;
mod error;
mod escape;
mod examples;
mod fact;
mod few;
pub mod headers;
mod link;
mod matching;
mod origins;
mod pages;
mod pattern;
mod people;
mod platforms;
#[cfg(test)]
mod provenance_tests;
mod referrer;
#[cfg(test)]
mod robot_list_tests;
mod shape;
mod texts;

use std::borrow::Cow;

use hashbrown::HashMap;

pub use address::LINK_BYTES_MAX;
pub use agents::{
    Agent, AgentKind, Device, FetchAddress, FetchTime, Fetcher, InAppBrowser, Robot, RobotPurpose,
    WebViewSigns,
};
pub use campaigns::{CampaignCategory, CampaignClass};
pub use decorations::{Decoration, Form, Place, Says};
pub use error::{LinkError, SignalsError};
pub use fact::{Certainty, Surface};
pub use few::Few;
pub use link::{Campaign, KnownPages, Link, Mark, SHARE_TOKEN_BYTES_MAX, is_share_token};
pub use origins::{Origin, OriginCategory, Shim};
pub use pages::Resource;
pub use referrer::{Referrer, ReferrerKind};
pub use shape::Shape;
pub use texts::Texts;

use campaigns::CampaignIndex;
use catalogue::Catalogue;
use decorations::DecorationIndex;
use examples::Words;
use matching::{Conditions, Matcher, MatcherBuilder};
use origins::HostIndex;
use pages::Pages;
use platforms::Platforms;

/// The whole catalogue with its automata. Build it once and share it; it never changes.
#[derive(Debug)]
pub struct Signals {
    fetchers: Vec<Fetcher>,
    robots: Vec<Robot>,
    unnamed: Vec<Robot>,
    in_app: Vec<InAppBrowser>,
    origins: Vec<Origin>,
    shims: Vec<Shim>,
    matcher: Matcher,
    platforms: Platforms,
    hosts: HostIndex,
    shim_hosts: HostIndex,
    origin_ids: HashMap<Box<str>, u32>,
    packages: HashMap<Box<str>, u32>,
    aliases: HashMap<Box<str>, u32>,
    decorations: DecorationIndex,
    campaigns: CampaignIndex,
    pages: Pages,
    date: String,
    fingerprint: Option<String>,
}

impl Signals {
    /// The catalogue as shipped.
    pub fn builtin() -> Signals {
        Signals::build(None).expect("the built-in data is checked by this crate's tests")
    }

    /// The catalogue with a user's own rows laid over it. `name` is the file's name for errors.
    ///
    /// A row with the id of a built-in one replaces it key by key; `remove = true` takes it
    /// out; other rows are added and are tried before the built-in ones, in order of their ids.
    /// The order of rows in the text never matters.
    ///
    /// # Errors
    /// Text that is no TOML, unknown tables or keys, missing keys, patterns that do not
    /// compile, dates that are none, apps that are no origin, rows that their own examples (or
    /// hosts, packages, names and words) do not find, and rows that take readers for machines: each
    /// named with file, row, key and fix.
    pub fn with_overrides(text: &str, name: &str) -> Result<Signals, SignalsError> {
        Signals::build(Some((text, name)))
    }

    /// Date of the newest row, as `YYYY-MM-DD`, `YYYY-MM` or `YYYY`.
    pub fn data_date(&self) -> &str {
        &self.date
    }

    /// Version of the data: its date, and the fingerprint of a user's own rows where there are any,
    /// as in `2026-11-23+own.0701c24e`.
    pub fn version(&self) -> String {
        match &self.fingerprint {
            Some(fingerprint) => format!("{}+own.{fingerprint}", self.date),
            None => self.date.clone(),
        }
    }

    /// What a user's own rows say, in eight hexadecimal digits that no order, spacing or comment
    /// changes; `None` where there are none.
    pub fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }

    /// Who or what sends this user agent, in which app, on what. Looks at the first 2,048 bytes.
    pub fn agent(&self, user_agent: &str) -> Agent<'_> {
        let text = user_agent.trim();
        let scan = self.matcher.scan(text);
        let fetchers_end = self.fetchers.len() as u32;
        let robots_end = fetchers_end + self.robots.len() as u32;
        let in_app_end = robots_end + self.in_app.len() as u32;
        let unnamed_end = in_app_end + self.unnamed.len() as u32;

        let in_app = self.matcher.first(&scan, robots_end..in_app_end);
        let named = self.matcher.first(&scan, 0..robots_end);
        let kind = if text.is_empty() || text == "-" {
            AgentKind::Empty
        } else if let Some(entry) = named {
            match self.fetchers.get(entry as usize) {
                Some(fetcher) => AgentKind::PreviewFetcher(fetcher),
                None => robot_kind(&self.robots[(entry - fetchers_end) as usize]),
            }
        } else if in_app.is_some() {
            // The mark of a known app outweighs a form that merely looks like a machine's.
            AgentKind::Person
        } else {
            match self.matcher.first(&scan, in_app_end..unnamed_end) {
                Some(entry) => AgentKind::Robot(&self.unnamed[(entry - in_app_end) as usize]),
                None => AgentKind::Person,
            }
        };
        let browser = self.platforms.browser(&scan);
        Agent {
            kind,
            in_app: in_app.map(|entry| &self.in_app[(entry - robots_end) as usize]),
            device: self.platforms.device(&scan),
            os: self.platforms.os(&scan),
            browser,
            webview: self.platforms.webview(&scan, text, browser),
        }
    }

    /// Which place a page was opened from. Looks at the first 8,192 characters.
    pub fn referrer<'a>(&'a self, referrer: &'a str) -> Referrer<'a> {
        referrer::read(self, referrer)
    }

    /// The content's one address, and what was hung onto it.
    ///
    /// # Errors
    /// What is no absolute http or https address of at most [`LINK_BYTES_MAX`] bytes.
    pub fn link<'a>(&'a self, url: &'a str) -> Result<Link<'a>, LinkError> {
        link::read(&self.decorations, &self.pages, url)
    }

    /// As [`Signals::link`], faster where the page was read before.
    ///
    /// # Errors
    /// The same.
    pub fn known_link<'a>(
        &'a self,
        known: &'a mut KnownPages,
        url: &'a str,
    ) -> Result<Link<'a>, LinkError> {
        link::read_known(&self.decorations, &self.pages, known, url)
    }

    /// Where the address of a link shim (`l.facebook.com/l.php?u=…`) leads; `None` for any
    /// other address.
    pub fn unwrap_shim<'a>(&'a self, url: &'a str) -> Option<Cow<'a, str>> {
        referrer::unwrap_shim(self, url)
    }

    /// What campaign tags say; pass the empty text for an absent one.
    pub fn campaign(&self, source: &str, medium: &str) -> CampaignClass<'_> {
        campaigns::classify(self, source, medium)
    }

    /// The app of an Android package or iOS bundle id, as in `X-Requested-With`. The same
    /// header holds `XMLHttpRequest` on data loads, which is no package.
    pub fn package(&self, package: &str) -> Option<&Origin> {
        let mut room = [0; origins::LOWER_BYTES];
        let package = origins::lower_in(package.trim(), &mut room);
        self.packages
            .get(&*package)
            .map(|at| &self.origins[*at as usize])
    }

    /// An origin by its id.
    pub fn origin(&self, id: &str) -> Option<&Origin> {
        self.origin_ids
            .get(id)
            .map(|at| &self.origins[*at as usize])
    }

    /// The origin a host in lower case belongs to.
    pub fn origin_of_host(&self, host: &str) -> Option<&Origin> {
        self.hosts.find(host).map(|at| &self.origins[at as usize])
    }

    /// What a path serves: a page, or something that is no reading.
    pub fn resource(&self, path: &str) -> Resource {
        self.pages.resource(path)
    }

    /// Whether a path is a file that pages load, such as a style or a picture.
    pub fn is_asset(&self, path: &str) -> bool {
        self.pages.resource(path) == Resource::Asset
    }

    /// Every preview fetcher, in order of precedence.
    pub fn fetchers(&self) -> &[Fetcher] {
        &self.fetchers
    }

    /// Every named robot, scanner and tool, in order of precedence.
    pub fn robots(&self) -> &[Robot] {
        &self.robots
    }

    /// Every in-app browser, in order of precedence.
    pub fn in_app_browsers(&self) -> &[InAppBrowser] {
        &self.in_app
    }

    /// Every origin.
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// Every link shim.
    pub fn shims(&self) -> &[Shim] {
        &self.shims
    }

    /// Every decoration.
    pub fn decorations(&self) -> &[Decoration] {
        self.decorations.entries()
    }

    pub(crate) fn shim_of_host(&self, host: &str) -> Option<&Shim> {
        self.shim_hosts
            .find(host)
            .map(|at| &self.shims[at as usize])
    }

    pub(crate) fn campaigns(&self) -> &CampaignIndex {
        &self.campaigns
    }

    /// The origin that a campaign source in lower case names.
    pub(crate) fn origin_of_campaign(&self, source: &str) -> Option<&Origin> {
        let by_name = self
            .aliases
            .get(source)
            .map(|at| &self.origins[*at as usize]);
        let by_host = || {
            source
                .contains('.')
                .then(|| self.origin_of_host(source))
                .flatten()
        };
        by_name.or_else(by_host).or_else(|| self.package(source))
    }

    fn build(overrides: Option<(&str, &str)>) -> Result<Signals, SignalsError> {
        let mut catalogue = Catalogue::load(overrides)?;
        let mut builder = MatcherBuilder::default();
        let mut entry = 0;
        let mut add = |table, id: &str, tokens: &[String], conditions: &[Conditions]| {
            if tokens.is_empty() && conditions.is_empty() {
                let problem = "neither `tokens` nor `match`: it would match nothing".to_owned();
                return Err(catalogue.error(table, id, problem));
            }
            for token in tokens {
                let has = vec![token.clone()];
                builder
                    .rule(
                        entry,
                        &Conditions {
                            has,
                            ..Conditions::default()
                        },
                    )
                    .map_err(|problem| catalogue.error(table, id, problem))?;
            }
            for condition in conditions {
                builder
                    .rule(entry, condition)
                    .map_err(|problem| catalogue.error(table, id, problem))?;
            }
            entry += 1;
            Ok(())
        };
        for row in &catalogue.fetchers {
            add("fetcher", &row.id, &row.tokens, &row.conditions)?;
        }
        for row in &catalogue.robots {
            add("robot", &row.id, &row.tokens, &row.conditions)?;
        }
        for row in &catalogue.in_app {
            add("in_app", &row.id, &row.tokens, &row.conditions)?;
        }
        for row in &catalogue.unnamed {
            add("unnamed", &row.id, &row.tokens, &row.conditions)?;
        }
        let platforms = Platforms::new(&catalogue.platforms, &mut builder);
        let matcher = builder.build().map_err(|overflow| SignalsError::TooMany {
            file: overrides
                .map_or("built-in data", |(_, name)| name)
                .to_owned(),
            what: overflow.what,
            count: overflow.count,
            max: matching::BITS_MAX,
        })?;

        let mut hosts = HostIndex::default();
        let mut origin_ids: HashMap<Box<str>, u32> = HashMap::new();
        let mut packages = HashMap::new();
        let mut aliases: HashMap<Box<str>, u32> = HashMap::new();
        for (at, origin) in catalogue.origins.iter().enumerate() {
            let at = at as u32;
            for host in &origin.hosts {
                hosts
                    .add(host, at)
                    .map_err(|p| catalogue.error("origin", &origin.id, p))?;
            }
            for package in &origin.packages {
                packages
                    .entry(package.to_ascii_lowercase().into())
                    .or_insert(at);
            }
            for alias in &origin.aliases {
                aliases
                    .entry(alias.to_ascii_lowercase().into())
                    .or_insert(at);
            }
            origin_ids.insert(origin.id.as_str().into(), at);
        }
        for (at, origin) in catalogue.origins.iter().enumerate() {
            aliases
                .entry(origin.id.as_str().into())
                .or_insert(at as u32);
        }
        let mut shim_hosts = HostIndex::default();
        for (at, shim) in catalogue.shims.iter().enumerate() {
            for host in &shim.hosts {
                shim_hosts
                    .add(host, at as u32)
                    .map_err(|p| catalogue.error("shim", &shim.id, p))?;
            }
        }
        let rows = std::mem::take(&mut catalogue.decorations);
        let decorations = DecorationIndex::new(rows)
            .map_err(|(id, problem)| catalogue.error("decoration", &id, problem))?;
        let (own, date) = (
            std::mem::take(&mut catalogue.own),
            std::mem::take(&mut catalogue.date),
        );
        let fingerprint = catalogue.fingerprint.take();
        let files: Vec<String> = own.iter().map(|(t, id)| catalogue.file(t, id)).collect();
        let signals = Signals {
            fetchers: catalogue.fetchers,
            robots: catalogue.robots,
            unnamed: catalogue.unnamed,
            in_app: catalogue.in_app,
            origins: catalogue.origins,
            shims: catalogue.shims,
            matcher,
            platforms,
            hosts,
            shim_hosts,
            origin_ids,
            packages,
            aliases,
            decorations,
            campaigns: CampaignIndex::new(&catalogue.campaigns),
            pages: Pages::new(&catalogue.pages),
            date,
            fingerprint,
        };
        let words = Words {
            campaigns: &catalogue.campaigns,
            pages: &catalogue.pages,
            platforms: &catalogue.platforms,
        };
        for (&(table, ref entry), file) in own.iter().zip(files) {
            examples::check(&signals, &words, table, entry).map_err(|missed| {
                SignalsError::Entry {
                    file,
                    table,
                    entry: entry.clone(),
                    problem: missed.problem,
                    fix: missed.fix,
                }
            })?;
        }
        people::check(&signals, &own).map_err(|taken| SignalsError::Entry {
            file: overrides.map_or_else(String::new, |(_, name)| name.to_owned()),
            table: taken.table,
            entry: taken.id,
            problem: taken.problem,
            fix: people::FIX,
        })?;
        Ok(signals)
    }
}

fn robot_kind(robot: &Robot) -> AgentKind<'_> {
    match robot.purpose {
        RobotPurpose::MailScanner => AgentKind::MailScanner(robot),
        RobotPurpose::Tool => AgentKind::LibraryOrTool(robot),
        _ => AgentKind::Robot(robot),
    }
}
