//! What the listener for clients demands, and what a client must say to it.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

use crate::error::{TestingError, io};
use crate::identity::IdentityProvider;

/// Name of the account that every secured cluster knows.
pub const USER: &str = "grapevine";
/// Its password.
pub const PASSWORD: &str = "under-the-vine";

/// How clients reach the brokers of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Anybody, in the clear.
    #[default]
    Plaintext,
    /// TLS with a certificate of the cluster's own authority.
    Tls,
    /// TLS both ways: a client without a certificate of that authority is refused.
    MutualTls,
    /// TLS, and name and password in the clear inside it.
    Plain,
    /// TLS, and proof of the password (SCRAM-SHA-256).
    ScramSha256,
    /// TLS, and proof of the password (SCRAM-SHA-512).
    ScramSha512,
    /// TLS, and a token that nobody signed.
    UnsignedToken,
    /// TLS, and a token that an identity provider signed: OAUTHBEARER by OIDC.
    Oidc,
}

impl Security {
    pub(crate) fn protocol(self) -> &'static str {
        match self {
            Security::Plaintext => "PLAINTEXT",
            Security::Tls | Security::MutualTls => "SSL",
            _ => "SASL_SSL",
        }
    }

    pub(crate) fn mechanism(self) -> Option<&'static str> {
        match self {
            Security::Plaintext | Security::Tls | Security::MutualTls => None,
            Security::Plain => Some("PLAIN"),
            Security::ScramSha256 => Some("SCRAM-SHA-256"),
            Security::ScramSha512 => Some("SCRAM-SHA-512"),
            Security::UnsignedToken | Security::Oidc => Some("OAUTHBEARER"),
        }
    }
}

/// A certificate authority, a broker's and a client's certificate, as PEM files.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// What a client trusts.
    pub(crate) authority: PathBuf,
    /// The broker's key and chain in one file, as Kafka reads them.
    pub(crate) broker: PathBuf,
    /// A client's certificate.
    pub(crate) client: PathBuf,
    /// Its key.
    pub(crate) client_key: PathBuf,
}

impl Certificates {
    pub(crate) fn make(directory: &Path) -> Result<Certificates, TestingError> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        name(&mut params, "Grapevine test authority");
        let key = KeyPair::generate()?;
        let authority = params.self_signed(&key)?;
        let issuer = Issuer::new(params, key);

        let signed = |subject: &str| -> Result<(String, String), TestingError> {
            let mut params = CertificateParams::default();
            name(&mut params, subject);
            params.subject_alt_names = vec![
                SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
                SanType::DnsName("localhost".try_into()?),
            ];
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &issuer)?;
            Ok((certificate.pem(), key.serialize_pem()))
        };
        let (broker, broker_key) = signed("broker")?;
        let (client, client_key) = signed(USER)?;
        let write = |file: &str, text: &str| {
            let path = directory.join(file);
            fs::write(&path, text)
                .map_err(io("cannot write", &path))
                .map(|()| path)
        };
        Ok(Certificates {
            broker: write(
                "broker.pem",
                &format!("{broker_key}{broker}{}", authority.pem()),
            )?,
            authority: write("authority.pem", &authority.pem())?,
            client: write("client.pem", &client)?,
            client_key: write("client.key", &client_key)?,
        })
    }
}

fn name(params: &mut CertificateParams, subject: &str) {
    params.distinguished_name.push(DnType::CommonName, subject);
}

