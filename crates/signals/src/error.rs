//! What can be wrong with a catalogue or with a link.

use thiserror::Error;

/// A catalogue file that cannot be used. Every variant names the file and the fix.
#[derive(Debug, Error)]
pub enum SignalsError {
    /// Not TOML at all; the message carries line and column.
    #[error("{file}: not valid TOML: {message}; correct that line")]
    Syntax {
        /// The name the caller gave to the text.
        file: String,
        /// What the TOML parser says, with line and column.
        message: String,
    },
    /// A table that no catalogue has.
    #[error("{file}: unknown table `{table}`; the tables are {known}")]
    UnknownTable {
        /// The name the caller gave to the text.
        file: String,
        /// The table found.
        table: String,
        /// The tables that exist.
        known: String,
    },
    /// An entry with a missing, unknown or wrong key, or one that its own examples do not find.
    #[error("{file}: {table} `{entry}`: {problem}; {fix}")]
    Entry {
        /// The name the caller gave to the text.
        file: String,
        /// The table of the entry, such as `fetcher`.
        table: &'static str,
        /// The entry's id, or its position when it has none.
        entry: String,
        /// What is wrong, naming the key.
        problem: String,
        /// What to do about it.
        fix: &'static str,
    },
    /// More literals or rules than one automaton holds.
    #[error("{file}: {count} {what}, but at most {max} are possible; remove some entries")]
    TooMany {
        /// The name the caller gave to the text.
        file: String,
        /// Literals or rules.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
}

/// A URL that is not the address of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LinkError {
    /// Nothing but white space.
    #[error("the url is empty; send the address of the page")]
    Empty,
    /// Longer than [`crate::LINK_BYTES_MAX`], as sent or once escaped.
    #[error("the url has {0} bytes, more than 65536; send the address without the payload in it")]
    TooLong(usize),
    /// A path, a host without scheme, or free text.
    #[error("the url has no scheme; send it with http:// or https:// and its host")]
    NotAbsolute,
    /// Neither http nor https.
    #[error("the url's scheme is not http or https; only pages of the web can be counted")]
    Scheme,
    /// A host that no browser would accept.
    #[error("the url's host is missing or not valid; check it for spaces and odd characters")]
    Host,
    /// A port that is no number from 0 to 65535.
    #[error("the url's port is not a number from 0 to 65535; correct or remove it")]
    Port,
}
