//! Where every row of every table is from. A row that nobody can look up again is a rumour, and a
//! list that may not be copied is named for single facts only.

use crate::catalogue::{is_date, provenance};

const SOURCES: &str = include_str!("../data/SOURCES.md");

/// A list in the table of `SOURCES.md`.
struct List {
    /// As rows name it, with its version where it has one.
    name: &'static str,
    licence: &'static str,
    /// Nothing of it may be copied here: rows rest on it for single facts, and say so.
    facts_only: bool,
}

/// The table under "Lists": the name in backticks, what it is, its licence, what was taken.
fn lists() -> Vec<List> {
    let mut sections = SOURCES.split("\n## ");
    let table = sections.find(|section| section.starts_with("Lists\n"));
    let rows = table
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 6, "four cells: {row}");
        List {
            name: cells[1].trim_matches('`'),
            licence: cells[3],
            facts_only: cells[4].starts_with("facts only"),
        }
    })
    .collect()
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Seven digits of a commit, or a release in three numbers.
fn is_version(word: &str) -> bool {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let release: Vec<&str> = word.split('.').collect();
    (word.len() == 7 && word.bytes().all(hexadecimal))
        || (release.len() == 3 && release.into_iter().all(digits))
}

fn words(source: &str) -> Vec<&str> {
    let around = |c: char| matches!(c, '(' | ')' | ',' | ';' | ':');
    let words = source.split_whitespace();
    let words = words.map(|word| word.trim_matches(around));
    words.filter(|word| !word.is_empty()).collect()
}

/// A name with dots whose last part is of letters: an address, or a file of a program named.
fn is_address(word: &str) -> bool {
    let host = word.split('/').next().unwrap_or_default();
    let Some((above, last)) = host.rsplit_once('.') else {
        return false;
    };
    last.len() > 1
        && last.bytes().all(|byte| byte.is_ascii_alphabetic())
        && above.split('.').all(|label| !label.is_empty())
}

/// A number that finds it again: of an issue, a pull request, or a file of the code index.
fn is_numbered(pair: &[&str]) -> bool {
    matches!(pair, ["issue" | "request" | "file" | "files", number] if digits(number))
}

/// What is wrong with a row's source or date.
fn fault(source: &str, date: &str, lists: &[List]) -> Option<String> {
    let is_day = date.len() == 10;
    let is_year_named = date.len() == 4 && source.contains(date);
    if !is_date(date) || !("2010".."2100").contains(&&date[..4]) || !(is_day || is_year_named) {
        return Some(format!(
            "date {date:?} is no day, nor a year that the source names"
        ));
    }
    let words = words(source);
    let named: Vec<&List> = lists.iter().filter(|l| source.contains(l.name)).collect();
    let found = !named.is_empty()
        || source.contains("Grapevine's own")
        || words.iter().any(|word| is_address(word))
        || words.windows(2).any(is_numbered);
    if !found {
        return Some("neither a list of SOURCES.md nor an address, an issue or a file".into());
    }
    for (at, version) in words
        .iter()
        .enumerate()
        .filter(|(_, word)| is_version(word))
    {
        let before = at.checked_sub(1).map(|at| words[at]).unwrap_or_default();
        let is_file = matches!(before, "file" | "files") || digits(before);
        if !is_file && !named.iter().any(|list| list.name.ends_with(*version)) {
            return Some(format!(
                "`{before} {version}` is not in the table of SOURCES.md"
            ));
        }
    }
    for list in lists {
        let Some((family, version)) = list.name.rsplit_once(' ') else {
            continue;
        };
        if !is_version(version) {
            continue;
        }
        for (at, _) in source.match_indices(family) {
            let rest = source[at + family.len()..].trim_start();
            let others = ["issue ", "rules issue ", "pull request ", "(file"];
            if !rest.starts_with(version) && !others.iter().any(|other| rest.starts_with(*other)) {
                return Some(format!("`{family}` without the version in SOURCES.md"));
            }
        }
    }
    for list in named.iter().filter(|list| list.facts_only) {
        let mut clauses = source.split(';').filter(|part| part.contains(list.name));
        if !clauses.all(|part| part.contains("single fact")) {
            return Some(format!(
                "`{}` may not be copied: say which single fact",
                list.name
            ));
        }
    }
    None
}

