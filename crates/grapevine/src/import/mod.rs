//! `grapevine import`: access logs into the pipeline, by itself or through a running
//! `grapevine local`.

mod endpoint;
mod progress;
mod through;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use grapevine_log::Log;
use grapevine_producer::Site;
use grapevine_producer::import::{
    ImportError, ImportOptions, ImportSummary, Importer, Next, Progress, Skip, Source,
};
use grapevine_producer::pseudonym::Pseudonyms;

pub use endpoint::{ImportEndpoint, router};

use crate::cli::ImportArgs;
use crate::database;
use crate::exit::{Ends, ExitKind, Failure};
use crate::numerals::{count, plural};
use crate::pipeline::{self, Pipeline};
use crate::settings::Settings;
use crate::standard_input;
use progress::ProgressLine;

/// Records that any stage may be behind before an import waits for it.
const BACKLOG_RECORDS_MAX: u64 = 400_000;
/// How long an import waits before it looks again.
const BACKLOG_WAIT: Duration = Duration::from_millis(5);
/// Lines later than this from now are dead letters: a broken clock's.
const FUTURE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Runs the command.
///
/// # Errors
/// A file that cannot be read, a data directory in use, a stage that fails, Ctrl-C.
pub async fn run(arguments: &ImportArgs, settings: &Settings) -> Result<(), Failure> {
    let site = Site::parse(&arguments.site).ends(ExitKind::Usage)?;
    for file in &arguments.files {
        check(file)?;
    }
    let stopped = Arc::new(AtomicBool::new(false));
    let watcher = tokio::spawn(stop_on_interrupt(Arc::clone(&stopped)));
    let outcome = match database::running(settings)? {
        Some((endpoint, secrets)) => {
            let through = through::Through::new(&endpoint.collector, &secrets.server_key)?;
            import_all(arguments, &stopped, async |file, line| {
                through.import(&site, file, line, &stopped).await
            })
            .await
        }
        None => by_itself(arguments, settings, &site, &stopped).await,
    };
    watcher.abort();
    outcome
}

/// A file that is not there is said before anything is started.
fn check(file: &Path) -> Result<(), Failure> {
    if is_stdin(file) {
        return Ok(());
    }
    Source::open(file).map(|_| ()).map_err(failed)
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

fn source(file: &Path) -> Result<Source, ImportError> {
    if is_stdin(file) {
        let reader = standard_input::reader().map_err(|source| ImportError::Open {
            name: "standard input".to_owned(),
            source,
        })?;
        Ok(Source::new("-", reader))
    } else {
        Source::open(file)
    }
}

async fn stop_on_interrupt(stopped: Arc<AtomicBool>) {
    if tokio::signal::ctrl_c().await.is_ok() {
        stopped.store(true, Ordering::Relaxed);
    }
}

async fn by_itself(
    arguments: &ImportArgs,
    settings: &Settings,
    site: &Site,
    stopped: &Arc<AtomicBool>,
) -> Result<(), Failure> {
    let mut pipeline = Pipeline::start(settings, None).await?;
    let importer = importer(&pipeline)?;
    let options = options(site.clone(), settings)?;
    let log = Arc::clone(pipeline.log());
    let imported = {
        let work = import_all(arguments, stopped, async |file, line| {
            let source = source(file).map_err(failed)?;
            let (importer, options, log) = (importer.clone(), options.clone(), Arc::clone(&log));
            let (line, stopped) = (line.clone(), Arc::clone(stopped));
            tokio::task::spawn_blocking(move || {
                import_one(&importer, source, &options, &log, &stopped, &|progress| {
                    line.show(progress)
                })
            })
            .await
            .ends(ExitKind::Software)?
            .map_err(failed)
        });
        tokio::select! {
            imported = work => imported,
            failure = pipeline.failure() => {
                // The reading thread would go on without anybody to read for.
                stopped.store(true, Ordering::Relaxed);
                Err(failure)
            }
        }
    };
    // A failed stage would never catch up, so only a good end waits for it.
    let ended = pipeline.stop().await;
    imported.and(ended)
}

/// Imports the files one after the other and says what became of each.
async fn import_all(
    arguments: &ImportArgs,
    stopped: &AtomicBool,
    import: impl AsyncFn(&Path, &ProgressLine) -> Result<ImportSummary, Failure>,
) -> Result<(), Failure> {
    let mut summaries = Vec::new();
    let mut outcome = Ok(());
    for file in &arguments.files {
        let line = ProgressLine::new(file, arguments.quiet || arguments.json);
        let started = Instant::now();
        let imported = import(file, &line).await;
        line.finish();
        match imported {
            Ok(summary) => {
                if !arguments.json && !arguments.quiet {
                    say(&described(&summary, started.elapsed()))?;
                }
                summaries.push(summary);
            }
            Err(failure) => {
                outcome = Err(failure);
                break;
            }
        }
        if stopped.load(Ordering::Relaxed) {
            outcome = Err(Failure::new(
                ExitKind::Interrupted,
                "stopped; what was read is kept, the same command goes on from there",
            ));
            break;
        }
    }
    if arguments.json {
        let text = serde_json::to_string_pretty(&summaries).ends(ExitKind::Software)?;
        say(&format!("{text}\n"))?;
    }
    outcome
}

/// What every import goes by.
fn options(site: Site, settings: &Settings) -> Result<ImportOptions, Failure> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        + FUTURE_MAX;
    Ok(ImportOptions {
        site,
        trusted_proxies: settings.trusted_proxies()?,
        latest_ms: i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
    })
}

