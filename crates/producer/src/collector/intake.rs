//! Hits as sent into records: rights, times, pseudonyms, and dead letters of what is wrong.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use grapevine_event::{
    DEAD_LETTER_BYTES_MAX, DeadLetter, Hit, Id, Property, Protocol, VisitorBasis, topic,
};

use super::answer::{ERRORS_TOLD_MAX, Rejection};
use super::body::{Unread, refuse};
use super::budget::Share;
use super::letter::Kept;
use super::records::{Records, Route};
use super::sender::Sender;
use super::{AHEAD_MS_MAX, BACK_MS_MAX, Inner, REQUEST_RECORDS_BYTES_MAX};
use crate::mask::mask_addresses;
use crate::native::{FieldError, NativeHit};
use crate::pseudonym::{DayPseudonyms, Origin};

/// Latest time that anybody may say, milliseconds since 1970: the year 2100.
const LATEST_MS: i64 = 4_102_444_800_000;
/// Records of a request that take nothing of what all have together: those of a page's own hits,
/// so that these are taken when large batches are put off.
pub(super) const RECORDS_FREE_BYTES: usize = 64 * 1024;
/// Beside these, memory is taken in steps of so many bytes: it is not asked for at every hit.
const RECORDS_STEP_BYTES: usize = 256 * 1024;
/// Most bytes that a dead letter says of what is wrong.
const DETAIL_BYTES_MAX: usize = 8 * 1024;

/// Makes the records of one request.
pub(super) struct Intake<'a> {
    collector: &'a Inner,
    sender: &'a Sender,
    protocol: Protocol,
    day: DayPseudonyms,
    pub(super) records: Records,
    /// The memory of the records.
    pub(super) share: Share,
    pub(super) accepted: usize,
    pub(super) opted_out: usize,
    pub(super) rejected: usize,
    /// Wrong fields, the first [`ERRORS_TOLD_MAX`].
    pub(super) rejections: Vec<Rejection>,
    /// Reason of each dead letter.
    pub(super) letters: Vec<&'static str>,
}

impl<'a> Intake<'a> {
    pub(super) fn new(collector: &'a Inner, sender: &'a Sender, protocol: Protocol) -> Self {
        Intake {
            collector,
            sender,
            protocol,
            day: collector.pseudonyms.of_day(sender.received_ms),
            records: Records::default(),
            share: Share::default(),
            accepted: 0,
            opted_out: 0,
            rejected: 0,
            rejections: Vec::new(),
            letters: Vec::new(),
        }
    }

    /// Takes hit number `index` of the request, or keeps why not; `sent` is the hit as sent.
    ///
    /// # Errors
    /// The request becomes too much, or there is no memory for it now: nothing of it is stored.
    pub(super) fn take(
        &mut self,
        index: usize,
        hit: Result<NativeHit, Vec<FieldError>>,
        sent: &[u8],
    ) -> Result<(), Unread> {
        let outcome = hit.and_then(|hit| {
            let errors = self.check(&hit);
            if errors.is_empty() {
                self.hit(&hit)
            } else {
                Err(errors)
            }
        });
        match outcome {
            Ok(()) => {
                self.accepted += 1;
                self.opted_out += usize::from(self.sender.opted_out);
            }
            Err(errors) => self.reject(index, errors, sent),
        }
        self.hold()
    }

