//! What `grapevine evaluate visits` prints of parents and spreading.

use std::io::{self, Write};

use grapevine_evaluation::visits::{Apart, FigureScore, ParentScores, PostedScores, READERS_MIN};

use super::{Run, cells, percent, table};

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
    writeln!(
        out,
        "{methods}\n\nSet apart, since no single cause is the right one to state"
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
        "{apart}\n\nCauses of readers by true channel and app (from {GROUP_MIN} readers)"
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
         on in private and all. held: the 80 % range has the true figure, or meets what lies between"
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
    ];
    let mut spreads = table("token rate, figure", &head);
    for run in runs {
        let found = &run.chains.spreads;
        for (name, figure) in [
            ("chain share", &found.share),
            ("R", &found.reproduction),
            ("virality (relative error)", &found.virality),
            ("k-factor", &found.k_factor),
            ("half-life, s (relative error)", &found.half_life),
            ("the same, at 3/4 of the readers", &found.half_life_early),
        ] {
            let name = format!("{} {name}", rate(run));
            spreads.add_row(cells(&name, of_figure(figure)));
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
        let [low, likely, high] = found.chained.map(percent);
        writeln!(
            out,
            "{}: over all contents {likely} of readers from earlier readers ({low} to {high}); truly {} in \
             private, {} at all",
            rate(run),
            percent(found.chained_private),
            percent(found.chained_all),
        )?;
    }
    Ok(())
}

fn rate(run: &Run) -> String {
    percent(run.asked_token_rate.unwrap_or(run.measures.token_rate))
}

fn figures(scores: &ParentScores) -> [String; 13] {
    let part = |part: f64| format!("{:.1}", 100.0 * part);
    let plain = |value: f64| format!("{value:.3}");
    [
        scores.readers.to_string(),
        part(scores.chained),
        part(scores.chained_stated),
        format!("{:+.1}", 100.0 * scores.bias),
        part(scores.top1),
        part(scores.top1_chain),
        plain(scores.mrr),
        plain(scores.log_loss),
        plain(scores.log_loss_chain),
        plain(scores.brier),
        plain(scores.ece),
        plain(scores.ece_outside),
        match scores.named {
            0 => "·".to_owned(),
            _ => plain(scores.ece_named),
        },
    ]
}

fn of_apart(apart: &Apart) -> [String; 4] {
    [
        apart.readers.to_string(),
        format!("{:.3}", apart.outside),
        format!("{:.3}", apart.sharer),
        format!("{:.3}", apart.unseen),
    ]
}

fn of_posted(posted: &PostedScores) -> [String; 8] {
    let plain = |value: f64| format!("{value:.3}");
    [
        posted.contents.to_string(),
        plain(posted.stated),
        plain(posted.truly),
        plain(posted.brier),
        plain(posted.ece),
        format!("{:.0}", posted.readers),
        format!("{:.0}", posted.true_readers),
        format!("{:.0}", 100.0 * posted.held),
    ]
}

fn of_figure(figure: &FigureScore) -> [String; 10] {
    let part = |part: f64| format!("{:.0}", 100.0 * part);
    let plain = |value: f64| format!("{value:.3}");
    [
        figure.contents.to_string(),
        plain(figure.stated),
        plain(figure.private),
        plain(figure.all),
        plain(figure.error_private),
        plain(figure.error_all),
        part(figure.held_private),
        part(figure.held_all),
        part(figure.held),
        part(figure.missed_below),
    ]
}
