//! Saved states outside the log: in a directory, or in an S3-compatible store.
//!
//! An object is named `STAGE/PARTITION/OFFSET.state`, numbers padded so that names sort; [`packing`]
//! has its bytes.
//!
//! States are functions of the input below their offset, so two replicas that write the same
//! object write the same state: a replica that lost its partition harms nothing.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::TryStreamExt as _;
use grapevine_inference::StateError;
use grapevine_log::Commit;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig};
use tokio::runtime::Runtime;

use crate::snapshot::{SavedStateError, SavedStates};

pub mod packing;

use packing::{pack, unpack};

const ENDING: &str = ".state";
/// States of one stage and partition that are kept: the newest, and one before it.
const KEPT: usize = 2;
/// What a probe writes.
const PROBE: &[u8] = b"written by a probe of grapevine, which removes it";

/// Tries within one call: none begins after 10 s, and each may last the client's 30 s. A partition
/// that saves stands still meanwhile, and a state that was not saved costs a longer replay only; one
/// that loads says what it waits for, and calls again. The bytes of a state may take longer to
/// come: they are read with the client's own patience of 3 minutes, within which it goes on where
/// a connection broke.
const TRIES: RetryConfig = RetryConfig {
    backoff: BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(2),
        base: 2.0,
    },
    max_retries: 4,
    retry_timeout: Duration::from_secs(10),
};

/// How often a call that somebody waits for looks whether they still do.
const LOOK: Duration = Duration::from_millis(100);

type Objects = Arc<dyn ObjectStore>;

/// A store of saved states, for every stage and partition. Clones are one store.
#[derive(Clone)]
pub struct StateStore {
    place: String,
    objects: Objects,
    /// The same for who reads a state, which may be large.
    patient: Objects,
    runtime: Arc<Runtime>,
}

impl StateStore {
    /// The store at a place: a directory, which is made, or `s3://BUCKET/PREFIX`. Endpoint,
    /// region and keys of S3 come from the `AWS_…` environment variables that its own tools read.
    ///
    /// # Errors
    /// A place that is neither, or that is not to be had.
    pub fn open(place: &str) -> Result<StateStore, SavedStateError> {
        StateStore::without_credentials(place)?;
        let failed = |source| SavedStateError::Store {
            place: place.to_owned(),
            source,
        };
        let generic = |source| failed(other(source));
        let (objects, patient): (Objects, Objects) = match place.strip_prefix("s3://") {
            Some(rest) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let bucket = AmazonS3Builder::from_env().with_bucket_name(bucket);
                clients(bucket, prefix).map_err(failed)?
            }
            None if place.contains("://") => {
                return Err(generic(
                    "neither a directory nor s3://BUCKET/PREFIX"
                        .to_owned()
                        .into(),
                ));
            }
            None => {
                std::fs::create_dir_all(place).map_err(|error| generic(error.into()))?;
                let directory = LocalFileSystem::new_with_prefix(place).map_err(failed)?;
                let directory: Objects = Arc::new(directory.with_fsync(true));
                (Arc::clone(&directory), directory)
            }
        };
        StateStore::with(place, objects, patient)
    }

    fn with(
        place: &str,
        objects: Objects,
        patient: Objects,
    ) -> Result<StateStore, SavedStateError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("states")
            .enable_all()
            .build()
            .map_err(|error| SavedStateError::Store {
                place: place.to_owned(),
                source: other(error.into()),
            })?;
        Ok(StateStore {
            place: place.to_owned(),
            objects,
            patient,
            runtime: Arc::new(runtime),
        })
    }

    /// The bucket `states` of a server that speaks S3 and looks at no account.
    #[cfg(test)]
    pub(crate) fn of_server(url: &str) -> StateStore {
        let bucket = AmazonS3Builder::new()
            .with_endpoint(url)
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_access_key_id("tester")
            .with_secret_access_key("of states")
            .with_bucket_name("states");
        let (objects, patient) = clients(bucket, "").expect("clients");
        StateStore::with("s3://states", objects, patient).expect("opens")
    }

    /// Refuses a place with a user or a password in it: places are shown, in logs and errors.
    ///
    /// # Errors
    /// There is one; the place is not shown.
    pub fn without_credentials(place: &str) -> Result<(), SavedStateError> {
        let host = place.split_once("://").map(|(_, rest)| rest);
        let host = host.and_then(|rest| rest.split('/').next());
        if !host.is_some_and(|host| host.contains('@')) {
            return Ok(());
        }
        let why = "a place holds no account: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
        Err(SavedStateError::Store {
            place: "(not shown)".to_owned(),
            source: other(why.into()),
        })
    }

    /// Writes, lists, reads and removes a small object, which is all that stages do with states, and
    /// leaves nothing behind. Blocks, for a while where nobody answers.
    ///
    /// # Errors
    /// The first of these that the store does not do.
    pub fn probe(&self) -> Result<(), SavedStateError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_nanos();
        // In no stage's folder, by a name that no other probe has.
        let path = Path::from(format!("probe-{}-{now}", std::process::id()));
        let folder = Path::from(crate::CLASSIFY);
        let tried = async {
            let objects = &self.objects;
            objects.put(&path, PutPayload::from_static(PROBE)).await?;
            let read = async {
                objects.list(Some(&folder)).try_next().await?;
                objects.get(&path).await?.bytes().await
            };
            let read = read.await;
            // Whatever came of reading it.
            let removed = objects.delete(&path).await;
            let read = read?;
            removed?;
            match &read[..] == PROBE {
                true => Ok(()),
                false => Err(other("what was written is not what is read".into())),
            }
        };
        let tried = self.runtime.block_on(tried);
        tried.map_err(|source| SavedStateError::Store {
            place: self.place.clone(),
            source,
        })
    }

    /// What comes of a call; an error once it is `unwanted`.
    fn wanted<T>(
        &self,
        call: impl Future<Output = object_store::Result<T>>,
        unwanted: &dyn Fn() -> bool,
    ) -> object_store::Result<T> {
        self.runtime.block_on(async {
            let mut call = std::pin::pin!(call);
            loop {
                match tokio::time::timeout(LOOK, call.as_mut()).await {
                    Ok(outcome) => return outcome,
                    Err(_) if unwanted() => return Err(other("nobody waits for it".into())),
                    Err(_) => {}
                }
            }
        })
    }

    /// The states of one stage and partition.
    pub fn of(&self, stage: &'static str, partition: i32) -> StoredStates {
        StoredStates {
            store: self.clone(),
            folder: format!("{stage}/{partition:05}"),
        }
    }
}

