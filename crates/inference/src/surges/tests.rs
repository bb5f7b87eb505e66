use proptest::prelude::*;

use super::*;
use crate::{from_bytes, to_bytes};

const HOUR: i64 = HOUR_MS;
const DAY: i64 = 24 * HOUR;
const MINUTE: i64 = 60_000;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ bits >> 31
    }

    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A record as the caller sees it, owned.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    id: Id,
    state: SurgeState,
    content: String,
    started: i64,
    updated: i64,
    dark: f64,
    baseline: f64,
    networks: i64,
    apps: Vec<(String, f32)>,
    doubling: Option<f64>,
    shares: f64,
    signs: f64,
    signs_usual: f64,
    false_alarm: f64,
    /// Kinds and times.
    seeds: Vec<(SeedKind, i64)>,
}

fn told(surge: &Surge<'_>) -> Told {
    let numbers = [
        surge.dark,
        surge.dark_low,
        surge.dark_high,
        surge.baseline,
        surge.baseline_high,
        surge.rate_per_hour,
        surge.share_acts,
        surge.signs,
        surge.signs_usual,
    ];
    assert!(
        numbers
            .iter()
            .all(|number| number.is_finite() && *number >= 0.0),
        "{surge:?}"
    );
    assert!(surge.dark_low <= surge.dark && surge.dark <= surge.dark_high);
    assert!(surge.baseline <= surge.baseline_high);
    assert!((0.0..=1.0).contains(&surge.false_alarm));
    assert!(surge.seeds.len() <= 6 && surge.seeds.is_sorted_by_key(|seed| seed.time));
    assert!(
        surge
            .seeds
            .iter()
            .all(|seed| (0.0..=1.0).contains(&seed.probability)),
        "{surge:?}"
    );
    assert!(surge.started <= surge.updated);
    let sum: f32 = surge.apps.iter().map(|share| share.probability).sum();
    assert!(
        surge.apps.is_empty() || (sum - 1.0).abs() < 1e-4,
        "{surge:?}"
    );
    Told {
        id: surge.surge_id,
        state: surge.state,
        content: surge.content.to_string(),
        started: surge.started,
        updated: surge.updated,
        dark: surge.dark,
        baseline: surge.baseline,
        networks: surge.networks,
        apps: surge
            .apps
            .iter()
            .map(|share| (share.app.to_owned(), share.probability))
            .collect(),
        doubling: surge.doubling_seconds,
        shares: surge.share_acts,
        signs: surge.signs,
        signs_usual: surge.signs_usual,
        false_alarm: surge.false_alarm,
        seeds: surge
            .seeds
            .iter()
            .map(|seed| (seed.kind, seed.time))
            .collect(),
    }
}

#[derive(Clone, Debug)]
struct Visit {
    time: i64,
    content: u32,
    dark: f32,
    app: &'static str,
    network: i64,
}

fn id(visit: &Visit) -> Id {
    Id::builder("test")
        .number(visit.time as u64)
        .number(visit.network as u64)
        .finish()
}

fn feed(surges: &mut Surges, visits: &[Visit]) -> Vec<Told> {
    let mut out = Vec::new();
    for visit in visits {
        let content = format!("https://example.org/{}", visit.content);
        let landing = Landing {
            clock: Clock::Imported,
            site: "example.org",
            content: &content,
            visit: id(visit),
            time: visit.time,
            dark: [visit.dark * 0.8, visit.dark, (visit.dark * 1.2).min(1.0)],
            decided: visit.dark < 0.5 || !visit.app.is_empty(),
            app: visit.app,
            network: Some(visit.network),
            chained: false,
        };
        surges.visit(&landing, &mut |surge| out.push(told(&surge)));
    }
    out
}

/// Contents at steady rates for some days, one dark visit for four open ones, busier by day.
fn quiet(dice: &mut Dice, contents: u32, days: i64, an_hour: f64) -> Vec<Visit> {
    let mut visits = Vec::new();
    for content in 0..contents {
        let mut time = 0.0;
        loop {
            time += -(1.0 - dice.unit()).ln() * HOUR as f64 / an_hour;
            if time >= (days * DAY) as f64 {
                break;
            }
            let by_day = (8..22).contains(&((time as i64 / HOUR) % 24));
            if by_day || dice.unit() < 0.2 {
                visits.push(visit(dice, time as i64, content, 0.2));
            }
        }
    }
    visits.sort_by_key(|visit| (visit.time, visit.content));
    visits
}

