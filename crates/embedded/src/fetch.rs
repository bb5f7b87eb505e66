//! Getting the engine's library: fetched once with npm into a cache, checked by hash, found again
//! without reading its 559 MB.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::error::EngineError;

/// The version of the engine that this build was tested with.
pub const ENGINE_VERSION: &str = "26.5.3";
/// SHA-256 of the `libchdb.so` in that package.
pub const ENGINE_SHA256: &str = "4330da79405733f7572f27c1442f46c03a08301f00859dce0368645731b1e1dc";
const PACKAGE: &str = "@chdb/lib-linux-x64-gnu";
/// Directories that a fetch works in, followed by the process's id.
const WORK_PREFIX: &str = "fetch-";

/// What fetching is doing, for a progress line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchProgress {
    /// Another process is fetching; waiting for it.
    Waiting,
    /// npm is downloading the package (about 150 MB).
    Downloading,
    /// The library is being unpacked and hashed.
    Unpacking {
        /// Bytes written.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
}

/// The cache directory: `$GRAPEVINE_CACHE`, else `$XDG_CACHE_HOME/grapevine`, else
/// `~/.cache/grapevine`; `None` where none of the three variables is set.
pub fn cache_dir() -> Option<PathBuf> {
    let var = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    var("GRAPEVINE_CACHE")
        .or_else(|| var("XDG_CACHE_HOME").map(|dir| dir.join("grapevine")))
        .or_else(|| var("HOME").map(|dir| dir.join(".cache/grapevine")))
}

/// The pinned library in `cache`, fetched if it is not there.
pub(crate) fn obtain(
    cache: &Path,
    progress: impl Fn(FetchProgress),
) -> Result<PathBuf, EngineError> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(EngineError::UnsupportedPlatform {
            platform: format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH),
        });
    }
    let dir = cache.join(format!("engine-{ENGINE_VERSION}"));
    let library = dir.join("libchdb.so");
    if stamp_matches(&library) {
        return Ok(library);
    }
    fs::create_dir_all(&dir).map_err(io("cannot create", &dir))?;
    let _lock = lock(&dir.join("lock"), &progress)?;
    // Another process may have fetched it while this one waited.
    if stamp_matches(&library) {
        return Ok(library);
    }
    // A library without its stamp (a kill between rename and stamp): hash it rather than fetch.
    if library.exists() && hash_file(&library, &progress)? == ENGINE_SHA256 {
        write_stamp(&library)?;
        return Ok(library);
    }
    remove_interrupted(&dir)?;
    let work = dir.join(format!("{WORK_PREFIX}{}", std::process::id()));
    let outcome = fetch(&work, &library, &progress);
    // What a failed fetch left behind is of no use to the next.
    let _ = fs::remove_dir_all(&work);
    outcome?;
    Ok(library)
}

/// Removes what fetches left that were killed. Whoever holds the lock is the only one fetching; an
/// npm that outlived its killed parent writes into a directory that is gone.
fn remove_interrupted(dir: &Path) -> Result<(), EngineError> {
    for entry in fs::read_dir(dir).map_err(io("cannot read", dir))? {
        let path = entry.map_err(io("cannot read", dir))?.path();
        let is_work = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(WORK_PREFIX));
        if is_work {
            fs::remove_dir_all(&path).map_err(io("cannot remove", &path))?;
        }
    }
    Ok(())
}

fn fetch(
    work: &Path,
    library: &Path,
    progress: &impl Fn(FetchProgress),
) -> Result<(), EngineError> {
    fs::create_dir_all(work).map_err(io("cannot create", work))?;
    progress(FetchProgress::Downloading);
    let package = format!("{PACKAGE}@{ENGINE_VERSION}");
    let output = Command::new("npm")
        .args(["pack", "--loglevel", "error", &package])
        .current_dir(work)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| match e.kind() {
            ErrorKind::NotFound => EngineError::NpmMissing,
            _ => EngineError::Npm {
                package: package.clone(),
                reason: e.to_string(),
            },
        })?;
    if !output.status.success() {
        return Err(EngineError::Npm {
            package,
            reason: npm_reason(&String::from_utf8_lossy(&output.stderr), output.status),
        });
    }
    let archive = fs::read_dir(work)
        .map_err(io("cannot read", work))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "tgz"))
        .ok_or_else(|| EngineError::PackageWithoutLibrary {
            package: package.clone(),
        })?;
    let unpacked = work.join("libchdb.so");
    let found = unpack(&archive, &unpacked, &package, progress)?
        .ok_or(EngineError::PackageWithoutLibrary { package })?;
    if found != ENGINE_SHA256 {
        return Err(EngineError::WrongHash {
            expected: ENGINE_SHA256.to_owned(),
            found,
        });
    }
    fs::rename(&unpacked, library).map_err(io("cannot write", library))?;
    write_stamp(library)
}

