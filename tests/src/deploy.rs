//! Where the files that are deployed are, and the tools that judge them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The directory of the tools, which are fetched once.
///
/// # Panics
/// They cannot be had.
pub fn tools() -> PathBuf {
    let fetched = Command::new(root().join("tests/deploy/fetch"))
        .stderr(Stdio::inherit())
        .output()
        .expect("bash runs");
    assert!(fetched.status.success(), "the tools cannot be had");
    PathBuf::from(String::from_utf8(fetched.stdout).expect("UTF-8").trim())
}
