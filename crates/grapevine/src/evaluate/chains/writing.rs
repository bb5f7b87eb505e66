//! How the scores of chains are written: one table for people, JSON documents for programs.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, TableComponent, presets};
use grapevine_evaluation::{Baselines, Measures, NODES_MAX};
use serde::Serialize;

use super::Scored;
use crate::cli::EvaluateChainsArgs;
use crate::evaluate::figure::{figure, percent, signed};

/// The JSON document.
#[derive(Serialize)]
pub(super) struct Document<'a> {
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
    in_spreads: Recorded,
    baselines: std::collections::BTreeMap<&'static str, Measures>,
}

/// What is measured of the posteriors at the moment of arrival.
#[derive(Serialize)]
struct Early {
    top1: Option<f64>,
    mrr: Option<f64>,
    log_loss: Option<f64>,
    brier: Option<f64>,
    ece: Option<f64>,
}

/// What is measured of contents as the records of `spreads` state them.
#[derive(Serialize)]
struct Recorded {
    reproduction_pooled: Option<f64>,
    reproduction_bias: Option<f64>,
    reproduction_mae: Option<f64>,
    reproduction_coverage: Option<f64>,
    reproduction_width: Option<f64>,
    virality_mae: Option<f64>,
    virality_coverage: Option<f64>,
    virality_width: Option<f64>,
}

/// The document of one share of tokens.
pub(super) fn document<'a>(arguments: &EvaluateChainsArgs, scored: &'a Scored) -> Document<'a> {
    let early = scored.evaluation.on_arrival;
    let recorded = scored.evaluation.in_spreads;
    let baselines = scored.baselines.methods.iter();
    Document {
        file: arguments.file.display().to_string(),
        fit: arguments
            .fit
            .as_ref()
            .map(|path| path.display().to_string()),
        token_rate: scored.token_rate,
        marks: arguments.marks,
        seed: arguments.seed,
        weights: scored.weights.version(),
        settled: &scored.evaluation.settled,
        on_arrival: Early {
            top1: early.top1,
            mrr: early.mrr,
            log_loss: early.log_loss,
            brier: early.brier,
            ece: early.ece,
        },
        in_spreads: Recorded {
            reproduction_pooled: recorded.reproduction_pooled,
            reproduction_bias: recorded.reproduction_bias,
            reproduction_mae: recorded.reproduction_mae,
            reproduction_coverage: recorded.reproduction_coverage,
            reproduction_width: recorded.reproduction_width,
            virality_mae: recorded.virality_mae,
            virality_coverage: recorded.virality_coverage,
            virality_width: recorded.virality_width,
        },
        baselines: baselines
            .map(|baseline| (baseline.name, baseline.measures))
            .collect(),
    }
}

/// One document, or a list of them where several shares of tokens were asked for.
pub(super) fn write_json(
    arguments: &EvaluateChainsArgs,
    all: &[Scored],
    out: &mut impl Write,
) -> io::Result<()> {
    let documents: Vec<Document<'_>> = all
        .iter()
        .map(|scored| document(arguments, scored))
        .collect();
    match documents.as_slice() {
        [document] => serde_json::to_writer_pretty(&mut *out, document),
        documents => serde_json::to_writer_pretty(&mut *out, documents),
    }?;
    writeln!(out)
}

/// For people: one table of all methods at all shares of tokens, what it is of above it.
pub(super) fn write_text(
    arguments: &EvaluateChainsArgs,
    all: &[Scored],
    nothing_hidden: &[f64],
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(
        out,
        "{}, each cascade cut to {NODES_MAX} nodes",
        arguments.file.display()
    )?;
    for scored in all {
        let settled = &scored.evaluation.settled;
        writeln!(
            out,
            "{} % of edges known by token: {} hidden edges of {} cascades, true R over all {}, \
             weights {}",
            scored.token_rate * 100.0,
            settled.edges,
            settled.cascades,
            figure(settled.reproduction_true, 3),
            scored.weights.version(),
        )?;
    }
    for rate in nothing_hidden {
        let percent = rate * 100.0;
        writeln!(
            out,
            "{percent} % of edges known by token: no edge is hidden"
        )?;
    }
    if let Some([channel, network]) = arguments.marks {
        writeln!(
            out,
            "made-up marks: children copy the channel with probability {channel}, the network with \
             {network}; the baselines do not see them"
        )?;
    }
    writeln!(
        out,
        "a range should hold 80 %, width is its mean one; bias is R over all as stated minus the true one; in \
         spreads: as the records of a running pipeline state R and virality, whose likely ones leave out \
         that nobody may have passed a content on"
    )?;
    if let Some(Baselines { left_out, .. }) = all.first().map(|scored| &scored.baselines)
        && !left_out.is_empty()
    {
        let names = left_out.join("; ");
        let why = match &arguments.fit {
            None => "there is no --fit FILE",
            Some(_) => "no edge of the --fit FILE carries a token",
        };
        writeln!(out, "left out, since they need fitting and {why}: {names}")?;
    }
    writeln!(out, "\n{}", table(all))
}

/// The methods, by share of tokens.
fn table(all: &[Scored]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table
        .set_style(TableComponent::HeaderLines, '─')
        .set_style(TableComponent::MiddleHeaderIntersections, '─')
        .set_content_arrangement(ContentArrangement::Dynamic);
    let width = match io::stdout().is_terminal() {
        true => console::Term::stdout().size().1.max(60),
        false => 200,
    };
    table.set_width(width);
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let mut head = vec![right("tokens %".to_owned()), Cell::new("method")];
    head.extend(
        [
            "top-1 %",
            "on chains %",
            "MRR",
            "log-loss",
            "Brier",
            "ECE",
            "R",
            "bias",
            "|R error|",
            "held %",
            "width",
            "virality error",
            "held %",
            "width",
        ]
        .map(|text| right(text.to_owned())),
    );
    table.set_header(head);
    let mut add = |rate: f64, name: &str, measures: &Measures| {
        let mut row = vec![right((rate * 100.0).to_string()), Cell::new(name)];
        row.extend(
            [
                percent(measures.top1, 1),
                percent(measures.top1_chain, 1),
                figure(measures.mrr, 3),
                figure(measures.log_loss, 3),
                figure(measures.brier, 3),
                figure(measures.ece, 3),
                figure(measures.reproduction_pooled, 3),
                signed(measures.reproduction_bias, 3),
                figure(measures.reproduction_mae, 3),
                percent(measures.reproduction_coverage, 0),
                figure(measures.reproduction_width, 3),
                figure(measures.virality_mae, 3),
                percent(measures.virality_coverage, 0),
                figure(measures.virality_width, 3),
            ]
            .map(right),
        );
        table.add_row(row);
    };
    for scored in all {
        let (rate, evaluation) = (scored.token_rate, &scored.evaluation);
        add(rate, "grapevine", &evaluation.settled);
        add(rate, "grapevine, on arrival", &evaluation.on_arrival);
        add(rate, "grapevine, in spreads", &evaluation.in_spreads);
        for baseline in &scored.baselines.methods {
            add(rate, baseline.name, &baseline.measures);
        }
    }
    table
}
