//! Reads the data files, lays a user's own file over them, and checks every entry.

use hashbrown::{HashMap, HashSet};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::agents::{Fetcher, InAppBrowser, Robot, RobotPurpose};
use crate::campaigns::CampaignRule;
use crate::decorations::Decoration;
use crate::error::SignalsError;
use crate::matching::Conditions;
use crate::origins::{Origin, Shim};
use crate::pages::PageRule;
use crate::platforms::PlatformRule;

/// The files built in, in order of precedence where that matters.
const FILES: &[(&str, &str)] = &[
    ("fetchers.toml", include_str!("../data/fetchers.toml")),
    ("robots.toml", include_str!("../data/robots.toml")),
    (
        "unnamed-robots.toml",
        include_str!("../data/unnamed-robots.toml"),
    ),
    ("in-app.toml", include_str!("../data/in-app.toml")),
    ("messengers.toml", include_str!("../data/messengers.toml")),
    ("documents.toml", include_str!("../data/documents.toml")),
    ("social.toml", include_str!("../data/social.toml")),
    ("search.toml", include_str!("../data/search.toml")),
    ("mail.toml", include_str!("../data/mail.toml")),
    ("assistants.toml", include_str!("../data/assistants.toml")),
    (
        "other-origins.toml",
        include_str!("../data/other-origins.toml"),
    ),
    ("shims.toml", include_str!("../data/shims.toml")),
    ("decorations.toml", include_str!("../data/decorations.toml")),
    ("campaigns.toml", include_str!("../data/campaigns.toml")),
    ("pages.toml", include_str!("../data/pages.toml")),
    ("platforms.toml", include_str!("../data/platforms.toml")),
];

/// The list of isbot, as its package has it.
const VENDORED: (&str, &str) = (
    "robots-isbot.toml",
    include_str!("../data/robots-isbot.toml"),
);

const TABLES: [&str; 10] = [
    "fetcher",
    "robot",
    "unnamed",
    "in_app",
    "origin",
    "shim",
    "decoration",
    "campaign",
    "page",
    "platform",
];

/// Tables whose rows are held to their own hosts, names and words, so that a user's rows need no
/// `examples`. The others match user agents or addresses by parts of them: only whole ones try those.
const EXAMPLES_OPTIONAL: [&str; 5] = ["origin", "decoration", "campaign", "page", "platform"];

/// The list `robots-isbot.toml` holds; `refresh-robots` writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VendoredList {
    package: String,
    version: String,
    #[expect(
        dead_code,
        reason = "for the reader of the data; its presence is checked"
    )]
    licence: String,
    date: String,
    patterns: Vec<String>,
}

/// A machine recognised by its form: a row of `unnamed-robots.toml` or a vendored pattern.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unnamed {
    id: String,
    #[serde(default, rename = "match")]
    conditions: Vec<Conditions>,
    source: String,
    date: String,
    #[serde(default)]
    examples: Vec<String>,
}

