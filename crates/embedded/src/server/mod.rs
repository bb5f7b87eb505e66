//! ClickHouse's HTTP interface over the embedded engine.
//!
//! Each request runs on a connection of its own on a blocking thread, its result flowing to the
//! client through a bounded channel; a session keeps its connection between requests. What is not
//! supported says so: paths other than `/`, `/ping` and `/replicas_status` (404), content
//! encodings other than gzip, deflate, zstd and lz4 (501), and statements the engine or this
//! server does not run (497, with the reason).

mod body;
mod connection;
mod form;
mod gate;
mod reply;
mod request;
mod run;
mod sessions;
mod status;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;

use crate::accounts::{Accounts, Role};
use crate::engine::Engine;
use crate::error::{QueryError, code};
use connection::{Connections, Flushed};
use futures::{Stream, StreamExt};
use gate::Gate;
use reply::{Head, Reply, ReplyOptions};
use request::QueryRequest;
use run::{Job, Verdicts};
use sessions::Sessions;

/// Bounds on what one server takes on. [`Limits::default`] has the documented values.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Queries run at once; 32.
    pub queries_max: usize,
    /// How long a query waits for a place before it is refused with code 202; 10 s.
    pub queue_time_max: Duration,
    /// Sessions kept at once; 64.
    pub sessions_max: usize,
    /// Bytes of an INSERT's body, decoded, up to which it is read before the insert begins and is,
    /// with no more rows than `max_insert_block_size` (1,048,449 unless set as a parameter), one
    /// block; 64 MiB. A longer body is inserted in several blocks as it comes, and an error leaves
    /// the blocks before it inserted.
    pub insert_block_bytes_max: usize,
    /// Bytes any body may expand to; 64 GiB.
    pub body_bytes_max: u64,
    /// Bytes of a statement without the data of an INSERT; 1 MiB (the engine's own limit,
    /// `max_query_size`, is 256 KiB unless raised).
    pub statement_bytes_max: usize,
    /// Bytes of `VALUES` in which expressions are understood, not literals only; 1 MiB.
    pub values_expressions_bytes_max: usize,
    /// How long a reader's query may run; 5 minutes.
    pub reader_query_time_max: Duration,
    /// How long running queries may take to end after the stop signal before they are cancelled;
    /// 10 s.
    pub drain_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            queries_max: 32,
            queue_time_max: Duration::from_secs(10),
            sessions_max: 64,
            insert_block_bytes_max: 64 << 20,
            body_bytes_max: 64 << 30,
            statement_bytes_max: 1 << 20,
            values_expressions_bytes_max: 1 << 20,
            reader_query_time_max: Duration::from_secs(300),
            drain_time_max: Duration::from_secs(10),
        }
    }
}

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Who may log in.
    pub accounts: Accounts,
    /// Names a `Host` header may hold besides addresses and `localhost`.
    pub allowed_hosts: Vec<String>,
    /// Origins (`https://bi.example`) whose pages may query the server.
    pub allowed_origins: Vec<String>,
    /// Bounds.
    pub limits: Limits,
}

/// What all requests share.
pub(crate) struct State {
    engine: Engine,
    accounts: Accounts,
    gate: Gate,
    limits: Limits,
    sessions: Sessions,
    verdicts: Verdicts,
    places: Semaphore,
    running: AtomicUsize,
    cores: usize,
    /// Becomes true when running queries are to be cancelled.
    stop: watch::Receiver<bool>,
    /// Held by every query; closes when the last is done.
    alive: mpsc::WeakSender<()>,
}

/// A guess at a password waits so long for its answer.
const WRONG_PASSWORD_DELAY: Duration = Duration::from_millis(250);
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Serves `engine` on `listener` until `shutdown` ends, then lets running queries finish for
/// [`Limits::drain_time_max`], cancels what is left, and returns once no connection to the engine
/// is open on the server's behalf.
///
/// # Errors
/// Those of the listener.
pub(crate) async fn serve(
    engine: Engine,
    options: ServerOptions,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stop_sender, stop) = watch::channel(false);
    let (alive, mut all_done) = mpsc::channel::<()>(1);
    let drain = options.limits.drain_time_max;
    let state = Arc::new(State {
        engine,
        accounts: options.accounts,
        gate: Gate {
            hosts: options.allowed_hosts,
            origins: options.allowed_origins,
        },
        places: Semaphore::new(options.limits.queries_max),
        limits: options.limits,
        sessions: Sessions::default(),
        verdicts: Verdicts::default(),
        running: AtomicUsize::new(0),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        stop,
        alive: alive.downgrade(),
    });
    let handler = Arc::clone(&state);
    let router =
        Router::new().fallback(move |request: Request| handle(Arc::clone(&handler), request));
    let sweeper = {
        let state = Arc::downgrade(&state);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(SWEEP_EVERY);
            loop {
                ticks.tick().await;
                let Some(state) = state.upgrade() else { return };
                // Closing a connection waits for the engine.
                let _ = tokio::task::spawn_blocking(move || state.sessions.sweep()).await;
            }
        })
    };
    let (stopping, mut stopped) = oneshot::channel();
    let canceller = tokio::spawn(async move {
        if (&mut stopped).await.is_ok() {
            tokio::time::sleep(drain).await;
            stop_sender.send_replace(true);
        }
        // Kept until the server is gone: a closed channel would look like a stop.
        std::future::pending::<()>().await;
    });
    let service = router.into_make_service_with_connect_info::<Flushed>();
    let outcome = axum::serve(Connections(listener), service)
        .with_graceful_shutdown(async move {
            shutdown.await;
            let _ = stopping.send(());
        })
        .await;
    drop(alive);
    let _ = all_done.recv().await;
    sweeper.abort();
    canceller.abort();
    let _ = tokio::task::spawn_blocking(move || state.sessions.clear()).await;
    outcome
}

