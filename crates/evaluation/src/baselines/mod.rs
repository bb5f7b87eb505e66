//! The methods to beat: what is obvious, and those of the literature. All of them look at every
//! earlier arrival; none is bounded.
//!
//! Imports go one way: delays and laws (`lags`, `laws`) ← what every method is put through
//! (`scoring`) ← one module a family of methods.

mod contents;
mod kernels;
mod labels;
mod lags;
mod laws;
mod logit;
mod marked;
mod root_share;
mod scoring;
mod simple;
mod unlabelled;

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cascades::Cascade;
use crate::drive::{Setting, Tokens};
use crate::measures::Measures;
pub(crate) use contents::{Content, Said, Sender, Told, of_contents};
use kernels::Kernels;
pub use labels::Labelled;
use labels::{Laws, Teach};
use logit::Logit;
use marked::Marked;
use root_share::RootShare;
use scoring::{Weigh, run};
use simple::{AlwaysRoot, MostRecent};

/// A method, and how well it does.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// Its name.
    pub name: &'static str,
    /// Its measures; those of ranges are `None`, since it gives none.
    pub measures: Measures,
}

/// How well the methods do.
#[derive(Clone, Debug)]
pub struct Baselines {
    /// Those that were run, in the order of a table.
    pub methods: Vec<Baseline>,
    /// Names of those that were not, since they need labels to be fitted to.
    pub left_out: Vec<&'static str>,
}

/// Those that are fitted, in the order of a table.
const FITTED: [&str; 8] = [
    "exponential kernel",
    "power-law kernel",
    "out-degree x power law",
    "root share + histogram",
    "two-type Hawkes",
    "two-type Hawkes, Gamma-Poisson",
    "two-type Hawkes by EM, no labels",
    "conditional logit, fitted",
];

/// Runs every baseline over the same hidden edges as an evaluation with these tokens. Those that
/// are fitted are so to what is labelled, and to nothing else.
pub fn baselines(
    cascades: &[Cascade],
    tokens: Tokens,
    labelled: Option<Labelled<'_>>,
) -> Baselines {
    let nodes = cascades.iter().map(|cascade| cascade.parents.len());
    let nodes = nodes.max().unwrap_or(1);
    let mut methods = unfitted(nodes);
    let fitted = labelled.and_then(|labelled| fitted(&labelled, nodes));
    let left_out = match fitted {
        Some(fitted) => {
            methods.extend(FITTED.into_iter().zip(fitted));
            Vec::new()
        }
        None => FITTED.to_vec(),
    };
    Baselines {
        methods: side_by_side(methods.len(), |number| {
            let (name, method) = &methods[number];
            let measures = run(cascades, tokens, method.as_ref());
            Baseline { name, measures }
        }),
        left_out,
    }
}

/// Runs the strongest of them alone, the fitted conditional logit: the one that the bars are set by.
/// Where marks are made up it is told what they are worth, exactly: by which law they are drawn and
/// how often copied. None where there is no label to fit it to.
pub fn conditional_logit(
    cascades: &[Cascade],
    setting: Setting,
    labelled: Labelled<'_>,
) -> Option<Measures> {
    let nodes = cascades.iter().map(|cascade| cascade.parents.len());
    let laws = Laws::of(&labelled)?;
    let logit = Logit::fitted(&labelled, &laws, nodes.max().unwrap_or(1));
    Some(match setting.marks {
        None => run(cascades, setting.tokens, &logit),
        Some(marks) => {
            let marked = Marked::new(logit, marks, cascades);
            run(cascades, setting.tokens, &marked)
        }
    })
}

type Method = (&'static str, Box<dyn Weigh>);

/// Methods that need no labels, for cascades of up to so many nodes.
fn unfitted(nodes: usize) -> Vec<Method> {
    vec![
        ("most recent", Box::new(MostRecent)),
        ("always root", Box::new(AlwaysRoot)),
        ("uniform", Box::new(Kernels::uniform())),
        (
            "out-degree so far",
            Box::new(Kernels::uniform().preferential()),
        ),
        (
            "conditional logit, cold start",
            Box::new(Logit::cold(nodes)),
        ),
    ]
}

/// The methods of [`FITTED`]; none where no label teaches them.
fn fitted(teacher: &dyn Teach, nodes: usize) -> Option<[Box<dyn Weigh>; FITTED.len()]> {
    let laws = Laws::of(teacher)?;
    let [root, others] = &laws.delays;
    let densities = [root, others];
    let means = laws.offspring.map(|offspring| offspring.mean);
    let power_law = || Kernels::power_law(laws.power_law);
    Some([
        Box::new(Kernels::exponential(laws.mean_delay)),
        Box::new(power_law()),
        Box::new(power_law().preferential()),
        Box::new(RootShare::new(laws.share, others)),
        Box::new(Kernels::hawkes(means, densities)),
        Box::new(Kernels::gamma_poisson(laws.offspring, densities)),
        Box::new(unlabelled::fitted(teacher)),
        Box::new(Logit::fitted(teacher, &laws, nodes)),
    ])
}

/// Does jobs on as many threads as the machine has processors; what each finds does not depend on it.
fn side_by_side<T: Send>(jobs: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    let next = AtomicUsize::new(0);
    let take = || {
        let mut found = Vec::new();
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= jobs {
                return found;
            }
            found.push((job, work(job)));
        }
    };
    let mut found: Vec<(usize, T)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.min(jobs)).map(|_| scope.spawn(take)).collect();
        let joined = threads.into_iter().flat_map(|thread| {
            let joined = thread.join();
            joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.collect()
    });
    found.sort_by_key(|(job, _)| *job);
    found.into_iter().map(|(_, found)| found).collect()
}

#[cfg(test)]
mod tests;
