//! Why a part is not there.

use std::path::PathBuf;

use thiserror::Error;

/// Why Kafka or the registry cannot be used in a test.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TestingError {
    /// A program that is needed is not installed.
    #[error("{program} is needed and was not found: {remedy}")]
    Missing {
        /// Its name.
        program: &'static str,
        /// The command that installs it.
        remedy: &'static str,
    },
    /// Java is too old.
    #[error(
        "Java {wanted} or newer is needed, found {found}: apt-get install openjdk-17-jre-headless"
    )]
    OldJava {
        /// Lowest version that will do.
        wanted: u32,
        /// What `java -version` said.
        found: String,
    },
    /// Maven could not bring the part.
    #[error("Maven could not bring {part}: {reason}")]
    Fetch {
        /// What was wanted.
        part: String,
        /// Maven's own words.
        reason: String,
    },
    /// The part ended, or did not answer in time.
    #[error("{part} did not start: {reason}\nits last words:\n{words}")]
    Start {
        /// Which one.
        part: String,
        /// What was seen from outside.
        reason: String,
        /// The end of what it logged.
        words: String,
    },
    /// A request to a running part failed.
    #[error("{part} refused {what}: {reason}")]
    Refused {
        /// Which one.
        part: String,
        /// What was asked of it.
        what: String,
        /// Its answer.
        reason: String,
    },
    /// A certificate or key could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// Neither of the variables that name a cache directory is set.
    #[error("no cache directory: set GRAPEVINE_CACHE, XDG_CACHE_HOME or HOME")]
    NoCache,
    /// A file or process.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

pub(crate) fn io(
    what: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(std::io::Error) -> TestingError {
    let path = path.into();
    move |source| TestingError::Io { what, path, source }
}
