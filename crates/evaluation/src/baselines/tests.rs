use proptest::prelude::*;

use super::scoring::Seen;
use super::*;

fn cascade() -> Cascade {
    // Root, two of the root, one of node 1.
    Cascade {
        name: "a".to_owned(),
        times: vec![0, 1_000, 2_000, 3_000],
        parents: vec![0, 0, 0, 1],
    }
}

const BLIND: Tokens = Tokens { rate: 0.0, seed: 1 };

#[test]
fn baselines_by_hand() {
    let found = baselines(&[cascade()], BLIND, None);
    let of = |name: &str| {
        let found = found.methods.iter().find(|baseline| baseline.name == name);
        found.expect("there is one").measures
    };
    let close = |a: Option<f64>, b: f64| {
        let a = a.expect("something counts");
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    };
    close(of("most recent").top1, 1.0 / 3.0);
    close(of("most recent").reproduction_pooled, 2.0 / 3.0);
    close(of("always root").top1, 2.0 / 3.0);
    close(of("always root").reproduction_mae, 1.0 / 3.0);
    close(of("uniform").log_loss, (2f64.ln() + 3f64.ln()) / 3.0);
    close(of("uniform").reproduction_true, 1.0 / 3.0);
    // 2 of 3 for the root, then 4 / 3 of 5 for node 1.
    let expected = ((3.0f64 / 2.0).ln() + (15.0f64 / 4.0).ln()) / 3.0;
    close(of("out-degree so far").log_loss, expected);
    assert_eq!(of("uniform").virality_coverage, None);
    let loss = of("conditional logit, cold start").log_loss;
    assert!(loss.is_some_and(f64::is_finite), "{loss:?}");
}

#[test]
fn what_needs_labels_is_left_out_without_them() {
    let cascades = [cascade()];
    let found = baselines(&cascades, BLIND, None);
    assert_eq!((found.methods.len(), found.left_out.len()), (5, 8));
    let labelled = |cascades| Labelled {
        cascades,
        tokens: BLIND,
    };
    let found = baselines(&cascades, BLIND, Some(labelled(&cascades)));
    assert!(found.left_out.is_empty());
    let names: Vec<_> = found.methods.iter().map(|method| method.name).collect();
    assert_eq!(names[5..], FITTED);
    let logit = found.methods.last().expect("methods").measures;
    let setting = Setting {
        tokens: BLIND,
        marks: None,
    };
    let alone = conditional_logit(&cascades, setting, labelled(&cascades));
    assert_eq!(alone.and_then(|alone| alone.log_loss), logit.log_loss);
    assert!(
        found
            .methods
            .iter()
            .all(|method| method.measures.log_loss.is_some_and(f64::is_finite))
    );
    assert_eq!(
        baselines(&cascades, BLIND, Some(labelled(&[]))).left_out,
        FITTED
    );
}

fn any_cascade() -> impl Strategy<Value = Cascade> {
    let node = (0i64..4, 0i64..100_000_000, any::<u32>());
    prop::collection::vec(node, 1..30).prop_map(|nodes| {
        let mut time = 0;
        let mut times = vec![0];
        let mut parents = vec![0];
        for (number, (kind, wait, parent)) in (1u32..).zip(nodes) {
            // Many at the same moment, some soon after, some days later.
            time += [0, wait % 2_000, wait % 100_000, wait][kind as usize];
            times.push(time);
            parents.push(parent % number);
        }
        Cascade {
            name: "any".to_owned(),
            times,
            parents,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn probabilities_sum_to_one(
        scored in any_cascade(),
        labelled in prop::collection::vec(any_cascade(), 1..4),
        rate in prop::sample::select(vec![0.0, 0.3, 0.9]),
    ) {
        let tokens = Tokens { rate, seed: 5 };
        let nodes = scored.parents.len();
        let labelled = Labelled { cascades: &labelled, tokens };
        let methods = unfitted(nodes).into_iter().map(|(_, method)| method);
        let methods = methods.chain(fitted(&labelled, nodes).into_iter().flatten());
        for (number, method) in methods.enumerate() {
            let mut seen = Seen::new(&scored);
            for node in 1..nodes {
                seen.look_at(node);
                let mut weights = vec![f64::NAN; node];
                method.weigh(&seen, &mut weights);
                let total = scoring::total(&weights);
                prop_assert!(total.is_finite() && total > 0.0, "{number}: {weights:?}");
                let shares = weights.iter().map(|weight| weight / total);
                prop_assert!(shares.clone().all(|share| (0.0..=1.0).contains(&share)));
                let sum: f64 = shares.clone().sum();
                prop_assert!((sum - 1.0).abs() < 1e-9, "{number}: {sum}");
                if tokens.reveal(0, node) {
                    seen.reveal(scored.parents[node] as usize);
                }
                for (expected, share) in seen.expected.iter_mut().zip(shares) {
                    *expected += share;
                }
            }
        }
        let found = baselines(std::slice::from_ref(&scored), tokens, Some(labelled));
        for method in found.methods {
            let hidden = (1..nodes).filter(|node| !tokens.reveal(0, *node)).count();
            prop_assert_eq!(method.measures.edges, hidden);
            let loss = method.measures.log_loss;
            prop_assert_eq!(loss.is_some(), hidden > 0, "{}", method.name);
            prop_assert!(loss.is_none_or(|loss| !loss.is_nan()), "{}", method.name);
        }
    }
}
