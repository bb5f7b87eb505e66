//! Rows a second from the log into ClickHouse's engine over HTTP, with the guarantee on.
//!
//! One run and no statistics: what takes seconds needs none. `GRAPEVINE_SINK_BENCH_ROWS` says how
//! many rows (a million by default; a thousand under `--test`).

#[path = "../../embedded/tests/support/server.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod embedded;
#[path = "../tests/engine/server.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests use all of it")]
mod server;

use std::borrow::Cow;
use std::io::Write as _;
use std::time::Instant;

use grapevine_event::{Channel, Device, Evidence, Id, Method, Visit, VisitorBasis, topic};
use grapevine_log::{Commit, Durability, Log};
use grapevine_sink::{Depth, Options, audit, migrate};
use server::{Turn, block_on, drain};

/// 2024-03-01 00:00 UTC.
const START: i64 = 1_709_251_200_000;
/// Three visits a second: a million are four days.
const BETWEEN_MS: i64 = 333;

fn append(commit: &mut Commit, number: u64, content: &str) {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let dark = mixed.is_multiple_of(3);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&mixed.to_be_bytes());
    id[8..].copy_from_slice(&number.to_be_bytes());
    let visit = Visit {
        visit_id: Id(id),
        site: "example.org",
        time: START + i64::try_from(number).unwrap_or(0) * BETWEEN_MS,
        visitor: Some((mixed >> 40) as i64),
        visitor_basis: VisitorBasis::Address,
        returning: mixed.is_multiple_of(5),
        network: Some((mixed >> 44) as i64),
        content: Cow::Borrowed(content),
        title: None,
        referrer_host: (!dark).then_some(Cow::Borrowed("www.google.com")),
        campaign_source: None,
        campaign_medium: None,
        campaign_name: None,
        device: Device::Mobile,
        system: "Android",
        browser: "Chrome Mobile",
        language: Some(Cow::Borrowed("de-at")),
        conventional_channel: if dark {
            Channel::Direct
        } else {
            Channel::Search
        },
        channel: if dark {
            Channel::DarkSocial
        } else {
            Channel::Search
        },
        app: Cow::Borrowed(if dark { "whatsapp" } else { "google" }),
        method: if dark {
            Method::Prior
        } else {
            Method::Referrer
        },
        dark_probability: if dark { 0.81 } else { 0.01 },
        dark_probability_low: 0.005,
        dark_probability_high: 0.9,
        dark_search_probability: 0.02,
        evidence: vec![
            Evidence {
                name: "deep_path",
                detail: Cow::Borrowed("62-character path"),
                log_odds: 1.4,
                search_log_odds: Some(1.7),
            },
            Evidence {
                name: "mobile",
                detail: Cow::Borrowed("phone"),
                log_odds: 0.4,
                search_log_odds: Some(-0.3),
            },
        ],
        model_version: Cow::Borrowed("priors-1"),
        robot: None,
        incoming_token: None,
        share_token: None,
        cascade_id: Some(Id(id)),
        generation: Some(0),
    };
    commit
        .try_append_with(topic::VISITS, |out| visit.encode(out))
        .expect("fits its schema");
}

fn fill(log: &Log, rows: u64) {
    let contents: Vec<String> = (0..3_000)
        .map(|number| {
            format!("example.org/2024/03/story-{number}-about-something-worth-passing-on")
        })
        .collect();
    for start in (0..rows).step_by(50_000) {
        let mut commit = Commit::default();
        for number in start..rows.min(start + 50_000) {
            // Some contents are read more than others.
            let which = (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 52) % 3_000;
            append(
                &mut commit,
                number,
                &contents[(which * which / 3_000) as usize],
            );
        }
        log.commit(&commit, Durability::Replayable)
            .expect("commits");
    }
}

/// CPU seconds that this process has used, engine included: what a busy machine leaves comparable.
/// Linux tells, in hundredths of a second.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the name in brackets the 12th and 13th field are user and system time.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / 100.0)
}

fn main() {
    let asked = std::env::var("GRAPEVINE_SINK_BENCH_ROWS").ok();
    let test = std::env::args().any(|argument| argument == "--test");
    let rows = match asked.and_then(|rows| rows.parse().ok()) {
        Some(rows) => rows,
        None if test => 1_000,
        None => 1_000_000,
    };
    let turn = Turn::take();
    fill(&turn.log, rows);
    block_on(async {
        let client = turn.client();
        migrate(&client).await.expect("migrates");
        let cpu = cpu_seconds();
        let start = Instant::now();
        drain(&turn.log, &client, Options::default())
            .await
            .expect("drains");
        let seconds = start.elapsed().as_secs_f64();
        let cpu = cpu_seconds().zip(cpu).map(|(after, before)| after - before);
        let audit = audit(&turn.log, &client, Depth::Groups)
            .await
            .expect("audits");
        assert!(audit.is_clean(), "{:?}", audit.problems);
        let per_second = rows as f64 / seconds;
        let mut out = std::io::stdout().lock();
        let cpu = cpu.map_or_else(String::new, |cpu| {
            format!(
                ", {:.1} us of CPU a row with the engine's",
                cpu * 1e6 / rows as f64
            )
        });
        writeln!(
            out,
            "{rows} visits in {seconds:.2} s: {per_second:.0} rows/s{cpu}, every row once"
        )
        .expect("stdout");
    });
}