/// A landing that is dark with that probability, as a judge sees it who is sometimes unsure.
fn visit(dice: &mut Dice, time: i64, content: u32, dark: f64) -> Visit {
    let is_dark = dice.unit() < dark;
    Visit {
        time,
        content,
        dark: if is_dark { 0.9 } else { 0.025 },
        app: if is_dark { "whatsapp" } else { "" },
        network: (dice.bits() >> 1) as i64,
    }
}

/// `count` dark visits from `start` on, the rate doubling every `doubling`.
fn rumour(dice: &mut Dice, content: u32, start: i64, count: u32, doubling: i64) -> Vec<Visit> {
    (0..count)
        .map(|at| {
            let time = start + ((1.0 + f64::from(at)).log2() * doubling as f64) as i64;
            Visit {
                app: if at % 4 == 0 { "telegram" } else { "whatsapp" },
                ..visit(dice, time, content, 1.0)
            }
        })
        .collect()
}

fn merged(mut visits: Vec<Visit>, more: Vec<Visit>) -> Vec<Visit> {
    visits.extend(more);
    visits.sort_by_key(|visit| (visit.time, visit.content));
    visits
}

#[test]
fn a_quiet_site_is_quiet() {
    let mut dice = Dice(1);
    let visits = quiet(&mut dice, 60, 6, 6.0);
    assert!(visits.len() > 30_000);
    let mut surges = Surges::default();
    assert_eq!(feed(&mut surges, &visits), []);
    assert_eq!(surges.active(), 0);
}

#[test]
fn a_rumour_is_raised_followed_and_over() {
    let mut dice = Dice(2);
    let start = 4 * DAY + 13 * HOUR;
    let rumour = rumour(&mut dice, 7, start, 300, 10 * MINUTE);
    let visits = merged(quiet(&mut dice, 40, 6, 4.0), rumour);
    let told = feed(&mut Surges::default(), &visits);
    assert!(
        told.iter()
            .all(|told| told.content == "https://example.org/7"),
        "{told:?}"
    );
    assert!(told.iter().all(|other| other.id == told[0].id));
    let raised = &told[0];
    assert_eq!(raised.state, SurgeState::Raised);
    // The likeliest start is near the true one, and the alarm came before the rate was at its peak.
    assert!(
        (start - 40 * MINUTE..start + 10 * MINUTE).contains(&raised.started),
        "{raised:?}"
    );
    assert!(raised.updated < start + 60 * MINUTE, "{raised:?}");
    assert!(
        raised.dark >= DARK_MIN && raised.baseline < raised.dark / 4.0,
        "{raised:?}"
    );
    // Each reader has a network of its own, and networks are counted from the fourth expected dark
    // visit on. What is raised is as unusual as half a rise a day, or more so.
    assert!(raised.networks >= i64::from(NETWORKS_MIN), "{raised:?}");
    assert!(raised.false_alarm <= site::RAISED_A_DAY, "{raised:?}");
    // Its first readers are those of the rumour, but for one of the usual before it.
    let began = raised.seeds.iter().filter(|(_, time)| *time >= start);
    assert!(
        raised.seeds.len() == 6 && began.count() >= 5,
        "{:?}",
        raised.seeds
    );
    assert!(
        raised.apps[0].0 == "whatsapp" && raised.apps[0].1 > 0.5,
        "{raised:?}"
    );
    for pair in told.windows(2) {
        match pair[1].state {
            SurgeState::Updated => assert!(pair[1].dark >= 2.0 * pair[0].dark, "{pair:?}"),
            SurgeState::Over => assert!(pair[1].updated > pair[0].updated),
            SurgeState::Raised => panic!("raised twice: {pair:?}"),
        }
    }
    let last = told.last().expect("records");
    assert_eq!(last.state, SurgeState::Over, "{last:?}");
    assert!(
        last.updated < start + 12 * HOUR && last.dark > 250.0,
        "{last:?}"
    );
    // By then nothing like it is to be expected, and the networks of its 300 readers and some 25 of
    // the usual ones are counted within 10 %.
    assert!(last.false_alarm < 1e-6, "{last:?}");
    assert!((290..=360).contains(&last.networks), "{last:?}");
    assert_eq!(last.seeds, raised.seeds);
    let growing = told.iter().find_map(|told| told.doubling).expect("it grew");
    assert!((300.0..1_800.0).contains(&growing), "{growing}");
}

