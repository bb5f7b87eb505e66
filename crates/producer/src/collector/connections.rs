//! Connections: accepted, served over HTTP/1, closed where no request comes, ended in good order.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::serve::Listener;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How long a connection may be without a request whose head is there: hyper counts from the
/// moment that it waits for one, so from the connection's start and from the end of each answer,
/// and bytes that come meanwhile give no more time. It is both the time for a head and the time
/// that a connection may be idle. Load balancers keep idle connections for 60 seconds, and must be
/// the ones who close them: a request sent on a connection that is closed at that moment is lost.
const HEAD_PATIENCE: Duration = Duration::from_secs(75);
/// Once the server stops: how long the rest of a head that has begun may take to come. Who sends a
/// head has all of it under way within milliseconds.
const HEAD_PATIENCE_STOPPING: Duration = Duration::from_secs(1);

/// Serves `routes` on `listener` until `stop`, then closes it, finishes the requests that are under
/// way and returns. Who has sent no whole head by then is not waited for longer than a second. A
/// connection on which no request comes is closed after 75 seconds. Handlers find the peer's
/// address as [`ConnectInfo<SocketAddr>`].
///
/// Errors of connections end only these; where no more can be accepted, such as for too many open
/// files, it is tried again every second.
///
/// It speaks HTTP/1 only: what tells HTTP/2 apart by its first bytes waits for them without limit.
///
/// # Panics
/// Outside a tokio runtime with time and I/O.
pub async fn serve(listener: TcpListener, routes: Router, stop: impl Future<Output = ()>) {
    serve_within(HEAD_PATIENCE, listener, routes, stop).await;
}

async fn serve_within(
    patience: Duration,
    mut listener: TcpListener,
    routes: Router,
    stop: impl Future<Output = ()>,
) {
    let mut http = Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience);
    // Every connection has a receiver: when all are gone, so are the connections.
    let (stopping, told) = watch::channel(false);
    let mut stop = pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            // Axum's, which passes over what one connection failed of and waits the rest out.
            accepted = Listener::accept(&mut listener) => accepted,
            () = &mut stop => break,
        };
        let routes = routes.clone();
        tokio::spawn(connection(&http, stream, peer, routes, told.clone()));
    }
    drop(listener);
    drop(told);
    stopping.send_replace(true);
    stopping.closed().await;
}

