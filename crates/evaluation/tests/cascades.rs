//! The bars of share chains, one by one, on cascades whose true parents are known.
//!
//! The files are not part of the repository, so this is run where they are, in a directory that
//! holds nothing else:
//!
//! ```sh
//! GRAPEVINE_CASCADES=DIRECTORY cargo test --release -p grapevine-evaluation --test cascades
//! ```
//!
//! Each file is split by cascade as `tests/bench/chains` does, and every second one scored. A table
//! of all bars is printed, and the test fails where one is missed. Without the variable nothing is
//! run, which is said.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod limits;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use grapevine_evaluation::{
    Cascade, FitSource, Labelled, Measures, conditional_logit, evaluate, fit, learn, read,
};
use grapevine_inference::causes::{Holding, MarkLaws, Weights};
use limits::{Bar, Limit, RATES, bars, setting};

const DIRECTORY: &str = "GRAPEVINE_CASCADES";
/// Share of tokens at which ranges and pooled R are held to their bars beside [`RATES`].
const MANY_TOKENS: f64 = 0.5;
/// Seeds of the tokens that are scored and of those that teach: as `grapevine evaluate chains` has
/// them.
const SEED: u64 = 1;
const LEARNING_SEED: u64 = SEED ^ 0x0066_6974;
/// Share of tokens beside which made-up marks are looked at, and how many cascades.
const MARKED_RATE: f64 = 0.05;
const MARKED_CASCADES: usize = 700;
/// What marks have to be worth, by set: chain edges whose likeliest cause is right, and the error of
/// R.
const MARKED_BARS: [(&str, f64, f64); 2] =
    [("twitter16", 0.12, 0.075), ("weibo_ced", 0.135, 0.099)];
/// Whose figures a row has: the weights that are shipped, which were fitted on the scored halves
/// too; weights made in the same way of the halves that are not scored; and these after learning
/// from the tokens of the same file's other half.
const WEIGHTS: [&str; 3] = ["shipped", "fitted", "learned"];

/// The halves of a file.
struct Set {
    name: String,
    scored: Vec<Cascade>,
    known: Vec<Cascade>,
}

/// One bar, of each of the weights.
struct Row {
    set: String,
    rate: f64,
    bars: [Bar; WEIGHTS.len()],
}

