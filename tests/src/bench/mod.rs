//! Benchmarks of whole processes: collector, stages and sink as services, Apache Kafka and
//! ClickHouse's engine, all of them on the cores of this machine. docs/benchmarks.md says what came
//! out.
//!
//! A seed gives the hits. Times are the machine's; that every row is there once is checked before
//! any is told.

mod audit;
mod collect;
mod hits;
mod http;
mod latency;
mod loose;
mod pipeline;
mod processes;
mod recovery;
mod rows;
mod scrape;
mod sink;
mod world;

use std::fmt;

use comfy_table::{Table, presets::ASCII_MARKDOWN};

pub use crate::crash::Failed;
pub use audit::Audit;
pub use collect::{Collect, serve_bare};
pub use latency::Latency;
pub use loose::run_loose;
pub use pipeline::Pipeline;
pub use recovery::Recovery;
pub use sink::Sink;

/// What a benchmark showed: what was done in words, then one table.
#[derive(Debug)]
pub struct Report {
    words: Vec<String>,
    table: Table,
}

impl Report {
    /// An empty table below the words that say what was done.
    fn new(words: String, columns: &[&str]) -> Report {
        let mut table = Table::new();
        table.load_preset(ASCII_MARKDOWN).set_header(columns);
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let machine = format!(
            "{cores} cores, {} processes wanted to run in the minute before the end",
            processes::load_average()
        );
        Report {
            words: vec![words, machine],
            table,
        }
    }

    fn say(&mut self, words: String) {
        self.words.push(words);
    }

    fn row<const COLUMNS: usize>(&mut self, cells: [String; COLUMNS]) {
        self.table.add_row(cells);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for words in &self.words {
            writeln!(out, "{words}")?;
        }
        write!(out, "\n{}", self.table)
    }
}
