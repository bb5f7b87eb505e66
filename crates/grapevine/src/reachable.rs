//! Whether Kafka answers, as a condition of a service's readiness.

use std::sync::Arc;
use std::time::Duration;

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
