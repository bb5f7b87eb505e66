//! Saved states, as they lie in their store and as a stage is given them: what was damaged there is
//! refused; what a stage takes for a state reads the same once it is written again.
#![no_main]
use std::sync::{Arc, LazyLock};

use grapevine_enrichment::{
    ChainStage, ClassifyStage, Merged, Outputs, Stage, StopSignal, packing, run,
};
use grapevine_event::{Hit, Id, Protocol, VisitorBasis, topic};
use grapevine_inference::{Classifier, Model};
use grapevine_log::{Commit, Durability, Log};
use grapevine_signals::Signals;
use libfuzzer_sys::fuzz_target;

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
/// Offset that states cover.
const OFFSET: u64 = 81_234;
/// Partitions of the topic before, as the chain stage on Kafka knows them.
const PARTITIONS: u32 = 3;
/// Bytes of the format that a state begins with.
const FORMAT_BYTES: usize = 4;

static CLASSIFIER: LazyLock<Arc<Classifier>> = LazyLock::new(|| {
    let signals = Arc::new(Signals::builtin());
    Arc::new(Classifier::new(signals, Model::builtin()))
});

/// What the stages remember after some readers passed a story on.
static LIVED: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let hits: Vec<Vec<u8>> = (0..40).map(hit).collect();
    let classified = classified(&hits);
    [
        saved(classify(), &hits),
        saved(chain(), &classified),
        saved(merged(), &classified),
    ]
});

fn classify() -> ClassifyStage {
    ClassifyStage::new(CLASSIFIER.clone())
}

fn chain() -> ChainStage {
    ChainStage::new(CLASSIFIER.clone())
}

fn merged() -> Merged<ChainStage> {
    Merged::new(chain(), PARTITIONS)
}

/// A reader every minute, each with a token of his own; every second came by that of the one before.
fn hit(number: i64) -> Vec<u8> {
    let mut url = "https://example.org/politics/the-long-story-of-a-small-town".to_owned();
    if number % 2 == 1 {
        url += &format!("?gv=t{}", number - 1);
    }
    let token = format!("t{number}");
    let id = Id::builder("fuzz").number(number as u64).finish();
    let time = 1_760_000_000_000 + number * 60_000;
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
}

/// What the classify stage makes of hits.
fn classified(hits: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let directory = tempfile::tempdir().expect("a directory");
    let log = Log::open(&directory.path().join("log.redb")).expect("opens");
    let mut commit = Commit::default();
    hits.iter().for_each(|hit| commit.append(topic::HITS_RAW, hit));
    log.commit(&commit, Durability::Replayable).expect("commits");
    let stop = StopSignal::new();
    stop.drain();
    run(classify(), &log, &stop).expect("runs");
    let batch = log.read(topic::HITS_CLASSIFIED, 0, usize::MAX).expect("reads");
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

/// Gives a stage bytes for its state.
fn restore<S: Stage>(new: impl Fn() -> S, bytes: &[u8]) {
    let mut stage = new();
    if stage.restore(bytes).is_err() {
        assert!(stage.snapshot() == new().snapshot(), "a refused state changes nothing");
        return;
    }
    let saved = stage.snapshot().expect("what was read can be written");
    let mut again = new();
    again.restore(&saved).expect("and be read again");
    assert!(again.snapshot() == Ok(saved), "and is the same then");
}

/// The bytes, changed at places by what they are combined with, then cut.
fn damaged(bytes: &[u8], flips: &[(u16, u8)], cut: u16) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, with) in flips {
        let at = usize::from(*at) % bytes.len();
        bytes[at] ^= with;
    }
    bytes.truncate(bytes.len().saturating_sub(usize::from(cut)));
    bytes
}

fuzz_target!(|input: (Vec<(u16, u8)>, u16, &[u8])| {
    let (flips, cut, bytes) = input;
    // Bytes of chance, also where they begin as a state does.
    assert!(packing::unpack(bytes, OFFSET).is_err());
    let [of_classify, of_chain, of_merged] = &*LIVED;
    let of_format = |state: &[u8]| [&state[..FORMAT_BYTES], bytes].concat();
    restore(classify, bytes);
    restore(classify, &of_format(of_classify));
    restore(chain, bytes);
    restore(chain, &of_format(of_chain));
    restore(merged, &of_format(of_merged));
    // A state that was written, and what became of it.
    restore(classify, &damaged(of_classify, &flips, cut));
    restore(chain, &damaged(of_chain, &flips, cut));
    restore(merged, &damaged(of_merged, &flips, cut));
    // In its store: the hash tells.
    let packed = packing::pack(OFFSET, bytes);
    let after = damaged(&packed, &flips, cut);
    let read = packing::unpack(&after, OFFSET);
    match after == packed {
        true => assert_eq!(read.as_deref(), Ok(bytes)),
        false => assert!(read.is_err(), "damaged, and nobody sees it"),
    }
});
