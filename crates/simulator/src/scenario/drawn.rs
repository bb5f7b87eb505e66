//! Scenarios with every uncertain parameter drawn from its range: truths that no fit has seen.

use super::{Burst, BurstKind, Scenario};
use crate::app::App;
use crate::arithmetic::pow;
use crate::dice::Dice;

/// How a parameter is drawn between its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrawnLaw {
    /// Evenly.
    Even,
    /// Evenly in the logarithm: as often by a factor up as down.
    Ratio,
}

/// The range of one parameter that nobody knows exactly.
#[derive(Clone, Copy, Debug)]
pub struct DrawnRange {
    /// Key as in a scenario file.
    pub key: &'static str,
    /// Smallest value.
    pub low: f64,
    /// Largest value.
    pub high: f64,
    /// How it is drawn between them.
    pub law: DrawnLaw,
    set: fn(&mut Scenario, f64),
    get: fn(&Scenario) -> f64,
}

impl DrawnRange {
    /// The value that a scenario has.
    pub fn of(&self, scenario: &Scenario) -> f64 {
        (self.get)(scenario)
    }
}

macro_rules! ranges {
    ($($key:literal: $law:ident $low:literal to $high:literal => $($field:ident).+ as $kind:ty,)+) => {
        &[$(DrawnRange {
            key: $key,
            low: $low,
            high: $high,
            law: DrawnLaw::$law,
            set: |scenario, value| scenario.$($field).+ = value as $kind,
            get: |scenario| scenario.$($field).+ as f64,
        }),+]
    };
}

