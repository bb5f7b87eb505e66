//! In which order the stage takes what comes: as it comes, but for landings that wait for the owner of
//! their token, and what comes behind them.

use grapevine_event::{Channel, Heartbeat, Record, Share, ShareKind, Visit, VisitEvent, topic};
use grapevine_inference::chains::Chains;
use grapevine_inference::{COLLECTOR, Classifier, Clock};

use super::state::{Room, State, arrival_of, given_to};
use super::waiting::{Behind, Key, Keys, LetGo};
use crate::classify::emptied;
use crate::outputs::Outputs;

/// What taking a record needs beside the state.
pub(super) struct Desk<'d> {
    pub(super) classifier: &'d Classifier,
    pub(super) room: &'d mut Room,
    pub(super) out: &'d mut Outputs,
}

impl State {
    /// A visit comes.
    pub(super) fn visit_comes(&mut self, visit: Visit<'_>, record: &[u8], desk: &mut Desk<'_>) {
        self.time_passes(visit.time, desk);
        if visit.channel == Channel::Bot {
            // Written anew: it may be as an earlier release wrote it.
            desk.out.visit(topic::VISITS, &visit);
            desk.room.evidence = emptied(visit.evidence);
            return;
        }
        let given = self.visit_waits_or_lands(visit, record, desk);
        self.release_children(given, desk);
    }

    /// Something that was done in a visit comes.
    pub(super) fn visit_event_comes(
        &mut self,
        event: VisitEvent<'_>,
        record: &[u8],
        desk: &mut Desk<'_>,
    ) {
        self.time_passes(event.time, desk);
        let given = self.visit_event_waits_or_counts(event, record, desk);
        self.release_children(given, desk);
    }

    /// An act of sharing comes.
    pub(super) fn share_comes(&mut self, share: Share<'_>, record: &[u8], desk: &mut Desk<'_>) {
        self.time_passes(share.time, desk);
        let given = self.share_waits_or_counts(share, record, desk);
        self.release_children(given, desk);
    }

    /// A heartbeat comes.
    pub(super) fn heartbeat_comes(&mut self, heartbeat: &Heartbeat<'_>, desk: &mut Desk<'_>) {
        let of_collector = heartbeat.source == COLLECTOR;
        if of_collector {
            let time = heartbeat.event_time;
            self.waiting.heartbeat(time);
            while let Some(first) = self.waiting.due(Clock::Live) {
                self.release(first, desk);
            }
            while let Some(first) = self.waiting.outwaited(time) {
                self.release(first, desk);
            }
        }
        // What came before the first of the collector's was taken for an import's.
        if !of_collector || !self.chains.is_live() {
            while let Some(first) = self.waiting.left() {
                self.release(first, desk);
            }
        }
        self.heartbeat(desk.classifier, heartbeat, desk.out);
    }

    /// Event time goes on: who has waited long enough for the owner of his token waits no longer.
    fn time_passes(&mut self, time: i64, desk: &mut Desk<'_>) {
        let clock = self.chains.clock_of(time);
        self.waiting.pass(clock, time);
        while let Some(first) = self.waiting.due(clock) {
            self.release(first, desk);
        }
        self.pass(desk.classifier, time, desk.out);
    }

    /// A landing waits for the owner of its token, or behind one of the same reader, or is placed. Gives the
    /// token that it was given then, where somebody waits at all.
    fn visit_waits_or_lands(
        &mut self,
        visit: Visit<'_>,
        record: &[u8],
        desk: &mut Desk<'_>,
    ) -> Option<u64> {
        let reader = reader_of(visit.site, visit.visitor);
        if self.waits_behind(&[reader], record, desk)
            || self.waits_for_owner(&visit, reader, record)
        {
            desk.room.evidence = emptied(visit.evidence);
            return None;
        }
        let given = match self.waiting.is_empty() {
            true => None,
            false => token_given(&visit),
        };
        self.land(desk.classifier, visit, desk.room, desk.out);
        given
    }

    /// What was done in a visit waits behind its landing, or counts. Gives the token that it gave then.
    fn visit_event_waits_or_counts(
        &mut self,
        event: VisitEvent<'_>,
        record: &[u8],
        desk: &mut Desk<'_>,
    ) -> Option<u64> {
        // Who is given no token changes nothing of chains.
        if let Some(visitor) = given_to(&event) {
            let keys = [
                event.visit_id.map(Key::Visit),
                reader_of(event.site, visitor),
            ];
            if self.waits_behind(&keys, record, desk) {
                return None;
            }
        }
        self.visit_event(desk.classifier, event, record, desk.out)
    }

