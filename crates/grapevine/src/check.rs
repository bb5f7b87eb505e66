//! `grapevine config check`: everything that configuration names is read, and said with where it
//! came from.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use grapevine_enrichment::{SavedStateError, StateStore};
use grapevine_log::kafka::Reach;
use serde_json::Value;

use crate::cli::ConfigCheckArgs;
use crate::exit::{Ends, ExitKind, Failure, chain};
use crate::judging::Judging;
use crate::settings::{Loaded, Settings, registry_failure};
use crate::{collect, reachable, warehouse};

/// Runs the command.
///
/// # Errors
/// The first thing that is wrong, by key.
pub async fn run(arguments: &ConfigCheckArgs, loaded: &Loaded) -> Result<(), Failure> {
    let settings = &loaded.settings;
    // Before anything is shown.
    if let Some(url) = &settings.clickhouse.url {
        warehouse::without_credentials(url)?;
    }
    if let Some(place) = &settings.kafka.states {
        StateStore::without_credentials(place).ends(ExitKind::Config)?;
    }
    let text = effective(loaded);
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).ends(ExitKind::InputOutput)?;
    read_everything(settings).await?;
    writeln!(out, "configuration is good").ends(ExitKind::InputOutput)?;
    if arguments.connect {
        let said = connect_states(settings).await?;
        writeln!(out, "{said}").ends(ExitKind::InputOutput)?;
        let said = connect_kafka(settings).await?;
        writeln!(out, "{said}").ends(ExitKind::InputOutput)?;
        if let Some(said) = connect_clickhouse(settings).await? {
            writeln!(out, "{said}").ends(ExitKind::InputOutput)?;
        }
        if let Some(said) = connect_registry(settings).await? {
            writeln!(out, "{said}").ends(ExitKind::InputOutput)?;
        }
    }
    Ok(())
}

/// Every key with its value, one a line, as TOML with dotted keys; behind it where it comes from.
fn effective(loaded: &Loaded) -> String {
    let mut values = Vec::new();
    // Settings are plain data: writing them as JSON cannot fail.
    let all = serde_json::to_value(&loaded.settings).unwrap_or_default();
    flatten("", &all, &mut values);
    let lines: Vec<(String, String)> = values
        .into_iter()
        .map(|(key, value)| {
            let value = value.map_or_else(|| "(not set)".to_owned(), |value| value.to_string());
            let origin = loaded.origin(&key);
            (format!("{key} = {value}"), origin)
        })
        .collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).max();
    let width = width.unwrap_or_default().min(60);
    lines
        .iter()
        .map(|(line, origin)| format!("{line:width$}  # {origin}\n"))
        .collect()
}

/// The leaves of a value by dotted key; `None` for what is not set.
fn flatten(prefix: &str, value: &Value, out: &mut Vec<(String, Option<Value>)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() || prefix.is_empty() => {
            for (name, field) in fields {
                let key = if prefix.is_empty() {
                    name.clone()
                } else {
                    format!("{prefix}.{name}")
                };
                flatten(&key, field, out);
            }
        }
        Value::Null => out.push((prefix.to_owned(), None)),
        leaf => out.push((prefix.to_owned(), Some(leaf.clone()))),
    }
}

/// Reads what the settings name: files and texts that are only looked at when a service starts.
async fn read_everything(settings: &Settings) -> Result<(), Failure> {
    settings.operations.grace()?;
    settings.trusted_proxies()?;
    settings.check_replica()?;
    let grace = settings.operations.grace_seconds;
    settings.collector.drain(grace)?;
    settings.kafka.connection()?;
    let registry = settings.registry.clone();
    let client = tokio::task::spawn_blocking(move || registry.client().map(drop));
    client.await.ends(ExitKind::Software)??;
    if settings.clickhouse.url.is_some() {
        warehouse::client(&settings.clickhouse)?;
    }
    settings.clickhouse.group_size_min()?;
    collect::shared_pseudonym_key(settings)?;
    Judging::load(settings)?;
    Ok(())
}

