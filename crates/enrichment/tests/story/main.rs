//! A short story with known facts through both stages, record by record.

mod links;
mod readers;
mod shares;
#[path = "../support/mod.rs"]
mod support;
mod world;
