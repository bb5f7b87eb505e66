//! Logging: `tracing` to standard error, so that standard output is the command's answer alone.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::exit::{ExitKind, Failure};

/// Starts logging what passes `filter`, or else `default`.
///
/// # Errors
/// A filter that cannot be understood.
pub fn start(filter: Option<&str>, json: bool, default: &str) -> Result<(), Failure> {
    let text = filter.unwrap_or(default);
    let filter = EnvFilter::try_new(text).map_err(|error| {
        Failure::new(
            ExitKind::Usage,
            format!("--log {text}: {error}; write a level such as info, or target=level"),
        )
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = if json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
    started.map_err(|error| Failure::new(ExitKind::Software, format!("logging: {error}")))
}
