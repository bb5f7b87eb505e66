//! The `grapevine` command: local, collect, enrich, sink, audit, replay, import, report, query,
//! simulate, evaluate, demo, config, health.
//!
//! This crate wires the others together and talks to the user. It judges nothing: what a hit
//! means is decided in `grapevine-inference`, what is stored in `grapevine-sink`.
#![forbid(unsafe_code)]

pub mod audit;
pub mod check;
pub mod cli;
pub mod collect;
pub mod data_directory;
pub mod database;
pub mod demo;
mod ending;
pub mod engine;
pub mod enrich;
pub mod evaluate;
pub mod exit;
pub mod health;
pub mod import;
pub mod judging;
pub mod kafka;
pub mod local;
pub mod numerals;
pub mod operations;
pub mod pipeline;
pub mod query;
pub mod reachable;
pub mod registry;
pub mod replay;
pub mod report;
pub mod secret;
pub mod settings;
pub mod simulate;
pub mod sink;
pub mod standard_input;
mod unknown_key;
pub mod warehouse;
