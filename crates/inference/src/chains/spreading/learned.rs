//! Weights that a site has learned from its own tokens.

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::causes::{Example, Holding, Lesson, Weights};
use crate::clock::key;

/// First returns of links that weights are learned from at a time: at most 600 kB while they are
/// collected.
const LESSONS: usize = 128;
/// How hard what is learned of so few is held: what chance alone makes of them is in force for long.
const NEAR: f64 = 10.0;
/// Certain edges between two times of learning whose delays are looked at: of all of them, since the
/// first to come by a link comes sooner than the others.
const DELAYS_MAX: usize = 1_024;
/// Certain causes between two times of learning at the most: sites change.
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
    /// Bins of the delays of certain edges while lessons are collected, the first so many.
    delays: Vec<u8>,
    /// Certain causes so far, and how many there have to be before lessons are collected again.
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
    /// First returns of links learned from.
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

    /// True where examples of arrivals by a token are wanted.
    pub(super) fn collects(&self) -> bool {
        self.seen >= self.next
    }

    /// Counts a certain cause.
    pub(super) fn saw(&mut self) {
        self.seen = self.seen.saturating_add(1);
    }

    /// Takes the example of an arrival by the token of a reader, given by his key and ordinal.
    pub(super) fn take(&mut self, example: &Example, parent: (u64, u32)) {
        self.lessons.extend(example.first_return(parent));
        if self.delays.len() < DELAYS_MAX {
            self.delays.extend(example.delay(parent));
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
        let fitted =
            format!("on {LESSONS} first returns of links of {site}, held near version {before}");
        let holding = Holding {
            near: NEAR,
            ..Holding::default()
        };
        let weights = self
            .weights()
            .learn(&self.lessons, holding, version, fitted)
            .with_delays(self.delays.drain(..));
        self.weights = Some(Written(weights));
        self.lessons = Vec::new();
        // Twice as many causes each time, so that learning stays a small part of the work.
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
