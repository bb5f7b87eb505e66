//! The ClickHouse that the settings name, over HTTP or HTTPS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clickhouse::Client;
use clickhouse::error::Error;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::exit::{Ends, ExitKind, Failure, chain};
use crate::secret::Secret;
use crate::settings::ClickHouseSettings;

/// ClickHouse closes idle connections after 3 s by default; one that is about to be closed is not
/// to be used.
const IDLE_MAX: Duration = Duration::from_secs(2);
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Longest wait for the first answer. A ClickHouse that sleeps while nobody asks takes some time to wake.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(60);

/// The ClickHouse of `clickhouse.url`, which has answered and has the database.
pub struct Warehouse {
    client: Client,
    url: String,
    user: String,
}

impl Warehouse {
    /// Asks it once.
    ///
    /// # Errors
    /// Those of [`client`]; it does not answer, does not know the account, or has no database
    /// `grapevine`: each by key and remedy.
    pub async fn open(settings: &ClickHouseSettings) -> Result<Warehouse, Failure> {
        let warehouse = Warehouse {
            client: client(settings)?,
            url: settings.url.clone().unwrap_or_default(),
            user: settings.user.clone(),
        };
        let sql = "SELECT count() FROM system.databases WHERE name = 'grapevine'";
        let asked = warehouse.client.query(sql).fetch_one::<u64>();
        match tokio::time::timeout(FIRST_ANSWER_MAX, asked).await {
            Ok(Ok(0)) => {
                let user = &warehouse.user;
                let why = format!("there is no database grapevine that {user} may see");
                Err(warehouse.failure(ExitKind::Config, &why, Some(NOT_MIGRATED)))
            }
            Ok(Ok(_)) => {
                tracing::info!(url = warehouse.url, "clickhouse.url is asked");
                Ok(warehouse)
            }
            Ok(Err(error)) => Err(warehouse.refusal(&error)),
            Err(_) => {
                let why = format!("no answer within {} s", FIRST_ANSWER_MAX.as_secs());
                Err(warehouse.failure(ExitKind::Unavailable, &why, Some(AWAY)))
            }
        }
    }

    /// A client of it, by its one account.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// How a command ends on what it says to a question of Grapevine's own.
    pub fn refusal(&self, error: &Error) -> Failure {
        let (kind, fix) = remedy(error);
        self.failure(kind, &chain(error), fix)
    }

    /// How a command ends where there is no visit yet.
    pub fn empty(&self) -> Failure {
        let fix = "send hits to `grapevine collect`, and see that `grapevine enrich` and `grapevine sink` run; imports are in the data directory, which is asked where clickhouse.url is not set";
        self.failure(ExitKind::NoInput, "there are no visits yet", Some(fix))
    }

    /// How a command ends that asked for an account which it does not have.
    pub fn no_reader(&self) -> Failure {
        let why = format!("it is asked as {}", self.user);
        let fix = "--reader is an account of the data directory: leave it out, and give clickhouse.user an account that may only read";
        self.failure(ExitKind::Usage, &why, Some(fix))
    }

    fn failure(&self, kind: ExitKind, why: &str, fix: Option<&str>) -> Failure {
        let fix = fix.map_or_else(String::new, |fix| format!("; {fix}"));
        Failure::new(kind, format!("clickhouse.url {}: {why}{fix}", self.url))
    }
}

const AWAY: &str = "see that ClickHouse's HTTP interface answers there, and that clickhouse.url and clickhouse.ca are right";
const NOT_MIGRATED: &str =
    "make it with `grapevine sink --migrate-only`, or GRANT SELECT ON grapevine.* to that account";
const OTHER_TABLES: &str = "its tables are not those of this version: `grapevine sink --migrate-only` of this version makes them so";
const WRONG_ACCOUNT: &str =
    "give clickhouse.user and clickhouse.password or clickhouse.password_file of an account there";
const MAY_NOT_READ: &str = "GRANT SELECT ON grapevine.* to the account of clickhouse.user";
const MAY_NOT_SET: &str =
    "the profile of clickhouse.user must let settings be changed: readonly = 2, or 0";

/// What kind of failure an answer is, and what to do. The numbers are ClickHouse's own
/// (`src/Common/ErrorCodes.cpp`).
fn remedy(error: &Error) -> (ExitKind, Option<&'static str>) {
    let code = match error {
        Error::BadResponse(text) => code(text),
        Error::SchemaMismatch(_) => return (ExitKind::Config, Some(OTHER_TABLES)),
        Error::InvalidParams(_) | Error::Unsupported(_) => {
            return (ExitKind::Config, Some("correct clickhouse.url"));
        }
        _ => None,
    };
    match code {
        None => (ExitKind::Unavailable, Some(AWAY)),
        // THERE_IS_NO_COLUMN, NO_SUCH_COLUMN_IN_TABLE, UNKNOWN_IDENTIFIER, UNKNOWN_TABLE,
        // UNKNOWN_DATABASE
        Some(8 | 16 | 47 | 60 | 81) => (ExitKind::Config, Some(OTHER_TABLES)),
        // READONLY
        Some(164) => (ExitKind::Config, Some(MAY_NOT_SET)),
        // UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, IP_ADDRESS_NOT_ALLOWED,
        // AUTHENTICATION_FAILED
        Some(192..=195 | 516) => (ExitKind::Config, Some(WRONG_ACCOUNT)),
        // ACCESS_DENIED
        Some(497) => (ExitKind::Config, Some(MAY_NOT_READ)),
        Some(_) => (ExitKind::Unavailable, None),
    }
}

