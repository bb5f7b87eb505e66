//! What a user agent says: a person, in whose app, or which machine.

use serde::Deserialize;

use crate::fact::{Certainty, Surface};
use crate::matching::Conditions;

/// Whose address a preview fetch comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FetchAddress {
    /// The sharer's own device: the address is the sharer's.
    Sender,
    /// The service's machine: the address says only which service.
    Server,
    /// Not established.
    Unknown,
}

/// When a preview is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FetchTime {
    /// While the message is written: the message may never be sent.
    Compose,
    /// After it was sent.
    Post,
    /// When somebody looks at it.
    View,
    /// Not established.
    Unknown,
}

/// A program that fetches a page to show a preview of a link in a message or post.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetcher {
    /// Stable name of the entry.
    pub id: String,
    /// The [`crate::App`] whose messages show the preview.
    pub app: String,
    /// Name for people.
    pub name: String,
    /// Whose address the request comes from.
    pub address: FetchAddress,
    /// When it fetches.
    pub when: FetchTime,
    /// Whether a fetch means that somebody puts the link into a message or post. `false` for
    /// programs that come again at every view.
    pub share: bool,
    /// Whether the message is private.
    pub surface: Surface,
    /// How well it is known that this string means this app.
    pub certainty: Certainty,
    /// What a reader of the evidence should know.
    #[serde(default)]
    pub note: String,
    /// Where the fact is from.
    pub source: String,
    /// When the source was current: year, month or day.
    pub date: String,
    #[serde(default)]
    pub(crate) tokens: Vec<String>,
    #[serde(default, rename = "match")]
    pub(crate) conditions: Vec<Conditions>,
    /// User agents that must be recognised as this entry.
    pub examples: Vec<String>,
}

/// What a robot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RobotPurpose {
    /// Builds a search index.
    Search,
    /// Collects text to train models on.
    AiTraining,
    /// Builds the index an AI assistant searches.
    AiSearch,
    /// Fetches one page because a user asked an assistant: nobody reads the page itself.
    AiAssistant,
    /// Measures rankings and links.
    Seo,
    /// Watches availability or speed, headless browsers included.
    Monitoring,
    /// Polls feeds.
    Feed,
    /// Checks advertisements and landing pages.
    Ads,
    /// Keeps copies of pages.
    Archive,
    /// Looks for weaknesses.
    Security,
    /// Tests the links of mails before, or instead of, their reader.
    MailScanner,
    /// A library or command-line tool; whoever runs it did not say why.
    Tool,
    /// Recognised as a machine by its form only.
    Unnamed,
}

impl RobotPurpose {
    /// The word used in records and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            RobotPurpose::Search => "search",
            RobotPurpose::AiTraining => "ai-training",
            RobotPurpose::AiSearch => "ai-search",
            RobotPurpose::AiAssistant => "ai-assistant",
            RobotPurpose::Seo => "seo",
            RobotPurpose::Monitoring => "monitoring",
            RobotPurpose::Feed => "feed",
            RobotPurpose::Ads => "ads",
            RobotPurpose::Archive => "archive",
            RobotPurpose::Security => "security",
            RobotPurpose::MailScanner => "mail-scanner",
            RobotPurpose::Tool => "tool",
            RobotPurpose::Unnamed => "unnamed",
        }
    }
}

/// A program that reads pages on no person's behalf, or not for a person's own eyes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Robot {
    /// Stable name of the entry.
    pub id: String,
    /// Name for people; for [`RobotPurpose::Unnamed`] the pattern that matched.
    pub name: String,
    /// What it is for.
    pub purpose: RobotPurpose,
    /// Where the fact is from.
    pub source: String,
    /// When the source was current.
    pub date: String,
    #[serde(default)]
    pub(crate) tokens: Vec<String>,
    #[serde(default, rename = "match")]
    pub(crate) conditions: Vec<Conditions>,
    /// User agents that must be recognised as this entry.
    pub examples: Vec<String>,
}

