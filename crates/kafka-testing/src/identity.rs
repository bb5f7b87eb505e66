//! An identity provider: gives tokens to who knows the password, and the keys to check them by.
//!
//! It answers two requests, `POST /token` (client credentials of RFC 6749, section 4.4) and
//! `GET /keys` (a key set of RFC 7517), with tokens of RFC 7519 signed by ES256.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{KeyPair, PublicKeyData, SigningKey};

use crate::error::{TestingError, io};
use crate::security::{PASSWORD, USER};

/// Seconds that a token is good for.
const TOKEN_SECONDS: u64 = 600;

/// A running provider; it ends when dropped.
#[derive(Debug)]
pub struct IdentityProvider {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    key: KeyPair,
    issuer: String,
    stopped: AtomicBool,
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
        let listener =
            TcpListener::bind("127.0.0.1:0").map_err(io("cannot listen on", "127.0.0.1"))?;
        let port = listener
            .local_addr()
            .map_err(io("cannot listen on", "127.0.0.1"))?
            .port();
        let shared = Arc::new(Shared {
            key: KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?,
            issuer: format!("http://127.0.0.1:{port}"),
            stopped: AtomicBool::new(false),
            given: AtomicU64::new(0),
        });
        let served = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("identity".to_owned())
            .spawn(move || serve(&listener, &served))
            .map_err(io("cannot start", "a thread"))?;
        Ok(IdentityProvider { port, shared })
    }

    /// Where tokens are asked for.
    pub fn token_url(&self) -> String {
        format!("{}/token", self.shared.issuer)
    }

    /// Where the keys are.
    pub fn keys_url(&self) -> String {
        format!("{}/keys", self.shared.issuer)
    }

    /// What its tokens say of their origin.
    pub fn issuer(&self) -> String {
        self.shared.issuer.clone()
    }

    /// Tokens given out so far.
    pub fn tokens_given(&self) -> u64 {
        self.shared.given.load(Ordering::Relaxed)
    }
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(listener: &TcpListener, shared: &Shared) {
    for stream in listener.incoming() {
        if shared.stopped.load(Ordering::Relaxed) {
            return;
        }
        // A client that goes away in the middle asks again.
        let _ = stream.and_then(|stream| answer(stream, shared));
    }
}

fn answer(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "authorization" => authorization = value.trim().to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;

    let basic = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let (status, json) = match line.split(' ').nth(1) {
        Some("/keys") => ("200 OK", keys(&shared.key)),
        Some("/token") if authorization == basic => {
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
        Some("/token") => (
            "401 Unauthorized",
            r#"{"error":"invalid_client"}"#.to_owned(),
        ),
        _ => ("404 Not Found", r#"{"error":"not_found"}"#.to_owned()),
    };
    let mut stream = reader.into_inner();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{json}",
        json.len()
    )
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
        shared.issuer,
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