/// The clients of a bucket: for everything but the bytes of states, and for those.
fn clients(bucket: AmazonS3Builder, prefix: &str) -> object_store::Result<(Objects, Objects)> {
    // An error says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One state at a time is removed, and not every store that calls itself S3 has a request for
    // many.
    let bucket = bucket.with_disable_bulk_delete(true);
    let patient = bucket.clone().build()?;
    let bucket = bucket.with_retry(TRIES).build()?;
    Ok((
        Arc::new(PrefixStore::new(bucket, prefix)),
        Arc::new(PrefixStore::new(patient, prefix)),
    ))
}

/// What no kind of the store's own says.
fn other(source: Box<dyn std::error::Error + Send + Sync>) -> object_store::Error {
    object_store::Error::Generic {
        store: "states",
        source,
    }
}

/// The states of one stage and partition.
pub struct StoredStates {
    store: StateStore,
    folder: String,
}

impl StoredStates {
    fn place(&self) -> String {
        format!("{}/{}", self.store.place, self.folder)
    }

    fn failed(&self, source: object_store::Error) -> SavedStateError {
        SavedStateError::Store {
            place: self.place(),
            source,
        }
    }

    fn path(&self, offset: u64) -> Path {
        Path::from(format!("{}/{offset:020}{ENDING}", self.folder))
    }

    /// Offsets of the states that there are, ascending.
    fn offsets(&self, unwanted: &dyn Fn() -> bool) -> Result<Vec<u64>, SavedStateError> {
        let folder = Path::from(self.folder.as_str());
        let listed = self.store.objects.list(Some(&folder));
        let listed: Vec<_> = self
            .store
            .wanted(listed.try_collect(), unwanted)
            .map_err(|error| self.failed(error))?;
        let mut offsets: Vec<u64> = listed
            .iter()
            .filter_map(|object| {
                let name = object.location.filename()?;
                name.strip_suffix(ENDING)?.parse().ok()
            })
            .collect();
        offsets.sort_unstable();
        Ok(offsets)
    }

