//! What readers of late say of the next.

use super::*;

/// A reader whom a fact, or a guess where `decided` is false, says to have come so.
fn came(chains: &mut Chains, model: &Model, reader: i64, seconds: i64, dark: f32, decided: bool) {
    let (content, given) = (content(0), format!("t{reader}"));
    let arrival = Arrival {
        site: SITE,
        content: &content,
        visit: visit(reader as usize),
        visitor: Some(reader),
        time: seconds * 1_000,
        app: "",
        incoming_token: None,
        share_token: Some(&given),
        network: None,
    };
    let judgement = Judgement {
        decided,
        way_known: decided,
        traceless: !decided,
        dark: [dark; 3],
        ..passed_on(1.0)
    };
    let _ = chains.landing(&arrival, model);
    chains.arrive(&arrival, &judgement);
}

#[test]
fn others_whose_way_is_known_say_something_of_the_next() {
    let model = Model::builtin();
    let weights = &model.weight;
    let likely = |weight: &Weight| weight.dark.likely as f32;
    let mut chains = Chains::default();
    for reader in 0..5 {
        came(&mut chains, &model, reader, reader, 0.97, true);
    }
    // Those whom nothing but the rest told, whose way a fact left open, and who come again.
    for (reader, dark, decided) in [(10, 0.97, false), (11, 0.5, true), (0, 0.97, true)] {
        came(&mut chains, &model, reader, 20, dark, decided);
    }
    let said =
        "readers came to this content by private links of late: 5.0, each counting half after 12 h";
    assert_eq!(
        hints(&mut chains, &model, 60_000, None),
        [(said.to_owned(), likely(&weights.many_private_readers))]
    );
    for reader in 20..24 {
        came(&mut chains, &model, reader, 70, 0.004, true);
    }
    let public = &hints(&mut chains, &model, 120_000, None)[1];
    assert!(
        public
            .0
            .starts_with("readers came to this content by public ways of late: 4.0,")
    );
    assert_eq!(public.1, likely(&weights.some_public_readers));
    let day = 24 * 3_600_000;
    let later = |days: i64| {
        let all = hints(&mut chains.clone(), &model, 120_000 + days * day, None);
        all.iter().map(|said| said.1).collect::<Vec<_>>()
    };
    assert_eq!(later(1), [likely(&weights.one_private_reader)]);
    assert!(later(3).is_empty());
}

/// An act and whom it brought are signs of the same.
#[test]
fn others_private_links_count_half_beside_an_act() {
    let model = Model::builtin();
    let mut chains = Chains::default();
    came(&mut chains, &model, 1, 0, 0.97, true);
    chains.share(&preview(&content(0), None, 50_000));
    let said: Vec<f32> = hints(&mut chains, &model, 60_000, None)
        .iter()
        .map(|said| said.1)
        .collect();
    let weights = &model.weight;
    assert_eq!(
        said,
        [
            weights.preview_minute.dark.likely as f32,
            (weights.one_private_reader.dark.likely / 2.0) as f32
        ]
    );
}

#[test]
fn what_readers_of_late_say_can_be_left_out() {
    let model = Model::builtin();
    let mut chains = Chains::default();
    came(&mut chains, &model, 1, 0, 0.97, true);
    let content = content(0);
    let arrival = Arrival {
        site: SITE,
        content: &content,
        visit: visit(2),
        visitor: Some(2),
        time: 60_000,
        app: "",
        incoming_token: None,
        share_token: None,
        network: None,
    };
    let hints = chains.landing(&arrival, &model);
    assert_eq!(hints.iter().count(), 1);
    assert_eq!(hints.on_front().iter().count(), 0);
}

/// What is said of a reader whom nobody knows, but for acts and by which ways others came.
fn traceless(chains: &mut Chains, model: &Model, seconds: i64) -> Option<(&'static str, f32)> {
    let content = content(0);
    let hints = chains.landing(&stranger(&content, None, seconds), model);
    let of_these = hints.traceless.as_ref();
    of_these.map(|hint| (hint.name, hint.weight.dark.likely as f32))
}

fn stranger(content: &str, visitor: Option<i64>, seconds: i64) -> Arrival<'_> {
    Arrival {
        site: SITE,
        content,
        visit: visit(1_000),
        visitor,
        time: seconds * 1_000,
        app: "",
        incoming_token: None,
        share_token: None,
        network: None,
    }
}

