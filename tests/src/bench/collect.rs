//! Requests a second of the collector, beside a bare endpoint of the same HTTP library.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Bytes;
use axum::routing::post;
use grapevine_kafka_testing::{GuardedProcess, Port};
use serde_json::json;

use super::hits::Hits;
use super::http::{self, Connection};
use super::processes::used;
use super::world::{SERVER_KEY, World, wait_until};
use super::{Failed, Report};

const PATH: &str = "/v1/hits";
/// Requests that each connection sends in turn.
const REQUESTS: u64 = 256;

/// The same requests to both, in turn.
#[derive(Clone, Debug)]
pub struct Collect {
    /// Connections that are kept open, each with one request under way, 1 or more.
    pub connections: u64,
    /// Hits of one request, 1 to 10 000.
    pub hits: u64,
    /// Rounds, in each of which both are asked, 1 or more.
    pub rounds: u32,
    /// Seconds that each is asked in a round.
    pub seconds: f64,
    /// What hits are drawn from.
    pub seed: u64,
    /// Partitions of every topic, 1 or more.
    pub partitions: i32,
}

/// What one endpoint did in one round.
#[derive(Clone, Copy, Debug)]
struct Round {
    per_second: f64,
    /// CPU of the endpoint's process for a request, seconds.
    cpu: f64,
}

impl Collect {
    /// Runs it.
    ///
    /// # Errors
    /// What is missing on this machine, an endpoint that ends, an answer that is not 200.
    pub fn run(&self) -> Result<Report, Failed> {
        let world = World::start(self.partitions)?;
        let (bare_port, port) = (Port::take()?, Port::take()?);
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command
            .arg("bare")
            .arg(format!("127.0.0.1:{}", bare_port.number()));
        let bare = GuardedProcess::start(&mut command, &world.path("bare.log"))?;
        let listen = format!("127.0.0.1:{}", port.number());
        let mut collector = world.up("collect", &["--collector-listen", &listen])?;
        collector.ready()?;
        wait_until("the bare endpoint listens", || {
            Ok(Connection::open(bare_port.number()).is_ok())
        })?;

        let (bare_requests, requests) = (
            self.requests(bare_port.number()),
            self.requests(port.number()),
        );
        let (mut of_bare, mut of_collector) = (Vec::new(), Vec::new());
        // The first of each only warms up.
        for round in 0..=self.rounds {
            let asked = self.ask(bare_port.number(), &bare_requests, || used(bare.id()).cpu)?;
            let taken = self.ask(port.number(), &requests, || collector.used().cpu)?;
            if round > 0 {
                of_bare.push(asked);
                of_collector.push(taken);
            }
        }
        let spooled = collector
            .told()?
            .sum("grapevine_spool_filled_bytes_total", &[]);
        collector.stop()?;
        let mut report = Report::new(
            format!(
                "collect, seed {}: {} connections, {} hits a request of {} bytes, {} rounds of {} s each",
                self.seed,
                self.connections,
                self.hits,
                requests[0][0].len(),
                self.rounds,
                self.seconds
            ),
            &[
                "round",
                "bare axum, requests/s",
                "collector, requests/s",
                "ratio",
                "bare, CPU us",
                "collector, CPU us",
            ],
        );
        let ratio = |at: usize| of_collector[at].per_second / of_bare[at].per_second;
        let mut ratios: Vec<f64> = (0..of_bare.len()).map(ratio).collect();
        for (at, (bare, taken)) in of_bare.iter().zip(&of_collector).enumerate() {
            report.row([
                (at + 1).to_string(),
                format!("{:.0}", bare.per_second),
                format!("{:.0}", taken.per_second),
                format!("{:.3}", ratio(at)),
                format!("{:.1}", bare.cpu * 1e6),
                format!("{:.1}", taken.cpu * 1e6),
            ]);
        }
        ratios.sort_by(f64::total_cmp);
        report.say(format!(
            "collector to bare axum: {:.3} in the middle, {:.3} to {:.3}; {:.0} hits/s at best; {spooled:.0} bytes went through the spool",
            ratios[ratios.len() / 2],
            ratios[0],
            ratios[ratios.len() - 1],
            of_collector.iter().map(|round| round.per_second).fold(0.0, f64::max) * self.hits as f64
        ));
        Ok(report)
    }

    /// For each connection the requests that it sends in turn.
    fn requests(&self, port: u16) -> Vec<Vec<Vec<u8>>> {
        let of = |stream: u64| {
            let hits = Hits {
                seed: self.seed,
                stream,
            };
            let request = |number: u64| {
                let numbers = number * self.hits..(number + 1) * self.hits;
                // Without a time of its own a hit is of when it comes.
                let body: Vec<String> = numbers.map(|number| hits.json(number, None)).collect();
                http::post(port, PATH, SERVER_KEY, &body.join("\n"))
            };
            (0..REQUESTS).map(request).collect()
        };
        (0..self.connections).map(of).collect()
    }

    /// Asks over every connection until the time is over.
    fn ask(
        &self,
        port: u16,
        requests: &[Vec<Vec<u8>>],
        cpu: impl Fn() -> f64,
    ) -> Result<Round, Failed> {
        let stop = AtomicBool::new(false);
        let (cpu_before, began) = (cpu(), Instant::now());
        let answered = std::thread::scope(|scope| {
            let clients: Vec<_> = requests
                .iter()
                .map(|requests| scope.spawn(|| send(port, requests, &stop)))
                .collect();
            std::thread::sleep(Duration::from_secs_f64(self.seconds));
            stop.store(true, Ordering::Relaxed);
            let joined = clients.into_iter().map(|client| match client.join() {
                Ok(answered) => answered,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            joined.sum::<Result<u64, Failed>>()
        })?;
        // The last answers count, and so does the time until they came.
        let answered = answered.max(1) as f64;
        Ok(Round {
            per_second: answered / began.elapsed().as_secs_f64(),
            cpu: (cpu() - cpu_before) / answered,
        })
    }
}

/// Sends one request after the other; how many were answered.
fn send(port: u16, requests: &[Vec<u8>], stop: &AtomicBool) -> Result<u64, Failed> {
    let mut connection = Connection::open(port)?;
    let mut answered = 0;
    for request in requests.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match connection.exchange(request)? {
            200 => answered += 1,
            status => return Err(Failed(format!("a request was answered with {status}"))),
        }
    }
    Ok(answered)
}

/// Serves an endpoint that reads a body whole and answers as the collector does, with nothing in
/// between, until the process ends.
///
/// # Errors
/// An address that is taken.
pub fn serve_bare(address: &str) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        let routes = axum::Router::new().route(
            PATH,
            post(|body: Bytes| async move {
                Json(json!({ "accepted": usize::from(!body.is_empty()) }))
            }),
        );
        axum::serve(listener, routes).await
    })
}
