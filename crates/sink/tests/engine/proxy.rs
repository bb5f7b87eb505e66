//! An HTTP proxy between sink and engine that fails by seed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// The connection is closed before the engine sees anything.
    DropBefore,
    /// The engine sees a part of the body, then the connection ends.
    CutBody,
    /// The engine does its work; the answer never arrives.
    DropAfter,
    /// The engine does its work; the client is told that it failed.
    LieAfter,
    /// An error of something in between; the engine sees nothing.
    Error,
    /// The client waits in vain; the engine gets the request after the client gave up.
    Late,
    /// A short delay, then as it should be.
    Slow,
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    faults: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy that fails about one request in `one_in`. `late` is longer than the client
    /// waits for an answer.
    pub(crate) async fn start(engine: SocketAddr, seed: u64, one_in: u32, late: Duration) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("address");
        let faults = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&faults);
        let task = tokio::spawn(async move {
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            while let Ok((client, _)) = listener.accept().await {
                let fault = if dice.random_ratio(1, one_in) {
                    let faults = [
                        Fault::DropBefore,
                        Fault::CutBody,
                        Fault::DropAfter,
                        Fault::LieAfter,
                        Fault::Error,
                        Fault::Late,
                        Fault::Slow,
                    ];
                    counter.fetch_add(1, Ordering::Relaxed);
                    faults[dice.random_range(0..faults.len())]
                } else {
                    Fault::None
                };
                tokio::spawn(serve(client, engine, fault, late));
            }
        });
        Proxy {
            address,
            faults,
            task,
        }
    }

    pub(crate) fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request on one connection: the head is rewritten to say so.
async fn serve(mut client: TcpStream, engine: SocketAddr, fault: Fault, late: Duration) {
    let Some(request) = read_request(&mut client).await else {
        return;
    };
    match fault {
        Fault::DropBefore => return,
        Fault::Error => {
            let _ = client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\nConnection: close\r\n\r\noops").await;
            return;
        }
        Fault::Late => tokio::time::sleep(late).await,
        Fault::Slow => tokio::time::sleep(Duration::from_millis(50)).await,
        _ => {}
    }
    let Ok(mut server) = TcpStream::connect(engine).await else {
        return;
    };
    if fault == Fault::CutBody {
        let _ = server
            .write_all(&request[..request.len() - request.len() / 3])
            .await;
        return;
    }
    if server.write_all(&request).await.is_err() {
        return;
    }
    let mut answer = Vec::new();
    let _ = server.read_to_end(&mut answer).await;
    match fault {
        Fault::DropAfter => {}
        Fault::LieAfter => {
            let _ = client.write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\nConnection: close\r\n\r\noops").await;
        }
        _ => {
            let _ = client.write_all(&answer).await;
        }
    }
}

/// Reads a whole request, its body in whatever framing, and asks for the connection to be closed
/// after it.
async fn read_request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if client.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).to_lowercase();
    if head.contains("transfer-encoding: chunked") {
        while !bytes[head_end - 2..].ends_with(b"\r\n0\r\n\r\n") {
            if client.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
    } else if let Some((_, rest)) = head.split_once("content-length: ") {
        let length: usize = rest.split("\r\n").next()?.trim().parse().ok()?;
        while bytes.len() < head_end + length {
            if client.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
    }
    let mut request = bytes[..head_end - 2].to_vec();
    request.extend_from_slice(b"Connection: close\r\n\r\n");
    request.extend_from_slice(&bytes[head_end..]);
    Some(request)
}