async fn handle(state: Arc<State>, request: Request) -> Response {
    if let Err(reason) = state.gate.check(request.headers()) {
        return plain(StatusCode::FORBIDDEN, format!("{reason}\n"));
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = route(&state, request).await;
    if let Some(origin) = origin {
        // The gate let it pass, so it is allowed.
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        reply::set(headers, "vary", "Origin");
        reply::set(headers, "access-control-expose-headers", "*");
    }
    response
}

async fn route(state: &Arc<State>, request: Request) -> Response {
    let path = request.uri().path();
    let head = request.method() == Method::HEAD;
    let mut response = match (request.method(), path) {
        (&Method::OPTIONS, _) => options(),
        (&Method::GET | &Method::HEAD, "/ping" | "/replicas_status") => {
            plain(StatusCode::OK, "Ok.\n".to_owned())
        }
        (&Method::GET | &Method::HEAD, "/") if !has_query(&request) => {
            plain(StatusCode::OK, "Ok.\n".to_owned())
        }
        (&Method::GET | &Method::HEAD | &Method::POST | &Method::PUT, "/") => {
            query(state, request).await
        }
        (_, "/") => plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "GET, HEAD, POST, PUT and OPTIONS are supported\n".to_owned(),
        ),
        (_, path) => plain(
            StatusCode::NOT_FOUND,
            format!(
                "There is no {path} here. This is ClickHouse's engine embedded in Grapevine: / takes \
                 queries, /ping and /replicas_status answer; /play, /dashboard and the server's other \
                 pages are not supported\n"
            ),
        ),
    };
    if head {
        *response.body_mut() = Body::empty();
    }
    response
}

fn has_query(request: &Request) -> bool {
    request
        .uri()
        .query()
        .is_some_and(|q| q.split('&').any(|pair| pair.starts_with("query=")))
}

fn plain(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    reply::set(
        response.headers_mut(),
        "content-type",
        "text/plain; charset=UTF-8",
    );
    response
}

fn options() -> Response {
    let mut response = plain(StatusCode::NO_CONTENT, String::new());
    let headers = response.headers_mut();
    reply::set(headers, "allow", "GET, HEAD, POST, PUT, OPTIONS");
    reply::set(
        headers,
        "access-control-allow-methods",
        "GET, HEAD, POST, PUT, OPTIONS",
    );
    reply::set(
        headers,
        "access-control-allow-headers",
        "Authorization, Content-Type, Content-Encoding, X-ClickHouse-User, X-ClickHouse-Key, \
         X-ClickHouse-Database, X-ClickHouse-Format",
    );
    reply::set(headers, "access-control-max-age", "86400");
    response
}

