//! Whether an entry is what it says: held to its own examples, or to its own hosts, names and words.
//!
//! An earlier entry may take what a later one describes, and a condition may ask for more than was
//! meant. Neither shows before a visit is booked wrongly, so a user's own entries are tried when
//! they are read, and the built-in ones by this module's tests.

use crate::campaigns::CampaignRule;
use crate::decorations::{Decoration, Form, Place, Says};
use crate::origins::Origin;
use crate::pages::{PageRule, PageRuleKind, Resource};
use crate::platforms::{PlatformKind, PlatformRule};
use crate::{Agent, AgentKind, Signals};

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

const FIX_AGENT: &str = "correct `tokens` or `match`, or its `examples`, or take out the entry that \
                         takes it";
const FIX_EMPTY: &str =
    "give `examples`: whole texts as they were seen, which are tried at every start";
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
                agents(signals, &row.examples, &|agent| {
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
                    agents(signals, &row.examples, &|agent| {
                        agent.robot().is_some_and(|found| std::ptr::eq(found, row))
                    })
                })
        }
        "in_app" => signals
            .in_app
            .iter()
            .filter(|row| row.id == id)
            .try_for_each(|row| {
                agents(signals, &row.examples, &|agent| {
                    agent.is_person() && agent.in_app.is_some_and(|found| found.id == id)
                })
            }),
        "origin" => signals
            .origin(id)
            .map_or(Ok(()), |row| origin(signals, row)),
        "shim" => signals
            .shims
            .iter()
            .filter(|row| row.id == id)
            .try_for_each(|row| shim(signals, &row.examples)),
        "decoration" => signals
            .decorations()
            .iter()
            .filter(|row| row.id == id)
            .try_for_each(|row| decoration(signals, row)),
        "campaign" => words
            .campaigns
            .iter()
            .filter(|row| row.id == id)
            .try_for_each(|row| campaign(signals, row)),
        "page" => words
            .pages
            .iter()
            .filter(|row| row.id == id)
            .try_for_each(|row| page(signals, row)),
        _ => words
            .platforms
            .iter()
            .filter(|row| row.id == id)
            .try_for_each(|row| platform(signals, row)),
    }
}

