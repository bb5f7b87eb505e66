//! Links that readers posted in public, as stated and in truth.

use std::collections::BTreeMap;

use serde::Serialize;

/// Bins of the calibration error.
const BINS: usize = 10;

/// True children by token of one content, by who shared.
#[derive(Clone, Debug, Default)]
pub(super) struct TrueLinks(BTreeMap<u64, Brought>);

/// Readers whom one sharer's link brought.
#[derive(Clone, Copy, Debug, Default)]
struct Brought {
    all: usize,
    public: usize,
}

impl TrueLinks {
    /// A reader came by the token of a person, from a public post or not.
    pub(super) fn brought(&mut self, person: u64, public: bool) {
        let link = self.0.entry(person).or_default();
        link.all += 1;
        link.public += usize::from(public);
    }

    /// Children of links that were mainly read in public.
    pub(super) fn by_posts(&self) -> usize {
        let posted = self.0.values().filter(|link| 2 * link.public > link.all);
        posted.map(|link| link.all).sum()
    }
}

/// What is stated of one content's links, beside the truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PostedScore {
    /// P(at least one link was mainly read in public).
    pub(super) probability: f64,
    /// Readers by such links: low, likely, high.
    pub(super) readers: [f64; 3],
    /// True readers by links that were mainly read in public.
    pub(super) true_readers: usize,
}

/// How well links posted in public are told from those passed on in private: contents of which a
/// token has named a reader. Of no contents every mean is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PostedScores {
    /// Contents.
    pub contents: usize,
    /// Mean of the stated probability that a link of the content was mainly read in public.
    pub stated: Option<f64>,
    /// Part of contents of which one truly was.
    pub truly: Option<f64>,
    /// Mean squared error of that probability.
    pub brier: Option<f64>,
    /// Calibration error of it, ten bins.
    pub ece: Option<f64>,
    /// Stated readers by such links, over all contents.
    pub readers: f64,
    /// True ones.
    pub true_readers: f64,
    /// Part of contents whose 80 % range holds the true number.
    pub held: Option<f64>,
}

pub(super) fn measure<'a>(scored: impl Iterator<Item = &'a PostedScore>) -> PostedScores {
    let mut contents = 0usize;
    let (mut stated, mut truly, mut brier, mut held) = (0.0, 0.0, 0.0, 0.0);
    let (mut readers, mut true_readers) = (0.0, 0.0);
    let mut bins = [(0.0f64, 0.0f64); BINS];
    for score in scored {
        let posted = f64::from(u8::from(score.true_readers > 0));
        let truth = score.true_readers as f64;
        let [low, likely, high] = score.readers;
        contents += 1;
        stated += score.probability;
        truly += posted;
        brier += (score.probability - posted).powi(2);
        readers += likely;
        true_readers += truth;
        // A whole number lies within a range that reaches to less than a half of it.
        let holds = low - 0.5 < truth && truth < high + 0.5;
        held += f64::from(u8::from(holds));
        let bin = &mut bins[((score.probability * BINS as f64) as usize).min(BINS - 1)];
        bin.0 += score.probability;
        bin.1 += posted;
    }
    let off: f64 = bins.iter().map(|(said, right)| (said - right).abs()).sum();
    let mean = |sum: f64| (contents > 0).then(|| sum / contents as f64);
    PostedScores {
        contents,
        stated: mean(stated),
        truly: mean(truly),
        brier: mean(brier),
        ece: mean(off),
        readers,
        true_readers,
        held: mean(held),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_what_most_of_its_readers_came_by() {
        let mut links = TrueLinks::default();
        for (person, public) in [(1, true), (1, true), (1, false), (2, true), (2, false)] {
            links.brought(person, public);
        }
        assert_eq!(links.by_posts(), 3);
    }

    #[test]
    fn scores_by_hand() {
        let scored = [
            PostedScore {
                probability: 0.8,
                readers: [1.0, 3.0, 5.0],
                true_readers: 4,
            },
            PostedScore {
                probability: 0.4,
                readers: [1.0, 2.0, 3.0],
                true_readers: 0,
            },
        ];
        let found = measure(scored.iter());
        let close = |figure: Option<f64>, by_hand: f64| {
            let figure = figure.expect("contents count for it");
            assert!((figure - by_hand).abs() < 1e-12, "{figure} {by_hand}");
        };
        close(found.stated, 0.6);
        close(found.truly, 0.5);
        close(found.brier, (0.04 + 0.16) / 2.0);
        close(found.ece, (0.2 + 0.4) / 2.0);
        close(found.held, 0.5);
        assert_eq!((found.readers, found.true_readers), (5.0, 4.0));
        let nothing = measure([].iter());
        assert_eq!((nothing.contents, nothing.readers), (0, 0.0));
        let means = [
            nothing.stated,
            nothing.truly,
            nothing.brier,
            nothing.ece,
            nothing.held,
        ];
        assert_eq!(means, [None; 5]);
    }
}
