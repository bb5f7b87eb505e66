//! Connections of the operations port: accepted, served over HTTP/1, closed where no request comes.

use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

/// How long a connection may be without a request whose head is there. Hyper counts from the moment
/// that it waits for one, so from the connection's start and from the end of each answer, and bytes
/// that come meanwhile give no more time: it is both the time for a head and the time that a
/// connection may be idle. Scrapers ask once a minute or more often, on one connection, which so
/// stays open between.
pub(crate) const HEAD_PATIENCE: Duration = Duration::from_secs(75);

/// Serves `routes` on `listener` until it is dropped; what is under way then is answered all the
/// same. A connection on which no whole head comes for `patience` is closed.
///
/// Errors of connections end only these; where no more can be accepted, such as for too many open
/// files, it is tried again every second.
pub(crate) async fn serve(patience: Duration, mut listener: TcpListener, routes: Router) {
    let mut http = Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience);
    loop {
        // Axum's, which passes over what one connection failed of and waits the rest out.
        let (stream, _peer) = Listener::accept(&mut listener).await;
        let service = TowerToHyperService::new(routes.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            // Clients break off, and heads are no HTTP: nothing to act on.
            if let Err(error) = connection.await {
                tracing::trace!(%error, "a connection of the operations port failed");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    /// Longest wait for something that has to come. The machine may be busy.
    const PATIENCE: Duration = Duration::from_secs(20);
    /// Of a head.
    const SHORT: Duration = Duration::from_millis(200);

    /// All that comes until the server closes.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut said = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await;
        read.expect("the server closes").expect("reads");
        String::from_utf8(said).expect("text")
    }

    #[tokio::test]
    async fn who_never_sends_a_head_is_given_up_and_others_are_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("an address");
        let routes = Router::new().route("/health/live", get(|| async { "live" }));
        let server = tokio::spawn(serve(SHORT, listener, routes));
        let begun = Instant::now();
        let send = move |text: &'static str| async move {
            let mut stream = TcpStream::connect(address).await.expect("connects");
            stream.write_all(text.as_bytes()).await.expect("writes");
            stream
        };
        let mut silent = send("").await;
        let mut half = send("GET /health/live HTTP/1.1\r\nHost: there\r\n").await;
        // Two requests on one connection, which is closed when no third comes.
        let mut asking = send(
            "GET /health/live HTTP/1.1\r\nHost: there\r\n\r\n\
             GET /health/live HTTP/1.1\r\nHost: there\r\n\r\n",
        )
        .await;
        let said = rest(&mut asking).await;
        assert_eq!(said.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{said}");
        assert_eq!(rest(&mut silent).await, "");
        assert_eq!(rest(&mut half).await, "");
        assert!(begun.elapsed() >= SHORT, "they are waited for");
        assert!(!server.is_finished());
        server.abort();
    }
}