fn agents(
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

fn origin(signals: &Signals, row: &Origin) -> Result<(), Missed> {
    let is_it = |example: &str, found: Option<&Origin>| match found {
        Some(found) if found.id == row.id => Ok(()),
        Some(found) => {
            let got = format!("of origin `{}`", found.id);
            Err(missed(example, got, FIX_WORD))
        }
        None => Err(missed(example, "of no origin".to_owned(), FIX_WORD)),
    };
    for host in &row.hosts {
        let url = format!("https://{}/", a_host(host));
        is_it(&url, signals.referrer(&url).origin())?;
    }
    for package in &row.packages {
        is_it(package, signals.package(package))?;
    }
    for alias in row.aliases.iter().chain([&row.id]) {
        is_it(alias, signals.campaign(alias, "").origin)?;
    }
    Ok(())
}

/// A host that a name as data files write it stands for.
fn a_host(name: &str) -> String {
    let plain = name.trim_start_matches('=');
    plain.replace(".*", ".co.uk").replace('*', "eu")
}

fn shim(signals: &Signals, examples: &[String]) -> Result<(), Missed> {
    not_empty(examples)?;
    for example in examples {
        if signals.unwrap_shim(example).is_none() {
            let fix = "correct `hosts`, `path` or `parameters`, or the example";
            return Err(missed(
                example,
                "an address that leads nowhere".to_owned(),
                fix,
            ));
        }
    }
    Ok(())
}

fn decoration(signals: &Signals, row: &Decoration) -> Result<(), Missed> {
    let name = row.name.replace('*', "x");
    let value = match (row.values.first(), row.form) {
        (Some(value), _) => value.as_str(),
        (None, Some(Form::Host)) => "example.org",
        (None, None) => "v",
    };
    let host = row.hosts.first().map_or("site.example", String::as_str);
    let sign = match row.place {
        Place::Fragment => '#',
        Place::Query | Place::Both => '?',
    };
    let bare = format!("https://{host}/a");
    let url = format!("{bare}{sign}{name}={value}");
    let Ok(link) = signals.link(&url) else {
        return Err(missed(&url, "no address of a page".to_owned(), FIX_WORD));
    };
    let campaign = &link.campaign;
    let is_value = |found: &Option<std::borrow::Cow<'_, str>>| found.as_deref() == Some(value);
    let said = match row.says {
        Says::ShareToken => link.share_token.as_deref() == Some(value),
        Says::ClickId => link.click_ids.iter().any(|found| found.id == row.id),
        Says::ShareMark => link
            .share_marks
            .iter()
            .any(|mark| mark.decoration.id == row.id),
        Says::CampaignSource => is_value(&campaign.source),
        Says::CampaignMedium => is_value(&campaign.medium),
        Says::CampaignName => is_value(&campaign.name),
        Says::CampaignContent => is_value(&campaign.content),
        Says::CampaignTerm => is_value(&campaign.term),
        Says::CampaignId => is_value(&campaign.id),
        Says::MailId => {
            is_value(&campaign.id) && link.mailed_by().is_some_and(|found| found.id == row.id)
        }
        Says::Recipient => link
            .recipient
            .as_ref()
            .is_some_and(|mark| mark.decoration.id == row.id),
        Says::Tracking | Says::Session => link.canonical == bare,
        // Fragments are no part of a content whatever they hold.
        Says::Content => sign == '#' || link.canonical != bare,
    };
    let kept = match row.says {
        Says::Content => false,
        _ => link.canonical != bare,
    };
    match said && !kept {
        true => Ok(()),
        false => {
            let got = format!("read as {} with nothing of that in it", link.canonical);
            Err(missed(&url, got, FIX_WORD))
        }
    }
}

fn campaign(signals: &Signals, row: &CampaignRule) -> Result<(), Missed> {
    let is_it = |example: &str, source: &str, medium: &str| {
        let found = signals.campaign(source, medium).category;
        match found == row.category {
            true => Ok(()),
            false => {
                let got = format!("{found:?} by another entry, not {:?}", row.category);
                Err(missed(example, got, FIX_WORD))
            }
        }
    };
    for medium in &row.mediums {
        is_it(medium, "", medium)?;
    }
    for start in &row.medium_starts {
        let medium = format!("{start}-x");
        is_it(&medium, "", &medium)?;
    }
    for end in &row.medium_ends {
        let medium = format!("x-{end}");
        is_it(&medium, "", &medium)?;
    }
    for source in &row.sources {
        is_it(source, source, "")?;
    }
    Ok(())
}

fn page(signals: &Signals, row: &PageRule) -> Result<(), Missed> {
    for name in &row.names {
        let expected = match row.kind {
            PageRuleKind::Index if signals.pages.is_index(name) => continue,
            PageRuleKind::Section if signals.pages.is_section(name) => continue,
            PageRuleKind::Index | PageRuleKind::Section => {
                let got = "longer than any name that is looked for".to_owned();
                return Err(missed(name, got, FIX_WORD));
            }
            PageRuleKind::AssetExtension | PageRuleKind::AssetPrefix => Resource::Asset,
            PageRuleKind::DocumentExtension => Resource::Document,
            PageRuleKind::FeedExtension | PageRuleKind::FeedName => Resource::Feed,
            PageRuleKind::MachinePrefix => Resource::Machine,
        };
        let path = match row.kind {
            PageRuleKind::AssetPrefix | PageRuleKind::MachinePrefix => format!("{name}x"),
            PageRuleKind::FeedName => format!("/a/{name}"),
            _ => format!("/a/b.{name}"),
        };
        let found = signals.resource(&path);
        if found != expected {
            let got = format!("{found:?} by another entry, not {expected:?}");
            return Err(missed(&path, got, FIX_WORD));
        }
    }
    Ok(())
}

fn platform(signals: &Signals, row: &PlatformRule) -> Result<(), Missed> {
    for token in &row.tokens {
        // A token may begin or end with a space, which the ends of a text do not have.
        let text = format!("x {token} x");
        let agent = signals.agent(&text);
        let found = match row.kind {
            PlatformKind::Os => agent.os,
            PlatformKind::Browser => agent.browser,
        };
        if found != row.id {
            let got = format!("of `{found}` by another entry");
            return Err(missed(token, got, FIX_WORD));
        }
    }
    Ok(())
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
