//! Loading the engine and opening a store: what goes wrong says so, what was stored stays.

mod support;

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Mutex;

use grapevine_embedded::{Engine, EngineError, EngineLibrary};

/// One store at a time is all a process can have open.
static ONE: Mutex<()> = Mutex::new(());

#[test]
fn a_store_is_there_after_a_restart() {
    let _one = ONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let data = tempfile::tempdir().expect("temporary directory");
    let library = support::library();
    for round in 1..=3u64 {
        let engine = Engine::open(&library, data.path()).expect("opens");
        let mut connection = engine.connect().expect("connects");
        let create = b"CREATE TABLE IF NOT EXISTS t (a UInt64) ENGINE = MergeTree ORDER BY a";
        connection.query(create, &[], "TSV").expect("creates");
        let rows = format!("{round}\n{round}\n");
        let stats = connection
            .insert(b"INSERT INTO t FORMAT TSV", &[], &mut rows.as_bytes())
            .expect("inserts");
        assert_eq!(stats.written_rows, 2);
        let sum = connection
            .query(b"SELECT count(), sum(a) FROM t", &[], "TSV")
            .expect("selects");
        assert_eq!(
            sum.bytes,
            format!("{}\t{}\n", round * 2, round * (round + 1))
        );
        // The database that answers with files stays away.
        let file = connection.query(b"SELECT * FROM `/etc/passwd`", &[], "TSV");
        assert_eq!(file.expect_err("no such table").code, 60);
        let file = connection.query(
            b"SELECT * FROM file('/etc/passwd', 'LineAsString')",
            &[],
            "TSV",
        );
        assert_eq!(file.expect_err("no such grant").code, 497);

        // What no grant stops: only a server's guards do, and the kernel (`confine`).
        let outside = tempfile::NamedTempFile::new().expect("temporary file");
        fs::write(outside.path(), "0\n").expect("writes");
        let path = outside.path().display();
        let infile = format!("INSERT INTO t FROM INFILE '{path}' FORMAT TSV");
        connection
            .query(infile.as_bytes(), &[], "TSV")
            .expect("reads any file");
        let delete = b"ALTER TABLE t DELETE WHERE a = 0 SETTINGS mutations_sync = 1";
        connection.query(delete, &[], "TSV").expect("deletes");

        let busy = Engine::open(&library, data.path()).expect_err("one a process");
        assert!(matches!(busy, EngineError::AlreadyOpen { .. }), "{busy}");
        let chunks: Vec<u64> = connection
            .stream(b"SELECT number FROM numbers(200000)", &[], "RowBinary")
            .expect("streams")
            .map(|chunk| chunk.expect("a chunk").stats.result_rows)
            .collect();
        assert!(
            chunks.len() > 1 && chunks.iter().sum::<u64>() == 200_000,
            "{chunks:?}"
        );
        // Leaving a stream early leaves the connection usable.
        let mut stream = connection
            .stream(b"SELECT number FROM numbers(100000000)", &[], "RowBinary")
            .expect("streams");
        stream.next().expect("a chunk").expect("no error");
        drop(stream);
        let one = connection.query(b"SELECT 1", &[], "TSV").expect("selects");
        assert_eq!(one.bytes, "1\n");
    }
}

#[test]
fn another_processs_store_is_left_alone() {
    let _one = ONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let data = tempfile::tempdir().expect("temporary directory");
    let held = File::create(data.path().join("engine.lock")).expect("writes");
    held.try_lock().expect("locks");
    let error = Engine::open(&support::library(), data.path()).expect_err("in use");
    assert!(matches!(error, EngineError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("in use by another process"));
    drop(held);
    Engine::open(&support::library(), data.path()).expect("free again");

    let file = data.path().join("file");
    fs::write(&file, "x").expect("writes");
    let error = Engine::open(&support::library(), &file).expect_err("no directory");
    assert!(matches!(error, EngineError::Io { .. }), "{error}");
}

#[test]
fn another_library_is_named_as_such() {
    // The C library of this process: a shared library for this machine, and no libchdb.
    let maps = fs::read_to_string("/proc/self/maps").expect("a Linux process");
    let libc = maps
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .find(|path| path.contains("/libc.so") || path.contains("/libc-") || path.contains("musl"))
        .map(PathBuf::from)
        .expect("a C library");
    let error = EngineLibrary::load(&libc).expect_err("no libchdb");
    assert!(
        matches!(
            error,
            EngineError::MissingSymbol {
                symbol: "chdb_connect",
                ..
            }
        ),
        "{error}"
    );
    let error = EngineLibrary::obtain(Some("no/libchdb.so".as_ref()), "unused".as_ref(), |_| ());
    assert!(
        error
            .expect_err("no file")
            .to_string()
            .contains("GRAPEVINE_ENGINE")
    );
}

#[test]
fn the_engines_memory_is_bounded() {
    let _one = ONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let data = tempfile::tempdir().expect("temporary directory");
    let engine = Engine::open(&support::library(), data.path()).expect("opens");
    let mut connection = engine.connect().expect("connects");
    let asked = b"SELECT name, toUInt64(value) FROM system.server_settings WHERE name IN \
        ('mark_cache_size', 'primary_index_cache_size', 'index_mark_cache_size', \
        'query_condition_cache_size', 'max_parts_cleaning_thread_pool_size') ORDER BY name";
    let found = connection.query(asked, &[], "TSV").expect("selects");
    assert_eq!(
        String::from_utf8_lossy(&found.bytes),
        "index_mark_cache_size\t16777216\nmark_cache_size\t67108864\n\
         max_parts_cleaning_thread_pool_size\t2\n\
         primary_index_cache_size\t67108864\nquery_condition_cache_size\t16777216\n"
    );
}
