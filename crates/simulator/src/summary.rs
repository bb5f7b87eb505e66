//! What is true of a simulation in numbers: what a report of it should have found.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::sync::Arc;

use grapevine_event::Channel;
use serde::Serialize;

use crate::event::{Actor, Cause, Event, EventKind};

/// Counts over events. Feed every event in order; memory grows with the number of cascades of two
/// visits or more, not with that of visits.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TruthSummary {
    /// Requests a web server logs.
    pub requests: u64,
    /// Page requests by robots, scanners and prefetches.
    pub robot_pages: u64,
    /// Page requests by preview fetchers.
    pub previews: u64,
    /// Page views by people, landings and internal ones.
    pub visits: u64,
    /// Landings by people.
    pub landings: u64,
    /// Landings by true channel.
    pub landings_by_channel: BTreeMap<Channel, u64>,
    /// Dark-social landings by app.
    pub dark_by_app: BTreeMap<&'static str, u64>,
    /// Landings without a referrer, campaign parameter or click id: what is usually booked direct.
    pub direct_looking: u64,
    /// Of those, by what brought them (`share` is dark or public sharing without referrer).
    pub direct_looking_by_cause: BTreeMap<&'static str, u64>,
    /// Of those, dark social.
    pub direct_looking_dark: u64,
    /// Acts of passing a link on, seen by page script or not.
    pub shares: u64,
    /// Of those, in private.
    pub private_shares: u64,
    /// Of those, forwarded messages, which give no preview.
    pub forwarded_shares: u64,
    /// Landings that a reader's share caused, private or public.
    pub chained: u64,
    /// Of those, landings that still carried a token.
    pub chained_with_token: u64,
    /// Largest number of shares between a root and a visit.
    pub deepest_generation: u32,
    #[serde(skip)]
    cascades: HashMap<u64, (u64, Arc<str>)>,
}

/// One cascade: what one reader who came by no share set off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CascadeSize {
    /// Visits, the root included.
    pub visits: u64,
    /// Path of the content.
    pub content: String,
    /// Visit at the root.
    pub root: u64,
}

impl TruthSummary {
    /// Counts one event.
    pub fn add(&mut self, event: &Event) {
        self.requests += u64::from(event.is_logged());
        let truth = &event.truth;
        if event.is_share_act() {
            self.shares += 1;
            self.private_shares += u64::from(truth.channel == Channel::DarkSocial);
            self.forwarded_shares += u64::from(truth.forwarded);
        }
        if event.kind != EventKind::Page {
            return;
        }
        match truth.actor {
            Actor::Person => self.visits += 1,
            Actor::Preview => self.previews += 1,
            Actor::Scanner | Actor::Prefetch | Actor::Robot => self.robot_pages += 1,
        }
        if event.is_landing() {
            self.add_landing(event);
        }
    }

    fn add_landing(&mut self, event: &Event) {
        let truth = &event.truth;
        let dark = truth.channel == Channel::DarkSocial;
        self.landings += 1;
        *self.landings_by_channel.entry(truth.channel).or_default() += 1;
        if dark {
            *self.dark_by_app.entry(truth.carrier).or_default() += 1;
        }
        let target = &event.request.target;
        let tagged = ["utm_", "fbclid=", "gclid="]
            .iter()
            .any(|mark| target.contains(mark));
        if event.request.referrer.is_none() && !tagged {
            self.direct_looking += 1;
            *self
                .direct_looking_by_cause
                .entry(truth.cause.as_str())
                .or_default() += 1;
            self.direct_looking_dark += u64::from(dark);
        }
        if truth.cause == Cause::Share {
            self.chained += 1;
            self.chained_with_token += u64::from(truth.token_of.is_some());
            self.deepest_generation = self.deepest_generation.max(truth.generation);
            if let Some(root) = truth.root {
                let entry = self.cascades.entry(root);
                entry.or_insert_with(|| (1, truth.content.clone())).0 += 1;
            }
        }
    }

    /// Mean number of visits that one visit caused within the period; 0 without visits. A little
    /// below the scenario's, since clicks after the end are not seen.
    pub fn reproduction(&self) -> f64 {
        if self.visits == 0 {
            0.0
        } else {
            self.chained as f64 / self.visits as f64
        }
    }

    /// Cascades of two visits or more, largest first, at most `limit`.
    pub fn largest_cascades(&self, limit: usize) -> Vec<CascadeSize> {
        let mut all: Vec<CascadeSize> = self
            .cascades
            .iter()
            .map(|(root, (visits, content))| CascadeSize {
                visits: *visits,
                content: content.to_string(),
                root: *root,
            })
            .collect();
        all.sort_by_key(|cascade| (std::cmp::Reverse(cascade.visits), cascade.root));
        all.truncate(limit);
        all
    }

    /// Number of cascades by size class: 2, 3–4, 5–9, 10–19, 20–49, 50–99, 100 and more.
    pub fn cascade_sizes(&self) -> [(&'static str, u64); 7] {
        let mut classes = [
            ("2", 0),
            ("3-4", 0),
            ("5-9", 0),
            ("10-19", 0),
            ("20-49", 0),
            ("50-99", 0),
            ("100+", 0),
        ];
        for (visits, _) in self.cascades.values() {
            let class = [3, 5, 10, 20, 50, 100].partition_point(|bound| bound <= visits);
            classes[class].1 += 1;
        }
        classes
    }

    /// The summary in a few lines, for a terminal of 80 columns.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let part = |count: u64, of: u64| {
            if of == 0 {
                0.0
            } else {
                100.0 * count as f64 / of as f64
            }
        };
        writeln!(
            out,
            "{} requests: {} page views by people ({} landings), {} preview fetches, {} by robots",
            self.requests, self.visits, self.landings, self.previews, self.robot_pages
        )?;
        for (channel, count) in &self.landings_by_channel {
            writeln!(
                out,
                "  {:<12} {count:>8}  {:5.1} %",
                channel,
                part(*count, self.landings)
            )?;
        }
        writeln!(
            out,
            "{} landings look direct; {:.1} % of them are dark social",
            self.direct_looking,
            part(self.direct_looking_dark, self.direct_looking)
        )?;
        let mut apps: Vec<_> = self.dark_by_app.iter().collect();
        apps.sort_by_key(|(app, count)| (std::cmp::Reverse(**count), **app));
        for (app, count) in apps {
            writeln!(out, "  {app:<12} {count:>8}")?;
        }
        writeln!(
            out,
            "{} shares ({} private, {} forwarded) brought {} visits; R {:.3}; deepest chain {}",
            self.shares,
            self.private_shares,
            self.forwarded_shares,
            self.chained,
            self.reproduction(),
            self.deepest_generation
        )?;
        for cascade in self.largest_cascades(5) {
            writeln!(out, "  {:>6} visits  {}", cascade.visits, cascade.content)?;
        }
        Ok(())
    }
}
