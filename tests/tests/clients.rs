//! ClickHouse's clients for other languages against the embedded engine: clickhouse-connect
//! (Python), clickhouse-go (what Grafana's data source uses) and the JDBC driver (what Metabase
//! uses). Each program in `tests/clients` creates, inserts, selects with parameters, reads types,
//! gets errors with ClickHouse's codes, streams millions of rows several at a time, and is refused
//! as a reader; it exits non-zero on any mismatch.

#[path = "../../crates/embedded/tests/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::{OWNER, READER, Server};

/// Where tools build and install what they need; under the target directory.
const WORK: &str = env!("CARGO_TARGET_TMPDIR");

fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Runs a tool; one that is missing fails the test with the command that installs it.
fn run(command: &mut Command, install: &str) -> Output {
    match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{command:?}: {error}; install it: {install}"),
    }
}

fn succeeds(command: &mut Command, install: &str) {
    let output = run(command, install);
    assert!(
        output.status.success(),
        "{command:?} failed with {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}

/// The arguments of the programs that take one address.
fn arguments(server: &Server) -> Vec<String> {
    let accounts = [OWNER.0, OWNER.1, READER.0, READER.1].map(str::to_owned);
    std::iter::once(server.address.to_string())
        .chain(accounts)
        .collect()
}

#[test]
fn clickhouse_connect() {
    let install = "apt-get install python3 python3-venv";
    let requirements = programs().join("python/requirements.txt");
    let environment = Path::new(WORK).join("clickhouse-connect");
    let python = environment.join("bin/python");
    // What is installed, so that a change of the requirements installs anew.
    let installed = environment.join("installed.txt");
    let wanted = std::fs::read(&requirements).expect("the requirements");
    if std::fs::read(&installed).ok().as_ref() != Some(&wanted) {
        succeeds(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&environment),
            install,
        );
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
        ];
        succeeds(Command::new(&python).args(pip).arg(&requirements), install);
        std::fs::write(&installed, wanted).expect("the target directory can be written");
    }
    let server = Server::shared();
    let mut command = Command::new(&python);
    command.arg(programs().join("python/conformance.py"));
    command.args([
        server.address.ip().to_string(),
        server.address.port().to_string(),
    ]);
    command.args([OWNER.0, OWNER.1, READER.0, READER.1]);
    succeeds(&mut command, install);
}

#[test]
fn clickhouse_go() {
    let install = "see https://go.dev/doc/install, or apt-get install golang";
    let program = Path::new(WORK).join("clickhouse-go");
    let mut build = Command::new("go");
    build
        .args(["build", "-mod=readonly", "-o"])
        .arg(&program)
        .arg(".");
    succeeds(build.current_dir(programs().join("go")), install);
    let server = Server::shared();
    succeeds(Command::new(&program).args(arguments(&server)), install);
}

#[test]
fn clickhouse_jdbc() {
    let install = "apt-get install maven openjdk-17-jdk-headless";
    let server = Server::shared();
    let quoted: Vec<String> = arguments(&server)
        .iter()
        .map(|a| format!("\"{a}\""))
        .collect();
    let mut command = Command::new("mvn");
    command.args(["-q", "-B", "compile", "exec:java"]);
    command.arg(format!("-Dbuild.dir={WORK}/clickhouse-jdbc"));
    command.arg(format!("-Dexec.args={}", quoted.join(" ")));
    succeeds(command.current_dir(programs().join("java")), install);
}
