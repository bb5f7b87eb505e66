//! Arrivals without a token on a site whose tokens leave with a share or not.

use super::*;

const SHARER: u64 = 5;

/// A content with ten readers, of whom the fifth certainly brought four, and one marked and one
/// unmarked act of the eighth.
fn content(laws: &MarkLaws) -> (Spread, Weights, Scratch) {
    let (weights, mut scratch) = (Weights::builtin(), Scratch::default());
    let mut spread = Spread::new(3, 0);
    for number in 1..=14u64 {
        let mut arrival = Arrival::new(number, number as i64 * 600_000);
        if number > 10 {
            arrival.certain = Some(Certain::Share {
                key: SHARER,
                time: SHARER as i64 * 600_000,
                sure: 1.0,
            });
        }
        spread.consider(&arrival, &weights, laws, &mut scratch);
        spread.admit(&arrival, &weights, &scratch);
        while spread.settle(false, &weights, laws, &mut scratch).is_some() {}
    }
    for (key, marked) in [(70, true), (71, false)] {
        let act = Act {
            key,
            time: 14 * 600_000 + 10_000,
            marks: Marks::default(),
            sharer: Some(8),
            marked,
        };
        spread.share(&act, laws);
    }
    (spread, weights, scratch)
}

/// Odds against the outside of the sharer's unseen shares, another reader's, the marked act, and
/// the unmarked one, for an arrival with or without a token.
fn odds(survival: Option<f64>, certain: Option<Certain>) -> [f64; 4] {
    let laws = MarkLaws {
        tokens: survival.map_or(TokenLaw::default(), TokenLaw::by_share),
        ..MarkLaws::default()
    };
    let (spread, weights, mut scratch) = content(&laws);
    let mut arrival = Arrival::new(99, 14 * 600_000 + 40_000);
    arrival.certain = certain;
    let posterior = spread.consider(&arrival, &weights, &laws, &mut scratch);
    let of = |wanted: u64| -> f64 {
        let readers = posterior.readers();
        let own = readers.filter(|(key, _, _)| *key == wanted);
        own.map(|(_, _, probability)| probability).sum()
    };
    let by = |wanted: u64| -> f64 {
        let acts = posterior.acts();
        let own = acts.filter(|act| act.key == wanted);
        own.map(|act| act.probability).sum()
    };
    let acts: f64 = posterior.acts().map(|act| act.probability).sum();
    let readers: f64 = posterior.readers().map(|(_, _, p)| p).sum();
    let all = posterior.outside() + acts + readers;
    assert!((all - 1.0).abs() < 1e-6, "{all}");
    [of(SHARER), of(6), by(70), by(71)].map(|probability| probability / posterior.outside())
}

#[test]
fn who_comes_without_a_token_did_not_come_by_a_share_whose_others_have_one() {
    let alone = odds(None, None);
    let by_share = odds(Some(0.5), None);
    // Four children make a reader a likely parent where each token is lost alone, …
    assert!(alone[0] > 5.0 * alone[1], "{alone:?}");
    // … and hardly more likely than others where it leaves with the share.
    assert!(by_share[0] < alone[0] / 3.0, "{by_share:?} {alone:?}");
    assert!(by_share[0] > by_share[1], "{by_share:?}");
    assert!((by_share[1] / alone[1] - 1.0).abs() < 0.01);
    // A marked link's readers have its token; an unmarked one's have none.
    assert!(alone[2] > 0.0 && (by_share[2] / by_share[3] - 0.1).abs() < 0.01);
}

#[test]
fn where_nearly_every_token_survives_it_was_lost_alone() {
    assert_eq!(odds(Some(0.96), None), odds(None, None));
}

#[test]
fn a_certain_cause_is_scored_as_if_its_own_token_alone_were_missing() {
    for certain in [
        Certain::Outside,
        Certain::Share {
            key: SHARER,
            time: 0,
            sure: 1.0,
        },
    ] {
        assert_eq!(odds(Some(0.5), Some(certain)), odds(None, Some(certain)));
    }
}
