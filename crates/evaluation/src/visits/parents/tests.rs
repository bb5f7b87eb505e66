//! Judgements of hand-made edges.

use std::collections::HashMap;

use super::super::lineage::tests::{landing, row};
use super::super::lineage::trace;
use super::*;

fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-12, "{a} {b}");
}

fn scored_as(figure: Option<f64>, by_hand: f64) {
    close(figure.expect("readers count for it"), by_hand);
}

const BY_ONE: TrueCause = TrueCause::Reader {
    person: 1,
    public: false,
};

#[test]
fn a_named_parent_counts_with_its_probability() {
    let weighed = Weighed {
        named: &[(Some(1), 0.5), (None, 0.1)],
        outside: 0.3,
        others: (0.1, 4),
        unseen: 0.0,
    };
    let judged = judge(&weighed, BY_ONE);
    assert_eq!((judged.edge.truth, judged.edge.best), (0.5, 0.5));
    assert!(judged.edge.best_is_right && !judged.edge.from_outside);
    close(judged.edge.rank, 1.0);
    assert_eq!(judged.named, [(0.5, true), (0.1, false)]);
    let judged = judge(&weighed, TrueCause::Outside);
    assert_eq!((judged.edge.truth, judged.edge.best_is_right), (0.3, false));
    close(judged.edge.rank, 2.0);
}

#[test]
fn a_parent_in_the_pool_has_his_equal_part_of_it() {
    let weighed = Weighed {
        named: &[(Some(2), 0.3)],
        outside: 0.5,
        others: (0.2, 4),
        unseen: 0.0,
    };
    let judged = judge(&weighed, BY_ONE);
    close(judged.edge.truth, 0.05);
    // Behind the outside and the named one, in the middle of four alike.
    close(judged.edge.rank, 1.0 + 2.0 + 1.5);
    // Nothing is left for the pool: the floor.
    let weighed = Weighed {
        named: &[],
        outside: 1.0,
        others: (0.0, 3),
        unseen: 0.0,
    };
    let judged = judge(&weighed, BY_ONE);
    assert_eq!(judged.edge.truth, PROBABILITY_MIN);
    close(judged.edge.rank, 1.0 + 1.0 + 1.0);
}

#[test]
fn somebody_unseen_is_a_cause_of_his_own_and_may_be_named_by_a_token() {
    let weighed = Weighed {
        named: &[(Some(1), 0.2), (Some(9), 0.1)],
        outside: 0.1,
        others: (0.2, 4),
        unseen: 0.4,
    };
    let by = |sharer| TrueCause::Unseen {
        public: false,
        sharer,
    };
    let judged = judge(&weighed, by(Some(7)));
    assert_eq!((judged.edge.truth, judged.edge.best), (0.4, 0.4));
    assert!(judged.edge.best_is_right && !judged.edge.from_outside);
    close(judged.edge.rank, 1.0);
    let judged = judge(&weighed, by(Some(9)));
    close(judged.edge.truth, 0.5);
    assert_eq!(judged.named, [(0.2, false), (0.1, true)]);
    assert!(!judge(&weighed, BY_ONE).edge.best_is_right);
}

fn causes(readers: &[(u8, f64)], outside: f64, pooled: f64, proven: bool) -> Causes {
    Causes {
        readers: readers
            .iter()
            .map(|(visit, probability)| ([*visit; 16], *probability))
            .collect(),
        outside,
        pooled,
        unseen: 0.0,
        by_token: proven.then_some(1.0),
        ..Causes::default()
    }
}