#[test]
fn every_row_of_every_table_has_a_source_that_can_be_looked_up_and_a_date() {
    let lists = lists();
    let rows = provenance();
    assert!(rows.len() > 1_000, "{} rows", rows.len());
    let faults: Vec<_> = rows
        .iter()
        .filter_map(|(table, id, source, date)| {
            let fault = fault(source, date, &lists)?;
            Some(format!("{table} `{id}`: {fault}: {source:?}"))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_list_has_a_licence_and_rows_that_name_it() {
    let lists = lists();
    assert!(lists.len() > 15, "{} lists", lists.len());
    let rows = provenance();
    for list in &lists {
        assert!(list.licence.len() > 2, "{}: no licence", list.name);
        assert!(
            rows.iter()
                .any(|(_, _, source, _)| source.contains(list.name)),
            "{}: no row names it",
            list.name
        );
    }
}

#[test]
fn a_row_without_a_source_worth_the_name_is_found() {
    let lists = lists();
    let day = "2026-11-29";
    let none = |source, date| assert_eq!(fault(source, date, &lists), None, "{source:?} {date}");
    none("hosts in matomo searchengine-and-social-list 3b3a82d", day);
    none("developers.facebook.com/docs/sharing", day);
    none("allinurl/goaccess issue 808", day);
    none(
        "links (files 9871630, 1148050689 of a public code index)",
        day,
    );
    none("signalapp/Signal-Android File.java @010285d", day);
    none("ClearURLs rules issue 289", day);
    none("DeVera 2023, blog.example.org", "2023");
    none("on x.com as a single fact in ClearURLs 9317c06", day);

    let some = |source, date, said: &str| {
        let found = fault(source, date, &lists).unwrap_or_default();
        assert!(found.contains(said), "{source:?} {date}: {found:?}");
    };
    some("test", day, "neither");
    some("", day, "neither");
    some("the service's own domain", day, "neither");
    some("the programs' own user agents", day, "neither");
    some("three unrelated public code bases", day, "neither");
    some("example.org", "2026", "no day");
    some("example.org", "2026-11", "no day");
    some("example.org", "2026-11-31", "no day");
    some("example.org", "1999-01-01", "no day");
    some("example.org", "", "no day");
    some("hosts in somebody's list 1234abc", day, "neither");
    some(
        "example.org; somebody's list 1234abc",
        day,
        "not in the table",
    );
    some(
        "example.org; somebody's program 1.2.9",
        day,
        "not in the table",
    );
    some("crawler-user-agents 7c7f9f3", day, "neither");
    some(
        "example.org; crawler-user-agents",
        day,
        "without the version",
    );
    some("hosts in ClearURLs 9317c06", day, "may not be copied");
    some(
        "a single fact elsewhere; hosts in ClearURLs 9317c06",
        day,
        "may not be copied",
    );
}

#[test]
fn dates_are_years_months_and_days_that_there_are() {
    for date in ["2026", "2026-01", "2026-12", "2026-11-30", "2028-02-29"] {
        assert!(is_date(date), "{date}");
    }
    for none in [
        "",
        "26",
        "20261",
        "2026-",
        "2026-1",
        "2026-00",
        "2026-13",
        "2026-02-29",
        "2026-04-31",
        "2026-11-00",
        "2026-11-30-1",
        "2026-xx",
        "2026 11",
        "+026",
        "-2026",
    ] {
        assert!(!is_date(none), "{none}");
    }
}

/// A list, a vendor's page, a log or a file of a public code index can be looked up again.
#[test]
fn no_row_is_from_memory() {
    for (table, id, source, _) in provenance() {
        let said = source.to_lowercase();
        for word in ["memory", "folklore", "hearsay"] {
            assert!(
                !said.contains(word),
                "{table} `{id}`: find a list, a vendor's page or a log: {source:?}"
            );
        }
    }
}
