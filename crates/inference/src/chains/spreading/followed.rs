//! A content whose spreading is followed, and the record of it.

use std::collections::VecDeque;

use grapevine_event::Spread as Record;
use serde::{Deserialize, Serialize};

use super::broadcasts::Broadcasts;
use crate::causes::{
    ACTS_MAX, Range, SETTLED_AFTER, Spread, Weights, amplification, depth_or_one, doubling_time,
    share_or_none, star_of, virality_or_star,
};

/// Certain children of one reader above which its link was no private one (chains: 6).
const BROADCAST_CHILDREN: u32 = 50;
/// A record is written when so many have arrived since the last, …
const GROWTH_MIN: u32 = 4;
/// … and one for so many that had arrived by then.
const GROWTH_PART: u32 = 8;
/// Part of what lies above a star's virality that may be left where every tree is guessed: set on
/// simulated sites (docs/chains.md).
const GUESSED_TREES: f64 = 0.4;
/// Readers for a shape.
const SHAPE_READERS_MIN: u64 = 2;

/// Name of an act of sharing.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct ActName {
    pub(super) key: u64,
    pub(super) time: i64,
    pub(super) app: u16,
}

/// One content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Followed {
    pub(super) site: Box<str>,
    pub(super) content: Box<str>,
    pub(super) started: i64,
    pub(super) updated: i64,
    pub(super) spread: Spread,
    /// When it is looked at again at the latest, event time.
    pub(super) due: i64,
    pub(super) acts: VecDeque<ActName>,
    pub(super) shares: u32,
    pub(super) tokens: u32,
    /// Which of the newest readers came by a token, the newest in the lowest bit.
    came_by_token: u128,
    pub(super) certain_shares: u32,
    pub(super) certain_outside: u32,
    /// Most certain children of one reader.
    pub(super) largest: u32,
    /// Links that were posted in public.
    pub(super) broadcasts: Broadcasts,
    /// Sums of P(passed on) over readers who did not come from outside for certain, of those without a
    /// token P(privately passed on): low, likely, high.
    passed_on: [f64; 3],
    /// By how much what its readers' visits show moves the logarithm of the odds that nobody passed it on.
    shown: f64,
    /// Arrivals when the last record was written.
    written: u32,
    /// True where something changed since.
    pub(super) touched: bool,
}

impl Followed {
    /// A content that something happens on for the first time.
    pub(super) fn new(site: &str, content: &str, seed: u64, time: i64) -> Followed {
        Followed {
            site: site.into(),
            content: content.into(),
            started: time,
            updated: time,
            spread: Spread::new(seed, time),
            due: i64::MAX,
            acts: VecDeque::new(),
            shares: 0,
            tokens: 0,
            came_by_token: 0,
            certain_shares: 0,
            certain_outside: 0,
            largest: 0,
            broadcasts: Broadcasts::default(),
            passed_on: [0.0; 3],
            shown: 0.0,
            written: 0,
            touched: false,
        }
    }

    pub(super) fn touch(&mut self, time: i64) {
        self.updated = self.updated.max(time);
        self.touched = true;
    }

    /// Adds a reader's P(passed on), low, likely and high.
    pub(super) fn add_shared(&mut self, passed_on: [f64; 3]) {
        for (sum, part) in self.passed_on.iter_mut().zip(passed_on) {
            *sum += part;
        }
    }

    /// Adds what a reader's visit shows; see [`super::site::Site::shown`].
    pub(super) fn add_shown(&mut self, log_ratio: f64) {
        self.shown += log_ratio;
    }

    /// Counts whether a reader came by somebody's token.
    pub(super) fn came(&mut self, by_token: bool) {
        self.tokens = self.tokens.saturating_add(u32::from(by_token));
        self.came_by_token = self.came_by_token << 1 | u128::from(by_token);
    }

    /// Remembers the name of an act.
    pub(super) fn name_act(&mut self, act: ActName) {
        if self.acts.len() == ACTS_MAX {
            self.acts.pop_front();
        }
        self.acts.push_back(act);
    }

    /// True where so many have arrived since the last record that another is due.
    pub(super) fn has_grown(&self) -> bool {
        let since = self.spread.arrivals().saturating_sub(self.written);
        since >= GROWTH_MIN.max(self.written / GROWTH_PART)
    }

    /// R of its newest readers in a rise, as known by `now`; see
    /// [`Spread::reproduction_in_rise`]. None below two readers.
    pub(super) fn reproduction_in_rise(
        &self,
        weights: &Weights,
        survival: f64,
        now: i64,
    ) -> Option<Range> {
        /// The newest readers that R now is of.
        const NEWEST: u128 = (1 << SETTLED_AFTER) - 1;
        let tokens = (self.came_by_token & NEWEST).count_ones();
        let range = self
            .spread
            .reproduction_in_rise(now, weights, tokens, survival)?;
        // Its upper end needs no more: it has everybody whom no fact decides.
        let low = self.widened(range).low;
        Some(Range { low, ..range })
    }

