//! The data directory: everything Grapevine keeps on one machine, and the right to use it.
//!
//! | entry | what |
//! | --- | --- |
//! | `format` | version of this layout |
//! | `lock` | held by the process that uses the directory |
//! | `log.redb` | the log |
//! | `clickhouse/` | store of the embedded engine |
//! | `secret.key` | key of the visitor pseudonyms, made once |
//! | `accounts.toml` | passwords of the ClickHouse accounts and the collector's server key |
//! | `endpoint.json` | where the running process listens; gone when it stopped in good order |

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Version of the layout.
const FORMAT: u32 = 1;

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum DataDirectoryError {
    /// Another process holds it.
    #[error(
        "data directory {0} is in use by another grapevine process: stop that one, go through it (`import`, `report` and `query` do where `grapevine local` runs), or name another with --data-dir"
    )]
    InUse(PathBuf),
    /// Made by a newer version.
    #[error(
        "data directory {path} has format {found}, this version knows up to {FORMAT}: use a newer grapevine, or name another with --data-dir"
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: String,
    },
    /// Something else is there.
    #[error("{0} is not empty and not a data directory of grapevine: name another with --data-dir")]
    Foreign(PathBuf),
    /// A file in it is damaged.
    #[error(
        "{path} is damaged: {reason}; restore it from a backup, or remove it to have a new one made"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk's own errors.
    #[error("data directory: {path}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

trait AtPath<T> {
    fn at(self, path: &Path) -> Result<T, DataDirectoryError>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, DataDirectoryError> {
        self.map_err(|source| DataDirectoryError::Io {
            path: path.to_owned(),
            source,
        })
    }
}

/// Passwords and keys, made once with the system's randomness.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// Password of the ClickHouse account `owner`.
    pub owner_password: String,
    /// Password of the ClickHouse account `reader`.
    pub reader_password: String,
    /// Key that server-side senders show to the collector.
    pub server_key: String,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secrets(..)")
    }
}

/// Where a running process listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Process id.
    pub process: u32,
    /// Address of the ClickHouse interface.
    pub clickhouse: String,
    /// Address of the collector.
    pub collector: String,
    /// Address of health and metrics, where they are served.
    #[serde(default)]
    pub operations: Option<String>,
}

/// A data directory that this process holds.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    /// Held while the process lives; the system lets go of it even after `kill -9`.
    _lock: File,
}

