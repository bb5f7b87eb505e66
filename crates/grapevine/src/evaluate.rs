//! `grapevine evaluate`: how well share chains are inferred and visits classified where the truth is
//! known, and the weights that do it.

mod visits;

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, TableComponent, presets};
use grapevine_evaluation::{
    Baseline, Cascade, CopiedMarks, Evaluation, FitSource, Measures, NODES_MAX, ReadError, Setting,
    Tokens, baselines, evaluate, fit, learn, read,
};
use grapevine_inference::causes::{Holding, MarkLaws, Weights};
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
        EvaluateWhat::Visits(arguments) => visits::evaluate_visits(arguments),
        EvaluateWhat::FitVisits(arguments) => visits::fit(arguments),
    }
}

/// The JSON document.
#[derive(Serialize)]
struct Document<'a> {
    file: String,
    fit: Option<String>,
    token_rate: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    marks: Option<[f64; 2]>,
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
    let setting = setting(arguments, arguments.seed);
    let mut weights = weights(arguments.weights.as_deref())?;
    let mut laws = MarkLaws::default();
    if let Some(path) = &arguments.fit {
        // Another seed: cascades of the same number in both files must not draw the same.
        let setting = self::setting(arguments, arguments.seed ^ 0x0066_6974);
        let known = self::cascades(path)?;
        (weights, laws) = learn(&known, setting, &weights, Holding::default());
    }
    let evaluation = evaluate(&cascades, setting, &weights, &laws);
    if evaluation.settled.edges == 0 {
        let problem = format!(
            "{}: no edge is hidden, so nothing can be scored; lower --token-rate",
            arguments.file.display()
        );
        return Err(Failure::new(ExitKind::Data, problem));
    }
    let baselines = baselines(&cascades, setting.tokens);
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

fn setting(arguments: &EvaluateChainsArgs, seed: u64) -> Setting {
    Setting {
        tokens: Tokens {
            rate: arguments.token_rate,
            seed,
        },
        marks: arguments.marks.map(|[channel, network]| CopiedMarks {
            channel,
            network,
            seed,
        }),
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
        marks: arguments.marks,
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
    if let Some([channel, network]) = arguments.marks {
        writeln!(
            out,
            "made-up marks: children copy the channel with probability {channel}, the network with \
             {network}; the baselines do not see them"
        )?;
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn arguments(line: &[&str]) -> EvaluateChainsArgs {
        let cli = crate::cli::Cli::try_parse_from(line).expect("arguments");
        match cli.command {
            crate::cli::Command::Evaluate(EvaluateArgs {
                what: EvaluateWhat::Chains(arguments),
            }) => arguments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_document_has_the_measures_by_their_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c.csv");
        let text = "cascade_id,node_id,parent_id,t_seconds\n1,0,,0\n1,1,0,5\n1,2,1,9\n1,3,0,12\n";
        std::fs::write(&path, text).expect("writes");
        let file = path.to_str().expect("a name");
        let arguments = arguments(&["grapevine", "evaluate", "chains", file, "--token-rate", "0"]);
        let cascades = cascades(&arguments.file).expect("cascades");
        let weights = weights(None).expect("weights");
        let setting = setting(&arguments, 1);
        let evaluation = evaluate(&cascades, setting, &weights, &MarkLaws::default());
        let baselines = baselines(&cascades, setting.tokens);
        let document = document(&arguments, &weights, &evaluation, &baselines);
        let value = serde_json::to_value(&document).expect("a document");
        for key in [
            "top1",
            "mrr",
            "log_loss",
            "brier",
            "ece",
            "reproduction_mae",
            "reproduction_coverage",
            "virality_mae",
            "virality_coverage",
        ] {
            assert!(value[key].is_f64(), "{key}: {value}");
        }
        assert_eq!(value["edges"], 3);
        assert!(value["baselines"]["uniform"]["log_loss"].is_f64());
        assert!(value["baselines"]["uniform"]["virality_coverage"].is_null());
        let mut text = Vec::new();
        write_text(&arguments, &weights, &evaluation, &baselines, &mut text).expect("written");
        let text = String::from_utf8(text).expect("text");
        assert!(
            text.contains("3 hidden edges") && text.contains("most recent"),
            "{text}"
        );
    }

    #[test]
    fn what_is_wrong_ends_with_its_own_code() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c.csv");
        let code = |text: Option<&str>| {
            match text {
                Some(text) => std::fs::write(&path, text).expect("writes"),
                None => std::fs::remove_file(&path).expect("removes"),
            }
            let file = path.to_str().expect("a name");
            let failure = chains(&arguments(&["grapevine", "evaluate", "chains", file]));
            let failure = failure.expect_err("wrong");
            (failure.code(), failure.to_string())
        };
        let header = "cascade_id,node_id,parent_id,t_seconds\n";
        let (found, said) = code(Some(&format!("{header}1,0,,0\n1,1,5,2\n")));
        assert_eq!(found, 65);
        assert!(said.contains("line 3"), "{said}");
        let (found, said) = code(Some(&format!("{header}1,0,,0\n")));
        assert_eq!(found, 65);
        assert!(said.contains("no edge is hidden"), "{said}");
        assert_eq!(code(None).0, 66);
        for marks in ["0.5", "0.5,1", "-1,0", "a,b", "0.1,0.2,0.3"] {
            let line = ["grapevine", "evaluate", "chains", "f", "--marks", marks];
            assert!(crate::cli::Cli::try_parse_from(line).is_err(), "{marks}");
        }
        let line = ["grapevine", "evaluate", "chains", "f", "--marks", "0.5,0.3"];
        assert_eq!(arguments(&line).marks, Some([0.5, 0.3]));
        for rate in ["1", "-0.1", "nan", "x"] {
            let line = ["grapevine", "evaluate", "chains", "f", "--token-rate", rate];
            assert!(crate::cli::Cli::try_parse_from(line).is_err(), "{rate}");
        }
    }
}
