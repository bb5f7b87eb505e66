//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::settings::Overrides;

/// Finds the sharing that analytics cannot see.
///
/// Grapevine reads access logs or takes hits from a page, works out which "direct" visits came
/// from a privately passed link, and keeps the result in ClickHouse.
#[derive(Debug, Parser)]
#[command(name = "grapevine", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    /// Options of every command.
    pub everywhere: Everywhere,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Everywhere {
    /// Configuration file (TOML); also GRAPEVINE_CONFIG.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where everything is kept [default: grapevine in the user's data directory].
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// ClickHouse's engine, libchdb.so [default: fetched once into the user's cache].
    #[arg(long, global = true, value_name = "FILE")]
    pub engine: Option<PathBuf>,
    /// What to log on standard error, such as info or grapevine_sink=debug [default: error; info for services].
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
    /// Log one JSON object a line.
    #[arg(long, global = true)]
    pub log_json: bool,
}

impl Everywhere {
    /// The settings that these flags override.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            file: self.config.clone(),
            data_dir: self.data_dir.clone(),
            engine: self.engine.clone(),
            ..Overrides::default()
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run collector, enrichment, sink and ClickHouse in this one process.
    Local(LocalArgs),
    /// Take hits over HTTP and put them on Kafka, as one of many replicas.
    Collect(CollectArgs),
    /// Classify hits and place visits into chains, as one of many replicas on Kafka.
    Enrich(EnrichArgs),
    /// Write Kafka's topics into ClickHouse, each record once, until told to stop.
    Sink(SinkArgs),
    /// Prove that everything is in ClickHouse once, and that aggregates agree; mend what does not.
    Audit(AuditArgs),
    /// Send dead letters back to where they came from.
    Replay(ReplayArgs),
    /// Read access logs (nginx or Apache combined, vhost_combined; plain, gzip, zstd).
    Import(ImportArgs),
    /// Show what is known of a site: channels, how much of "direct" is dark, apps, contents.
    ///
    /// Asks the ClickHouse of clickhouse.url where that is configured, else the data directory.
    Report(ReportArgs),
    /// Ask ClickHouse anything.
    ///
    /// Asks the one of clickhouse.url where that is configured, else that of the data directory.
    Query(QueryArgs),
    /// Make visits and private sharing with a known truth.
    Simulate(SimulateArgs),
    /// Score classification and the inference of share chains against known truth, or fit weights.
    Evaluate(EvaluateArgs),
    /// Simulate, import and report in one go; or import and report a log of your own.
    Demo(DemoArgs),
    /// Look at the configuration.
    Config(ConfigArgs),
    /// Ask the running service whether it is ready.
    Health(HealthArgs),
}

/// Arguments of `grapevine health`.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Ask whether it lives instead.
    #[arg(long)]
    pub live: bool,
}

/// Arguments of `grapevine config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub what: ConfigWhat,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigWhat {
    /// Read everything that it names; print every value without secrets, and where it came from.
    Check(ConfigCheckArgs),
}

/// Arguments of `grapevine config check`.
#[derive(Debug, Args)]
pub struct ConfigCheckArgs {
    /// Try to reach what is configured, too.
    #[arg(long)]
    pub connect: bool,
}

/// Arguments of `grapevine local`.
#[derive(Debug, Args)]
pub struct LocalArgs {
    /// Where the collector listens [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS")]
    pub collector_listen: Option<SocketAddr>,
    /// Where ClickHouse's HTTP interface listens [default: 127.0.0.1:8123].
    #[arg(long, value_name = "ADDRESS")]
    pub clickhouse_listen: Option<SocketAddr>,
}

/// Arguments of `grapevine collect`.
#[derive(Debug, Args)]
pub struct CollectArgs {
    /// Where the collector listens [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS")]
    pub collector_listen: Option<SocketAddr>,
}

/// Which stages a replica runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EnrichStage {
    /// Hits to visits, events and shares.
    Classify,
    /// Visits to cascades and edges.
    Chain,
    /// Both.
    #[default]
    All,
}

/// Arguments of `grapevine enrich`.
#[derive(Debug, Args)]
pub struct EnrichArgs {
    /// What to run.
    #[arg(long, value_enum, default_value_t)]
    pub stage: EnrichStage,
}

/// Arguments of `grapevine sink`.
#[derive(Debug, Args)]
pub struct SinkArgs {
    /// Make the tables what this version needs, and end.
    #[arg(long)]
    pub migrate_only: bool,
}

/// How the answer of an audit or a replay is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum AuditFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// Arguments of `grapevine audit`. Kafka is looked at where clickhouse.url is configured, else the
/// data directory.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Mend it: write missing rows again while the log holds them, remove doubles, compute
    /// projections anew.
    #[arg(long)]
    pub repair: bool,
    /// Compare every group of every aggregate, not sums alone.
    #[arg(long)]
    pub deep: bool,
    /// How to write it.
    #[arg(long, value_enum, default_value_t)]
    pub format: AuditFormat,
}