/// Ends are the published figures where there are several (RadiumOne, AddThis, Weibo and Twitter
/// fits: see the fields of [`Scenario`]), else half to twice the assumption, or what seems possible.
const RANGES: &[DrawnRange] = ranges! {
    "content.archive": Ratio 150.0 to 1500.0 => content.archive as u32,
    "content.published_per_day": Ratio 8.0 to 60.0 => content.published_per_day as f64,
    "content.popularity_exponent": Even 1.05 to 1.6 => content.popularity_exponent as f64,
    "content.half_life_hours": Ratio 6.0 to 30.0 => content.half_life_hours as f64,
    "content.evergreen": Even 0.02 to 0.2 => content.evergreen as f64,
    "content.dated_paths": Even 0.0 to 1.0 => content.dated_paths as f64,
    "content.numbered_paths": Even 0.0 to 1.0 => content.numbered_paths as f64,
    "arrivals.per_day": Ratio 1500.0 to 9000.0 => arrivals.per_day as f64,
    "arrivals.weekend": Even 0.5 to 1.1 => arrivals.weekend as f64,
    "channels.search": Ratio 15.0 to 60.0 => channels.search as f64,
    "channels.dark_search": Ratio 4.0 to 24.0 => channels.dark_search as f64,
    "channels.typed": Ratio 8.0 to 32.0 => channels.typed as f64,
    "channels.bookmark": Ratio 2.0 to 12.0 => channels.bookmark as f64,
    "channels.social": Ratio 8.0 to 34.0 => channels.social as f64,
    "channels.referral": Ratio 3.0 to 14.0 => channels.referral as f64,
    "channels.assistant": Ratio 0.5 to 5.0 => channels.assistant as f64,
    "channels.newsletter": Ratio 3.0 to 16.0 => channels.newsletter as f64,
    "channels.paid": Ratio 2.0 to 10.0 => channels.paid as f64,
    "channels.message": Even 0.0 to 6.0 => channels.message as f64,
    "openings.dark_search_by_app": Even 0.5 to 0.98 => openings.dark_search_by_app as f64,
    "openings.paid_in_app": Even 0.05 to 0.6 => openings.paid_in_app as f64,
    "sharing.probability": Ratio 0.02 to 0.12 => sharing.probability as f64,
    "sharing.reproduction": Even 0.1 to 0.4 => sharing.reproduction as f64,
    "sharing.dispersion": Ratio 0.2 to 1.5 => sharing.dispersion as f64,
    "sharing.virality_exponent": Even 1.5 to 4.0 => sharing.virality_exponent as f64,
    "sharing.reproduction_limit": Even 0.7 to 0.92 => sharing.reproduction_limit as f64,
    "sharing.delay_exponent": Even 0.4 to 0.8 => sharing.delay_exponent as f64,
    "sharing.delay_scale_seconds": Ratio 300.0 to 1800.0 => sharing.delay_scale_seconds as f64,
    "sharing.same_app": Even 0.2 to 0.8 => sharing.same_app as f64,
    "sharing.same_household": Even 0.02 to 0.15 => sharing.same_household as f64,
    "sharing.same_language": Even 0.5 to 0.95 => sharing.same_language as f64,
    "sharing.public": Even 0.08 to 0.3 => sharing.public as f64,
    "sharing.forward": Even 0.05 to 0.4 => sharing.forward as f64,
    "sharing.unseen": Even 0.0 to 0.3 => sharing.unseen as f64,
    "sharing.button": Even 0.05 to 0.3 => sharing.button as f64,
    "sharing.copy_seen": Even 0.05 to 0.4 => sharing.copy_seen as f64,
    "sharing.composed_unsent": Even 0.0 to 0.2 => sharing.composed_unsent as f64,
    "sharing.mail_scanned": Even 0.1 to 0.3 => sharing.mail_scanned as f64,
    "tokens.attached": Even 0.5 to 0.95 => tokens.attached as f64,
    "tokens.own_returning": Even 0.1 to 0.7 => tokens.own_returning as f64,
    "audience.regulars": Ratio 3000.0 to 40000.0 => audience.regulars as u64,
    "audience.regular": Even 0.05 to 0.35 => audience.regular as f64,
    "audience.mobile": Even 0.45 to 0.8 => audience.mobile as f64,
    "audience.iphone": Even 0.2 to 0.65 => audience.iphone as f64,
    "audience.wifi": Even 0.4 to 0.8 => audience.wifi as f64,
    "audience.ipv6": Even 0.2 to 0.7 => audience.ipv6 as f64,
    "audience.carrier_addresses": Ratio 32.0 to 2048.0 => audience.carrier_addresses as u32,
    "audience.households": Ratio 20000.0 to 200000.0 => audience.households as u32,
    "audience.script_blocked": Even 0.01 to 0.15 => audience.script_blocked as f64,
    "reading.next_page": Even 0.15 to 0.55 => reading.next_page as f64,
    "reading.seconds_on_page": Ratio 25.0 to 110.0 => reading.seconds_on_page as f64,
    "reading.return_to_page": Even 0.01 to 0.12 => reading.return_to_page as f64,
    "reading.return_hours": Ratio 3.0 to 30.0 => reading.return_hours as f64,
    "reading.not_found": Even 0.0 to 0.02 => reading.not_found as f64,
    "reading.redirected": Even 0.0 to 0.08 => reading.redirected as f64,
    "reading.prefetched": Even 0.0 to 0.06 => reading.prefetched as f64,
    "robots.search_per_day": Ratio 400.0 to 3000.0 => robots.search_per_day as f64,
    "robots.ai_per_day": Ratio 300.0 to 3000.0 => robots.ai_per_day as f64,
    "robots.seo_per_day": Ratio 200.0 to 2000.0 => robots.seo_per_day as f64,
    "robots.tools_per_day": Ratio 100.0 to 1500.0 => robots.tools_per_day as f64,
    "robots.probes_per_day": Ratio 30.0 to 500.0 => robots.probes_per_day as f64,
    "robots.disguised_per_day": Ratio 30.0 to 400.0 => robots.disguised_per_day as f64,
};

/// Part of what goes by an app with public places that is private: low, likely, high. No figure is
/// published; wide assumptions, those that the product's model starts from.
const PRIVATE_PARTS: [(App, [f64; 3]); 2] = [
    (App::Telegram, [0.5, 0.8, 0.97]),
    (App::Discord, [0.4, 0.7, 0.95]),
];

/// Kinds of a drawn scenario's bursts: what readers and the public do, not what the site sends.
const BURST_KINDS: [BurstKind; 4] = [
    BurstKind::PublicPost,
    BurstKind::News,
    BurstKind::Rumour,
    BurstKind::PublicLink,
];

/// Most bursts of a drawn scenario.
const BURSTS_MAX: i64 = 4;

