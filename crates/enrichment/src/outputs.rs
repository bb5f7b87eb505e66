//! Where a stage puts what follows from a record.

use grapevine_event::{
    Calibration, Cascade, ChainModel, CodecError, DEAD_LETTER_BYTES_MAX, DeadLetter, Edge,
    Heartbeat, Id, Share, Spread, Surge, SurgeState, Visit, VisitEvent, topic,
};
use grapevine_log::{Commit, Key, PARTITION, RECORD_BYTES_MAX};
use grapevine_metrics::Buried;

use crate::passage;

/// Collects the records of one commit. Muted while a stage catches up from a snapshot: what
/// followed from those records is in the log already.
///
/// Where records go: what is passed on to `hits.classified` goes to the partition of its site and
/// content; everything else stays in the partition number that the input came from, as every topic
/// has the same number of partitions. So one task writes all that there is of a content, in order.
pub struct Outputs {
    commit: Commit,
    scratch: Vec<u8>,
    muted: bool,
    /// Heartbeats get the number of the partition that they came through.
    marks_heartbeats: bool,
    source: Source,
}

/// Where an output goes.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// The partition number of the input.
    Same,
    /// The partition of a content.
    Key(Key),
    /// A copy to each.
    Every,
}

/// The input record at hand, for dead letters.
struct Source {
    stage: &'static str,
    topic: &'static str,
    partition: i32,
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
    /// Nothing yet, of a stage that reads `topic` in the local home.
    pub fn new(stage: &'static str, topic: &'static str) -> Outputs {
        Outputs::of_partition(stage, topic, PARTITION)
    }

    /// Nothing yet, of a stage that reads a partition of `topic`.
    pub fn of_partition(stage: &'static str, topic: &'static str, partition: i32) -> Outputs {
        Outputs {
            commit: Commit::default(),
            scratch: Vec::new(),
            muted: false,
            marks_heartbeats: false,
            source: Source {
                stage,
                topic,
                partition,
                offset: 0,
            },
        }
    }

    /// Heartbeats name the partition that they came through, for the next stage to wait for all.
    pub(crate) fn mark_heartbeats(&mut self) {
        self.marks_heartbeats = true;
    }

    pub(crate) fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    pub(crate) fn begin(&mut self, offset: u64) {
        self.source.offset = offset;
    }

    /// The records put in so far with their topics, by topic and in order within each.
    pub fn records(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.commit.records()
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
        let content = self.keyed(topic, site, &visit.content);
        self.append_to(topic, content, site, time, |out| visit.encode(out));
    }

    /// Appends a visit event.
    pub fn visit_event(&mut self, topic: &'static str, event: &VisitEvent<'_>) {
        let (site, time) = (event.site, event.time);
        let content = self.keyed(topic, site, &event.content);
        self.append_to(topic, content, site, time, |out| event.encode(out));
    }

    /// Appends a share.
    pub fn share(&mut self, topic: &'static str, share: &Share<'_>) {
        let (site, time) = (share.site, share.time);
        let content = self.keyed(topic, site, &share.content);
        self.append_to(topic, content, site, time, |out| share.encode(out));
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

    /// Appends how a content spreads.
    pub fn spread(&mut self, spread: &Spread<'_>) {
        let (site, time) = (spread.site, spread.updated);
        self.append(topic::SPREADS, site, time, |out| spread.encode(out));
    }

    /// Appends the weights in force on a site.
    pub fn chain_model(&mut self, model: &ChainModel<'_>) {
        let (site, time) = (model.site, model.time);
        self.append(topic::MODELS, site, time, |out| model.encode(out));
    }

    /// Appends a surge; one that is raised now is also told to who watches the log, where `live`.
    pub fn surge(&mut self, surge: &Surge<'_>, live: bool) {
        let (site, time) = (surge.site, surge.updated);
        self.append(topic::SURGES, site, time, |out| surge.encode(out));
        if !live || self.muted || surge.state != SurgeState::Raised {
            return;
        }
        tracing::warn!(
            site,
            content = &*surge.content,
            since_ms = surge.started,
            dark = surge.dark,
            dark_low = surge.dark_low,
            dark_high = surge.dark_high,
            baseline = surge.baseline,
            rate_per_hour = surge.rate_per_hour,
            doubling_seconds = surge.doubling_seconds,
            app = surge.apps.first().map_or("unknown", |share| share.app),
            signs = surge.signs,
            signs_usual = surge.signs_usual,
            false_alarm = surge.false_alarm,
            "spreading in the dark"
        );
    }

    /// Appends a calibration.
    pub fn calibration(&mut self, calibration: &Calibration<'_>) {
        let (site, time) = (calibration.site, calibration.time);
        self.append(topic::CALIBRATIONS, site, time, |out| {
            calibration.encode(out)
        });
    }

    /// Appends a heartbeat to every partition: time passes for each content.
    pub fn heartbeat(&mut self, topic: &'static str, heartbeat: &Heartbeat<'_>) {
        let time = heartbeat.event_time;
        let marked;
        let source = if self.marks_heartbeats {
            marked = passage::mark(heartbeat.source, self.source.partition);
            marked.as_str()
        } else {
            heartbeat.source
        };
        let heartbeat = Heartbeat {
            event_time: time,
            source,
        };
        self.append_to(topic, Place::Every, "", time, |out| heartbeat.encode(out));
    }

    /// Appends a record as it came, its bytes unchanged; `site` and `time` are its own.
    pub fn unchanged(&mut self, topic: &'static str, site: &str, time: i64, record: &[u8]) {
        self.append(topic, site, time, |out| {
            out.extend_from_slice(record);
            Ok(())
        });
    }

    /// The place of what belongs to a content.
    fn keyed(&self, topic: &'static str, site: &str, content: &str) -> Place {
        if topic == topic::HITS_CLASSIFIED && !self.muted {
            Place::Key(Key::new(site, content.as_bytes()))
        } else {
            Place::Same
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
                .number(source.partition.unsigned_abs().into())
                .number(source.offset)
                .bytes(rejection.reason.as_bytes())
                .finish(),
            time: rejection.time,
            site: rejection.site,
            stage: source.stage,
            reason: rejection.reason,
            detail: rejection.detail.into(),
            source: source.topic,
            partition: Some(source.partition),
            position: i64::try_from(source.offset).unwrap_or(i64::MAX),
            payload: &rejection.payload[..rejection.payload.len().min(DEAD_LETTER_BYTES_MAX)],
            payload_length: i64::try_from(rejection.payload.len()).unwrap_or(i64::MAX),
        };
        tracing::warn!(
            stage = source.stage,
            partition = source.partition,
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

    /// Appends a record to the partition number that the input came from.
    fn append(
        &mut self,
        topic: &'static str,
        site: &str,
        time: i64,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
    ) {
        self.append_to(topic, Place::Same, site, time, write);
    }

    fn append_to(
        &mut self,
        topic: &'static str,
        place: Place,
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
                let record = &self.scratch;
                let copy = |out: &mut Vec<u8>| -> Result<(), std::convert::Infallible> {
                    out.extend_from_slice(record);
                    Ok(())
                };
                let copied = match place {
                    Place::Same => self.commit.append_to(topic, self.source.partition, copy),
                    Place::Key(key) => self.commit.append_keyed(topic, key, copy),
                    Place::Every => self.commit.append_to_every(topic, copy),
                };
                match copied {
                    Ok(()) => {}
                    Err(never) => match never {},
                }
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
