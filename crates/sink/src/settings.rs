//! Every ClickHouse setting that the writer relies on, sent with each insert.
//!
//! Defaults moved between versions (`async_insert` became 1 in 26.3, `deduplicate_insert` appeared
//! and overrides `insert_deduplicate`), so nothing is left to them. Settings that a version does
//! not have are not sent; those that exactly-once rests on must be there.

use std::collections::BTreeMap;

use clickhouse::{Client, Row};
use serde::Deserialize;

use crate::error::SinkError;

struct Setting {
    name: &'static str,
    value: &'static str,
    /// Value for tables where writing a row again changes nothing.
    idempotent: &'static str,
    required: bool,
}

const fn always(name: &'static str, value: &'static str) -> Setting {
    Setting {
        name,
        value,
        idempotent: value,
        required: true,
    }
}

const fn where_known(setting: Setting) -> Setting {
    Setting {
        required: false,
        ..setting
    }
}

const fn unless_idempotent(
    name: &'static str,
    value: &'static str,
    idempotent: &'static str,
) -> Setting {
    Setting {
        name,
        value,
        idempotent,
        required: true,
    }
}

/// Larger than any batch, so that a batch is one block.
pub(crate) const BLOCK_ROWS_MAX: usize = 1_048_449;

const SETTINGS: [Setting; 13] = [
    // The server must not gather inserts of its own choice into blocks.
    always("async_insert", "0"),
    unless_idempotent("insert_deduplicate", "1", "0"),
    where_known(unless_idempotent("deduplicate_insert", "enable", "disable")),
    where_known(always(
        "deduplicate_blocks_in_dependent_materialized_views",
        "1",
    )),
    always("max_insert_block_size", "1048449"),
    always("min_insert_block_size_rows", "1048449"),
    always("min_insert_block_size_bytes", "1073741824"),
    where_known(always("max_insert_block_size_bytes", "0")),
    always("max_insert_threads", "1"),
    // A block that touches two partitions is an error of ours: refused, not split.
    always("max_partitions_per_insert_block", "1"),
    always("throw_on_max_partitions_per_insert_block", "1"),
    // Rows are counted again after an unknown outcome: none may be merged on the way in.
    always("optimize_on_insert", "0"),
    where_known(always("input_format_native_allow_types_conversion", "1")),
];

/// The settings that this ClickHouse has.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    exactly_once: Vec<(&'static str, &'static str)>,
    idempotent: Vec<(&'static str, &'static str)>,
}

#[derive(Row, Deserialize)]
struct Effective {
    name: String,
    value: String,
}

impl Settings {
    /// Asks which settings there are, sends them all, and reads back what is in force.
    pub(crate) async fn agreed(client: &Client) -> Result<Settings, SinkError> {
        let known = effective(client, &[]).await?;
        let mut exactly_once = Vec::new();
        let mut idempotent = Vec::new();
        for setting in &SETTINGS {
            if known.contains_key(setting.name) {
                exactly_once.push((setting.name, setting.value));
                idempotent.push((setting.name, setting.idempotent));
            } else if setting.required {
                return Err(SinkError::Setting {
                    name: setting.name,
                    found: "nothing".to_owned(),
                    wanted: setting.value.to_owned(),
                });
            }
        }
        for sent in [&exactly_once, &idempotent] {
            let in_force = effective(client, sent).await?;
            for (name, wanted) in sent {
                let found = in_force.get(*name).cloned().unwrap_or_default();
                if found != *wanted {
                    return Err(SinkError::Setting {
                        name,
                        found,
                        wanted: (*wanted).to_owned(),
                    });
                }
            }
        }
        Ok(Settings {
            exactly_once,
            idempotent,
        })
    }

    /// Nothing is asked for: of a server that is none.
    #[cfg(test)]
    pub(crate) fn none() -> Settings {
        Settings {
            exactly_once: Vec::new(),
            idempotent: Vec::new(),
        }
    }

    pub(crate) fn of(&self, idempotent: bool) -> &[(&'static str, &'static str)] {
        if idempotent {
            &self.idempotent
        } else {
            &self.exactly_once
        }
    }
}

async fn effective(
    client: &Client,
    sent: &[(&'static str, &'static str)],
) -> Result<BTreeMap<String, String>, SinkError> {
    let names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
    let mut query = client
        .query("SELECT name, value FROM system.settings WHERE name IN ?")
        .bind(names);
    for (name, value) in sent {
        query = query.with_setting(*name, *value);
    }
    let rows = query
        .fetch_all::<Effective>()
        .await
        .map_err(SinkError::ClickHouse)?;
    Ok(rows.into_iter().map(|row| (row.name, row.value)).collect())
}
