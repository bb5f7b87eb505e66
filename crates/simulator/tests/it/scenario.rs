use grapevine_simulator::{
    App, Burst, BurstKind, DrawnLaw, Scenario, ScenarioError, TokenPlace, simulate,
};
use proptest::prelude::*;

const PUBLISHER: &str = include_str!("../../scenarios/publisher.toml");

#[test]
fn the_file_of_the_default_scenario_is_the_default() {
    assert_eq!(Scenario::from_toml(PUBLISHER).unwrap(), Scenario::default());
    assert_eq!(Scenario::from_toml("").unwrap(), Scenario::default());
}

#[test]
fn presets_are_valid_and_survive_toml() {
    for scenario in [Scenario::demo(), Scenario::small(), Scenario::default()] {
        scenario.validate().unwrap();
        assert_eq!(
            Scenario::from_toml(&scenario.to_toml().unwrap()).unwrap(),
            scenario
        );
    }
}

#[test]
fn drawn_scenarios_are_valid_within_their_ranges_and_fill_them() {
    let drawn: Vec<Scenario> = (0..200).map(Scenario::drawn).collect();
    for scenario in &drawn {
        scenario.validate().unwrap();
        assert_eq!(&Scenario::drawn(scenario.seed), scenario);
    }
    for range in Scenario::drawn_ranges() {
        let mut values: Vec<f64> = drawn.iter().map(|scenario| range.of(scenario)).collect();
        values.sort_by(f64::total_cmp);
        let (key, low, high) = (range.key, range.low, range.high);
        // Whole numbers are cut off below.
        assert!(values[0] >= low - 1.0 && values[199] <= high, "{key}");
        let [first, last] = [values[10], values[189]].map(|value| match range.law {
            DrawnLaw::Even => (value - low) / (high - low),
            DrawnLaw::Ratio => (value / low).ln() / (high / low).ln(),
        });
        assert!(first < 0.15 && last > 0.85, "{key}: {first} to {last}");
    }
    let bursts = drawn.iter().flat_map(|scenario| &scenario.bursts);
    let kinds: Vec<BurstKind> = bursts.map(|burst| burst.kind).collect();
    for kind in BurstKind::ALL {
        // What the site itself sends is added to a scenario, never drawn with it.
        let wanted = *kind != BurstKind::Sent;
        assert_eq!(kinds.contains(kind), wanted, "{kind:?}");
    }
}

#[test]
fn the_bursts_of_a_seed_stay_what_they_are() {
    use BurstKind::{News, PublicLink, PublicPost, Rumour};
    let drawn = |seed| Scenario::drawn(seed).bursts.into_iter();
    for (seed, wanted) in [
        (1, vec![(Rumour, 188), (PublicPost, 295), (PublicPost, 132)]),
        (2, vec![(PublicLink, 290), (News, 168), (PublicLink, 40)]),
        (5, vec![(PublicPost, 130), (News, 108)]),
    ] {
        let found = drawn(seed).map(|burst| (burst.kind, burst.at_hours as u32));
        assert_eq!(found.collect::<Vec<_>>(), wanted, "{seed}");
    }
}

#[test]
fn what_the_site_sends_is_added_to_a_scenario_and_changes_nothing_else_of_it() {
    const PER_DAY: f64 = 2.0;
    let (mut sent, mut hours, mut decays) = (Vec::new(), 0.0, Vec::new());
    for seed in 0..200 {
        let drawn = Scenario::drawn(seed);
        let mut with_sent = drawn.clone().with_sent(PER_DAY);
        with_sent.validate().unwrap();
        assert_eq!(with_sent, Scenario::drawn(seed).with_sent(PER_DAY));
        let text = with_sent.to_toml().unwrap();
        assert_eq!(Scenario::from_toml(&text).unwrap(), with_sent);
        assert_eq!(drawn.clone().with_sent(0.0), drawn);
        let last = drawn.days * 24.0 - 6.0;
        let size = drawn.arrivals.per_day / 6_000.0;
        hours += last;
        for burst in with_sent.bursts.split_off(drawn.bursts.len()) {
            assert_eq!((burst.kind, burst.rise_hours), (BurstKind::Sent, 0.0));
            assert!((0.0..=last).contains(&burst.at_hours), "{burst:?}");
            assert!((25.0..=600.0 * size).contains(&burst.landings), "{burst:?}");
            assert!((0.1..=3.0).contains(&burst.decay_hours), "{burst:?}");
            assert_eq!(burst.reproduction, drawn.sharing.reproduction);
            decays.push(burst.decay_hours);
            sent.push(burst.at_hours / last);
        }
        assert_eq!(with_sent, drawn);
    }
    // Five standard errors of a Poisson count.
    let mean = PER_DAY / 24.0 * hours;
    let count = sent.len() as f64;
    assert!((count - mean).abs() < 5.0 * mean.sqrt(), "{count}, {mean}");
    sent.sort_by(f64::total_cmp);
    decays.sort_by(f64::total_cmp);
    let half = sent.len() / 2;
    assert!((sent[half] - 0.5).abs() < 0.05, "{}", sent[half]);
    let median = (0.1f64 * 3.0).sqrt();
    assert!((decays[half] / median - 1.0).abs() < 0.15, "{decays:?}");
}

