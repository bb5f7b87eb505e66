//! The `grapevine` command: local, import, report, query, simulate, demo.
//!
//! This crate wires the others together and talks to the user. It judges nothing: what a hit
//! means is decided in `grapevine-inference`, what is stored in `grapevine-sink`.
#![forbid(unsafe_code)]

pub mod cli;
pub mod data_directory;
pub mod exit;
pub mod report;
pub mod settings;
