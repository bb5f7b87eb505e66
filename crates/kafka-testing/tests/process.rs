//! Nothing outlives a test, however it ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use grapevine_kafka_testing::{GuardedProcess, ScratchDirectory};

/// File that the process under test writes to; set where this binary runs as that process.
const HELD: &str = "GRAPEVINE_TEST_HELD";

fn sleeper(directory: &Path) -> GuardedProcess {
    GuardedProcess::start(Command::new("sleep").arg("1000"), &directory.join("output"))
        .expect("sleep starts")
}

fn is_there(process: u32) -> bool {
    // A process that was killed and not yet waited for by its new parent is a zombie.
    let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}

fn is_gone_soon(gone: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if gone() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

#[test]
fn dropping_kills() {
    let directory = ScratchDirectory::new().expect("a directory");
    let path = directory.path().to_owned();
    let process = sleeper(&path);
    let id = process.id();
    if let Some(file) = std::env::var_os(HELD) {
        std::fs::write(file, format!("{id} {}", path.display())).expect("writes");
        std::thread::sleep(Duration::from_secs(1000));
    }
    process.pause();
    drop(process);
    assert!(!is_there(id));
    drop(directory);
    assert!(!path.exists());
}

#[test]
fn a_killed_test_leaves_nothing() {
    let directory = ScratchDirectory::new().expect("a directory");
    let file = directory.path().join("held");
    let mut test = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "dropping_kills"])
        .env(HELD, &file)
        .stdout(Stdio::null())
        .spawn()
        .expect("starts");
    let written = || std::fs::read_to_string(&file).unwrap_or_default();
    assert!(is_gone_soon(|| written().contains(' ')));
    let text = written();
    let (process, scratch) = text.split_once(' ').expect("two words");
    let (process, scratch): (u32, _) = (process.parse().expect("an id"), PathBuf::from(scratch));
    assert!(is_there(process) && scratch.exists());
    test.kill().expect("kills");
    test.wait().expect("gone");
    assert!(is_gone_soon(|| !is_there(process) && !scratch.exists()));
}