impl Scenario {
    /// A scenario whose every uncertain parameter is drawn from its range; `seed` decides the draws
    /// and is the scenario's own seed. What a site chooses or an evaluation wants (site, start,
    /// days, place of tokens, sections, assets, delivery) is as in the default.
    ///
    /// Beside [`Scenario::drawn_ranges`]: the hours of the day are turned by 0 to 23 h and made
    /// flatter or steeper (exponent 0.6 to 1.4); languages get a third to three times their weight;
    /// apps and networks half to twice; of how apps and networks behave, an assumption moves by up
    /// to 0.3 (in-app browser, web client), what was measured or is better known by up to 0.1
    /// (device, referrer, preview), rare things by up to a factor of 3 (lost tokens, typed links),
    /// and what an app is known not to do it still does not; of what goes by Telegram .5 to .97 is
    /// private and by Discord .4 to .95, as often below .8 and .7 as above; 0 to 4 bursts of any
    /// kind but [`BurstKind::Sent`], which [`Scenario::with_sent`] adds.
    pub fn drawn(seed: u64) -> Scenario {
        let mut scenario = Scenario {
            seed,
            ..Scenario::default()
        };
        // A stream of its own: what is drawn here says nothing of what is drawn there.
        let dice = &mut Dice::new(seed, 2);
        for range in RANGES {
            let value = match range.law {
                DrawnLaw::Even => even(dice, range.low, range.high),
                DrawnLaw::Ratio => ratio(dice, range.low, range.high),
            };
            (range.set)(&mut scenario, value);
        }
        draw_hours(&mut scenario, dice);
        for weight in scenario.audience.languages.values_mut() {
            *weight *= ratio(dice, 1.0 / 3.0, 3.0);
        }
        draw_carriers(&mut scenario, dice);
        draw_bursts(&mut scenario, dice);
        draw_public_places(&mut scenario, dice);
        scenario
    }

    /// The ranges that [`Scenario::drawn`] draws from.
    pub fn drawn_ranges() -> &'static [DrawnRange] {
        RANGES
    }
}

fn draw_hours(scenario: &mut Scenario, dice: &mut Dice) {
    let hourly = &mut scenario.arrivals.hourly;
    let steepness = even(dice, 0.6, 1.4);
    for weight in hourly.iter_mut() {
        *weight = pow(*weight, steepness);
    }
    hourly.rotate_left(dice.below(24) as usize);
}

fn draw_carriers(scenario: &mut Scenario, dice: &mut Dice) {
    for how in scenario.apps.values_mut() {
        how.weight *= ratio(dice, 0.5, 2.0);
        how.mobile = around(dice, how.mobile, 0.1);
        how.referrer_kept = around(dice, how.referrer_kept, 0.1);
        how.in_app_browser = around(dice, how.in_app_browser, 0.3);
        how.web_client = around(dice, how.web_client, 0.3);
        how.preview = around(dice, how.preview, 0.1);
        how.token_lost *= ratio(dice, 1.0 / 3.0, 3.0);
        how.typed_link *= ratio(dice, 1.0 / 3.0, 3.0);
    }
    for how in scenario.networks.values_mut() {
        how.weight *= ratio(dice, 0.5, 2.0);
        how.mobile = around(dice, how.mobile, 0.1);
        how.referrer_kept = around(dice, how.referrer_kept, 0.1);
        how.in_app_browser = around(dice, how.in_app_browser, 0.3);
    }
}

fn draw_bursts(scenario: &mut Scenario, dice: &mut Dice) {
    // A burst is large against the site that has it.
    let size = scenario.arrivals.per_day / 6_000.0;
    scenario.bursts = (0..dice.between(0, BURSTS_MAX))
        .map(|_| Burst {
            kind: *dice.one_of(&BURST_KINDS),
            at_hours: even(dice, 12.0, scenario.days * 24.0 - 24.0),
            landings: size * ratio(dice, 150.0, 2_500.0),
            rise_hours: even(dice, 0.0, 1.5),
            decay_hours: ratio(dice, 2.0, 12.0),
            reproduction: even(dice, 0.2, 0.85),
        })
        .collect();
}

fn draw_public_places(scenario: &mut Scenario, dice: &mut Dice) {
    for (app, [low, likely, high]) in PRIVATE_PARTS {
        let private = match dice.chance(0.5) {
            true => even(dice, low, likely),
            false => even(dice, likely, high),
        };
        if let Some(how) = scenario.apps.get_mut(&app) {
            how.public = 1.0 - private;
        }
    }
}

pub(super) fn even(dice: &mut Dice, low: f64, high: f64) -> f64 {
    low + dice.unit() * (high - low)
}

pub(super) fn ratio(dice: &mut Dice, low: f64, high: f64) -> f64 {
    // Rounding may step over an end by a last bit.
    (low * pow(high / low, dice.unit())).clamp(low, high)
}

/// A probability near another; never and always stay what they are.
fn around(dice: &mut Dice, probability: f64, width: f64) -> f64 {
    let moved = even(dice, probability - width, probability + width).clamp(0.0, 1.0);
    if probability > 0.0 && probability < 1.0 {
        moved
    } else {
        probability
    }
}
