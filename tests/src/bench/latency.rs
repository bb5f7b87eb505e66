//! From an event to its row being there to query, at a constant rate through the collector.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use grapevine_kafka_testing::Port;

use super::hits::{Hits, TABLES};
use super::http::{self, Connection};
use super::world::{SERVER_KEY, World};
use super::{Failed, Report, rows};
use crate::clickhouse::Asked;

/// Clients, each on a connection of its own.
const CLIENTS: u64 = 10;
/// Between two requests of a client. Those of all clients are spread over it.
const EVERY: Duration = Duration::from_millis(100);
/// Between two looks at what is there.
const LOOK: Duration = Duration::from_millis(200);

/// A constant rate of hits. Each is of the moment that it was due to be sent: one that had to wait
/// for an answer before it has waited.
#[derive(Clone, Debug)]
pub struct Latency {
    /// Hits a second, [`Latency::RATE_MIN`] or more.
    pub rate: u64,
    /// Seconds that are measured.
    pub seconds: u64,
    /// Seconds of the same load before that are not measured.
    pub warm_up: u64,
    /// What hits are drawn from.
    pub seed: u64,
    /// Partitions of every topic, 1 or more.
    pub partitions: i32,
}

/// What was there to query: partition and last offset of every table, at a time in milliseconds.
type Look = (i64, BTreeMap<(usize, i32), u64>);

impl Latency {
    /// One hit a request.
    pub const RATE_MIN: u64 = CLIENTS * 10;

    /// Runs it.
    ///
    /// # Errors
    /// What is missing on this machine, a service that ends, rows that do not come or come twice.
    pub fn run(&self) -> Result<Report, Failed> {
        let world = World::with_clickhouse(self.partitions)?;
        let port = Port::take()?;
        let listen = format!("127.0.0.1:{}", port.number());
        let mut sink = world.up("sink", &[])?;
        let mut enrich = world.up("enrich", &[])?;
        let mut collector = world.up("collect", &["--collector-listen", &listen])?;
        for service in [&mut sink, &mut enrich, &mut collector] {
            service.ready()?;
        }
        let asked = world.asked();
        let batch = (self.rate / Latency::RATE_MIN).max(1);
        let requests = (self.warm_up + self.seconds) * 10;
        let stop = AtomicBool::new(false);
        let start = now_ms();
        let (looks, late) = std::thread::scope(|scope| {
            let looking = scope.spawn(|| look(&asked, &stop));
            let port = port.number();
            let clients: Vec<_> = (0..CLIENTS)
                .map(|stream| {
                    let hits = Hits {
                        seed: self.seed,
                        stream,
                    };
                    scope.spawn(move || send(hits, batch, requests, port))
                })
                .collect();
            let sent: Result<Vec<Duration>, Failed> = clients
                .into_iter()
                .map(|client| joined(client.join()))
                .collect();
            let sent = sent.and_then(|late| {
                let streams = (0..CLIENTS).map(|stream| Hits {
                    seed: self.seed,
                    stream,
                });
                let mut expected = [0; 3];
                for rows in streams.map(|hits| hits.rows(batch * requests)) {
                    for (expected, rows) in expected.iter_mut().zip(rows) {
                        *expected += rows;
                    }
                }
                rows::wait(
                    &asked,
                    expected,
                    &mut [&mut sink, &mut enrich, &mut collector],
                )?;
                Ok(late.into_iter().max().unwrap_or_default())
            });
            stop.store(true, Ordering::Relaxed);
            let looks = joined(looking.join());
            sent.and_then(|late| Ok((looks?, late)))
        })?;
        let from = start + i64::try_from(self.warm_up * 1_000).unwrap_or(i64::MAX);
        let took = took(&asked, &looks, from)?;
        for service in [collector, enrich, sink] {
            service.stop()?;
        }
        Ok(self.report(took, &looks, late, batch))
    }

    fn report(&self, took: [Vec<i64>; 3], looks: &[Look], late: Duration, batch: u64) -> Report {
        let mut report = Report::new(
            format!(
                "latency, seed {}: {} hits/s for {} s after {} s, {CLIENTS} clients, {batch} hits a request, {} partitions; every hit is one row, once",
                self.seed,
                batch * Latency::RATE_MIN,
                self.seconds,
                self.warm_up,
                self.partitions
            ),
            &[
                "rows of", "rows", "p50, ms", "p95, ms", "p99, ms", "most, ms",
            ],
        );
        let gaps = looks.windows(2).map(|two| two[1].0 - two[0].0);
        report.say(format!(
            "rows were looked for every {LOOK:?}, at most {} ms apart: by so much figures may be too high; \
             a client was {} ms late with a request at most, which counts",
            gaps.max().unwrap_or(0),
            late.as_millis()
        ));
        let mut all: Vec<i64> = took.iter().flatten().copied().collect();
        all.sort_unstable();
        for (name, times) in ["all"].iter().zip([&all]).chain(TABLES.iter().zip(&took)) {
            let at = |share: f64| percentile(times, share).to_string();
            report.row([
                (*name).to_owned(),
                times.len().to_string(),
                at(0.5),
                at(0.95),
                at(0.99),
                at(1.0),
            ]);
        }
        report
    }
}

