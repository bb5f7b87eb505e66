//! `grapevine report`: what is known of a site in a period, with its uncertainty.
//!
//! [`ask`] fetches the figures, [`figures`] holds them, [`terminal`] and [`machine`] write them.
//! Every figure that rests on a guess carries the range of that guess.

mod ask;
mod figures;
mod machine;
mod terminal;

pub use ask::{AskError, Period, ask, sites};
pub use figures::Report;
pub use machine::{write_csv, write_json};
pub use terminal::write_text;
