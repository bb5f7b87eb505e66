//! Readers that a user's own entries may not take for machines, nor for readers in an app.
//!
//! A token that is too wide (`Mozilla`) finds its own examples and every visit besides, and reports
//! would be of nobody. So the browsers that people use and the examples of the built-in in-app
//! browsers are tried against the whole catalogue.

use crate::{Agent, AgentKind, Signals};

/// Browsers that most people read with, as they name themselves: nothing of them is an app's or a
/// machine's. Versions as browsers of 2025 send them.
const BROWSERS: [(&str, &str); 14] = [
    (
        "Chrome on Windows",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    ),
    (
        "Chrome on macOS",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    ),
    (
        "Chrome on Linux",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    ),
    (
        "Chrome on ChromeOS",
        "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    ),
    (
        "Chrome on Android",
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
    ),
    (
        "Chrome on an iPhone",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/141.0.7390.96 Mobile/15E148 Safari/604.1",
    ),
    (
        "Edge on Windows",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
    ),
    (
        "Firefox on Windows",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
    ),
    (
        "Firefox on Linux",
        "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    ),
    (
        "Firefox on Android",
        "Mozilla/5.0 (Android 15; Mobile; rv:143.0) Gecko/143.0 Firefox/143.0",
    ),
    (
        "Safari on macOS",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
    ),
    (
        "Safari on an iPhone",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    ),
    (
        "Safari on an iPad",
        "Mozilla/5.0 (iPad; CPU OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1",
    ),
    (
        "Samsung Internet",
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
    ),
];

/// What to do about an entry that takes readers.
pub(crate) const FIX: &str =
    "make its `tokens` or `match` narrower, so that they find what you mean and no reader besides";

/// An entry of the user's own that takes a reader.
#[derive(Debug)]
pub(crate) struct Taken {
    /// The table of the entry.
    pub(crate) table: &'static str,
    /// Its id.
    pub(crate) id: String,
    /// Whom it takes.
    pub(crate) problem: String,
}

/// Tries every reader; `own` are tables and ids of the user's own entries. Built-in entries that the
/// user has changed are held to their own examples elsewhere.
pub(crate) fn check(signals: &Signals, own: &[(&'static str, String)]) -> Result<(), Taken> {
    if own.is_empty() {
        return Ok(());
    }
    let is_own = |table: &str, id: &str| own.iter().any(|(t, o)| *t == table && o == id);
    let refuse = |table: &'static str, id: &str, reader: &str, text: &str| match is_own(table, id) {
        true => Err(Taken {
            table,
            id: id.to_owned(),
            problem: format!("it takes {reader}, which is a reader's: {text:?}"),
        }),
        false => Ok(()),
    };
    for (browser, text) in BROWSERS {
        let agent = signals.agent(text);
        let in_app = agent.in_app.map(|row| ("in_app", row.id.as_str()));
        if let Some((table, id)) = machine(signals, &agent).or(in_app) {
            refuse(table, id, browser, text)?;
        }
    }
    let built_in = signals
        .in_app
        .iter()
        .filter(|row| !is_own("in_app", &row.id));
    for row in built_in {
        let reader = format!("an example of the built-in in_app `{}`", row.id);
        for text in &row.examples {
            if let Some((table, id)) = machine(signals, &signals.agent(text)) {
                refuse(table, id, &reader, text)?;
            }
        }
    }
    Ok(())
}

/// Table and id of the entry that takes a user agent for a machine's.
fn machine<'s>(signals: &Signals, agent: &Agent<'s>) -> Option<(&'static str, &'s str)> {
    match agent.kind {
        AgentKind::PreviewFetcher(row) => Some(("fetcher", row.id.as_str())),
        AgentKind::Robot(row) | AgentKind::MailScanner(row) | AgentKind::LibraryOrTool(row) => {
            let named = signals.robots.iter().any(|known| std::ptr::eq(known, row));
            Some((if named { "robot" } else { "unnamed" }, row.id.as_str()))
        }
        AgentKind::Person | AgentKind::Empty => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browsers_are_people_in_no_app() {
        let signals = Signals::builtin();
        for (browser, text) in BROWSERS {
            let agent = signals.agent(text);
            assert!(agent.is_person(), "{browser}: {:?}", agent.kind);
            assert!(agent.in_app.is_none(), "{browser}: {:?}", agent.in_app);
        }
    }
}