#[test]
fn readers_without_a_trace_are_set_against_those_by_public_ways() {
    let model = Model::builtin();
    let weights = &model.weight;
    let said = |name, weight: &Weight| Some((name, weight.dark.likely as f32));
    let few = said("few_traceless_readers", &weights.few_traceless_readers);
    let some = said("some_traceless_readers", &weights.some_traceless_readers);
    let many = said("many_traceless_readers", &weights.many_traceless_readers);
    let mut chains = Chains::default();
    assert_eq!(
        traceless(&mut chains, &model, -2),
        None,
        "the data merely starts here"
    );
    let day = 86_400;
    chains.landing(&stranger("https://example.org/other", None, -day), &model);
    assert_eq!(traceless(&mut chains, &model, 0), few, "beside nobody");
    // One more of either: 2 to 1, 3 to 1, 3 to 2, 3 to 3.
    came(&mut chains, &model, 1, 10, 0.4, false);
    assert_eq!(traceless(&mut chains, &model, 60), some);
    // A quarter of him after a day.
    assert_eq!(traceless(&mut chains.clone(), &model, 60 + day), None);
    came(&mut chains, &model, 2, 70, 0.4, false);
    assert_eq!(traceless(&mut chains, &model, 120), many);
    came(&mut chains, &model, 3, 130, 0.004, true);
    assert_eq!(traceless(&mut chains, &model, 180), some);
    came(&mut chains, &model, 4, 190, 0.004, true);
    assert_eq!(traceless(&mut chains, &model, 240), few);
    // Whoever comes again is no other reader.
    came(&mut chains, &model, 1, 250, 0.4, false);
    assert_eq!(traceless(&mut chains, &model, 300), few);
    let content = content(0);
    let hints = chains.landing(&stranger(&content, None, 300), &model);
    let mut words = String::new();
    let told = hints.evidence(&|_| "".into(), &mut words);
    assert_eq!(
        told.map(|fact| fact.detail.into_owned()).last().as_deref(),
        Some(
            "readers came to this content of late without a trace: 2.0, by public ways: 2.0, each counting half \
             after 12 h"
        )
    );
}

/// Private links are told by others already, and by an act.
#[test]
fn readers_without_a_trace_say_half_beside_private_links_and_nothing_beside_an_act() {
    let model = Model::builtin();
    let many = model.weight.many_traceless_readers.dark.likely as f32;
    let mut chains = Chains::default();
    for reader in 0..3 {
        came(&mut chains, &model, reader, reader, 0.4, false);
    }
    let name = "many_traceless_readers";
    assert_eq!(traceless(&mut chains, &model, 60), Some((name, many)));
    came(&mut chains, &model, 10, 70, 0.97, true);
    assert_eq!(
        traceless(&mut chains, &model, 120),
        Some((name, many / 2.0))
    );
    // What a site learns from is the same whether private links are known beside or not, which tokens tell.
    let content = content(0);
    let hints = chains.landing(&stranger(&content, None, 120), &model);
    let sum: f64 = hints.iter().map(|hint| hint.weight.dark.likely).sum();
    assert!((sum - hints.company() - f64::from(many)).abs() < 1e-6);
    chains.share(&preview(&content, None, 130_000));
    assert_eq!(traceless(&mut chains, &model, 140), None);
}

/// What a site sends without tags comes so.
#[test]
fn a_crowd_at_once_beside_no_sign_of_sharing_speaks_for_itself() {
    let model = Model::builtin();
    let likely = |weight: &Weight| weight.dark.likely as f32;
    let weights = &model.weight;
    let crowd = (
        "crowd_of_traceless_readers",
        likely(&weights.crowd_of_traceless_readers),
    );
    let large = (
        "large_crowd_of_traceless_readers",
        likely(&weights.large_crowd_of_traceless_readers),
    );
    let many = (
        "many_traceless_readers",
        likely(&weights.many_traceless_readers),
    );
    let hour = 3_600;
    let of = |readers: i64, apart: i64| {
        let mut chains = Chains::default();
        for reader in 0..readers {
            came(
                &mut chains,
                &model,
                reader,
                hour + reader * apart,
                0.4,
                false,
            );
        }
        chains
    };
    let said = |chains: &Chains, seconds| traceless(&mut chains.clone(), &model, seconds);
    assert_eq!(said(&of(7, 1), hour + 60), Some(many));
    assert_eq!(said(&of(8, 1), hour + 60), Some(crowd));
    assert_eq!(said(&of(20, 1), hour + 60), Some(large));
    // Who passes a link on takes hours, and so does a crowd to be over.
    assert_eq!(said(&of(20, 1_800), 11 * hour), Some(many));
    assert_eq!(said(&of(20, 1), 2 * hour - 300), Some(large));
    assert_eq!(said(&of(20, 1), 3 * hour), Some(many));
    // A sign of sharing explains as many, and whoever came by public ways as many as they are.
    let mut passed_on = of(15, 1);
    passed_on.share(&preview(&content(0), None, 3_000_000));
    assert_eq!(said(&passed_on, hour + 60), None, "an act says more");
    let mut passed_on = of(17, 1);
    passed_on.share(&preview(&content(0), None, 3_700_000));
    assert_eq!(said(&passed_on, hour + 200), Some(crowd));
    // One in public is no sign; one that may be either is, as one copied for oneself.
    let made = |private| {
        let mut chains = of(15, 1);
        for _ in 0..2 {
            let content = content(0);
            let act = preview(&content, None, 3_700_000);
            chains.share(&Share { private, ..act });
        }
        said(&chains, hour + 200)
    };
    assert_eq!(made(Some(false)), Some(crowd));
    assert_eq!([made(None), made(Some(true))], [None; 2]);
    let mut chains = of(17, 1);
    came(&mut chains, &model, 50, hour + 30, 0.97, true);
    assert_eq!(said(&chains, hour + 60), Some(crowd), "whole");
    came(&mut chains, &model, 51, hour + 35, 0.97, true);
    let half = (many.0, many.1 / 2.0);
    assert_eq!(said(&chains, hour + 60), Some(half));
    let mut chains = of(8, 1);
    came(&mut chains, &model, 60, hour + 30, 0.004, true);
    assert_eq!(said(&chains, hour + 60), Some(many));
    // A crowd is one however many they are.
    let mut chains = of(20, 1);
    for reader in 0..80_000 {
        let seconds = hour + 60 + reader / 30;
        came(&mut chains, &model, 100 + reader, seconds, 0.4, false);
    }
    assert_eq!(said(&chains, 2 * hour - 300), Some(large));
    // What is learned of others by a known way leaves a crowd alone.
    let mut chains = of(20, 1);
    came(&mut chains, &model, 70, hour + 30, 0.97, true);
    let content = content(0);
    let hints = chains.landing(&stranger(&content, None, hour + 60), &model);
    let one = likely(&weights.one_private_reader);
    assert!((hints.company() - f64::from(one)).abs() < 1e-6);
    let mut words = String::new();
    let told = hints.evidence(&|_| "".into(), &mut words);
    assert_eq!(
        told.map(|fact| fact.detail.into_owned()).last().as_deref(),
        Some(
            "20 readers came to this content without a trace within the hour; signs that it was passed on: 1; what a site \
             sends without tags looks so"
        )
    );
}

