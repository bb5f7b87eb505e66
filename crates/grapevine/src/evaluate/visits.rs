//! `grapevine evaluate visits` and `fit-visits`: how well visits are classified and their causes
//! inferred where the truth is known, and the weights that classify.

mod accuracy;
mod chains;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, TableComponent, presets};
use grapevine_evaluation::visits::{
    ChainMeasures, DriveError, Fit, Group, Judged, Outcome, SimulatedSite, Via, VisitMeasures,
    WithinSites, drive, driving_model, ece_of_sites, ece_within_sites, fit_visits, measure,
    measure_chains, read_truth, scaled_to, simulated, token_rate,
};
use grapevine_inference::Model;
use grapevine_inference::causes::Weights;
use grapevine_signals::Signals;
use grapevine_simulator::Scenario;
use serde::Serialize;

use crate::cli::{EvaluateFitVisitsArgs, EvaluateFormat, EvaluateVisitsArgs, VisitsVia};
use crate::exit::{Ends, ExitKind, Failure};
use crate::judging;
use crate::numerals::plural;
use crate::settings::Settings;

use super::figure::{figure, in_percent, percent, points};

/// The JSON document.
#[derive(Serialize)]
struct Document<'a> {
    of: &'a str,
    model: &'a str,
    /// Version of the signal data, with the fingerprint of entries of the user's own.
    signals: &'a str,
    fitted: &'a str,
    runs: &'a [Run],
}

/// One token rate.
#[derive(Serialize)]
struct Run {
    /// What was asked for; `None` where the input's own was taken.
    asked_token_rate: Option<f64>,
    /// Sites whose stated range holds the true part of private links among what is booked as
    /// direct, of all sites of which something is.
    sites_held: [usize; 2],
    /// Mean over those sites of the calibration error of each, of what is booked as direct; `None`
    /// where nothing is.
    ece_of_each_site: Option<f64>,
    /// Calibration error over all visits of all sites together, every site counting the same: what one
    /// states too high is set off by what another states too low; `None` of no visits.
    ece_sites_alike: Option<f64>,
    /// The same of what is booked as direct.
    ece_sites_alike_direct: Option<f64>,
    /// Calibration error of sites one by one, by their visits: nothing is set off between them.
    ece_within_sites: WithinSites,
    /// The same of what is booked as direct.
    ece_within_sites_direct: WithinSites,
    #[serde(flatten)]
    measures: VisitMeasures,
    /// What the chain stage stated.
    chains: ChainMeasures,
}

pub(super) fn evaluate_visits(
    arguments: &EvaluateVisitsArgs,
    settings: &Settings,
) -> Result<(), Failure> {
    let model = match &arguments.model {
        Some(path) => model(path)?,
        None => judging::model(settings)?,
    };
    let signals = Arc::new(judging::signals(settings)?);
    let weights = judging::chain_model(settings)?.map(Arc::new);
    let by = By {
        signals: &signals,
        model: &model,
        weights,
    };
    let (of, runs) = judged(arguments, &by)?;
    let mut out = io::stdout().lock();
    let written = match arguments.format {
        EvaluateFormat::Json => {
            let document = Document {
                of: &of,
                model: model.version(),
                signals: &signals.version(),
                fitted: model.fitted(),
                runs: &runs,
            };
            serde_json::to_writer_pretty(&mut out, &document)
                .map_err(io::Error::from)
                .and_then(|()| writeln!(out))
        }
        EvaluateFormat::Text => write_text(&of, &model, &runs, &mut out),
    };
    match written {
        // `| head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.ends(ExitKind::InputOutput),
    }
}

/// What is judged, in words, and what came out.
fn judged(arguments: &EvaluateVisitsArgs, by: &By<'_>) -> Result<(String, Vec<Run>), Failure> {
    let mut rows = Rows::to(arguments.rows.as_deref())?;
    let (of, runs) = match &arguments.file {
        Some(file) => {
            let site = from_files(arguments, file)?;
            let outcome = driven(&site, by)?;
            rows.write(f64::NAN, 0, &outcome)?;
            (
                file.display().to_string(),
                vec![run_of(&[outcome], None, site.token_rate)],
            )
        }
        None => of_simulations(arguments, by, &mut rows)?,
    };
    rows.finish()?;
    if runs.iter().any(|run| run.measures.all.fit.visits == 0) {
        let problem = "no visit could be joined with the truth: are the files of one simulation, \
                       and is --via right?";
        return Err(Failure::new(ExitKind::Data, problem));
    }
    Ok((of, runs))
}

