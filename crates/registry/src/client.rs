//! The few requests of the Confluent-compatible interface that are needed.

use std::fmt;
use std::io::Read;
use std::time::Duration;

use reqwest::Certificate;
use reqwest::blocking::{Client as Http, RequestBuilder};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::redirect::Policy;
use serde::Deserialize;
use thiserror::Error;
use url::Url;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a schema that is refused is looked for and registered again, and the pause before.
const REGISTER_TRIES: u32 = 3;
const REGISTER_PAUSE: Duration = Duration::from_millis(200);
/// Longest answer that is read, bytes.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Why the registry did not do what was asked.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// The address is none.
    #[error("registry.url {url}: {reason}; write http://HOST:PORT or https://HOST:PORT")]
    Url {
        /// As given.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The certificate authorities cannot be used.
    #[error("registry.ca: {0}; name a file with certificates in PEM")]
    Authorities(String),
    /// It does not answer, or says that it cannot now. The same request may work later.
    #[error("schema registry {url} is away: {reason}")]
    Away {
        /// Its address.
        url: String,
        /// What was seen.
        reason: String,
    },
    /// It does not let us.
    #[error(
        "schema registry {url} refuses {what} ({status}: {reason}): check registry.user and registry.password, or registry.token"
    )]
    Forbidden {
        /// Its address.
        url: String,
        /// What was asked.
        what: String,
        /// HTTP status.
        status: u16,
        /// Its words.
        reason: String,
    },
    /// It will not have a schema of ours.
    #[error(
        "schema registry {url} does not take our schema for subject {subject} ({status}: {reason}): look at the subject's versions and its compatibility rule; where the rule has to give way for this version set it for this subject, where another program uses the subject give grapevine a registry or a context of its own"
    )]
    Incompatible {
        /// Its address.
        url: String,
        /// The subject.
        subject: String,
        /// HTTP status.
        status: u16,
        /// Its words.
        reason: String,
    },
    /// It answered something that is no answer.
    #[error("schema registry {url} answers {what} with {reason}: is it a schema registry?")]
    Answer {
        /// Its address.
        url: String,
        /// What was asked.
        what: String,
        /// What came.
        reason: String,
    },
}

impl RegistryError {
    /// True where the same request may work later.
    pub fn is_away(&self) -> bool {
        matches!(self, RegistryError::Away { .. })
    }
}

/// How to be let in.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing is asked for.
    #[default]
    None,
    /// Name and password.
    Basic {
        /// Name.
        user: String,
        /// Password.
        password: String,
    },
    /// A token.
    Bearer(String),
}

impl fmt::Debug for Credentials {
    /// Which kind; never the secret.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Credentials::None => "None",
            Credentials::Basic { .. } => "Basic(..)",
            Credentials::Bearer(_) => "Bearer(..)",
        })
    }
}

/// A client of a registry. It blocks: not for threads that run asynchronous tasks.
#[derive(Clone)]
pub struct Client {
    http: Http,
    base: Url,
    credentials: Credentials,
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Client")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Id {
    id: u32,
}

#[derive(Deserialize)]
struct Text {
    schema: String,
}

/// An answer below 500.
struct Answer {
    status: u16,
    body: String,
}

impl Client {
    /// A client for the interface below `url`. Nothing is asked yet. `ca` holds the certificate
    /// authorities (PEM) that the registry's certificate must come from; without them, those of
    /// the system.
    ///
    /// # Errors
    /// [`RegistryError::Url`], [`RegistryError::Authorities`].
    pub fn new(
        url: &str,
        credentials: Credentials,
        ca: Option<&[u8]>,
    ) -> Result<Client, RegistryError> {
        let wrong = |reason: &str| RegistryError::Url {
            url: without_secrets(url),
            reason: reason.to_owned(),
        };
        let mut base = Url::parse(url).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(wrong("neither http nor https"));
        }
        if base.password().is_some() || !base.username().is_empty() {
            return Err(wrong(
                "name and password do not belong here: registry.user and registry.password",
            ));
        }
        // Names are joined behind it.
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let unusable = |error: reqwest::Error| RegistryError::Authorities(causes(&error));
        // A redirect would carry credentials to where nobody sent them.
        let mut http = Http::builder().timeout(PATIENCE).redirect(Policy::none());
        match ca {
            Some(pem) => {
                let authorities = Certificate::from_pem_bundle(pem).map_err(unusable)?;
                if authorities.is_empty() {
                    let none = "there is no certificate in it".to_owned();
                    return Err(RegistryError::Authorities(none));
                }
                http = http.tls_certs_only(authorities);
            }
            // A system that has no authorities will do: nobody is asked for a certificate.
            None if base.scheme() == "http" => http = http.tls_certs_only([]),
            None => {}
        }
        Ok(Client {
            http: http.build().map_err(unusable)?,
            base,
            credentials,
        })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Id of a schema of ours: as it is registered under `subject` or, where it is not, registered
    /// now. So credentials that may only read will do where somebody else registered it.
    ///
    /// # Errors
    /// Away, not let in, not compatible with what is there.
    pub fn id_of(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let body = serde_json::json!({"schema": schema, "schemaType": "AVRO"}).to_string();
        let what = format!("schema {subject}");
        let path = ["subjects", subject, "versions"];
        let mut tries = 0..REGISTER_TRIES;
        loop {
            let looked = self.ask(&what, &["subjects", subject], Some(&body))?;
            if looked.status == 200 {
                return self.read::<Id>(&what, &looked.body).map(|found| found.id);
            }
            // 404: neither subject nor schema. Anything else shows again, with its words, below.
            let registered = self.ask(&what, &path, Some(&body))?;
            match registered.status {
                200 => {
                    tracing::info!(subject, registry = self.url(), "schema registered");
                    return self.read::<Id>(&what, &registered.body).map(|made| made.id);
                }
                // Not compatible, or another process registers the same at this moment.
                409 if tries.next().is_some() => std::thread::sleep(REGISTER_PAUSE),
                status => {
                    return Err(RegistryError::Incompatible {
                        url: self.url().to_owned(),
                        subject: subject.to_owned(),
                        status,
                        reason: words(&registered.body),
                    });
                }
            }
        }
    }

