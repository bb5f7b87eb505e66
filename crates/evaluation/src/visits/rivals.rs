//! The three rivals, a private link, a search without referrer and a typed address, fitted together.
//!
//! For a landing with first facts F and history H, figures d (private) and s (search), both against
//! typed: search = Σ_F s, private = Σ_F d − ln(1 + e^search) + Σ_H d, P(private) = σ(private), and of
//! the rest P(search) = σ(search + Σ_H s): the formula of `grapevine_inference`.

const STEPS: usize = 40;

/// Number of a weight of the content's history, and how much of it counts.
pub(super) type History = (usize, f64);

/// One landing that no fact decided.
#[derive(Clone)]
pub(super) struct Case {
    /// Numbers of the weights of its facts, the prior's first.
    pub(super) facts: Vec<usize>,
    pub(super) history: Vec<History>,
    /// Whether it is of a home page or a section's front, where others of late are not looked at.
    pub(super) front: bool,
    pub(super) dark: bool,
    pub(super) search: bool,
}

impl Case {
    /// Every weight with how much of it counts.
    pub(super) fn counted(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        let facts = self.facts.iter().map(|at| (*at, 1.0));
        facts.chain(self.history.iter().copied())
    }

    /// The same, but that as much of what its content's history says counts as `counts` makes of the number of a
    /// weight and how much of it did.
    pub(super) fn where_history(&self, counts: &impl Fn(usize, f64) -> f64) -> Case {
        let history = self.history.iter();
        Case {
            facts: self.facts.clone(),
            history: history
                .map(|(at, part)| (*at, counts(*at, *part)))
                .collect(),
            ..*self
        }
    }
}

/// Log-odds of each fact against a typed address.
pub(super) struct Figures {
    pub(super) dark: Vec<f64>,
    pub(super) search: Vec<f64>,
}

/// What is believed of figures before any visit: normal around them.
pub(super) struct Prior {
    pub(super) figures: Figures,
    /// Standard deviation of each.
    pub(super) dark_width: Vec<f64>,
    /// Standard deviation of all.
    pub(super) search_width: f64,
}

impl Figures {
    /// Log-odds of a private link against everything else.
    pub(super) fn private(&self, case: &Case) -> f64 {
        let facts = case.facts.iter().map(|at| self.dark[*at]);
        let history = case.history.iter().map(|(at, part)| self.dark[*at] * part);
        facts.sum::<f64>() - self.search_at_first(case).exp().ln_1p() + history.sum::<f64>()
    }

    /// Log-odds of search against typed, before the history.
    fn search_at_first(&self, case: &Case) -> f64 {
        let facts = case.facts.iter().map(|at| self.search[*at]);
        facts.sum::<f64>().clamp(-30.0, 30.0)
    }

    fn search(&self, case: &Case) -> f64 {
        let history = case
            .history
            .iter()
            .map(|(at, part)| self.search[*at] * part);
        self.search_at_first(case) + history.sum::<f64>()
    }
}

pub(super) fn sigmoid(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds.clamp(-30.0, 30.0)).exp())
}

/// Fisher scoring on the penalised likelihood, every site counting as `site_visits` visits.
pub(super) fn regress(sites: &[Vec<Case>], prior: &Prior, site_visits: f64) -> Figures {
    let half = prior.figures.dark.len();
    let centre: Vec<f64> = [&prior.figures.dark[..], &prior.figures.search[..]].concat();
    let precision: Vec<f64> = prior
        .dark_width
        .iter()
        .map(|width| width.powi(-2))
        .chain((0..half).map(|_| prior.search_width.powi(-2)))
        .collect();
    let mut figures = centre.clone();
    for _ in 0..STEPS {
        let now = Figures {
            dark: figures[..half].to_vec(),
            search: figures[half..].to_vec(),
        };
        let mut slope = vec![0.0; 2 * half];
        let mut curve = vec![vec![0.0; 2 * half]; 2 * half];
        for at in 0..2 * half {
            slope[at] = (centre[at] - figures[at]) * precision[at];
            curve[at][at] = precision[at];
        }
        for site in sites {
            let weight = site_visits / site.len().max(1) as f64;
            for case in site {
                add(case, &now, weight, &mut slope, &mut curve);
            }
        }
        let step = solved(curve, slope);
        let largest = step.iter().fold(0.0f64, |most, step| most.max(step.abs()));
        for (figure, step) in figures.iter_mut().zip(&step) {
            *figure += step.clamp(-1.0, 1.0);
        }
        if largest < 1e-6 {
            break;
        }
    }
    Figures {
        dark: figures[..half].to_vec(),
        search: figures[half..].to_vec(),
    }
}

