//! What the end-to-end tests share: the real command, started, asked and killed as a user would.
#![forbid(unsafe_code)]

pub mod bench;
pub mod clickhouse;
pub mod crash;
pub mod deploy;
mod landings;
pub mod stages;
pub mod trio;
pub mod without_docker;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The command, built by the cargo that runs the tests, as it is now.
///
/// # Panics
/// It does not build.
pub fn grapevine() -> &'static Path {
    build().expect("the command builds")
}

/// The same for those who have somebody to tell.
///
/// # Errors
/// What was wrong; the compiler's own words are on standard error by then.
pub fn build() -> Result<&'static Path, &'static str> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        // As cargo tells its tests: the toolchain that runs them.
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args([
            "build",
            "--quiet",
            "--package",
            "grapevine",
            "--message-format",
            "json",
        ]);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let built = as_in_a_terminal(&mut cargo)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cargo cannot be started: {error}"))?;
        if !built.status.success() {
            return Err(format!("cargo build ended with {}", built.status));
        }
        let text = String::from_utf8_lossy(&built.stdout);
        let named = text.lines().rev().find_map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            let is_ours = message["target"]["name"] == "grapevine";
            message["executable"]
                .as_str()
                .filter(|_| is_ours)
                .map(PathBuf::from)
        });
        named.ok_or_else(|| "cargo names no executable".to_owned())
    });
    match built {
        Ok(path) => Ok(path),
        Err(reason) => Err(reason),
    }
}

/// Takes from a cargo to be what the cargo that runs the tests has told them of their package: ring
/// is built again, and all that is on top of it, where these variables are others than last time.
pub fn as_in_a_terminal(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// The command with a data directory of its own and nothing of the user's configuration.
pub fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(grapevine());
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GRAPEVINE_"))
    {
        // The engine may be given by path, or sought in another cache.
        if name != OsStr::new("GRAPEVINE_ENGINE") && name != OsStr::new("GRAPEVINE_CACHE") {
            command.env_remove(name);
        }
    }
    command
        .env("COLUMNS", "100")
        // However busy the machine is, stopping means that everything taken is stored.
        .env("GRAPEVINE_OPERATIONS__GRACE_SECONDS", "900")
        // Nobody routes hits here by readiness.
        .env("GRAPEVINE_COLLECTOR__DRAIN_SECONDS", "0")
        .arg("--data-dir")
        .arg(data_dir)
        .stdin(Stdio::null());
    command
}

/// Runs the command to its end; its output, whatever its exit code.
pub fn run(data_dir: &Path, arguments: &[&str]) -> Output {
    command(data_dir).args(arguments).output().expect("runs")
}

