//! True R now of simulated contents, by the definition that `docs/chains.md` has of it.

use std::collections::{BTreeMap, HashMap};

use grapevine_event::Channel;
use grapevine_simulator::{Cause, Event};

/// Newest readers that R now is of, as the chain stage has it.
const NEWEST: usize = 96;

/// A reader's first visit of a content.
#[derive(Clone, Copy)]
struct Reader {
    time: i64,
    /// Whether somebody who had read the same content brought him, and whether in private and after
    /// landing on it.
    brought: Option<bool>,
}

/// Readers as they come.
#[derive(Default)]
pub(crate) struct Readers {
    by_content: BTreeMap<String, Vec<Reader>>,
    /// Times of readers' visits.
    visits: HashMap<u64, i64>,
    delays: Vec<i64>,
}

impl Readers {
    /// A person's landing on a content that is no return.
    pub(crate) fn came(&mut self, content: &str, event: &Event) {
        let truth = &event.truth;
        let parent = truth.parent.filter(|_| truth.cause == Cause::Share);
        // Who read the page in the middle of a session is no reader that a log knows; whom he sent
        // counts among all.
        let sent = parent.and_then(|parent| self.visits.get(&parent).copied());
        if let Some(sent) = sent {
            self.delays.push(event.time - sent);
        }
        let reader = Reader {
            time: event.time,
            brought: parent.map(|_| sent.is_some() && truth.channel == Channel::DarkSocial),
        };
        let readers = self.by_content.entry(content.to_owned()).or_default();
        readers.push(reader);
        if let Some(visit) = truth.visit {
            self.visits.insert(visit, event.time);
        }
    }

    pub(crate) fn spreading(mut self) -> Spreading {
        self.delays.sort_unstable();
        Spreading {
            by_content: self.by_content,
            delays: self.delays,
        }
    }
}

/// Who brought whom on a site, and how long it took.
pub(crate) struct Spreading {
    by_content: BTreeMap<String, Vec<Reader>>,
    /// Milliseconds from a reader to those he brought, sorted.
    delays: Vec<i64>,
}

impl Spreading {
    /// True R now of a content at a time: readers among the newest 96 whom a reader brought, over
    /// the readers who could have brought them, each counted with the part of all delays that falls
    /// between the first of the 96 and now (Cori et al. 2013). In private, and at all. None where
    /// less than one such reader is expected.
    pub(crate) fn now(&self, content: &str, time: i64) -> Option<[f64; 2]> {
        let readers = self.by_content.get(content)?;
        let readers = &readers[..readers.partition_point(|reader| reader.time <= time)];
        let before = readers.len().saturating_sub(NEWEST);
        let from = readers.get(before.saturating_sub(1))?.time;
        let exposure: f64 = readers
            .iter()
            .map(|reader| {
                let missed = (from - reader.time).max(0);
                self.within(time - reader.time) - self.within(missed)
            })
            .sum();
        let count = |counts: &dyn Fn(&bool) -> bool| {
            let brought = readers[before..].iter().filter_map(|one| one.brought);
            brought.filter(|private| counts(private)).count() as f64
        };
        let both = [count(&|private| *private), count(&|_| true)];
        (exposure >= 1.0).then(|| both.map(|children| children / exposure))
    }

    /// Part of all delays that are no longer.
    fn within(&self, delay: i64) -> f64 {
        let shorter = self.delays.partition_point(|known| *known <= delay);
        shorter as f64 / self.delays.len().max(1) as f64
    }
}

/// How a stated R compares with the true one.
#[derive(Default)]
pub(crate) struct Held {
    stated: Vec<f64>,
    truths: Vec<f64>,
    widths: Vec<f64>,
    held: usize,
    above: usize,
    below: usize,
}

impl Held {
    /// Counts a range; whom a reader's public post brought may count as from outside, so it holds
    /// where it meets what lies between R in private and all of R.
    pub(crate) fn count(&mut self, [low, likely, high]: [f64; 3], [private, all]: [f64; 2]) {
        self.stated.push(likely);
        self.truths.push(all);
        self.widths.push(high - low);
        if all < low {
            self.above += 1;
        } else if private > high {
            self.below += 1;
        } else {
            self.held += 1;
        }
    }

    /// Cells of a row: records, ranges that hold, stated too high and too low, medians of what is
    /// stated, of the range's width and of what is true.
    pub(crate) fn row(&mut self) -> String {
        let all = self.truths.len();
        let percent = |count: usize| 100.0 * count as f64 / all.max(1) as f64;
        format!(
            "{all} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2}",
            percent(self.held),
            percent(self.above),
            percent(self.below),
            median(&mut self.stated),
            median(&mut self.widths),
            median(&mut self.truths),
        )
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