    /// The same of an act of sharing.
    fn share_waits_or_counts(
        &mut self,
        share: Share<'_>,
        record: &[u8],
        desk: &mut Desk<'_>,
    ) -> Option<u64> {
        if share.kind != ShareKind::Preview {
            let keys = [
                share.sharer_visit.map(Key::Visit),
                reader_of(share.site, share.visitor),
            ];
            if self.waits_behind(&keys, record, desk) {
                return None;
            }
        }
        self.share(desk.classifier, share, record, desk.out)
    }

    /// True where a record waits behind the landing with one of these keys. Where there is no room, that
    /// landing goes first.
    fn waits_behind(&mut self, keys: &[Option<Key>], record: &[u8], desk: &mut Desk<'_>) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        loop {
            match self.waiting.put_behind(keys, record) {
                Behind::Nobody => return false,
                Behind::Waits => return true,
                Behind::Full(key) => {
                    if let Some(first) = self.waiting.by_key(key) {
                        self.release(first, desk);
                    }
                }
            }
        }
    }

    /// True where a landing waits for the owner of its token.
    fn waits_for_owner(&mut self, visit: &Visit<'_>, reader: Option<Key>, record: &[u8]) -> bool {
        let arrival = arrival_of(visit, &visit.content, visit.incoming_token.as_deref());
        let Some(token) = self.chains.awaited(&arrival) else {
            return false;
        };
        let keys = Keys {
            token,
            visit: visit.visit_id,
            reader,
        };
        let clock = self.chains.clock_of(visit.time);
        self.waiting.put(clock, visit.time, keys, record)
    }

    /// A landing waits no longer, nor does who came by what it gives.
    fn release(&mut self, first: LetGo, desk: &mut Desk<'_>) {
        let mut tokens = Vec::new();
        self.place(first, &mut tokens, desk);
        self.release_by(tokens, desk);
    }

    /// Somebody was given a token, told by its key: who came by it waits no longer.
    fn release_children(&mut self, token: Option<u64>, desk: &mut Desk<'_>) {
        if !self.waiting.is_empty() {
            let tokens = token.into_iter().collect();
            self.release_by(tokens, desk);
        }
    }

    /// Who came by one of these tokens waits no longer, nor who came by theirs. A list, as a chain that
    /// comes backwards would be as deep as the stack.
    fn release_by(&mut self, mut tokens: Vec<u64>, desk: &mut Desk<'_>) {
        while let Some(token) = tokens.pop() {
            while let Some(next) = self.waiting.by_key(Key::Token(token)) {
                self.place(next, &mut tokens, desk);
            }
        }
    }

    /// Places a landing that has waited and takes what came behind it, of which another landing may have to
    /// wait in its turn; adds the tokens that they give.
    fn place(&mut self, let_go: LetGo, tokens: &mut Vec<u64>, desk: &mut Desk<'_>) {
        let LetGo { record, behind } = let_go;
        // Only visits are first.
        if let Ok(Record::Visit(visit)) = Record::decode(&record) {
            tokens.extend(token_given(&visit));
            self.land(desk.classifier, visit, desk.room, desk.out);
        }
        for record in &behind {
            let given = match Record::decode(record) {
                Ok(Record::Visit(visit)) => self.visit_waits_or_lands(visit, record, desk),
                Ok(Record::VisitEvent(event)) => {
                    self.visit_event_waits_or_counts(event, record, desk)
                }
                Ok(Record::Share(share)) => self.share_waits_or_counts(share, record, desk),
                // Nothing else was put there.
                _ => None,
            };
            tokens.extend(given);
        }
    }
}

/// Key of a reader of a site, where known.
fn reader_of(site: &str, visitor: Option<i64>) -> Option<Key> {
    visitor.map(|visitor| Key::Reader(Chains::site_key(site), visitor))
}

/// Key of the token that a visit was given.
fn token_given(visit: &Visit<'_>) -> Option<u64> {
    let token = visit.share_token?;
    Some(Chains::token_key(visit.site, token))
}
