//! Asks ClickHouse for the figures of a report.

mod channels;

use clickhouse::{Client, Row};
use jiff::civil::Date;
use serde::Deserialize;
use thiserror::Error;

use self::channels::{ChannelRow, channels, direct};
use super::chains;
use super::figures::{AppFigures, ContentFigures, Estimate, EvidenceFigures, HourFigures, Report};
use super::surges::{self, SurgeRow};

/// Contents and kinds of evidence that a report lists at the most.
pub(super) const ROWS_MAX: u32 = 12;
/// Apps that a report lists at the most: far more than there are, since hits may bring any name.
const APPS_MAX: usize = 100;

/// Why a report cannot be made.
#[derive(Debug, Error)]
pub enum AskError {
    /// Nothing is stored yet.
    #[error(
        "there is nothing to report on yet: import a log with `grapevine import --site NAME FILE`, or send hits to the collector"
    )]
    Nothing,
    /// The site has no visits.
    #[error("no visits of site {asked:?}; there are visits of: {there}")]
    NoSuchSite {
        /// What was asked for.
        asked: String,
        /// What there is.
        there: String,
    },
    /// A site must be named.
    #[error("visits of several sites are stored: name one with --site: {0}")]
    SeveralSites(String),
    /// No visits in the period.
    #[error("no visits of {site} from {from} to {to}; there are visits from {first} to {last}")]
    EmptyPeriod {
        /// Site.
        site: String,
        /// Asked for.
        from: Date,
        /// Asked for.
        to: Date,
        /// There.
        first: Date,
        /// There.
        last: Date,
    },
    /// ClickHouse's own error.
    #[error("ClickHouse")]
    ClickHouse(#[from] clickhouse::error::Error),
    /// ClickHouse answered something unexpected.
    #[error("ClickHouse answered {0:?} where a day was asked for")]
    Day(String),
}

/// The days that a report is asked for; `None` is open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Period {
    /// First day.
    pub from: Option<Date>,
    /// Last day.
    pub to: Option<Date>,
}

/// Sites that have visits, in alphabetical order.
async fn sites(client: &Client) -> Result<Vec<String>, AskError> {
    Ok(client
        .query("SELECT DISTINCT toString(site) AS name FROM grapevine.visits ORDER BY name")
        .fetch_all()
        .await?)
}

#[derive(Row, Deserialize)]
struct AppRow {
    carrier: String,
    visits: u64,
    dark: f64,
    low: f64,
    high: f64,
    variance: f64,
    certain_dark: f64,
}

#[derive(Row, Deserialize)]
struct ContentRow {
    content: String,
    visits: u64,
    dark: f64,
    low: f64,
    high: f64,
    variance: f64,
}

#[derive(Row, Deserialize)]
struct HourRow {
    hour_of_day: u8,
    visits: u64,
    dark: f64,
    low: f64,
    high: f64,
    variance: f64,
}

#[derive(Row, Deserialize)]
struct EvidenceRow {
    name: String,
    visits: u64,
    decided: u64,
    log_odds: f64,
    search_log_odds: Option<f64>,
    example: String,
}

#[derive(Row, Deserialize)]
struct NamedCount {
    name: String,
    count: u64,
}

/// Visits of people in the site and period of the report, by hour: read from the projection.
pub(super) const HOURS: &str = "grapevine.visits_by_hour WHERE site = {site:String} AND toDate(hour) BETWEEN {from:Date} AND {to:Date}";
/// The same visits one by one.
const PEOPLE: &str = "grapevine.visits_people WHERE site = {site:String} AND toDate(time) BETWEEN {from:Date} AND {to:Date}";
/// What the aggregate views sum up.
const SUMS: &str = "sum(visits) AS visits, sum(dark) AS dark, sum(dark_low) AS low, sum(dark_high) AS high, sum(dark_variance) AS variance";

pub(super) struct Asker<'a> {
    client: &'a Client,
    site: String,
    from: Date,
    to: Date,
}

impl Asker<'_> {
    /// A question about the site and the period.
    pub(super) fn query(&self, sql: &str) -> clickhouse::query::Query {
        self.client
            .query(sql)
            // Sums are named like the columns that they sum up.
            .with_setting("prefer_column_name_to_alias", "1")
            .param("site", &self.site)
            .param("from", self.from.to_string())
            .param("to", self.to.to_string())
    }
}