#[test]
fn what_grows_in_the_open_too_is_no_surge() {
    let mut dice = Dice(3);
    let start = 4 * DAY + 13 * HOUR;
    let mut visits = quiet(&mut dice, 40, 6, 4.0);
    // Twenty-five times as many as usual, one in five dark as always.
    let crowd = (0..600).map(|at| visit(&mut dice, start + at * HOUR / 100, 7, 0.2));
    visits.extend(crowd);
    visits.sort_by_key(|visit| visit.time);
    assert_eq!(feed(&mut Surges::default(), &visits), []);
}

#[test]
fn neither_the_first_day_nor_one_network_nor_few_visits_raise_one() {
    let mut dice = Dice(4);
    let early = rumour(&mut dice, 7, 20 * HOUR, 100, 5 * MINUTE);
    let visits = merged(quiet(&mut dice, 40, 1, 4.0), early);
    assert_eq!(feed(&mut Surges::default(), &visits), []);

    let start = 4 * DAY + 13 * HOUR;
    let background = quiet(&mut dice, 40, 6, 4.0);
    let mut office = rumour(&mut dice, 7, start, 300, 10 * MINUTE);
    for visit in &mut office {
        visit.network = 5;
    }
    // The usual visits of that time make up to four more networks.
    let mut visits = background.clone();
    visits.retain(|visit| visit.content != 7);
    assert_eq!(feed(&mut Surges::default(), &merged(visits, office)), []);

    let few = rumour(&mut dice, 7, start, 6, 10 * MINUTE);
    assert_eq!(feed(&mut Surges::default(), &merged(background, few)), []);
}

/// A notification that the site sends without tags: many at once of whom nothing tells how they came.
#[test]
fn a_surge_says_how_many_signs_of_sharing_it_has_and_how_many_are_usual() {
    let mut dice = Dice(12);
    let start = 4 * DAY + 13 * HOUR;
    let unknown = |visit: Visit| Visit { app: "", ..visit };
    let crowd = rumour(&mut dice, 7, start, 300, 10 * MINUTE);
    let crowd: Vec<Visit> = crowd.into_iter().map(unknown).collect();
    let usual = quiet(&mut dice, 40, 6, 4.0);
    let raised = |usual: &[Visit], crowd: &[Visit]| {
        let visits = merged(usual.to_vec(), crowd.to_vec());
        let mut told = feed(&mut Surges::default(), &visits).into_iter();
        told.find(|told| told.state == SurgeState::Raised)
            .expect("is raised")
    };
    // On this site whoever is dark names his app.
    let sent = raised(&usual, &crowd);
    assert!(sent.signs < 2.0, "{sent:?}");
    assert!(sent.signs_usual > 0.85 * sent.dark, "{sent:?}");
    // Every second one names his app.
    let named: Vec<Visit> = (crowd.iter().enumerate())
        .map(|(at, visit)| Visit {
            app: ["sms", ""][at % 2],
            ..visit.clone()
        })
        .collect();
    let named = raised(&usual, &named);
    let half = (0.4 * named.dark..0.7 * named.dark).contains(&named.signs);
    assert!(half, "{named:?}");
    // Where nobody ever does, that nobody did is usual.
    let usual: Vec<Visit> = usual.into_iter().map(unknown).collect();
    let sent = raised(&usual, &crowd);
    assert_eq!(sent.signs, 0.0);
    assert!(sent.signs_usual < 0.1 * sent.dark, "{sent:?}");
}