#[test]
fn nothing_is_sent_where_there_is_no_time_and_never_without_end() {
    let count = |days, per_day| {
        let scenario = Scenario {
            days,
            bursts: Vec::new(),
            ..Scenario::default()
        };
        scenario.with_sent(per_day).bursts.len()
    };
    assert_eq!(count(0.25, 50.0), 0);
    for none in [-1.0, f64::NAN] {
        assert_eq!(count(14.0, none), 0);
        assert_eq!(count(none, 1.0), 0);
    }
    assert_eq!(count(14.0, f64::INFINITY), count(14.0, 100.0));
}

#[test]
fn a_file_may_name_every_kind_of_burst() {
    for (name, kind) in [
        ("public_post", BurstKind::PublicPost),
        ("news", BurstKind::News),
        ("rumour", BurstKind::Rumour),
        ("public_link", BurstKind::PublicLink),
        ("sent", BurstKind::Sent),
    ] {
        let text = format!(
            "[[bursts]]\nkind = \"{name}\"\nat_hours = 3\nlandings = 100\ndecay_hours = 0.2\n\
             reproduction = 0.3"
        );
        let scenario = Scenario::from_toml(&text).unwrap();
        assert_eq!(scenario.bursts[0].kind, kind);
        assert!(BurstKind::ALL.contains(&kind) && PUBLISHER.contains(&format!("{name} (")));
    }
}

#[test]
fn private_parts_of_messengers_are_drawn_around_what_is_likely() {
    for (app, [low, likely, high]) in [
        (App::Telegram, [0.5, 0.8, 0.97]),
        (App::Discord, [0.4, 0.7, 0.95]),
    ] {
        let private = |scenario: Scenario| 1.0 - scenario.apps[&app].public;
        let drawn = (0..200).map(Scenario::drawn);
        let mut parts: Vec<f64> = drawn.map(private).collect();
        parts.sort_by(f64::total_cmp);
        assert!(parts[0] > low - 1e-9 && parts[199] < high + 1e-9);
        let width = high - low;
        assert!(parts[10] < low + 0.15 * width && parts[189] > high - 0.15 * width);
        // A hundred above, give or take four standard errors.
        let above = parts.iter().filter(|part| **part > likely).count();
        assert!((72..=128).contains(&above), "{app:?}: {above} above");
        // The default is the likely one.
        assert!((private(Scenario::default()) - likely).abs() < 1e-9);
    }
}

#[test]
fn only_messengers_with_public_places_have_a_public_part() {
    let mut scenario = Scenario::default();
    scenario.apps.get_mut(&App::Instagram).unwrap().public = 0.2;
    scenario.apps.get_mut(&App::Telegram).unwrap().public = 1.0;
    let Err(ScenarioError::Invalid(problems)) = scenario.validate() else {
        panic!("nothing found");
    };
    let [problem] = &problems[..] else {
        panic!("{problems:?}");
    };
    assert_eq!(problem.key, "apps.instagram.public");
    assert!(problem.fix.contains("[networks]"), "{problem}");
}

#[test]
fn keys_of_drawn_ranges_are_keys_of_a_scenario_file() {
    for range in Scenario::drawn_ranges() {
        let (table, key) = range.key.split_once('.').unwrap();
        let text = format!("[{table}]\n{key} = {}", range.high);
        let scenario = Scenario::from_toml(&text).unwrap();
        assert_eq!(range.of(&scenario), range.high, "{}", range.key);
    }
}