/// Where judged visits are written, if anywhere.
struct Rows {
    file: Option<(PathBuf, BufWriter<File>)>,
}

/// One judged visit.
#[derive(Serialize)]
struct Row<'a> {
    /// Null where the input's own was taken.
    asked_token_rate: f64,
    /// Number of the site, from 0.
    site: usize,
    #[serde(flatten)]
    visit: &'a Judged,
}

impl Rows {
    fn to(path: Option<&Path>) -> Result<Rows, Failure> {
        let file = path.map(|path| {
            let file = File::create(path).map_err(|error| Rows::failed(path, &error))?;
            Ok((path.to_owned(), BufWriter::new(file)))
        });
        Ok(Rows {
            file: file.transpose()?,
        })
    }

    fn write(&mut self, rate: f64, site: usize, outcome: &Outcome) -> Result<(), Failure> {
        let Some((path, file)) = &mut self.file else {
            return Ok(());
        };
        for visit in &outcome.visits {
            let row = Row {
                asked_token_rate: rate,
                site,
                visit,
            };
            serde_json::to_writer(&mut *file, &row)
                .map_err(io::Error::from)
                .and_then(|()| file.write_all(b"\n"))
                .map_err(|error| Rows::failed(path, &error))?;
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Failure> {
        let Some((path, mut file)) = self.file else {
            return Ok(());
        };
        file.flush().map_err(|error| Rows::failed(&path, &error))
    }

    fn failed(path: &Path, error: &io::Error) -> Failure {
        let problem = format!("cannot write {}: {error}", path.display());
        Failure::new(ExitKind::InputOutput, problem)
    }
}

pub(super) fn fit(arguments: &EvaluateFitVisitsArgs, settings: &Settings) -> Result<(), Failure> {
    let model = driving_model().ends(ExitKind::Software)?;
    let signals = Arc::new(judging::signals(settings)?);
    let by = By {
        signals: &signals,
        model: &model,
        weights: None,
    };
    let (mut outcomes, mut marked) = (Vec::new(), Vec::new());
    for number in 0..arguments.sites {
        let seed = arguments.seed.wrapping_add(number);
        let scenario = site_of(Scenario::drawn(seed), arguments.sent, arguments.landings);
        // Logs and page script say less than servers: the weights serve all.
        let via = [Via::Hits, Via::Log, Via::Script][(number % 3) as usize];
        let site = simulated(&scenario, via, Some(0.0)).map_err(drive_failure)?;
        outcomes.push(driven(&site, &by)?);
        // Tokens decide the same way everywhere: every fourth site tells enough of them.
        if number % 4 == 0 {
            let site = simulated(&scenario, via, None).map_err(drive_failure)?;
            marked.push(driven(&site, &by)?);
        }
        tracing::info!(site = number + 1, of = arguments.sites, "simulated");
    }
    let from = format!(
        "{} simulated sites (Scenario::drawn of seeds from {}), about {} landings each{}, a \
         third each as hits of servers, hits of page script and access logs, without tokens; a quarter \
         of them with tokens as well, for what tokens decide",
        arguments.sites,
        arguments.seed,
        arguments.landings,
        in_words(arguments.sent)
    );
    let text = fit_visits(&outcomes, &marked, &arguments.version, &from).ends(ExitKind::Data)?;
    std::fs::write(&arguments.out, text).map_err(|error| {
        let path = arguments.out.display();
        Failure::new(
            ExitKind::InputOutput,
            format!("cannot write {path}: {error}"),
        )
    })
}

/// A scenario of about so many landings that no share brought, and of so many messages a day that the site sends
/// without tags.
fn site_of(scenario: Scenario, sent: f64, landings: u32) -> Scenario {
    scaled_to(&scenario.with_sent(sent), f64::from(landings))
}

/// What is said of messages that a site sends without tags, after how large it is.
fn in_words(sent: f64) -> String {
    match sent > 0.0 {
        true => format!(
            ", {sent} {} a day each sent without tags",
            plural(sent, "message", "messages")
        ),
        false => String::new(),
    }
}

fn model(path: &Path) -> Result<Model, Failure> {
    let text = read(path, "model")?;
    let name = path.display();
    Model::parse(&text).map_err(|error| Failure::new(ExitKind::Data, format!("{name}: {error}")))
}

fn read(path: &Path, what: &str) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::new(
            ExitKind::NoInput,
            format!("{what} {}: {error}", path.display()),
        )
    })
}