/// Fetches the figures of one site in one period.
///
/// # Errors
/// Nothing stored, no such site, nothing in the period, or ClickHouse's own.
pub async fn ask(client: &Client, site: Option<&str>, period: Period) -> Result<Report, AskError> {
    let site = chosen_site(client, site).await?;
    let (from, to) = chosen_period(client, &site, period).await?;
    let asker = Asker {
        client,
        site,
        from,
        to,
    };

    let rows: Vec<ChannelRow> = asker
        .query(&format!("SELECT toString(conventional_channel) AS conventional, toString(channel) AS channel, toBool(certain) AS certain, {SUMS}, sum(dark_search) AS search FROM {HOURS} GROUP BY conventional, channel, certain ORDER BY conventional, channel, certain"))
        .fetch_all()
        .await?;
    let visits: f64 = rows.iter().map(|row| row.visits as f64).sum();

    let shares = asker.shares().await?;
    let robots: u64 = asker
        .query("SELECT count() FROM grapevine.visits WHERE site = {site:String} AND toDate(time) BETWEEN {from:Date} AND {to:Date} AND channel = 'bot'")
        .fetch_one()
        .await?;
    let dead_letters: u64 = client
        .query("SELECT count() FROM grapevine.dead_letters")
        .fetch_one()
        .await?;
    let models: Vec<String> = asker
        .query(&format!(
            "SELECT DISTINCT splitByString('+site.', toString(model_version))[1] AS version FROM {PEOPLE} ORDER BY version"
        ))
        .fetch_all()
        .await?;
    let report = Report {
        channels: channels(&rows),
        direct: direct(&rows),
        apps: asker.apps(&shares).await?,
        contents: asker.contents().await?,
        hours: asker.hours().await?,
        evidence: asker.evidence().await?,
        surges: asker
            .query(surges::QUERY)
            .fetch_all::<SurgeRow>()
            .await?
            .into_iter()
            .map(Into::into)
            .collect(),
        chains: chains::ask(&asker).await?,
        visits,
        robots: robots as f64,
        dead_letters: dead_letters as f64,
        models,
        from: from.to_string(),
        to: to.to_string(),
        site: asker.site,
    };
    Ok(report)
}

pub(super) async fn chosen_site(client: &Client, asked: Option<&str>) -> Result<String, AskError> {
    let sites = sites(client).await?;
    match asked.map(str::to_ascii_lowercase) {
        _ if sites.is_empty() => Err(AskError::Nothing),
        Some(asked) if sites.contains(&asked) => Ok(asked),
        Some(asked) => Err(AskError::NoSuchSite {
            asked,
            there: sites.join(", "),
        }),
        None if sites.len() == 1 => Ok(sites.into_iter().next().unwrap_or_default()),
        None => Err(AskError::SeveralSites(sites.join(", "))),
    }
}

async fn chosen_period(
    client: &Client,
    site: &str,
    period: Period,
) -> Result<(Date, Date), AskError> {
    let (first, last): (String, String) = client
        .query("SELECT toString(min(toDate(time))), toString(max(toDate(time))) FROM grapevine.visits WHERE site = {site:String}")
        .param("site", site)
        .fetch_one()
        .await?;
    let day = |text: String| text.parse::<Date>().map_err(|_| AskError::Day(text));
    let (first, last) = (day(first)?, day(last)?);
    let (from, to) = (period.from.unwrap_or(first), period.to.unwrap_or(last));
    if from > last || to < first || from > to {
        return Err(AskError::EmptyPeriod {
            site: site.to_owned(),
            from,
            to,
            first,
            last,
        });
    }
    Ok((from, to))
}

