//! What stands in for a ClickHouse and for a log in tests of this crate's insides.

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clickhouse::Client;
use grapevine_event::{DeadLetter, Id};
use grapevine_log::{
    Batch, Commit, Durability, LocalPartition, Log, LogError, Partition, Position,
};

use crate::CONSUMER;
use crate::copies::Copies;
use crate::insert::Inserter;
use crate::settings::Settings;

/// Answers everything with nothing: a replica that takes inserts and never sees their rows. There is
/// no Keeper here, so no real one.
pub(crate) struct Laggard {
    address: SocketAddr,
    told: Arc<Mutex<Vec<String>>>,
}

impl Laggard {
    pub(crate) fn start() -> Laggard {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("address");
        let told = Arc::new(Mutex::new(Vec::new()));
        let serving = Arc::clone(&told);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = stream.and_then(|stream| serve(stream, &serving));
            }
        });
        Laggard { address, told }
    }

    /// One that writes to it.
    pub(crate) fn inserter(&self) -> Inserter {
        Inserter {
            client: Client::default()
                .with_url(format!("http://{}", self.address))
                .with_validation(false),
            settings: Settings::none(),
            copies: Copies::of_engine("ReplicatedMergeTree"),
            answer_max: Duration::from_secs(10),
            pause_max: Duration::from_millis(10),
        }
    }

    /// The requests so far, each as its first line and its body.
    pub(crate) fn told(&self) -> Vec<String> {
        self.told.lock().expect("lock").clone()
    }

    /// The requests so far, each as what it is for.
    pub(crate) fn order(&self) -> Vec<&'static str> {
        let told = self.told();
        let order = told.iter().map(|statement| match statement {
            said if said.contains("SYSTEM SYNC REPLICA grapevine.") => "catch up",
            said if said.contains("INSERT") => "insert",
            said if said.contains("SELECT") => "ask",
            _ => "something else",
        });
        order.collect()
    }
}

fn serve(stream: TcpStream, told: &Mutex<Vec<String>>) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut request, mut length, mut chunked) = (String::new(), 0, false);
    reader.read_line(&mut request)?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.to_ascii_lowercase();
        let Some((name, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        match name {
            "content-length" => length = value.parse().unwrap_or(0),
            "transfer-encoding" => chunked = value == "chunked",
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    while chunked {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk)?;
        chunked = size > 0;
    }
    let statement = format!("{request}{}", String::from_utf8_lossy(&body));
    told.lock().expect("lock").push(statement);
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    reader.into_inner().write_all(answer)
}

/// The value of a series as `GET /metrics` has it; `None` where there is none.
pub(crate) fn told(series: &str) -> Option<f64> {
    let text = grapevine_metrics::render();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map(|value| value.parse().expect("a number"))
}

type Answer<T> = std::result::Result<T, LogError>;

/// A dead letter as a record.
pub(crate) fn letter() -> Vec<u8> {
    letter_of(1_709_251_200_000)
}

/// The same of an event time, milliseconds since 1970 UTC.
pub(crate) fn letter_of(time: i64) -> Vec<u8> {
    let letter = DeadLetter {
        letter_id: Id::default(),
        time,
        site: "example.org",
        stage: "import",
        reason: "too_long",
        detail: "".into(),
        source: "access.log",
        partition: None,
        position: 17,
        payload: b"line",
        payload_length: 4,
    };
    let mut record = Vec::new();
    letter.encode(&mut record).expect("fits its schema");
    record
}

/// A partition of a log on disk that takes its time, gives one record at a time, and gives
/// transactions up as Kafka does.
pub(crate) struct Reluctant {
    pub(crate) partition: LocalPartition<Arc<Log>>,
    /// How long it takes to read, and to say where it ends.
    pub(crate) late: Duration,
    /// So many commits are given up before one is made.
    pub(crate) aborts: AtomicU32,
}

impl Reluctant {
    /// So many dead letters in a topic of a log of its own.
    pub(crate) fn of(directory: &Path, topic: &'static str, records: u32) -> Reluctant {
        let log = Log::open(&directory.join("log.redb")).expect("log");
        for _ in 0..records {
            let mut commit = Commit::default();
            commit.append(topic, &letter());
            log.commit(&commit, Durability::Durable).expect("commits");
        }
        Reluctant {
            partition: LocalPartition::new(Arc::new(log), CONSUMER, topic),
            late: Duration::ZERO,
            aborts: AtomicU32::new(0),
        }
    }
}

impl Partition for Reluctant {
    fn topic(&self) -> &str {
        self.partition.topic()
    }

    fn partition(&self) -> i32 {
        self.partition.partition()
    }

    fn position(&self) -> Answer<Position> {
        self.partition.position()
    }

    fn confirm(&self) -> Answer<()> {
        self.partition.confirm()
    }

    fn end(&self) -> Answer<u64> {
        std::thread::sleep(self.late);
        self.partition.end()
    }

    fn read(&self, offset: u64, _: usize) -> Answer<Batch> {
        std::thread::sleep(self.late);
        self.partition.read(offset, 1)
    }

    fn read_waiting(&self, offset: u64, _: usize, patience: Duration) -> Answer<Batch> {
        std::thread::sleep(self.late);
        self.partition.read_waiting(offset, 1, patience)
    }

    fn commit(
        &self,
        commit: &mut Commit,
        from: u64,
        to: Position,
        durability: Durability,
    ) -> Answer<()> {
        let left = self.aborts.load(Ordering::Relaxed);
        if left > 0 {
            self.aborts.store(left - 1, Ordering::Relaxed);
            return Err(LogError::Aborted("in a test".to_owned()));
        }
        self.partition.commit(commit, from, to, durability)
    }

    fn wanted_back(&self) -> bool {
        self.partition.wanted_back()
    }
}
