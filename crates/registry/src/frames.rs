//! From single-object encoding to a registry's framing and back, with what the registry said.
//!
//! Whoever reads never waits for the registry longer than it wants to: ids are asked for by a
//! thread of their own, one after the other, again until they are answered. It ends when nothing
//! is left to ask.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use grapevine_event::Record;
use grapevine_event::frame::{self, Fingerprint, HEAD_BYTES};

use crate::client::{Client, RegistryError};
use crate::subjects;

/// Pause after the first question that was not answered; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Ids that are remembered. A registry of any company has fewer; what would be more is garbage.
const MET_MAX: usize = 65_536;
/// Ids that wait for an answer. Every partition waits for one at most; what would be more asks
/// again later.
const WANTED_MAX: usize = 4_096;

/// Turns records into framed messages and back. For many threads.
#[derive(Debug)]
pub struct Frames {
    client: Client,
    /// Ids of our own schemas, once the registry has said them.
    own: OnceLock<Vec<Own>>,
    /// Fingerprints of ids met so far; `None` where the registry knows no such id, or
    /// its schema is none of ours.
    met: RwLock<BTreeMap<u32, Option<Fingerprint>>>,
    asking: Mutex<Asking>,
    /// An id was answered.
    answered: Condvar,
}

/// The id of a kind of record on a topic: a registry may have the same schema under several.
#[derive(Debug)]
struct Own {
    fingerprint: Fingerprint,
    topic: &'static str,
    id: u32,
}

/// What is asked, and how it goes.
#[derive(Debug, Default)]
struct Asking {
    /// Ids that are not answered yet.
    wanted: VecDeque<u32>,
    /// A thread asks for them.
    is_running: bool,
    /// Why the last question was not answered.
    trouble: Option<String>,
}

