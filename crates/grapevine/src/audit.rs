//! `grapevine audit`: is everything in ClickHouse once, and does every aggregate agree?

use std::io::{self, Write};

use clickhouse::Client;
use comfy_table::{Cell, CellAlignment, Table, presets};
use grapevine_sink::{Audit, Depth, KafkaView, LogView, Options, Repair, audit, repair};
use serde::Serialize;

use crate::cli::{AuditArgs, AuditFormat};
use crate::exit::{Ends, ExitKind, Failure};
use crate::pipeline::{Pipeline, sink_ends};
use crate::settings::Settings;
use crate::{kafka, registry, warehouse};

/// What the command found, and did.
#[derive(Serialize)]
struct Outcome {
    /// True where all is well now.
    clean: bool,
    #[serde(flatten)]
    audit: Audit,
    /// What was mended before that; `null` where nothing was to be.
    repair: Option<Repair>,
}

/// Runs the command on Kafka and the ClickHouse that the settings name, else on the data directory.
///
/// # Errors
/// [`ExitKind::Data`] where something is missing, double or out of balance; what keeps the audit
/// from being made.
pub async fn run(arguments: &AuditArgs, settings: &Settings) -> Result<(), Failure> {
    let outcome = if settings.clickhouse.url.is_some() {
        let client = warehouse::client(&settings.clickhouse)?;
        let group = settings.kafka.membership(kafka::SINK)?.group;
        let (connection, partitions) =
            kafka::connected(settings, registry::frames(settings).await?).await?;
        let view = KafkaView::new(&connection, &group, partitions).ends(ExitKind::Config)?;
        look(&view, &client, arguments).await?
    } else {
        on_data_directory(arguments, settings).await?
    };
    write(&outcome, arguments.format)?;
    if outcome.clean {
        return Ok(());
    }
    let fix = match arguments.repair {
        true => "what is left is said above",
        false => "grapevine audit --repair mends what the log still holds",
    };
    Err(Failure::new(
        ExitKind::Data,
        format!("not everything is as it must be: {fix}"),
    ))
}

async fn on_data_directory(arguments: &AuditArgs, settings: &Settings) -> Result<Outcome, Failure> {
    crate::database::must_exist(settings)?;
    let mut pipeline = Pipeline::start(settings, None).await?;
    // Tables that keep rows from going in are a finding, not a reason not to look.
    let settled = match pipeline.settle().await {
        Err(failure) if failure.kind() == ExitKind::Config => {
            tracing::error!(%failure, "the sink stopped");
            Ok(())
        }
        settled => settled,
    };
    let looked = match settled {
        Ok(()) => look(pipeline.log(), pipeline.client(), arguments).await,
        Err(failure) => Err(failure),
    };
    let stopped = pipeline.stop().await;
    let outcome = looked?;
    stopped?;
    Ok(outcome)
}

async fn look<V: LogView>(
    log: &V,
    client: &Client,
    arguments: &AuditArgs,
) -> Result<Outcome, Failure> {
    let depth = match arguments.deep {
        true => Depth::Groups,
        false => Depth::Totals,
    };
    let found = sink_ends(audit(log, client, depth).await)?;
    if found.is_clean() || !arguments.repair {
        return Ok(Outcome {
            clean: found.is_clean(),
            audit: found,
            repair: None,
        });
    }
    let done = sink_ends(repair(log, client, &found, &Options::default()).await)?;
    let after = sink_ends(audit(log, client, depth).await)?;
    Ok(Outcome {
        clean: after.is_clean(),
        audit: after,
        repair: Some(done),
    })
}

fn write(outcome: &Outcome, format: AuditFormat) -> Result<(), Failure> {
    let text = match format {
        AuditFormat::Json => {
            let mut text = serde_json::to_string_pretty(outcome).ends(ExitKind::Software)?;
            text.push('\n');
            text
        }
        AuditFormat::Text => text(outcome),
    };
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // `| head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.ends(ExitKind::InputOutput),
    }
}

fn text(outcome: &Outcome) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header([
        "topic",
        "partition",
        "rows",
        "acknowledged",
        "expected",
        "stands at",
        "log holds",
    ]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for found in &outcome.audit.topics {
        let expected = found
            .expected
            .map_or("?".to_owned(), |rows| rows.to_string());
        table.add_row([
            Cell::new(found.topic),
            Cell::new(found.partition),
            Cell::new(found.rows),
            Cell::new(found.acknowledged),
            Cell::new(expected),
            Cell::new(found.committed),
            Cell::new(format!("{}..{}", found.kept, found.end)),
        ]);
    }
    let mut text = format!("{}\n\n", table.trim_fmt());
    for found in &outcome.audit.topics {
        if let Some(compared) = &found.compared {
            text.push_str(&format!(
                "without a count: topic {}, partition {}, was compared with the log record by record, from offset {} on\n",
                found.topic, found.partition, compared.from
            ));
        }
    }
    if let Some(repair) = &outcome.repair {
        text.push_str(&format!(
            "mended: {} rows written again, {} double rows removed, {} projections computed anew\n",
            repair.inserted,
            repair.removed,
            repair.rebuilt.len()
        ));
        for left in &repair.left {
            text.push_str(&format!("left: {left}\n"));
        }
    }
    for problem in &outcome.audit.problems {
        text.push_str(&format!("wrong: {problem}\n"));
    }
    if outcome.clean {
        let rows: u64 = outcome.audit.topics.iter().map(|found| found.rows).sum();
        text.push_str(&format!(
            "all is well: {rows} rows, each there once, and aggregates that agree with them\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use grapevine_sink::{Compared, Problem, TopicAudit};

    use super::*;

    /// What is said of a partition without a count, of which the log holds what is from an offset on.
    fn said(from: u64) -> String {
        let (topic, partition) = ("visits", 3);
        let found = TopicAudit {
            topic,
            table: topic,
            partition,
            kept: from,
            end: 100,
            committed: 100,
            planned: 100,
            rows: 90,
            offsets: 90,
            first: Some(0),
            last: Some(99),
            acknowledged: 90,
            expected: None,
            compared: Some(Compared {
                from,
                missing: 0,
                surplus: 0,
            }),
        };
        let uncounted = Problem::Uncounted {
            topic,
            partition,
            below: from,
        };
        let problems: Vec<Problem> = (from > 0).then_some(uncounted).into_iter().collect();
        text(&Outcome {
            clean: problems.is_empty(),
            audit: Audit {
                topics: vec![found],
                problems,
            },
            repair: None,
        })
    }

    #[test]
    fn what_cannot_be_told_is_said_and_is_not_well() {
        let compared = "partition 3, was compared with the log record by record, from offset";
        let whole = said(0);
        assert!(whole.contains('?'), "{whole}");
        assert!(whole.contains(&format!("{compared} 0 on")), "{whole}");
        assert!(whole.contains("all is well: 90 rows"), "{whole}");
        let doubtful = said(40);
        assert!(
            doubtful.contains(&format!("{compared} 40 on")),
            "{doubtful}"
        );
        assert!(
            doubtful
                .contains("wrong: topic visits, partition 3: whether every row below offset 40"),
            "{doubtful}"
        );
        assert!(!doubtful.contains("all is well"), "{doubtful}");
    }
}