impl Asker<'_> {
    async fn shares(&self) -> Result<Vec<NamedCount>, AskError> {
        let sql = "SELECT toString(app) AS name, count() AS count FROM grapevine.shares WHERE site = {site:String} AND toDate(time) BETWEEN {from:Date} AND {to:Date} GROUP BY name ORDER BY count DESC, name";
        Ok(self.query(sql).fetch_all().await?)
    }

    async fn apps(&self, shares: &[NamedCount]) -> Result<Vec<AppFigures>, AskError> {
        // A visit that is only perhaps dark has an app of its other channel, or none.
        let rows: Vec<AppRow> = self
            .query(&format!(
                "SELECT if(channel = 'dark_social' AND app != '', toString(app), 'unknown') AS carrier, {SUMS}, sumIf(dark, certain) AS certain_dark FROM {HOURS} GROUP BY carrier HAVING sum(dark) > 0 ORDER BY sum(dark) DESC, carrier"
            ))
            .fetch_all()
            .await?;
        let mut apps: Vec<AppFigures> = rows
            .into_iter()
            .map(|row| AppFigures {
                visits: Estimate::of_sums(
                    row.dark,
                    row.low,
                    row.high,
                    row.variance,
                    row.visits as f64,
                ),
                certain: row.certain_dark,
                shares: 0.0,
                app: row.carrier,
            })
            .collect();
        for share in shares {
            match apps.iter_mut().find(|figures| figures.app == share.name) {
                Some(figures) => figures.shares = share.count as f64,
                None => apps.push(AppFigures {
                    app: share.name.clone(),
                    visits: Estimate::default(),
                    certain: 0.0,
                    shares: share.count as f64,
                }),
            }
        }
        apps.truncate(APPS_MAX);
        Ok(apps)
    }

    async fn contents(&self) -> Result<Vec<ContentFigures>, AskError> {
        let rows: Vec<ContentRow> = self
            .query(&format!("SELECT content, {SUMS} FROM grapevine.visits_by_content WHERE site = {{site:String}} AND day BETWEEN {{from:Date}} AND {{to:Date}} GROUP BY content ORDER BY sum(dark) DESC, content LIMIT {ROWS_MAX}"))
            .fetch_all()
            .await?;
        let names: Vec<&str> = rows.iter().map(|row| row.content.as_str()).collect();
        let shares: Vec<NamedCount> = self
            .query("SELECT content AS name, count() AS count FROM grapevine.shares WHERE site = {site:String} AND toDate(time) BETWEEN {from:Date} AND {to:Date} AND content IN {contents:Array(String)} GROUP BY name")
            .param("contents", &names)
            .fetch_all()
            .await?;
        let shared = |content: &str| {
            shares
                .iter()
                .find(|share| share.name == content)
                .map_or(0.0, |share| share.count as f64)
        };
        Ok(rows
            .iter()
            .map(|row| ContentFigures {
                content: row.content.clone(),
                visits: row.visits as f64,
                dark_social: Estimate::of_sums(
                    row.dark,
                    row.low,
                    row.high,
                    row.variance,
                    row.visits as f64,
                ),
                shares: shared(&row.content),
            })
            .collect())
    }

    async fn hours(&self) -> Result<Vec<HourFigures>, AskError> {
        let rows: Vec<HourRow> = self
            .query(&format!("SELECT toHour(hour) AS hour_of_day, {SUMS} FROM {HOURS} GROUP BY hour_of_day ORDER BY hour_of_day"))
            .fetch_all()
            .await?;
        let of_hour = |hour| {
            let empty = HourFigures {
                hour,
                visits: 0.0,
                dark_social: Estimate::default(),
            };
            let row = rows.iter().find(|row| row.hour_of_day == hour);
            row.map_or(empty, |row| HourFigures {
                hour,
                visits: row.visits as f64,
                dark_social: Estimate::of_sums(
                    row.dark,
                    row.low,
                    row.high,
                    row.variance,
                    row.visits as f64,
                ),
            })
        };
        Ok((0..24).map(of_hour).collect())
    }

    async fn evidence(&self) -> Result<Vec<EvidenceFigures>, AskError> {
        let rows: Vec<EvidenceRow> = self
            .query(&format!(
                "SELECT toString(fact.1) AS name, count() AS visits, countIf(by_fact) AS decided, avg(toFloat64(fact.3)) AS log_odds, avgOrNull(toFloat64(search)) AS search_log_odds, min(fact.2) AS example FROM (SELECT evidence, evidence_search, method != 'prior' AS by_fact FROM {PEOPLE} AND dark_probability > 0) ARRAY JOIN evidence AS fact, evidence_search AS search GROUP BY name ORDER BY visits DESC, name LIMIT {ROWS_MAX}"
            ))
            .fetch_all()
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| EvidenceFigures {
                name: row.name,
                visits: row.visits as f64,
                decided: row.decided as f64,
                log_odds: row.log_odds,
                search_log_odds: row.search_log_odds,
                example: row.example,
            })
            .collect())
    }
}
