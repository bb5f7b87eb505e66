//! The last layer between a statement and the machine: the kernel holds the engine's threads to
//! the store, whatever the layers before it let through.
//!
//! Landlock (Linux 5.19 or newer for what is needed here) takes rights from one thread and from
//! every thread that it starts, and never gives them back. The engine starts its threads from
//! those that call it, so a thread that confines itself and then opens the engine, and alone
//! calls it, confines all of it; the rest of the process keeps its rights.
//!
//! What is left: reading and writing the store; reading the few files of [`READABLE`] and those
//! mapped as code (the engine reads symbols from them where it writes a stack trace, and ends the
//! process where it cannot); no other file, no program to run, no TCP connection to make and no
//! port to open (Linux 6.7). Descriptors that are open stay open: the server's port, and the pipes
//! of results.

use std::path::Path;

use crate::error::EngineError;

/// Files and directories that the engine reads on its own account, where there are any.
#[cfg(target_os = "linux")]
const READABLE: &[&str] = &[
    // Memory and processors that the process may use.
    "/proc/self/cgroup",
    "/proc/sys/vm/overcommit_memory",
    "/sys/fs/cgroup",
    "/sys/devices/system",
    "/dev/urandom",
    // Debug symbols, for stack traces.
    "/usr/lib/debug",
    // The machine's time zone; the others are in the engine.
    "/etc/localtime",
    "/etc/timezone",
    "/usr/share/zoneinfo",
];

/// How far a thread could be confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confinement {
    /// To files and from the network.
    Whole,
    /// To files; this kernel cannot keep a thread from the network.
    Files,
    /// Not at all: this kernel has no Landlock, too old a one, or it is turned off.
    Nothing,
}

/// Confines this thread, and every thread that it starts from now on, to the store in `data_dir`.
///
/// # Errors
/// The directory cannot be opened, or the kernel refuses what it says it can.
#[cfg(target_os = "linux")]
pub(crate) fn confine_this_thread(data_dir: &Path) -> Result<Confinement, EngineError> {
    use landlock::{
        ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, PathBeneath,
        PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, path_beneath_rules,
    };

    // The newest version whose rights the engine was tested without.
    const NEWEST: ABI = ABI::V5;

    let refused = |reason: &dyn std::fmt::Display| EngineError::Confinement {
        path: data_dir.to_owned(),
        reason: reason.to_string(),
    };
    // The first version (5.13) cannot let a thread move files between directories, as the engine
    // must.
    let able = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Refer);
    if able.is_err() {
        return Ok(Confinement::Nothing);
    }
    let store = PathFd::new(data_dir).map_err(|error| refused(&error))?;
    // Nothing in the store is a program.
    let all = AccessFs::from_all(NEWEST);
    let whole = all & !AccessFs::Execute;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let confined = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)
        .and_then(|rules| rules.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rule(PathBeneath::new(store, whole)))
        .and_then(|rules| {
            let null = path_beneath_rules(["/dev/null"], read | AccessFs::WriteFile);
            rules.add_rules(null)
        })
        .and_then(|rules| rules.add_rules(path_beneath_rules(READABLE, read)))
        .and_then(|rules| rules.add_rules(path_beneath_rules(mapped_code(), read)))
        .and_then(|rules| rules.restrict_self())
        .map_err(|error| refused(&error))?;
    Ok(match (confined.ruleset, confined.landlock) {
        (RulesetStatus::NotEnforced, _) => Confinement::Nothing,
        (_, LandlockStatus::Available { effective_abi, .. }) if effective_abi >= ABI::V4 => {
            Confinement::Whole
        }
        _ => Confinement::Files,
    })
}

/// Elsewhere there is no such thing.
#[cfg(not(target_os = "linux"))]
pub(crate) fn confine_this_thread(_data_dir: &Path) -> Result<Confinement, EngineError> {
    Ok(Confinement::Nothing)
}

/// The files that this process has mapped as code: the program, the engine, the C library.
#[cfg(target_os = "linux")]
fn mapped_code() -> Vec<std::path::PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut paths: Vec<_> = maps.lines().filter_map(code_file).map(Into::into).collect();
    paths.dedup();
    paths
}