/// Copies, previews and buttons are signs as named apps are; posts in public are none. A site where they are usual tells.
#[test]
fn acts_that_may_be_private_are_signs() {
    let mut dice = Dice(13);
    let start = 4 * DAY + 13 * HOUR;
    let unknown = |visit: Visit| Visit { app: "", ..visit };
    let crowd = rumour(&mut dice, 7, start, 100, 10 * MINUTE).into_iter();
    let usual = quiet(&mut dice, 40, 6, 4.0).into_iter();
    let visits: Vec<Visit> = merged(usual.collect(), crowd.collect())
        .into_iter()
        .map(unknown)
        .collect();
    // Twenty acts right before the crowd, or one before every dark visit of the days before.
    let raised = |of_crowd: bool, may_be_private: bool| {
        let mut surges = Surges::default();
        let mut told = Vec::new();
        let acted = |surges: &mut Surges, content: u32, time: i64| {
            surges.share(&Act {
                clock: Clock::Imported,
                site: "example.org",
                content: &format!("https://example.org/{content}"),
                share: Id::builder("act").number(time as u64).finish(),
                time,
                app: "whatsapp",
                probability: 1.0,
                may_be_private,
            });
        };
        let mut acts_of_crowd = 20;
        for visit in &visits {
            if of_crowd && visit.time >= start {
                (0..acts_of_crowd).for_each(|_| acted(&mut surges, 7, start - MINUTE));
                acts_of_crowd = 0;
            }
            if !of_crowd && visit.time < start && visit.dark > 0.5 {
                acted(&mut surges, visit.content, visit.time);
            }
            told.extend(feed(&mut surges, std::slice::from_ref(visit)));
        }
        told.into_iter()
            .find(|told| told.state == SurgeState::Raised)
            .expect("is raised")
    };
    let private = raised(true, true);
    assert!(
        private.signs > 15.0 && private.signs_usual < 1.0,
        "{private:?}"
    );
    let public = raised(true, false);
    assert_eq!(public.signs, 0.0);
    assert!(public.shares > 15.0, "{public:?}");
    let usual = raised(false, true);
    assert!(has_few_signs(usual.signs, usual.signs_usual), "{usual:?}");
    assert!(usual.signs_usual <= usual.dark, "{usual:?}");
    let usual = raised(false, false);
    assert!(!has_few_signs(usual.signs, usual.signs_usual), "{usual:?}");
}

#[test]
fn a_new_content_is_judged_by_the_typical_early_curve() {
    let mut dice = Dice(5);
    let mut visits = quiet(&mut dice, 30, 8, 2.0);
    // Every half day an article that begins with 40 dark visits in its first hours, open ones too.
    for number in 0..12 {
        let start = DAY + 12 * HOUR * number + 9 * HOUR;
        for at in 0..200i64 {
            let time = start + at * at * 300;
            visits.push(visit(&mut dice, time, 1_000 + number as u32, 0.2));
        }
    }
    let usual = feed(&mut Surges::default(), &merged(visits.clone(), Vec::new()));
    assert_eq!(usual, []);
    // One that only private chats know.
    let start = 7 * DAY + 10 * HOUR;
    let rumour = rumour(&mut dice, 2_000, start, 200, 10 * MINUTE);
    let told = feed(&mut Surges::default(), &merged(visits, rumour));
    assert!(
        told.first()
            .is_some_and(|told| told.state == SurgeState::Raised),
        "{told:?}"
    );
    assert!(told.iter().all(|told| told.content.ends_with("2000")));
}

