//! Writers: access logs, native hits, and the truth beside them.
//!
//! Each is a function of one event, so that one pass over a simulation can feed several files; the
//! functions over whole iterators are for one file alone.

mod access_log;
mod cascades;
mod hits;
mod truth;

pub use access_log::{LogFormat, write_access_log, write_log_line};
pub use cascades::CascadeWriter;
pub use hits::{HitOptions, hits, write_hit, write_hits};
pub use truth::{TruthFormat, TruthWriter, write_truth};