/// The path in a line of `/proc/PID/maps` (proc_pid_maps(5): address, permissions, offset, device,
/// inode, path, which may hold spaces) where it is of a file mapped as code.
#[cfg(target_os = "linux")]
fn code_file(line: &str) -> Option<&str> {
    let permissions = line.split_ascii_whitespace().nth(1)?;
    let path = &line[line.find('/')?..];
    (permissions.contains('x') && !path.ends_with(" (deleted)")).then_some(path)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn code_is_told_from_data() {
        let code = "7f0-7f1 r-xp 00000000 fd:00 123   /opt/an engine/libchdb.so";
        assert_eq!(code_file(code), Some("/opt/an engine/libchdb.so"));
        for other in [
            "7f0-7f1 r--p 00000000 fd:00 123   /usr/lib/libc.so.6",
            "7f0-7f1 r-xp 00000000 00:00 0     [vdso]",
            "7f0-7f1 r-xp 00000000 fd:00 123   /tmp/x (deleted)",
            "",
        ] {
            assert_eq!(code_file(other), None, "{other}");
        }
        let this = std::env::current_exe().expect("this program");
        assert!(mapped_code().contains(&this));
    }

    #[test]
    fn a_confined_thread_reaches_its_directory_and_nothing_else() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let outside = tempfile::NamedTempFile::new().expect("temporary file");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("address");
        let (path, outside) = (dir.path().to_owned(), outside.path().to_owned());
        let confined = std::thread::spawn(move || {
            let how = confine_this_thread(&path).expect("confines");
            // Started by a confined thread.
            let within = std::thread::spawn(move || {
                std::fs::create_dir_all(path.join("a/b"))?;
                std::fs::write(path.join("a/x"), "x")?;
                std::fs::rename(path.join("a/x"), path.join("a/b/x"))?;
                std::fs::read_to_string(path.join("a/b/x"))
            });
            let within = within.join().expect("no panic");
            let refused = [
                std::fs::read(&outside).map(drop),
                std::fs::write(&outside, "x"),
                std::fs::read_dir("/etc").map(drop),
                std::process::Command::new("/bin/true").status().map(drop),
            ];
            let connected = std::net::TcpStream::connect(address).map(drop);
            (how, within, refused, connected)
        });
        let (how, within, refused, connected) = confined.join().expect("no panic");
        assert_eq!(within.expect("its own directory"), "x");
        if how == Confinement::Nothing {
            return;
        }
        for attempt in refused {
            let kind = attempt.expect_err("refused").kind();
            assert_eq!(kind, std::io::ErrorKind::PermissionDenied);
        }
        assert_eq!(connected.is_err(), how == Confinement::Whole);
        // Only that thread.
        std::fs::read_dir("/etc").expect("this thread may");
    }
    /// A connection without the guards that a server puts before it: `FROM INFILE` and `INTO
    /// OUTFILE` are no grant's matter, so here the kernel alone is in the way. That they work
    /// without it is shown where stores are opened (`tests/opening.rs`).
    #[test]
    fn a_confined_engine_keeps_to_its_store() {
        let library = std::env::var_os("GRAPEVINE_ENGINE").map(std::path::PathBuf::from);
        let cache = crate::cache_dir().expect("HOME is set");
        let library = crate::EngineLibrary::obtain(library.as_deref(), &cache, |_| ());
        let library = library.expect("the engine");
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = dir.path().join("store");
        std::fs::create_dir(&store).expect("makes");
        std::fs::write(store.join("inside"), "inside\n").expect("writes");
        std::fs::write(dir.path().join("outside"), "outside\n").expect("writes");
        let path = store.clone();
        let tried = std::thread::spawn(move || {
            let how = confine_this_thread(&path).expect("confines");
            let engine = crate::Engine::open(&library, &path).expect("opens");
            let mut connection = engine.connect().expect("connects");
            let mut run = |sql: String| {
                let result = connection.query(sql.as_bytes(), &[], "TSV");
                result.map(|result| String::from_utf8_lossy(&result.bytes).into_owned())
            };
            run("CREATE TABLE t (a String) ENGINE = MergeTree ORDER BY a".into()).expect("creates");
            let mut tried = Vec::new();
            for file in ["store/inside", "outside"] {
                let file = dir.path().join(file).display().to_string();
                tried.push(run(format!(
                    "INSERT INTO t FROM INFILE '{file}' FORMAT TSV"
                )));
                tried.push(run(format!("SELECT 'x' INTO OUTFILE '{file}.out'")));
            }
            for file in ["/etc/passwd", "/proc/self/environ"] {
                tried.push(run(format!(
                    "INSERT INTO t FROM INFILE '{file}' FORMAT TSV"
                )));
            }
            run("OPTIMIZE TABLE t FINAL".into()).expect("merges");
            let rows = run("SELECT * FROM t".into()).expect("selects");
            let written = ["store/inside.out", "outside.out"]
                .map(|file| std::fs::exists(dir.path().join(file)).unwrap_or(false));
            (how, tried, rows, written)
        });
        let (how, tried, rows, written) = tried.join().expect("no panic");
        if how == Confinement::Nothing {
            return;
        }
        assert_eq!(rows, "inside\n");
        assert_eq!(written, [true, false]);
        let refused: Vec<bool> = tried.iter().map(Result::is_err).collect();
        assert_eq!(refused, [false, false, true, true, true, true], "{tried:?}");
        for error in tried.into_iter().filter_map(Result::err) {
            assert!(error.message.contains("Permission denied"), "{error}");
        }
    }
}
