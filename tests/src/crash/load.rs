//! Clients that send hits at a constant pace, each request again and again until it is
//! acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Failed;
use super::hits::{BATCH, Client, Sent};

/// Clients that send at the same time.
pub(super) const CLIENTS: u64 = 4;
/// Pause of a client between two requests.
const PACE: Duration = Duration::from_millis(250);
/// Pause before a request is sent again.
const AGAIN: Duration = Duration::from_millis(100);
/// Longest wait for an answer, as a tracker would.
const ANSWER_MAX: Duration = Duration::from_secs(20);

#[derive(Debug, Default)]
struct Counts {
    acknowledged: AtomicU64,
    requests: AtomicU64,
    stop: AtomicBool,
    /// An answer that is none of those a client expects.
    strange: std::sync::Mutex<Option<String>>,
}

/// Clients at work.
#[derive(Debug)]
pub(super) struct Load {
    seed: u64,
    counts: Arc<Counts>,
    clients: Vec<JoinHandle<u64>>,
}

/// What was acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Acknowledged {
    seed: u64,
    /// Hits of each client, from number 0.
    by_client: Vec<u64>,
    /// Requests made, those without an acknowledgement too.
    pub(super) requests: u64,
}

impl Load {
    pub(super) fn start(collector: &str, key: &str, seed: u64) -> Load {
        let counts = Arc::new(Counts::default());
        let clients = (0..CLIENTS)
            .map(|client| {
                let (url, key) = (format!("{collector}/v1/hits"), key.to_owned());
                let counts = Arc::clone(&counts);
                std::thread::spawn(move || send(Client { seed, client }, &url, &key, &counts))
            })
            .collect();
        Load {
            seed,
            counts,
            clients,
        }
    }

    /// Hits acknowledged so far.
    pub(super) fn acknowledged(&self) -> u64 {
        self.counts.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until `hits` more are acknowledged.
    pub(super) fn wait_for_more(&self, hits: u64, patience: Duration) -> Result<(), Failed> {
        let wanted = self.acknowledged() + hits;
        let deadline = Instant::now() + patience;
        while self.acknowledged() < wanted {
            let strange = self.counts.strange.lock().expect("no panic").clone();
            if let Some(strange) = strange {
                return Err(Failed(strange));
            }
            if Instant::now() > deadline {
                let text = format!("no {hits} hits were taken in {} s", patience.as_secs());
                return Err(Failed(text));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Every client ends once its request at hand is acknowledged.
    pub(super) fn end(self) -> Result<Acknowledged, Failed> {
        self.counts.stop.store(true, Ordering::Relaxed);
        let by_client = self
            .clients
            .into_iter()
            .map(|client| {
                client
                    .join()
                    .map_err(|_| Failed("a client panicked".into()))
            })
            .collect::<Result<_, _>>()?;
        if let Some(strange) = self.counts.strange.lock().expect("no panic").take() {
            return Err(Failed(strange));
        }
        Ok(Acknowledged {
            seed: self.seed,
            by_client,
            requests: self.counts.requests.load(Ordering::Relaxed),
        })
    }
}

fn send(client: Client, url: &str, key: &str, counts: &Counts) -> u64 {
    let http = reqwest::blocking::Client::builder()
        .timeout(ANSWER_MAX)
        .build()
        .expect("a client");
    let mut next = 0;
    while !counts.stop.load(Ordering::Relaxed) {
        let body = client.batch(next);
        loop {
            counts.requests.fetch_add(1, Ordering::Relaxed);
            let answer = http.post(url).bearer_auth(key).body(body.clone()).send();
            match answer.map(|answer| (answer.status().as_u16(), answer.text())) {
                Ok((200, _)) => break,
                // Nothing of it was taken, or nobody knows: killed, or not there yet.
                Ok((503, _)) | Err(_) => std::thread::sleep(AGAIN),
                Ok((status, text)) => {
                    let text = format!("the collector answered {status}: {text:?}");
                    *counts.strange.lock().expect("no panic") = Some(text);
                    return next;
                }
            }
        }
        next += BATCH;
        counts.acknowledged.fetch_add(BATCH, Ordering::Relaxed);
        std::thread::sleep(PACE);
    }
    next
}

impl Acknowledged {
    /// How many hits.
    pub(super) fn count(&self) -> u64 {
        self.by_client.iter().sum()
    }

    /// Every one of them.
    pub(super) fn hits(&self) -> impl Iterator<Item = Sent> {
        let clients = (0..CLIENTS).zip(&self.by_client);
        clients.flat_map(|(client, hits)| {
            let client = Client {
                seed: self.seed,
                client,
            };
            (0..*hits).map(move |number| client.hit(number))
        })
    }
}