/// The broker's settings for its listener `CLIENTS`.
pub(crate) fn broker_properties(
    security: Security,
    certificates: Option<&Certificates>,
    identity: Option<&IdentityProvider>,
) -> Vec<(String, String)> {
    let mut properties = Vec::new();
    let mut set = |key: &str, value: &str| properties.push((key.to_owned(), value.to_owned()));
    if let Some(certificates) = certificates {
        let prefix = "listener.name.clients.ssl";
        let path = |path: &Path| path.display().to_string();
        set(&format!("{prefix}.keystore.type"), "PEM");
        set(
            &format!("{prefix}.keystore.location"),
            &path(&certificates.broker),
        );
        set(&format!("{prefix}.truststore.type"), "PEM");
        set(
            &format!("{prefix}.truststore.location"),
            &path(&certificates.authority),
        );
        let client = match security {
            Security::MutualTls => "required",
            _ => "none",
        };
        set(&format!("{prefix}.client.auth"), client);
    }
    let Some(mechanism) = security.mechanism() else {
        return properties;
    };
    let prefix = format!("listener.name.clients.{}", mechanism.to_lowercase());
    set("listener.name.clients.sasl.enabled.mechanisms", mechanism);
    let module = "org.apache.kafka.common.security";
    let jaas = match security {
        Security::Plain => {
            format!("{module}.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";")
        }
        Security::UnsignedToken => {
            format!(
                "{module}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"{USER}\";"
            )
        }
        Security::Oidc => format!("{module}.oauthbearer.OAuthBearerLoginModule required;"),
        _ => format!("{module}.scram.ScramLoginModule required;"),
    };
    set(&format!("{prefix}.sasl.jaas.config"), &jaas);
    if let Some(identity) = identity {
        set(
            &format!("{prefix}.sasl.server.callback.handler.class"),
            &format!("{module}.oauthbearer.OAuthBearerValidatorCallbackHandler"),
        );
        for (key, value) in [
            ("sasl.oauthbearer.jwks.endpoint.url", identity.keys_url()),
            ("sasl.oauthbearer.expected.issuer", identity.issuer()),
            (
                "sasl.oauthbearer.expected.audience",
                IdentityProvider::AUDIENCE.to_owned(),
            ),
        ] {
            set(&format!("listener.name.clients.{key}"), &value);
        }
    }
    properties
}

/// What the storage has to know before the first start.
pub(crate) fn format_arguments(security: Security) -> Vec<String> {
    match security {
        Security::ScramSha256 | Security::ScramSha512 => vec![
            "--add-scram".to_owned(),
            format!(
                "{}=[name={USER},password={PASSWORD}]",
                security.mechanism().unwrap_or_default()
            ),
        ],
        _ => Vec::new(),
    }
}

/// librdkafka's settings of a client that is let in.
pub(crate) fn client_properties(
    security: Security,
    certificates: Option<&Certificates>,
    identity: Option<&IdentityProvider>,
) -> Vec<(String, String)> {
    let mut properties = Vec::new();
    let mut set = |key: &str, value: &str| properties.push((key.to_owned(), value.to_owned()));
    set("security.protocol", &security.protocol().to_lowercase());
    if let Some(certificates) = certificates {
        let path = |path: &Path| path.display().to_string();
        set("ssl.ca.location", &path(&certificates.authority));
        if security == Security::MutualTls {
            set("ssl.certificate.location", &path(&certificates.client));
            set("ssl.key.location", &path(&certificates.client_key));
        }
    }
    if let Some(mechanism) = security.mechanism() {
        set("sasl.mechanism", mechanism);
    }
    match security {
        Security::Plain | Security::ScramSha256 | Security::ScramSha512 => {
            set("sasl.username", USER);
            set("sasl.password", PASSWORD);
        }
        Security::UnsignedToken => {
            set("enable.sasl.oauthbearer.unsecure.jwt", "true");
            set("sasl.oauthbearer.config", &format!("principal={USER}"));
        }
        Security::Oidc => {
            if let Some(identity) = identity {
                set("sasl.oauthbearer.method", "oidc");
                set("sasl.oauthbearer.client.id", USER);
                set("sasl.oauthbearer.client.secret", PASSWORD);
                set("sasl.oauthbearer.token.endpoint.url", &identity.token_url());
            }
        }
        Security::Plaintext | Security::Tls | Security::MutualTls => {}
    }
    properties
}