#[test]
fn the_live_clock_ends_a_surge_without_any_visit() {
    let mut dice = Dice(6);
    let start = 2 * DAY + 13 * HOUR;
    let rumour = rumour(&mut dice, 7, start, 100, 10 * MINUTE);
    let visits = merged(quiet(&mut dice, 40, 3, 4.0), rumour);
    let visits = visits.iter().filter(|visit| visit.time < start + 2 * HOUR);
    let mut surges = Surges::default();
    let mut states = Vec::new();
    for visit in visits {
        let content = format!("https://example.org/{}", visit.content);
        let landing = Landing {
            clock: Clock::Live,
            site: "example.org",
            content: &content,
            visit: id(visit),
            time: visit.time,
            dark: [visit.dark; 3],
            decided: visit.dark < 0.5 || !visit.app.is_empty(),
            app: visit.app,
            network: Some(visit.network),
            chained: true,
        };
        surges.visit(&landing, &mut |surge| {
            assert!(surge.chained > 0);
            states.push(surge.state);
        });
    }
    assert_eq!(surges.active(), 1, "{states:?}");
    let mut over = 0;
    for minute in 0..600 {
        surges.pass(start + 2 * HOUR + minute * MINUTE, &mut |surge| {
            assert_eq!(surge.state, SurgeState::Over);
            over += 1;
        });
    }
    assert_eq!((over, surges.active()), (1, 0));
}

#[test]
fn share_acts_of_the_run_are_counted() {
    let mut dice = Dice(7);
    let start = 4 * DAY + 13 * HOUR;
    let visits = merged(
        quiet(&mut dice, 40, 6, 4.0),
        rumour(&mut dice, 7, start, 300, 10 * MINUTE),
    );
    let mut surges = Surges::default();
    let (before, after): (Vec<_>, Vec<_>) = visits
        .into_iter()
        .partition(|visit| visit.time < start + 3 * MINUTE);
    feed(&mut surges, &before);
    for _ in 0..4 {
        surges.share(&Act {
            clock: Clock::Imported,
            site: "example.org",
            content: "https://example.org/7",
            share: Id([1; 16]),
            time: start,
            app: "whatsapp",
            probability: 0.5,
            may_be_private: true,
        });
    }
    let told = feed(&mut surges, &after);
    // Four of probability ½, a quarter of an hour before the rise is seen to begin.
    assert!((1.2..=2.0).contains(&told[0].shares), "{told:?}");
    let known = told[0].signs - told[0].shares;
    assert!(
        (0.9 * told[0].dark..=told[0].dark).contains(&known),
        "{told:?}"
    );
    let acts = told[0]
        .seeds
        .iter()
        .take_while(|(kind, _)| *kind == SeedKind::Share);
    assert!((3..=4).contains(&acts.count()), "{:?}", told[0].seeds);
}

#[test]
fn a_snapshot_is_as_good_as_never_having_stopped() {
    let mut dice = Dice(8);
    let rumour = rumour(&mut dice, 7, 4 * DAY + 13 * HOUR, 300, 10 * MINUTE);
    let visits = merged(quiet(&mut dice, 40, 6, 4.0), rumour);
    let whole = feed(&mut Surges::default(), &visits);
    assert!(whole.len() > 2);
    for cut in [1, visits.len() / 2, visits.len() * 3 / 4 + 20] {
        let mut surges = Surges::default();
        let mut parts = feed(&mut surges, &visits[..cut]);
        let bytes = to_bytes(1, &surges).expect("writes");
        assert_eq!(bytes, to_bytes(1, &surges.clone()).expect("writes"));
        let mut restored: Surges = from_bytes(1, &bytes).expect("reads");
        parts.extend(feed(&mut restored, &visits[cut..]));
        assert_eq!(parts, whole, "{cut}");
        assert_eq!(restored.entries(), feed_all(&visits).entries());
    }
}

fn feed_all(visits: &[Visit]) -> Surges {
    let mut surges = Surges::default();
    feed(&mut surges, visits);
    surges
}