/// A browser inside an app, recognised by a mark the app leaves: the visitor is a person.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InAppBrowser {
    /// Stable name of the entry.
    pub id: String,
    /// The [`crate::App`] around the browser.
    pub app: String,
    /// Name for people.
    pub name: String,
    /// Whether links opened here come from private messages.
    pub surface: Surface,
    /// As [`crate::Origin::public_too`].
    #[serde(default)]
    pub public_too: String,
    /// How well it is known that the mark means this app.
    pub certainty: Certainty,
    /// What a reader of the evidence should know.
    #[serde(default)]
    pub note: String,
    /// Where the fact is from.
    pub source: String,
    /// When the source was current.
    pub date: String,
    #[serde(default)]
    pub(crate) tokens: Vec<String>,
    #[serde(default, rename = "match")]
    pub(crate) conditions: Vec<Conditions>,
    /// User agents that must be recognised as this entry.
    pub examples: Vec<String>,
}

/// Who or what sent a request.
#[derive(Debug, Clone, Copy)]
pub enum AgentKind<'s> {
    /// Nothing speaks against a person.
    Person,
    /// Fetches a preview of a link that somebody puts into a message or post.
    PreviewFetcher(&'s Fetcher),
    /// Any other machine that reads pages.
    Robot(&'s Robot),
    /// Tests links in mails.
    MailScanner(&'s Robot),
    /// A library or command-line tool.
    LibraryOrTool(&'s Robot),
    /// No user agent at all.
    Empty,
}

/// The kind of device, as far as the user agent tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Device {
    /// A desktop or laptop computer. An iPad in its default mode says the same.
    Desktop,
    /// A telephone.
    Mobile,
    /// A tablet.
    Tablet,
    /// A television, a console, a machine, or not told.
    Other,
}

impl Device {
    /// The word used in records and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Device::Desktop => "desktop",
            Device::Mobile => "mobile",
            Device::Tablet => "tablet",
            Device::Other => "other",
        }
    }
}

/// Signs that a page is shown inside an app, none of which names the app.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct WebViewSigns {
    /// `; wv)`: Android's own mark. Apps remove it.
    pub wv: bool,
    /// `Version/4.0` with `Chrome/` on Android: often left behind when `wv` is removed.
    pub version_4: bool,
    /// Chrome 116 or later on Android that tells a real model, system or build, which Chrome
    /// itself stopped to do: a rewritten WebView, or another Chromium browser.
    pub unreduced: bool,
    /// iOS WebKit without `Safari/`: a bare WKWebView.
    pub bare_webkit: bool,
}

impl WebViewSigns {
    /// Whether there is any sign.
    pub fn any(self) -> bool {
        self.wv || self.version_4 || self.unreduced || self.bare_webkit
    }
}

/// Everything one user agent says.
#[derive(Debug, Clone, Copy)]
pub struct Agent<'s> {
    /// Who or what sent the request.
    pub kind: AgentKind<'s>,
    /// The app around the browser, when it leaves a mark.
    pub in_app: Option<&'s InAppBrowser>,
    /// The kind of device.
    pub device: Device,
    /// Family of the operating system, such as `ios`; `other` when not told.
    pub os: &'s str,
    /// Family of the browser, such as `chrome`; `other` when not told.
    pub browser: &'s str,
    /// Signs of a browser inside an app.
    pub webview: WebViewSigns,
}

impl<'s> Agent<'s> {
    /// Whether the request counts as a person's.
    pub fn is_person(&self) -> bool {
        matches!(self.kind, AgentKind::Person)
    }

    /// The fetcher, when the request is an observed share: somebody is putting the link into a
    /// message or post.
    pub fn share(&self) -> Option<&'s Fetcher> {
        match self.kind {
            AgentKind::PreviewFetcher(fetcher) if fetcher.share => Some(fetcher),
            _ => None,
        }
    }

    /// The robot, scanner or tool, if it is one.
    pub fn robot(&self) -> Option<&'s Robot> {
        match self.kind {
            AgentKind::Robot(r) | AgentKind::MailScanner(r) | AgentKind::LibraryOrTool(r) => {
                Some(r)
            }
            _ => None,
        }
    }
}
