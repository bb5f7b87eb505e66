//! Standard input, kept for this command.
//!
//! The embedded engine takes standard input for the data of an `INSERT` where it finds any there:
//! a log piped into `grapevine import` would end up in the first one. So before the engine is
//! loaded, descriptor 0 becomes `/dev/null`, and what it was is kept here.

use std::fs::File;
use std::io;
use std::sync::OnceLock;

static KEPT: OnceLock<File> = OnceLock::new();

/// Moves standard input out of the engine's reach. To be called before anything else is started;
/// later calls do nothing.
///
/// # Errors
/// The system gives no descriptor.
pub fn set_aside() -> io::Result<()> {
    if KEPT.get().is_some() {
        return Ok(());
    }
    let kept = File::from(rustix::io::dup(rustix::stdio::stdin())?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    // Another thread cannot have been first: none is started yet.
    let _ = KEPT.set(kept);
    Ok(())
}

/// What standard input was.
///
/// # Errors
/// It was not set aside, or the system gives no descriptor.
pub fn reader() -> io::Result<File> {
    let kept = KEPT
        .get()
        .ok_or_else(|| io::Error::other("standard input was not set aside"))?;
    kept.try_clone()
}
