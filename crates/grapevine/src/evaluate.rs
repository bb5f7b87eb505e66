//! `grapevine evaluate`: how well share chains are inferred where the truth is known, and the
//! weights that do it.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, TableComponent, presets};
use grapevine_evaluation::{
    Baseline, Cascade, Evaluation, FitSource, Measures, NODES_MAX, ReadError, Tokens, baselines,
    evaluate, fit, learn, read,
};
use grapevine_inference::causes::{Holding, Weights};
use serde::Serialize;

use crate::cli::{EvaluateArgs, EvaluateChainsArgs, EvaluateFitArgs, EvaluateFormat, EvaluateWhat};
use crate::exit::{Ends, ExitKind, Failure};

/// Runs the command.
///
/// # Errors
/// A file that is not there or is no cascade file or no weights, nothing to score, an output that
/// cannot be written.
pub fn run(arguments: &EvaluateArgs) -> Result<(), Failure> {
    match &arguments.what {
        EvaluateWhat::Chains(arguments) => chains(arguments),
        EvaluateWhat::Fit(arguments) => fit_weights(arguments),
    }
}

/// The JSON document.
#[derive(Serialize)]
struct Document<'a> {
    file: String,
    fit: Option<String>,
    token_rate: f64,
    seed: u64,
    weights: &'a str,
    #[serde(flatten)]
    settled: &'a Measures,
    on_arrival: Early,
    baselines: std::collections::BTreeMap<&'static str, Measures>,
}

/// What is measured of the posteriors at the moment of arrival.
#[derive(Serialize)]
struct Early {
    top1: f64,
    mrr: f64,
    log_loss: f64,
    brier: f64,
    ece: f64,
}

fn chains(arguments: &EvaluateChainsArgs) -> Result<(), Failure> {
    let cascades = cascades(&arguments.file)?;
    let tokens = Tokens {
        rate: arguments.token_rate,
        seed: arguments.seed,
    };
    let mut weights = weights(arguments.weights.as_deref())?;
    if let Some(path) = &arguments.fit {
        // Another seed: cascades of the same number in both files must not draw the same.
        let tokens = Tokens {
            seed: arguments.seed ^ 0x0066_6974,
            ..tokens
        };
        weights = learn(&self::cascades(path)?, tokens, &weights, Holding::default());
    }
    let evaluation = evaluate(&cascades, tokens, &weights);
    if evaluation.settled.edges == 0 {
        let problem = format!(
            "{}: no edge is hidden, so nothing can be scored; lower --token-rate",
            arguments.file.display()
        );
        return Err(Failure::new(ExitKind::Data, problem));
    }
    let baselines = baselines(&cascades, tokens);
    let mut out = io::stdout().lock();
    let written = match arguments.format {
        EvaluateFormat::Json => {
            let document = document(arguments, &weights, &evaluation, &baselines);
            serde_json::to_writer_pretty(&mut out, &document)
                .map_err(io::Error::from)
                .and_then(|()| writeln!(out))
        }
        EvaluateFormat::Text => write_text(arguments, &weights, &evaluation, &baselines, &mut out),
    };
    match written {
        // `| head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.ends(ExitKind::InputOutput),
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
        Holding::default(),
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

fn weights(path: Option<&Path>) -> Result<Weights, Failure> {
    let Some(path) = path else {
        return Ok(Weights::builtin());
    };
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(ExitKind::NoInput, format!("weights {name}: {error}")))?;
    Weights::parse(&text).map_err(|error| Failure::new(ExitKind::Data, format!("{name}: {error}")))
}

fn document<'a>(
    arguments: &EvaluateChainsArgs,
    weights: &'a Weights,
    evaluation: &'a Evaluation,
    baselines: &[Baseline],
) -> Document<'a> {
    let early = evaluation.on_arrival;
    Document {
        file: arguments.file.display().to_string(),
        fit: arguments
            .fit
            .as_ref()
            .map(|path| path.display().to_string()),
        token_rate: arguments.token_rate,
        seed: arguments.seed,
        weights: weights.version(),
        settled: &evaluation.settled,
        on_arrival: Early {
            top1: early.top1,
            mrr: early.mrr,
            log_loss: early.log_loss,
            brier: early.brier,
            ece: early.ece,
        },
        baselines: baselines
            .iter()
            .map(|baseline| (baseline.name, baseline.measures))
            .collect(),
    }
}

fn write_text(
    arguments: &EvaluateChainsArgs,
    weights: &Weights,
    evaluation: &Evaluation,
    baselines: &[Baseline],
    out: &mut impl Write,
) -> io::Result<()> {
    let settled = &evaluation.settled;
    writeln!(
        out,
        "{}: {} hidden edges of {} cascades (each cut to {NODES_MAX} nodes), {} % of edges known \
         by token",
        arguments.file.display(),
        settled.edges,
        settled.cascades,
        arguments.token_rate * 100.0,
    )?;
    writeln!(out, "weights {}", weights.version())?;
    writeln!(
        out,
        "true R over all {:.3}; a range should hold 80 %\n",
        settled.reproduction_true
    )?;
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table
        .set_style(TableComponent::HeaderLines, '─')
        .set_style(TableComponent::MiddleHeaderIntersections, '─')
        .set_content_arrangement(ContentArrangement::Dynamic);
    let width = match io::stdout().is_terminal() {
        true => console::Term::stdout().size().1.max(60),
        false => 140,
    };
    table.set_width(width);
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let mut head = vec![Cell::new("method")];
    head.extend(
        [
            "top-1 %",
            "on chains %",
            "MRR",
            "log-loss",
            "Brier",
            "ECE",
            "R",
            "|R error|",
            "held %",
            "virality error",
            "held %",
        ]
        .map(|text| right(text.to_owned())),
    );
    table.set_header(head);
    let mut add = |name: &str, measures: &Measures, cascades: bool| {
        let figure = |value: f64, digits: usize| match value.is_nan() {
            true => String::from("·"),
            false => format!("{value:.digits$}"),
        };
        let of_cascades = |value: f64| if cascades { value } else { f64::NAN };
        let mut row = vec![Cell::new(name)];
        row.extend(
            [
                figure(measures.top1 * 100.0, 1),
                figure(measures.top1_chain * 100.0, 1),
                figure(measures.mrr, 3),
                figure(measures.log_loss, 3),
                figure(measures.brier, 3),
                figure(measures.ece, 3),
                figure(of_cascades(measures.reproduction_pooled), 3),
                figure(of_cascades(measures.reproduction_mae), 3),
                figure(of_cascades(measures.reproduction_coverage * 100.0), 0),
                figure(of_cascades(measures.virality_mae), 3),
                figure(of_cascades(measures.virality_coverage * 100.0), 0),
            ]
            .map(right),
        );
        table.add_row(row);
    };
    add("grapevine", settled, true);
    add("grapevine, on arrival", &evaluation.on_arrival, false);
    for baseline in baselines {
        add(baseline.name, &baseline.measures, true);
    }
    writeln!(out, "{table}")
}