/// Arguments of `grapevine replay`. Kafka is looked at where clickhouse.url is configured, else the
/// data directory.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Only letters of this stage: classify, chain or sink.
    #[arg(long, value_name = "NAME")]
    pub stage: Option<String>,
    /// Only letters with this reason, such as undecodable.
    #[arg(long, value_name = "NAME")]
    pub reason: Option<String>,
    /// Only letters of this site.
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
    /// Only letters from this time on, such as 2026-03-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Only letters before this time.
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Say what would be sent, and send nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// How to write it.
    #[arg(long, value_enum, default_value_t)]
    pub format: AuditFormat,
}

/// Arguments of `grapevine import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Site that the log belongs to, such as example.org.
    #[arg(long, value_name = "NAME")]
    pub site: String,
    /// Log files, oldest first; - is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Do not show progress.
    #[arg(long)]
    pub quiet: bool,
    /// Print the summary as JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// One row a figure: section, item, measure, value.
    Csv,
}

/// Arguments of `grapevine report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Site to report on; may be left out where there is only one.
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
    /// First day, UTC [default: the first day there is].
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub from: Option<String>,
    /// Last day, UTC [default: the last day there is].
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub to: Option<String>,
    /// Show instead how well the probabilities fit the site's own share tokens, as it stands now.
    #[arg(long, conflicts_with_all = ["from", "to"])]
    pub calibration: bool,
    /// How to write it.
    #[arg(long, value_enum, default_value_t)]
    pub format: ReportFormat,
}

/// Arguments of `grapevine query`.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// The statement; - reads it from standard input.
    #[arg(value_name = "SQL")]
    pub sql: String,
    /// ClickHouse output format [default: PrettyCompact on a terminal, TabSeparatedWithNames else].
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Ask as the reader, who may only read tables; of the data directory only.
    #[arg(long)]
    pub reader: bool,
}

/// How simulated visits are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SimulateFormat {
    /// Access log, combined.
    #[default]
    Combined,
    /// Access log, vhost_combined.
    VhostCombined,
    /// Native hits, one JSON object a line.
    Hits,
    /// Who came from whom, as `grapevine evaluate chains` reads it.
    Cascades,
    /// The scenario itself (TOML), without simulating it.
    Scenario,
}

/// Arguments of `grapevine simulate`.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// Scenario file (TOML) [default: a mid-size publisher].
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Draw every uncertain parameter from its range; the seed decides.
    #[arg(long, conflicts_with = "scenario")]
    pub drawn: bool,
    /// Seed; the same seed and scenario give the same bytes.
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// About how many requests to make; scales the scenario's arrivals.
    #[arg(long, value_name = "NUMBER")]
    pub requests: Option<u64>,
    /// What to write.
    #[arg(long, value_enum, default_value_t)]
    pub format: SimulateFormat,
    /// Where to write it [default: standard output].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Where to write the truth, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,
    /// Send native hits to this collector instead, such as http://127.0.0.1:8080.
    #[arg(long, value_name = "URL", conflicts_with_all = ["out", "format"])]
    pub send: Option<String>,
    /// Server key of that collector [default: that of the data directory].
    #[arg(
        long,
        value_name = "KEY",
        requires = "send",
        env = "GRAPEVINE_SERVER_KEY",
        hide_env_values = true
    )]
    pub server_key: Option<String>,
}

/// Arguments of `grapevine evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// What to evaluate.
    #[command(subcommand)]
    pub what: EvaluateWhat,
}

/// What to evaluate.
#[derive(Debug, Subcommand)]
pub enum EvaluateWhat {
    /// Hide the edges of cascades, infer them, and score every one.
    Chains(EvaluateChainsArgs),
    /// Fit weights of chains on cascades whose every edge is known.
    Fit(EvaluateFitArgs),
    /// Put simulated visits through collector or importer and both stages, and score how every one is
    /// classified, which parents it is given, and R and virality of what was read.
    Visits(EvaluateVisitsArgs),
    /// Fit the weights of classification on simulated sites.
    FitVisits(EvaluateFitVisitsArgs),
}

/// How an evaluation is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EvaluateFormat {
    /// For people, beside the baselines.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// Arguments of `grapevine evaluate chains`.
#[derive(Debug, Args)]
pub struct EvaluateChainsArgs {
    /// Cascades: cascade_id,node_id,parent_id,t_seconds as CSV, plain, gzip or zstd.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Share of edges that a token gives away, from 0 to less than 1; several are one table, or a
    /// list of documents [default: 0,0.01,0.05,0.2,0.5; of JSON 0.05].
    #[arg(long, value_name = "SHARES", value_delimiter = ',', value_parser = token_rate)]
    pub token_rate: Vec<f64>,
    /// Learn weights from this file's edges first, labelled at the same rate; baselines that need
    /// fitting are fitted to them.
    #[arg(long, value_name = "FILE")]
    pub fit: Option<PathBuf>,
    /// Weights to start from [default: the key chain_model, else as shipped].
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Make up marks: probabilities that a child copies its parent's channel and network.
    #[arg(long, value_name = "CHANNEL,NETWORK", value_parser = copying)]
    pub marks: Option<[f64; 2]>,
    /// Which edges the tokens give away follows from it.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// How to write it.
    #[arg(long, value_enum, default_value_t)]
    pub format: EvaluateFormat,
}

