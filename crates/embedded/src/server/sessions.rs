//! Sessions: a connection kept between requests under a name, with its temporary tables and what
//! was `SET` on it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::request::SessionRequest;
use crate::engine::Connection;
use crate::error::{QueryError, code};

/// The sessions of a server, by account and name.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<(String, String), Slot>>);

enum Slot {
    InUse,
    Idle {
        connection: Box<Connection>,
        until: Instant,
    },
}

/// A session handed out: put it back with [`Sessions::give_back`].
pub(crate) struct Taken {
    key: (String, String),
    /// The session's connection; `None` if the session is new.
    pub(crate) connection: Option<Connection>,
}

impl Sessions {
    fn slots(&self) -> MutexGuard<'_, HashMap<(String, String), Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a session for one request.
    ///
    /// # Errors
    /// 373 if another request is using it, 372 if it must exist and does not, 202 if there are
    /// `limit` sessions already.
    pub(crate) fn take(
        &self,
        user: &str,
        request: &SessionRequest,
        limit: usize,
    ) -> Result<Taken, QueryError> {
        let mut slots = self.slots();
        let now = Instant::now();
        slots.retain(|_, slot| !matches!(slot, Slot::Idle { until, .. } if *until <= now));
        let key = (user.to_owned(), request.id.clone());
        let connection = match slots.remove(&key) {
            Some(Slot::Idle { connection, .. }) => Some(*connection),
            Some(Slot::InUse) => {
                slots.insert(key, Slot::InUse);
                let message = format!("Session {} is locked by a concurrent client", request.id);
                return Err(QueryError::new(code::SESSION_IS_LOCKED, message));
            }
            None if request.check => {
                let message = format!("Session {} not found", request.id);
                return Err(QueryError::new(code::SESSION_NOT_FOUND, message));
            }
            None if slots.len() >= limit => {
                let message = format!("Too many sessions: the limit is {limit}");
                return Err(QueryError::new(code::TOO_MANY_QUERIES, message));
            }
            None => None,
        };
        slots.insert(key.clone(), Slot::InUse);
        Ok(Taken { key, connection })
    }

    /// Puts a session back, or ends it where there is no connection to put back.
    pub(crate) fn give_back(&self, taken: Taken, request: &SessionRequest) {
        let mut slots = self.slots();
        slots.remove(&taken.key);
        if let (Some(connection), false) = (taken.connection, request.close) {
            let until = Instant::now() + Duration::from_secs(request.timeout_seconds);
            let connection = Box::new(connection);
            slots.insert(taken.key, Slot::Idle { connection, until });
        }
    }

    /// Ends every session nobody is using and whose time is over.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        self.slots()
            .retain(|_, slot| !matches!(slot, Slot::Idle { until, .. } if *until <= now));
    }

    /// Ends all sessions.
    pub(crate) fn clear(&self) {
        self.slots().clear();
    }
}
