//! `grapevine evaluate`: how well share chains are inferred and visits classified where the truth is
//! known, and the weights that do it.

mod chains;
mod figure;
mod visits;

use std::path::Path;

use grapevine_evaluation::{Cascade, FitSource, ReadError, fit, read};
use grapevine_inference::causes::Weights;

use crate::cli::{EvaluateArgs, EvaluateFitArgs, EvaluateWhat};
use crate::exit::{ExitKind, Failure};
use crate::judging;
use crate::settings::Settings;

/// Runs the command.
///
/// # Errors
/// A file that is not there or is no cascade file or no weights, nothing to score, an output that
/// cannot be written.
pub fn run(arguments: &EvaluateArgs, settings: &Settings) -> Result<(), Failure> {
    match &arguments.what {
        EvaluateWhat::Chains(arguments) => chains::evaluate_chains(arguments, settings),
        EvaluateWhat::Fit(arguments) => fit_weights(arguments),
        EvaluateWhat::Visits(arguments) => visits::evaluate_visits(arguments, settings),
        EvaluateWhat::FitVisits(arguments) => visits::fit(arguments, settings),
    }
}

fn fit_weights(arguments: &EvaluateFitArgs) -> Result<(), Failure> {
    let mut sources = Vec::new();
    for path in &arguments.files {
        let name = path.file_name().unwrap_or(path.as_os_str());
        sources.push(FitSource {
            name: name.to_string_lossy().into_owned(),
            cascades: cascades(path)?,
        });
    }
    let weights = fit(
        &sources,
        &arguments.token_rates,
        arguments.seed,
        &arguments.version,
    );
    std::fs::write(&arguments.out, weights.render()).map_err(|error| {
        let path = arguments.out.display();
        Failure::new(
            ExitKind::InputOutput,
            format!("cannot write {path}: {error}"),
        )
    })
}

fn cascades(path: &Path) -> Result<Vec<Cascade>, Failure> {
    read(path).map_err(|error| {
        let kind = match error {
            ReadError::Open { .. } => ExitKind::NoInput,
            ReadError::Read { .. } | ReadError::Line { .. } => ExitKind::Data,
        };
        Failure::new(kind, error.to_string())
    })
}

/// Weights of causes: those of a file that was named, else what a running pipeline takes.
fn weights(path: Option<&Path>, settings: &Settings) -> Result<Weights, Failure> {
    let Some(path) = path else {
        return Ok(judging::chain_model(settings)?.unwrap_or_else(Weights::builtin));
    };
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(ExitKind::NoInput, format!("weights {name}: {error}")))?;
    Weights::parse(&text).map_err(|error| Failure::new(ExitKind::Data, format!("{name}: {error}")))
}
