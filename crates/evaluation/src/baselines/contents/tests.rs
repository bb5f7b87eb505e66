use super::*;

/// Node 1 is of the outside, the others in turn of node 1, of the outside, of a stranger.
fn content(nodes: usize) -> Content {
    let senders = (0..=nodes).map(|node| match node {
        0 => None,
        1 => Some(Sender::Outside),
        _ => Some([Sender::Node(1), Sender::Outside, Sender::Stranger][node % 3]),
    });
    let senders: Vec<Option<Sender>> = senders.collect();
    let parent = |sender: &Option<Sender>| u32::from(*sender == Some(Sender::Node(1)));
    Content {
        cascade: Cascade {
            name: nodes.to_string(),
            times: (0..=nodes as i64).map(|node| node * 60_000).collect(),
            parents: senders.iter().map(parent).collect(),
        },
        told: vec![None; nodes + 1],
        senders,
        again: Vec::new(),
    }
}

fn of<'a>(all: &'a [Sayings], name: &str) -> &'a [Said] {
    let found = all.iter().find(|(found, _)| *found == name);
    &found.expect("a method").1
}

#[test]
fn every_node_is_scored_once_by_what_the_other_half_taught() {
    let contents: Vec<Content> = (20..30).map(content).collect();
    let contents: Vec<&Content> = contents.iter().collect();
    let found = of_contents(&contents);
    assert_eq!(found.len(), 13);
    for (name, said) in &found {
        for (said, content) in said.iter().zip(&contents) {
            let nodes = content.told.len() - 1;
            assert_eq!(said.edges.len(), nodes, "{name}");
            assert_eq!(said.naming_few.len(), nodes, "{name}");
            let finite = |edge: &EdgeScore| edge.truth.is_finite() && edge.rank.is_finite();
            assert!(said.edges.iter().all(finite), "{name}: {said:?}");
            let part = said.reproduction.expect("fitted");
            assert!((0.0..=1.0).contains(&part), "{name}: {part}");
            assert!(said.virality.expect("fitted") >= 1.0, "{name}");
        }
    }
    // Nothing of a content teaches what it is scored by.
    let mut other = contents.clone();
    let flat = Content {
        senders: vec![Some(Sender::Outside); 29],
        ..content(28)
    };
    other[8] = &flat;
    let again = of_contents(&other);
    let [before, after] = [&found, &again].map(|all| of(all, "root share + histogram"));
    assert_eq!(before[0].reproduction, after[0].reproduction);
    assert_ne!(before[1].reproduction, after[1].reproduction);
    assert_eq!(before[8].reproduction, after[8].reproduction);
    assert_eq!(of_contents(&contents), found);
}

#[test]
fn the_obvious_methods_by_hand() {
    let content = content(4);
    let found = of_contents(&[&content]);
    let [root] = of(&found, "always root") else {
        panic!("one content");
    };
    assert_eq!((root.reproduction, root.virality), (Some(0.0), Some(1.6)));
    let recent = &of(&found, "most recent")[0];
    // A path of five nodes.
    assert_eq!(
        (recent.reproduction, recent.virality),
        (Some(0.75), Some(2.0))
    );
    let uniform = &of(&found, "uniform")[0];
    // As likely as each other: the outside, the readers before, and one more, a stranger.
    let truth = uniform.edges.iter().map(|edge| edge.truth);
    let by_hand = [2.0f64, 3.0, 4.0, 5.0].map(|causes| 1.0 / causes);
    for (truth, by_hand) in truth.zip(by_hand) {
        assert!((truth - by_hand).abs() < 1e-12, "{uniform:?}");
    }
    // Nothing teaches the others.
    let logit = &of(&found, "conditional logit, fitted")[0];
    assert_eq!(*logit, Said::default());
}

#[test]
fn what_is_told_is_known_to_every_method() {
    let mut all: Vec<Content> = (20..24).map(content).collect();
    for content in &mut all {
        content.told[2] = Some(Told::By(1, 0.9));
        content.told[3] = Some(Told::Outside);
        content.told[4] = Some(Told::ByStranger(0.8));
        content.told[5] = Some(Told::ByAnybody(0.7));
    }
    for (name, said) in of_contents(&all.iter().collect::<Vec<_>>()) {
        let outside = said[0].edges[1..5].iter().map(|edge| edge.outside);
        for (found, told) in outside.zip([0.1, 1.0, 0.2, 0.3]) {
            assert!((found - told).abs() < 1e-9, "{name}: {found} {told}");
        }
    }
}

#[test]
fn a_part_of_strangers_is_learned_where_methods_are_fitted() {
    let contents: Vec<Content> = (40..44).map(content).collect();
    let found = of_contents(&contents.iter().collect::<Vec<_>>());
    let share = &of(&found, "root share + histogram")[0];
    let strangers = share.edges.iter().zip(&contents[0].senders[1..]);
    let strangers = strangers.filter(|(_, sender)| **sender == Some(Sender::Stranger));
    let truth: Vec<f64> = strangers.map(|(edge, _)| edge.truth).collect();
    assert!(truth.len() > 10, "{truth:?}");
    assert!(
        truth.iter().all(|truth| (truth - 0.32).abs() < 0.03),
        "{truth:?}"
    );
    // Everything but the outside is sent by somebody, a stranger or not.
    let sent = share.reproduction.expect("fitted");
    assert!((sent - 0.65).abs() < 0.06, "{sent}");
}

#[test]
fn three_readers_are_named_and_the_others_have_equal_parts() {
    // The outside, six readers, a stranger.
    let weights = [30.0, 5.0, 0.5, 20.0, 8.0, 1.5, 30.0];
    let found = |sender| naming_few(&weights, 5.0, sender);
    assert_eq!(found(Sender::Outside), 0.3);
    assert_eq!(found(Sender::Stranger), 0.05);
    let by_hand = [7.0 / 3.0, 7.0 / 3.0, 20.0, 8.0, 7.0 / 3.0, 30.0];
    for (node, by_hand) in (1..).zip(by_hand) {
        let found = found(Sender::Node(node));
        assert!((found - by_hand / 100.0).abs() < 1e-12, "{node}: {found}");
    }
    // Nobody is named who has less than one of a hundred.
    let found = naming_few(&[99.0, 0.6, 0.4], 0.0, Sender::Node(1));
    assert!((found - 0.005).abs() < 1e-12, "{found}");
}

#[test]
fn a_person_who_is_two_nodes_is_one_cause() {
    let mut twice = content(3);
    twice.again = vec![(2, 1)];
    let found = of_contents(&[&twice]);
    // Node 3: the outside, one person with two parts, a stranger.
    let edge = of(&found, "uniform")[0].edges[2];
    assert!((edge.best - 0.5).abs() < 1e-12, "{edge:?}");
    assert_eq!(of_contents(&[]).len(), 13);
}