fn from_files(arguments: &EvaluateVisitsArgs, file: &Path) -> Result<SimulatedSite, Failure> {
    // The command line demands both.
    let truth = arguments.truth.as_deref().unwrap_or(file);
    let rows = read_truth(&read(truth, "truth")?)
        .map_err(|error| Failure::new(ExitKind::Data, format!("{}: {error}", truth.display())))?;
    Ok(SimulatedSite {
        site: arguments.site.clone(),
        input: read(file, "input")?,
        via: via(arguments.via),
        token_rate: token_rate(&rows),
        truth: rows,
    })
}

fn via(via: VisitsVia) -> Via {
    match via {
        VisitsVia::Hits => Via::Hits,
        VisitsVia::Script => Via::Script,
        VisitsVia::Log => Via::Log,
    }
}

fn of_simulations(
    arguments: &EvaluateVisitsArgs,
    by: &By<'_>,
    rows: &mut Rows,
) -> Result<(String, Vec<Run>), Failure> {
    let seeds = (0..arguments.sites).map(|number| arguments.seed.wrapping_add(number));
    let site = |scenario| site_of(scenario, arguments.sent, arguments.landings);
    let (of, scenarios): (String, Vec<Scenario>) = match &arguments.scenario {
        None if arguments.drawn => (
            format!(
                "{} sites drawn from seed {}",
                arguments.sites, arguments.seed
            ),
            seeds.map(|seed| site(Scenario::drawn(seed))).collect(),
        ),
        path => {
            let base = match path {
                Some(path) => {
                    let text = read(path, "scenario")?;
                    Scenario::from_toml(&text).map_err(|error| {
                        let name = path.display();
                        Failure::new(ExitKind::Config, format!("scenario {name}: {error}"))
                    })?
                }
                None => Scenario::default(),
            };
            let name = path.as_ref().map_or("the default scenario".into(), |path| {
                path.display().to_string()
            });
            let scenario = |seed| {
                site(Scenario {
                    seed,
                    ..base.clone()
                })
            };
            (
                format!("{name}, {} seeds from {}", arguments.sites, arguments.seed),
                seeds.map(scenario).collect(),
            )
        }
    };
    let of = of + &in_words(arguments.sent);
    let mut runs = Vec::new();
    for rate in &arguments.token_rates {
        let mut outcomes = Vec::new();
        let mut found = Vec::new();
        for (number, scenario) in scenarios.iter().enumerate() {
            let site =
                simulated(scenario, via(arguments.via), Some(*rate)).map_err(drive_failure)?;
            found.extend(site.token_rate);
            let outcome = driven(&site, by)?;
            rows.write(*rate, number, &outcome)?;
            outcomes.push(outcome);
        }
        runs.push(run_of(&outcomes, Some(*rate), mean(&found)));
    }
    let of = format!(
        "{of}, about {} landings each, as {}",
        arguments.landings,
        match arguments.via {
            VisitsVia::Hits => "hits",
            VisitsVia::Script => "hits of page script",
            VisitsVia::Log => "access logs",
        }
    );
    Ok((of, runs))
}

/// What the product judges by.
struct By<'a> {
    signals: &'a Arc<Signals>,
    model: &'a Model,
    /// Weights of causes; as shipped where there are none.
    weights: Option<Arc<Weights>>,
}

fn driven(site: &SimulatedSite, by: &By<'_>) -> Result<Outcome, Failure> {
    let SimulatedSite {
        site: name,
        input,
        via,
        truth,
        ..
    } = site;
    let (model, weights) = (by.model.clone(), by.weights.clone());
    drive(input, *via, name, truth, by.signals, model, weights).map_err(drive_failure)
}

