//! Weights that a site has learned from its own certain edges.

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::causes::{Example, Holding, Lesson, Weights};
use crate::clock::key;

/// Certain edges that weights are learned from at a time: at most 600 kB while they are collected.
const LESSONS: usize = 128;
/// Of these, at least so many that name a reader, …
const LESSONS_SHARED_MIN: usize = 32;
/// … and at most so many from outside for each of them, so that what is common does not decide.
const OUTSIDE_FOR_EACH: usize = 3;
/// Certain edges between two times of learning at the most: sites change.
const APART_MAX: u64 = 32_768;

/// The weights as shipped.
static SHIPPED: LazyLock<Weights> = LazyLock::new(Weights::builtin);

/// Weights in force on a site, and what the next ones are learned from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Learned {
    /// None before the first time.
    weights: Option<Written>,
    /// How often weights were learned.
    times: u32,
    lessons: Vec<Lesson>,
    lessons_shared: u32,
    /// Certain edges so far, and at how many lessons are collected again.
    seen: u64,
    next: u64,
    /// What is in force before the first time; as shipped unless told otherwise.
    #[serde(skip)]
    deployed: Option<Arc<Weights>>,
}

/// What came of learning.
pub(super) struct Changed {
    /// Version before.
    pub(super) before: String,
    /// Certain edges learned from.
    pub(super) lessons: usize,
}

impl Learned {
    /// Takes other weights than those shipped to start from. What was learned already stays.
    pub(super) fn deploy(&mut self, deployed: Option<Arc<Weights>>) {
        self.deployed = deployed;
    }

    /// The weights in force.
    pub(super) fn weights(&self) -> &Weights {
        match &self.weights {
            Some(Written(weights)) => weights,
            None => self.start(),
        }
    }

    fn start(&self) -> &Weights {
        self.deployed.as_deref().unwrap_or(&SHIPPED)
    }

    /// True where examples of certain edges are wanted.
    pub(super) fn collects(&self) -> bool {
        self.seen >= self.next
    }

    /// Counts a certain edge.
    pub(super) fn saw(&mut self) {
        self.seen = self.seen.saturating_add(1);
    }

    /// Takes the example of a certain edge, with its parent's key and ordinal.
    pub(super) fn take(&mut self, example: &Example, parent: Option<(u64, u32)>) {
        let shared = self.lessons_shared as usize;
        let outside = self.lessons.len() - shared;
        if parent.is_none() && outside >= OUTSIDE_FOR_EACH * (shared + 1) {
            return;
        }
        let full = LESSONS - LESSONS_SHARED_MIN.saturating_sub(shared);
        if parent.is_none() && self.lessons.len() >= full {
            return;
        }
        if let Some(lesson) = example.lesson(parent) {
            self.lessons.push(lesson);
            self.lessons_shared += u32::from(parent.is_some());
        }
    }

    /// Learns where there are lessons enough. `last` names the last certain edge: with the version
    /// before and the site it makes the version, the same wherever the same is learned.
    pub(super) fn learn(&mut self, site: &str, last: u64) -> Option<Changed> {
        if self.lessons.len() < LESSONS {
            return None;
        }
        self.times += 1;
        let before = self.weights().version().to_owned();
        let name = key(
            "weights",
            &[before.as_bytes(), site.as_bytes(), &last.to_le_bytes()],
        );
        let version = format!(
            "{}+{}.{:08x}",
            self.start().version(),
            self.times,
            name as u32
        );
        let fitted = format!("on {LESSONS} certain edges of {site}, held near version {before}");
        let weights = self
            .weights()
            .learn(&self.lessons, Holding::default(), version, fitted);
        self.weights = Some(Written(weights));
        self.lessons = Vec::new();
        self.lessons_shared = 0;
        // Twice as many edges each time, so that learning stays a small part of the work.
        self.next = self.seen + self.seen.min(APART_MAX);
        Some(Changed {
            before,
            lessons: LESSONS,
        })
    }
}

/// Weights that are saved as their data file, which holds every figure to the last digit.
#[derive(Clone, Debug)]
struct Written(Weights);

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.render().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Weights::parse(&text)
            .map(Written)
            .map_err(serde::de::Error::custom)
    }
}
