//! `hits.classified` to `visits`, `events`, `shares`, `edges`, `cascades`, `surges`: each visit gets
//! its place in a cascade, and the evidence that only the content's history gives.

use std::sync::Arc;

use grapevine_event::{
    Channel, Edge, EdgeMethod, Heartbeat, Method, Record, Share, ShareKind, Surge, Visit,
    VisitEvent, topic,
};
use grapevine_inference::chains::{Arrival, Cause, Chains, Gift, order_evidence};
use grapevine_inference::surges::{Landing, Surges};
use grapevine_inference::{COLLECTOR, Classifier, Clock, StateError, from_bytes, to_bytes};
use serde::{Deserialize, Serialize};

use crate::classify::{RESERVED_PROPERTIES, kind_of};
use crate::outputs::{Outputs, Rejection};
use crate::stage::Stage;

/// Format of the saved state.
const FORMAT: u32 = 1;
/// Cascades that changed are written when this many did, …
const CHANGED_MAX: usize = 1_000;
/// … or when event time has gone on this far since the first of them did, or at a heartbeat.
const CHANGED_MS_MAX: i64 = 60_000;

/// Places visits into cascades. State: at most 130 MB for 459 thousand visits that may get
/// children, and 60 MB for 229 thousand contents; an import without tokens needs only the latter.
pub struct ChainStage {
    classifier: Arc<Classifier>,
    state: State,
}

#[derive(Default, Serialize, Deserialize)]
struct State {
    chains: Chains,
    surges: Surges,
    /// Version of the model that judged the last visit, for surges that end without one.
    model_version: String,
    /// Event time at which changed cascades are due.
    due: Option<i64>,
    /// Event time of the last record that could be used.
    time: i64,
    counts: Counts,
}

#[derive(Default, Serialize, Deserialize)]
struct Counts {
    returns: u64,
    tokens_unknown: u64,
    dead_letters: u64,
}

/// Completes a surge and appends it.
fn tell<'a>(mut surge: Surge<'a>, model_version: &'a str, live: bool, out: &mut Outputs) {
    surge.model_version = model_version.into();
    out.surge(&surge, live);
}

impl ChainStage {
    /// The stage with nothing remembered.
    pub fn new(classifier: Arc<Classifier>) -> ChainStage {
        ChainStage {
            classifier,
            state: State::default(),
        }
    }
}

impl Stage for ChainStage {
    const NAME: &'static str = crate::CHAIN;
    const INPUT: &'static str = topic::HITS_CLASSIFIED;

    fn process(&mut self, _offset: u64, record: &[u8], out: &mut Outputs) {
        let rejected = match Record::decode(record) {
            Ok(Record::Visit(visit)) => {
                self.state.visit(&self.classifier, visit, record, out);
                None
            }
            Ok(Record::VisitEvent(event)) => {
                self.state.visit_event(event, record, out);
                None
            }
            Ok(Record::Share(share)) => {
                self.state.share(share, record, out);
                None
            }
            Ok(Record::Heartbeat(heartbeat)) => {
                self.state.heartbeat(&heartbeat, out);
                None
            }
            Ok(other) => Some((
                "unexpected_record",
                format!("{} is no place for this record", Self::INPUT) + &kind_of(&other),
            )),
            Err(error) => Some(("undecodable", error.to_string())),
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
        to_bytes(FORMAT, &self.state)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), StateError> {
        self.state = from_bytes(FORMAT, snapshot)?;
        Ok(())
    }

    fn entries(&self) -> usize {
        self.state.chains.entries() + self.state.surges.entries()
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = &self.state.counts;
        let [late, unraised] = self.state.surges.left_out();
        vec![
            ("returns", counts.returns),
            ("tokens_unknown", counts.tokens_unknown),
            ("dead_letters", counts.dead_letters),
            ("visits_late_for_surges", late),
            ("surges_not_raised", unraised),
        ]
    }
}

impl State {
    fn visit(
        &mut self,
        classifier: &Classifier,
        mut visit: Visit<'_>,
        record: &[u8],
        out: &mut Outputs,
    ) {
        self.pass(visit.time, out);
        if visit.channel == Channel::Bot {
            out.unchanged(topic::VISITS, record);
            return;
        }
        let content = visit.content.clone();
        let token = visit.incoming_token.clone();
        let arrival = Arrival {
            site: visit.site,
            content: &content,
            visit: visit.visit_id,
            visitor: visit.visitor,
            time: visit.time,
            app: "",
            incoming_token: token.as_deref(),
            share_token: visit.share_token,
            network: visit.network,
        };
        let hints = self.chains.landing(&arrival, classifier.model());
        if visit.method == Method::Prior {
            let chains = &self.chains;
            let name_of = |app: u16| {
                let id = chains.app_name(app);
                let origin = classifier.signals().origin(id);
                origin.map_or(id, |origin| &origin.name).to_owned()
            };
            for hint in &hints {
                hint.apply(&mut visit);
                visit.evidence.push(hint.evidence(&name_of));
            }
            if !hints.is_empty() {
                order_evidence(&mut visit.evidence);
            }
        }
        let app = visit.app.clone();
        let place = self.chains.arrive(&Arrival {
            app: &app,
            ..arrival
        });
        visit.cascade_id = Some(place.cascade);
        visit.generation = Some(i32::from(place.generation));
        out.visit(topic::VISITS, &visit);
        if self.model_version != visit.model_version {
            self.model_version = visit.model_version.clone().into_owned();
        }
        if !matches!(place.cause, Cause::Return) {
            self.surge(&visit, &place.cause, out);
        }
        let (parent, lag_ms, parent_app) = match place.cause {
            Cause::Unknown => return,
            Cause::Return => {
                self.counts.returns += 1;
                return;
            }
            Cause::SomeShare => {
                self.counts.tokens_unknown += 1;
                (None, None, "")
            }
            Cause::Parent { visit, lag_ms, app } => {
                (Some(visit), Some(lag_ms), self.chains.app_name(app))
            }
        };
        out.edge(&Edge {
            site: visit.site,
            content: visit.content.clone(),
            child_visit: visit.visit_id,
            parent_visit: parent,
            time: visit.time,
            method: EdgeMethod::Token,
            probability: 1.0,
            lag_ms,
            parent_app: parent_app.into(),
            child_app: app,
            model_version: visit.model_version.clone(),
        });
        self.changed(visit.time, out);
    }

