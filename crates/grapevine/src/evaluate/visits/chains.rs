//! What `grapevine evaluate visits` prints of parents and spreading.

use std::io::{self, Write};

use grapevine_evaluation::visits::{
    Apart, ContentScores, FigureScore, ParentScores, PostedScores, READERS_MIN, SimpleScore,
    SpreadBaseline,
};

use super::super::figure::{figure, in_percent, percent, points};
use super::{Run, cells, rate, table};

/// Readers of a channel and app from which its row is printed; the document has all.
const GROUP_MIN: usize = 20;

const SCORES: [&str; 13] = [
    "readers",
    "chained %",
    "stated %",
    "bias",
    "top-1 %",
    "on chains %",
    "MRR",
    "log-loss",
    "on chains",
    "Brier",
    "ECE",
    "ECE outside",
    "ECE named",
];

pub(super) fn write(runs: &[Run], out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "\nCauses of readers, as the chain stage states them in the end. chained: part that an earlier \
         reader sent in private; bias: stated less true, in points. A reader in the pool has an equal part \
         of it; log-loss takes no probability below .001. The simple methods see no tokens. inferred: \
         neither token nor fact told the cause"
    )?;
    let mut methods = table("token rate, readers, method", &SCORES);
    for run in runs {
        for (group, inferred) in [("all", false), ("inferred", true)] {
            for method in &run.chains.methods {
                let scores = if inferred {
                    &method.inferred
                } else {
                    &method.all
                };
                let name = format!("{} {group}: {}", rate(run), method.name);
                methods.add_row(cells(&name, figures(scores)));
            }
        }
    }
    writeln!(out, "{methods}\n")?;
    write_content_methods(runs, out)?;
    writeln!(
        out,
        "\nSet apart, since no single cause is the right one to state"
    )?;
    let head = [
        "readers",
        "P(outside)",
        "P(the sharer)",
        "P(somebody unseen)",
    ];
    let mut apart = table("token rate, readers", &head);
    for run in runs {
        for (name, group) in [
            ("by a reader's public post", &run.chains.by_post),
            (
                "sent by a reader whose visit never came",
                &run.chains.by_unseen,
            ),
            ("no new reader: a return, or a robot", &run.chains.no_reader),
        ] {
            let name = format!("{} {name}", rate(run));
            apart.add_row(cells(&name, of_apart(group)));
        }
    }
    writeln!(
        out,
        "{apart}\n\nTokens that were taken for somebody's: P(passed on), else they are the reader's own. by \
         the owner: of those passed on by a reader who was seen, the part that the token's owner sent; the others sent \
         on the token of an earlier link"
    )?;
    let mut tokens = table(
        "token rate",
        &["landings", "stated", "true", "ECE", "by the owner"],
    );
    for run in runs {
        let edges = &run.chains.token_edges;
        let figures = [
            edges.landings.to_string(),
            figure(edges.stated, 3),
            figure(edges.passed_on, 3),
            figure(edges.ece, 3),
            figure(edges.sent_by_owner, 3),
        ];
        tokens.add_row(cells(&rate(run), figures));
    }
    writeln!(
        out,
        "{tokens}\n\nCauses of readers by true channel and app (from {GROUP_MIN} readers)"
    )?;
    let mut groups = table("token rate, channel and app", &SCORES);
    for run in runs {
        let large = run.chains.groups.iter();
        for group in large.filter(|group| group.scores.readers >= GROUP_MIN) {
            let name = format!("{} {} {}", rate(run), group.channel, group.app);
            groups.add_row(cells(name.trim_end(), figures(&group.scores)));
        }
    }
    writeln!(
        out,
        "{groups}\n\nHow contents of {READERS_MIN} readers and more spread. Whom a reader's public post \
         brought counts as from outside where the post's site says so: the truth lies between links passed \
         on in private and all. held: the 80 % range has the true figure, or meets what lies between; width: its mean one. Simple \
         methods see no tokens and have no range: always root has every reader from outside, most recent \
         reader each from the one before"
    )?;
    let head = [
        "contents",
        "stated",
        "true, private",
        "true, all",
        "|error|, private",
        "|error|, all",
        "held %, private",
        "held %, all",
        "held %",
        "of missed, too low %",
        "width",
    ];
    let mut spreads = table("token rate, figure", &head);
    for run in runs {
        let found = &run.chains.spreads;
        let simple = |of: fn(&SpreadBaseline) -> SimpleScore| -> Vec<(&'static str, SimpleScore)> {
            let baselines = found.baselines.iter();
            baselines
                .map(|baseline| (baseline.name, of(baseline)))
                .collect()
        };
        let of_reproduction = simple(|baseline| baseline.reproduction);
        let of_virality = simple(|baseline| baseline.virality);
        for (name, score, simple) in [
            ("chain share", &found.share, Vec::new()),
            ("R", &found.reproduction, of_reproduction),
            ("virality (relative error)", &found.virality, of_virality),
            ("k-factor", &found.k_factor, Vec::new()),
            (
                "half-life, s (relative error)",
                &found.half_life,
                Vec::new(),
            ),
            (
                "the same, at 3/4 of the readers",
                &found.half_life_early,
                Vec::new(),
            ),
        ] {
            let name = format!("{} {name}", rate(run));
            spreads.add_row(cells(&name, of_figure(score)));
            for (method, simple) in simple {
                spreads.add_row(cells(
                    &format!("{name}: {method}"),
                    of_simple(score, simple),
                ));
            }
        }
    }
    writeln!(
        out,
        "{spreads}\n\nLinks posted in public: contents of which a token has named a reader. posted: one of \
         the content's links was mainly read in public; readers: who came by such links, over all"
    )?;
    let head = [
        "contents",
        "P(posted)",
        "truly",
        "Brier",
        "ECE",
        "readers",
        "truly",
        "held %",
    ];
    let mut posts = table("token rate", &head);
    for run in runs {
        posts.add_row(cells(&rate(run), of_posted(&run.chains.spreads.posted)));
    }
    writeln!(out, "{posts}\n")?;
    for run in runs {
        let found = &run.chains.spreads;
        let [low, likely, high] = match found.chained {
            Some(range) => range.map(|part| in_percent(Some(part))),
            None => [(); 3].map(|()| in_percent(None)),
        };
        writeln!(
            out,
            "{}: over all contents {likely} of readers from earlier readers ({low} to {high}); truly {} in \
             private, {} at all",
            rate(run),
            in_percent(found.chained_private),
            in_percent(found.chained_all),
        )?;
    }
    Ok(())
}