#[test]
fn wrong_clocks_and_late_visits_neither_raise_nor_hide_one() {
    let mut dice = Dice(9);
    let start = 4 * DAY + 13 * HOUR;
    let rumour = rumour(&mut dice, 7, start, 300, 10 * MINUTE);
    let mut visits = merged(quiet(&mut dice, 40, 6, 4.0), rumour);
    let plain = feed(&mut Surges::default(), &visits);
    // Shuffled within ten minutes.
    visits.sort_by_key(|visit| visit.time + visit.network.rem_euclid(10 * MINUTE));
    let shuffled = feed(&mut Surges::default(), &visits);
    let [first, late] = [&plain[0], &shuffled[0]];
    assert!(
        (late.updated - first.updated).abs() <= 15 * MINUTE,
        "{first:?} {late:?}"
    );
    // A visit of the year 2100 and one of 1970 to every content, two days before.
    let mut strays: Vec<Visit> = Vec::new();
    for content in 0..40 {
        for time in [4_102_444_800_000, 0] {
            strays.push(Visit {
                time,
                ..visit(&mut dice, 0, content, 0.5)
            });
        }
    }
    let at = visits.partition_point(|visit| visit.time < start - 2 * DAY);
    visits.splice(at..at, strays);
    let mut surges = Surges::default();
    let strayed = feed(&mut surges, &visits);
    assert!(surges.left_out()[0] > 0);
    // What is raised is what is raised without them: the rumour, and at most one more by chance.
    let raised = |told: &[Told]| -> Vec<String> {
        let raised = told.iter().filter(|told| told.state == SurgeState::Raised);
        raised.map(|told| told.content.clone()).collect()
    };
    assert_eq!(raised(&strayed), raised(&shuffled), "{strayed:?}");
    assert_eq!(strayed[0].content, first.content);
    assert!(raised(&strayed).len() <= 2, "{strayed:?}");
    assert!(strayed[0].updated < start + 2 * HOUR, "{strayed:?}");
}

#[test]
fn memory_is_bounded_and_a_forgotten_surge_is_over() {
    let mut dice = Dice(10);
    let start = 2 * DAY + 13 * HOUR;
    let rumour = rumour(&mut dice, 7, start, 60, 5 * MINUTE);
    let visits = merged(quiet(&mut dice, 40, 3, 4.0), rumour);
    let visits: Vec<_> = visits
        .into_iter()
        .filter(|visit| visit.time < start + 40 * MINUTE)
        .collect();
    let mut surges = Surges::default();
    let mut told = feed(&mut surges, &visits);
    assert!(
        told.last()
            .is_some_and(|told| told.state != SurgeState::Over)
    );
    // As many others in the next seconds as are remembered.
    let flood: Vec<Visit> = (0..CONTENTS_MAX + 10)
        .map(|content| visit(&mut dice, start + 40 * MINUTE, 10_000 + content, 0.0))
        .collect();
    told = feed(&mut surges, &flood);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].state, SurgeState::Over);
    assert_eq!(surges.active(), 0);
    assert_eq!(surges.entries(), CONTENTS_MAX as usize + 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes in whatever order: a surge is raised once, then updated, then over, and
    /// `told` holds every number to its range.
    #[test]
    fn any_visits_keep_the_order_of_states(
        visits in prop::collection::vec(
            (prop_oneof![0i64..3 * DAY, 2 * DAY..2 * DAY + HOUR, any::<i64>()], 0u32..3,
             prop_oneof![Just(1f32), 0f32..1.0, Just(f32::NAN)], any::<i64>()),
            0..800,
        ),
        beats in prop::collection::vec(any::<i64>(), 0..4),
    ) {
        let mut surges = Surges::default();
        let mut states: BTreeMap<Id, SurgeState> = BTreeMap::new();
        let mut see = |surge: Surge<'_>| {
            let told = told(&surge);
            let before = states.insert(told.id, told.state);
            let fits = match told.state {
                SurgeState::Raised => before.is_none() || before == Some(SurgeState::Over),
                _ => matches!(before, Some(SurgeState::Raised | SurgeState::Updated)),
            };
            assert!(fits, "{before:?} {told:?}");
        };
        for (number, (time, content, dark, network)) in visits.into_iter().enumerate() {
            let content = content.to_string();
            let landing = Landing {
                clock: if number % 3 == 0 { Clock::Live } else { Clock::Imported },
                site: "s",
                content: &content,
                visit: Id::builder("test").number(number as u64).finish(),
                time,
                dark: [0.0, dark, 1.0],
                decided: network % 3 == 0,
                app: "sms",
                network: (network % 5 != 0).then_some(network),
                chained: network % 2 == 0,
            };
            surges.visit(&landing, &mut see);
            if let Some(beat) = beats.get(number / 200) {
                surges.pass(*beat, &mut see);
            }
        }
    }
}
