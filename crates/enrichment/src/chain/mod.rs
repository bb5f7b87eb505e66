//! `hits.classified` to `visits`, `events`, `shares`, `edges`, `cascades`, `spreads`, `models`,
//! `surges`: each visit gets its place in a cascade, the evidence that only the content's history
//! gives, and its possible causes.

mod order;
mod saved;
mod state;
mod waiting;

use std::sync::Arc;

use grapevine_event::{Record, topic};
use grapevine_inference::causes::Weights;
use grapevine_inference::{Classifier, StateError};

use crate::classify::misplaced;
use crate::outputs::{Outputs, Rejection};
use crate::stage::Stage;
use order::Desk;
use state::{Room, State};

/// Places visits into cascades and infers their causes. State: at most 123 MB for 459 thousand visits
/// that may get children, 96 MB for 229 thousand contents, and for what spreads 45 MB of contents
/// and possible causes by clock, 31 MB for 459 thousand readers; an import without tokens needs all
/// but the first. Of what came within the last seconds 10 MB by clock, and 64 MB at most of landings
/// that wait for the owner of their token.
pub struct ChainStage {
    classifier: Arc<Classifier>,
    weights: Option<Arc<Weights>>,
    room: Room,
    state: State,
}

impl ChainStage {
    /// The stage with nothing remembered.
    pub fn new(classifier: Arc<Classifier>) -> ChainStage {
        ChainStage {
            classifier,
            weights: None,
            room: Room::default(),
            state: State::default(),
        }
    }

    /// The same stage, whose sites start from other weights of causes than those shipped. A site
    /// that has learned from its own edges keeps what it learned.
    #[must_use]
    pub fn with_weights(mut self, weights: Arc<Weights>) -> ChainStage {
        self.state.chains.deploy(weights.clone());
        self.weights = Some(weights);
        self
    }
}

impl Stage for ChainStage {
    const NAME: &'static str = crate::CHAIN;
    const INPUT: &'static str = topic::HITS_CLASSIFIED;

    fn process(&mut self, _offset: u64, record: &[u8], out: &mut Outputs) {
        let decoded = Record::decode_into(record, &mut self.room.evidence);
        let desk = &mut Desk {
            classifier: &self.classifier,
            room: &mut self.room,
            out: &mut *out,
        };
        let rejected = match decoded {
            Ok(Record::Visit(visit)) => {
                self.state.visit_comes(visit, record, desk);
                None
            }
            Ok(Record::VisitEvent(event)) => {
                self.state.visit_event_comes(event, record, desk);
                None
            }
            Ok(Record::Share(share)) => {
                self.state.share_comes(share, record, desk);
                None
            }
            Ok(Record::Heartbeat(heartbeat)) => {
                self.state.heartbeat_comes(&heartbeat, desk);
                None
            }
            Ok(other) => Some(("unexpected_record", misplaced(Self::INPUT, &other))),
            Err(error) => Some((error.reason(), error.to_string())),
        };
        if let Some((reason, detail)) = rejected {
            self.state.counts.dead_letters += 1;
            out.reject(&Rejection {
                reason,
                detail: &detail,
                site: "",
                time: self.state.time,
                payload: record,
            });
        }
    }

    fn snapshot(&self) -> Result<Vec<u8>, StateError> {
        saved::write(&self.state)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), StateError> {
        self.state = saved::read(snapshot)?;
        if let Some(weights) = &self.weights {
            self.state.chains.deploy(weights.clone());
        }
        Ok(())
    }

    fn entries(&self) -> usize {
        let state = &self.state;
        state.chains.entries()
            + state.surges.entries()
            + state.calibrating.entries()
            + state.acts.entries()
            + state.waiting.len()
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = &self.state.counts;
        let [late, unraised] = self.state.surges.left_out();
        let not_followed = self.state.chains.not_followed();
        vec![
            ("returns", counts.returns),
            ("shares_joined", self.state.acts.joined()),
            ("tokens_unknown", counts.tokens_unknown),
            ("calibration_alarms", counts.calibration_alarms),
            ("late_tokens", not_followed.late_tokens),
            ("long_contents", not_followed.long_contents),
            ("visits_late_for_surges", late),
            ("surges_not_raised", unraised),
            ("dead_letters", counts.dead_letters),
        ]
    }
}