/// Serves one connection to its end.
fn connection(
    http: &Builder,
    stream: TcpStream,
    peer: SocketAddr,
    routes: Router,
    mut told: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send + use<> {
    let under_way = Arc::new(AtomicBool::new(false));
    let is_under_way = Arc::clone(&under_way);
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        under_way.store(true, Ordering::Relaxed);
        let answer = routes.call(request);
        let under_way = Arc::clone(&under_way);
        async move {
            let answer = answer.await;
            under_way.store(false, Ordering::Relaxed);
            answer
        }
    });
    let connection = http.serve_connection(TokioIo::new(stream), service);
    async move {
        let mut connection = pin!(connection);
        tokio::select! {
            biased;
            ended = connection.as_mut() => return tell(ended),
            () = async {
                // A dropped sender means the same.
                let _ = told.wait_for(|stop| *stop).await;
            } => {}
        }
        // Closes what is idle at once, everything else after the answer.
        connection.as_mut().graceful_shutdown();
        loop {
            // First the connection: an answer that is there goes out before anybody asks.
            tokio::select! {
                biased;
                ended = connection.as_mut() => return tell(ended),
                () = tokio::time::sleep(HEAD_PATIENCE_STOPPING) => {}
            }
            if !is_under_way.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// Clients break off, and heads are no HTTP: nothing to act on.
fn tell(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection failed");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::{Notify, oneshot};
    use tokio::task::JoinHandle;

    use super::*;

    /// Longest wait for something that has to come. The machine may be busy.
    const PATIENCE: Duration = Duration::from_secs(20);
    /// Of a head, for the tests that wait for its end.
    const SHORT: Duration = Duration::from_millis(200);
    /// Never comes to its end within a test.
    const LONG: Duration = Duration::from_secs(3600);

    struct Served {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        server: JoinHandle<()>,
    }

    impl Served {
        async fn start(patience: Duration, routes: Router) -> Served {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (stop, stopped) = oneshot::channel::<()>();
            let stopped = async { drop(stopped.await) };
            let server = tokio::spawn(serve_within(patience, listener, routes, stopped));
            Served {
                address,
                stop,
                server,
            }
        }

        /// Connects and sends something.
        async fn send(&self, text: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream
        }
    }

    /// All that comes until the server closes.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut said = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await;
        read.expect("the server closes").unwrap();
        String::from_utf8(said).unwrap()
    }

    fn quick() -> Router {
        Router::new().route("/quick", get(|| async { "quick" }))
    }

    const QUICK: &str = "GET /quick HTTP/1.1\r\nHost: there\r\nConnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_head_that_does_not_come_to_its_end_ends_its_connection_and_others_are_served() {
        let served = Served::start(SHORT, quick()).await;
        let begun = Instant::now();
        let mut stalled = served.send("GET /quick HTTP/1.1\r\nHost: there\r\n").await;
        let mut dripping = served.send("GET /quick HTTP/1.1\r\nX-Long: ").await;
        for _ in 0..3 {
            let said = rest(&mut served.send(QUICK).await).await;
            assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
        }
        assert_eq!(rest(&mut stalled).await, "");
        assert!(begun.elapsed() >= SHORT, "it is waited for");
        let mut byte = [0; 1];
        loop {
            assert!(begun.elapsed() < PATIENCE, "a byte now and then is no head");
            let read = dripping.read(&mut byte);
            // Nothing was asked, so what can be read is the end.
            if tokio::time::timeout(SHORT / 10, read).await.is_ok() {
                break;
            }
            let _ = dripping.write_all(b"a").await;
        }
    }

    #[tokio::test]
    async fn a_connection_serves_many_requests_and_ends_when_none_comes() {
        let served = Served::start(SHORT, quick()).await;
        let two = "GET /quick HTTP/1.1\r\nHost: there\r\n\r\n".repeat(2);
        let said = rest(&mut served.send(&two).await).await;
        assert_eq!(said.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{said}");
    }

    #[tokio::test]
    async fn handlers_find_the_peer_and_may_take_longer_than_a_head() {
        let tell = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
            tokio::time::sleep(2 * SHORT).await;
            peer.to_string()
        };
        let served = Served::start(SHORT, Router::new().route("/quick", get(tell))).await;
        let mut stream = served.send(QUICK).await;
        let own = stream.local_addr().unwrap().to_string();
        let said = rest(&mut stream).await;
        assert!(said.ends_with(&own), "{own}: {said}");
    }

    #[tokio::test]
    async fn a_stop_finishes_what_is_asked_and_does_not_wait_for_who_asks_nothing() {
        let (begun, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = {
            let (begun, release) = (Arc::clone(&begun), Arc::clone(&release));
            move || async move {
                begun.notify_one();
                release.notified().await;
                "slow"
            }
        };
        let served = Served::start(LONG, quick().route("/slow", get(slow))).await;
        let mut silent = served.send("").await;
        let mut half = served.send("GET /quick HTTP/1.1\r\nHost: there\r\n").await;
        let mut late = served.send("GET /quick HTTP/1.1\r\nHost: there\r\n").await;
        let mut asking = served
            .send("GET /slow HTTP/1.1\r\nHost: there\r\n\r\n")
            .await;
        begun.notified().await;

        served.stop.send(()).unwrap();
        late.write_all(b"\r\n").await.unwrap();
        assert_eq!(rest(&mut silent).await, "");
        let said = rest(&mut late).await;
        assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
        assert_eq!(rest(&mut half).await, "");
        assert!(!served.server.is_finished(), "a request is under way");
        assert!(TcpStream::connect(served.address).await.is_err());
        release.notify_one();
        let said = rest(&mut asking).await;
        assert!(said.ends_with("slow"), "{said}");
        let ended = tokio::time::timeout(PATIENCE, served.server).await;
        ended.expect("ends").unwrap();
    }
}
