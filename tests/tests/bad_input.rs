//! What goes wrong in practice: each gives one clear message with the fix and the right exit
//! code, and what was stored stays.

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use grapevine_tests::{Local, answer, command, grapevine, query, run};

const LINE: &str = "203.0.113.9 - - [02/Mar/2026:10:00:00 +0000] \"GET /2026/03/a-story HTTP/1.1\" 200 5120 \"-\" \"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\"\n";

/// One message on standard error that names what it must, and the exit code.
#[track_caller]
fn ends(output: &Output, code: i32, names: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for name in names {
        assert!(said.contains(name), "should name {name:?}: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(said.lines().count(), 1, "one message: {said}");
    assert!(said.starts_with("grapevine: "), "{said}");
}

fn log_file(dir: &Path, name: &str, bytes: &[u8]) -> String {
    let path = dir.join(name);
    std::fs::write(&path, bytes).expect("writes");
    path.display().to_string()
}

/// A data directory with one visit in it.
fn with_one_visit(dir: &Path) -> std::path::PathBuf {
    let data_dir = dir.join("data");
    let file = log_file(dir, "one.log", LINE.as_bytes());
    answer(
        &data_dir,
        &["import", "--quiet", "--site", "example.org", &file],
    );
    assert_eq!(
        query(&data_dir, "SELECT count() FROM grapevine.visits").trim(),
        "1"
    );
    data_dir
}

#[test]
fn arguments_and_configuration() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    ends(
        &run(&data_dir, &["import", "--site", "not a site", "-"]),
        64,
        &["site name"],
    );
    ends(
        &run(&data_dir, &["import", "--site", "a", "no-such.log"]),
        66,
        &["no-such.log"],
    );
    ends(
        &run(
            &data_dir,
            &["import", "--site", "a", &dir.path().display().to_string()],
        ),
        66,
        &["is a directory"],
    );
    ends(
        &run(&data_dir, &["report", "--from", "yesterday"]),
        64,
        &["--from yesterday", "YYYY-MM-DD"],
    );
    ends(
        &run(&data_dir, &["report"]),
        66,
        &["nothing", "grapevine import"],
    );
    ends(&run(&data_dir, &["query", " "]), 64, &["empty"]);
    let wrong = log_file(
        dir.path(),
        "wrong.toml",
        b"[collector]\nlissten = \"127.0.0.1:1\"\n",
    );
    ends(
        &run(&data_dir, &["report", "--config", &wrong]),
        78,
        &["lissten"],
    );
    let scenario = log_file(dir.path(), "scenario.toml", b"days = -1.0\n");
    ends(
        &run(&data_dir, &["simulate", "--scenario", &scenario]),
        78,
        &["scenario.toml", "days"],
    );
    let unknown = run(&data_dir, &["imprt"]);
    assert_eq!(unknown.status.code(), Some(64));
    assert!(
        !data_dir.exists(),
        "nothing was made for commands that could not work"
    );
}

#[test]
fn a_missing_or_wrong_engine() {
    let dir = tempfile::tempdir().expect("tempdir");
    let file = log_file(dir.path(), "one.log", LINE.as_bytes());
    let import = |engine: &str, data_dir: &str| {
        run(
            &dir.path().join(data_dir),
            &[
                "import",
                "--quiet",
                "--engine",
                engine,
                "--site",
                "a.example",
                &file,
            ],
        )
    };
    ends(
        &import("/no/such/libchdb.so", "a"),
        69,
        &["/no/such/libchdb.so", "--engine"],
    );
    let text = log_file(dir.path(), "libchdb.so", b"not a library");
    ends(&import(&text, "b"), 69, &["libchdb.so", "--engine"]);
    let program = grapevine().display().to_string();
    ends(&import(&program, "c"), 69, &[&program]);
    let without_npm = command(&dir.path().join("d"))
        .args(["import", "--quiet", "--site", "a.example", &file])
        .env_remove("GRAPEVINE_ENGINE")
        .env("GRAPEVINE_CACHE", dir.path().join("empty-cache"))
        .env("PATH", "/nowhere")
        .output()
        .expect("runs");
    ends(
        &without_npm,
        69,
        &["npm", "apt-get install npm", "--engine"],
    );
}

#[test]
fn a_data_directory_that_is_not_to_be_had() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = with_one_visit(dir.path());
    let one = dir.path().join("one.log").display().to_string();

    std::fs::write(data_dir.join("format"), "7\n").expect("writes");
    ends(
        &run(&data_dir, &["import", "--site", "example.org", &one]),
        78,
        &["format 7", "newer grapevine"],
    );
    std::fs::write(data_dir.join("format"), "1\n").expect("writes");

    let other = dir.path().join("thesis");
    std::fs::create_dir(&other).expect("makes");
    std::fs::write(other.join("thesis.tex"), "…").expect("writes");
    ends(
        &run(&other, &["import", "--site", "example.org", &one]),
        78,
        &["not a data directory"],
    );

    let local = Local::start(&data_dir);
    ends(&run(&data_dir, &["local"]), 75, &["in use"]);
    // Whatever can go through the running process does.
    assert_eq!(
        query(&data_dir, "SELECT count() FROM grapevine.visits").trim(),
        "1"
    );
    local.kill();
    assert_eq!(
        query(&data_dir, "SELECT count() FROM grapevine.visits").trim(),
        "1"
    );
}

