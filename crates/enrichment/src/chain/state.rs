//! What the stage remembers, and what it does with each record.

use std::borrow::Cow;

use grapevine_event::{
    Channel, Edge, EdgeMethod, Evidence, Heartbeat, Method, ParentKind, Share, ShareKind, Surge,
    Visit, VisitEvent, VisitorBasis, topic,
};
use grapevine_inference::calibration::TokenOwner;
use grapevine_inference::causes::Marks;
use grapevine_inference::chains::{
    Arrival, Cause, Chains, Finding, Gift, Judgement, Reproductions, add_to_rest, order_evidence,
    own_token,
};
use grapevine_inference::shares::Acts;
use grapevine_inference::surges::Surges;
use grapevine_inference::{COLLECTOR, Classifier, Clock, Model, evidence};
use serde::{Deserialize, Serialize};

use super::waiting::Waiting;
use crate::calibrating::{Beside, Calibrating};
use crate::classify::{RESERVED_PROPERTIES, emptied};
use crate::outputs::Outputs;

/// Cascades that changed are written when this many did, …
const CHANGED_MAX: usize = 1_000;
/// … or when event time has gone on this far since the first of them did, or at a heartbeat.
const CHANGED_MS_MAX: i64 = 60_000;
/// A fact that leaves more than this of P(privately passed on) does not say where a reader came
/// from: an app that posts and messages share, say.
const OUTSIDE_DARK_MAX: f32 = 0.02;
/// Pages that everybody opens.
const FRONTS: [&str; 2] = [evidence::HOME_PAGE, evidence::SECTION_FRONT];

/// Room to work in, which says nothing of what was before.
#[derive(Default)]
pub(super) struct Room {
    /// An empty list for the evidence of the next visit.
    pub(super) evidence: Vec<Evidence<'static>>,
    /// For the words of what the content's history says.
    words: String,
}

#[derive(Default, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) chains: Chains,
    pub(super) surges: Surges,
    pub(super) calibrating: Calibrating,
    pub(super) acts: Acts,
    pub(super) waiting: Waiting,
    /// Event time at which changed cascades are due.
    pub(super) due: Option<i64>,
    /// Event time of the last record that could be used.
    pub(super) time: i64,
    pub(super) counts: Counts,
}

#[derive(Default, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) returns: u64,
    pub(super) tokens_unknown: u64,
    pub(super) dead_letters: u64,
    pub(super) calibration_alarms: u64,
}

/// Completes a surge and appends it.
fn tell<'a>(
    mut surge: Surge<'a>,
    reproductions: Reproductions<'_>,
    model_version: &'a str,
    clock: Clock,
    out: &mut Outputs,
) {
    let reproduction = reproductions.in_rise(clock, surge.site, &surge.content, surge.updated);
    surge.reproduction_number = reproduction.map(|range| range.likely);
    surge.reproduction_low = reproduction.map(|range| range.low);
    surge.reproduction_high = reproduction.map(|range| range.high);
    surge.model_version = model_version.into();
    out.surge(&surge, clock == Clock::Live);
}

