//! What stands in for a ClickHouse in tests of this crate's insides.

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clickhouse::Client;

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
