//! Records of contents and of weights.

use grapevine_event::ChainModel;

use super::finding::Finding;
use super::followed::Followed;
use super::learned::Changed;
use super::scores::Scores;
use super::site::Site;

/// Edges scored since the last record that bring another, at least …
const SCORED_MIN: u64 = 100;
/// … and for one so many that were scored before.
const SCORED_PART: u64 = 4;

/// Writes the record of a content.
pub(super) fn write(
    followed: &mut Followed,
    site: &Site,
    now: i64,
    closed: bool,
    emit: &mut dyn FnMut(Finding<'_>),
) {
    // Acts alone are no spreading.
    if followed.spread.arrivals() == 0 {
        return;
    }
    followed.record(site.weights(), now, closed, &mut |record| {
        emit(Finding::Spread(record));
    });
}

/// Says which weights are in force where they changed, and how well they do from time to time; with
/// both what else the site has taught.
pub(super) fn publish(site: &mut Site, last: u64, emit: &mut dyn FnMut(Finding<'_>)) {
    let changed = site.learned.learn(&site.name, last);
    let scored = site.scores.scored();
    let due = scored.saturating_sub(site.scored_written)
        >= SCORED_MIN.max(site.scored_written / SCORED_PART);
    if changed.is_some() || due {
        write_model(site, changed, emit);
    }
}

pub(super) fn write_model(
    site: &mut Site,
    changed: Option<Changed>,
    emit: &mut dyn FnMut(Finding<'_>),
) {
    let scores = &site.scores;
    let (counts, predicted, observed) = scores.reliability();
    let weights = site.learned.weights();
    let laws = &site.laws;
    let edges = |edges: u64| i64::try_from(edges).unwrap_or(i64::MAX);
    // Contents without certain edges, and with more than any has.
    let [without, known] = [0, u32::MAX];
    let [hours_outside, hours_shared] = site.hours();
    emit(Finding::Model(ChainModel {
        site: &site.name,
        time: site.last,
        version: weights.version().into(),
        learned_from: changed
            .as_ref()
            .map_or("", |changed| changed.before.as_str())
            .into(),
        lessons: changed.as_ref().map_or(0, |changed| {
            i64::try_from(changed.lessons).unwrap_or(i64::MAX)
        }),
        weights: match &changed {
            Some(_) => weights.render().into(),
            None => "".into(),
        },
        scored: i64::try_from(scores.scored()).unwrap_or(i64::MAX),
        log_loss: scores.log_loss(),
        brier: scores.brier(),
        ece: scores.calibration_error(),
        top1: scores.top1(),
        reliability_count: counts,
        reliability_predicted: predicted,
        reliability_observed: observed,
        alarm: scores.alarm(),
        token_survival: site.token_survival(),
        copying_app: Some(laws.channel.copying()),
        copying_app_edges: Some(edges(laws.channel.edges())),
        copying_network: Some(laws.network.copying()),
        copying_network_edges: Some(edges(laws.network.edges())),
        copying_device: Some(laws.device.copying()),
        copying_device_edges: Some(edges(laws.device.edges())),
        arrivals_per_act: Some(laws.acts.arrivals_per_act()),
        outside_shift: Some(laws.outside.shift(without)),
        outside_shift_deviation: Some(laws.outside.deviation(without)),
        outside_shift_known: Some(laws.outside.shift(known)),
        outside_shift_known_deviation: Some(laws.outside.deviation(known)),
        strangers: Some(site.strangers.part()),
        balance: Some(site.balanced_by()),
        mean_log_odds: Some(site.mean_log_odds()),
        hours_outside,
        hours_shared,
    }));
    if changed.is_some() {
        site.scores = Scores::default();
    }
    site.scored_written = site.scores.scored();
}