impl State {
    /// Judges a landing by its content's history, gives it its place and tells it to all that infers.
    pub(super) fn land(
        &mut self,
        classifier: &Classifier,
        visit: Visit<'_>,
        room: &mut Room,
        out: &mut Outputs,
    ) {
        // Its evidence borrows words of the room from here on.
        let mut visit = visit;
        let content = visit.content.clone();
        let token = visit.incoming_token.clone();
        let arrival = arrival_of(&visit, &content, token.as_deref());
        let (chains, mut found) = self.finding(classifier, out);
        chains.reach(arrival.time, &mut |finding| found.put(finding));
        let mut hints = self.chains.landing(&arrival, classifier.model());
        let front = is_front(&visit, classifier);
        if front {
            hints = hints.on_front();
        }
        if visit.visitor_basis == VisitorBasis::Client {
            hints = hints.of_a_visitor_with_id();
        }
        let by_token = visit.method == Method::Token && add_to_rest(&mut visit.evidence, &hints);
        if visit.method == Method::Prior {
            hints.iter().for_each(|hint| hint.apply(&mut visit));
        }
        if by_token || visit.method == Method::Prior {
            let chains = &self.chains;
            let name_of = |app: u16| {
                let id = chains.app_name(app);
                let origin = classifier.signals().origin(id);
                Cow::Borrowed(origin.map_or(id, |origin| &origin.name))
            };
            let evidence = hints.evidence(&name_of, &mut room.words);
            visit.evidence.extend(evidence);
        }
        let owner_seen = self.chains.owner_is_seen(&arrival);
        let owner = self.calibrating.owner(&mut visit, owner_seen);
        let beside = Beside {
            front,
            company: hints.company(),
            private_readers: hints.private_readers(),
            owner,
        };
        let version = self.calibrating.visit(classifier, &mut visit, beside);
        let mut visit = match &version {
            Some(version) => Visit {
                model_version: Cow::Borrowed(version),
                ..visit
            },
            None => visit,
        };
        order_evidence(&mut visit.evidence, visit.method);
        let app = visit.app.clone();
        let arrival = Arrival {
            app: &app,
            ..arrival
        };
        let judgement = judgement(&visit, owner, classifier.model());
        let place = self.chains.arrive(&arrival, &judgement);
        visit.cascade_id = Some(place.cascade);
        visit.generation = Some(i32::from(place.generation));
        out.visit(topic::VISITS, &visit);
        self.token_edge(&visit, &place.cause, &judgement, out);
        let (chains, mut found) = self.finding(classifier, out);
        chains.read(&arrival, &place, &judgement, &mut |finding| {
            found.put(finding)
        });
        room.evidence = emptied(visit.evidence);
    }

    /// Writes the edge of a token that came, and what is left for that it is the reader's own.
    fn token_edge(
        &mut self,
        visit: &Visit<'_>,
        cause: &Cause,
        judgement: &Judgement,
        out: &mut Outputs,
    ) {
        let (parent, lag_ms, parent_app, kind) = match cause {
            Cause::Unknown => return,
            Cause::Return => {
                self.counts.returns += 1;
                return;
            }
            Cause::SomeShare => {
                self.counts.tokens_unknown += 1;
                (None, None, "", ParentKind::Unknown)
            }
            Cause::AnyShare => {
                // Whose it may be is inferred, as of any other reader.
                self.counts.tokens_unknown += 1;
                return;
            }
            Cause::Parent { visit, lag_ms, app } => {
                let app = self.chains.app_name(*app);
                (Some(*visit), Some(*lag_ms), app, ParentKind::Visitor)
            }
        };
        let edge = Edge {
            site: visit.site,
            content: visit.content.clone(),
            child_visit: visit.visit_id,
            parent_visit: parent,
            time: visit.time,
            method: EdgeMethod::Token,
            probability: judgement.sure(),
            lag_ms,
            parent_app: parent_app.into(),
            child_app: visit.app.clone(),
            model_version: visit.model_version.clone(),
            parent_kind: kind,
            sign: 1,
        };
        out.edge(&edge);
        if let Some(own) = own_token(&edge) {
            out.edge(&own);
        }
        self.changed(visit.time, out);
    }

