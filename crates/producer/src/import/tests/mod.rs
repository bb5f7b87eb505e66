//! The ledger against a content cut, wrapped, killed and repeated in any way.

mod home;
mod lines;
mod ways;