/// Adds gradient and expected information of one landing.
fn add(case: &Case, now: &Figures, weight: f64, slope: &mut [f64], curve: &mut [Vec<f64>]) {
    let half = now.dark.len();
    let private = sigmoid(now.private(case));
    let search = sigmoid(now.search(case));
    let rival = sigmoid(now.search_at_first(case));
    let is = |truth: bool| f64::from(u8::from(truth));
    // How the log-odds of private, and of search among the rest, hang on each figure.
    let first = case.facts.iter();
    let of_private: Vec<(usize, f64)> = first
        .flat_map(|at| [(*at, 1.0), (half + *at, -rival)])
        .chain(case.history.iter().copied())
        .collect();
    let of_search: Vec<(usize, f64)> = case.counted().map(|(at, part)| (half + at, part)).collect();
    let rest = if case.dark { 0.0 } else { weight };
    for (hangs, off, bend) in [
        (
            &of_private,
            weight * (is(case.dark) - private),
            weight * private * (1.0 - private),
        ),
        (
            &of_search,
            rest * (is(case.search) - search),
            weight * (1.0 - private) * search * (1.0 - search),
        ),
    ] {
        for (one, part) in hangs {
            slope[*one] += off * part;
            for (other, other_part) in hangs {
                curve[*one][*other] += bend * part * other_part;
            }
        }
    }
}

/// Solves a symmetric positive definite system by Gaussian elimination.
fn solved(mut rows: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let size = right.len();
    for pivot in 0..size {
        let head = rows[pivot].clone();
        for below in pivot + 1..size {
            let factor = rows[below][pivot] / head[pivot];
            for (value, above) in rows[below].iter_mut().zip(&head) {
                *value -= factor * above;
            }
            right[below] -= factor * right[pivot];
        }
    }
    for at in (0..size).rev() {
        let known: f64 = (at + 1..size)
            .map(|next| rows[at][next] * right[next])
            .sum();
        right[at] = (right[at] - known) / rows[at][at];
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_of_equations_is_solved() {
        let rows = vec![vec![4.0, 1.0], vec![1.0, 3.0]];
        let found = solved(rows, vec![1.0, 2.0]);
        assert!((found[0] - 1.0 / 11.0).abs() < 1e-12 && (found[1] - 7.0 / 11.0).abs() < 1e-12);
    }

    /// Landings of which two facts, each independent of the other given the rival, are as often there
    /// as the figures say: the figures are found again, which a regression of private against the
    /// rest could not.
    #[test]
    fn facts_that_are_independent_given_the_rival_are_told_apart() {
        // P(fact | private, search, typed).
        let parts = [[0.5, 0.5, 0.02], [0.8, 0.1, 0.4]];
        let rivals = [0.2, 0.3, 0.5];
        let mut site = Vec::new();
        for (rival, part) in rivals.iter().enumerate() {
            for there in 0..4usize {
                let chance = |fact: usize| match there >> fact & 1 {
                    1 => parts[fact][rival],
                    _ => 1.0 - parts[fact][rival],
                };
                let count = (40_000f64 * part * chance(0) * chance(1)).round() as usize;
                for _ in 0..count {
                    let facts = (0..2).filter(|fact| there >> fact & 1 == 1);
                    site.push(Case {
                        facts: std::iter::once(0)
                            .chain(facts.map(|fact| fact + 1))
                            .collect(),
                        history: Vec::new(),
                        front: false,
                        dark: rival == 0,
                        search: rival == 1,
                    });
                }
            }
        }
        let prior = Prior {
            figures: Figures {
                dark: vec![0.0; 3],
                search: vec![0.0; 3],
            },
            dark_width: vec![10.0; 3],
            search_width: 10.0,
        };
        let found = regress(&[site], &prior, 40_000.0);
        let logit = |p: f64| (p / (1.0 - p)).ln();
        for (fact, part) in parts.iter().enumerate() {
            let [private, search, typed] = part.map(logit);
            let right = |figure: f64, is: f64| assert!((figure - is).abs() < 0.03, "{figure} {is}");
            right(found.dark[fact + 1], private - typed);
            right(found.search[fact + 1], search - typed);
        }
    }
}