/// What only the account of an S3-compatible store may know.
const STATES_SECRETS: [&str; 2] = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// Tries what enrichment does where it saves its states, and leaves nothing of it behind. Where no
/// place is set, the service that is meant may save none: what is wrong with the default is said then,
/// and is no failure.
async fn connect_states(settings: &Settings) -> Result<String, Failure> {
    let place = settings.kafka.states(&settings.data_dir);
    let tried = tokio::task::spawn_blocking({
        let place = place.clone();
        move || {
            let made = missing(&place);
            let tried = StateStore::open(&place).and_then(|store| store.probe());
            for directory in made {
                // What could not be made, or is in use meanwhile, is none of ours.
                let _ = std::fs::remove_dir(directory);
            }
            tried
        }
    });
    let Err(error) = tried.await.ends(ExitKind::Software)? else {
        return Ok(format!(
            "saved states at {place} can be written, listed, read and removed"
        ));
    };
    let why = match &error {
        SavedStateError::Store { source, .. } => chain(source),
        error => chain(error),
    };
    let secrets = STATES_SECRETS.map(|name| (name, std::env::var(name).unwrap_or_default()));
    let why = without(why, &secrets);
    let remedy = match place.starts_with("s3://") {
        true => {
            "see that the bucket is there, that the AWS_… variables are those of its store, and that the account may put, list, get and delete objects below the prefix"
        }
        false => {
            "let the user that runs enrich write there, or name another directory, or s3://BUCKET/PREFIX"
        }
    };
    let said = format!("kafka.states {place}: {why}; {remedy}");
    match settings.kafka.states {
        Some(_) => Err(Failure::new(ExitKind::Unavailable, said)),
        None => Ok(format!("{said} (of the services, enrich alone needs it)")),
    }
}

/// Directories that a place needs and that are not there, the deepest first.
fn missing(place: &str) -> Vec<PathBuf> {
    if place.contains("://") {
        return Vec::new();
    }
    let above = Path::new(place).ancestors();
    let missing = above.take_while(|at| !at.as_os_str().is_empty() && !at.exists());
    missing.map(Path::to_owned).collect()
}

/// A text with the names of secrets in their place: some stores answer with the request that they
/// refuse.
fn without(text: String, secrets: &[(&str, String)]) -> String {
    let known = secrets.iter().filter(|(_, secret)| !secret.is_empty());
    known.fold(text, |text, (name, secret)| text.replace(secret, name))
}

/// Asks the ClickHouse that is set for its version, with the account that is set.
async fn connect_clickhouse(settings: &Settings) -> Result<Option<String>, Failure> {
    let Some(url) = &settings.clickhouse.url else {
        return Ok(None);
    };
    let client = warehouse::client(&settings.clickhouse)?;
    match reachable::clickhouse_version(&client).await {
        Ok(version) => Ok(Some(format!("ClickHouse {version} at {url} answers"))),
        Err(why) => Err(Failure::new(
            ExitKind::Unavailable,
            format!("clickhouse.url {url}: {why}"),
        )),
    }
}

/// Asks the brokers whether they are there.
async fn connect_kafka(settings: &Settings) -> Result<String, Failure> {
    let connection = settings.kafka.connection()?;
    let reach = Reach::new(&connection).ends(ExitKind::Config)?;
    let asked = tokio::task::spawn_blocking(move || reach.ask(reachable::PATIENCE)).await;
    asked.ends(ExitKind::Software)?.map_err(|error| {
        let brokers = &settings.kafka.brokers;
        Failure::new(
            ExitKind::Unavailable,
            format!("kafka.brokers {brokers}: {}", chain(&error)),
        )
    })?;
    Ok(format!("kafka at {} answers", settings.kafka.brokers))
}

/// Asks the schema registry, where one is set, for a schema: whether there is one of this id does
/// not matter.
async fn connect_registry(settings: &Settings) -> Result<Option<String>, Failure> {
    let registry = settings.registry.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let Some(client) = registry.client()? else {
            return Ok(None);
        };
        client.schema(1).map_err(registry_failure)?;
        Ok(Some(format!("schema registry at {} answers", client.url())))
    });
    asked.await.ends(ExitKind::Software)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_the_environment_are_named_and_not_shown() {
        let secrets = [
            ("AWS_SECRET_ACCESS_KEY", "hush".to_owned()),
            ("AWS_SESSION_TOKEN", String::new()),
        ];
        let text = "403: host\nx-amz-security-token:hush\n".to_owned();
        let said = without(text, &secrets);
        assert_eq!(
            said,
            "403: host\nx-amz-security-token:AWS_SECRET_ACCESS_KEY\n"
        );
    }

    #[test]
    fn what_is_made_for_a_look_is_known_before() {
        let home = tempfile::tempdir().expect("tempdir");
        let place = home.path().join("data/states");
        let of = |place: &Path| missing(place.to_str().expect("a path"));
        assert_eq!(of(&place), [place.clone(), home.path().join("data")]);
        std::fs::create_dir_all(&place).expect("makes");
        assert!(of(&place).is_empty());
        assert!(missing("s3://bucket/prefix").is_empty());
    }
}