/// A message as it is decoded: a head and what follows it, together the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened<'a> {
    /// It is not framed, or its id has no schema of ours: as it came.
    AsIs(&'a [u8]),
    /// A record in single-object encoding: its head, and its datum.
    Record([u8; HEAD_BYTES], &'a [u8]),
    /// Its id was not met yet: [`learn`](Frames::learn) it, then open the message again.
    Unmet(u32),
}

impl Frames {
    /// Knows nothing yet and asks nothing: [`register`](Self::register) before records are framed.
    pub fn new(client: Client) -> Frames {
        Frames {
            client,
            own: OnceLock::new(),
            met: RwLock::default(),
            asking: Mutex::default(),
            answered: Condvar::new(),
        }
    }

    /// Address of the registry.
    pub fn url(&self) -> &str {
        self.client.url()
    }

    /// Why the registry could not be used when it was last asked; `None` where it answered.
    pub fn trouble(&self) -> Option<String> {
        self.asking().trouble.clone()
    }

    /// Finds the ids of every schema of ours, registering those that are not there. Blocks.
    ///
    /// # Errors
    /// Those of the registry; where [`is_away`](RegistryError::is_away), try again.
    pub fn register(&self) -> Result<(), RegistryError> {
        if self.own.get().is_some() {
            return Ok(());
        }
        let found = self.find_own();
        self.note(found.as_ref().err());
        let own = found?;
        {
            let mut met = self.met.write().unwrap_or_else(PoisonError::into_inner);
            met.extend(own.iter().map(|own| (own.id, Some(own.fingerprint))));
        }
        // Another thread may have been first, with the same ids.
        let _ = self.own.set(own);
        Ok(())
    }

    fn find_own(&self) -> Result<Vec<Own>, RegistryError> {
        let find = |subject: subjects::Subject| {
            let id = self.client.id_of(&subject.name, subject.kind.text().json)?;
            Ok(Own {
                fingerprint: subject.kind.fingerprint(),
                topic: subject.topic,
                id,
            })
        };
        subjects::all().map(find).collect()
    }

    /// A record as it goes on a topic. `room` is what it may be written into. What is no record of
    /// ours, or none that belongs on this topic, goes as it is.
    ///
    /// # Errors
    /// [`RegistryError::Away`] before [`register`](Self::register) was done.
    pub fn frame<'a>(
        &self,
        topic: &str,
        record: &'a [u8],
        room: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], RegistryError> {
        let Some(own) = self.own.get() else {
            return Err(RegistryError::Away {
                url: self.url().to_owned(),
                reason: self
                    .trouble()
                    .unwrap_or_else(|| "schemas are not registered yet".to_owned()),
            });
        };
        let Some((fingerprint, datum)) = frame::of_single_object(record) else {
            return Ok(record);
        };
        let is_it = |own: &&Own| own.fingerprint == fingerprint && own.topic == topic;
        let Some(own) = own.iter().find(is_it) else {
            return Ok(record);
        };
        room.clear();
        room.extend_from_slice(&frame::framed_head(own.id));
        room.extend_from_slice(datum);
        Ok(room)
    }

    /// A message as it is decoded, by what is known: nothing is asked, nothing allocated.
    pub fn open<'a>(&self, message: &'a [u8]) -> Opened<'a> {
        let Some((id, datum)) = frame::of_framed(message) else {
            return Opened::AsIs(message);
        };
        let met = self.met.read().unwrap_or_else(PoisonError::into_inner);
        match met.get(&id) {
            None => Opened::Unmet(id),
            Some(None) => Opened::AsIs(message),
            Some(Some(fingerprint)) => {
                Opened::Record(frame::single_object_head(*fingerprint), datum)
            }
        }
    }

    /// Has an id asked for, and waits up to `patience` for the answer; true once it is there. It is
    /// remembered for as long as this process lives, also that there is no such id. Without an
    /// answer [`trouble`](Self::trouble) says why, and the question stands.
    pub fn learn(self: &Arc<Self>, id: u32, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut asking = self.asking();
        while !self.is_met(id) {
            if !asking.wanted.contains(&id) && asking.wanted.len() < WANTED_MAX {
                asking.wanted.push_back(id);
            }
            self.see_to_thread(&mut asking);
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.answered.wait_timeout(asking, left);
            asking = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn is_met(&self, id: u32) -> bool {
        let met = self.met.read().unwrap_or_else(PoisonError::into_inner);
        met.contains_key(&id)
    }

    fn see_to_thread(self: &Arc<Self>, asking: &mut Asking) {
        if asking.is_running {
            return;
        }
        let frames = Arc::downgrade(self);
        let spawned = std::thread::Builder::new()
            .name("schema registry".to_owned())
            .spawn(move || ask(&frames));
        match spawned {
            Ok(_) => asking.is_running = true,
            Err(error) => asking.trouble = Some(format!("no thread to ask it: {error}")),
        }
    }

    /// The id to ask for next; `None` ends the thread.
    fn next_wanted(&self) -> Option<u32> {
        let mut asking = self.asking();
        let next = asking.wanted.front().copied();
        asking.is_running = next.is_some();
        next
    }

    /// Asks for an id once. Blocks for at most 10 s.
    fn ask_for(&self, id: u32) -> Result<(), RegistryError> {
        let asked = self.client.schema(id);
        self.note(asked.as_ref().err());
        match asked {
            Ok(schema) => {
                self.meet(id, schema.as_deref());
                self.asking().wanted.retain(|wanted| *wanted != id);
                self.answered.notify_all();
                Ok(())
            }
            Err(error) => {
                // Its trouble may be its own: the others have their turn.
                let mut asking = self.asking();
                asking.wanted.retain(|wanted| *wanted != id);
                asking.wanted.push_back(id);
                Err(error)
            }
        }
    }

    /// Remembers what the registry says of an id.
    fn meet(&self, id: u32, schema: Option<&str>) {
        let fingerprint = schema.and_then(subjects::fingerprint);
        // Of this version, or of an earlier release.
        let fingerprint = fingerprint.filter(|fingerprint| {
            Record::kind_of(&frame::single_object_head(*fingerprint)).is_ok()
        });
        if fingerprint.is_none() {
            let (is_there, registry) = (schema.is_some(), self.url());
            tracing::warn!(
                id,
                is_there,
                registry,
                "no schema of this version has this id"
            );
        }
        let mut met = self.met.write().unwrap_or_else(PoisonError::into_inner);
        if met.len() >= MET_MAX {
            met.clear();
            let own = self.own.get().into_iter().flatten();
            met.extend(own.map(|own| (own.id, Some(own.fingerprint))));
        }
        met.insert(id, fingerprint);
    }

    fn note(&self, error: Option<&RegistryError>) {
        let mut asking = self.asking();
        if let (Some(error), None) = (error, &asking.trouble) {
            tracing::warn!(%error, "the schema registry is not to be used now");
        }
        asking.trouble = error.map(ToString::to_string);
    }

    fn asking(&self) -> MutexGuard<'_, Asking> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks for what is wanted until nothing is, or nobody is left who could want it.
fn ask(frames: &Weak<Frames>) {
    let mut pause = PAUSE_MIN;
    while let Some(frames) = frames.upgrade()
        && let Some(id) = frames.next_wanted()
    {
        let asked = frames.ask_for(id);
        // Not held while it sleeps.
        drop(frames);
        match asked {
            Ok(()) => pause = PAUSE_MIN,
            Err(_) => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}