/// Runs the command, which must succeed; its standard output.
pub fn answer(data_dir: &Path, arguments: &[&str]) -> String {
    let output = run(data_dir, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{arguments:?} ended with {}: {said}",
        output.status
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Asks ClickHouse through `grapevine query`.
pub fn query(data_dir: &Path, sql: &str) -> String {
    answer(data_dir, &["query", "--format", "TabSeparated", sql])
}

/// A running `grapevine local` on free ports; killed when dropped.
#[derive(Debug)]
pub struct Local {
    child: Child,
    stderr: PathBuf,
    /// `http://ADDRESS` of the collector.
    pub collector: String,
    /// `http://ADDRESS` of ClickHouse's interface.
    pub clickhouse: String,
    /// `http://ADDRESS` of health and metrics, where they are served.
    pub operations: Option<String>,
    /// Password of the account `owner`.
    pub owner_password: String,
    /// Password of the account `reader`.
    pub reader_password: String,
    /// The collector's server key.
    pub server_key: String,
}

impl Local {
    /// Starts it and waits until it says where it listens.
    pub fn start(data_dir: &Path) -> Local {
        Local::start_with(data_dir, &[])
    }

    /// The same with health and metrics on a free port.
    pub fn start_with_operations(data_dir: &Path) -> Local {
        let mut command = command(data_dir);
        command.env("GRAPEVINE_OPERATIONS__LISTEN", "127.0.0.1:0");
        Local::start_as(command, data_dir, &[])
    }

    /// The same with further arguments.
    pub fn start_with(data_dir: &Path, arguments: &[&str]) -> Local {
        Local::start_as(command(data_dir), data_dir, arguments)
    }

    fn start_as(mut command: Command, data_dir: &Path, arguments: &[&str]) -> Local {
        // A leftover of a killed process would be read as this one's.
        let announcement = data_dir.join("endpoint.json");
        let _ = std::fs::remove_file(&announcement);
        // A file, since a pipe that nobody empties would stop the process.
        let stderr = data_dir.with_extension("stderr");
        let mut child = command
            .args([
                "local",
                "--collector-listen",
                "127.0.0.1:0",
                "--clickhouse-listen",
                "127.0.0.1:0",
            ])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&stderr).expect("file for standard error"))
            .spawn()
            .expect("starts");
        let deadline = Instant::now() + Duration::from_secs(300);
        let endpoint: serde_json::Value = loop {
            if let Some(found) = std::fs::read(&announcement)
                .ok()
                .and_then(|text| serde_json::from_slice(&text).ok())
            {
                break found;
            }
            let ended = child.try_wait().expect("asks");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "grapevine local did not start: {:?}",
                said(&stderr)
            );
            std::thread::sleep(Duration::from_millis(10));
        };
        let secrets: toml::Table = std::fs::read_to_string(data_dir.join("accounts.toml"))
            .expect("secrets")
            .parse()
            .expect("TOML");
        let secret = |name: &str| secrets[name].as_str().expect("text").to_owned();
        let address = |name: &str| format!("http://{}", endpoint[name].as_str().expect("text"));
        Local {
            collector: address("collector"),
            clickhouse: address("clickhouse"),
            operations: endpoint["operations"]
                .as_str()
                .map(|address| format!("http://{address}")),
            owner_password: secret("owner_password"),
            reader_password: secret("reader_password"),
            server_key: secret("server_key"),
            child,
            stderr,
        }
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("kills");
        self.child.wait().expect("gone");
    }

    /// Ctrl-C; its exit code and what it said on standard error.
    pub fn interrupt(self) -> (Option<i32>, String) {
        let process = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-INT", &process])
            .status()
            .expect("kill runs");
        assert!(sent.success());
        self.ended()
    }

    /// Waits until it ends by itself; its exit code and what it said on standard error.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("ends");
        (status.code(), said(&self.stderr))
    }

    /// What it has said on standard error so far.
    pub fn said(&self) -> String {
        said(&self.stderr)
    }

    /// Process id.
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // Gone already where it was killed or interrupted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn said(stderr: &Path) -> String {
    std::fs::read_to_string(stderr).unwrap_or_default()
}

/// A data directory whose pseudonyms are those of every other one made so: rows of two can be
/// compared.
pub fn fixed_pseudonyms(data_dir: &Path) {
    std::fs::create_dir_all(data_dir).expect("makes");
    std::fs::write(data_dir.join("format"), "1\n").expect("writes");
    std::fs::write(data_dir.join("secret.key"), [7; 32]).expect("writes");
}

/// Everything that ClickHouse holds of the pipeline: for each table, visits first, rows, distinct rows and
/// a sum over their content, and the aggregates as the projections have them and as the rows have them.
pub fn contents(data_dir: &Path) -> String {
    // One question for all tables: each question starts an engine.
    let tables = [
        "visits",
        "events",
        "shares",
        "edges",
        "cascades",
        "spreads",
        "chain_models",
        "surges",
        "dead_letters",
    ]
    .map(|table| {
        format!(
            "SELECT '{table}' AS name, count(), uniqExact(topic, partition, offset), sum(cityHash64(toString(tuple(*)))) FROM grapevine.{table}"
        )
    })
    .join(" UNION ALL ");
    let mut answers = query(
        data_dir,
        &format!("SELECT * FROM ({tables}) ORDER BY name = 'visits' DESC, name"),
    );
    for projections in [0, 1] {
        answers += &query(
            data_dir,
            &format!(
                "SELECT 'hours', count(), sum(visits), sum(hash) FROM (SELECT count() AS visits, cityHash64(toStartOfHour(time), channel, app, visits) AS hash FROM grapevine.visits GROUP BY toStartOfHour(time), channel, app) SETTINGS optimize_use_projections = {projections}"
            ),
        );
    }
    answers
}

/// Pseudo-random numbers from a seed (SplitMix64): which moment a test kills at.
#[derive(Debug)]
pub struct Moments(u64);

impl Moments {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Moments(seed)
    }

    /// A sequence of its own for each number of a stream, which is well mixed into it.
    pub(crate) fn of(stream: u64, number: u64) -> Self {
        let mut moments =
            Moments::new(stream.wrapping_add(number.wrapping_mul(0x2545_f491_4f6c_dd1d)));
        moments.below(2);
        moments
    }

    /// The next number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}
