//! Asks ClickHouse how links were passed on from reader to reader.

mod pooled;

use clickhouse::Row;
use serde::Deserialize;

use super::ask::{AskError, Asker, HOURS, ROWS_MAX};
use super::figures::{
    ChainCalibration, ChainFigures, Estimate, SpreadingFigures, TransitionFigures,
};

/// Contents first read in the period.
const SPREADS: &str = "grapevine.spreads WHERE site = {site:String} AND toDate(started) BETWEEN {from:Date} AND {to:Date}";
/// Least expected visits of a transition that is listed.
const TRANSITION_MIN: f64 = 0.05;

#[derive(Row, Deserialize)]
struct SpreadRow {
    content: String,
    settled: i64,
    chain: [f64; 3],
    reproduction: [f64; 3],
    virality: [Option<f64>; 3],
    depth: [f64; 3],
    generation_time: Option<f64>,
    reproduction_now: [Option<f64>; 3],
    amplification: [Option<f64>; 3],
    doubling: [Option<f64>; 3],
    half_life: [Option<f64>; 3],
    k_factor: [Option<f64>; 3],
    broadcast: bool,
    broadcast_probability: Option<f64>,
    broadcast_arrivals: [Option<f64>; 3],
}

#[derive(Row, Deserialize)]
struct CalibrationRow {
    version: String,
    scored: i64,
    log_loss: Option<f64>,
    ece: Option<f64>,
    top1: Option<f64>,
    alarm: bool,
    token_survival: f64,
}

fn estimate([low, expected, high]: [f64; 3]) -> Estimate {
    Estimate {
        expected,
        low: low.min(expected),
        high: high.max(expected),
    }
}

fn known([low, likely, high]: [Option<f64>; 3]) -> Option<Estimate> {
    Some(estimate([low?, likely?, high?]))
}

/// Fetches the figures.
///
/// # Errors
/// ClickHouse's own.
pub(super) async fn ask(asker: &Asker<'_>) -> Result<ChainFigures, AskError> {
    let token_visits: u64 = asker
        .query(&format!(
            "SELECT sum(visits) FROM {HOURS} AND method = 'token'"
        ))
        .fetch_one()
        .await?;
    let (cascades, largest, deepest): (u64, i64, i32) = asker
        .query("SELECT count(), max(size), max(depth) FROM grapevine.share_chains WHERE site = {site:String} AND toDate(started) BETWEEN {from:Date} AND {to:Date}")
        .fetch_one()
        .await?;
    let exposed = pooled::exposed_sql();
    let (settled, low, expected, high, exposed): (i64, f64, f64, f64, f64) = asker
        .query(&format!("SELECT sum(settled), sum(chain_arrivals_low), sum(chain_arrivals), sum(chain_arrivals_high), {exposed} FROM {SPREADS}"))
        .fetch_one()
        .await?;
    let from_readers = estimate([low, expected, high]);
    let from_strangers = from_readers.times(strangers_part(asker).await?);
    let without_strangers = Estimate {
        expected: from_readers.expected - from_strangers.expected,
        low: from_readers.low - from_strangers.low,
        high: from_readers.high - from_strangers.high,
    };
    let reproduction = |shared| (settled > 0).then(|| pooled::reproduction(shared, exposed));
    Ok(ChainFigures {
        token_visits: token_visits as f64,
        cascades: cascades as f64,
        largest: largest as f64,
        deepest: f64::from(deepest),
        readers: settled as f64,
        from_readers,
        from_strangers,
        reproduction: reproduction(from_readers),
        reproduction_without_strangers: reproduction(without_strangers),
        transitions: transitions(asker).await?,
        spreading: spreading(asker).await?,
        calibration: calibration(asker).await?,
    })
}

