//! Whether the brokers answer now.

use std::fmt;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::connection::{Connection, ConnectionError};
use super::context::ClientCalls;
use crate::error::LogError;

/// Topic that is asked about; it need not exist.
const ASKED: &str = "hits.raw";

/// Asks the brokers whether they are there, with a client of its own, so that nothing waits for
/// the answer but whoever asks.
pub struct Reach {
    consumer: BaseConsumer<ClientCalls>,
}

impl fmt::Debug for Reach {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Reach(..)")
    }
}

impl Reach {
    /// Makes the client; nothing is asked yet.
    ///
    /// # Errors
    /// What librdkafka does not take.
    pub fn new(connection: &Connection) -> Result<Reach, ConnectionError> {
        let consumer = connection
            .base()
            .create_with_context(ClientCalls::new(connection.token_file()))
            .map_err(super::connection::refused)?;
        Ok(Reach { consumer })
    }

    /// Waits up to `patience` for an answer.
    ///
    /// # Errors
    /// What keeps the brokers from answering, such as a name that nobody has or a login that is
    /// refused.
    pub fn ask(&self, patience: Duration) -> Result<(), LogError> {
        // Tokens come by polling.
        let _ = self.consumer.poll(Duration::from_millis(10));
        let answer = self.consumer.fetch_metadata(Some(ASKED), patience);
        answer
            .map(|_| ())
            .map_err(|error| LogError::kafka("asking whether kafka is there", error))
    }
}
