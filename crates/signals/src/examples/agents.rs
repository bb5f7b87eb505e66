//! Entries that user agents are held against.

use super::{FIX_EXAMPLE, FIX_WORD, Missed, missed, not_empty};
use crate::platforms::{PlatformKind, PlatformRule};
use crate::{Agent, AgentKind, Signals};

const FIX_AGENT: &str = "correct `tokens` or `match`, or its `examples`, or take out the entry that \
                         takes it";

/// Tries whole user agents, of which an entry of this kind has at least one.
pub(super) fn each(
    signals: &Signals,
    examples: &[String],
    is_it: &dyn Fn(&Agent<'_>) -> bool,
) -> Result<(), Missed> {
    not_empty(examples)?;
    for example in examples {
        let agent = signals.agent(example);
        if !is_it(&agent) {
            return Err(missed(example, in_words(&agent), FIX_AGENT));
        }
    }
    Ok(())
}

fn in_words(agent: &Agent<'_>) -> String {
    match (agent.kind, agent.in_app) {
        (AgentKind::PreviewFetcher(row), _) => format!("what fetcher `{}` takes", row.id),
        (
            AgentKind::Robot(row) | AgentKind::MailScanner(row) | AgentKind::LibraryOrTool(row),
            _,
        ) => format!("what robot `{}` takes", row.id),
        (AgentKind::Person, Some(row)) => format!("what in_app `{}` takes", row.id),
        (AgentKind::Person, None) => "an ordinary browser's, which no entry takes".to_owned(),
        (AgentKind::Empty, _) => "no user agent at all".to_owned(),
    }
}

/// Tries each token alone, and the examples.
pub(super) fn platform(signals: &Signals, row: &PlatformRule) -> Result<(), Missed> {
    let is_it = |text: &str, shown: &str, fix| {
        let agent = signals.agent(text);
        let found = match row.kind {
            PlatformKind::Os => agent.os,
            PlatformKind::Browser => agent.browser,
        };
        match found == row.id {
            true => Ok(()),
            false => Err(missed(shown, format!("of `{found}` by another entry"), fix)),
        }
    };
    for token in &row.tokens {
        // A token may begin or end with a space, which the ends of a text do not have.
        is_it(&format!("x {token} x"), token, FIX_WORD)?;
    }
    for example in &row.examples {
        is_it(example, example, FIX_EXAMPLE)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::{Conditions, MatcherBuilder};

    /// What a reader's user agent begins with in an app.
    const READER: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 ";

    /// Examples need not have every token of their row.
    #[test]
    fn every_token_is_found_alone() {
        let signals = Signals::builtin();
        let (mut tried, mut wrong) = (0, Vec::new());
        let mut hold =
            |row: (&str, &[String]), before: &str, is_it: &dyn Fn(&Agent<'_>) -> bool| {
                let (id, tokens) = row;
                for token in tokens {
                    tried += 1;
                    if let Err(missed) = each(&signals, &[format!("{before}{token}1.0")], is_it) {
                        wrong.push(format!("{id}: {}", missed.problem));
                    }
                }
            };
        for row in &signals.fetchers {
            hold(
                (&row.id, &row.tokens),
                "",
                &|agent| matches!(agent.kind, AgentKind::PreviewFetcher(found) if found.id == row.id),
            );
        }
        for row in &signals.robots {
            hold(
                (&row.id, &row.tokens),
                "Mozilla/5.0 (compatible; ",
                &|agent| agent.robot().is_some_and(|found| std::ptr::eq(found, row)),
            );
        }
        for row in &signals.in_app {
            hold((&row.id, &row.tokens), READER, &|agent| {
                agent.is_person() && agent.in_app.is_some_and(|found| found.id == row.id)
            });
        }
        assert!(tried > 250, "{tried} tokens");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_condition_has_an_example() {
        let signals = Signals::builtin();
        let (mut tried, mut wrong) = (0, Vec::new());
        let mut hold = |id: &str, conditions: &[Conditions], examples: &[String]| {
            for condition in conditions {
                tried += 1;
                let mut builder = MatcherBuilder::default();
                builder.rule(0, condition).unwrap();
                let alone = builder.build().unwrap();
                let holds = |example: &String| alone.first(&alone.scan(example), 0..1).is_some();
                if !examples.iter().any(holds) {
                    wrong.push(format!("{id}: {condition:?}"));
                }
            }
        };
        for row in &signals.fetchers {
            hold(&row.id, &row.conditions, &row.examples);
        }
        for row in &signals.robots {
            hold(&row.id, &row.conditions, &row.examples);
        }
        for row in &signals.in_app {
            hold(&row.id, &row.conditions, &row.examples);
        }
        assert!(tried > 30, "{tried} conditions");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