#[test]
fn a_port_in_use() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = taken.local_addr().expect("address").to_string();
    let clickhouse = run(
        &data_dir,
        &[
            "local",
            "--collector-listen",
            "127.0.0.1:0",
            "--clickhouse-listen",
            &address,
        ],
    );
    ends(&clickhouse, 69, &[&address, "--clickhouse-listen"]);
    let collector = run(
        &data_dir,
        &[
            "local",
            "--clickhouse-listen",
            "127.0.0.1:0",
            "--collector-listen",
            &address,
        ],
    );
    ends(&collector, 69, &[&address, "--collector-listen"]);
}

#[test]
fn logs_that_are_none() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let import = |file: &str| {
        run(
            &data_dir,
            &["import", "--quiet", "--site", "example.org", file],
        )
    };

    ends(
        &import(&log_file(dir.path(), "empty.log", b"")),
        66,
        &["empty.log", "nothing to import"],
    );

    // A truncated archive: what is whole in it stays.
    let whole: Vec<u8> = LINE.repeat(5000).into_bytes();
    let packed = zstd::encode_all(&whole[..], 3).expect("packs");
    let cut = log_file(dir.path(), "cut.log.zst", &packed[..packed.len() - 7]);
    ends(&import(&cut), 65, &["cut.log.zst", "damaged or cut off"]);
    let whole_file = log_file(dir.path(), "whole.log.zst", &packed);
    let imported = import(&whole_file);
    assert!(
        imported.status.success(),
        "{}",
        String::from_utf8_lossy(&imported.stderr)
    );

    // Binary garbage, a line of 100 MB, and a good line behind them.
    let mut noise = Vec::new();
    let mut state = 1u32;
    for _ in 0..300_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.push((state >> 24) as u8);
    }
    noise.push(b'\n');
    noise.extend(std::iter::repeat_n(b'x', 100 << 20));
    noise.push(b'\n');
    noise.extend(
        LINE.replace("a-story", "behind-the-noise")
            .replace("203.0.113.9", "203.0.113.10")
            .into_bytes(),
    );
    let noise = log_file(dir.path(), "noise.log", &noise);
    let output = answer(
        &data_dir,
        &["import", "--json", "--site", "example.org", &noise],
    );
    let summary: serde_json::Value = serde_json::from_str(&output).expect("JSON");
    assert_eq!(summary[0]["people"], 1);
    assert_eq!(summary[0]["dead_letters"]["line_too_long"], 1);
    let letters = query(
        &data_dir,
        "SELECT reason, max(payload_length) FROM grapevine.dead_letters WHERE reason = 'line_too_long' GROUP BY reason",
    );
    assert_eq!(letters.trim(), format!("line_too_long\t{}", 100 << 20));
    let behind = query(
        &data_dir,
        "SELECT count() FROM grapevine.visits WHERE content LIKE '%behind-the-noise'",
    );
    assert_eq!(behind.trim(), "1");
    let lines = summary[0]["lines"].as_u64().expect("lines");
    let letters: u64 = query(
        &data_dir,
        "SELECT count() FROM grapevine.dead_letters WHERE source LIKE '%noise.log'",
    )
    .trim()
    .parse()
    .expect("count");
    let blank = summary[0]["blank"].as_u64().expect("blank");
    assert_eq!(
        letters,
        lines - 1 - blank,
        "every bad line is a dead letter"
    );
}

/// The engine would take what it finds on standard input for the data of its first `INSERT`.
#[test]
fn a_log_on_standard_input_is_the_importers_alone() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let mut import = command(&data_dir)
        .args(["import", "--quiet", "--site", "example.org", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut pipe = import.stdin.take().expect("piped");
    for number in 0..5000u32 {
        let [_, _, a, b] = number.to_be_bytes();
        let line = LINE.replace("203.0.113.9", &format!("10.0.{a}.{b}"));
        pipe.write_all(line.as_bytes()).expect("writes");
    }
    drop(pipe);
    assert!(import.wait().expect("ends").success());
    let visits = query(&data_dir, "SELECT count() FROM grapevine.visits");
    assert_eq!(visits.trim(), "5000");
}

#[test]
fn a_clock_that_goes_back() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let later = LINE
        .replace("10:00:00", "23:00:00")
        .replace("203.0.113.9", "203.0.113.10");
    let much_earlier = LINE
        .replace("2026:10", "2015:10")
        .replace("203.0.113.9", "203.0.113.11");
    let file = log_file(
        dir.path(),
        "back.log",
        format!("{later}{LINE}{much_earlier}{later}").as_bytes(),
    );
    answer(
        &data_dir,
        &["import", "--quiet", "--site", "example.org", &file],
    );
    let days = query(
        &data_dir,
        "SELECT toDate(time, 'UTC') AS day, count() FROM grapevine.visits GROUP BY day ORDER BY day",
    );
    assert_eq!(days.lines().next().expect("row"), "2015-03-02\t1");
    assert_eq!(
        query(&data_dir, "SELECT count() FROM grapevine.dead_letters").trim(),
        "0"
    );
}

