//! Configuration: defaults, then a TOML file, then the environment, then flags.
//!
//! Every key can be given as an environment variable: `GRAPEVINE_` and the key in capitals, `__`
//! between the parts (`GRAPEVINE_COLLECTOR__LISTEN`), for every dot of a property of Kafka's client too
//! (`GRAPEVINE_KAFKA__PROPERTIES__SSL__KEY__PASSWORD`). Unknown keys are refused by name. Secrets are
//! never printed.

mod collector;
mod kafka;
mod registry;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat};
use grapevine_producer::TrustedProxies;
use serde::{Deserialize, Serialize};

use crate::exit::{ExitKind, Failure};
use crate::operations::OperationsSettings;
use crate::secret::Secret;
use crate::unknown_key;

pub use collector::CollectorSettings;
pub use kafka::{KafkaSettings, Properties, Protocol};
pub use registry::{RegistrySettings, failure as registry_failure};

/// What can be configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where everything is kept. Default: `grapevine` in the user's data directory.
    pub data_dir: PathBuf,
    /// Path of `libchdb.so`; without it the engine is fetched once into `cache`.
    pub engine: Option<PathBuf>,
    /// Directory of the fetched engine. Default: `grapevine` in the user's cache directory.
    pub cache: Option<PathBuf>,
    /// TOML file with signal entries of one's own; see `docs/own-signals.md`.
    pub signals: Option<PathBuf>,
    /// Weights of classification, as `grapevine evaluate fit-visits` writes them. Default: those
    /// shipped.
    pub model: Option<PathBuf>,
    /// Weights of the causes of arrivals, as `grapevine evaluate fit` writes them. Default: those
    /// shipped.
    pub chain_model: Option<PathBuf>,
    /// The collector.
    #[serde(default)]
    pub collector: CollectorSettings,
    /// ClickHouse: the interface of the embedded one, and where another is.
    #[serde(default)]
    pub clickhouse: ClickHouseSettings,
    /// Apache Kafka; `local` needs none.
    #[serde(default)]
    pub kafka: KafkaSettings,
    /// A schema registry beside Kafka; off unless its address is set.
    #[serde(default)]
    pub registry: RegistrySettings,
    /// Health, metrics, traces and the graceful stop.
    #[serde(default)]
    pub operations: OperationsSettings,
}

/// The embedded engine's HTTP interface, which `local` serves, and the address of another
/// ClickHouse, which `sink`, `audit` and `replay` use beside Kafka, and `report` and `query` ask. The
/// database is `grapevine`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClickHouseSettings {
    /// Address and port; loopback unless told otherwise.
    pub listen: SocketAddr,
    /// Web origins whose pages may ask it, such as `https://dash.example.org`.
    pub allowed_origins: Vec<String>,
    /// Host names it answers to besides those of loopback and `listen`.
    pub allowed_hosts: Vec<String>,
    /// `http://HOST:8123` or `https://HOST:8443` of a ClickHouse of one's own.
    pub url: Option<String>,
    /// Account there.
    pub user: String,
    /// Its password.
    pub password: Option<Secret>,
    /// File that holds the password instead.
    pub password_file: Option<PathBuf>,
    /// File with the certificate authorities (PEM) that its certificate must come from; without
    /// one, those of the system.
    pub ca: Option<PathBuf>,
    /// Fewest different readers of a group that views named `bi_…` show, 1 or more; set where
    /// migrations run. Without it the database's own number stays: 5 in a new one.
    pub group_size_min: Option<u32>,
}

impl Default for ClickHouseSettings {
    fn default() -> Self {
        ClickHouseSettings {
            listen: SocketAddr::from(([127, 0, 0, 1], 8123)),
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            url: None,
            user: "default".to_owned(),
            password: None,
            password_file: None,
            ca: None,
            group_size_min: None,
        }
    }
}

