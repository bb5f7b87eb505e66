//! A site that learns from its own tokens.

use super::*;

/// A site whose readers pass every link on with a token that survives twice in three.
fn a_site_with_tokens(readers: u64) -> World {
    let mut world = World::default();
    let mut dice = 1u64;
    let mut roll = move |below: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (dice >> 33) % below
    };
    let contents: Vec<String> = (0..readers / 50 + 1)
        .map(|number| format!("https://example.org/{number}"))
        .collect();
    let mut before: Vec<Vec<u64>> = vec![Vec::new(); contents.len()];
    let mut time = T0;
    for number in 0..readers {
        time += roll(60_000) as i64;
        // A few contents at a time.
        let which = (number / 200 + roll(4)) as usize % contents.len();
        let given = format!("t{number}");
        let parents = &before[which];
        let shared = !parents.is_empty() && roll(10) < 4;
        let parent =
            shared.then(|| parents[parents.len() - 1 - roll(parents.len().min(5) as u64) as usize]);
        let token = parent
            .filter(|_| roll(3) < 2)
            .map(|parent| format!("t{parent}"));
        let mut landing = Landing::new(number, &contents[which], time);
        landing.given = Some(&given);
        landing.token = token.as_deref();
        landing.outside = !shared && roll(10) < 7;
        landing.dark = if landing.outside { 0.0 } else { 0.4 };
        landing.network = Some(parent.unwrap_or(number) as i64 % 400);
        world.land(&landing);
        before[which].push(number);
    }
    world.end();
    world
}

#[test]
fn weights_are_learned_from_tokens_and_every_edge_names_its_own() {
    let world = a_site_with_tokens(3_000);
    let learned: Vec<_> = world
        .found
        .models
        .iter()
        .filter(|model| model.lessons > 0)
        .collect();
    assert!(learned.len() >= 2, "{}", world.found.models.len());
    for (before, after) in learned.iter().zip(&learned[1..]) {
        assert_eq!(after.learned_from, before.version);
    }
    for model in &learned {
        let weights = crate::causes::Weights::parse(&model.weights).expect("weights");
        assert_eq!(weights.version(), model.version);
    }
    let versions: std::collections::BTreeSet<_> = world
        .found
        .edges
        .iter()
        .map(|edge| edge.model_version.to_string())
        .collect();
    assert!(versions.contains(&*learned[0].version));
    let last = world.found.models.last().expect("written");
    assert!(!last.alarm, "{:?} of {}", last.ece, last.scored);
    assert!(last.token_survival > 0.2 && last.log_loss.is_some());
    let bins: i64 = last.reliability_count.iter().sum();
    assert_eq!(bins, last.scored);
    // The same history, the same findings.
    assert_eq!(a_site_with_tokens(3_000).found, world.found);
}

/// Of three readers the first comes from outside, the others by its token and on its network.
fn a_site_that_shares_at_home(readers: u64) -> World {
    let mut world = World::default();
    for number in 0..readers {
        let first = number - number % 3;
        // Few enough of a content that all are kept.
        let content = format!("https://example.org/{}", number / 60);
        let (token, given) = (format!("t{first}"), format!("t{number}"));
        let time = T0 + number as i64 * 600_000;
        let mut landing = Landing::new(number, &content, time);
        landing.given = Some(&given);
        landing.network = Some(1_000 + first as i64);
        landing.outside = number == first;
        landing.token = (number != first).then_some(token.as_str());
        world.land(&landing);
    }
    world.end();
    world
}

#[test]
fn what_a_site_teaches_stands_in_its_record_and_is_the_same_each_time() {
    let world = a_site_that_shares_at_home(600);
    let last = world.found.models.last().expect("written");
    // Every child has its parent's network; apps and devices are not known.
    assert!(last.copying_network > Some(0.8), "{last:?}");
    assert_eq!(last.copying_network_edges, Some(400));
    let cold = [last.copying_app, last.copying_device];
    assert_eq!(cold, [Some(0.3), Some(0.1)]);
    let none = [last.copying_app_edges, last.copying_device_edges];
    assert_eq!(none, [Some(0), Some(0)]);
    let mut hours = [vec![0i64; 24], vec![0i64; 24]];
    for number in 0..600 {
        let hour = (T0 + number * 600_000) / HOUR % 24;
        hours[usize::from(number % 3 != 0)][hour as usize] += 1;
    }
    assert_eq!([&last.hours_outside, &last.hours_shared], hours.each_ref());
    // No act was seen, and every sharer is a reader.
    let bred = last.arrivals_per_act.expect("written");
    assert!((bred - 1.0).abs() < 1e-9, "{bred}");
    assert!(last.strangers < Some(0.25), "{last:?}");
    assert!(last.outside_shift_deviation < Some(0.4), "{last:?}");
    let log_odds = [
        last.outside_shift,
        last.outside_shift_known,
        last.outside_shift_known_deviation,
        last.balance,
        last.mean_log_odds,
    ];
    let finite = log_odds.map(|found| found.is_some_and(f64::is_finite));
    assert_eq!(finite, [true; 5], "{last:?}");
    // The same input, the same records, to the last bit.
    let written = |world: &World| -> Vec<Vec<u8>> {
        let encode = |model: &grapevine_event::ChainModel<'_>| {
            let mut bytes = Vec::new();
            model.encode(&mut bytes).expect("fits its schema");
            bytes
        };
        world.found.models.iter().map(encode).collect()
    };
    assert_eq!(written(&a_site_that_shares_at_home(600)), written(&world));
}

#[test]
fn the_expected_share_of_a_site_is_near_the_truth() {
    let world = a_site_with_tokens(3_000);
    let newest: BTreeMap<&str, &grapevine_event::Spread<'_>> = world
        .found
        .spreads
        .iter()
        .map(|spread| (&*spread.content, spread))
        .collect();
    let sum = |of: fn(&grapevine_event::Spread<'_>) -> f64| {
        newest.values().map(|spread| of(spread)).sum::<f64>()
    };
    let readers = sum(|spread| spread.settled as f64);
    let (low, likely, high) = (
        sum(|spread| spread.chain_arrivals_low),
        sum(|spread| spread.chain_arrivals),
        sum(|spread| spread.chain_arrivals_high),
    );
    assert_eq!(readers, 3_000.0);
    // Two of five, but for the first on each content.
    let share = likely / readers;
    assert!((0.3..0.45).contains(&share), "{share}");
    assert!(
        low / readers < 0.38 && high / readers > 0.38,
        "{low} {high}"
    );
}
