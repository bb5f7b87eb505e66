//! Saved states that are not as they were written: refused or taken for a state, never a panic.

mod support;

use std::sync::OnceLock;

use grapevine_enrichment::{ChainStage, Merged, Outputs, Stage, StopSignal, run};
use grapevine_event::{Hit, Id, Protocol, VisitorBasis, topic};
use grapevine_inference::calibration::Calibrations;
use grapevine_inference::chains::{Chains, SavedChains};
use grapevine_inference::shares::{Acts, Previews};
use grapevine_inference::surges::Surges;
use grapevine_inference::{from_bytes, to_bytes};
use grapevine_log::{Commit, Durability, Log};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::Serialize;
use serde::de::DeserializeOwned;
use support::{IPHONE, chain, classify};

/// Partitions of the topic before, as the chain stage on Kafka knows them.
const PARTITIONS: u32 = 3;
/// Bytes of the format that a state begins with.
const FORMAT_BYTES: usize = 4;

fn merged() -> Merged<ChainStage> {
    Merged::new(chain(), PARTITIONS)
}

/// A reader every minute, each with a token of his own; every second came by the token before.
fn hits() -> Vec<Vec<u8>> {
    let hit = |number: i64| {
        let mut url = "https://example.org/politics/the-long-story-of-a-small-town".to_owned();
        if number % 2 == 1 {
            url += &format!("?gv=t{}", number - 1);
        }
        let token = format!("t{number}");
        let time = 1_760_000_000_000 + number * 60_000;
        let id = Id::builder("saved-states").number(number as u64).finish();
        let hit = Hit {
            protocol: Protocol::Native,
            visitor: Some(number),
            visitor_basis: VisitorBasis::Client,
            network: Some(number % 5),
            user_agent: IPHONE,
            share_token: Some(&token),
            ..Hit::page_view(id, "example.org", time, &url)
        };
        let mut record = Vec::new();
        hit.encode(&mut record).expect("encodes");
        record
    };
    (0..40).map(hit).collect()
}

/// What the classify stage makes of hits.
fn classified(hits: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let directory = tempfile::tempdir().expect("a directory");
    let log = Log::open(&directory.path().join("log.redb")).expect("opens");
    let mut commit = Commit::default();
    hits.iter()
        .for_each(|hit| commit.append(topic::HITS_RAW, hit));
    log.commit(&commit, Durability::Replayable)
        .expect("commits");
    let stop = StopSignal::new();
    stop.drain();
    run(classify(), &log, &stop).expect("runs");
    let batch = log
        .read(topic::HITS_CLASSIFIED, 0, usize::MAX)
        .expect("reads");
    batch.iter().map(|(_, record)| record.to_vec()).collect()
}

/// What a stage saves after these records.
fn saved<S: Stage>(mut stage: S, records: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Outputs::new(S::NAME, S::INPUT);
    for (offset, record) in records.iter().enumerate() {
        stage.process(offset as u64, record, &mut out);
    }
    stage.snapshot().expect("writes")
}

/// States of both stages, and of the chain stage as it is on Kafka.
struct Lived {
    classify: Vec<u8>,
    chain: Vec<u8>,
    merged: Vec<u8>,
}

fn lived() -> &'static Lived {
    static LIVED: OnceLock<Lived> = OnceLock::new();
    LIVED.get_or_init(|| {
        let hits = hits();
        let classified = classified(&hits);
        assert!(classified.len() >= hits.len(), "every hit is a landing");
        Lived {
            classify: saved(classify(), &hits),
            chain: saved(chain(), &classified),
            merged: saved(merged(), &classified),
        }
    })
}

/// True where the bytes are taken for a state: one that reads the same once it is written again.
/// Where they are refused the stage is as it was.
fn taken<S: Stage>(new: impl Fn() -> S, bytes: &[u8]) -> bool {
    let mut stage = new();
    if stage.restore(bytes).is_err() {
        assert!(
            stage.snapshot() == new().snapshot(),
            "a refused state changes nothing"
        );
        return false;
    }
    let saved = stage.snapshot().expect("what was read can be written");
    let mut again = new();
    again.restore(&saved).expect("and be read again");
    assert!(again.snapshot() == Ok(saved), "and is the same then");
    true
}