    /// The chains, and what is done with what they find.
    fn finding<'s>(
        &'s mut self,
        classifier: &'s Classifier,
        out: &'s mut Outputs,
    ) -> (&'s mut Chains, Found<'s>) {
        let found = Found {
            surges: &mut self.surges,
            calibrating: &self.calibrating,
            classifier,
            counts: &mut self.counts,
            out,
        };
        (&mut self.chains, found)
    }

    /// Takes what somebody did in a visit; gives the key of the token that he was given with it.
    pub(super) fn visit_event(
        &mut self,
        classifier: &Classifier,
        mut event: VisitEvent<'_>,
        record: &[u8],
        out: &mut Outputs,
    ) -> Option<u64> {
        let [token_name, visitor_name] = RESERVED_PROPERTIES;
        let reserved = |name: &str| {
            let property = event.props.iter().find(|property| property.name == name);
            property.map(|property| property.value.clone())
        };
        let Some(token) = reserved(token_name) else {
            out.unchanged(topic::EVENTS, event.site, event.time, record);
            return None;
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
            let (chains, mut found) = self.finding(classifier, out);
            let emit = &mut |finding: Finding<'_>| found.put(finding);
            chains.adopt(event.site, &event.content, &token, visitor, emit);
        }
        let names = RESERVED_PROPERTIES;
        event
            .props
            .retain(|property| !names.contains(&property.name));
        out.visit_event(topic::EVENTS, &event);
        event.visit_id?;
        Some(Chains::token_key(event.site, &token))
    }

    /// Takes an act of sharing; gives the key of the token that it gave.
    pub(super) fn share(
        &mut self,
        classifier: &Classifier,
        mut share: Share<'_>,
        record: &[u8],
        out: &mut Outputs,
    ) -> Option<u64> {
        let new = self.acts.is_new(self.chains.clock_of(share.time), &share);
        if new {
            self.calibrating.share(&share);
        }
        // Who presses twice is given two tokens, and either may be passed on.
        let mut given = None;
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
            let (chains, mut found) = self.finding(classifier, out);
            let emit = &mut |finding: Finding<'_>| found.put(finding);
            chains.adopt(share.site, &share.content, token, share.visitor, emit);
            given = Some(Chains::token_key(share.site, token));
        }
        if !new {
            return given;
        }
        let sharer = self.chains.share(&share);
        let (chains, mut found) = self.finding(classifier, out);
        let emit = &mut |finding: Finding<'_>| found.put(finding);
        chains.pass_on(&share, sharer, emit);
        if share.sharer_visit.is_none() && sharer.is_some() {
            share.sharer_visit = sharer;
            out.share(topic::SHARES, &share);
        } else {
            out.unchanged(topic::SHARES, share.site, share.time, record);
        }
        given
    }

    pub(super) fn heartbeat(
        &mut self,
        classifier: &Classifier,
        heartbeat: &Heartbeat<'_>,
        out: &mut Outputs,
    ) {
        self.calibrating.heartbeat(heartbeat, classifier, out);
        let (chains, mut found) = self.finding(classifier, out);
        let emit = &mut |finding: Finding<'_>| found.put(finding);
        match heartbeat.source {
            COLLECTOR => chains.heartbeat(heartbeat.event_time, emit),
            _ => chains.import_ended(emit),
        }
        self.write_changed(out);
    }

    /// Event time goes on.
    pub(super) fn pass(&mut self, classifier: &Classifier, time: i64, out: &mut Outputs) {
        self.time = time;
        self.calibrating.pass(time, classifier, out);
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

/// Whom something that was done in a visit gave a token: his pseudonym, where known. None where it gave none.
pub(super) fn given_to(event: &VisitEvent<'_>) -> Option<Option<i64>> {
    let [token, visitor] = RESERVED_PROPERTIES;
    let value = |name: &str| {
        let property = event.props.iter().find(|property| property.name == name);
        property.map(|property| &property.value)
    };
    value(token)?;
    Some(value(visitor).and_then(|visitor| visitor.parse().ok()))
}

/// A visit as a landing, of an app that is not known yet.
pub(super) fn arrival_of<'v>(
    visit: &Visit<'v>,
    content: &'v str,
    token: Option<&'v str>,
) -> Arrival<'v> {
    Arrival {
        site: visit.site,
        content,
        visit: visit.visit_id,
        visitor: visit.visitor,
        time: visit.time,
        app: "",
        incoming_token: token,
        share_token: visit.share_token,
        network: visit.network,
    }
}

/// True of a home page or a section's front, where nothing or a token alone decided. Of a token's landing the
/// evidence does not say so.
fn is_front(visit: &Visit<'_>, classifier: &Classifier) -> bool {
    let has = |name: &str| visit.evidence.iter().any(|fact| fact.name == name);
    match visit.method {
        Method::Token => {
            if !has(evidence::WITHOUT_TOKEN) && !has(evidence::TOKEN_AGAIN) {
                return false;
            }
            let link = classifier.signals().link(&visit.content);
            link.is_ok_and(|link| link.shape.is_home || link.shape.is_section_front)
        }
        _ => FRONTS.into_iter().any(has),
    }
}

