//! What both stages promise of any history: every record that they write can be read, probabilities are some
//! and sum to 1, and a restart changes nothing of what follows.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use grapevine_enrichment::{ChainStage, ClassifyStage, Outputs, Stage};
use grapevine_event::{ChainModel, Id, Record, topic};
use grapevine_inference::{Classifier, Model};
use grapevine_signals::Signals;

/// How far probabilities of one visit's causes may be from 1.
const SUM: f64 = 1e-5;
/// What is left of what was taken back.
const NOTHING: f64 = 1e-9;
/// Rounding of figures that are made from each other.
const ROUNDING: f64 = 1e-6;

static CLASSIFIER: LazyLock<Arc<Classifier>> = LazyLock::new(|| {
    let signals = Arc::new(Signals::builtin());
    Arc::new(Classifier::new(signals, Model::builtin()))
});

/// A record with the topic that it was written to.
type Written = (&'static str, Vec<u8>);

/// Both stages, one behind the other, without a log between them.
struct Stages {
    classify: ClassifyStage,
    chain: ChainStage,
    classified: Outputs,
    found: Outputs,
    /// Offset of the next record of each one's input.
    next: [u64; 2],
}

impl Stages {
    fn new() -> Stages {
        Stages {
            classify: ClassifyStage::new(CLASSIFIER.clone()),
            chain: ChainStage::new(CLASSIFIER.clone()),
            classified: Outputs::new(ClassifyStage::NAME, ClassifyStage::INPUT),
            found: Outputs::new(ChainStage::NAME, ChainStage::INPUT),
            next: [0; 2],
        }
    }

    /// What both remember, as bytes.
    fn saved(&self) -> [Vec<u8>; 2] {
        let classify = self.classify.snapshot().expect("saves");
        [classify, self.chain.snapshot().expect("saves")]
    }

    /// The same stages as they are after a restart.
    fn restarted(&self) -> Stages {
        let [classify, chain] = self.saved();
        let mut again = Stages::new();
        again.classify.restore(&classify).expect("reads its own");
        again.chain.restore(&chain).expect("reads its own");
        again.next = self.next;
        again
    }

    /// Takes a record of `hits.raw`; all that both write of it.
    fn take(&mut self, record: &[u8]) -> Vec<Written> {
        let [raw, classified] = &mut self.next;
        self.classify.process(*raw, record, &mut self.classified);
        *raw += 1;
        let mut written = Vec::new();
        for (topic, record) in self.classified.records() {
            written.push((topic, record.to_vec()));
            if topic == topic::HITS_CLASSIFIED {
                self.chain.process(*classified, record, &mut self.found);
                *classified += 1;
            }
        }
        self.classified.clear();
        let found = self.found.records();
        written.extend(found.map(|(topic, record)| (topic, record.to_vec())));
        self.found.clear();
        written
    }
}

/// Takes a history through both stages, a second pair of which goes on from what the first had saved before the record
/// of that number.
///
/// # Panics
/// Where a promise is broken.
pub(crate) fn hold(records: &[Vec<u8>], restart_at: usize) {
    let mut calm = Stages::new();
    let mut rough = None;
    let mut sums = BTreeMap::new();
    for (at, record) in records.iter().enumerate() {
        if at == restart_at {
            rough = Some(calm.restarted());
        }
        let written = calm.take(record);
        if let Some(rough) = &mut rough {
            assert!(rough.take(record) == written, "a restart shows at {at}");
        }
        for (topic, record) in &written {
            judge(topic, record, &mut sums);
        }
    }
    if let Some(rough) = rough {
        assert!(
            rough.saved() == calm.saved(),
            "a restart shows in the state"
        );
    }
    for (child, sum) in sums {
        // Of a token that its own reader brought, what was said first is taken back.
        let whole = (sum - 1.0).abs() < SUM || sum.abs() < NOTHING;
        assert!(whole, "causes of {child:?} sum to {sum}");
    }
}

fn probable(probability: f32) -> bool {
    (0.0..=1.0).contains(&probability)
}

/// From low to high, as far as they are told.
fn ordered(range: [Option<f64>; 3]) -> bool {
    range.is_sorted()
}

/// What else a site teaches is told, and is some.
fn taught(model: &ChainModel<'_>, said: &str) {
    let parts = [
        model.copying_app,
        model.copying_network,
        model.copying_device,
        model.strangers,
    ];
    let is_part = |part: f64| (0.0..=1.0).contains(&part);
    assert!(
        parts.into_iter().all(|part| part.is_some_and(is_part)),
        "{said}"
    );
    let counts = [
        model.copying_app_edges,
        model.copying_network_edges,
        model.copying_device_edges,
    ];
    assert!(counts.into_iter().all(|count| count >= Some(0)), "{said}");
    // These are no less than 0, …
    let amounts = [
        model.arrivals_per_act,
        model.outside_shift_deviation,
        model.outside_shift_known_deviation,
    ];
    let is_amount = |amount: f64| amount.is_finite() && amount >= 0.0;
    assert!(
        amounts
            .into_iter()
            .all(|amount| amount.is_some_and(is_amount)),
        "{said}"
    );
    // … and these may be.
    let log_odds = [
        model.outside_shift,
        model.outside_shift_known,
        model.balance,
        model.mean_log_odds,
    ];
    assert!(
        log_odds
            .into_iter()
            .all(|log_odds| log_odds.is_some_and(f64::is_finite)),
        "{said}"
    );
    for hours in [&model.hours_outside, &model.hours_shared] {
        assert!(hours.is_empty() || hours.len() == 24, "{said}");
        assert!(hours.iter().all(|arrivals| *arrivals >= 0), "{said}");
    }
}

/// One record by itself; edges are summed by their child.
fn judge(topic: &str, bytes: &[u8], sums: &mut BTreeMap<Id, f64>) {
    let record = Record::decode(bytes).expect("what is written can be read");
    let said = format!("{record:?}");
    assert!(!said.contains("NaN"), "{topic}: {said}");
    match record {
        Record::Visit(visit) => {
            let (low, likely, high) = (
                visit.dark_probability_low,
                visit.dark_probability,
                visit.dark_probability_high,
            );
            let search = visit.dark_search_probability;
            assert!(
                [low, likely, high, search].into_iter().all(probable),
                "{said}"
            );
            let beyond = ROUNDING as f32;
            assert!(low <= likely + beyond && likely <= high + beyond, "{said}");
            assert!(likely + search <= 1.0 + beyond, "{said}");
            let mut facts = visit.evidence.iter();
            assert!(facts.all(|fact| fact.log_odds.is_finite()), "{said}");
        }
        Record::Share(share) => assert!(probable(share.probability), "{said}"),
        Record::Edge(edge) => {
            assert!(probable(edge.probability), "{said}");
            assert!(edge.sign == 1 || edge.sign == -1, "{said}");
            assert!(edge.parent_visit != Some(edge.child_visit), "{said}");
            let sum = sums.entry(edge.child_visit).or_default();
            *sum += f64::from(edge.probability) * f64::from(edge.sign);
        }
        Record::Spread(spread) => {
            assert!(spread.settled <= spread.arrivals, "{said}");
            let shared = [
                spread.chain_arrivals_low,
                spread.chain_arrivals,
                spread.chain_arrivals_high,
            ];
            assert!(shared.is_sorted() && shared[0] >= 0.0, "{said}");
            assert!(shared[2] <= spread.settled as f64 + ROUNDING, "{said}");
            let ratio = [
                spread.reproduction_low,
                spread.reproduction,
                spread.reproduction_high,
            ];
            assert!(ratio.is_sorted() && ratio[2].is_finite(), "{said}");
            assert!(
                ordered([spread.k_factor_low, spread.k_factor, spread.k_factor_high]),
                "{said}"
            );
            assert!(
                spread.k_factor_high.is_none_or(|high| high <= 1.0),
                "{said}"
            );
            let posted = spread.broadcast_probability;
            assert!(
                posted.is_none_or(|posted| probable(posted as f32)),
                "{said}"
            );
        }
        Record::Surge(surge) => {
            assert!(
                ordered([surge.dark_low, surge.dark, surge.dark_high].map(Some)),
                "{said}"
            );
            assert!(
                surge.apps.iter().all(|app| probable(app.probability)),
                "{said}"
            );
            assert!(
                surge.seeds.iter().all(|seed| probable(seed.probability)),
                "{said}"
            );
            let ratio = [
                surge.reproduction_low,
                surge.reproduction_number,
                surge.reproduction_high,
            ];
            assert!(ordered(ratio), "{said}");
        }
        Record::ChainModel(model) => {
            assert!((0.0..=1.0).contains(&model.token_survival), "{said}");
            taught(&model, &said);
        }
        Record::Calibration(calibration) => {
            assert!((0.0..=1.0).contains(&calibration.private_part), "{said}");
            let survival = calibration.token_survival;
            assert!(
                ordered([
                    calibration.token_survival_low,
                    survival,
                    calibration.token_survival_high
                ]),
                "{said}"
            );
            assert!(
                survival.is_none_or(|survival| probable(survival as f32)),
                "{said}"
            );
        }
        Record::DeadLetter(letter) => assert_ne!(letter.reason, "unwritable", "{said}"),
        Record::VisitEvent(_) | Record::Cascade(_) | Record::Heartbeat(_) => {}
        Record::Hit(_) => panic!("{topic} is no place for a hit"),
    }
}
