//! `grapevine config check`: everything that configuration names is read, and said with where it
//! came from.

use std::io::{self, Write};

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
    let text = effective(loaded);
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).ends(ExitKind::InputOutput)?;
    read_everything(settings).await?;
    writeln!(out, "configuration is good").ends(ExitKind::InputOutput)?;
    if arguments.connect {
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
    settings.kafka.connection()?;
    let registry = settings.registry.clone();
    let client = tokio::task::spawn_blocking(move || registry.client().map(drop));
    client.await.ends(ExitKind::Software)??;
    if settings.clickhouse.url.is_some() {
        warehouse::client(&settings.clickhouse)?;
    }
    collect::shared_pseudonym_key(settings)?;
    Judging::load(settings)?;
    Ok(())
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