/// Whatever somebody did to a table, the sink says what to undo, and no row is lost by it.
#[test]
fn a_table_that_was_changed_by_hand() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = with_one_visit(dir.path());
    let later = LINE.replace("203.0.113.9", "203.0.113.10");
    let file = log_file(dir.path(), "later.log", later.repeat(3).as_bytes());
    let import = ["import", "--quiet", "--site", "example.org", &file];

    let alter = |sql: &str| query(&data_dir, &format!("ALTER TABLE grapevine.visits {sql}"));
    alter("DROP COLUMN browser");
    ends(
        &run(&data_dir, &import),
        78,
        &["grapevine.visits has no column browser"],
    );
    // Asked, it answers, and says that rows are missing.
    let asked = run(
        &data_dir,
        &["query", "--format", "TabSeparated", "SELECT 1"],
    );
    assert_eq!(asked.stdout, b"1\n");
    ends(&asked, 78, &["grapevine.visits has no column browser"]);
    // That is how it is mended.
    let mend = "ALTER TABLE grapevine.visits ADD COLUMN browser LowCardinality(String)";
    ends(&run(&data_dir, &["query", mend]), 78, &["browser"]);
    assert!(run(&data_dir, &import).status.success());
    let visits = query(
        &data_dir,
        "SELECT count(), uniqExact(offset) FROM grapevine.visits",
    );
    assert_eq!(visits.trim(), "2\t2");
}

#[test]
fn a_constraint_that_refuses_every_row() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = with_one_visit(dir.path());
    let later = LINE.replace("203.0.113.9", "203.0.113.10");
    let file = log_file(dir.path(), "later.log", later.as_bytes());
    let import = ["import", "--quiet", "--site", "example.org", &file];
    let local = Local::start(&data_dir);
    let alter = |sql: &str| query(&data_dir, &format!("ALTER TABLE grapevine.visits {sql}"));
    alter("ADD CONSTRAINT few CHECK offset < 1");
    local.kill();
    ends(
        &run(&data_dir, &import),
        78,
        &[
            "table visits",
            "few",
            "drop the constraint",
            "nothing is lost",
        ],
    );
}

/// A disk of `size` in a mount namespace of its own.
fn on_a_small_disk(size: &str, mount: &Path, script: &str) -> Output {
    let program = format!("mount -t tmpfs -o size={size} tmpfs \"$0\" && {script}");
    Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &program])
        .arg(mount)
        .env("GRAPEVINE", grapevine())
        .stdin(Stdio::null())
        .output()
        .expect("unshare makes a small disk: install it with apt-get install util-linux")
}

#[test]
fn a_full_disk() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mount = dir.path().join("disk");
    std::fs::create_dir(&mount).expect("makes");
    // Distinct readers, so that nothing folds into little.
    let path = dir.path().join("large.log");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("creates"));
    for number in 0..400_000u32 {
        let [_, a, b, c] = number.to_be_bytes();
        let line = LINE
            .replace("203.0.113.9", &format!("10.{a}.{b}.{c}"))
            .replace(
                "a-story",
                &format!("story-{:x}", number.wrapping_mul(2_654_435_761)),
            );
        file.write_all(line.as_bytes()).expect("writes");
    }
    file.flush().expect("writes");
    let import = format!(
        "\"$GRAPEVINE\" --data-dir \"$0/data\" import --quiet --site example.org {}",
        path.display()
    );
    // Full, then given room by removing what filled it: the same command goes on and completes.
    let script = format!(
        "head -c 40000000 /dev/zero > \"$0/filler\"; {import}; echo code $?; rm \"$0/filler\"; mount -o remount,size=900m \"$0\"; {import}; echo code $?; \"$GRAPEVINE\" --data-dir \"$0/data\" query --format TabSeparated 'SELECT count(), uniqExact(visit_id) FROM grapevine.visits'"
    );
    let output = on_a_small_disk("75m", &mount, &script);
    let (out, said) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(
        lines,
        ["code 74", "code 0", "400000\t400000"],
        "{out}{said}"
    );
    assert_eq!(said.lines().count(), 1, "one message: {said}");
    assert!(said.contains("no space left on the disk"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}