    /// The text of the schema with an id; `None` where the registry knows no such id.
    ///
    /// # Errors
    /// Away, not let in, no answer of a registry's.
    pub fn schema(&self, id: u32) -> Result<Option<String>, RegistryError> {
        let what = format!("schema id {id}");
        let answer = self.ask(&what, &["schemas", "ids", &id.to_string()], None)?;
        match answer.status {
            200 => {
                let text: Text = self.read(&what, &answer.body)?;
                Ok(Some(text.schema))
            }
            404 => Ok(None),
            status => Err(self.no_answer(&what, &format!("{status} {}", words(&answer.body)))),
        }
    }

    fn ask(&self, what: &str, path: &[&str], body: Option<&str>) -> Result<Answer, RegistryError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let away = |reason: String| RegistryError::Away {
            url: self.url().to_owned(),
            reason,
        };
        let request = match body {
            None => self.http.get(url),
            Some(body) => (self.http.post(url))
                .header(CONTENT_TYPE, MEDIA_TYPE)
                .body(body.to_owned()),
        };
        let response = self.let_in(request).header(ACCEPT, MEDIA_TYPE).send();
        // The address is said already.
        let response = response.map_err(|error| away(seen(&causes(&error.without_url()))))?;
        let status = response.status().as_u16();
        let mut body = String::new();
        response
            .take(ANSWER_BYTES_MAX)
            .read_to_string(&mut body)
            .map_err(|error| away(error.to_string()))?;
        match status {
            401 | 403 => Err(RegistryError::Forbidden {
                url: self.url().to_owned(),
                what: what.to_owned(),
                status,
                reason: words(&body),
            }),
            408 | 429 | 500.. => Err(away(format!("{status} {}", words(&body)))),
            status => Ok(Answer { status, body }),
        }
    }

    fn let_in(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.credentials {
            Credentials::None => request,
            Credentials::Basic { user, password } => request.basic_auth(user, Some(password)),
            Credentials::Bearer(token) => request.bearer_auth(token),
        }
    }

    fn read<T: for<'de> Deserialize<'de>>(
        &self,
        what: &str,
        body: &str,
    ) -> Result<T, RegistryError> {
        serde_json::from_str(body).map_err(|error| self.no_answer(what, &error.to_string()))
    }

    fn no_answer(&self, what: &str, reason: &str) -> RegistryError {
        RegistryError::Answer {
            url: self.url().to_owned(),
            what: what.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

/// An error and what caused it: reqwest's own text leaves that out.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What came instead of an answer, with what to do where that is known.
fn seen(causes: &str) -> String {
    match causes.contains("certificate") {
        true => format!(
            "{causes}; check registry.ca, and that registry.url has the name in its certificate"
        ),
        false => causes.to_owned(),
    }
}

/// What a registry says of an error, or the beginning of whatever came.
fn words(body: &str) -> String {
    #[derive(Deserialize)]
    struct Said {
        message: String,
    }
    let said = serde_json::from_str::<Said>(body).map(|said| said.message);
    let mut text = said.unwrap_or_else(|_| body.to_owned());
    text.truncate(text.floor_char_boundary(200));
    text.replace(char::is_control, " ")
}

/// An address without what may be a password in it.
fn without_secrets(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_none_are_refused_and_secrets_not_shown() {
        for url in [
            "registry:8081",
            "ftp://registry",
            "http://me:hush@registry:8081",
            "",
        ] {
            let refused = Client::new(url, Credentials::None, None).expect_err(url);
            let text = refused.to_string();
            assert!(text.contains("registry.url"), "{text}");
            assert!(!text.contains("hush"), "{text}");
        }
        let basic = Credentials::Basic {
            user: "u".to_owned(),
            password: "hush".to_owned(),
        };
        let client = Client::new("http://registry/api/", basic.clone(), None).expect("a client");
        assert_eq!(client.url(), "http://registry/api");
        assert!(!format!("{client:?} {basic:?}").contains("hush"));
        let refused = Client::new("https://registry", Credentials::None, Some(b"none"));
        let text = refused.expect_err("no certificate").to_string();
        assert!(text.contains("registry.ca"), "{text}");
    }

    #[test]
    fn a_registrys_words_are_found_and_bounded() {
        assert_eq!(words(r#"{"error_code":409,"message":"no"}"#), "no");
        assert_eq!(words("<html>\n"), "<html> ");
        assert_eq!(words(&"ü".repeat(300)).len(), 200);
    }
}