impl ClickHouseSettings {
    /// Fewest different readers of a group that views named `bi_…` show; `None` leaves it as it is.
    ///
    /// # Errors
    /// It is 0: by key and remedy.
    pub fn group_size_min(&self) -> Result<Option<u32>, Failure> {
        if self.group_size_min != Some(0) {
            return Ok(self.group_size_min);
        }
        Err(Failure::new(
            ExitKind::Config,
            "configuration: clickhouse.group_size_min = 0: should be 1 or more; 1 shows every group",
        ))
    }
}

/// Flags that override a key, `None` where not given.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--config`
    pub file: Option<PathBuf>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--engine`
    pub engine: Option<PathBuf>,
    /// `--collector-listen`
    pub collector_listen: Option<SocketAddr>,
    /// `--clickhouse-listen`
    pub clickhouse_listen: Option<SocketAddr>,
}

/// Settings, and where each of them came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    file: Option<(PathBuf, toml::Table)>,
    /// Names of the variables that were there.
    variables: BTreeSet<String>,
    /// Keys that flags gave.
    flags: Vec<&'static str>,
}

impl Loaded {
    /// Where the value of a dotted key came from: `flag`, the name of a variable, the file, or
    /// `default`.
    pub fn origin(&self, key: &str) -> String {
        if self.flags.contains(&key) {
            return "flag".to_owned();
        }
        let variable = format!("GRAPEVINE_{}", key.replace('.', "__").to_uppercase());
        if self.variables.contains(&variable) {
            return variable;
        }
        let in_file = self.file.as_ref().filter(|(_, table)| holds(table, key));
        in_file.map_or_else(
            || "default".to_owned(),
            |(path, _)| path.display().to_string(),
        )
    }
}

/// True where a table has a dotted key, whose dots may stand in names (`"sasl.mechanism"`) as well
/// as between tables.
fn holds(table: &toml::Table, key: &str) -> bool {
    table.contains_key(key)
        || key.match_indices('.').any(|(dot, _)| {
            let below = table.get(&key[..dot]).and_then(toml::Value::as_table);
            below.is_some_and(|below| holds(below, &key[dot + 1..]))
        })
}

impl Settings {
    /// Puts the settings together.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key, a value of the wrong kind: each by name.
    pub fn load(overrides: &Overrides) -> Result<Loaded, Failure> {
        // `GRAPEVINE_CONFIG` names the file itself and `GRAPEVINE_SERVER_KEY` belongs to
        // `simulate`, so they are no keys of it.
        let environment: std::collections::HashMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with("GRAPEVINE_"))
            .filter(|(name, _)| name != "GRAPEVINE_CONFIG" && name != "GRAPEVINE_SERVER_KEY")
            .collect();
        let named = overrides
            .file
            .clone()
            .or_else(|| std::env::var_os("GRAPEVINE_CONFIG").map(PathBuf::from));
        Settings::from_sources(named.as_deref(), environment, overrides)
    }

    fn from_sources(
        file: Option<&Path>,
        mut environment: std::collections::HashMap<String, String>,
        overrides: &Overrides,
    ) -> Result<Loaded, Failure> {
        let variables = environment.keys().cloned().collect();
        let mut in_file = None;
        let wrong = |text: String| Failure::new(ExitKind::Config, text);
        let mut sources = Config::builder();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(|error| {
                wrong(format!(
                    "configuration file {}: {error}; check --config and GRAPEVINE_CONFIG",
                    path.display()
                ))
            })?;
            // Parsed by itself first: the parser's own message has the line.
            let table = toml::from_str::<toml::Table>(&text).map_err(|error| {
                wrong(format!("configuration file {}: {error}", path.display()))
            })?;
            in_file = Some((path.to_owned(), table));
            sources = sources.add_source(File::from_str(&text, FileFormat::Toml));
        }
        // Taken as they are: a password of digits is no number.
        let as_is = [
            "kafka.user",
            "kafka.password",
            "collector.server_key",
            "clickhouse.password",
            "registry.user",
            "registry.password",
            "registry.token",
        ]
        .map(|key| {
            let name = format!("GRAPEVINE_{}", key.to_uppercase().replace('.', "__"));
            (key, environment.remove(&name))
        });
        // Their names have dots, which no path of a key says.
        let properties = kafka::properties_of(&mut environment);
        let environment = Environment::with_prefix("GRAPEVINE")
            .prefix_separator("_")
            .separator("__")
            .list_separator(",")
            .with_list_parse_key("collector.sites")
            .with_list_parse_key("collector.trusted_proxies")
            .with_list_parse_key("clickhouse.allowed_origins")
            .with_list_parse_key("clickhouse.allowed_hosts")
            .try_parsing(true)
            .source(Some(environment));
        sources = sources.add_source(environment);
        let text = |path: &PathBuf| path.display().to_string();
        let flags = [
            ("data_dir", overrides.data_dir.as_ref().map(text)),
            ("engine", overrides.engine.as_ref().map(text)),
            (
                "collector.listen",
                overrides
                    .collector_listen
                    .map(|address| address.to_string()),
            ),
            (
                "clickhouse.listen",
                overrides
                    .clickhouse_listen
                    .map(|address| address.to_string()),
            ),
        ];
        let described = |error: config::ConfigError| {
            let error = error.to_string();
            let meant = unknown_key::nearest(&error)
                .map_or_else(String::new, |key| format!(": did you mean `{key}`?"));
            wrong(format!(
                "configuration: {error}{meant}; keys may come from the file, from GRAPEVINE_… variables and from flags"
            ))
        };
        if let Some(default) = user_directory("XDG_DATA_HOME", ".local/share") {
            sources = sources
                .set_default("data_dir", text(&default))
                .map_err(described)?;
        }
        let given = flags.iter().filter(|(_, value)| value.is_some());
        let given = given.map(|(key, _)| *key).collect();
        for (key, value) in flags.into_iter().chain(as_is) {
            sources = sources.set_override_option(key, value).map_err(described)?;
        }
        let mut settings: Settings = sources
            .build()
            .and_then(Config::try_deserialize)
            .map_err(described)?;
        settings.kafka.properties.set(properties);
        let grace = settings.operations.grace_seconds;
        settings.kafka.end_within(grace);
        settings.collector.drain_within(grace);
        Ok(Loaded {
            settings,
            file: in_file,
            variables,
            flags: given,
        })
    }

    /// What is wrong with how a replica of a group is to end, or with its other Kafka settings.
    ///
    /// # Errors
    /// Each by key and remedy.
    pub fn check_replica(&self) -> Result<(), Failure> {
        self.kafka.check()?;
        if self.kafka.grace() >= self.operations.grace()? {
            let problem = format!(
                "configuration: kafka.grace_seconds = {} leaves nothing of operations.grace_seconds = {} to give partitions back in: make the latter the greater",
                self.kafka.grace().as_secs(),
                self.operations.grace_seconds
            );
            return Err(Failure::new(ExitKind::Config, problem));
        }
        Ok(())
    }

    /// The proxies whose `X-Forwarded-For` is believed.
    ///
    /// # Errors
    /// One that is no address and no network.
    pub fn trusted_proxies(&self) -> Result<TrustedProxies, Failure> {
        TrustedProxies::parse(&self.collector.trusted_proxies).map_err(|error| {
            Failure::new(
                ExitKind::Config,
                format!("configuration: collector.trusted_proxies: {error}"),
            )
        })
    }

    /// Directory of the fetched engine.
    ///
    /// # Errors
    /// Neither `cache` nor a home directory is set.
    pub fn cache_dir(&self) -> Result<PathBuf, Failure> {
        self.cache.clone().or_else(|| user_directory("XDG_CACHE_HOME", ".cache")).ok_or_else(|| {
            Failure::new(ExitKind::Config, "no home directory: set GRAPEVINE_CACHE to a directory for the engine, or --engine to its file")
        })
    }
}

/// `grapevine` in one of the user's directories.
fn user_directory(variable: &str, below_home: &str) -> Option<PathBuf> {
    let given = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let base =
        given.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(below_home)))?;
    Some(base.join("grapevine"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, environment: &[(&str, &str)]) -> Result<Loaded, Failure> {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("grapevine.toml");
        std::fs::write(&path, file).expect("writes");
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        let overrides = Overrides {
            data_dir: Some("/flag".into()),
            ..Overrides::default()
        };
        Settings::from_sources(Some(&path), environment, &overrides)
    }

    #[test]
    fn each_source_overrides_the_one_before() {
        let loaded = load(
            "data_dir = \"/file\"\n[collector]\nlisten = \"127.0.0.1:1\"\nsites = [\"a\"]\n[clickhouse]\nlisten = \"127.0.0.1:2\"",
            &[("GRAPEVINE_CLICKHOUSE__LISTEN", "127.0.0.1:3"), ("GRAPEVINE_COLLECTOR__SITES", "b,c"), ("GRAPEVINE_ENGINE", "/e")],
        )
        .expect("loads");
        let settings = &loaded.settings;
        assert_eq!(settings.data_dir, Path::new("/flag"));
        assert_eq!(settings.collector.listen.port(), 1);
        assert_eq!(settings.clickhouse.listen.port(), 3);
        assert_eq!(settings.collector.sites, ["b", "c"]);
        assert_eq!(settings.collector.drain_seconds, Some(5));
        assert_eq!(settings.engine.as_deref(), Some(Path::new("/e")));
        assert_eq!(loaded.origin("data_dir"), "flag");
        assert_eq!(
            loaded.origin("clickhouse.listen"),
            "GRAPEVINE_CLICKHOUSE__LISTEN"
        );
        assert!(
            loaded
                .origin("collector.listen")
                .ends_with("grapevine.toml")
        );
        assert_eq!(loaded.origin("operations.grace_seconds"), "default");
    }

    #[test]
    fn a_password_is_taken_as_it_is_and_never_shown() {
        let settings = load(
            "[clickhouse]\nurl = \"https://there:8443\"\nuser = \"u\"",
            &[("GRAPEVINE_CLICKHOUSE__PASSWORD", "0070")],
        )
        .expect("loads");
        let password = settings
            .settings
            .clickhouse
            .password
            .as_ref()
            .map(Secret::reveal);
        assert_eq!(password, Some("0070"));
        let shown = format!("{settings:?}");
        assert!(
            shown.contains("(secret)") && !shown.contains("0070"),
            "{shown}"
        );
    }

    #[test]
    fn kafka_is_let_in_by_file_and_environment() {
        let settings = load(
            "[kafka]\nbrokers = \"a:1\"\nprotocol = \"consumer\"\n[kafka.properties]\n\"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanism\" = \"SCRAM-SHA-512\"",
            &[("GRAPEVINE_KAFKA__BROKERS", "b:2"), ("GRAPEVINE_KAFKA__USER", "u"), ("GRAPEVINE_KAFKA__PASSWORD", "0012345"), ("GRAPEVINE_KAFKA__PARTITIONS", "3")],
        )
        .expect("loads")
        .settings;
        assert_eq!(settings.kafka.brokers, "b:2");
        assert_eq!(settings.kafka.partitions, 3);
        assert_eq!(settings.kafka.protocol, Protocol::Consumer);
        assert_eq!(settings.kafka.password, Some(Secret::new("0012345")));
        assert!(!format!("{settings:?}").contains("12345"));
        settings
            .kafka
            .connection()
            .expect("properties with dots arrive");
    }

    #[test]
    fn properties_of_kafka_come_from_file_and_environment_and_it_is_said_from_where() {
        let key = "GRAPEVINE_KAFKA__PROPERTIES__SSL__KEY__PASSWORD";
        let client = "GRAPEVINE_KAFKA__PROPERTIES__SASL__OAUTHBEARER__CLIENT__SECRET";
        let loaded = load(
            "[kafka.properties]\n\"ssl.key.password\" = \"in clear\"\nssl.ca.location = \"/ca.pem\"\nlinger.ms = 7",
            &[(key, "0070"), (client, "true")],
        )
        .expect("loads");
        let named = loaded.settings.kafka.properties.named();
        let named: Vec<(&str, &str)> = named.collect();
        let expected = [
            ("linger.ms", "7"),
            ("sasl.oauthbearer.client.secret", "true"),
            ("ssl.ca.location", "/ca.pem"),
            ("ssl.key.password", "0070"),
        ];
        assert_eq!(named, expected);
        let shown = format!("{:?}", loaded.settings);
        assert!(!shown.contains("0070"), "{shown}");
        let origin = |name: &str| loaded.origin(&format!("kafka.properties.{name}"));
        assert_eq!(origin("ssl.key.password"), key);
        assert_eq!(origin("sasl.oauthbearer.client.secret"), client);
        for name in ["ssl.ca.location", "linger.ms"] {
            assert!(origin(name).ends_with("grapevine.toml"), "{name}");
        }
        let quoted = load("[kafka.properties]\n\"linger.ms\" = \"7\"", &[]).expect("loads");
        let origin = quoted.origin("kafka.properties.linger.ms");
        assert!(origin.ends_with("grapevine.toml"), "{origin}");
        assert_eq!(quoted.origin("kafka.properties.linger"), "default");
    }

    #[test]
    fn the_smallest_group_is_one_reader_or_more() {
        let of = |file: &str, environment: &[(&str, &str)]| {
            let loaded = load(file, environment).expect("loads");
            loaded.settings.clickhouse.group_size_min()
        };
        let file = "[clickhouse]\ngroup_size_min = 20";
        assert_eq!(of("", &[]).expect("good"), None, "it stays as it is");
        assert_eq!(of(file, &[]).expect("good"), Some(20));
        let variable = [("GRAPEVINE_CLICKHOUSE__GROUP_SIZE_MIN", "1")];
        assert_eq!(of(file, &variable).expect("good"), Some(1));
        let failure = of("[clickhouse]\ngroup_size_min = 0", &[]).expect_err("hides nothing");
        let said = failure.to_string();
        assert!(
            said.contains("clickhouse.group_size_min") && said.contains("1 or more"),
            "{said}"
        );
        assert_eq!(failure.code(), 78);
    }

    #[test]
    fn a_replica_has_time_to_give_its_partitions_back() {
        let settings = load("[kafka]\ngrace_seconds = 25", &[])
            .expect("loads")
            .settings;
        let failure = settings.check_replica().expect_err("no time is left");
        assert_eq!(failure.code(), 78);
        let said = failure.to_string();
        assert!(said.contains("kafka.grace_seconds") && said.contains("operations.grace_seconds"));
        for (file, grace) in [
            ("[kafka]\ngrace_seconds = 24", 24),
            ("", 20),
            ("[operations]\ngrace_seconds = 2", 1),
            ("[operations]\ngrace_seconds = 900", 240),
        ] {
            let settings = load(file, &[]).expect("loads").settings;
            settings.check_replica().expect("a second is left");
            assert_eq!(settings.kafka.grace().as_secs(), grace, "{file}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (file, environment, says) in [
            ("[collector]\nlissten = \"127.0.0.1:1\"", vec![], "lissten"),
            ("[collector]\nlissten = 1", vec![], "did you mean `listen`?"),
            ("[opperations]", vec![], "did you mean `operations`?"),
            (
                "[collector]\nlisten = \"everywhere\"",
                vec![],
                "collector.listen",
            ),
            ("[collector]\nlisten =", vec![], "line 2"),
            ("", vec![("GRAPEVINE_CLICKHOUSE__PORT", "1")], "port"),
        ] {
            let failure = load(file, &environment).expect_err(says);
            assert!(
                failure.to_string().contains(says),
                "{failure} should name {says}"
            );
            assert_eq!(failure.code(), 78);
        }
    }
}