/// A token is one trace more: whether links keep theirs makes no difference to how many came without any other.
#[test]
fn readers_by_a_token_alone_are_among_those_without_a_trace() {
    let model = Model::builtin();
    let mut chains = Chains::default();
    let content = content(0);
    let by_token = Judgement {
        traceless: true,
        dark: [0.9; 3],
        ..passed_on(1.0)
    };
    let arrival = stranger(&content, Some(1), 0);
    let _ = chains.landing(&arrival, &model);
    chains.arrive(&arrival, &by_token);
    let hints = chains.landing(&stranger(&content, None, 60), &model);
    let names: Vec<&str> = hints.iter().map(|hint| hint.name).collect();
    assert_eq!(names, ["one_private_reader", "some_traceless_readers"]);
}

/// Without tokens and without ids too: the same address and browser is most probably the same reader.
#[test]
fn who_read_it_before_is_told_so_and_others_say_nothing_of_him() {
    let model = Model::builtin();
    let mut chains = Chains::default();
    for reader in 0..5 {
        came(&mut chains, &model, reader, reader, 0.97, true);
    }
    let content = content(0);
    let nameless = stranger(&content, Some(77), 30);
    let judgement = Judgement {
        decided: false,
        traceless: true,
        ..passed_on(1.0)
    };
    let _ = chains.landing(&nameless, &model);
    let place = chains.arrive(&nameless, &judgement);
    chains.read(&nameless, &place, &judgement, &mut |_| {});
    let hints = |visitor: i64, seconds: i64| {
        let mut chains = chains.clone();
        chains.reach(seconds * 1_000, &mut |_| {});
        chains.landing(&stranger(&content, Some(visitor), seconds), &model)
    };
    let names = |hints: &Hints<'_>| hints.iter().map(|hint| hint.name).collect::<Vec<_>>();
    let again = hints(77, 3_600);
    assert_eq!(names(&again), ["read_before"], "nobody has come meanwhile");
    assert_eq!(again.private_readers(), None);
    assert!(names(&again.clone().of_a_visitor_with_id()).is_empty());
    assert!(names(&again.on_front()).is_empty());
    assert!(hints(78, 3_600).private_readers().is_some());
    // Of two visits within seconds either may be told first; of one long before it nothing is known but that it is his.
    for seconds in [27, 34] {
        assert!(hints(77, seconds).private_readers().is_some());
    }
    let earlier = hints(77, -3_600);
    assert!(names(&earlier).is_empty() && earlier.private_readers().is_none());
    assert!(names(&hints(77, 35)).contains(&"read_before"));
}

/// One clock that is ten days ahead moves event time by a day, whatever its landing is asked for before it is taken.
#[test]
fn a_landing_moves_event_time_once() {
    let mut chains = Chains::default();
    let mut came = |reader: i64, seconds: i64| {
        let content = content(0);
        let arrival = Arrival {
            visit: visit(reader as usize),
            ..stranger(&content, Some(reader), seconds)
        };
        chains.reach(arrival.time, &mut |_| {});
        let _ = chains.landing(&arrival, &Model::builtin());
        let judgement = passed_on(1.0);
        let place = chains.arrive(&arrival, &judgement);
        chains.read(&arrival, &place, &judgement, &mut |_| {});
        chains.spreading.event_time(Clock::Imported)
    };
    assert_eq!(came(1, 0), Some(0));
    let day = 86_400;
    assert_eq!(came(2, 10 * day), Some(day * 1_000));
}
