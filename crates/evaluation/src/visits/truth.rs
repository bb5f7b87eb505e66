//! What really happened, as `grapevine simulate --truth` writes it.

use std::collections::HashMap;

use grapevine_event::Channel;
use serde::{Deserialize, Serialize};

use crate::measures::share;

/// One row of a truth file. Columns that scoring does not need are not read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Truth {
    /// Id of the hit.
    pub id: String,
    /// Number of the line in the access log, from 1; `None` where a server writes none.
    pub line: Option<u64>,
    /// `visit` for people, else what it is.
    pub kind: String,
    /// Whether it is a landing, not a later page.
    pub landing: bool,
    /// What brought it about.
    pub cause: String,
    /// The channel that a perfect classifier gives.
    pub channel: Channel,
    /// App, network, engine or robot, where there is one.
    pub app: String,
    /// Visit whose share token the link carried.
    pub token_of: Option<u64>,
    /// Number of the person, where there is one.
    pub person: Option<u64>,
    /// Number of the visit, where there is one.
    pub visit: Option<u64>,
    /// Visit whose reader shared the link.
    pub parent: Option<u64>,
}

impl Truth {
    /// True for a person who was sent the link in private.
    pub fn is_dark(&self) -> bool {
        self.kind == "visit" && self.channel == Channel::DarkSocial
    }

    /// True for a person who came from a search engine.
    pub fn is_search(&self) -> bool {
        self.kind == "visit" && self.channel == Channel::Search
    }

    /// True for a person's landing: what should be found.
    pub fn is_landing(&self) -> bool {
        self.kind == "visit" && self.landing
    }
}

/// Part of privately passed landings that arrived with a share token; `None` where there are none.
pub fn token_rate(truth: &[Truth]) -> Option<f64> {
    let dark = truth.iter().filter(|row| row.is_landing() && row.is_dark());
    share(dark.map(|row| row.token_of.is_some()))
}

/// Why a text is no truth file.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}; a truth file is what `grapevine simulate --truth FILE` writes")]
pub struct TruthError {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads a truth file: one JSON object a line.
///
/// # Errors
/// A line that is no row.
pub fn read_truth(text: &str) -> Result<Vec<Truth>, TruthError> {
    let rows = text.lines().enumerate();
    rows.filter(|(_, row)| !row.trim().is_empty())
        .map(|(at, row)| {
            serde_json::from_str(row).map_err(|error| TruthError {
                line: at + 1,
                reason: error.to_string(),
            })
        })
        .collect()
}

/// Truth by what the pipeline calls a visit.
pub(super) type ByVisit = HashMap<[u8; 16], Truth>;
