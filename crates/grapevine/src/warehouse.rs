//! A client of the ClickHouse that the settings name, over HTTP or HTTPS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clickhouse::Client;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::exit::{Ends, ExitKind, Failure};
use crate::secret::Secret;
use crate::settings::ClickHouseSettings;

/// ClickHouse closes idle connections after 3 s by default; one that is about to be closed is not
/// to be used.
const IDLE_MAX: Duration = Duration::from_secs(2);
const KEEPALIVE: Duration = Duration::from_secs(60);

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
