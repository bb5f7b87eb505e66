//! The errors of this crate, and ClickHouse's own errors as the engine words them.

use std::path::PathBuf;

/// Why the engine could not be had, loaded or opened. Every message says what is wrong and what
/// to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// npm is not installed, and the engine is not in the cache yet.
    #[error(
        "npm is needed once to fetch the ClickHouse engine and was not found; install it \
         (`apt-get install npm`), or give the path of a libchdb.so with --engine PATH"
    )]
    NpmMissing,
    /// npm ran and failed.
    #[error(
        "npm could not fetch {package}: {reason}; check the network and try again, or give the \
         path of a libchdb.so with --engine PATH"
    )]
    Npm {
        /// Package and version asked for.
        package: String,
        /// What npm said.
        reason: String,
    },
    /// The package arrived, but its library is not the one this build was tested with.
    #[error(
        "the fetched ClickHouse engine has SHA-256 {found}, not {expected}: it was damaged or \
         exchanged on the way; nothing was kept, run the command again"
    )]
    WrongHash {
        /// The pinned hash.
        expected: String,
        /// The hash of what arrived.
        found: String,
    },
    /// The package arrived in part, or is no package.
    #[error(
        "the fetched package {package} is damaged: {source}; nothing was kept, run the command again"
    )]
    DamagedPackage {
        /// Package and version.
        package: String,
        /// What is wrong with it.
        source: std::io::Error,
    },
    /// The package has no libchdb.so in it.
    #[error("the package {package} holds no libchdb.so; give the path of one with --engine PATH")]
    PackageWithoutLibrary {
        /// Package and version.
        package: String,
    },
    /// No engine is pinned for this operating system and processor.
    #[error(
        "no ClickHouse engine is known for {platform}; give the path of a libchdb.so for it with \
         --engine PATH"
    )]
    UnsupportedPlatform {
        /// Operating system and architecture.
        platform: String,
    },
    /// The path given does not exist or cannot be read.
    #[error("cannot read the ClickHouse engine {}: {source}; check --engine and GRAPEVINE_ENGINE", path.display())]
    Unreadable {
        /// The path given.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not an ELF shared library.
    #[error(
        "{} is not a shared library ({found}); --engine wants the path of a libchdb.so",
        path.display()
    )]
    NotALibrary {
        /// The path given.
        path: PathBuf,
        /// What the file looks like.
        found: String,
    },
    /// The library is for another processor.
    #[error(
        "{} is built for {found}, this machine is {expected}; give the libchdb.so for {expected}",
        path.display()
    )]
    WrongArchitecture {
        /// The path given.
        path: PathBuf,
        /// What the library is for.
        found: String,
        /// What this process is.
        expected: &'static str,
    },
    /// The dynamic loader refused the library.
    #[error("cannot load the ClickHouse engine {}: {reason}", path.display())]
    Load {
        /// The path given.
        path: PathBuf,
        /// The loader's words.
        reason: String,
    },
    /// The library loads, but is no libchdb or one too old.
    #[error(
        "{} has no symbol {symbol}: it is no libchdb or an older one; version {} is known to work",
        path.display(),
        crate::fetch::ENGINE_VERSION
    )]
    MissingSymbol {
        /// The path given.
        path: PathBuf,
        /// The first symbol not found.
        symbol: &'static str,
    },
    /// A file or directory of the cache cannot be used.
    #[error(
        "{what} {}: {source}; the engine's cache must be a directory of yours, GRAPEVINE_CACHE names another",
        path.display()
    )]
    Cache {
        /// What was being done, such as `cannot write`.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file or directory of the data directory cannot be used.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was being done, such as `cannot write`.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has the data directory open.
    #[error(
        "the data directory {} is in use by another process; stop that process, or query it over \
         HTTP",
        path.display()
    )]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// This process has an engine open already; the engine knows one data directory a process.
    #[error(
        "this process has the engine open on {} already; close that first, one process can have \
         one data directory",
        path.display()
    )]
    AlreadyOpen {
        /// The directory that is open.
        path: PathBuf,
    },
    /// The kernel offers to confine the engine's threads and does not.
    #[error(
        "the engine cannot be confined to {}: {reason}; the data directory must be on a file system of this machine that can be opened",
        path.display()
    )]
    Confinement {
        /// The data directory.
        path: PathBuf,
        /// What the kernel says.
        reason: String,
    },
    /// The engine's threads, which outlive a server, were confined to another store.
    #[error(
        "the engine's threads in this process are confined to {}: open another store in another process",
        path.display()
    )]
    ConfinedElsewhere {
        /// The data directory that they are confined to.
        path: PathBuf,
    },
    /// The system gives no thread or socket.
    #[error("the engine's server cannot start: {0}; raise the limits on processes and open files")]
    Thread(#[source] std::io::Error),
    /// The engine refused to start.
    #[error(
        "the ClickHouse engine did not start on {}; its own message is above on standard error \
         (a full disk, no rights, or a store of a newer version are the usual reasons)",
        path.display()
    )]
    Start {
        /// The data directory.
        path: PathBuf,
    },
    /// The engine started but refused a statement needed at start.
    #[error("the ClickHouse engine refused a statement at start: {0}")]
    Refused(#[from] QueryError),
}

/// An error as ClickHouse numbers and names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Code: {code}. DB::Exception: {message} ({name})")]
pub struct QueryError {
    /// ClickHouse's error code, such as 60.
    pub code: u32,
    /// ClickHouse's name of the code, such as `UNKNOWN_TABLE`; empty where the engine gave none.
    pub name: String,
    /// The message without code and name.
    pub message: String,
}