fn respond(head: Head, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

/// Headers of every answer to a query.
fn query_headers(state: &State, query_id: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let facts = state.engine.facts();
    reply::set(
        &mut headers,
        "x-clickhouse-server-display-name",
        &facts.display_name,
    );
    reply::set(&mut headers, "x-clickhouse-timezone", &facts.timezone);
    reply::set(&mut headers, "x-clickhouse-query-id", query_id);
    headers
}

fn refuse(state: &State, query_id: &str, error: &QueryError) -> Response {
    let head = reply::error_head(error, query_headers(state, query_id));
    respond(
        head,
        Body::from(reply::error_text(error, state.engine.version())),
    )
}

async fn query(state: &Arc<State>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let flushed = parts.extensions.get::<ConnectInfo<Flushed>>().cloned();
    let request = match QueryRequest::read(&parts.method, &parts.uri, &parts.headers) {
        Ok(request) => request,
        Err(error) => return refuse(state, "", &error),
    };
    let role = match authenticate(state, &request).await {
        Ok(role) => role,
        Err(error) => return refuse(state, &request.query_id, &error),
    };
    let place = tokio::time::timeout(state.limits.queue_time_max, state.places.acquire()).await;
    // The semaphore is never closed, so what fails is the wait.
    let Ok(Ok(place)) = place else {
        let message = format!(
            "Too many simultaneous queries: the limit is {}",
            state.limits.queries_max
        );
        return refuse(
            state,
            &request.query_id,
            &QueryError::new(code::TOO_MANY_QUERIES, message),
        );
    };
    place.forget();
    let Some(alive) = state.alive.upgrade() else {
        let message = "Too many simultaneous queries: the server is stopping";
        return refuse(
            state,
            &request.query_id,
            &QueryError::new(code::TOO_MANY_QUERIES, message),
        );
    };
    let (head_sender, head) = oneshot::channel();
    let (chunk_sender, chunks) = mpsc::channel(reply::CHUNKS_WAITING);
    let options = ReplyOptions {
        encoding: request.reply_encoding,
        blocks: request.compress,
        wait_end: request.wait_end_of_query,
        buffer_size: request.buffer_size,
    };
    let headers = query_headers(state, &request.query_id);
    let reply = Reply::new(
        head_sender,
        chunk_sender.clone(),
        options,
        headers,
        state.engine.version(),
    );
    let (canceller_sender, canceller) = oneshot::channel();
    let (done_sender, done) = oneshot::channel::<()>();
    let body = body::read_body(body);
    let job_state = Arc::clone(state);
    tokio::task::spawn_blocking(move || {
        let running = job_state.running.fetch_add(1, Ordering::Relaxed) + 1;
        let job = Job {
            state: &job_state,
            request,
            role,
            on_start: Box::new(move |canceller| {
                let _ = canceller_sender.send(canceller);
            }),
            running,
        };
        job.run(body, reply);
        job_state.running.fetch_sub(1, Ordering::Relaxed);
        job_state.places.add_permits(1);
        drop(done_sender);
        drop(job_state);
        drop(alive);
    });
    tokio::spawn(watch_client(
        chunk_sender,
        state.stop.clone(),
        canceller,
        done,
    ));
    match head.await {
        Ok(head) => {
            let chunks = cut_when_flushed(chunks, flushed, state.stop.clone());
            respond(head, Body::from_stream(chunks))
        }
        Err(_) => {
            let error = QueryError::new(code::UNKNOWN_EXCEPTION, "the query's thread panicked");
            refuse(state, "", &error)
        }
    }
}

/// The chunks of an answer. One that breaks does so once the client has all of it before, or the server ends.
fn cut_when_flushed(
    chunks: mpsc::Receiver<io::Result<bytes::Bytes>>,
    connection: Option<ConnectInfo<Flushed>>,
    stop: watch::Receiver<bool>,
) -> impl Stream<Item = io::Result<bytes::Bytes>> {
    ReceiverStream::new(chunks).then(move |chunk| {
        let connection = connection.clone().filter(|_| chunk.is_err());
        let mut stop = stop.clone();
        async move {
            if let Some(ConnectInfo(flushed)) = connection {
                tokio::select! {
                    () = flushed.next() => {}
                    _ = stop.wait_for(|stop| *stop) => {}
                }
            }
            chunk
        }
    })
}

/// Cancels a query whose client has gone, or which outlives the server.
async fn watch_client(
    chunks: mpsc::Sender<io::Result<bytes::Bytes>>,
    mut stop: watch::Receiver<bool>,
    canceller: oneshot::Receiver<crate::engine::Canceller>,
    done: oneshot::Receiver<()>,
) {
    tokio::pin!(done);
    tokio::select! {
        _ = &mut done => return,
        () = chunks.closed() => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    drop(chunks);
    let Ok(canceller) = canceller.await else {
        return;
    };
    // The engine knows a query a moment after the call that starts it, so one call may come too
    // early.
    loop {
        let again = canceller.clone();
        let _ = tokio::task::spawn_blocking(move || again.cancel()).await;
        tokio::select! {
            _ = &mut done => return,
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
}

async fn authenticate(state: &State, request: &QueryRequest) -> Result<Role, QueryError> {
    if let Some(role) = state
        .accounts
        .authenticate(&request.user, &request.password)
    {
        return Ok(role);
    }
    tokio::time::sleep(WRONG_PASSWORD_DELAY).await;
    let user = &request.user;
    Err(if request.has_credentials {
        let message = format!(
            "{user}: Authentication failed: password is incorrect, or there is no user with such name"
        );
        QueryError::new(code::AUTHENTICATION_FAILED, message)
    } else {
        let message = format!("{user}: Authentication failed: a user and a password are required");
        QueryError::new(code::REQUIRED_PASSWORD, message)
    })
}
