//! The schema registry of a running command: schemas registered before anything is framed, and
//! what it says as a condition of readiness.

use std::sync::Arc;
use std::time::Duration;

use grapevine_operations::Health;
use grapevine_registry::{Frames, RegistryError};

use crate::exit::{Ends, ExitKind, Failure};
use crate::settings::{Settings, registry_failure};

/// Pause after the first try that did not work; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// How often a command that somebody waits for tries.
const TRIES_OF_A_COMMAND: u32 = 6;

/// What frames records, where a registry is set. Nothing is asked yet.
///
/// # Errors
/// Settings that are wrong.
pub async fn frames(settings: &Settings) -> Result<Option<Arc<Frames>>, Failure> {
    let settings = settings.registry.clone();
    let client = tokio::task::spawn_blocking(move || settings.client());
    let client = client.await.ends(ExitKind::Software)??;
    Ok(client.map(|client| Arc::new(Frames::new(client))))
}

/// Keeps the condition `registry`: whether it answered when it was last asked.
pub fn watch(health: &Health, frames: Option<&Arc<Frames>>) {
    if let Some(frames) = frames {
        let frames = Arc::clone(frames);
        health.ask("registry", move || frames.trouble().map_or(Ok(()), Err));
    }
}

/// Registers the schemas; a registry that is away is waited for, with no end.
///
/// # Errors
/// A registry that does not let us in, or does not take a schema.
pub async fn registered(frames: Option<&Arc<Frames>>) -> Result<(), Failure> {
    register(frames, u32::MAX).await
}

/// The same for a command that somebody waits for: a registry that stays away ends it.
///
/// # Errors
/// Those of [`registered`], and a registry that is away.
pub async fn registered_soon(frames: Option<&Arc<Frames>>) -> Result<(), Failure> {
    register(frames, TRIES_OF_A_COMMAND).await
}

async fn register(frames: Option<&Arc<Frames>>, tries: u32) -> Result<(), Failure> {
    let Some(frames) = frames else {
        return Ok(());
    };
    let mut pause = PAUSE_MIN;
    for left in (0..tries).rev() {
        let asked = Arc::clone(frames);
        let said = tokio::task::spawn_blocking(move || asked.register()).await;
        match said.ends(ExitKind::Software)? {
            Ok(()) => {
                tracing::info!(registry = frames.url(), "schemas are registered");
                return Ok(());
            }
            Err(error @ RegistryError::Away { .. }) if left > 0 => {
                tracing::warn!(%error, "waiting for the schema registry");
            }
            Err(error) => return Err(registry_failure(error)),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    Ok(())
}