/// The codes this crate itself answers with.
pub(crate) mod code {
    pub(crate) const NOT_IMPLEMENTED: (u32, &str) = (48, "NOT_IMPLEMENTED");
    pub(crate) const BAD_ARGUMENTS: (u32, &str) = (36, "BAD_ARGUMENTS");
    pub(crate) const SYNTAX_ERROR: (u32, &str) = (62, "SYNTAX_ERROR");
    pub(crate) const READONLY: (u32, &str) = (164, "READONLY");
    pub(crate) const ACCESS_DENIED: (u32, &str) = (497, "ACCESS_DENIED");
    pub(crate) const AUTHENTICATION_FAILED: (u32, &str) = (516, "AUTHENTICATION_FAILED");
    pub(crate) const REQUIRED_PASSWORD: (u32, &str) = (194, "REQUIRED_PASSWORD");
    pub(crate) const TOO_MANY_QUERIES: (u32, &str) = (202, "TOO_MANY_SIMULTANEOUS_QUERIES");
    pub(crate) const SESSION_NOT_FOUND: (u32, &str) = (372, "SESSION_NOT_FOUND");
    pub(crate) const SESSION_IS_LOCKED: (u32, &str) = (373, "SESSION_IS_LOCKED");
    pub(crate) const QUERY_IS_TOO_LARGE: (u32, &str) = (229, "QUERY_IS_TOO_LARGE");
    pub(crate) const CANNOT_DECOMPRESS: (u32, &str) = (271, "CANNOT_DECOMPRESS");
    pub(crate) const CANNOT_READ_ALL_DATA: (u32, &str) = (33, "CANNOT_READ_ALL_DATA");
    pub(crate) const UNKNOWN_EXCEPTION: (u32, &str) = (1002, "UNKNOWN_EXCEPTION");
    pub(crate) const SETTING_CONSTRAINT: (u32, &str) = (452, "SETTING_CONSTRAINT_VIOLATION");
}

impl QueryError {
    /// An error of this crate's own under one of ClickHouse's codes.
    pub(crate) fn new((code, name): (u32, &str), message: impl Into<String>) -> Self {
        QueryError {
            code,
            name: name.to_owned(),
            message: message.into(),
        }
    }

    /// Reads the engine's text `Code: N. DB::Exception: message (NAME)`. The engine wraps an
    /// error that passed through several layers in itself (`Code: 73. DB::Exception: Code: 73.
    /// DB::Exception: … (version …). (NAME)`); the innermost is kept. A text of another form keeps
    /// its words under code 1002.
    pub fn parse(text: &str) -> Self {
        let mut rest = text.trim();
        let mut code = None;
        while let Some((found, inner)) = strip_code(rest) {
            code = Some(found);
            rest = inner;
        }
        let Some(code) = code else {
            return QueryError::new(code::UNKNOWN_EXCEPTION, rest);
        };
        let mut name = String::new();
        loop {
            rest = rest.trim_end_matches(['.', ' ', '\n']);
            let Some(open) = rest.ends_with(')').then(|| rest.rfind(" (")).flatten() else {
                break;
            };
            let inner = &rest[open + 2..rest.len() - 1];
            let is_name = !inner.is_empty()
                && inner
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
            if is_name {
                name = inner.to_owned();
            } else if !inner.starts_with("version ") {
                break;
            }
            rest = &rest[..open];
        }
        QueryError {
            code,
            name,
            message: rest.to_owned(),
        }
    }

    /// Whether the engine stopped because it was told to.
    pub fn is_cancelled(&self) -> bool {
        self.code == 394
    }
}

/// `Code: N. DB::Exception: rest` → `(N, rest)`; other exception classes (`DB::NetException`) too.
fn strip_code(text: &str) -> Option<(u32, &str)> {
    let rest = text
        .strip_prefix("Error: ")
        .unwrap_or(text)
        .strip_prefix("Code: ")?;
    let dot = rest.find(". ")?;
    let code = rest[..dot].parse().ok()?;
    let rest = &rest[dot + 2..];
    let colon = rest.find("Exception: ")?;
    rest[..colon]
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b':')
        .then(|| (code, &rest[colon + "Exception: ".len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_engines_texts() {
        let cases = [
            (
                "Code: 60. DB::Exception: Unknown table 'x'. (UNKNOWN_TABLE)",
                60,
                "UNKNOWN_TABLE",
                "Unknown table 'x'",
            ),
            (
                "Code: 73. DB::Exception: Code: 73. DB::Exception: Unknown format Foo. Maybe you \
                 meant: []. (UNKNOWN_FORMAT) (version 26.5.1.1). (UNKNOWN_FORMAT)",
                73,
                "UNKNOWN_FORMAT",
                "Unknown format Foo. Maybe you meant: []",
            ),
            (
                "Code: 198. DB::NetException: Not found address (h:9000). (DNS_ERROR)",
                198,
                "DNS_ERROR",
                "Not found address (h:9000)",
            ),
            (
                "No active streaming query",
                1002,
                "UNKNOWN_EXCEPTION",
                "No active streaming query",
            ),
            (
                "Error: Code: 1. DB::Exception: a (B) (C D)",
                1,
                "",
                "a (B) (C D)",
            ),
        ];
        for (text, code, name, message) in cases {
            let error = QueryError::parse(text);
            assert_eq!(
                (error.code, error.name.as_str(), error.message.as_str()),
                (code, name, message)
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in ".*") {
            let _ = QueryError::parse(&text);
        }

        #[test]
        fn what_is_written_is_read_back(code in 1u32..2000, name in "[A-Z]{3,12}", message in "[a-z']{1,40}") {
            let error = QueryError { code, name, message };
            prop_assert_eq!(QueryError::parse(&error.to_string()), error);
        }
    }
}
