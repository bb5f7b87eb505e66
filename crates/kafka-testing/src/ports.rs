//! Ports that no other test takes.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;

use crate::error::{TestingError, io};

/// Below the range from which the kernel gives ports to outgoing connections (32768 on Linux), so
/// that a broker can come back on its port.
const PORTS: std::ops::Range<u16> = 21_000..31_000;

/// A port held for this process: a lock on a file of its name, since a port can be held by
/// listening only, and it is the broker that has to listen.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _held: File,
}

impl Port {
    /// One that nobody listens on and no other test holds.
    ///
    /// # Errors
    /// All are taken, or the lock files cannot be written.
    pub fn take() -> Result<Port, TestingError> {
        // Processes that start together begin at different places.
        let count = PORTS.end - PORTS.start;
        let first = u16::try_from(std::process::id() % u32::from(count)).unwrap_or(0);
        for step in 0..count {
            let number = PORTS.start + (first + step) % count;
            let (held, _) = file(number)?;
            if held.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Ok(Port {
                    number,
                    _held: held,
                });
            }
        }
        Err(TestingError::Start {
            part: "a server".to_owned(),
            reason: format!("every port of {PORTS:?} is taken"),
            words: String::new(),
        })
    }

    /// The one of this number, which a user's words name: waits until no other test holds it.
    /// Whether a program that is no test listens there is not asked.
    ///
    /// # Errors
    /// The lock files cannot be written.
    pub fn wait_for(number: u16) -> Result<Port, TestingError> {
        let (held, path) = file(number)?;
        held.lock().map_err(io("cannot lock", path))?;
        Ok(Port {
            number,
            _held: held,
        })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

/// What the holder of a port has locked.
fn file(number: u16) -> Result<(File, PathBuf), TestingError> {
    let directory = std::env::temp_dir().join("grapevine-test-ports");
    std::fs::create_dir_all(&directory).map_err(io("cannot create", &directory))?;
    let path = directory.join(number.to_string());
    let file = File::create(&path).map_err(io("cannot write", &path))?;
    Ok((file, path))
}
