//! A short story with known facts through both stages, record by record.

mod crossings;
mod hostile;
mod ladders;
mod links;
mod posts;
mod readers;
mod shares;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
mod world;