/// The line of npm's that says what went wrong: its first ones are `code`, `syscall`, `errno` and
/// such, each with one word, the sentence comes after them.
fn npm_reason(stderr: &str, status: ExitStatus) -> String {
    let lines: Vec<&str> = stderr
        .lines()
        .map(|line| {
            line.trim_start_matches("npm error")
                .trim_start_matches("npm ERR!")
        })
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let sentence = lines
        .iter()
        .find(|line| line.split_whitespace().count() > 2);
    let found = sentence.or(lines.first());
    found.map_or_else(|| format!("npm ended with {status}"), ToString::to_string)
}

/// Unpacks `libchdb.so` from the package to `to` and returns its hash.
fn unpack(
    archive: &Path,
    to: &Path,
    package: &str,
    progress: &impl Fn(FetchProgress),
) -> Result<Option<String>, EngineError> {
    let damaged = |source| EngineError::DamagedPackage {
        package: package.to_owned(),
        source,
    };
    let file = File::open(archive).map_err(io("cannot read", archive))?;
    let mut tar = tar::Archive::new(flate2::read::MultiGzDecoder::new(file));
    for entry in tar.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let is_library = entry
            .path()
            .is_ok_and(|p| p.file_name().is_some_and(|n| n == "libchdb.so"));
        if !is_library {
            continue;
        }
        let total = entry.size();
        let mut file = File::create(to).map_err(io("cannot write", to))?;
        let mut hash = Sha256::new();
        read_in_pieces(&mut entry, total, progress, damaged, |piece| {
            hash.update(piece);
            file.write_all(piece).map_err(io("cannot write", to))
        })?;
        file.sync_all().map_err(io("cannot write", to))?;
        return Ok(Some(hexadecimal(hash)));
    }
    Ok(None)
}

fn hash_file(path: &Path, progress: &impl Fn(FetchProgress)) -> Result<String, EngineError> {
    let mut file = File::open(path).map_err(io("cannot read", path))?;
    let total = file.metadata().map_err(io("cannot read", path))?.len();
    let mut hash = Sha256::new();
    read_in_pieces(
        &mut file,
        total,
        progress,
        io("cannot read", path),
        |piece| {
            hash.update(piece);
            Ok(())
        },
    )?;
    Ok(hexadecimal(hash))
}

/// Hands over `from` in pieces of 1 MiB at most. `unreadable` words an error of its own.
fn read_in_pieces(
    from: &mut impl Read,
    total: u64,
    progress: &impl Fn(FetchProgress),
    unreadable: impl FnOnce(std::io::Error) -> EngineError,
    mut take: impl FnMut(&[u8]) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        take(&buffer[..count])?;
        done += count as u64;
        progress(FetchProgress::Unpacking { done, total });
    }
}

fn hexadecimal(hash: Sha256) -> String {
    let digest = hash.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The stamp beside the library: hash, size and modification time of the file that was hashed.
/// While size and time are unchanged the file need not be hashed again.
fn stamp(library: &Path) -> Option<String> {
    let meta = fs::metadata(library).ok()?;
    let modified = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!(
        "{ENGINE_SHA256} {} {}\n",
        meta.len(),
        modified.as_nanos()
    ))
}

fn stamp_matches(library: &Path) -> bool {
    let stored = fs::read_to_string(library.with_extension("stamp")).ok();
    stored.is_some() && stored == stamp(library)
}

fn write_stamp(library: &Path) -> Result<(), EngineError> {
    let path = library.with_extension("stamp");
    let text = stamp(library).unwrap_or_default();
    fs::write(&path, text).map_err(io("cannot write", &path))
}