    /// A landing that is no return may be one too many for the content's baseline.
    fn surge(&mut self, visit: &Visit<'_>, cause: &Cause, out: &mut Outputs) {
        let clock = self.chains.clock_of(visit.time);
        let landing = Landing {
            clock,
            site: visit.site,
            content: &visit.content,
            time: visit.time,
            dark: [
                visit.dark_probability_low,
                visit.dark_probability,
                visit.dark_probability_high,
            ],
            decided: visit.method != Method::Prior,
            app: match visit.channel {
                Channel::DarkSocial => &visit.app,
                _ => "",
            },
            network: visit.network,
            chained: matches!(cause, Cause::Parent { .. }),
        };
        let version = &self.model_version;
        self.surges.visit(&landing, &mut |surge| {
            tell(surge, version, clock == Clock::Live, out);
        });
    }

    fn visit_event(&mut self, mut event: VisitEvent<'_>, record: &[u8], out: &mut Outputs) {
        self.pass(event.time, out);
        let [token_name, visitor_name] = RESERVED_PROPERTIES;
        let reserved = |name: &str| {
            let property = event.props.iter().find(|property| property.name == name);
            property.map(|property| property.value.clone())
        };
        let Some(token) = reserved(token_name) else {
            out.unchanged(topic::EVENTS, record);
            return;
        };
        let visitor = reserved(visitor_name).and_then(|visitor| visitor.parse().ok());
        if let Some(visit) = event.visit_id {
            self.chains.give(&Gift {
                site: event.site,
                content: &event.content,
                visit,
                visitor,
                time: event.time,
                token: &token,
            });
        }
        let names = RESERVED_PROPERTIES;
        event
            .props
            .retain(|property| !names.contains(&property.name));
        out.visit_event(topic::EVENTS, &event);
    }

    fn share(&mut self, mut share: Share<'_>, record: &[u8], out: &mut Outputs) {
        self.pass(share.time, out);
        let sharer = self.chains.share(&share);
        self.surges.share(self.chains.clock_of(share.time), &share);
        if share.kind != ShareKind::Preview
            && let (Some(visit), Some(token)) = (share.sharer_visit, share.token.as_deref())
        {
            self.chains.give(&Gift {
                site: share.site,
                content: &share.content,
                visit,
                visitor: share.visitor,
                time: share.time,
                token,
            });
        }
        if share.sharer_visit.is_none() && sharer.is_some() {
            share.sharer_visit = sharer;
            out.share(topic::SHARES, &share);
        } else {
            out.unchanged(topic::SHARES, record);
        }
    }

    fn heartbeat(&mut self, heartbeat: &Heartbeat<'_>, out: &mut Outputs) {
        if heartbeat.source == COLLECTOR {
            self.chains.heartbeat(heartbeat.event_time);
            let version = &self.model_version;
            self.surges.pass(heartbeat.event_time, &mut |surge| {
                tell(surge, version, true, out);
            });
        }
        self.write_changed(out);
    }

    /// Event time goes on.
    fn pass(&mut self, time: i64, out: &mut Outputs) {
        self.time = time;
        if self.due.is_some_and(|due| time >= due) {
            self.write_changed(out);
        }
    }

    fn changed(&mut self, time: i64, out: &mut Outputs) {
        let changed = self.chains.changed();
        if changed >= CHANGED_MAX {
            self.write_changed(out);
        } else if changed > 0 && self.due.is_none() {
            self.due = Some(time.saturating_add(CHANGED_MS_MAX));
        }
    }

    fn write_changed(&mut self, out: &mut Outputs) {
        self.due = None;
        self.chains
            .take_changed(&mut |cascade| out.cascade(cascade));
    }
}
