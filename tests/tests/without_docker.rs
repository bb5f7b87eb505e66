//! The README's way without Docker, as it is written there: from a clone to a row in ClickHouse
//! through the microservices, and nothing left running.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use grapevine_kafka_testing::Port;
use grapevine_tests::as_in_a_terminal;

/// Longest wait for something that has to come. The machine may be busy, and may have to build.
const PATIENCE: Duration = Duration::from_secs(900);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The shell commands of README.md under the heading, a text for each block.
fn commands(heading: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    let start = text.find(heading).expect("the heading") + heading.len();
    let section = &text[start..];
    // Ends with the next heading of any depth.
    let section = &section[..section.find("\n#").unwrap_or(section.len())];
    let blocks = section.split("```sh\n").skip(1);
    blocks
        .map(|block| block.split("```").next().expect("a block ends").to_owned())
        .collect()
}

fn shell(script: &str) -> Command {
    let mut shell = Command::new("bash");
    shell.args(["-euc", script]).current_dir(root());
    as_in_a_terminal(&mut shell);
    shell.stdin(Stdio::null());
    shell
}

/// What is started in one terminal; its whole group is killed when dropped.
struct Terminal(Child);

impl Terminal {
    /// Ctrl-C, which goes to all that run in the terminal.
    fn interrupt(&self) {
        self.signal("-INT");
    }

    fn signal(&self, name: &str) {
        let group = format!("-{}", self.0.id());
        // Gone already where it ended.
        let _ = Command::new("kill").args([name, "--", &group]).status();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.0.try_wait().ok().flatten().is_none() {
            self.signal("-KILL");
            let _ = self.0.wait();
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Processes that name `directory` among their arguments, but for what removes it: the watchdog of
/// `without-docker` sees to the directory after its program has ended, at whatever moment it comes to.
fn processes_of(directory: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("/proc");
    all.filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|arguments| String::from_utf8_lossy(&arguments).replace('\0', " "))
        .filter(|arguments| arguments.contains(directory) && !arguments.starts_with("rm "))
        .collect()
}

#[test]
fn the_readme_leads_from_a_clone_to_a_row_and_leaves_nothing_running() {
    let _ports = [8080, 8123].map(|number| Port::wait_for(number).expect("a lock"));
    let blocks = commands("### Without Docker\n");
    let [up, ask] = blocks.first_chunk().expect("what to start, what to ask");
    let dir = tempfile::tempdir().expect("tempdir");
    let (out, tell) = (dir.path().join("out"), dir.path().join("tell"));
    let file = |path: &Path| std::fs::File::create(path).expect("file");
    let mut command = shell(up);
    command.stdout(file(&out)).stderr(file(&tell));
    let mut terminal = Terminal(command.process_group(0).spawn().expect("bash"));

    let deadline = Instant::now() + PATIENCE;
    while !read(&out).contains("Everything is up.") {
        let ended = terminal.0.try_wait().expect("asks");
        let is_late = Instant::now() > deadline;
        assert!(ended.is_none() && !is_late, "{ended:?}: {}", read(&tell));
        std::thread::sleep(Duration::from_millis(100));
    }
    let said = read(&out);
    let home = said.lines().find_map(|line| {
        let rest = line.strip_prefix("logs, data")?;
        rest.trim().split(';').next().map(str::to_owned)
    });
    let home = home.expect("where the logs are");
    for part in ["collect ", "enrich ", "sink "] {
        let running = processes_of(&home);
        let is_there = |line: &String| line.contains(" --data-dir ") && line.ends_with(part);
        assert!(running.iter().any(is_there), "{part}: {running:?}");
    }

    // The hit once; the question until it has its answer, as whoever typed it too soon would.
    let lines: Vec<&str> = ask.lines().collect();
    let (question, hits) = lines.split_last().expect("commands");
    let hit = shell(&hits.join("\n")).output().expect("bash");
    let taken = String::from_utf8_lossy(&hit.stdout);
    assert!(taken.contains("{\"accepted\":1}"), "{hit:?}");
    let row = loop {
        let answer = shell(question).output().expect("bash");
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        assert!(answer.status.success(), "{answer:?}");
        if text.contains("example.org") || Instant::now() > deadline {
            break text;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    assert!(row.contains("https://example.org/a-story"), "{row}");
    assert_eq!(
        row.matches("content:").count(),
        1,
        "one hit, one row: {row}"
    );

    terminal.interrupt();
    let status = terminal.0.wait().expect("ends");
    assert!(status.success(), "{status}: {}", read(&tell));
    let deadline = Instant::now() + PATIENCE;
    let is_left = || Path::new(&home).exists() || !processes_of(&home).is_empty();
    while is_left() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(processes_of(&home), Vec::<String>::new());
    assert!(!Path::new(&home).exists(), "{home} is still there");
    for port in [8080, 8123] {
        TcpListener::bind(("127.0.0.1", port)).expect("free again");
    }
}

/// The program without the shell, with these arguments, which must end by itself.
fn started(arguments: &[&str], change: impl FnOnce(&mut Command)) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_without-docker"));
    command.args(arguments).stdin(Stdio::null());
    change(&mut command);
    command.output().expect("runs")
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = taken.local_addr().expect("address").to_string();
    for flag in ["--collector-listen", "--clickhouse-listen"] {
        let other = match flag {
            "--collector-listen" => "--clickhouse-listen",
            _ => "--collector-listen",
        };
        let output = started(&[flag, &address, other, "127.0.0.1:0"], |_| ());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        let remedy = format!("choose another with {flag} ADDRESS");
        assert!(said.contains(&address) && said.contains(&remedy), "{said}");
    }
}

#[test]
fn a_machine_without_java_or_maven_is_told_what_to_install() {
    let dir = tempfile::tempdir().expect("tempdir");
    let listen = [
        "--collector-listen",
        "127.0.0.1:0",
        "--clickhouse-listen",
        "127.0.0.1:0",
    ];
    let without = |dir: &Path| {
        let output = started(&listen, |command| {
            // Nothing fetched yet, and no program but what is in `dir`.
            command.env("PATH", dir).env("GRAPEVINE_CACHE", dir);
        });
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = without(dir.path());
    assert!(said.contains("apt-get install openjdk-17"), "{said}");

    let java = dir.path().join("java");
    let mut file = std::fs::File::create(&java).expect("file");
    let script = "#!/bin/sh\necho 'openjdk version \"17.0.15\"' >&2\n";
    file.write_all(script.as_bytes()).expect("writes");
    drop(file);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&java, mode).expect("may run");
    let said = without(dir.path());
    assert!(said.contains("apt-get install maven"), "{said}");
}

#[test]
fn the_same_question_fits_compose() {
    let blocks = commands("### Without Docker\n");
    let question = blocks.get(1).and_then(|block| block.lines().last());
    let account = question
        .and_then(|line| line.split_once("--user reader:"))
        .and_then(|(_, rest)| rest.split(' ').next())
        .expect("the reader's password");
    let compose = read(&root().join("docker-compose.yml"));
    let default = format!("GRAPEVINE_READER_PASSWORD:-{account}}}");
    assert!(compose.contains(&default), "{default}");
}