fn drive_failure(error: DriveError) -> Failure {
    let kind = match error {
        DriveError::Site(_) => ExitKind::Usage,
        DriveError::Refused { .. } => ExitKind::Data,
        DriveError::Product(_) => ExitKind::Software,
    };
    Failure::new(kind, error.to_string())
}

/// None of nothing.
fn mean(figures: &[f64]) -> Option<f64> {
    (!figures.is_empty()).then(|| figures.iter().sum::<f64>() / figures.len() as f64)
}

fn run_of(outcomes: &[Outcome], asked: Option<f64>, found: Option<f64>) -> Run {
    let each: Vec<VisitMeasures> = outcomes
        .iter()
        .map(|outcome| measure(std::slice::from_ref(outcome), found))
        .collect();
    let held: Vec<bool> = each.iter().filter_map(|site| site.direct.held).collect();
    let ece: Vec<f64> = (each.iter())
        .filter_map(|site| site.direct.fit.ece)
        .collect();
    Run {
        asked_token_rate: asked,
        sites_held: [held.iter().filter(|held| **held).count(), held.len()],
        ece_of_each_site: mean(&ece),
        ece_sites_alike: ece_of_sites(outcomes, false),
        ece_sites_alike_direct: ece_of_sites(outcomes, true),
        ece_within_sites: ece_within_sites(outcomes, false),
        ece_within_sites_direct: ece_within_sites(outcomes, true),
        measures: measure(outcomes, found),
        chains: measure_chains(outcomes.iter().map(|outcome| &outcome.chains)),
    }
}

fn write_text(of: &str, model: &Model, runs: &[Run], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{of}")?;
    writeln!(
        out,
        "model {}, fitted on {}\n",
        model.version(),
        model.fitted()
    )?;
    writeln!(
        out,
        "P(private link). bias: stated less true, in points; held: the stated range holds the true \
         part; sites: how many do; days: part of days of 30 visits that do. prior only: the published \
         prior; all deep direct is dark: Chartbeat's rule; conventional: as ordinary analytics books it"
    )?;
    let head = [
        "visits", "true %", "stated %", "bias", "range %", "held", "Brier", "log-loss", "ECE",
        "sites", "days %",
    ];
    let mut table = table("token rate, visits", &head);
    for run in runs {
        let measures = &run.measures;
        let rate = rate(run);
        let [held, sites] = run.sites_held;
        let groups = [
            ("all", &measures.all, String::new()),
            ("booked direct", &measures.direct, format!("{held}/{sites}")),
            ("no deciding fact", &measures.grey, String::new()),
        ];
        let sent = ("sent by the site", &measures.sent, String::new());
        let sent = (measures.sent.fit.visits > 0).then_some(sent);
        for (name, group, sites) in groups.into_iter().chain(sent) {
            table.add_row(group_row(&format!("{rate} {name}"), group, sites));
        }
        for baseline in &measures.baselines {
            for (group, fit) in [("all", &baseline.all), ("booked direct", &baseline.direct)] {
                let name = format!("{rate} {group}: {}", baseline.name);
                table.add_row(fit_row(&name, fit));
            }
        }
        let search = format!("{rate} P(dark search)");
        table.add_row(fit_row(&search, &measures.grey_search));
        table.add_row(fit_row(&format!("{rate} P(typed)"), &measures.grey_typed));
    }
    writeln!(out, "{table}\n")?;
    for run in runs {
        writeln!(
            out,
            "{}: ECE of all sites together, every site counting the same, {} (booked direct {}); of each \
             site by itself, booked direct, {} on average; by their visits {}, where chance alone gives {} \
             (booked direct {}, {})",
            rate(run),
            figure(run.ece_sites_alike, 3),
            figure(run.ece_sites_alike_direct, 3),
            figure(run.ece_of_each_site, 3),
            figure(run.ece_within_sites.ece, 3),
            figure(run.ece_within_sites.by_chance, 3),
            figure(run.ece_within_sites_direct.ece, 3),
            figure(run.ece_within_sites_direct.by_chance, 3),
        )?;
    }
    writeln!(out)?;
    accuracy::write(runs, out)?;
    // What follows hangs little on the rate: the last stands for all.
    let Some(last) = runs.last() else {
        return Ok(());
    };
    let measures = &last.measures;
    writeln!(
        out,
        "at token rate {}: {} of {} landings have no visit of their own, {} robots are taken for \
         people, the channel is right for {} of visits (as ordinary analytics books it for {}), the app for {} of \
         private links found",
        in_percent(measures.token_rate),
        measures.landings_missed,
        measures.landings,
        measures.robots_taken_for_people,
        in_percent(measures.channel_accuracy),
        in_percent(measures.channel_accuracy_conventional),
        in_percent(measures.app_accuracy),
    )?;
    writeln!(out, "\nReliability of what is booked as direct")?;
    for point in &measures.reliability {
        let cells = (point.truth * 40.0).round() as usize;
        writeln!(
            out,
            "{:>7} stated {:>6} true {:>6} {}",
            point.visits,
            in_percent(Some(point.stated)),
            in_percent(Some(point.truth)),
            "█".repeat(cells)
        )?;
    }
    let head = [
        "true",
        "stated",
        "right",
        "recall",
        "precision",
        "mean P(private)",
    ];
    for (title, rows) in [
        ("\nChannels", &measures.channels),
        ("\nApps of private links", &measures.apps),
    ] {
        writeln!(out, "{title}")?;
        let mut table = self::table("", &head);
        for row in rows {
            let part = |of: usize| in_percent((of > 0).then(|| row.right as f64 / of as f64));
            table.add_row(cells(
                &row.name,
                [
                    row.truth.to_string(),
                    row.stated.to_string(),
                    row.right.to_string(),
                    part(row.truth),
                    part(row.stated),
                    figure(row.dark, 3),
                ],
            ));
        }
        writeln!(out, "{table}")?;
    }
    writeln!(out, "\nTrue channel, then what is stated of it")?;
    for (truth, stated) in &measures.confusion {
        let stated: Vec<String> = stated
            .iter()
            .map(|(name, visits)| format!("{name} {visits}"))
            .collect();
        writeln!(out, "{truth}: {}", stated.join(", "))?;
    }
    writeln!(out, "\nWhat decided")?;
    let mut table = self::table("", &["visits", "true %", "stated %", "ECE"]);
    for (name, fit) in &measures.methods {
        table.add_row(cells(
            name,
            [
                fit.visits.to_string(),
                percent(fit.truth, 1),
                percent(fit.stated, 1),
                figure(fit.ece, 3),
            ],
        ));
    }
    writeln!(out, "{table}")?;
    chains::write(runs, out)
}

