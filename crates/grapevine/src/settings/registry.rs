//! `[registry]`: the schema registry that records are framed for.

use std::path::PathBuf;

use grapevine_registry::{Client, Credentials, RegistryError};
use serde::{Deserialize, Serialize};

use crate::exit::{ExitKind, Failure};
use crate::secret::Secret;

/// A schema registry with the Confluent-compatible interface; off without `url`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistrySettings {
    /// Base address of the interface, such as `http://registry:8081`.
    pub url: Option<String>,
    /// User name, for basic authentication.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// File that holds the password instead.
    pub password_file: Option<PathBuf>,
    /// A bearer token instead of user and password.
    pub token: Option<Secret>,
    /// File that holds the token instead; read at the start.
    pub token_file: Option<PathBuf>,
    /// File with the certificate authorities (PEM) that its certificate must come from; without
    /// one, those of the system.
    pub ca: Option<PathBuf>,
}

impl RegistrySettings {
    /// The client; `None` without a registry. Nothing is asked yet. Blocks a little: not for
    /// threads that run asynchronous tasks.
    ///
    /// # Errors
    /// Each by key and remedy: an address that is none, credentials that do not go together, files
    /// that cannot be read.
    pub fn client(&self) -> Result<Option<Client>, Failure> {
        let credentials = self.credentials()?;
        let Some(url) = &self.url else {
            if *self != RegistrySettings::default() {
                return Err(wrong(
                    "registry.url is not set, and other keys of it are: set it, or take them out",
                ));
            }
            return Ok(None);
        };
        let ca = match &self.ca {
            None => None,
            Some(path) => Some(std::fs::read(path).map_err(|error| {
                let path = path.display();
                wrong(&format!(
                    "registry.ca: {path}: {error}; name a file with certificates in PEM"
                ))
            })?),
        };
        let client = Client::new(url, credentials, ca.as_deref());
        client.map(Some).map_err(|error| wrong(&error.to_string()))
    }

    fn credentials(&self) -> Result<Credentials, Failure> {
        let of = Secret::of_either;
        let password = of(
            "registry.password",
            self.password.as_ref(),
            self.password_file.as_deref(),
        )?;
        let token = of(
            "registry.token",
            self.token.as_ref(),
            self.token_file.as_deref(),
        )?;
        match (&self.user, password, token) {
            (None, None, None) => Ok(Credentials::None),
            (Some(user), Some(password), None) => Ok(Credentials::Basic {
                user: user.clone(),
                password: password.reveal().to_owned(),
            }),
            (None, None, Some(token)) => Ok(Credentials::Bearer(token.reveal().to_owned())),
            (_, _, Some(_)) => Err(wrong(
                "registry.token and registry.user or registry.password are both given: remove one",
            )),
            (Some(_), None, None) => Err(wrong(
                "registry.user needs registry.password or registry.password_file",
            )),
            (None, Some(_), None) => Err(wrong("registry.password needs registry.user")),
        }
    }
}

/// How a command ends on what the registry said.
pub fn failure(error: RegistryError) -> Failure {
    let kind = match &error {
        RegistryError::Away { .. } | RegistryError::Answer { .. } => ExitKind::Unavailable,
        _ => ExitKind::Config,
    };
    Failure::of(kind, error)
}

fn wrong(text: &str) -> Failure {
    Failure::new(ExitKind::Config, format!("configuration: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> RegistrySettings {
        toml::from_str(text).expect("parses")
    }

    #[test]
    fn what_is_wrong_is_named_and_secrets_are_never_shown() {
        for (text, says) in [
            ("url = \"registry:8081\"", "registry.url"),
            ("url = \"http://u:hush@registry\"", "registry.user"),
            ("user = \"u\"\npassword = \"hush\"", "registry.url"),
            ("url = \"http://r\"\nuser = \"u\"", "registry.password"),
            ("url = \"http://r\"\npassword = \"hush\"", "registry.user"),
            (
                "url = \"http://r\"\ntoken = \"hush\"\nuser = \"u\"",
                "remove one",
            ),
            ("url = \"https://r\"\nca = \"no-such-file\"", "registry.ca"),
            (
                "url = \"http://r\"\ntoken_file = \"no-such-file\"",
                "registry.token_file",
            ),
        ] {
            let settings = parse(text);
            assert!(!format!("{settings:?}").contains("\"hush\""));
            let failure = settings.client().expect_err(text);
            assert_eq!(failure.code(), 78);
            let said = failure.to_string();
            assert!(said.contains(says) && !said.contains("hush"), "{said}");
        }
        let shown = serde_json::to_string(&parse("password = \"hush\"\ntoken = \"hush\""));
        assert!(!shown.expect("writes").contains("hush"));
    }

    #[test]
    fn without_an_address_there_is_none() {
        assert!(
            RegistrySettings::default()
                .client()
                .expect("good")
                .is_none()
        );
        let client =
            parse("url = \"http://r:1/apis/ccompat/v7\"\nuser = \"u\"\npassword = \"p\"").client();
        assert!(client.expect("good").is_some());
    }
}
