//! What `grapevine evaluate visits` prints of channels and apps that are right, by token rate.

use std::io::{self, Write};

use grapevine_evaluation::visits::{Found, VisitMeasures};
use grapevine_event::Channel;

use super::super::figure::percent;
use super::{Run, cells, rate, table};

pub(super) fn write(runs: &[Run], out: &mut impl Write) -> io::Result<()> {
    let Some(last) = runs.last() else {
        return Ok(());
    };
    writeln!(
        out,
        "Part of visits found right, %, by true channel, and of private links by true app. booked: as \
         ordinary analytics books it, which names no app; visits and booked at the last token rate, \
         which moves them little"
    )?;
    let rates: Vec<String> = runs.iter().map(rate).collect();
    let mut head = vec!["visits", "booked"];
    head.extend(rates.iter().map(String::as_str));
    let mut accuracy = table("true channel, app", &head);
    let by_rate = |of: &dyn Fn(&VisitMeasures) -> Option<f64>| -> Vec<String> {
        let parts = runs.iter().map(|run| percent(of(&run.measures), 1));
        parts.collect()
    };
    let mut add = |name: &str, visits: usize, booked: Option<f64>, parts: Vec<String>| {
        let mut row = vec![visits.to_string(), percent(booked, 1)];
        row.extend(parts);
        accuracy.add_row(cells(name, row));
    };
    let measures = &last.measures;
    add(
        "all channels",
        measures.all.fit.visits,
        measures.channel_accuracy_conventional,
        by_rate(&|measures| measures.channel_accuracy),
    );
    for name in names(runs, |measures| &measures.channels) {
        let row = named(&measures.channels, name);
        add(
            name,
            row.map_or(0, |row| row.truth),
            row.and_then(booked),
            by_rate(&|measures| named(&measures.channels, name).and_then(right)),
        );
    }
    add(
        "apps of private links found",
        links_found(measures),
        None,
        by_rate(&|measures| measures.app_accuracy),
    );
    for name in names(runs, |measures| &measures.apps) {
        add(
            &format!("app {name}"),
            named(&measures.apps, name).map_or(0, |row| row.truth),
            None,
            by_rate(&|measures| named(&measures.apps, name).and_then(right)),
        );
    }
    writeln!(out, "{accuracy}\n")
}

/// Names of what any visit truly is of, those of the last rate first.
fn names(runs: &[Run], of: fn(&VisitMeasures) -> &Vec<Found>) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for run in runs.iter().rev() {
        for row in of(&run.measures).iter().filter(|row| row.truth > 0) {
            if !names.contains(&row.name.as_str()) {
                names.push(&row.name);
            }
        }
    }
    names
}

fn named<'a>(rows: &'a [Found], name: &str) -> Option<&'a Found> {
    rows.iter().find(|row| row.name == name)
}

/// Part of what truly is of it that is found; `None` where nothing is.
fn right(row: &Found) -> Option<f64> {
    (row.truth > 0).then(|| row.right as f64 / row.truth as f64)
}

/// The same of what ordinary analytics books.
fn booked(row: &Found) -> Option<f64> {
    let right = row.right_conventional?;
    (row.truth > 0).then(|| right as f64 / row.truth as f64)
}

/// Private links of which the channel is right, whatever the app.
fn links_found(measures: &VisitMeasures) -> usize {
    let dark = named(&measures.channels, Channel::DarkSocial.as_str());
    dark.map_or(0, |row| row.right)
}
