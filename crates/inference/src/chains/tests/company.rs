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
    assert_eq!(later(3), []);
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
    assert_eq!(hints.without_company().iter().count(), 0);
}
