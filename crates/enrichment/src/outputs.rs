//! Where a stage puts what follows from a record.

use grapevine_event::{
    Cascade, CodecError, DEAD_LETTER_BYTES_MAX, DeadLetter, Edge, Heartbeat, Id, Share, Visit,
    VisitEvent, topic,
};
use grapevine_log::{Commit, PARTITION, RECORD_BYTES_MAX};
use grapevine_metrics::Buried;

/// Collects the records of one commit. Muted while a stage catches up from a snapshot: what
/// followed from those records is in the log already.
pub struct Outputs {
    commit: Commit,
    scratch: Vec<u8>,
    muted: bool,
    source: Source,
}

/// The input record at hand, for dead letters.
struct Source {
    stage: &'static str,
    topic: &'static str,
    offset: u64,
}

/// Why an input record gave no output, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Rejection<'a> {
    /// Short fixed name.
    pub reason: &'static str,
    /// The reason in words.
    pub detail: &'a str,
    /// Site, or empty where not known.
    pub site: &'a str,
    /// Event time of the last good record before it, milliseconds.
    pub time: i64,
    /// The input record.
    pub payload: &'a [u8],
}

impl Outputs {
    /// Nothing yet, of a stage that reads `topic`.
    pub fn new(stage: &'static str, topic: &'static str) -> Outputs {
        Outputs {
            commit: Commit::default(),
            scratch: Vec::new(),
            muted: false,
            source: Source {
                stage,
                topic,
                offset: 0,
            },
        }
    }

    pub(crate) fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    pub(crate) fn begin(&mut self, offset: u64) {
        self.source.offset = offset;
    }

    /// Forgets what was put in, keeping the buffers.
    pub fn clear(&mut self) {
        self.commit.clear();
    }

    pub(crate) fn commit_mut(&mut self) -> &mut Commit {
        &mut self.commit
    }

    /// Appends a visit.
    pub fn visit(&mut self, topic: &'static str, visit: &Visit<'_>) {
        let (site, time) = (visit.site, visit.time);
        self.append(topic, site, time, |out| visit.encode(out));
    }

    /// Appends a visit event.
    pub fn visit_event(&mut self, topic: &'static str, event: &VisitEvent<'_>) {
        let (site, time) = (event.site, event.time);
        self.append(topic, site, time, |out| event.encode(out));
    }

    /// Appends a share.
    pub fn share(&mut self, topic: &'static str, share: &Share<'_>) {
        let (site, time) = (share.site, share.time);
        self.append(topic, site, time, |out| share.encode(out));
    }

    /// Appends an edge.
    pub fn edge(&mut self, edge: &Edge<'_>) {
        let (site, time) = (edge.site, edge.time);
        self.append(topic::EDGES, site, time, |out| edge.encode(out));
    }

    /// Appends a cascade.
    pub fn cascade(&mut self, cascade: &Cascade<'_>) {
        let (site, time) = (cascade.site, cascade.updated);
        self.append(topic::CASCADES, site, time, |out| cascade.encode(out));
    }

    /// Appends a heartbeat.
    pub fn heartbeat(&mut self, topic: &'static str, heartbeat: &Heartbeat<'_>) {
        self.append(topic, "", heartbeat.event_time, |out| heartbeat.encode(out));
    }

    /// Appends a record as it came, its bytes unchanged.
    pub fn unchanged(&mut self, topic: &'static str, record: &[u8]) {
        if !self.muted {
            self.commit.append(topic, record);
        }
    }

    /// Puts the input record into the dead letters. Its identity is a function of where it
    /// stands and of the reason.
    pub fn reject(&mut self, rejection: &Rejection<'_>) {
        if self.muted {
            return;
        }
        let source = &self.source;
        let letter = DeadLetter {
            letter_id: Id::builder("dead-letter")
                .bytes(source.topic.as_bytes())
                .number(PARTITION.unsigned_abs().into())
                .number(source.offset)
                .bytes(rejection.reason.as_bytes())
                .finish(),
            time: rejection.time,
            site: rejection.site,
            stage: source.stage,
            reason: rejection.reason,
            detail: rejection.detail.into(),
            source: source.topic,
            partition: Some(PARTITION),
            position: i64::try_from(source.offset).unwrap_or(i64::MAX),
            payload: &rejection.payload[..rejection.payload.len().min(DEAD_LETTER_BYTES_MAX)],
            payload_length: i64::try_from(rejection.payload.len()).unwrap_or(i64::MAX),
        };
        tracing::warn!(
            stage = source.stage,
            offset = source.offset,
            reason = rejection.reason,
            detail = rejection.detail,
            "dead letter"
        );
        let written = self
            .commit
            .try_append_with(topic::DEAD_LETTERS, |out| letter.encode(out));
        Buried {
            stage: source.stage,
            reason: rejection.reason,
            letters: 1,
        }
        .emit();
        if let Err(error) = written {
            // A letter holds nothing that Avro cannot: only a defect of the encoder comes here.
            tracing::error!(stage = self.source.stage, %error, "dead letter cannot be written");
        }
    }

    fn append(
        &mut self,
        topic: &'static str,
        site: &str,
        time: i64,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
    ) {
        if self.muted {
            return;
        }
        self.scratch.clear();
        let written = write(&mut self.scratch);
        match written {
            Ok(()) if self.scratch.len() <= RECORD_BYTES_MAX => {
                self.commit.append(topic, &self.scratch);
            }
            outcome => {
                let detail = match outcome {
                    Ok(()) => format!(
                        "{} bytes for topic {topic} are more than the {RECORD_BYTES_MAX} that the log takes",
                        self.scratch.len()
                    ),
                    Err(error) => error.to_string(),
                };
                let payload = std::mem::take(&mut self.scratch);
                self.reject(&Rejection {
                    reason: "unwritable",
                    detail: &detail,
                    site,
                    time,
                    payload: &payload,
                });
                self.scratch = payload;
            }
        }
    }
}