fn lock(path: &Path, progress: &impl Fn(FetchProgress)) -> Result<File, EngineError> {
    let file = File::create(path).map_err(io("cannot write", path))?;
    if file.try_lock().is_err() {
        progress(FetchProgress::Waiting);
        file.lock().map_err(io("cannot lock", path))?;
    }
    Ok(file)
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> EngineError {
    let path = path.to_owned();
    move |source| EngineError::Cache { what, path, source }
}

/// ELF's machine numbers, from the System V ABI, for a readable message.
fn machine_name(machine: u16) -> String {
    match machine {
        0x3e => "x86_64".to_owned(),
        0xb7 => "aarch64".to_owned(),
        other => format!("ELF machine {other}"),
    }
}

/// Refuses what the dynamic loader would refuse with riddles: no file, no ELF library, another
/// processor's.
pub(crate) fn check_elf(path: &Path) -> Result<(), EngineError> {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let unreadable = |source| EngineError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut header = Vec::with_capacity(20);
    File::open(path)
        .map_err(unreadable)?
        .take(20)
        .read_to_end(&mut header)
        .map_err(unreadable)?;
    let not_a_library = |found: &str| EngineError::NotALibrary {
        path: path.to_owned(),
        found: found.to_owned(),
    };
    if header.is_empty() {
        return Err(not_a_library("the file is empty"));
    }
    if header.len() < 20 || !header.starts_with(b"\x7fELF") {
        return Err(not_a_library("no ELF header"));
    }
    if u16::from_le_bytes([header[16], header[17]]) != 3 {
        return Err(not_a_library("an ELF file, but no shared object"));
    }
    let found = machine_name(u16::from_le_bytes([header[18], header[19]]));
    if found != std::env::consts::ARCH {
        let expected = std::env::consts::ARCH;
        return Err(EngineError::WrongArchitecture {
            path: path.to_owned(),
            found,
            expected,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> String {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("lib.so");
        fs::write(&path, bytes).expect("write");
        check_elf(&path).expect_err("refused").to_string()
    }

    fn elf(kind: u16, machine: u16) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(16, 0);
        bytes.extend(kind.to_le_bytes());
        bytes.extend(machine.to_le_bytes());
        bytes
    }

    #[test]
    fn wrong_files_are_named() {
        assert!(message(b"").contains("the file is empty"));
        assert!(message(b"#!/bin/sh\necho this is long enough\n").contains("no ELF header"));
        assert!(message(&elf(2, 0x3e)).contains("no shared object"));
        let other = if cfg!(target_arch = "x86_64") {
            0xb7
        } else {
            0x3e
        };
        assert!(message(&elf(3, other)).contains("is built for"));
        let missing = check_elf(Path::new("no/such/libchdb.so")).expect_err("refused");
        assert!(missing.to_string().contains("check --engine"));
    }

    #[test]
    fn npms_sentence_is_found() {
        use std::os::unix::process::ExitStatusExt;

        let failed = ExitStatus::from_raw(256);
        let offline = "npm error code ECONNREFUSED\nnpm error syscall connect\nnpm error FetchError: request to x failed, reason: refused\nnpm error     at y (z)";
        assert_eq!(
            npm_reason(offline, failed),
            "FetchError: request to x failed, reason: refused"
        );
        let older = "npm ERR! code E404\nnpm ERR! 404 Not Found - GET x\n";
        assert_eq!(npm_reason(older, failed), "404 Not Found - GET x");
        assert_eq!(npm_reason("killed\n", failed), "killed");
        assert_eq!(npm_reason("\n", failed), "npm ended with exit status: 1");
    }

    #[test]
    fn a_library_that_changed_loses_its_stamp() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("libchdb.so");
        fs::write(&path, b"one").expect("write");
        assert!(!stamp_matches(&path));
        write_stamp(&path).expect("stamp");
        assert!(stamp_matches(&path));
        fs::write(&path, b"other").expect("write");
        assert!(!stamp_matches(&path));
    }

    #[test]
    fn the_hash_is_sha256_of_what_was_copied() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("x");
        fs::write(&path, b"abc").expect("write");
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash_file(&path, &|_| ()).expect("hash"), expected);
    }
}