/// The methods that cascade files are scored with.
fn write_content_methods(runs: &[Run], out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "The methods of `evaluate chains` on the same readers and contents. Each content is a cascade; every \
         second one, with its whole truth, teaches the methods that are fitted, which are scored on the \
         others, and the other way round. They see times, and whose each token is as probably as the \
         product states it; facts: besides who came from outside by a fact, and only whom neither told is \
         scored. They give each earlier reader a probability of his own, the product names three and pools \
         the rest. Somebody who is no reader is one reader more to methods that are not fitted (none to most \
         recent and always root), and has the part that is learned in those that are. |R| and virality: mean \
         distances to the truth in private and of all links, as below"
    )?;
    let measures = [
        "top-1 %",
        "on chains %",
        "MRR",
        "log-loss",
        "ECE",
        "|R|",
        "of all",
        "virality",
        "of all",
    ];
    let facts = measures.map(|name| format!("facts: {name}"));
    let head: Vec<&str> = (measures.into_iter())
        .chain(facts.iter().map(String::as_str))
        .collect();
    let mut table = table("token rate, method", &head);
    for run in runs {
        for method in &run.chains.content_methods {
            let name = format!("{} {}", rate(run), method.name);
            let figures = [method.told_tokens, method.told_facts].map(of_content_scores);
            table.add_row(cells(&name, figures.into_iter().flatten()));
        }
    }
    writeln!(out, "{table}")
}

fn of_content_scores(scores: ContentScores) -> [String; 9] {
    let parents = scores.parents;
    [
        percent(parents.top1, 1),
        percent(parents.top1_chain, 1),
        figure(parents.mrr, 3),
        figure(parents.log_loss, 3),
        figure(parents.ece, 3),
        figure(scores.reproduction.error_private, 3),
        figure(scores.reproduction.error_all, 3),
        figure(scores.virality.error_private, 3),
        figure(scores.virality.error_all, 3),
    ]
}

fn figures(scores: &ParentScores) -> [String; 13] {
    [
        scores.readers.to_string(),
        percent(scores.chained, 1),
        percent(scores.chained_stated, 1),
        points(scores.bias, 1),
        percent(scores.top1, 1),
        percent(scores.top1_chain, 1),
        figure(scores.mrr, 3),
        figure(scores.log_loss, 3),
        figure(scores.log_loss_chain, 3),
        figure(scores.brier, 3),
        figure(scores.ece, 3),
        figure(scores.ece_outside, 3),
        figure(scores.ece_named, 3),
    ]
}

fn of_apart(apart: &Apart) -> [String; 4] {
    [
        apart.readers.to_string(),
        figure(apart.outside, 3),
        figure(apart.sharer, 3),
        figure(apart.unseen, 3),
    ]
}

fn of_posted(posted: &PostedScores) -> [String; 8] {
    [
        posted.contents.to_string(),
        figure(posted.stated, 3),
        figure(posted.truly, 3),
        figure(posted.brier, 3),
        figure(posted.ece, 3),
        format!("{:.0}", posted.readers),
        format!("{:.0}", posted.true_readers),
        percent(posted.held, 0),
    ]
}

fn of_figure(score: &FigureScore) -> [String; 11] {
    [
        score.contents.to_string(),
        figure(score.stated, 3),
        figure(score.private, 3),
        figure(score.all, 3),
        figure(score.error_private, 3),
        figure(score.error_all, 3),
        percent(score.held_private, 0),
        percent(score.held_all, 0),
        percent(score.held, 0),
        percent(score.missed_below, 0),
        figure(score.width, 3),
    ]
}

/// A simple method on the contents of a figure; what a range would hold is left empty.
fn of_simple(score: &FigureScore, simple: SimpleScore) -> [String; 11] {
    let mut row = of_figure(score);
    row[1] = figure(simple.stated, 3);
    row[4] = figure(simple.error_private, 3);
    row[5] = figure(simple.error_all, 3);
    row[6..].fill(String::new());
    row
}
