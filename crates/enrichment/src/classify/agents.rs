//! User agents that were read before: a few hundred of them make most of the hits of a site.
//!
//! A pure function remembered: it changes no output and is no part of the state.

use grapevine_signals::{Agent, AgentKind, Device, Signals, WebViewSigns};
use hashbrown::HashMap;

/// User agents remembered; when there are more, all are forgotten.
const AGENTS_MAX: usize = 4_096;
/// Longer ones are rare and not remembered, bytes.
const AGENT_BYTES_MAX: usize = 512;

/// What user agents say, by places in the catalogue.
#[derive(Default)]
pub(super) struct Agents {
    known: HashMap<Box<str>, Known>,
    /// Families of systems and browsers.
    families: Vec<Box<str>>,
}

#[derive(Clone, Copy)]
struct Known {
    kind: Kind,
    in_app: Option<usize>,
    device: Device,
    os: usize,
    browser: usize,
    webview: WebViewSigns,
}

#[derive(Clone, Copy)]
enum Kind {
    Person,
    PreviewFetcher(usize),
    Robot(usize),
    MailScanner(usize),
    LibraryOrTool(usize),
    Empty,
}

impl Agents {
    /// What `user_agent` says, as [`Signals::agent`] has it.
    pub(super) fn read<'r>(&'r mut self, signals: &'r Signals, user_agent: &str) -> Agent<'r> {
        if !self.known.contains_key(user_agent) {
            let read = signals.agent(user_agent);
            if !self.remember(signals, user_agent, &read) {
                return read;
            }
        }
        match self.known.get(user_agent) {
            Some(known) => self.agent(signals, known),
            None => signals.agent(user_agent),
        }
    }

    fn agent<'r>(&'r self, signals: &'r Signals, known: &Known) -> Agent<'r> {
        // Places were found in these very slices.
        let robot = |at: usize| &signals.robots()[at];
        Agent {
            kind: match known.kind {
                Kind::Person => AgentKind::Person,
                Kind::Empty => AgentKind::Empty,
                Kind::PreviewFetcher(at) => AgentKind::PreviewFetcher(&signals.fetchers()[at]),
                Kind::Robot(at) => AgentKind::Robot(robot(at)),
                Kind::MailScanner(at) => AgentKind::MailScanner(robot(at)),
                Kind::LibraryOrTool(at) => AgentKind::LibraryOrTool(robot(at)),
            },
            in_app: known.in_app.map(|at| &signals.in_app_browsers()[at]),
            device: known.device,
            os: &self.families[known.os],
            browser: &self.families[known.browser],
            webview: known.webview,
        }
    }

    /// False where it cannot be remembered: too long, or of a row without a public place.
    fn remember(&mut self, signals: &Signals, user_agent: &str, read: &Agent<'_>) -> bool {
        let kind = match read.kind {
            AgentKind::Person => Some(Kind::Person),
            AgentKind::Empty => Some(Kind::Empty),
            AgentKind::PreviewFetcher(row) => {
                place(signals.fetchers(), row).map(Kind::PreviewFetcher)
            }
            AgentKind::Robot(row) => place(signals.robots(), row).map(Kind::Robot),
            AgentKind::MailScanner(row) => place(signals.robots(), row).map(Kind::MailScanner),
            AgentKind::LibraryOrTool(row) => place(signals.robots(), row).map(Kind::LibraryOrTool),
        };
        let in_app = match read.in_app {
            None => Some(None),
            Some(row) => place(signals.in_app_browsers(), row).map(Some),
        };
        let (Some(kind), Some(in_app)) = (kind, in_app) else {
            return false;
        };
        if user_agent.len() > AGENT_BYTES_MAX {
            return false;
        }
        if self.known.len() >= AGENTS_MAX {
            self.known.clear();
        }
        let known = Known {
            kind,
            in_app,
            device: read.device,
            os: self.family(read.os),
            browser: self.family(read.browser),
            webview: read.webview,
        };
        self.known.insert(user_agent.into(), known);
        true
    }

    fn family(&mut self, name: &str) -> usize {
        let known = self.families.iter().position(|family| **family == *name);
        known.unwrap_or_else(|| {
            self.families.push(name.into());
            self.families.len() - 1
        })
    }
}

fn place<T>(rows: &[T], row: &T) -> Option<usize> {
    rows.iter()
        .position(|candidate| std::ptr::eq(candidate, row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_was_read() {
        let signals = Signals::builtin();
        let mut agents = Agents::default();
        let robots = signals.robots().iter().flat_map(|row| &row.examples);
        let fetchers = signals.fetchers().iter().flat_map(|row| &row.examples);
        let in_app = signals
            .in_app_browsers()
            .iter()
            .flat_map(|row| &row.examples);
        let others = ["", "-", "some-unnamed-bot/1.0", "\u{0}\u{7f}"].map(str::to_owned);
        let all: Vec<&String> = robots
            .chain(fetchers)
            .chain(in_app)
            .chain(&others)
            .collect();
        for _ in 0..2 {
            for user_agent in &all {
                let expected = format!("{:?}", signals.agent(user_agent));
                assert_eq!(format!("{:?}", agents.read(&signals, user_agent)), expected);
            }
        }
        assert!(agents.known.len() > 100);
        for at in 0..2 * AGENTS_MAX {
            agents.read(&signals, &format!("Mozilla/5.0 {at}"));
            assert!(agents.known.len() <= AGENTS_MAX);
        }
    }
}
