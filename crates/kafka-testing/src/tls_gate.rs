//! TLS before something that speaks none.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use crate::error::{TestingError, io};

/// Ends TLS on a port of this machine and passes on what it hears, until it is dropped.
#[derive(Debug)]
pub struct TlsGate {
    port: u16,
    authority: String,
    away: Arc<AtomicBool>,
    runtime: Option<Runtime>,
}

impl TlsGate {
    /// A gate before `to`, with a certificate of its own for `localhost`.
    ///
    /// # Errors
    /// No port, no thread, no certificate.
    pub fn start(to: SocketAddr) -> Result<TlsGate, TestingError> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        let refused = |reason: String| TestingError::Refused {
            part: "TLS".to_owned(),
            what: "a gate".to_owned(),
            reason,
        };
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der());
        let key = key.map_err(|reason| refused(reason.to_owned()))?;
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map(|versions| versions.with_no_client_auth())
            .and_then(|server| server.with_single_cert(vec![made.cert.der().clone()], key))
            .map_err(|error| refused(error.to_string()))?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(io("cannot start", "a thread"))?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0")
            .map_err(io("cannot listen on", "127.0.0.1"))?;
        let port = (listener.local_addr())
            .map_err(io("cannot listen on", "127.0.0.1"))?
            .port();
        listener
            .set_nonblocking(true)
            .map_err(io("cannot listen on", "127.0.0.1"))?;
        let away = Arc::new(AtomicBool::new(false));
        let is_away = Arc::clone(&away);
        runtime.spawn(async move {
            let Ok(listener) = TcpListener::from_std(listener) else {
                return;
            };
            while let Ok((client, _)) = listener.accept().await {
                if !is_away.load(Ordering::Relaxed) {
                    tokio::spawn(pass(acceptor.clone(), client, to));
                }
            }
        });
        Ok(TlsGate {
            port,
            authority: made.cert.pem(),
            away,
            runtime: Some(runtime),
        })
    }

    /// The port of `localhost` that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What vouches for it, in PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Takes nobody while it is away. Who was let in stays.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }
}

impl Drop for TlsGate {
    fn drop(&mut self) {
        // It may be dropped where nobody may block.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A client that goes away in the middle is nobody's business.
async fn pass(acceptor: TlsAcceptor, client: TcpStream, to: SocketAddr) {
    let Ok(mut client) = acceptor.accept(client).await else {
        return;
    };
    let Ok(mut server) = TcpStream::connect(to).await else {
        return;
    };
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}