    fn load(&self, offset: u64, unwanted: &dyn Fn() -> bool) -> Result<Vec<u8>, SavedStateError> {
        let path = self.path(offset);
        let read = async { self.store.patient.get(&path).await?.bytes().await };
        let bytes = self
            .store
            .wanted(read, unwanted)
            .map_err(|error| self.failed(error))?;
        Ok(unpack(&bytes, offset)?)
    }

    fn keep(&self, offset: u64, state: &[u8]) -> Result<(), SavedStateError> {
        let packed = pack(offset, state);
        let path = self.path(offset);
        self.store
            .runtime
            .block_on(self.store.objects.put(&path, packed.into()))
            .map_err(|error| self.failed(error))?;
        let offsets = self.offsets(&|| false)?;
        // A newer one may be another replica's, which holds the partition by now: not ours to
        // count.
        let own: Vec<u64> = offsets.into_iter().filter(|at| *at <= offset).collect();
        for old in own.iter().rev().skip(KEPT) {
            let gone = self
                .store
                .runtime
                .block_on(self.store.objects.delete(&self.path(*old)));
            match gone {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(())
    }
}

impl SavedStates for StoredStates {
    const IN_COMMIT: bool = false;

    fn newest(
        &mut self,
        committed: u64,
        unwanted: &dyn Fn() -> bool,
    ) -> Result<Option<(u64, Vec<u8>)>, SavedStateError> {
        let offsets = self.offsets(unwanted)?;
        let mut damaged: Option<String> = None;
        for offset in offsets.into_iter().rev().filter(|at| *at <= committed) {
            match self.load(offset, unwanted) {
                Ok(state) => return Ok(Some((offset, state))),
                Err(SavedStateError::State(error @ StateError::Damaged(_))) => {
                    tracing::error!(place = self.place(), offset, %error, "an older state is taken");
                    damaged.get_or_insert(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        match damaged {
            None => Ok(None),
            Some(reason) => Err(SavedStateError::Damaged {
                place: self.place(),
                reason,
            }),
        }
    }

    fn beyond(
        &mut self,
        committed: u64,
        unwanted: &dyn Fn() -> bool,
    ) -> Result<Option<u64>, SavedStateError> {
        let newest = self.offsets(unwanted)?.pop();
        Ok(newest.filter(|offset| *offset > committed))
    }

    fn with_commit(
        &mut self,
        _: &mut Commit,
        _: u64,
        _: Option<&[u8]>,
        _: &[(&'static str, u64)],
    ) -> Result<(), SavedStateError> {
        Ok(())
    }

    fn after_commit(&mut self, offset: u64, state: &[u8]) -> bool {
        match self.keep(offset, state) {
            Ok(()) => true,
            Err(error) => {
                // The next start replays a little more.
                tracing::error!(%error, offset, "state not saved");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::TcpListener;
    use std::time::Instant;

    use grapevine_kafka_testing::{HttpServer, Response};

    use super::*;

    /// Somebody waits.
    const WANTED: &dyn Fn() -> bool = &|| false;

    fn states(directory: &std::path::Path) -> StoredStates {
        let place = directory.to_str().expect("a path");
        StateStore::open(place).expect("opens").of("chain", 3)
    }

    #[test]
    fn the_newest_that_is_not_ahead_is_taken_and_two_are_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut states = states(directory.path());
        assert!(states.newest(100, WANTED).expect("lists").is_none());
        for offset in [10, 20, 30, 40] {
            assert!(states.after_commit(offset, &[offset as u8; 100]));
        }
        assert_eq!(states.offsets(WANTED).expect("lists"), [30, 40]);
        let newest = states.newest(39, WANTED).expect("reads");
        let (offset, state) = newest.expect("is there");
        assert_eq!((offset, state), (30, vec![30; 100]));
        assert!(states.newest(29, WANTED).expect("reads").is_none());
        assert_eq!(states.beyond(39, WANTED).expect("lists"), Some(40));
        assert_eq!(states.beyond(40, WANTED).expect("lists"), None);
        // A replica that lost the partition comes late: what is newer stays.
        assert!(states.after_commit(5, &[5]));
        assert_eq!(states.offsets(WANTED).expect("lists"), [5, 30, 40]);
    }

    #[test]
    fn a_damaged_state_gives_way_to_the_older_and_alone_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut states = states(directory.path());
        assert!(states.after_commit(10, b"ten") && states.after_commit(20, b"twenty"));
        let file = |offset: u64| {
            directory
                .path()
                .join(format!("chain/00003/{offset:020}.state"))
        };
        let damage = |offset: u64| {
            let mut bytes = std::fs::read(file(offset)).expect("reads");
            *bytes.last_mut().expect("has bytes") ^= 1;
            std::fs::write(file(offset), bytes).expect("writes");
        };
        damage(20);
        let newest = states.newest(50, WANTED).expect("reads");
        let (offset, state) = newest.expect("is there");
        assert_eq!((offset, state.as_slice()), (10, &b"ten"[..]));
        damage(10);
        let error = states.newest(50, WANTED).expect_err("refused").to_string();
        assert!(error.contains("Delete them"), "{error}");
    }

    #[test]
    fn a_state_that_is_not_kept_is_no_success() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut states = states(directory.path());
        // A file where the folder would be.
        let obstacle = directory.path().join("chain");
        std::fs::write(&obstacle, b"").expect("writes");
        assert!(!states.after_commit(10, b"ten"));
        std::fs::remove_file(&obstacle).expect("removes");
        assert!(states.after_commit(10, b"ten"));
        assert_eq!(states.offsets(WANTED).expect("lists"), [10]);
    }

    #[test]
    fn a_store_that_is_away_is_told_from_one_that_refuses() {
        let is_away = |url: &str| {
            let mut states = StateStore::of_server(url).of("chain", 3);
            let error = states.newest(100, WANTED).expect_err("there is none");
            (error.is_away(), error.to_string())
        };
        let answers = [
            ("503 Service Unavailable", true),
            ("429 Too Many Requests", true),
            ("301 Moved Permanently", false),
            ("400 Bad Request", false),
            ("403 Forbidden", false),
            ("404 Not Found", false),
        ];
        for (status, expected) in answers {
            let answer = move |_| Response {
                status,
                body: b"<Error/>".to_vec(),
            };
            let server = HttpServer::start("application/xml", answer).expect("starts");
            let (found, said) = is_away(&server.url());
            assert_eq!(found, expected, "{status}: {said}");
        }
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let (found, said) = is_away(&format!("http://{}", free.expect("a port")));
        assert!(found, "nobody listens: {said}");

        let directory = tempfile::tempdir().expect("a directory");
        let mut states = states(directory.path());
        // A file where the folder would be.
        std::fs::write(directory.path().join("chain"), b"").expect("writes");
        let error = states.newest(100, WANTED).expect_err("refused");
        assert!(!error.is_away(), "{error}");
    }

    #[test]
    fn a_silent_store_is_not_waited_for_once_nobody_wants_the_state() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", silent.local_addr().expect("an address"));
        let mut states = StateStore::of_server(&url).of("chain", 3);
        let looks = Cell::new(0);
        let unwanted = || {
            looks.set(looks.get() + 1);
            looks.get() > 2
        };
        let started = Instant::now();
        states.newest(100, &unwanted).expect_err("given up");
        assert_eq!(looks.get(), 3);
        // Less than the 30 s of one request.
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_probe_leaves_nothing_and_says_what_it_cannot_do() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path().join("states");
        let store = StateStore::open(place.to_str().expect("a path")).expect("opens");
        store.probe().expect("it can all be done");
        let left = place.read_dir().expect("is there").count();
        assert_eq!(left, 0);
        // A file where the directory was.
        std::fs::remove_dir(&place).expect("removes");
        std::fs::write(&place, b"").expect("writes");
        let error = store.probe().expect_err("refused").to_string();
        assert!(error.contains(place.to_str().expect("a path")), "{error}");
    }

    #[test]
    fn a_place_with_a_password_is_refused_and_not_shown() {
        let place = "s3://user:hush-hush@bucket/prefix";
        let error = StateStore::open(place).map(|_| ()).expect_err("refused");
        let said = error.to_string();
        assert!(said.contains("AWS_SECRET_ACCESS_KEY"), "{said}");
        assert!(!said.contains("hush"), "{said}");
        for place in ["s3://bucket/with@in-it", "states/of@somebody", "/a/b@c"] {
            StateStore::without_credentials(place).expect(place);
        }
    }

    #[test]
    fn a_place_that_is_none_is_named() {
        let error = StateStore::open("gopher://x")
            .map(|_| ())
            .expect_err("refused");
        assert!(error.to_string().contains("s3://"), "{error}");
    }
}