impl DataDirectory {
    /// Takes hold of a directory, making it where there is none.
    ///
    /// # Errors
    /// In use, of a newer format, something else, or the disk's own errors.
    pub fn hold(path: &Path) -> Result<DataDirectory, DataDirectoryError> {
        let format = path.join("format");
        let is_new = match fs::read_dir(path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(source) => {
                return Err(DataDirectoryError::Io {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        if is_new {
            fs::create_dir_all(path).at(path)?;
            restrict(path, 0o700)?;
        } else if !format.exists() && !path.join("lock").exists() {
            return Err(DataDirectoryError::Foreign(path.to_owned()));
        }
        let lock_path = path.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .at(&lock_path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataDirectoryError::InUse(path.to_owned()));
            }
            Err(TryLockError::Error(source)) => {
                return Err(DataDirectoryError::Io {
                    path: lock_path,
                    source,
                });
            }
        }
        match fs::read_to_string(&format) {
            Ok(text) => match text.trim().parse::<u32>() {
                Ok(found) if found <= FORMAT => {}
                _ => {
                    let found = text.trim().chars().take(20).collect();
                    return Err(DataDirectoryError::Newer {
                        path: path.to_owned(),
                        found,
                    });
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_whole(&format, format!("{FORMAT}\n").as_bytes(), 0o644)?;
            }
            Err(source) => {
                return Err(DataDirectoryError::Io {
                    path: format,
                    source,
                });
            }
        }
        let directory = DataDirectory {
            path: path.to_owned(),
            _lock: lock,
        };
        directory.withdraw();
        Ok(directory)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// File of the log.
    pub fn log(&self) -> PathBuf {
        self.path.join("log.redb")
    }

    /// Directory of the engine's store.
    pub fn clickhouse(&self) -> PathBuf {
        self.path.join("clickhouse")
    }

    /// Key of the visitor pseudonyms; made at first use. Without it pseudonyms of earlier hits
    /// cannot be made again.
    ///
    /// # Errors
    /// A damaged file, or the disk's own errors.
    pub fn pseudonym_key(&self) -> Result<[u8; 32], DataDirectoryError> {
        let path = self.path.join("secret.key");
        match fs::read(&path) {
            Ok(bytes) => bytes
                .as_slice()
                .try_into()
                .map_err(|_| DataDirectoryError::Damaged {
                    path,
                    reason: format!("{} bytes instead of 32", bytes.len()),
                }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = random::<32>(&path)?;
                write_whole(&path, &key, 0o600)?;
                Ok(key)
            }
            Err(source) => Err(DataDirectoryError::Io { path, source }),
        }
    }

    /// Passwords and keys; made at first use.
    ///
    /// # Errors
    /// A damaged file, or the disk's own errors.
    pub fn secrets(&self) -> Result<Secrets, DataDirectoryError> {
        if let Some(secrets) = secrets_in(&self.path)? {
            return Ok(secrets);
        }
        let path = self.path.join("accounts.toml");
        let secrets = Secrets {
            owner_password: hex(&random::<16>(&path)?),
            reader_password: hex(&random::<16>(&path)?),
            server_key: hex(&random::<16>(&path)?),
        };
        let text = toml::to_string(&secrets).map_err(|error| DataDirectoryError::Damaged {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        write_whole(&path, text.as_bytes(), 0o600)?;
        Ok(secrets)
    }

    /// Says where this process listens, for the commands that go through it.
    ///
    /// # Errors
    /// The disk's own errors.
    pub fn announce(&self, endpoint: &Endpoint) -> Result<(), DataDirectoryError> {
        let path = self.path.join("endpoint.json");
        let text = serde_json::to_vec(endpoint).map_err(|error| DataDirectoryError::Damaged {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        write_whole(&path, &text, 0o644)
    }

    /// Takes back what [`announce`](Self::announce) said.
    pub fn withdraw(&self) {
        // A leftover is harmless: it counts only while the lock is held.
        let _ = fs::remove_file(self.path.join("endpoint.json"));
    }
}

/// The process that holds a data directory and says where it listens, with the directory's
/// secrets; `None` where nobody does.
///
/// # Errors
/// Held by a process that does not say where it listens (an import, say), or the disk's own errors.
pub fn running(path: &Path) -> Result<Option<(Endpoint, Secrets)>, DataDirectoryError> {
    let lock_path = path.join("lock");
    let lock = match File::options().write(true).open(&lock_path) {
        Ok(lock) => lock,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(source) => {
            return Err(DataDirectoryError::Io {
                path: lock_path,
                source,
            });
        }
    };
    match lock.try_lock() {
        Ok(()) => return Ok(None),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(source)) => {
            return Err(DataDirectoryError::Io {
                path: lock_path,
                source,
            });
        }
    }
    let endpoint = fs::read(path.join("endpoint.json")).ok();
    let endpoint = endpoint.and_then(|text| serde_json::from_slice::<Endpoint>(&text).ok());
    match (endpoint, secrets_in(path)?) {
        (Some(endpoint), Some(secrets)) => Ok(Some((endpoint, secrets))),
        _ => Err(DataDirectoryError::InUse(path.to_owned())),
    }
}

fn secrets_in(directory: &Path) -> Result<Option<Secrets>, DataDirectoryError> {
    let path = directory.join("accounts.toml");
    match fs::read_to_string(&path) {
        Ok(text) => match toml::from_str(&text) {
            Ok(secrets) => Ok(Some(secrets)),
            Err(error) => Err(DataDirectoryError::Damaged {
                path,
                reason: error.message().to_owned(),
            }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DataDirectoryError::Io { path, source }),
    }
}

/// Writes a file so that after a crash it is either whole or not there.
fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DataDirectoryError> {
    let fresh = path.with_extension("new");
    let write = || {
        let mut file = File::create(&fresh)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    write().at(path)
}

#[cfg(unix)]
fn restrict(path: &Path, mode: u32) -> Result<(), DataDirectoryError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).at(path)
}

fn random<const N: usize>(path: &Path) -> Result<[u8; N], DataDirectoryError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| DataDirectoryError::Io {
        path: path.to_owned(),
        source: io::Error::other(error.to_string()),
    })?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_directory_is_made_and_kept() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("deep/er");
        let (key, secrets) = {
            let held = DataDirectory::hold(&path).expect("made");
            (
                held.pseudonym_key().expect("key"),
                held.secrets().expect("secrets"),
            )
        };
        let held = DataDirectory::hold(&path).expect("again");
        assert_eq!(held.pseudonym_key().expect("key"), key);
        assert_eq!(
            held.secrets().expect("secrets").owner_password,
            secrets.owner_password
        );
        assert_ne!(secrets.owner_password, secrets.reader_password);
        assert_eq!(
            format!("{secrets:?}"),
            "Secrets(..)",
            "secrets are never printed"
        );
    }

    #[test]
    fn a_held_directory_names_its_holder() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("data");
        assert!(running(&path).expect("nothing there").is_none());
        let held = DataDirectory::hold(&path).expect("made");
        assert!(matches!(
            DataDirectory::hold(&path),
            Err(DataDirectoryError::InUse(_))
        ));
        assert!(
            matches!(running(&path), Err(DataDirectoryError::InUse(_))),
            "does not say where it listens"
        );
        held.secrets().expect("secrets");
        let endpoint = Endpoint {
            process: 1,
            clickhouse: "127.0.0.1:1".into(),
            collector: "127.0.0.1:2".into(),
            operations: None,
        };
        held.announce(&endpoint).expect("said");
        assert_eq!(
            running(&path).expect("running").expect("somebody").0,
            endpoint
        );
        drop(held);
        assert!(
            running(&path).expect("gone").is_none(),
            "a leftover endpoint of a killed process does not count"
        );
        DataDirectory::hold(&path).expect("free again");
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::write(dir.path().join("thesis.tex"), "…").expect("writes");
        assert!(matches!(
            DataDirectory::hold(dir.path()),
            Err(DataDirectoryError::Foreign(_))
        ));
        assert_eq!(
            fs::read_dir(dir.path()).expect("reads").count(),
            1,
            "nothing was added"
        );
    }

    #[test]
    fn a_newer_or_damaged_one_is_refused() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("data");
        drop(DataDirectory::hold(&path).expect("made"));
        fs::write(path.join("secret.key"), b"short").expect("writes");
        let held = DataDirectory::hold(&path).expect("made");
        assert!(matches!(
            held.pseudonym_key(),
            Err(DataDirectoryError::Damaged { .. })
        ));
        drop(held);
        fs::write(path.join("format"), b"2\n").expect("writes");
        assert!(
            matches!(DataDirectory::hold(&path), Err(DataDirectoryError::Newer { found, .. }) if found == "2")
        );
    }
}