    /// What is not known of the evidence widens a range besides.
    fn widened(&self, range: Range) -> Range {
        let [low, likely, high] = self.passed_on.map(|sum| sum.max(1e-9));
        Range {
            low: range.low * (low / likely).min(1.0),
            likely: range.likely,
            high: range.high * (high / likely).max(1.0),
        }
    }

    /// The same of structural virality: what lies above that of a star of so many readers goes with
    /// the part of them that readers sent. Guesses hang readers below more sharers than there are, so
    /// that trees look deeper: the more is guessed, the lower may the true one be.
    fn virality_widened(&self, range: Range, readers: f64, shared: f64) -> Range {
        let star = star_of(readers);
        let above = self.widened(range.map(|virality| virality - star));
        let sent = (shared * readers).max(1e-9);
        let certain = (f64::from(self.certain_shares) / sent).min(1.0);
        let deeper = certain + (1.0 - certain) * GUESSED_TREES;
        Range {
            low: range.low.min(star + above.low * deeper),
            likely: range.likely,
            high: range.high.max(star + above.high),
        }
    }

    /// How it spreads, as known by `now`.
    pub(super) fn record(
        &mut self,
        weights: &Weights,
        now: i64,
        closed: bool,
        emit: &mut dyn FnMut(Record<'_>),
    ) {
        self.written = self.spread.arrivals();
        self.touched = false;
        let shape = self.spread.shape(weights);
        let unshared = self.spread.unshared_where_shown(self.shown);
        let metrics = self.spread.metrics(now, weights);
        let settled = shape.arrivals as f64;
        let shared = self.widened(shape.shared);
        let or_none = |range: Range| share_or_none(self.widened(range), unshared);
        let reproduction = or_none(metrics.reproduction);
        let reproduction_now = metrics.reproduction_now.map(or_none);
        let amplification = amplification(reproduction);
        let doubling = doubling_time(reproduction, weights);
        let virality = self.virality_widened(shape.virality, settled, shape.shared.likely);
        let virality = virality_or_star(virality, settled, unshared);
        let virality = (shape.arrivals >= SHAPE_READERS_MIN).then_some(virality);
        let depth = depth_or_one(shape.depth, unshared);
        let number = |count: u32| i64::from(count);
        let half_life = metrics.half_life;
        // Of the same readers as the chain arrivals: what is not known of the evidence widens it too.
        let k_factor = (shape.arrivals > 0).then(|| share_or_none(shared, unshared));
        let broadcast = self.broadcasts.said();
        let posted = broadcast.is_some_and(|broadcast| broadcast.probability > 0.5);
        emit(Record {
            site: &self.site,
            content: (&*self.content).into(),
            started: self.started,
            updated: self.updated,
            closed,
            arrivals: number(self.spread.arrivals()),
            settled: i64::try_from(shape.arrivals).unwrap_or(i64::MAX),
            certain_shares: number(self.certain_shares),
            certain_outside: number(self.certain_outside),
            tokens: number(self.tokens),
            shares: number(self.shares),
            chain_arrivals: shared.likely * settled,
            chain_arrivals_low: shared.low * settled,
            chain_arrivals_high: shared.high.min(1.0) * settled,
            reproduction: reproduction.likely,
            reproduction_low: reproduction.low,
            reproduction_high: reproduction.high,
            structural_virality: virality.map(|range| range.likely),
            structural_virality_low: virality.map(|range| range.low),
            structural_virality_high: virality.map(|range| range.high),
            depth: depth.likely,
            depth_low: depth.low,
            depth_high: depth.high,
            generation: shape.generation,
            breadth: shape.breadth,
            generation_time_seconds: metrics.generation_time.map(|time| time.median),
            generation_time_seconds_low: metrics.generation_time.map(|time| time.low),
            generation_time_seconds_high: metrics.generation_time.map(|time| time.high),
            half_life_seconds: half_life.map(|time| time.likely),
            half_life_seconds_low: half_life.map(|time| time.low),
            half_life_seconds_high: half_life.map(|time| time.high),
            k_factor: k_factor.map(|factor| factor.likely),
            k_factor_low: k_factor.map(|factor| factor.low),
            k_factor_high: k_factor.map(|factor| factor.high.min(1.0)),
            reproduction_now: reproduction_now.map(|range| range.likely),
            reproduction_now_low: reproduction_now.map(|range| range.low),
            reproduction_now_high: reproduction_now.map(|range| range.high),
            amplification: amplification.map(|range| range.likely),
            amplification_low: amplification.map(|range| range.low),
            amplification_high: amplification.map(|range| range.high),
            doubling_seconds: doubling.map(|range| range.likely),
            doubling_seconds_low: doubling.map(|range| range.low),
            doubling_seconds_high: doubling.map(|range| range.high),
            broadcast: posted || self.largest > BROADCAST_CHILDREN,
            largest_broadcast: number(self.largest),
            broadcast_probability: broadcast.map(|broadcast| broadcast.probability),
            broadcast_arrivals: broadcast.map(|broadcast| broadcast.children.likely),
            broadcast_arrivals_low: broadcast.map(|broadcast| broadcast.children.low),
            broadcast_arrivals_high: broadcast.map(|broadcast| broadcast.children.high),
            model_version: weights.version().into(),
        });
    }
}
