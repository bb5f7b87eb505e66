//! Whether an entry is what it says: held to its own hosts, names and words, and to its examples.
//!
//! An earlier entry may take what a later one describes, and a condition may ask for more than was
//! meant. Neither shows before a visit is booked wrongly, so a user's own entries are tried when
//! they are read, and the built-in ones by this module's tests.

mod agents;
mod links;
mod places;
mod tags;

use crate::campaigns::CampaignRule;
use crate::pages::PageRule;
use crate::platforms::PlatformRule;
use crate::{AgentKind, Signals};

/// Entries of which [`Signals`] keeps only the words.
pub(crate) struct Words<'c> {
    pub(crate) campaigns: &'c [CampaignRule],
    pub(crate) pages: &'c [PageRule],
    pub(crate) platforms: &'c [PlatformRule],
}

/// What an entry should find and does not.
#[derive(Debug)]
pub(crate) struct Missed {
    /// The example, or the text made of one of the entry's words, and what it is instead.
    pub(crate) problem: String,
    /// What to do about it.
    pub(crate) fix: &'static str,
}

const FIX_EMPTY: &str =
    "give `examples`: whole texts as they were seen, which are tried at every start";
const FIX_EXAMPLE: &str =
    "correct the entry, or its `examples`, or take out the entry that takes it";
const FIX_WORD: &str = "write it as the README of grapevine-signals says, or remove the entry that \
                        takes it";

/// Tries every example of an entry; those of an entry that is not there are none.
pub(crate) fn check(
    signals: &Signals,
    words: &Words<'_>,
    table: &str,
    id: &str,
) -> Result<(), Missed> {
    match table {
        "fetcher" => signals
            .fetchers
            .iter()
            .filter(|row| row.id == id)
            .try_for_each(|row| {
                agents::each(signals, &row.examples, &|agent| {
                    matches!(agent.kind, AgentKind::PreviewFetcher(found) if found.id == id)
                })
            }),
        "robot" | "unnamed" => {
            let rows = match table {
                "robot" => &signals.robots,
                _ => &signals.unnamed,
            };
            rows.iter()
                .filter(|row| row.id == id)
                .try_for_each(|row| {
                    agents::each(signals, &row.examples, &|agent| {
                        agent.robot().is_some_and(|found| std::ptr::eq(found, row))
                    })
                })
        }
        "in_app" => signals
            .in_app
            .iter()
            .filter(|row| row.id == id)
            .try_for_each(|row| {
                agents::each(signals, &row.examples, &|agent| {
                    agent.is_person() && agent.in_app.is_some_and(|found| found.id == id)
                })
            }),
        "origin" => signals
            .origin(id)
            .map_or(Ok(()), |row| places::origin(signals, row)),
        "shim" => signals
            .shims
            .iter()
            .filter(|row| row.id == id)
            .try_for_each(|row| places::shim(signals, row)),
        "decoration" => signals
            .decorations()
            .iter()
            .filter(|row| row.id == id)
            .try_for_each(|row| links::decoration(signals, row)),
        "campaign" => words
            .campaigns
            .iter()
            .filter(|row| row.id == id)
            .try_for_each(|row| tags::campaign(signals, row)),
        "page" => words
            .pages
            .iter()
            .filter(|row| row.id == id)
            .try_for_each(|row| links::page(signals, row)),
        _ => words
            .platforms
            .iter()
            .filter(|row| row.id == id)
            .try_for_each(|row| agents::platform(signals, row)),
    }
}

fn not_empty(examples: &[String]) -> Result<(), Missed> {
    match examples.is_empty() {
        true => Err(missed("", "it has no example".to_owned(), FIX_EMPTY)),
        false => Ok(()),
    }
}

fn missed(example: &str, got: String, fix: &'static str) -> Missed {
    let problem = match example {
        "" => got,
        _ => format!("{example:?} is {got}"),
    };
    Missed { problem, fix }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    /// Every row of one kind, held to its own words.
    fn each(table: &'static str, ids: impl Fn(&Catalogue) -> Vec<String>) {
        let signals = Signals::builtin();
        let catalogue = Catalogue::load(None).unwrap();
        let words = Words {
            campaigns: &catalogue.campaigns,
            pages: &catalogue.pages,
            platforms: &catalogue.platforms,
        };
        let ids = ids(&catalogue);
        assert!(!ids.is_empty(), "{table}");
        let mut wrong = Vec::new();
        for id in ids {
            if let Err(missed) = check(&signals, &words, table, &id) {
                wrong.push(format!("{table} {id}: {}", missed.problem));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_campaign_entry_is_found_by_each_of_its_words() {
        each("campaign", |c| {
            c.campaigns.iter().map(|row| row.id.clone()).collect()
        });
    }

    #[test]
    fn every_page_entry_is_found_by_each_of_its_names() {
        each("page", |c| {
            c.pages.iter().map(|row| row.id.clone()).collect()
        });
    }

    #[test]
    fn every_platform_entry_is_found_by_each_of_its_tokens() {
        each("platform", |c| {
            c.platforms.iter().map(|row| row.id.clone()).collect()
        });
    }

    #[test]
    fn every_entry_of_another_table_is_found_by_its_examples() {
        each("fetcher", |c| {
            c.fetchers.iter().map(|row| row.id.clone()).collect()
        });
        each("robot", |c| {
            c.robots.iter().map(|row| row.id.clone()).collect()
        });
        each("in_app", |c| {
            c.in_app.iter().map(|row| row.id.clone()).collect()
        });
        each("origin", |c| {
            c.origins.iter().map(|row| row.id.clone()).collect()
        });
        each("shim", |c| {
            c.shims.iter().map(|row| row.id.clone()).collect()
        });
        each("decoration", |c| {
            c.decorations.iter().map(|row| row.id.clone()).collect()
        });
    }

    /// Patterns of isbot have samples of their own; see `robot_list_tests`.
    #[test]
    fn every_unnamed_robot_of_ours_is_found_by_its_examples() {
        each("unnamed", |c| {
            let ours = c.unnamed.iter();
            ours.filter(|row| !row.source.starts_with("npm package isbot"))
                .map(|row| row.id.clone())
                .collect()
        });
    }
}