/// The token rate that was asked for, else that of the input.
fn rate(run: &Run) -> String {
    in_percent(run.asked_token_rate.or(run.measures.token_rate))
}

fn table(first: &str, head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table
        .set_style(TableComponent::HeaderLines, '─')
        .set_style(TableComponent::MiddleHeaderIntersections, '─')
        .set_content_arrangement(ContentArrangement::Disabled);
    let mut cells = vec![Cell::new(first)];
    cells.extend(head.iter().map(|text| right((*text).to_owned())));
    table.set_header(cells);
    table
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn cells(name: &str, figures: impl IntoIterator<Item = String>) -> Vec<Cell> {
    let mut row = vec![Cell::new(name)];
    row.extend(figures.into_iter().map(right));
    row
}

fn group_row(name: &str, group: &Group, sites: String) -> Vec<Cell> {
    let mut row = fit_row(name, &group.fit);
    row[5] = right(match (group.low, group.high) {
        (Some(low), Some(high)) => format!("{:.1}–{:.1}", 100.0 * low, 100.0 * high),
        _ => percent(None, 1),
    });
    row[6] = right(match group.held {
        Some(true) => "yes".to_owned(),
        Some(false) => "no".to_owned(),
        None => percent(None, 1),
    });
    row.push(right(sites));
    row.push(right(percent(group.days_held, 0)));
    row
}

fn fit_row(name: &str, fit: &Fit) -> Vec<Cell> {
    cells(
        name,
        [
            fit.visits.to_string(),
            percent(fit.truth, 1),
            percent(fit.stated, 1),
            points(fit.bias, 1),
            String::new(),
            String::new(),
            figure(fit.brier, 3),
            figure(fit.log_loss, 3),
            figure(fit.ece, 3),
        ],
    )
}

#[cfg(test)]
mod tests;