#[test]
fn a_state_is_taken_as_it_was_written_and_with_other_figures() {
    let lived = lived();
    assert!(lived.chain.len() > 1_000, "{} bytes", lived.chain.len());
    assert!(taken(classify, &lived.classify));
    assert!(taken(chain, &lived.chain));
    assert!(taken(merged, &lived.merged));
    // A state of one stage is none of another.
    assert!(!taken(classify, &lived.chain));
    assert!(!taken(chain, &lived.classify));
    assert!(!taken(merged, &lived.chain));
    // A figure in the middle of it: not every damage shows, which is why a hash is kept beside it.
    let mut bytes = lived.classify.clone();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(taken(classify, &bytes), "the count of dead letters");
}

/// Bytes at these places are changed, each by what it is combined with.
fn flipped(state: &[u8], flips: &[(Index, u8)]) -> Vec<u8> {
    let mut bytes = state.to_vec();
    for (at, with) in flips {
        bytes[at.index(state.len())] ^= with;
    }
    bytes
}

/// Reads a value and, where there is one, writes and reads it once more.
fn read<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(value) = from_bytes::<T>(1, bytes) else {
        return;
    };
    let written = to_bytes(1, &value).expect("what was read can be written");
    let again: T = from_bytes(1, &written).expect("and be read again");
    assert!(to_bytes(1, &again) == Ok(written), "and is the same then");
}

proptest! {
    #[test]
    fn a_state_with_bytes_flipped_or_cut_is_refused_or_taken(
        flips in prop::collection::vec((any::<Index>(), 1u8..=255), 1..4),
        end in any::<Index>(),
    ) {
        let lived = lived();
        taken(classify, &flipped(&lived.classify, &flips));
        taken(chain, &flipped(&lived.chain, &flips));
        taken(merged, &flipped(&lived.merged, &flips));
        let cut = |state: &'static [u8]| &state[..end.index(state.len())];
        prop_assert!(!taken(classify, cut(&lived.classify)));
        prop_assert!(!taken(chain, cut(&lived.chain)));
        prop_assert!(!taken(merged, cut(&lived.merged)));
    }

    /// Small numbers are common in what is written, so they get further.
    #[test]
    fn arbitrary_bytes_are_refused_or_taken(
        bytes in prop::collection::vec(prop_oneof![3 => 0u8..3, 1 => any::<u8>()], 0..200),
    ) {
        let lived = lived();
        taken(classify, &bytes);
        taken(chain, &bytes);
        taken(merged, &bytes);
        let of_format = |state: &[u8]| [&state[..FORMAT_BYTES], &bytes[..]].concat();
        taken(classify, &of_format(&lived.classify));
        taken(chain, &of_format(&lived.chain));
        taken(merged, &of_format(&lived.merged));
        // What release 0.1.0 wrote.
        taken(classify, &[&2u32.to_le_bytes()[..], &bytes[..]].concat());
        taken(chain, &[&1u32.to_le_bytes()[..], &bytes[..]].concat());
    }

    #[test]
    fn arbitrary_bytes_of_each_part_of_a_state_are_an_error_or_a_value(
        bytes in prop::collection::vec(prop_oneof![3 => 0u8..3, 1 => any::<u8>()], 0..200),
    ) {
        let bytes = [&1u32.to_le_bytes()[..], &bytes[..]].concat();
        read::<Chains>(&bytes);
        read::<Surges>(&bytes);
        read::<Previews>(&bytes);
        read::<Acts>(&bytes);
        read::<Calibrations>(&bytes);
        if let Ok(saved) = from_bytes::<SavedChains>(1, &bytes) {
            to_bytes(1, &Chains::from(saved)).expect("what was read can be written");
        }
    }
}