/// ClickHouse's own number of an error, from a text such as `Code: 60. DB::Exception: …`.
fn code(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("Code: ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok())
}

/// The client.
///
/// # Errors
/// No address, a certificate authority that cannot be read.
pub fn client(settings: &ClickHouseSettings) -> Result<Client, Failure> {
    let wrong = |text: String| Failure::new(ExitKind::Config, text);
    let Some(url) = &settings.url else {
        return Err(wrong(
            "no clickhouse: give clickhouse.url in the configuration, such as https://host:8443, or GRAPEVINE_CLICKHOUSE__URL".to_owned(),
        ));
    };
    without_credentials(url)?;
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(wrong(format!(
            "configuration: clickhouse.url: {url} is no address of ClickHouse's HTTP interface: write http://host:8123 or https://host:8443"
        )));
    }
    let mut connector = HttpConnector::new();
    connector.set_keepalive(Some(KEEPALIVE));
    connector.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls(settings.ca.as_deref())?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE_MAX)
        .build(connector);
    let client = Client::with_http_client(http)
        .with_url(url)
        .with_user(&settings.user);
    let (given, file) = (&settings.password, &settings.password_file);
    Ok(
        match Secret::of_either("clickhouse.password", given.as_ref(), file.as_deref())? {
            Some(password) => client.with_password(password.reveal()),
            None => client,
        },
    )
}

/// Refuses an address with a password in it: addresses are shown, in logs and by `config check`.
///
/// # Errors
/// It has what comes before an `@`; the error does not show it.
pub fn without_credentials(url: &str) -> Result<(), Failure> {
    let place = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = place.split(['/', '?', '#']).next().unwrap_or_default();
    if !authority.contains('@') {
        return Ok(());
    }
    Err(Failure::new(
        ExitKind::Config,
        "configuration: clickhouse.url has an account in it, and addresses are shown: give clickhouse.user and clickhouse.password or clickhouse.password_file instead".to_owned(),
    ))
}

fn tls(ca: Option<&Path>) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ends(ExitKind::Software)?;
    Ok(config
        .with_root_certificates(authorities(ca)?)
        .with_no_client_auth())
}

/// The authorities of the file, or of the system.
fn authorities(ca: Option<&Path>) -> Result<RootCertStore, Failure> {
    let mut store = RootCertStore::empty();
    let Some(path) = ca else {
        // A system without any has none to trust: https then says so, http needs none.
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(store);
    };
    let unusable = |reason: String| {
        Failure::new(
            ExitKind::Config,
            format!(
                "configuration: clickhouse.ca: {}: {reason}; name a file with certificates in PEM",
                path.display()
            ),
        )
    };
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        store
            .add(certificate)
            .map_err(|error| unusable(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(unusable("no certificate in it".to_owned()));
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: Option<&str>, ca: Option<&Path>) -> ClickHouseSettings {
        ClickHouseSettings {
            url: url.map(str::to_owned),
            ca: ca.map(Path::to_owned),
            ..ClickHouseSettings::default()
        }
    }

    #[test]
    fn what_it_says_is_told_with_what_to_do() {
        let warehouse = Warehouse {
            client: Client::default(),
            url: "https://there:8443".to_owned(),
            user: "analyst".to_owned(),
        };
        let said = |text: &str| warehouse.refusal(&Error::BadResponse(text.to_owned()));
        for (code, says, kind) in [
            (516, "clickhouse.password", ExitKind::Config),
            (497, "GRANT SELECT", ExitKind::Config),
            (164, "readonly = 2", ExitKind::Config),
            (60, "--migrate-only", ExitKind::Config),
            (241, "no memory", ExitKind::Unavailable),
        ] {
            let answer = format!("Code: {code}. DB::Exception: no memory, say");
            let failure = said(&answer);
            let text = failure.to_string();
            let start = "clickhouse.url https://there:8443: ";
            assert!(text.starts_with(start), "{text}");
            assert!(text.contains(&answer) && text.contains(says), "{text}");
            assert!(!text.contains("answers there"), "it does: {text}");
            assert_eq!(failure.kind(), kind, "{text}");
        }
        let nobody = said("502 Bad Gateway");
        assert!(nobody.to_string().contains("answers there"), "{nobody}");
        assert_eq!(nobody.kind(), ExitKind::Unavailable);
        assert_eq!(warehouse.empty().kind(), ExitKind::NoInput);
        let reader = warehouse.no_reader();
        assert_eq!(reader.kind(), ExitKind::Usage);
        assert!(reader.to_string().contains("analyst"), "{reader}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let dir = tempfile::tempdir().expect("tempdir");
        let empty = dir.path().join("ca.pem");
        std::fs::write(&empty, "").expect("writes");
        let absent = dir.path().join("absent.pem");
        for (url, ca, says) in [
            (None, None, "clickhouse.url"),
            (Some("clickhouse:9000"), None, "clickhouse.url"),
            (Some("https://u:hush@there"), None, "clickhouse.password"),
            (Some("https://there"), Some(&*empty), "no certificate"),
            (Some("https://there"), Some(&*absent), "clickhouse.ca"),
        ] {
            let failure = client(&settings(url, ca)).map(|_| ()).expect_err(says);
            assert!(failure.to_string().contains(says), "{failure}");
            assert!(!failure.to_string().contains("hush"), "{failure}");
            assert_eq!(failure.kind(), ExitKind::Config);
        }
    }
}
