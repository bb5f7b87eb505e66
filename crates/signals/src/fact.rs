//! How far a fact can be trusted, and what it says about an audience.

use serde::Deserialize;

/// How a fact of the catalogue is known. It changes no figure; the evidence of a visit says where a
/// mark is only inferred or hearsay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// One blog, one allow-list, a vendor's word without a method.
    Folklore,
    /// Follows from other facts, but nobody wrote it down.
    Inferred,
    /// Seen in server logs, captured requests, or in several unrelated code bases.
    Observed,
    /// A vendor's page, a standard, or the program's own source code.
    Documented,
}

/// Who can see what is posted on a surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Surface {
    /// A chat, a group, a mail: dark social.
    Private,
    /// A feed, a profile, a page that strangers can read.
    Public,
    /// The app has both and the signal does not tell them apart.
    Unknown,
}

impl Surface {
    /// The word used in records and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Surface::Private => "private",
            Surface::Public => "public",
            Surface::Unknown => "unknown",
        }
    }
}