/// All entries, each checked by itself.
#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) fetchers: Vec<Fetcher>,
    pub(crate) robots: Vec<Robot>,
    pub(crate) unnamed: Vec<Robot>,
    pub(crate) in_app: Vec<InAppBrowser>,
    pub(crate) origins: Vec<Origin>,
    pub(crate) shims: Vec<Shim>,
    pub(crate) decorations: Vec<Decoration>,
    pub(crate) campaigns: Vec<CampaignRule>,
    pub(crate) pages: Vec<PageRule>,
    pub(crate) platforms: Vec<PlatformRule>,
    /// Date of the newest entry or list.
    pub(crate) date: String,
    /// Tables and ids of the user's own entries, but for those that only take others out.
    pub(crate) own: Vec<(&'static str, String)>,
    /// What the user's own file says, in eight hexadecimal digits; `None` where it says nothing.
    pub(crate) fingerprint: Option<String>,
    /// The file of each table and id.
    files: HashMap<(&'static str, String), String>,
}

/// An entry before it is typed.
#[derive(Debug)]
struct RawEntry {
    file: String,
    table: &'static str,
    id: String,
    keys: Table,
}

const SEE_KEYS: &str = "compare it with the keys of that table in the README of grapevine-signals";

impl Catalogue {
    /// Loads the built-in files with `overrides` (text and name) laid over them.
    pub(crate) fn load(overrides: Option<(&str, &str)>) -> Result<Self, SignalsError> {
        let mut entries = vendored()?;
        for (name, text) in FILES {
            for entry in read(name, text)? {
                // A row of `unnamed-robots.toml` takes the place of the pattern it rewrites.
                let same = |e: &RawEntry| e.table == "unnamed" && e.id == entry.id;
                match (entry.table == "unnamed")
                    .then(|| entries.iter().position(same))
                    .flatten()
                {
                    Some(at) => entries[at] = entry,
                    None => entries.push(entry),
                }
            }
        }
        unique(&entries)?;
        let Some((text, name)) = overrides else {
            return Catalogue::typed(&entries);
        };
        let mut own = read(name, text)?;
        unique(&own)?;
        dated(&own)?;
        own.sort_by(|a, b| (a.table, &a.id).cmp(&(b.table, &b.id)));
        let fingerprint = fingerprint(&own);
        let stays = |e: &&RawEntry| !removes(e);
        let kept = own.iter().filter(stays).map(|e| (e.table, e.id.clone()));
        let kept = kept.collect();
        let catalogue = Catalogue::typed(&lay_over(entries, own))?;
        Ok(Catalogue {
            own: kept,
            fingerprint,
            ..catalogue
        })
    }

    fn typed(entries: &[RawEntry]) -> Result<Self, SignalsError> {
        let unnamed: Vec<Unnamed> = rows(entries, "unnamed")?;
        let named_by_form = |row: Unnamed| Robot {
            name: row.id.clone(),
            id: row.id,
            purpose: RobotPurpose::Unnamed,
            source: row.source,
            date: row.date,
            tokens: Vec::new(),
            conditions: row.conditions,
            examples: row.examples,
        };
        let date = |e: &RawEntry| {
            e.keys
                .get("date")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let catalogue = Catalogue {
            fetchers: rows(entries, "fetcher")?,
            robots: rows(entries, "robot")?,
            unnamed: unnamed.into_iter().map(named_by_form).collect(),
            in_app: rows(entries, "in_app")?,
            origins: rows(entries, "origin")?,
            shims: rows(entries, "shim")?,
            decorations: rows(entries, "decoration")?,
            campaigns: rows(entries, "campaign")?,
            pages: rows(entries, "page")?,
            platforms: rows(entries, "platform")?,
            date: entries.iter().filter_map(date).max().unwrap_or_default(),
            own: Vec::new(),
            fingerprint: None,
            files: entries
                .iter()
                .map(|e| ((e.table, e.id.clone()), e.file.clone()))
                .collect(),
        };
        catalogue.check_apps(entries)?;
        Ok(catalogue)
    }

    /// The file that an entry stands in.
    pub(crate) fn file(&self, table: &'static str, id: &str) -> String {
        let file = self.files.get(&(table, id.to_owned()));
        file.cloned().unwrap_or_default()
    }

    /// An error of an entry found only when matchers are built, with the file it stands in.
    pub(crate) fn error(&self, table: &'static str, id: &str, problem: String) -> SignalsError {
        SignalsError::Entry {
            file: self.file(table, id),
            table,
            entry: id.to_owned(),
            problem,
            fix: "correct that key",
        }
    }

    /// Every `app` must be an origin, or records would name what nothing describes.
    fn check_apps(&self, entries: &[RawEntry]) -> Result<(), SignalsError> {
        for entry in entries {
            let Some(app) = entry.keys.get("app").and_then(Value::as_str) else {
                continue;
            };
            if !app.is_empty() && !self.origins.iter().any(|o| o.id == app) {
                return Err(SignalsError::Entry {
                    file: entry.file.clone(),
                    table: entry.table,
                    entry: entry.id.clone(),
                    problem: format!("`app` names `{app}`, which is no origin"),
                    fix: "add an [[origin]] with that id, or use the id of an existing one",
                });
            }
        }
        Ok(())
    }
}

/// Table, id, source and date of every built-in row.
#[cfg(test)]
pub(crate) fn provenance() -> Vec<(&'static str, String, String, String)> {
    let mut entries = vendored().unwrap();
    for (name, text) in FILES {
        entries.extend(read(name, text).unwrap());
    }
    let text = |entry: &RawEntry, key: &str| {
        let value = entry.keys.get(key).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    entries
        .iter()
        .map(|e| (e.table, e.id.clone(), text(e, "source"), text(e, "date")))
        .collect()
}

fn vendored() -> Result<Vec<RawEntry>, SignalsError> {
    let (file, text) = VENDORED;
    let list: VendoredList = toml::from_str(text).map_err(|e| syntax(file, &e))?;
    let source = format!("npm package {} {}", list.package, list.version);
    let entry = |pattern: &String| {
        let mut condition = Table::new();
        condition.insert("pattern".into(), pattern.clone().into());
        let mut keys = Table::new();
        keys.insert("id".into(), pattern.clone().into());
        keys.insert("match".into(), Value::Array(vec![condition.into()]));
        keys.insert("source".into(), source.clone().into());
        keys.insert("date".into(), list.date.clone().into());
        RawEntry {
            file: file.into(),
            table: "unnamed",
            id: pattern.clone(),
            keys,
        }
    };
    Ok(list.patterns.iter().map(entry).collect())
}

fn read(file: &str, text: &str) -> Result<Vec<RawEntry>, SignalsError> {
    let document: Table = toml::from_str(text).map_err(|e| syntax(file, &e))?;
    let mut entries = Vec::new();
    for (name, value) in document {
        let Some(table) = TABLES.iter().copied().find(|t| *t == name) else {
            return Err(SignalsError::UnknownTable {
                file: file.into(),
                table: name,
                known: TABLES.map(|t| format!("[[{t}]]")).join(", "),
            });
        };
        let wrong = |entry: String, problem: &str, fix| SignalsError::Entry {
            file: file.into(),
            table,
            entry,
            problem: problem.into(),
            fix,
        };
        let Value::Array(items) = value else {
            return Err(wrong(
                "*".into(),
                "not a list",
                "write it with two pairs of brackets",
            ));
        };
        for (position, item) in items.into_iter().enumerate() {
            let place = format!("number {}", position + 1);
            let Value::Table(mut keys) = item else {
                return Err(wrong(
                    place,
                    "not a table",
                    "write it with two pairs of brackets",
                ));
            };
            let id = match (keys.get("id"), keys.get("name")) {
                (Some(Value::String(id)), _) if !id.is_empty() => id.clone(),
                (None, Some(Value::String(name))) if table == "decoration" => name.clone(),
                _ => {
                    return Err(wrong(
                        place,
                        "`id` is missing or no text",
                        "give it a short name",
                    ));
                }
            };
            keys.insert("id".into(), id.clone().into());
            entries.push(RawEntry {
                file: file.into(),
                table,
                id,
                keys,
            });
        }
    }
    Ok(entries)
}

fn unique(entries: &[RawEntry]) -> Result<(), SignalsError> {
    let mut seen = HashSet::new();
    for entry in entries {
        if !seen.insert((entry.table, entry.id.as_str())) {
            return Err(SignalsError::Entry {
                file: entry.file.clone(),
                table: entry.table,
                entry: entry.id.clone(),
                problem: "`id` appears twice".into(),
                fix: "rename one of the two, or join them",
            });
        }
    }
    Ok(())
}

/// Every date is one; versions of the data are made of them.
fn dated(entries: &[RawEntry]) -> Result<(), SignalsError> {
    for entry in entries {
        let date = entry.keys.get("date").and_then(Value::as_str);
        if let Some(date) = date.filter(|date| !is_date(date)) {
            return Err(SignalsError::Entry {
                file: entry.file.clone(),
                table: entry.table,
                entry: entry.id.clone(),
                problem: format!("`date` is {date:?}, which is no date"),
                fix: "write it as YYYY, YYYY-MM or YYYY-MM-DD, with months from 01 to 12",
            });
        }
    }
    Ok(())
}

/// Whether a text is a year, a month or a day: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
pub(crate) fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_form = parts.iter().zip([4, 2, 2]).all(|(part, digits)| {
        part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit())
    });
    if parts.len() > 3 || !is_form {
        return false;
    }
    let number = |at: usize| parts.get(at).and_then(|part| part.parse::<u32>().ok());
    let year = number(0).unwrap_or_default();
    let (month, day) = (number(1).unwrap_or(1), number(2).unwrap_or(1));
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (1..=12).contains(&month) && (1..=days).contains(&day)
}

/// True where an entry only takes another one out.
fn removes(entry: &RawEntry) -> bool {
    entry.keys.get("remove") == Some(&Value::Boolean(true))
}

/// A name for what the entries say, in whatever order, spacing and comments they say it.
fn fingerprint(sorted: &[RawEntry]) -> Option<String> {
    if sorted.is_empty() {
        return None;
    }
    let mut hasher = blake3::Hasher::new();
    for entry in sorted {
        feed(&mut hasher, &Value::String(entry.table.to_owned()));
        feed(&mut hasher, &Value::Table(entry.keys.clone()));
    }
    Some(hasher.finalize().to_hex()[..8].to_owned())
}

/// Every part of a value with its kind and length, so that no two values feed the same bytes.
fn feed(hasher: &mut blake3::Hasher, value: &Value) {
    let mut put = |kind: u8, bytes: &[u8]| {
        hasher.update(&[kind]);
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    match value {
        Value::String(text) => put(0, text.as_bytes()),
        Value::Integer(number) => put(1, &number.to_le_bytes()),
        Value::Float(number) => put(2, &number.to_le_bytes()),
        Value::Boolean(truth) => put(3, &[u8::from(*truth)]),
        Value::Datetime(time) => put(4, time.to_string().as_bytes()),
        Value::Array(items) => {
            put(5, &(items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| feed(hasher, item));
        }
        Value::Table(keys) => {
            put(6, &(keys.len() as u64).to_le_bytes());
            let mut sorted: Vec<_> = keys.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            for (key, value) in sorted {
                feed(hasher, &Value::String(key.clone()));
                feed(hasher, value);
            }
        }
    }
}

/// Own entries replace key by key what has their id; the others go before all built-in ones,
/// sorted by id, so that the order of the user's file never matters.
fn lay_over(built_in: Vec<RawEntry>, own: Vec<RawEntry>) -> Vec<RawEntry> {
    let mut entries = built_in;
    let mut added = Vec::new();
    for mut new in own {
        let removes = removes(&new);
        new.keys.remove("remove");
        let same = |e: &RawEntry| e.table == new.table && e.id == new.id;
        match entries.iter().position(same) {
            Some(at) if removes => drop(entries.remove(at)),
            Some(at) => {
                if EXAMPLES_OPTIONAL.contains(&new.table) {
                    // They were of the row as it was, and need not be of what it is now.
                    entries[at].keys.remove("examples");
                }
                entries[at].keys.extend(new.keys);
                entries[at].file = new.file;
            }
            None if removes => {}
            None => added.push(new),
        }
    }
    added.sort_by(|a, b| (a.table, &a.id).cmp(&(b.table, &b.id)));
    added.extend(entries);
    added
}

fn rows<T: DeserializeOwned>(
    entries: &[RawEntry],
    table: &'static str,
) -> Result<Vec<T>, SignalsError> {
    let of_table = entries.iter().filter(|e| e.table == table);
    let typed = |entry: &RawEntry| {
        Value::Table(entry.keys.clone())
            .try_into()
            .map_err(|e: toml::de::Error| SignalsError::Entry {
                file: entry.file.clone(),
                table,
                entry: entry.id.clone(),
                problem: e.message().to_owned(),
                fix: SEE_KEYS,
            })
    };
    of_table.map(typed).collect()
}

fn syntax(file: &str, error: &toml::de::Error) -> SignalsError {
    let message = error.to_string();
    let flat: Vec<_> = message
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    SignalsError::Syntax {
        file: file.into(),
        message: flat.join(" "),
    }
}