/// Imports one source, waiting while the stages behind are too far behind.
fn import_one(
    importer: &Importer,
    source: Source,
    options: &ImportOptions,
    log: &Log,
    stopped: &AtomicBool,
    show: &dyn Fn(&Progress),
) -> Result<ImportSummary, ImportError> {
    importer.import(source, options, &mut |progress| {
        show(progress);
        // An error of the log shows at the next commit, with its words.
        while !stopped.load(Ordering::Relaxed)
            && pipeline::backlog(log).unwrap_or(0) > BACKLOG_RECORDS_MAX
        {
            std::thread::sleep(BACKLOG_WAIT);
        }
        if stopped.load(Ordering::Relaxed) {
            Next::Stop
        } else {
            Next::GoOn
        }
    })
}

/// An importer onto the log of a pipeline.
///
/// # Errors
/// The key of the pseudonyms cannot be read.
pub fn importer(pipeline: &Pipeline) -> Result<Importer, Failure> {
    let key = pipeline
        .directory()
        .pseudonym_key()
        .ends(ExitKind::InputOutput)?;
    Ok(Importer::new(
        Arc::clone(pipeline.log()),
        Arc::clone(pipeline.signals()),
        Pseudonyms::new(&key),
    ))
}

fn failed(error: ImportError) -> Failure {
    let kind = kind_of(&error);
    let outcome: Result<(), Failure> = Err(error).ends(kind);
    outcome.expect_err("made from an error")
}

fn kind_of(error: &ImportError) -> ExitKind {
    match error {
        ImportError::Open { .. } | ImportError::Directory(_) | ImportError::Empty(_) => {
            ExitKind::NoInput
        }
        ImportError::Packed { .. } | ImportError::Damaged { .. } => ExitKind::Data,
        ImportError::Read { .. } | ImportError::Log { .. } | ImportError::Ledger { .. } => {
            ExitKind::InputOutput
        }
        ImportError::Busy { .. } => ExitKind::InUse,
        ImportError::Record { .. } | ImportError::Thread { .. } | ImportError::Broken(_) => {
            ExitKind::Software
        }
    }
}

fn say(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.ends(ExitKind::InputOutput),
    }
}

/// What became of every line, in words.
fn described(summary: &ImportSummary, took: Duration) -> String {
    let number = |value: u64| count(value as f64);
    let seconds = took.as_secs_f64().max(0.001);
    let rate = number((summary.lines as f64 / seconds) as u64);
    let mut text = format!(
        "{}: {} {} in {seconds:.1} s ({rate} a second)\n",
        summary.source,
        number(summary.lines),
        plural(summary.lines as f64, "line", "lines"),
    );
    let mut row = |name: &str, value: u64, what: String| {
        if value > 0 {
            text.push_str(&format!("  {name:<13} {:>10}  {what}\n", number(value)));
        }
    };
    row(
        "known",
        summary.known,
        "imported before, left as they are".into(),
    );
    row("people", summary.people, "page views".into());
    row(
        "previews",
        summary.previews,
        "link previews fetched by apps: kept as shares".into(),
    );
    row(
        "robots",
        summary.robots,
        "page views left out of the numbers".into(),
    );
    let reasons = |counts: &mut dyn Iterator<Item = (String, u64)>| -> String {
        let parts: Vec<String> = counts
            .map(|(name, value)| format!("{} {}", name.replace('_', " "), number(value)))
            .collect();
        parts.join(", ")
    };
    let skips = reasons(
        &mut summary
            .skipped
            .iter()
            .map(|(skip, value)| (skip_name(*skip).to_owned(), *value)),
    );
    row("no page views", summary.skipped_total(), skips);
    row("blank", summary.blank, String::new());
    let letters = reasons(
        &mut summary
            .dead_letters
            .iter()
            .map(|(reason, value)| (reason.clone().into_owned(), *value)),
    );
    row("dead letters", summary.dead_letters_total(), letters);
    if let Some(first) = &summary.first_dead_letter {
        text.push_str(&format!(
            "  first dead letter, line {}: {}\n",
            first.line, first.detail
        ));
        text.push_str("  all of them: grapevine query 'SELECT source, source_position, reason, detail FROM grapevine.dead_letters'\n");
    }
    if let Some(bytes) = summary.held_back {
        text.push_str(&format!(
            "  the last line is cut off after {} bytes: it is read once the file has grown\n",
            number(bytes)
        ));
    }
    text
}

fn skip_name(skip: Skip) -> &'static str {
    match skip {
        Skip::Asset => "assets",
        Skip::Machine => "machine files",
        Skip::Feed => "feeds",
        Skip::Redirect => "redirects",
        Skip::ErrorStatus => "errors",
        Skip::NotGet => "not GET",
        Skip::BadRequest => "no HTTP request",
        Skip::ForeignHost => "foreign hosts",
    }
}