#[test]
fn edges_are_joined_with_true_parents_by_visit() {
    let rows = [
        row(1, "search", None),
        row(2, "share", Some(1)),
        row(3, "share", Some(1)),
        row(4, "message", None),
    ];
    let mut landings: Vec<_> = (1..=4).map(|visit| landing(visit, visit as i64)).collect();
    for (landing, dark) in landings.iter_mut().zip([0.0, 1.0, 0.75, 0.5]) {
        landing.dark = dark;
    }
    let traced = trace(landings.iter().zip(&rows), &rows);
    let stated = HashMap::from([
        ([2; 16], causes(&[(1, 1.0)], 0.0, 0.0, true)),
        ([3; 16], causes(&[(2, 0.5), (1, 0.25)], 0.25, 0.0, false)),
        ([4; 16], causes(&[(1, 0.25)], 0.5, 0.25, false)),
    ]);
    let found = judgements(&traced, &stated);
    let scored: Vec<&Scored> = found.scored.iter().collect();
    let methods = methods(&scored);
    let product = methods[0];
    assert_eq!((product.all.readers, product.inferred.readers), (4, 2));
    scored_as(product.all.chained, 0.5);
    // 0, 1, .75 and .5.
    scored_as(product.all.chained_stated, 2.25 / 4.0);
    scored_as(product.all.top1, 0.75);
    scored_as(product.all.top1_chain, 0.5);
    // Two others have .25 as the true one has: the outside and himself, behind one of .5.
    scored_as(product.inferred.mrr, (1.0 / 2.5 + 1.0) / 2.0);
    scored_as(
        product.inferred.log_loss,
        -(0.25f64.ln() + 0.5f64.ln()) / 2.0,
    );
    scored_as(product.inferred.brier, (0.25 + 0.25) / 2.0);
    assert_eq!(product.inferred.named, 3);
    let by = |name: &str| {
        let found = methods.iter().find(|method| method.name == name);
        found.expect("a method").all
    };
    scored_as(by("always outside").top1, 0.5);
    // The second by the first, right; the third by the second, wrong; the fourth wrong.
    scored_as(by("most recent reader").top1, 0.5);
    // The readers before, the outside, and one for somebody who is no reader.
    let uniform = 2f64.ln() + 3f64.ln() + 4f64.ln() + 5f64.ln();
    scored_as(by("uniform, outside included").log_loss, uniform / 4.0);
    let alike = -((1.0f64 / 2.0).ln() + (0.75f64 / 3.0).ln() + 0.5f64.ln());
    scored_as(by("P(private) alone, readers alike").log_loss, alike / 4.0);
    let groups = groups(&scored);
    assert_eq!(groups.len(), 2);
    assert_eq!(
        groups
            .iter()
            .map(|group| group.scores.readers)
            .sum::<usize>(),
        4
    );
}

#[test]
fn readers_without_a_single_right_cause_are_set_apart() {
    let mut rows = [
        row(1, "search", None),
        row(2, "share", Some(1)),
        row(3, "share", Some(9)),
        row(4, "search", None),
    ];
    rows[1].channel = grapevine_event::Channel::Social;
    rows[3].person = Some(1);
    let landings: Vec<_> = (1..=4).map(|visit| landing(visit, visit as i64)).collect();
    let traced = trace(landings.iter().zip(&rows), &rows);
    let stated = HashMap::from([
        ([2; 16], causes(&[(1, 0.75)], 0.25, 0.0, false)),
        ([3; 16], causes(&[(1, 0.5)], 0.5, 0.0, false)),
        ([4; 16], causes(&[(1, 0.5)], 0.5, 0.0, false)),
    ]);
    let found = judgements(&traced, &stated);
    // The first one, and the one by somebody unseen.
    assert_eq!(found.scored.len(), 2);
    let post = SetApart::mean([found.by_post].into_iter());
    assert_eq!((post.readers, post.sharer), (1, Some(0.75)));
    assert_eq!(post.outside, Some(0.25));
    assert_eq!((found.by_unseen.readers, found.no_reader.readers), (1, 1));
}

#[test]
fn no_readers_have_no_figures() {
    let none = methods(&[])[0].all;
    assert_eq!((none.readers, none.named), (0, 0));
    for figure in [
        none.chained,
        none.chained_stated,
        none.bias,
        none.top1,
        none.top1_chain,
        none.mrr,
        none.log_loss,
        none.log_loss_chain,
        none.brier,
        none.ece,
        none.ece_outside,
        none.ece_named,
    ] {
        assert_eq!(figure, None, "{none:?}");
    }
    let apart = SetApart::mean(std::iter::empty());
    assert_eq!(apart.readers, 0);
    let means = [apart.outside, apart.sharer, apart.unseen];
    assert_eq!(means, [None; 3]);
}
