//! Whether Kafka and ClickHouse answer, as conditions of a service's readiness.

use std::sync::Arc;
use std::time::Duration;

use clickhouse::Client;
use grapevine_log::kafka::{Connection, Reach};
use grapevine_operations::Health;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::exit::{Ends, ExitKind, Failure, chain};

/// Between two questions.
const EVERY: Duration = Duration::from_secs(5);
/// Longest wait for an answer.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// Asks until it is dropped.
#[derive(Debug)]
pub struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Keeps the condition `kafka` as it is: whether the brokers answer.
///
/// # Errors
/// Properties that librdkafka does not take.
///
/// # Panics
/// Outside a tokio runtime.
pub fn kafka(health: &Health, connection: &Connection) -> Result<Watch, Failure> {
    let reach = Arc::new(Reach::new(connection).ends(ExitKind::Config)?);
    let condition = health.condition("kafka", "not asked yet");
    Ok(Watch(tokio::spawn(async move {
        loop {
            let asked = Arc::clone(&reach);
            match spawn_blocking(move || asked.ask(PATIENCE)).await {
                Ok(Ok(())) => condition.met(),
                Ok(Err(error)) => condition.unmet(chain(&error)),
                // The runtime is ending.
                Err(_) => return,
            }
            tokio::time::sleep(EVERY).await;
        }
    })))
}

/// Keeps the condition `clickhouse` as it is: whether it answers this account.
///
/// # Panics
/// Outside a tokio runtime.
pub fn clickhouse(health: &Health, client: &Client) -> Watch {
    let condition = health.condition("clickhouse", "not asked yet");
    let client = client.clone();
    Watch(tokio::spawn(async move {
        loop {
            match clickhouse_version(&client).await {
                Ok(_) => condition.met(),
                Err(why) => condition.unmet(why),
            }
            tokio::time::sleep(EVERY).await;
        }
    }))
}

/// Asks ClickHouse for its version.
///
/// # Errors
/// Why it does not say, in words.
pub async fn clickhouse_version(client: &Client) -> Result<String, String> {
    // The database may not be there yet.
    let client = client.clone().with_database("default");
    let asked = client.query("SELECT version()").fetch_one::<String>();
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map_err(|error| chain(&error)),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}
