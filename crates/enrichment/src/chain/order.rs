//! In which order the stage takes what comes: as it comes, but for landings that wait for the owner of
//! their token, and what comes behind them.

use grapevine_event::{Channel, Heartbeat, Record, Share, ShareKind, Visit, VisitEvent, topic};
use grapevine_inference::chains::Chains;
use grapevine_inference::{COLLECTOR, Classifier, Clock};

use super::state::{Room, State, arrival_of, gives_token};
use super::waiting::{Key, Keys, LetGo};
use crate::classify::emptied;
use crate::outputs::Outputs;

impl State {
    /// A visit comes.
    pub(super) fn visit_comes(
        &mut self,
        classifier: &Classifier,
        visit: Visit<'_>,
        record: &[u8],
        room: &mut Room,
        out: &mut Outputs,
    ) {
        self.time_passes(classifier, visit.time, room, out);
        if visit.channel == Channel::Bot {
            // Written anew: it may be as an earlier release wrote it.
            out.visit(topic::VISITS, &visit);
            room.evidence = emptied(visit.evidence);
            return;
        }
        if self.waits(&visit, record) {
            room.evidence = emptied(visit.evidence);
            return;
        }
        let given = match self.waiting.is_empty() {
            true => None,
            false => token_given(&visit),
        };
        self.land(classifier, visit, room, out);
        self.owned(given, classifier, room, out);
    }

    /// Something that was done in a visit comes.
    pub(super) fn visit_event_comes(
        &mut self,
        classifier: &Classifier,
        event: VisitEvent<'_>,
        record: &[u8],
        room: &mut Room,
        out: &mut Outputs,
    ) {
        self.time_passes(classifier, event.time, room, out);
        if let Some(visit) = event.visit_id
            && gives_token(&event)
            && self.waiting.put_behind(Key::Visit(visit), record)
        {
            return;
        }
        let given = self.visit_event(classifier, event, record, out);
        self.owned(given, classifier, room, out);
    }

    /// An act of sharing comes.
    pub(super) fn share_comes(
        &mut self,
        classifier: &Classifier,
        share: Share<'_>,
        record: &[u8],
        room: &mut Room,
        out: &mut Outputs,
    ) {
        self.time_passes(classifier, share.time, room, out);
        if let Some(visit) = share.sharer_visit
            && share.kind != ShareKind::Preview
            && self.waiting.put_behind(Key::Visit(visit), record)
        {
            return;
        }
        let given = self.share(classifier, share, record, out);
        self.owned(given, classifier, room, out);
    }

    /// A heartbeat comes.
    pub(super) fn heartbeat_comes(
        &mut self,
        classifier: &Classifier,
        heartbeat: &Heartbeat<'_>,
        room: &mut Room,
        out: &mut Outputs,
    ) {
        match heartbeat.source {
            COLLECTOR => {
                let time = heartbeat.event_time;
                self.waiting.heartbeat(time);
                while let Some(first) = self.waiting.due(Clock::Live) {
                    self.let_go(first, classifier, room, out);
                }
                while let Some(first) = self.waiting.outwaited(time) {
                    self.let_go(first, classifier, room, out);
                }
            }
            _ => {
                while let Some(first) = self.waiting.left() {
                    self.let_go(first, classifier, room, out);
                }
            }
        }
        self.heartbeat(classifier, heartbeat, out);
    }

    /// Event time goes on: who has waited long enough for the owner of his token waits no longer.
    fn time_passes(
        &mut self,
        classifier: &Classifier,
        time: i64,
        room: &mut Room,
        out: &mut Outputs,
    ) {
        let clock = self.chains.clock_of(time);
        self.waiting.pass(clock, time);
        while let Some(first) = self.waiting.due(clock) {
            self.let_go(first, classifier, room, out);
        }
        self.pass(classifier, time, out);
    }

    /// True where a landing waits now: for the owner of its token, or behind one of the same reader.
    fn waits(&mut self, visit: &Visit<'_>, record: &[u8]) -> bool {
        let content = || Chains::content_key(visit.site, &visit.content);
        if !self.waiting.is_empty()
            && let Some(visitor) = visit.visitor
            && self
                .waiting
                .put_behind(Key::Reader(content(), visitor), record)
        {
            return true;
        }
        let arrival = arrival_of(visit, &visit.content, visit.incoming_token.as_deref());
        let Some(token) = self.chains.awaited(&arrival) else {
            return false;
        };
        let keys = Keys {
            token,
            visit: visit.visit_id,
            content: content(),
            visitor: visit.visitor,
        };
        let clock = self.chains.clock_of(visit.time);
        self.waiting.put(clock, visit.time, keys, record)
    }

    /// Somebody was given a token, told by its key: who came by it waits no longer.
    fn owned(
        &mut self,
        token: Option<u64>,
        classifier: &Classifier,
        room: &mut Room,
        out: &mut Outputs,
    ) {
        if !self.waiting.is_empty() {
            let tokens = token.into_iter().collect();
            self.let_go_by(tokens, classifier, room, out);
        }
    }

    /// A landing waits no longer, nor does who came by what it gives.
    fn let_go(
        &mut self,
        first: LetGo,
        classifier: &Classifier,
        room: &mut Room,
        out: &mut Outputs,
    ) {
        let mut tokens = Vec::new();
        self.take(first, &mut tokens, classifier, room, out);
        self.let_go_by(tokens, classifier, room, out);
    }

    /// Who came by one of these tokens waits no longer, nor who came by theirs. A list, as a chain that
    /// comes backwards would be as deep as the stack.
    fn let_go_by(
        &mut self,
        mut tokens: Vec<u64>,
        classifier: &Classifier,
        room: &mut Room,
        out: &mut Outputs,
    ) {
        while let Some(token) = tokens.pop() {
            while let Some(next) = self.waiting.of_key(Key::Token(token)) {
                self.take(next, &mut tokens, classifier, room, out);
            }
        }
    }

    /// Takes a landing that has waited and what came behind it; adds the tokens that they give.
    fn take(
        &mut self,
        let_go: LetGo,
        tokens: &mut Vec<u64>,
        classifier: &Classifier,
        room: &mut Room,
        out: &mut Outputs,
    ) {
        let LetGo { record, behind } = let_go;
        for record in std::iter::once(&record).chain(&behind) {
            let given = match Record::decode(record) {
                Ok(Record::Visit(visit)) => {
                    let given = token_given(&visit);
                    self.land(classifier, visit, room, out);
                    given
                }
                Ok(Record::VisitEvent(event)) => self.visit_event(classifier, event, record, out),
                Ok(Record::Share(share)) => self.share(classifier, share, record, out),
                // Nothing else was put there.
                _ => None,
            };
            tokens.extend(given);
        }
    }
}

/// Key of the token that a visit was given.
fn token_given(visit: &Visit<'_>) -> Option<u64> {
    let token = visit.share_token?;
    Some(Chains::token_key(visit.site, token))
}