/// Of the visits that came by a link somebody passed on, the part whose sender never landed on that
/// content, from 0 to 1: nobody that was seen, by a token or as a possible cause, or the owner of a
/// token whose visit landed elsewhere.
async fn strangers_part(asker: &Asker<'_>) -> Result<f64, AskError> {
    let (passed_on, unseen): (f64, f64) = asker
        .query("SELECT sum(app_transitions.expected), sumIf(app_transitions.expected, parent_kind = 'unknown') FROM grapevine.app_transitions AS app_transitions WHERE site = {site:String} AND day BETWEEN {from:Date} AND {to:Date}")
        .fetch_one()
        .await?;
    let elsewhere: f64 = asker
        .query("SELECT sum(brought.certain) FROM grapevine.visits AS sharer INNER JOIN (SELECT assumeNotNull(parent_visit) AS parent, content, sum(probability * sign) AS certain FROM grapevine.edges WHERE site = {site:String} AND toDate(time) BETWEEN {from:Date} AND {to:Date} AND method = 'token' AND parent_visit IS NOT NULL GROUP BY parent, content) AS brought ON sharer.visit_id = brought.parent WHERE sharer.site = {site:String} AND toDate(sharer.time) <= {to:Date} AND sharer.content != brought.content")
        .fetch_one()
        .await?;
    match passed_on > 0.0 {
        true => Ok(((unseen + elsewhere) / passed_on).clamp(0.0, 1.0)),
        false => Ok(0.0),
    }
}

async fn transitions(asker: &Asker<'_>) -> Result<Vec<TransitionFigures>, AskError> {
    let rows: Vec<(String, String, f64, f64)> = asker
        .query(&format!("SELECT if(parent_app = '', 'unknown', toString(parent_app)) AS sender, if(child_app = '', 'unknown', toString(child_app)) AS reader, sum(app_transitions.expected) AS visits, sumIf(app_transitions.expected, method = 'token') AS certain FROM grapevine.app_transitions AS app_transitions WHERE site = {{site:String}} AND day BETWEEN {{from:Date}} AND {{to:Date}} AND parent_kind IN ('visitor', 'act') GROUP BY sender, reader HAVING visits >= {TRANSITION_MIN} ORDER BY visits DESC, sender, reader LIMIT {ROWS_MAX}"))
        .fetch_all()
        .await?;
    let figures = |(from, to, visits, certain)| TransitionFigures {
        from,
        to,
        visits,
        certain,
    };
    Ok(rows.into_iter().map(figures).collect())
}

async fn spreading(asker: &Asker<'_>) -> Result<Vec<SpreadingFigures>, AskError> {
    let rows: Vec<SpreadRow> = asker
        .query(&format!("SELECT content, settled, tuple(chain_arrivals_low, chain_arrivals, chain_arrivals_high) AS chain, tuple(reproduction_low, reproduction, reproduction_high) AS reproduction, tuple(structural_virality_low, structural_virality, structural_virality_high) AS virality, tuple(depth_low, depth, depth_high) AS depth, generation_time_seconds AS generation_time, tuple(reproduction_now_low, reproduction_now, reproduction_now_high) AS reproduction_now, tuple(amplification_low, amplification, amplification_high) AS amplification, tuple(doubling_seconds_low, doubling_seconds, doubling_seconds_high) AS doubling, tuple(half_life_seconds_low, half_life_seconds, half_life_seconds_high) AS half_life, tuple(k_factor_low, k_factor, k_factor_high) AS k_factor, broadcast, broadcast_probability, tuple(broadcast_arrivals_low, broadcast_arrivals, broadcast_arrivals_high) AS broadcast_arrivals FROM {SPREADS} AND settled > 1 ORDER BY chain_arrivals DESC, content, started LIMIT {ROWS_MAX}"))
        .fetch_all()
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| SpreadingFigures {
            content: row.content,
            readers: row.settled as f64,
            from_readers: estimate(row.chain),
            reproduction: estimate(row.reproduction),
            virality: known(row.virality),
            depth: estimate(row.depth),
            generation_time_seconds: row.generation_time,
            reproduction_now: known(row.reproduction_now),
            amplification: known(row.amplification),
            doubling_seconds: known(row.doubling),
            half_life_seconds: known(row.half_life),
            k_factor: known(row.k_factor),
            broadcast: row.broadcast,
            broadcast_probability: row.broadcast_probability,
            broadcast_readers: known(row.broadcast_arrivals),
        })
        .collect())
}

/// Of all times: it is what is known of the weights, not of the period.
async fn calibration(asker: &Asker<'_>) -> Result<Option<ChainCalibration>, AskError> {
    let row: Option<CalibrationRow> = asker
        .query("SELECT version, scored, log_loss, ece, top1, alarm, token_survival FROM grapevine.chain_calibration WHERE site = {site:String}")
        .fetch_optional()
        .await?;
    Ok(row.and_then(|row| {
        Some(ChainCalibration {
            version: row.version,
            scored: row.scored as f64,
            log_loss: row.log_loss?,
            calibration_error: row.ece?,
            likeliest_right: row.top1?,
            alarm: row.alarm,
            token_survival: row.token_survival,
        })
    }))
}
