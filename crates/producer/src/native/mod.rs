//! The native hit format: one JSON object, an array of them, or one a line.
//!
//! [`split`] takes a body apart into hits without understanding them, [`parse`] reads one hit.
//! Both are pure and total: any bytes give hits or an error that names the field and the fix.

mod fields;
mod nested;
mod object;
mod split;

use std::net::IpAddr;

use grapevine_event::HitKind;
use serde::Serialize;

use crate::site::Site;

pub use fields::{from_query, parse};
pub use split::{BodyError, HITS_MAX, split};

/// Longest `title`, bytes.
pub const TITLE_BYTES_MAX: usize = 1024;
/// Longest `user_agent`, bytes.
pub const USER_AGENT_BYTES_MAX: usize = 4096;
/// Longest `language`, bytes.
pub const LANGUAGE_BYTES_MAX: usize = 256;
/// Longest `id` and `visitor`, bytes.
pub const ID_BYTES_MAX: usize = 128;
/// Longest `token` and `app`, bytes.
pub const TOKEN_BYTES_MAX: usize = 64;
/// Longest `name`, bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// Most entries of `props`.
pub const PROPS_MAX: usize = 32;
/// Longest name of a property, bytes.
pub const PROP_NAME_BYTES_MAX: usize = 128;
/// Longest text of a property or of one of `headers`, bytes.
pub const PROP_VALUE_BYTES_MAX: usize = 4096;
/// Most fields of a hit, and most entries of its `headers`. There are fewer of both that are known:
/// each of the others is told apart with what is wrong with it, which must not be without end.
pub const FIELDS_MAX: usize = 64;

/// Longest name of a field in an error, bytes; the rest is cut.
const ERROR_FIELD_BYTES_MAX: usize = 256;
/// Longest error of a field, bytes; the rest is cut. The longest of ours has a quarter of it, but
/// one of JSON may repeat what was sent.
const ERROR_BYTES_MAX: usize = 1024;

/// What is wrong with one field, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Name of the field, 256 bytes at most; empty where the hit as a whole is meant.
    pub field: String,
    /// What is wrong and how to mend it, 1024 bytes at most.
    pub error: String,
}

impl FieldError {
    pub(crate) fn new(field: &str, error: impl Into<String>) -> FieldError {
        let mut error: String = error.into();
        error.truncate(error.floor_char_boundary(ERROR_BYTES_MAX));
        FieldError {
            field: start(field, ERROR_FIELD_BYTES_MAX).to_owned(),
            error,
        }
    }
}

/// As much of a text as `bytes_max` are.
fn start(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// Headers of the page request, as a server-side sender saw them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageHeaders {
    /// `Sec-Fetch-Site`.
    pub fetch_site: Option<String>,
    /// `Sec-Fetch-Mode`.
    pub fetch_mode: Option<String>,
    /// `Sec-Fetch-Dest`.
    pub fetch_dest: Option<String>,
    /// `Sec-Fetch-User`.
    pub fetch_user: Option<String>,
    /// `Sec-CH-UA`.
    pub client_hints: Option<String>,
    /// `X-Requested-With`.
    pub requested_with: Option<String>,
    /// `Sec-Purpose`.
    pub purpose: Option<String>,
    /// `Range`.
    pub range: Option<String>,
}

/// One hit as sent: every field checked by itself, none against the clock or the sender's rights.
#[derive(Clone, Debug, PartialEq)]
pub struct NativeHit {
    /// Site.
    pub site: Site,
    /// Absolute http or https address of the page.
    pub url: String,
    /// What happened; `page_view` where not said.
    pub kind: HitKind,
    /// When, milliseconds since 1970 UTC.
    pub time_ms: Option<i64>,
    /// The client's own id of the hit.
    pub id: Option<String>,
    /// First-party id that the page keeps of its reader.
    pub visitor: Option<String>,
    /// Referrer; none where absent or empty.
    pub referrer: Option<String>,
    /// User agent, where it is not the request's.
    pub user_agent: Option<String>,
    /// Language, where it is not the request's.
    pub language: Option<String>,
    /// Page title.
    pub title: Option<String>,
    /// Share token that this page view was given.
    pub token: Option<String>,
    /// App that the page itself knows of.
    pub app: Option<String>,
    /// Name of a conversion or custom event.
    pub name: Option<String>,
    /// Value of a conversion.
    pub value: Option<f64>,
    /// The sender's own properties, in the order sent.
    pub props: Vec<(String, String)>,
    /// Status that the page was answered with.
    pub status: Option<u16>,
    /// Headers of the page request.
    pub headers: PageHeaders,
    /// The reader's address, from those who may say it.
    pub address: Option<IpAddr>,
}
