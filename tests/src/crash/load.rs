//! Clients that send hits at a constant pace, each request again and again until it is
//! acknowledged.

use std::collections::BTreeSet;
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
    clients: Vec<JoinHandle<Told>>,
}

/// What one client was told.
#[derive(Clone, Debug, Default)]
struct Told {
    /// Hits with ids that were acknowledged, from number 0.
    hits: u64,
    nameless: Nameless,
}

/// Contents of the hits without an id.
#[derive(Clone, Debug, Default)]
pub(super) struct Nameless {
    /// Of requests that were acknowledged.
    pub(super) acknowledged: BTreeSet<String>,
    /// Of requests that were not: there or not.
    pub(super) unanswered: BTreeSet<String>,
}

/// What was acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Acknowledged {
    seed: u64,
    /// Hits of each client, from number 0.
    by_client: Vec<u64>,
    /// Hits without an id.
    pub(super) nameless: Nameless,
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
        let (mut by_client, mut nameless) = (Vec::new(), Nameless::default());
        for client in self.clients {
            let mut told = (client.join()).map_err(|_| Failed("a client panicked".into()))?;
            by_client.push(told.hits);
            (nameless.acknowledged).append(&mut told.nameless.acknowledged);
            (nameless.unanswered).append(&mut told.nameless.unanswered);
        }
        if let Some(strange) = self.counts.strange.lock().expect("no panic").take() {
            return Err(Failed(strange));
        }
        Ok(Acknowledged {
            seed: self.seed,
            by_client,
            nameless,
            requests: self.counts.requests.load(Ordering::Relaxed),
        })
    }
}

fn send(client: Client, url: &str, key: &str, counts: &Counts) -> Told {
    let http = reqwest::blocking::Client::builder()
        .timeout(ANSWER_MAX)
        .build()
        .expect("a client");
    let mut told = Told::default();
    while !counts.stop.load(Ordering::Relaxed) {
        for attempt in 0_u64.. {
            let body = client.batch(told.hits, attempt);
            let nameless = client.nameless(told.hits, attempt);
            counts.requests.fetch_add(1, Ordering::Relaxed);
            let answer = http.post(url).bearer_auth(key).body(body).send();
            match answer.map(|answer| (answer.status().as_u16(), answer.text())) {
                Ok((200, _)) => {
                    told.nameless.acknowledged.insert(nameless);
                    break;
                }
                // Nothing of it was taken, or nobody knows: killed, or not there yet.
                Ok((503, _)) | Err(_) => {
                    told.nameless.unanswered.insert(nameless);
                    std::thread::sleep(AGAIN);
                }
                Ok((status, text)) => {
                    let text = format!("the collector answered {status}: {text:?}");
                    *counts.strange.lock().expect("no panic") = Some(text);
                    return told;
                }
            }
        }
        told.hits += BATCH;
        counts.acknowledged.fetch_add(BATCH, Ordering::Relaxed);
        std::thread::sleep(PACE);
    }
    told
}

impl Acknowledged {
    /// How many hits.
    pub(super) fn count(&self) -> u64 {
        self.by_client.iter().sum::<u64>() + self.nameless.acknowledged.len() as u64
    }

    /// Every one of those with an id.
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