/// Arguments of `grapevine evaluate fit`.
#[derive(Debug, Args)]
pub struct EvaluateFitArgs {
    /// Cascades as `grapevine evaluate chains` reads them.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where to write the weights.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Version to give them; it is written onto every edge that they name.
    #[arg(long, value_name = "NAME")]
    pub version: String,
    /// Token rates to fit for.
    #[arg(
        long,
        value_name = "SHARES",
        value_delimiter = ',',
        default_value = "0,0.01,0.05,0.2",
        value_parser = token_rate
    )]
    pub token_rates: Vec<f64>,
    /// Which edges are looked at follows from it.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
}

fn token_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..1.0).contains(&rate) => Ok(rate),
        _ => Err("should be a number from 0 to less than 1, such as 0.05".to_owned()),
    }
}

/// What is evaluated is fed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum VisitsVia {
    /// Hits of pages and servers, to the collector.
    #[default]
    Hits,
    /// Native hits of page script, which knows no headers of the page's request.
    Script,
    /// An access log, to the importer.
    Log,
}

/// Arguments of `grapevine evaluate visits`.
#[derive(Debug, Args)]
pub struct EvaluateVisitsArgs {
    /// Hits or an access log of `grapevine simulate` [default: simulate].
    #[arg(value_name = "FILE", requires = "truth")]
    pub file: Option<PathBuf>,
    /// The truth that belongs to it.
    #[arg(long, value_name = "FILE", requires = "file")]
    pub truth: Option<PathBuf>,
    /// What FILE is, or what simulated sites give.
    #[arg(long, value_enum, default_value_t)]
    pub via: VisitsVia,
    /// Site that the log belongs to.
    #[arg(long, value_name = "NAME", default_value = "news.example")]
    pub site: String,
    /// Scenario file to simulate [default: a mid-size publisher].
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub scenario: Option<PathBuf>,
    /// Draw every uncertain parameter of each site from its range instead.
    #[arg(long, conflicts_with_all = ["file", "scenario"])]
    pub drawn: bool,
    /// Sites to simulate, each with a seed of its own.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub sites: u64,
    /// Seed of the first site.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// About how many landings each site has that no share brought.
    #[arg(long, value_name = "NUMBER", default_value_t = 6_000, value_parser = clap::value_parser!(u32).range(100..))]
    pub landings: u32,
    /// How many messages a day each site sends its readers without tags: notifications, newsletters.
    #[arg(long, value_name = "NUMBER", default_value_t = 0.0, value_parser = sent_a_day, conflicts_with = "file")]
    pub sent: f64,
    /// Parts of privately passed landings that carry a token, one run each.
    #[arg(
        long,
        value_name = "SHARES",
        value_delimiter = ',',
        default_value = "0,0.01,0.05,0.2,0.5",
        value_parser = token_rate
    )]
    pub token_rates: Vec<f64>,
    /// Model to judge by [default: the key model, else as shipped].
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Write every judged visit there too, one JSON object a line: what is true, what was read, what was
    /// found, and the facts with their log-odds.
    #[arg(long, value_name = "FILE")]
    pub rows: Option<PathBuf>,
    /// How to write it.
    #[arg(long, value_enum, default_value_t)]
    pub format: EvaluateFormat,
}

/// Arguments of `grapevine evaluate fit-visits`.
#[derive(Debug, Args)]
pub struct EvaluateFitVisitsArgs {
    /// Where to write the model.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Version to give it; it is written onto every visit.
    #[arg(long, value_name = "NAME")]
    pub version: String,
    /// Sites to simulate.
    #[arg(long, value_name = "NUMBER", default_value_t = 60, value_parser = clap::value_parser!(u64).range(2..=1000))]
    pub sites: u64,
    /// Seed of the first site.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_001)]
    pub seed: u64,
    /// About how many landings each site has that no share brought.
    #[arg(long, value_name = "NUMBER", default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(100..))]
    pub landings: u32,
    /// How many messages a day each site sends its readers without tags: notifications, newsletters.
    #[arg(long, value_name = "NUMBER", default_value_t = 0.0, value_parser = sent_a_day)]
    pub sent: f64,
}

fn sent_a_day(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    number
        .filter(|number| (0.0..=100.0).contains(number))
        .ok_or_else(|| "should be a number from 0 to 100, such as 1".to_owned())
}

fn copying(text: &str) -> Result<[f64; 2], String> {
    let share = |part: &str| {
        let share = part.parse::<f64>().ok();
        share.filter(|share| (0.0..1.0).contains(share))
    };
    match text.split_once(',') {
        Some((channel, network)) => share(channel).zip(share(network)),
        None => None,
    }
    .map(|(channel, network)| [channel, network])
    .ok_or_else(|| "should be two numbers from 0 to less than 1, such as 0.5,0.3".to_owned())
}

/// Arguments of `grapevine demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Access logs of your own; without one, a simulated publisher.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Site that the logs belong to [default: the log's own virtual host, or my-site].
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
}