/// What a visit says of itself to its content's chains.
fn judgement(visit: &Visit<'_>, owner: TokenOwner, model: &Model) -> Judgement {
    let dark = [
        visit.dark_probability_low,
        visit.dark_probability,
        visit.dark_probability_high,
    ];
    // Where nothing but the token says where a visit came from, or it is known for the reader's own: of tokens
    // that were passed on a part comes in private, so that what is private is that part of them.
    let has = |name: &str| visit.evidence.iter().any(|fact| fact.name == name);
    let passed_on = match has(evidence::WITHOUT_TOKEN) || has(evidence::TOKEN_AGAIN) {
        true => {
            let private = model.token();
            let parts = [private.low, private.likely, private.high];
            std::array::from_fn(|end| part_of(f64::from(dark[end]), parts[end]))
        }
        false => [1.0; 3],
    };
    // Of such a token alone others are not told by which way its reader came.
    let may_be_made_up = owner == TokenOwner::Nobody && has(evidence::WITHOUT_TOKEN);
    Judgement {
        outside: is_from_outside(visit),
        decided: visit.method != Method::Prior,
        way_known: visit.method != Method::Prior
            && visit.channel != Channel::Internal
            && !may_be_made_up,
        traceless: visit.method == Method::Prior
            || has(evidence::WITHOUT_TOKEN)
            || has(evidence::TOKEN_AGAIN),
        private: visit.channel == Channel::DarkSocial,
        dark,
        passed_on,
        device: Marks::device_of(&[
            visit.system,
            visit.device.as_str(),
            visit.language.as_deref().unwrap_or_default(),
        ]),
    }
}

/// What part of `whole` that is, 0 to 1; 0 of what is no number.
fn part_of(part: f64, whole: f64) -> f32 {
    let part = part / whole.max(1e-6);
    match part > 0.0 {
        true => part.min(1.0) as f32,
        false => 0.0,
    }
}

/// True where a fact says that a visit came from outside.
fn is_from_outside(visit: &Visit<'_>) -> bool {
    let outside = match visit.channel {
        Channel::Search
        | Channel::Social
        | Channel::Referral
        | Channel::Campaign
        | Channel::Mail
        | Channel::Paid
        | Channel::Internal
        | Channel::Assistant => true,
        Channel::Direct | Channel::DarkSocial | Channel::Bot => false,
    };
    outside && visit.method != Method::Prior && visit.dark_probability <= OUTSIDE_DARK_MAX
}

/// Where what is found belongs.
struct Found<'s> {
    surges: &'s mut Surges,
    calibrating: &'s Calibrating,
    classifier: &'s Classifier,
    counts: &'s mut Counts,
    out: &'s mut Outputs,
}

impl Found<'_> {
    fn put(&mut self, finding: Finding<'_>) {
        let out = &mut *self.out;
        let version = |site: &str| self.calibrating.version(self.classifier, site);
        match finding {
            Finding::Edge(edge) => out.edge(&edge),
            Finding::Spread(spread) => out.spread(&spread),
            Finding::Model(model) => {
                if model.alarm {
                    self.counts.calibration_alarms += 1;
                    tracing::warn!(
                        site = model.site,
                        version = &*model.version,
                        scored = model.scored,
                        calibration_error = model.ece,
                        "causes of arrivals are right less often than is said on this site"
                    );
                }
                out.chain_model(&model);
            }
            // One landing may be one too many for its content's baseline.
            Finding::Landed(landing, reproductions) => {
                self.surges.visit(&landing, &mut |surge| {
                    let version = version(surge.site);
                    tell(surge, reproductions, version, landing.clock, out);
                });
            }
            Finding::Shared(act) => self.surges.share(&act),
            Finding::Passed(time, reproductions) => self.surges.pass(time, &mut |surge| {
                let version = version(surge.site);
                tell(surge, reproductions, version, Clock::Live, out);
            }),
        }
    }
}
