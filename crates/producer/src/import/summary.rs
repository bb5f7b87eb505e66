//! What became of every line.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::site::Site;

/// Why a line that reads well is no hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// A style, script, picture or font.
    Asset,
    /// `robots.txt`, site maps, `.well-known`, interfaces.
    Machine,
    /// A feed.
    Feed,
    /// Answered with a redirect; where it leads is a line of its own.
    Redirect,
    /// Answered with an error. A preview fetch that fails shows nothing and is no share.
    ErrorStatus,
    /// Another method than GET.
    NotGet,
    /// No HTTP request, or one without a path.
    BadRequest,
    /// Asked for another host, as those do who look for open proxies.
    ForeignHost,
}

/// The first dead letter, to show what was wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterNote {
    /// Line number from 1.
    pub line: u64,
    /// Fixed name of the reason.
    pub reason: Cow<'static, str>,
    /// The reason in words.
    pub detail: String,
}

/// What became of every line of one source. Counts are of lines and add up:
/// `lines = known + people + previews + robots + skipped + dead letters + blank`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportSummary {
    /// Name of the source.
    pub source: String,
    /// Site imported into.
    pub site: String,
    /// Lines read.
    pub lines: u64,
    /// Lines imported before.
    pub known: u64,
    /// Hits of people.
    pub people: u64,
    /// Hits of preview fetchers.
    pub previews: u64,
    /// Hits of robots, tools, and of clients without a user agent.
    pub robots: u64,
    /// Lines that are no hits, by reason.
    pub skipped: BTreeMap<Skip, u64>,
    /// Dead letters, by reason.
    pub dead_letters: BTreeMap<Cow<'static, str>, u64>,
    /// The first dead letter.
    pub first_dead_letter: Option<LetterNote>,
    /// Empty lines.
    pub blank: u64,
    /// A last line without a line end that is not whole: its length in bytes. It is read when
    /// the file has grown.
    pub held_back: Option<u64>,
    /// Lines whose time is before that of the line before: normal in logs written as requests
    /// end, and at a change of the clock.
    pub went_back: u64,
    /// Earliest time of a hit, milliseconds since 1970 UTC.
    pub first_time: Option<i64>,
    /// Latest time of a hit.
    pub last_time: Option<i64>,
    /// The caller stopped it: importing again goes on there.
    pub stopped: bool,
}

impl ImportSummary {
    pub(super) fn new(source: &str, site: &Site) -> ImportSummary {
        ImportSummary {
            source: source.to_owned(),
            site: site.to_string(),
            lines: 0,
            known: 0,
            people: 0,
            previews: 0,
            robots: 0,
            skipped: BTreeMap::new(),
            dead_letters: BTreeMap::new(),
            first_dead_letter: None,
            blank: 0,
            held_back: None,
            went_back: 0,
            first_time: None,
            last_time: None,
            stopped: false,
        }
    }

    /// Hits appended.
    pub fn hits(&self) -> u64 {
        self.people + self.previews + self.robots
    }

    /// Lines that are no hits for a named reason.
    pub fn skipped_total(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// Dead letters appended.
    pub fn dead_letters_total(&self) -> u64 {
        self.dead_letters.values().sum()
    }

    pub(super) fn saw_hit_at(&mut self, time: i64) {
        self.first_time = Some(self.first_time.map_or(time, |first| first.min(time)));
        self.last_time = Some(self.last_time.map_or(time, |last| last.max(time)));
    }
}