#[test]
fn a_file_may_name_a_few_keys_and_one_app() {
    let text = "seed = 7\n[tokens]\nplace = \"fragment\"\n[apps]\nsignal = { weight = 1.0, mobile = 1.0, \
                referrer_kept = 0.0, in_app_browser = 0.0, web_client = 0.0, token_lost = 0.0, \
                preview = 1.0, typed_link = 0.0 }\n";
    let scenario = Scenario::from_toml(text).unwrap();
    assert_eq!(
        (scenario.seed, scenario.tokens.place),
        (7, TokenPlace::Fragment)
    );
    assert_eq!(scenario.apps.keys().collect::<Vec<_>>(), [&App::Signal]);
    assert_eq!(scenario.sharing, Scenario::default().sharing);
}

#[test]
fn what_cannot_be_read_is_named() {
    for (text, named) in [
        ("[sharing]\nreproduktion = 0.3", "reproduktion"),
        ("days = \"two\"", "days"),
        ("start = \"yesterday\"", "start"),
        ("[apps]\nicq = { weight = 1.0 }", "icq"),
        ("[tokens]\nplace = \"cookie\"", "cookie"),
        ("[[bursts]]\nkind = \"news\"", "at_hours"),
        ("seed = ", "line 1"),
    ] {
        let error = Scenario::from_toml(text).unwrap_err();
        assert!(matches!(error, ScenarioError::Unreadable(_)), "{text}");
        assert!(error.to_string().contains(named), "{text}: {error}");
    }
}

#[test]
fn every_value_out_of_range_is_named_with_its_fix() {
    let mut scenario = Scenario {
        site: "News Example".into(),
        ..Scenario::default()
    };
    scenario.sharing.reproduction = 1.2;
    scenario.sharing.delay_exponent = f64::NAN;
    scenario.arrivals.hourly = vec![1.0; 23];
    scenario.content.sections = vec!["a/b".into()];
    scenario.audience.languages = [("en".to_string(), 0.0)].into();
    scenario.apps.get_mut(&App::Slack).unwrap().preview = -0.1;
    scenario.networks.clear();
    scenario.more_sites = vec![scenario.site.clone()];
    scenario.delivery.late = 2.0;
    scenario.bursts = vec![Burst {
        at_hours: 1e6,
        ..Burst::default()
    }];
    let Err(ScenarioError::Invalid(problems)) = scenario.validate() else {
        panic!("nothing found");
    };
    let keys: Vec<&str> = problems
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    let expected = [
        "site",
        "more_sites",
        "content.sections",
        "arrivals.hourly",
        "audience.languages",
        "sharing.reproduction",
        "sharing.delay_exponent",
        "apps.slack.preview",
        "networks",
        "delivery.late",
        "bursts[0].at_hours",
    ];
    assert_eq!(keys, expected);
    assert!(problems.iter().all(|problem| !problem.fix.is_empty()));
    let message = simulate(&scenario).unwrap_err().to_string();
    assert!(
        message.contains("sharing.reproduction is 1.2: write a number from 0 to 0.95"),
        "{message}"
    );
}

#[test]
fn a_target_that_overflows_a_rate_is_an_error_and_not_a_long_wait() {
    let mut scenario = Scenario::small();
    scenario.bursts[0].landings = 1e7;
    scenario.days = 1.0;
    scenario.bursts[0].decay_hours = 1000.0;
    scenario.arrivals.per_day = 0.0;
    scenario.requests_target = 1_000_000_000;
    assert!(matches!(
        simulate(&scenario),
        Err(ScenarioError::Invalid(_))
    ));
}

proptest! {
    #[test]
    fn no_text_makes_reading_panic(text in "\\PC{0,200}") {
        let _ = Scenario::from_toml(&text);
    }

    #[test]
    fn any_probabilities_give_a_simulation_that_ends(
        seed in any::<u32>(), probability in 0.001f64..=1.0, reproduction in 0.0f64..=0.95,
        dispersion in 0.05f64..50.0, chance in 0.0f64..=1.0, token in 0usize..3,
    ) {
        let mut scenario = Scenario { seed: seed.into(), days: 0.2, ..Scenario::default() };
        scenario.bursts.clear();
        scenario.arrivals.per_day = 300.0;
        scenario.content.archive = 5;
        scenario.sharing.probability = probability;
        scenario.sharing.reproduction = reproduction;
        scenario.sharing.dispersion = dispersion;
        scenario.sharing.same_app = chance;
        scenario.sharing.public = chance;
        scenario.sharing.forward = 1.0 - chance;
        scenario.audience.script_blocked = chance;
        scenario.reading.not_found = chance;
        scenario.tokens.place = [TokenPlace::None, TokenPlace::Query, TokenPlace::Fragment][token];
        let mut last = 0;
        for event in simulate(&scenario).unwrap() {
            prop_assert!(event.time >= last);
            last = event.time;
        }
    }
}