fn main() -> ExitCode {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        println!("not run: {DIRECTORY} names no directory of cascade files");
        return ExitCode::SUCCESS;
    };
    let sets = sets(Path::new(&directory));
    let sources: Vec<FitSource> = sets
        .iter()
        .map(|set| FitSource {
            name: set.name.clone(),
            cascades: set.known.clone(),
        })
        .collect();
    let fitted = fit(&sources, &RATES, SEED, "halves");
    let rows: Vec<Row> = std::thread::scope(|scope| {
        let threads: Vec<_> = sets
            .iter()
            .flat_map(|set| {
                RATES
                    .into_iter()
                    .chain([MANY_TOKENS])
                    .map(move |rate| (set, rate))
            })
            .map(|(set, rate)| {
                let fitted = &fitted;
                scope.spawn(move || rows(set, fitted, rate))
            })
            .collect();
        let rows = threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("every set is scored"));
        rows.collect()
    });
    let missed = print(&rows);
    if missed > 0 {
        eprintln!("{missed} figures miss their bar");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Every file of a directory, by name.
fn sets(directory: &Path) -> Vec<Set> {
    let listed = std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{DIRECTORY}={}: {error}", directory.display()));
    let mut files: Vec<PathBuf> = listed
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", directory.display());
    files.iter().map(|file| set(file)).collect()
}

fn set(file: &Path) -> Set {
    let cascades = read(file).unwrap_or_else(|error| panic!("{error}"));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let half = |odd: usize| {
        let half = cascades.iter().skip(odd).step_by(2);
        half.cloned().collect()
    };
    Set {
        name: name.split('.').next().unwrap_or_default().to_owned(),
        scored: half(1),
        known: half(0),
    }
}

/// What each of [`WEIGHTS`] finds.
fn found(
    scored: &[Cascade],
    known: &[Cascade],
    fitted: &Weights,
    rate: f64,
    marked: bool,
) -> [Measures; WEIGHTS.len()] {
    let learning = setting(rate, LEARNING_SEED, marked);
    let (learned, laws) = learn(known, learning, fitted, Holding::default());
    let none = MarkLaws::default();
    [
        (&Weights::builtin(), &none),
        (fitted, &none),
        (&learned, &laws),
    ]
    .map(|(weights, laws)| {
        let setting = setting(rate, SEED, marked);
        evaluate(scored, setting, weights, laws).settled
    })
}

/// The rows of a set at one share of tokens.
fn rows(set: &Set, fitted: &Weights, rate: f64) -> Vec<Row> {
    let logit = (rate < MANY_TOKENS).then(|| {
        let labelled = Labelled {
            cascades: &set.known,
            tokens: setting(rate, LEARNING_SEED, false).tokens,
        };
        let setting = setting(rate, SEED, false);
        conditional_logit(&set.scored, setting, labelled).expect("labels")
    });
    let found = found(&set.scored, &set.known, fitted, rate, false);
    let bars = found.map(|found| bars(&found, logit.as_ref(), rate));
    let mut rows: Vec<Row> = (0..bars[0].len())
        .map(|at| Row {
            set: set.name.clone(),
            rate,
            bars: bars.each_ref().map(|bars| bars[at]),
        })
        .collect();
    if rate == MARKED_RATE {
        rows.extend(marked_rows(set, fitted));
    }
    rows
}

/// The rows of made-up marks; none of a set that no bar is for.
fn marked_rows(set: &Set, fitted: &Weights) -> Vec<Row> {
    let barred = MARKED_BARS.into_iter().find(|(name, ..)| *name == set.name);
    let Some((_, top1, error)) = barred else {
        return Vec::new();
    };
    let first = |half: &[Cascade]| half[..half.len().min(MARKED_CASCADES)].to_vec();
    let (scored, known) = (first(&set.scored), first(&set.known));
    let found = found(&scored, &known, fitted, MARKED_RATE, true);
    let top1 = |found: Measures| Bar {
        name: "top-1 on chains, marks",
        limit: Limit::AtLeast(top1),
        figure: found.top1_chain.expect("chains"),
    };
    let error = |found: Measures| Bar {
        name: "|R error|, marks",
        limit: Limit::AtMost(error),
        figure: found.reproduction_mae.expect("cascades"),
    };
    let rows = [found.map(top1), found.map(error)].map(|bars| Row {
        set: set.name.clone(),
        rate: MARKED_RATE,
        bars,
    });
    rows.into()
}

/// Prints the table by bar and says how many figures miss theirs.
fn print(rows: &[Row]) -> usize {
    println!("| bar | set | tokens | limit | {} |", WEIGHTS.join(" | "));
    println!(
        "| --- | --- | --- | --- |{}",
        " --- |".repeat(WEIGHTS.len())
    );
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        let name = row.bars[0].name;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let of = |name| rows.iter().filter(move |row| row.bars[0].name == name);
    for row in names.iter().flat_map(|name| of(*name)) {
        let Bar { name, limit, .. } = row.bars[0];
        let name = name.replace('|', "\\|");
        let figures = row.bars.map(|bar| match bar.is_met() {
            true => format!("{:.3} met", bar.figure),
            false => format!("{:.3} **missed**", bar.figure),
        });
        let (set, percent) = (&row.set, row.rate * 100.0);
        let figures = figures.join(" | ");
        println!("| {name} | {set} | {percent} % | {limit} | {figures} |");
    }
    let bars = || rows.iter().flat_map(|row| row.bars);
    let missed = bars().filter(|bar| !bar.is_met());
    missed.count()
}
