//! Where a stage's saved states are kept.

use std::io::ErrorKind;

use grapevine_inference::StateError;
use grapevine_log::{Commit, Log, LogError};
use object_store::client::HttpError;
use thiserror::Error;

/// Why a saved state cannot be had, or not be kept.
#[derive(Debug, Error)]
pub enum SavedStateError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The bytes are no saved state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The store of states failed.
    #[error("saved states at {place}: {source}; check kafka.states")]
    Store {
        /// Where they are kept.
        place: String,
        /// What the store says.
        #[source]
        source: object_store::Error,
    },
    /// Every state that could be used is damaged.
    #[error(
        "every saved state at {place} is damaged, the newest: {reason}. Delete them, where the input is kept from its beginning; else bring back a copy"
    )]
    Damaged {
        /// Where they are kept.
        place: String,
        /// What is wrong with the newest.
        reason: String,
    },
}

/// How the client of S3 words an answer that is none of success, before its status. It has no other
/// way to tell the status; where it words it otherwise one day, a refusal is waited for and said.
const ANSWERED: &str = "Server returned non-2xx status code: ";
/// The same of one that sends it to another region without saying to which.
const REDIRECTED: &str = "Received redirect without LOCATION";

impl SavedStateError {
    /// True where the store of states does not answer, or says that it cannot now: that may pass
    /// by itself. What it refuses (an account, a bucket, a region, a directory that may not be
    /// read) stays refused until somebody sets it right, and a damaged state stays damaged.
    pub fn is_away(&self) -> bool {
        let SavedStateError::Store { source, .. } = self else {
            return false;
        };
        // Accounts that are refused and buckets that are not there have kinds of their own.
        let object_store::Error::Generic { source, .. } = source else {
            return false;
        };
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&**source);
        while let Some(error) = cause {
            if error.is::<HttpError>() {
                return true;
            }
            if let Some(error) = error.downcast_ref::<std::io::Error>() {
                return !matches!(
                    error.kind(),
                    ErrorKind::PermissionDenied | ErrorKind::NotADirectory
                );
            }
            let said = error.to_string();
            if said.starts_with(REDIRECTED) {
                return false;
            }
            let status = said.strip_prefix(ANSWERED).and_then(|rest| rest.get(..3));
            if let Some(status) = status.and_then(|status| status.parse::<u16>().ok()) {
                // 408: it waited for the request; 429: there are too many.
                return status >= 500 || matches!(status, 408 | 429);
            }
            cause = error.source();
        }
        true
    }
}

/// Where the states of one stage and partition are kept. A state is named by the offset that it
/// covers: it is what the input below that offset left behind.
pub trait SavedStates {
    /// The newest state that covers no more than `committed`, with the offset that it covers. A
    /// wait for it ends once it is `unwanted`, with an error.
    ///
    /// # Errors
    /// States that are damaged, of a newer version, or that cannot be had.
    fn newest(
        &mut self,
        committed: u64,
        unwanted: &dyn Fn() -> bool,
    ) -> Result<Option<(u64, Vec<u8>)>, SavedStateError>;

    /// The offset that the newest state of all covers, where that is more than `committed`. A wait
    /// for it ends once it is `unwanted`, with an error.
    ///
    /// # Errors
    /// States that cannot be had.
    fn beyond(
        &mut self,
        committed: u64,
        unwanted: &dyn Fn() -> bool,
    ) -> Result<Option<u64>, SavedStateError>;

    /// Before the commit that gets to `offset`: the state after it, where one is due, and what was
    /// counted.
    ///
    /// # Errors
    /// A state that cannot be written.
    fn with_commit(
        &mut self,
        commit: &mut Commit,
        offset: u64,
        state: Option<&[u8]>,
        counts: &[(&'static str, u64)],
    ) -> Result<(), SavedStateError>;

    /// After that commit. True where the state is kept now.
    fn after_commit(&mut self, offset: u64, state: &[u8]) -> bool;

    /// True where states are kept by commits, and so need one of their own when nothing else is to
    /// be committed.
    const IN_COMMIT: bool;
}

/// States in the local log, committed together with the stage's position: one slot is enough, as
/// the log cannot hold a state that is newer than the position beside it. A value is the offset
/// that it covers (u64 LE), then the stage's own bytes.
pub struct InLog<'l> {
    log: &'l Log,
    consumer: &'static str,
}

impl<'l> InLog<'l> {
    /// States of a consumer in its log.
    pub fn new(log: &'l Log, consumer: &'static str) -> InLog<'l> {
        InLog { log, consumer }
    }
}

impl SavedStates for InLog<'_> {
    const IN_COMMIT: bool = true;

    fn newest(
        &mut self,
        _: u64,
        _: &dyn Fn() -> bool,
    ) -> Result<Option<(u64, Vec<u8>)>, SavedStateError> {
        let Some(stored) = self.log.value(snapshot_key(self.consumer).as_bytes())? else {
            return Ok(None);
        };
        let short = || StateError::Damaged(format!("{} bytes are too short", stored.len()));
        let offset = offset_of(&stored).ok_or_else(short)?;
        let mut state = stored;
        state.drain(..OFFSET_BYTES);
        Ok(Some((offset, state)))
    }

    /// Never: the state is of the commit that brought the position.
    fn beyond(&mut self, _: u64, _: &dyn Fn() -> bool) -> Result<Option<u64>, SavedStateError> {
        Ok(None)
    }

    fn with_commit(
        &mut self,
        commit: &mut Commit,
        offset: u64,
        state: Option<&[u8]>,
        counts: &[(&'static str, u64)],
    ) -> Result<(), SavedStateError> {
        if let Some(state) = state {
            let mut framed = Vec::with_capacity(OFFSET_BYTES + state.len());
            framed.extend_from_slice(&offset.to_le_bytes());
            framed.extend_from_slice(state);
            commit.put(snapshot_key(self.consumer).as_bytes(), framed);
        }
        let mut text = String::new();
        for (name, count) in counts {
            text.push_str(&format!("{name} {count}\n"));
        }
        commit.put(counts_key(self.consumer).as_bytes(), text.into_bytes());
        Ok(())
    }

    fn after_commit(&mut self, _: u64, _: &[u8]) -> bool {
        true
    }
}

const OFFSET_BYTES: usize = 8;

pub(crate) fn snapshot_key(consumer: &str) -> String {
    format!("snapshot/{consumer}/0")
}

pub(crate) fn counts_key(consumer: &str) -> String {
    format!("counts/{consumer}/0")
}

/// The offset that a value in the log covers.
pub(crate) fn offset_of(framed: &[u8]) -> Option<u64> {
    framed.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}
