//! Fetching the engine into an empty cache, where the network, the package or the process fails.
//!
//! npm is played by a script, since the real one cannot be made to fail at will; what it serves is
//! the real engine, wherever it has to be loaded in the end.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use grapevine_embedded::{ENGINE_VERSION, cache_dir};
use grapevine_tests::{answer, command};

const LINE: &str = "203.0.113.9 - - [02/Mar/2026:10:00:00 +0000] \"GET /2026/03/a-story HTTP/1.1\" 200 5120 \"-\" \"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\"\n";

/// A directory with an empty cache, a log of one line, and a program `npm`.
struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Machine {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::create_dir(dir.path().join("bin")).expect("makes");
        fs::write(dir.path().join("one.log"), LINE).expect("writes");
        Machine { dir }
    }

    /// Makes `npm` a shell script; it finds the package as `$PACKAGE`.
    fn npm(&self, script: &str) {
        let path = self.dir.path().join("bin/npm");
        fs::write(
            &path,
            format!("#!/bin/sh\necho run >> \"$RUNS\"\n{script}\n"),
        )
        .expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("allows");
    }

    /// An import of one line, into a data directory of that name, that has to fetch the engine.
    fn import(&self, data_dir: &str) -> Command {
        let mut import = command(&self.dir.path().join(data_dir));
        let path = format!("{}:/usr/bin:/bin", self.dir.path().join("bin").display());
        import
            .args(["import", "--quiet", "--site", "example.org"])
            .arg(self.dir.path().join("one.log"))
            .env_remove("GRAPEVINE_ENGINE")
            .env("GRAPEVINE_CACHE", self.dir.path().join("cache"))
            .env("PATH", path)
            .env("PACKAGE", self.package())
            .env("RUNS", self.dir.path().join("runs"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        import
    }

    fn package(&self) -> PathBuf {
        self.dir.path().join("package.tgz")
    }

    /// How often npm was run.
    fn runs(&self) -> usize {
        let runs = fs::read_to_string(self.dir.path().join("runs")).expect("npm was run");
        runs.lines().count()
    }

    /// The names in the engine's cache, sorted.
    fn cached(&self) -> Vec<String> {
        let engine = format!("cache/engine-{ENGINE_VERSION}");
        let entries = fs::read_dir(self.dir.path().join(engine)).expect("cache");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    /// Packs `library` as npm's packages are.
    fn pack(&self, name: &str, library: &Path) {
        let package = File::create(self.package()).expect("creates");
        // Not compressed: half a gigabyte would take long.
        let mut tar = tar::Builder::new(GzEncoder::new(package, Compression::none()));
        tar.append_path_with_name(library, format!("package/{name}"))
            .expect("packs");
        tar.into_inner().and_then(GzEncoder::finish).expect("packs");
    }

    fn pack_bytes(&self, name: &str, bytes: &[u8]) {
        let file = self.dir.path().join("bytes");
        fs::write(&file, bytes).expect("writes");
        self.pack(name, &file);
    }

    /// Packs the engine itself, as it is on this machine.
    fn pack_engine(&self) {
        // Fetches it where it is not there yet.
        let first = self.dir.path().join("first");
        let log = self.dir.path().join("one.log").display().to_string();
        answer(
            &first,
            &["import", "--quiet", "--site", "example.org", &log],
        );
        let given = std::env::var_os("GRAPEVINE_ENGINE").map(PathBuf::from);
        let library = given.unwrap_or_else(|| {
            let cache = cache_dir().expect("HOME is set");
            cache.join(format!("engine-{ENGINE_VERSION}/libchdb.so"))
        });
        self.pack("libchdb.so", &library);
    }
}

#[track_caller]
fn succeeded(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
}

/// One message that names what it must, the exit code, and nothing kept.
#[track_caller]
fn refused(machine: &Machine, names: &[&str]) {
    let output = machine.import("data").output().expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert_eq!(said.lines().count(), 1, "one message: {said}");
    for name in names {
        assert!(said.contains(name), "should name {name:?}: {said}");
    }
    assert_eq!(machine.cached(), ["lock"], "{said}");
}

#[test]
fn a_package_that_is_not_the_right_one_is_refused_and_not_kept() {
    let machine = Machine::new();
    machine.npm("cp \"$PACKAGE\" engine.tgz");

    machine.pack_bytes("libchdb.so", b"\x7fELF somebody else's library");
    let again = ["nothing was kept", "run the command again"];
    refused(&machine, &[&["SHA-256"], &again[..]].concat());

    machine.pack_bytes("readme.md", b"no library at all");
    refused(&machine, &["holds no libchdb.so", "--engine"]);

    machine.pack_bytes("libchdb.so", &[7; 100_000]);
    let whole = fs::read(machine.package()).expect("reads");
    for damaged in [
        &whole[..whole.len() / 2],
        b"<html>a portal's page</html>",
        b"",
    ] {
        fs::write(machine.package(), damaged).expect("writes");
        refused(&machine, &[&["is damaged"], &again[..]].concat());
    }

    machine
        .npm("echo 'npm error code E404' >&2; echo 'npm error 404 Not Found - GET it' >&2; exit 1");
    refused(
        &machine,
        &["404 Not Found - GET it", "check the network", "--engine"],
    );
    machine.npm("exit 0");
    refused(&machine, &["holds no libchdb.so"]);
}

#[test]
fn two_processes_with_one_empty_cache_fetch_once() {
    let machine = Machine::new();
    machine.pack_engine();
    // Long enough that both are there before either is done.
    machine.npm("sleep 2; cp \"$PACKAGE\" engine.tgz");
    let both = ["a", "b"].map(|data| machine.import(data).spawn().expect("starts"));
    for import in both {
        succeeded(&import.wait_with_output().expect("ends"));
    }
    assert_eq!(machine.runs(), 1);
    assert_eq!(machine.cached(), ["libchdb.so", "libchdb.stamp", "lock"]);
}

#[test]
fn a_fetch_that_was_killed_is_made_good_by_the_next_run() {
    let machine = Machine::new();
    machine.pack_engine();
    machine.npm("head -c 1000000 \"$PACKAGE\" > engine.tgz; kill -9 $PPID");
    let killed = machine.import("data").output().expect("runs");
    assert_eq!(killed.status.signal(), Some(9));
    assert_eq!(machine.cached().len(), 2, "half a package and the lock");

    machine.npm("cp \"$PACKAGE\" engine.tgz");
    succeeded(&machine.import("data").output().expect("runs"));
    let whole = ["libchdb.so", "libchdb.stamp", "lock"];
    assert_eq!(machine.cached(), whole);

    // A library cut off in the cache itself, by a disk or by hand.
    let cached = format!("cache/engine-{ENGINE_VERSION}/libchdb.so");
    let library = File::options()
        .write(true)
        .open(machine.dir.path().join(cached))
        .expect("opens");
    library.set_len(1 << 20).expect("cuts");
    succeeded(&machine.import("data").output().expect("runs"));
    assert_eq!(machine.cached(), whole);
    assert_eq!(machine.runs(), 3);

    // Whole and known: npm is not asked again.
    succeeded(&machine.import("data").output().expect("runs"));
    assert_eq!(machine.runs(), 3);
}