fn joined<T>(ended: std::thread::Result<T>) -> T {
    match ended {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// Sends requests when they are due; how late the latest was.
fn send(hits: Hits, batch: u64, requests: u64, port: u16) -> Result<Duration, Failed> {
    let mut connection = Connection::open(port)?;
    let began = Instant::now() + EVERY * u32::try_from(hits.stream).unwrap_or(0) / 10;
    let began_ms = now_ms() + i64::try_from(hits.stream * 10).unwrap_or(0);
    let mut latest = Duration::ZERO;
    for request in 0..requests {
        let after = EVERY * u32::try_from(request).unwrap_or(u32::MAX);
        let due_ms = began_ms + i64::try_from(after.as_millis()).unwrap_or(0);
        let numbers = request * batch..(request + 1) * batch;
        let body: Vec<String> = numbers
            .map(|number| hits.json(number, Some(due_ms)))
            .collect();
        let body = http::post(port, "/v1/hits", SERVER_KEY, &body.join("\n"));
        let due = began + after;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        latest = latest.max(due.elapsed());
        match connection.exchange(&body)? {
            200 => {}
            status => return Err(Failed(format!("a request was answered with {status}"))),
        }
    }
    Ok(latest)
}

/// Looks again and again how far every partition of every table can be queried, until after `stop`.
fn look(asked: &Asked, stop: &AtomicBool) -> Result<Vec<Look>, Failed> {
    let parts: Vec<String> = (TABLES.iter().enumerate())
        .map(|(at, table)| {
            format!("SELECT {at} AS at, partition, max(offset) FROM grapevine.{table} GROUP BY partition")
        })
        .collect();
    let sql = parts.join(" UNION ALL ");
    let mut looks = Vec::new();
    loop {
        // The last look begins when everything is there.
        let last = stop.load(Ordering::Relaxed);
        let rows = asked.rows(&sql).map_err(Failed)?;
        let found = rows.iter().filter_map(|row| {
            let place = (row.first()?.parse().ok()?, row.get(1)?.parse().ok()?);
            Some((place, row.get(2)?.parse().ok()?))
        });
        looks.push((now_ms(), found.collect()));
        if last {
            return Ok(looks);
        }
        std::thread::sleep(LOOK);
    }
}

/// Milliseconds from each event since `from` to the first look that saw its row, by table, sorted.
fn took(asked: &Asked, looks: &[Look], from: i64) -> Result<[Vec<i64>; 3], Failed> {
    let mut took: [Vec<i64>; 3] = Default::default();
    for (at, table) in TABLES.iter().enumerate() {
        let sql = format!(
            "SELECT partition, offset, toUnixTimestamp64Milli(time) FROM grapevine.{table} \
             WHERE toUnixTimestamp64Milli(time) >= {from}"
        );
        for row in asked.rows(&sql).map_err(Failed)? {
            let fields: Vec<i64> = row.iter().filter_map(|field| field.parse().ok()).collect();
            let [partition, offset, time] = fields[..] else {
                return Err(Failed(format!("{row:?} is no row of {table}")));
            };
            let place = (at, i32::try_from(partition).unwrap_or(-1));
            let offset = u64::try_from(offset).unwrap_or(u64::MAX);
            let Some(seen) = first_seen(looks, place, offset) else {
                return Err(Failed(format!("offset {offset} of {table} was never seen")));
            };
            took[at].push(seen - time);
        }
        took[at].sort_unstable();
    }
    Ok(took)
}

/// When a row was there first: rows of a partition come in the order of their offsets.
fn first_seen(looks: &[Look], place: (usize, i32), offset: u64) -> Option<i64> {
    let before =
        looks.partition_point(|(_, ends)| ends.get(&place).is_none_or(|end| *end < offset));
    looks.get(before).map(|(time, _)| *time)
}

/// The least time that `share` of all were within; 0 of none.
fn percentile(sorted: &[i64], share: f64) -> i64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_was_seen_by_the_first_look_that_reached_it() {
        let look = |time, end| (time, [((0, 1), end)].into_iter().collect());
        let looks: [Look; 4] = [(5, BTreeMap::new()), look(10, 3), look(20, 3), look(30, 9)];
        assert_eq!(first_seen(&looks, (0, 1), 0), Some(10));
        assert_eq!(first_seen(&looks, (0, 1), 3), Some(10));
        assert_eq!(first_seen(&looks, (0, 1), 4), Some(30));
        assert_eq!(first_seen(&looks, (0, 1), 10), None);
        assert_eq!(first_seen(&looks, (1, 1), 0), None);
    }

    #[test]
    fn percentiles_are_times_that_were_taken() {
        let hundred: Vec<i64> = (1..=100).collect();
        assert_eq!(percentile(&hundred, 0.5), 50);
        assert_eq!(percentile(&hundred, 0.99), 99);
        assert_eq!(percentile(&hundred, 1.0), 100);
        assert_eq!(percentile(&[7], 0.5), 7);
        assert_eq!(percentile(&[], 0.5), 0);
    }
}
