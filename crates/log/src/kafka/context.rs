//! What librdkafka calls back for, without a group: tokens, and what became of a message.

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

/// Reads the token that the brokers ask for.
#[derive(Debug)]
pub(crate) struct Tokens(pub(crate) Option<PathBuf>);

impl Tokens {
    pub(crate) fn token(&self) -> Result<OAuthToken, Box<dyn Error>> {
        let Some(path) = &self.0 else {
            return Err("the brokers ask for OAUTHBEARER: name the file that holds the token by kafka.token_file".into());
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("kafka.token_file {}: {error}", path.display()))?;
        let token = text.trim();
        let claims = claims(token).ok_or_else(|| {
            format!(
                "kafka.token_file {}: not a JSON web token with exp and sub",
                path.display()
            )
        })?;
        Ok(OAuthToken {
            token: token.to_owned(),
            principal_name: claims.subject,
            lifetime_ms: claims.expires_ms,
        })
    }
}

struct Claims {
    subject: String,
    expires_ms: i64,
}

/// `sub` and `exp` of a JSON web token (RFC 7519); the signature is the broker's business.
fn claims(token: &str) -> Option<Claims> {
    use base64::Engine as _;
    let payload = token.split('.').nth(1)?;
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload.trim_end_matches('='))
        .ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    let seconds = claims.get("exp")?.as_f64()?;
    Some(Claims {
        subject: claims.get("sub")?.as_str()?.to_owned(),
        expires_ms: (seconds * 1000.0) as i64,
    })
}

/// Context of clients that only append, or only look.
#[derive(Debug)]
pub(crate) struct ClientCalls {
    tokens: Tokens,
    /// What the last undelivered message failed of.
    undelivered: Mutex<Option<KafkaError>>,
}

impl ClientCalls {
    pub(crate) fn new(token_file: Option<PathBuf>) -> ClientCalls {
        ClientCalls {
            tokens: Tokens(token_file),
            undelivered: Mutex::new(None),
        }
    }

    /// What a message since the last call could not be delivered for.
    pub(crate) fn take_undelivered(&self) -> Option<KafkaError> {
        self.undelivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl ClientContext for ClientCalls {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "kafka");
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let token = self.tokens.token();
        if let Err(error) = &token {
            tracing::error!(%error, "no token for kafka");
        }
        token
    }
}

impl rdkafka::consumer::ConsumerContext for ClientCalls {}

impl ProducerContext for ClientCalls {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = delivered {
            *self
                .undelivered
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_anew_with_its_owner_and_its_end() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("token");
        // {"alg":"none"} . {"sub":"grapevine","exp":1790000000}
        let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJncmFwZXZpbmUiLCJleHAiOjE3OTAwMDAwMDB9.";
        std::fs::write(&path, format!("{token}\n")).expect("writes");
        let tokens = Tokens(Some(path.clone()));
        let read = tokens.token().expect("a token");
        assert_eq!(read.token, token);
        assert_eq!(read.principal_name, "grapevine");
        assert_eq!(read.lifetime_ms, 1_790_000_000_000);
        for broken in ["", "a.b.c", "only-one-part"] {
            std::fs::write(&path, broken).expect("writes");
            let error = tokens.token().map(|_| ()).expect_err(broken).to_string();
            assert!(error.contains("kafka.token_file"), "{error}");
        }
        let error = Tokens(None).token().map(|_| ()).expect_err("no file");
        assert!(error.to_string().contains("kafka.token_file"));
    }
}
