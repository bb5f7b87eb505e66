//! An identity provider: gives tokens to who knows the password, and the keys to check them by.
//!
//! It answers two requests, `POST /token` (client credentials of RFC 6749, section 4.4) and
//! `GET /keys` (a key set of RFC 7517), with tokens of RFC 7519 signed by ES256.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{KeyPair, PublicKeyData, SigningKey};

use crate::error::TestingError;
use crate::http::{HttpServer, Request, Response};
use crate::security::{PASSWORD, USER};

/// Seconds that a token is good for.
const TOKEN_SECONDS: u64 = 600;

/// A running provider; it ends when dropped.
#[derive(Debug)]
pub struct IdentityProvider {
    server: HttpServer,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    key: KeyPair,
    issuer: OnceLock<String>,
    given: AtomicU64,
}

impl IdentityProvider {
    /// The audience of its tokens.
    pub(crate) const AUDIENCE: &'static str = "kafka";

    /// Starts it on a free port.
    ///
    /// # Errors
    /// No port, no thread, no key.
    pub fn start() -> Result<IdentityProvider, TestingError> {
        let shared = Arc::new(Shared {
            key: KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?,
            issuer: OnceLock::new(),
            given: AtomicU64::new(0),
        });
        let answering = Arc::clone(&shared);
        let server = HttpServer::start("application/json", move |request| {
            answer(&request, &answering)
        })?;
        // Nobody knows the port before this returns.
        shared.issuer.get_or_init(|| server.url());
        Ok(IdentityProvider { server, shared })
    }

    /// Where tokens are asked for.
    pub fn token_url(&self) -> String {
        format!("{}/token", self.server.url())
    }

    /// Where the keys are.
    pub fn keys_url(&self) -> String {
        format!("{}/keys", self.server.url())
    }

    /// What its tokens say of their origin.
    pub fn issuer(&self) -> String {
        self.server.url()
    }

    /// Tokens given out so far.
    pub fn tokens_given(&self) -> u64 {
        self.shared.given.load(Ordering::Relaxed)
    }
}

fn answer(request: &Request, shared: &Shared) -> Response {
    let basic = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let (status, json) = match &*request.path {
        "/keys" => ("200 OK", keys(&shared.key)),
        "/token" if request.header("authorization") == basic => {
            shared.given.fetch_add(1, Ordering::Relaxed);
            match token(shared) {
                Ok(token) => (
                    "200 OK",
                    format!(
                        r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{TOKEN_SECONDS}}}"#
                    ),
                ),
                Err(error) => (
                    "500 Internal Server Error",
                    format!(r#"{{"error":"{error}"}}"#),
                ),
            }
        }
        "/token" => (
            "401 Unauthorized",
            r#"{"error":"invalid_client"}"#.to_owned(),
        ),
        _ => ("404 Not Found", r#"{"error":"not_found"}"#.to_owned()),
    };
    let body = json.into_bytes();
    Response { status, body }
}

/// The public key: an uncompressed point, 0x04 and the two coordinates of 32 bytes each.
fn keys(key: &KeyPair) -> String {
    let point = key.der_bytes();
    let coordinate = |from: usize| {
        let bytes = point.get(from..from + 32).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(bytes)
    };
    format!(
        r#"{{"keys":[{{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"test","x":"{}","y":"{}"}}]}}"#,
        coordinate(1),
        coordinate(33)
    )
}

fn token(shared: &Shared) -> Result<String, rcgen::Error> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let header = r#"{"alg":"ES256","typ":"JWT","kid":"test"}"#;
    let claims = format!(
        r#"{{"iss":"{}","aud":"{}","sub":"{USER}","scope":"kafka","iat":{now},"exp":{}}}"#,
        shared.issuer.get().map_or("", String::as_str),
        IdentityProvider::AUDIENCE,
        now + TOKEN_SECONDS
    );
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = fixed_signature(&shared.key.sign(signed.as_bytes())?);
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The two numbers of a signature, 32 bytes each (RFC 7518, section 3.4), out of the DER sequence
/// of two integers that X.509 has them in.
fn fixed_signature(der: &[u8]) -> [u8; 64] {
    let mut fixed = [0; 64];
    // Tag and length of the sequence, which is shorter than 128 bytes.
    let mut rest = der.get(2..).unwrap_or_default();
    for half in fixed.chunks_exact_mut(32) {
        let length = rest.get(1).map_or(0, |length| usize::from(*length));
        let integer = rest.get(2..2 + length).unwrap_or_default();
        rest = rest.get(2 + length..).unwrap_or_default();
        // A leading zero keeps the integer positive; short ones lack theirs.
        let digits = &integer[integer.len().saturating_sub(32)..];
        half[32 - digits.len()..].copy_from_slice(digits);
    }
    fixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_two_numbers_of_thirty_two_bytes() {
        // SEQUENCE { INTEGER 0x00ff…(33 bytes), INTEGER 0x01 }
        let mut der = vec![0x30, 0x26, 0x02, 0x21, 0x00];
        der.extend([0xff; 32]);
        der.extend([0x02, 0x01, 0x01]);
        let fixed = fixed_signature(&der);
        assert_eq!(fixed[..32], [0xff; 32]);
        assert_eq!(fixed[32..63], [0; 31]);
        assert_eq!(fixed[63], 1);
    }
}