    /// Takes the memory of the records that there are.
    fn hold(&mut self) -> Result<(), Unread> {
        let bytes = self.records.bytes();
        if bytes > REQUEST_RECORDS_BYTES_MAX {
            let error = format!(
                "the hits become more than {REQUEST_RECORDS_BYTES_MAX} bytes, with the headers of \
                 the request that each of them repeats, or with what is wrong with each: send them \
                 in several requests"
            );
            return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, error));
        }
        let beside = bytes.saturating_sub(RECORDS_FREE_BYTES);
        let beside = beside.next_multiple_of(RECORDS_STEP_BYTES);
        self.share.hold(beside, &self.collector.records)?;
        Ok(())
    }

    fn check(&self, hit: &NativeHit) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let config = &self.collector.config;
        if !config.sites.is_empty() && !config.sites.contains(&hit.site) {
            let error = format!(
                "site {} is not counted here: add it to the collector's sites",
                hit.site
            );
            errors.push(FieldError::new("site", error));
        }
        if hit.address.is_some() && !self.sender.has_key {
            let error = if self.sender.has_wrong_key {
                "the key sent is not the server key: check Authorization: Bearer KEY"
            } else {
                "only a server may say the reader's address: send Authorization: Bearer KEY"
            };
            errors.push(FieldError::new("address", error));
        }
        if let Some(time_ms) = hit.time_ms {
            let now = self.sender.received_ms;
            let near = now.saturating_sub(BACK_MS_MAX)..=now.saturating_add(AHEAD_MS_MAX);
            if !(0..LATEST_MS).contains(&time_ms) {
                let error =
                    "is not between 1970 and 2100: send milliseconds, not seconds or microseconds";
                errors.push(FieldError::new("time", error));
            } else if !self.sender.has_key && !near.contains(&time_ms) {
                let error = "is more than ten minutes ahead or seven days back: leave it out, or \
                             send the server key (Authorization: Bearer KEY)";
                errors.push(FieldError::new("time", error));
            }
        }
        errors
    }

    fn hit(&mut self, sent: &NativeHit) -> Result<(), Vec<FieldError>> {
        let (collector, sender) = (self.collector, self.sender);
        let site = sent.site.as_str();
        let event_time = sent.time_ms.unwrap_or(sender.received_ms);
        let hit_id = match &sent.id {
            Some(id) => Id::builder("hit/client")
                .bytes(site.as_bytes())
                .bytes(id.as_bytes())
                .finish(),
            None => collector.next_id("hit/collector"),
        };
        // What the request says of the browser counts where the browser itself sends.
        let own = sent.user_agent.is_none() && !sender.has_key;
        let of_request = |value: &'a Option<String>| value.as_deref().filter(|_| own);
        let user_agent = sent.user_agent.as_deref().unwrap_or(&sender.user_agent);
        let mut hit = Hit::page_view(hit_id, site, event_time, &sent.url);
        hit.client_id_given = sent.id.is_some();
        hit.kind = sent.kind;
        hit.protocol = self.protocol;
        hit.received_time = sender.received_ms;
        if !sender.opted_out {
            if !self.day.covers(event_time) {
                self.day = collector.pseudonyms.of_day(event_time);
            }
            let origin = sent.address.or(sender.address).map(Origin::Address);
            hit.network = origin.and_then(|origin| self.day.network(site, origin));
            if let Some(id) = &sent.visitor {
                hit.visitor = Some(collector.pseudonyms.client(site, id));
                hit.visitor_basis = VisitorBasis::Client;
            } else if let Some(origin) = origin {
                hit.visitor = Some(self.day.visitor(site, origin, user_agent));
                hit.visitor_basis = VisitorBasis::Address;
            }
        }
        hit.referrer = sent.referrer.as_deref();
        hit.user_agent = user_agent;
        hit.language = sent.language.as_deref().or(of_request(&sender.language));
        hit.title = sent.title.as_deref();
        hit.status = sent.status.map(i32::from);
        hit.share_token = sent.token.as_deref();
        hit.app = sent.app.as_deref();
        hit.name = sent.name.as_deref();
        hit.value = sent.value;
        hit.fetch_site = sent.headers.fetch_site.as_deref();
        hit.fetch_mode = sent.headers.fetch_mode.as_deref();
        hit.fetch_dest = sent.headers.fetch_dest.as_deref();
        hit.fetch_user = sent.headers.fetch_user.as_deref();
        hit.client_hints = sent
            .headers
            .client_hints
            .as_deref()
            .or(of_request(&sender.client_hints));
        hit.requested_with = sent
            .headers
            .requested_with
            .as_deref()
            .or(of_request(&sender.requested_with));
        hit.purpose = sent
            .headers
            .purpose
            .as_deref()
            .or(of_request(&sender.purpose));
        hit.range = sent.headers.range.as_deref();
        let prop = |(name, value): &'_ (String, String)| (name.clone(), value.clone());
        let props: Vec<(String, String)> = sent.props.iter().map(prop).collect();
        hit.props = props
            .iter()
            .map(|(name, value)| Property {
                name,
                value: Cow::Borrowed(value),
            })
            .collect();
        let key = crate::key::of_hit(&hit);
        let write = |out: &mut Vec<u8>| hit.encode(out);
        self.records
            .add(topic::HITS_RAW, Route::Key(key), write)
            .map_err(|error| vec![FieldError::new("", format!("cannot be stored: {error}"))])
    }

    /// Keeps a hit that was not taken, and says why.
    pub(super) fn reject(&mut self, index: usize, errors: Vec<FieldError>, sent: &[u8]) {
        self.rejected += 1;
        let words: Vec<String> = errors
            .iter()
            .map(|error| {
                format!(
                    "{}: {}",
                    if error.field.is_empty() {
                        "hit"
                    } else {
                        &error.field
                    },
                    error.error
                )
            })
            .collect();
        let kept = Kept::of(sent);
        let mut payload = mask_addresses(&kept.payload);
        payload.truncate(DEAD_LETTER_BYTES_MAX);
        let detail = mask_addresses(words.join("; ").as_bytes());
        let mut detail = String::from_utf8_lossy(&detail).into_owned();
        detail.truncate(detail.floor_char_boundary(DETAIL_BYTES_MAX));
        let reason = if errors.iter().all(|error| error.field.is_empty()) {
            "not_a_hit"
        } else {
            "wrong_field"
        };
        self.letters.push(reason);
        let letter = DeadLetter {
            letter_id: self.collector.next_id("dead-letter/collector"),
            time: self.sender.received_ms,
            site: &kept.site,
            stage: "collect",
            reason,
            detail: detail.into(),
            source: self.protocol.as_str(),
            partition: None,
            position: i64::try_from(index).unwrap_or(i64::MAX),
            payload: &payload,
            payload_length: i64::try_from(sent.len()).unwrap_or(i64::MAX),
        };
        let write = |out: &mut Vec<u8>| letter.encode(out);
        if let Err(error) = self.records.add(topic::DEAD_LETTERS, Route::Any, write) {
            tracing::error!(%error, "dead letter cannot be encoded");
        }
        let room = ERRORS_TOLD_MAX - self.rejections.len();
        let told = errors.into_iter().take(room);
        self.rejections
            .extend(told.map(|error| Rejection { index, error }));
    }
}

impl Inner {
    /// An id that no other thing has: of this run of the collector, in the order of receipt.
    fn next_id(&self, domain: &'static str) -> Id {
        let count = self.ids_given.fetch_add(1, Ordering::Relaxed);
        Id::builder(domain).bytes(&self.run).number(count).finish()
    }
}
