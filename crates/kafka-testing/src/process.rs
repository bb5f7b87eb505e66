//! Processes that end when the test ends, however it ends.
//!
//! A test that is killed runs no destructors. So one watchdog, a small shell, holds the other end
//! of a pipe of which this process alone holds the writing end: when the kernel closes it, the
//! shell kills what is on its list and removes the directories on it.
//!
//! Each has a process group of its own: Ctrl-C in a terminal goes to the test alone, which ends the
//! rest in the order that it wants, and whoever kills the test's group spares the watchdog.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{TestingError, io};

/// Reads `+PID`, `-PID` and `d DIRECTORY`. A signal to the whole terminal does not end it.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP QUIT
pids=' '
while read -r word rest; do
  case "$word" in
    d) dirs="$dirs
$rest" ;;
    +*) pids="$pids${word#+} " ;;
    -*) pid=${word#-}
      # One that is not on it would double the list.
      case "$pids" in *" $pid "*) pids="${pids%% $pid *} ${pids#* $pid }" ;; esac ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
printf '%s\n' "$dirs" | while read -r dir; do [ -n "$dir" ] && rm -rf -- "$dir"; done
"#;

fn watchdog() -> &'static Mutex<Option<ChildStdin>> {
    static WATCHDOG_INPUT: OnceLock<Mutex<Option<ChildStdin>>> = OnceLock::new();
    WATCHDOG_INPUT.get_or_init(|| {
        let shell = Command::new("sh")
            .args(["-c", WATCHDOG])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        Mutex::new(shell.ok().and_then(|mut shell| shell.stdin.take()))
    })
}

fn tell_watchdog(line: &str) {
    let mut input = watchdog().lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(input) = input.as_mut() {
        // Without a watchdog destructors still do their work.
        let _ = input.write_all(line.as_bytes());
    }
}

/// A directory that goes when the value is dropped or the test process is gone.
#[derive(Debug)]
pub struct ScratchDirectory(tempfile::TempDir);

impl ScratchDirectory {
    /// A new one, empty.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn new() -> Result<ScratchDirectory, TestingError> {
        let directory = tempfile::Builder::new()
            .prefix("grapevine-test-")
            .tempdir()
            .map_err(io("cannot make a directory in", std::env::temp_dir()))?;
        tell_watchdog(&format!("d {}\n", directory.path().display()));
        Ok(ScratchDirectory(directory))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A process of the test's: killed when dropped, and when the test process is gone.
#[derive(Debug)]
pub struct GuardedProcess {
    child: Child,
    output: PathBuf,
}

impl GuardedProcess {
    /// Starts `command` with standard output and error appended to `output`.
    ///
    /// # Errors
    /// The program is not there, or the file cannot be written.
    pub fn start(command: &mut Command, output: &Path) -> Result<GuardedProcess, TestingError> {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(output)
            .map_err(io("cannot write", output))?;
        let both = file.try_clone().map_err(io("cannot write", output))?;
        let program = command.get_program().to_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(both)
            .process_group(0)
            .spawn()
            .map_err(io("cannot start", program))?;
        tell_watchdog(&format!("+{}\n", child.id()));
        Ok(GuardedProcess {
            child,
            output: output.to_owned(),
        })
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended; `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        // Gone already where it ended by itself.
        let _ = self.child.kill();
        self.reap();
    }

    /// SIGTERM, then `kill -9` where it is still there after `grace`. How it ended.
    pub fn stop(&mut self, grace: Duration) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + grace;
        while Instant::now() < deadline {
            if let Some(status) = self.ended() {
                tell_watchdog(&format!("-{}\n", self.child.id()));
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill();
        None
    }

    /// SIGSTOP: it keeps its sockets and answers nothing.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGQUIT, at which Java says what its threads do.
    pub(crate) fn quit(&self) {
        self.signal(Signal::QUIT);
    }

    /// The end of what it wrote, `lines` at most.
    pub fn last_words(&self, lines: usize) -> String {
        let text = std::fs::read(&self.output).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(id) = id {
            // It was not waited for, so the id is still its own.
            let _ = kill_process(id, signal);
        }
    }

    fn reap(&mut self) {
        let _ = self.child.wait();
        tell_watchdog(&format!("-{}\n", self.child.id()));
    }
}

impl Drop for GuardedProcess {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // A stopped process is killed as well: SIGKILL needs no continuing.
            self.kill();
        } else {
            tell_watchdog(&format!("-{}\n", self.child.id()));
        }
    }
}
