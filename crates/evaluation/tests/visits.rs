//! Simulated sites through the product's own doors, scored against what is true.

use std::sync::{Arc, OnceLock};

use grapevine_evaluation::visits::{
    Outcome, Via, drive, ece_of_sites, measure, measure_chains, scaled_to, simulated,
};
use grapevine_inference::Model;
use grapevine_signals::Signals;
use grapevine_simulator::Scenario;

fn signals() -> &'static Arc<Signals> {
    static SIGNALS: OnceLock<Arc<Signals>> = OnceLock::new();
    SIGNALS.get_or_init(|| Arc::new(Signals::builtin()))
}

fn driven(scenario: &Scenario, via: Via, rate: f64) -> (Outcome, f64) {
    let site = simulated(scenario, via, Some(rate)).expect("a scenario");
    let found = drive(
        &site.input,
        via,
        &site.site,
        &site.truth,
        signals(),
        Model::builtin(),
        None,
    );
    let rate = site.token_rate.expect("links are passed privately");
    (found.expect("drives"), rate)
}

fn counted(figure: Option<f64>) -> f64 {
    figure.expect("something counts for it")
}

#[test]
fn every_visit_is_joined_with_its_truth_by_both_doors() {
    let scenario = scaled_to(&Scenario::default(), 600.0);
    for via in [Via::Hits, Via::Log] {
        let (outcome, rate) = driven(&scenario, via, 0.2);
        assert_eq!(outcome.unknown, 0, "{via:?}");
        assert!((rate - 0.2).abs() < 0.06, "{rate}");
        let missed = outcome.landings_missed as f64 / outcome.landings as f64;
        assert!(missed < 0.15, "{via:?}: {missed}");
        let people = outcome
            .visits
            .iter()
            .filter(|visit| visit.truth.kind == "visit");
        assert!(people.count() * 100 > outcome.visits.len() * 95);
        let measures = measure(std::slice::from_ref(&outcome), Some(rate));
        let sum: usize = measures
            .confusion
            .values()
            .flat_map(|row| row.values())
            .sum();
        assert_eq!(sum, measures.all.fit.visits);
        let by_method: usize = measures.methods.values().map(|fit| fit.visits).sum();
        assert_eq!(by_method, measures.all.fit.visits);
        // Better than saying the same of everything, and than the rule of 2012.
        for baseline in &measures.baselines {
            let (ours, theirs) = (measures.direct.fit, baseline.direct);
            let name = baseline.name;
            assert!(counted(ours.log_loss) < counted(theirs.log_loss), "{name}");
            assert!(counted(ours.brier) < counted(theirs.brier), "{name}");
        }
    }
}

/// A table of `evaluate visits` is the same each time: nothing of it hangs on the machine's pace or on the order of a
/// hash map.
#[test]
fn the_same_site_is_judged_the_same_each_time() {
    for via in [Via::Hits, Via::Log] {
        let scenario = scaled_to(&Scenario::drawn(140_001), 3_000.0);
        let [one, other] = [(); 2].map(|()| driven(&scenario, via, 0.2).0);
        assert_eq!(format!("{one:?}"), format!("{other:?}"), "{via:?}");
        let measured = |outcome: &Outcome| format!("{:?}", measure_chains([&outcome.chains]));
        assert_eq!(measured(&one), measured(&other), "{via:?}");
    }
}

/// The bar for P(private link) over all visits of sites whose parameters no fit has seen, every site
/// counting the same.
const ALL_ECE_MAX: f64 = 0.03;
/// Of what ordinary analytics books as direct, which is half of the visits.
const DIRECT_ECE_MAX: f64 = 0.04;
/// Sites are many, since one differs from another by a standard deviation of about half a unit of
/// log-odds, which moves all its visits by some .04: the mean of sixty by .005.
const SITES: u64 = 60;
/// Seed of the first of them: nothing was fitted, chosen or set on these.
const UNSEEN: u64 = 26_001;

#[test]
fn probabilities_are_calibrated_on_sites_that_no_fit_has_seen() {
    for rate in [0.0, 0.5] {
        let outcomes: Vec<Outcome> = (0..SITES)
            .map(|number| {
                let scenario = scaled_to(&Scenario::drawn(UNSEEN + number), 800.0);
                let via = [Via::Hits, Via::Log][(number % 2) as usize];
                driven(&scenario, via, rate).0
            })
            .collect();
        let measures = measure(&outcomes, Some(rate));
        let (all, direct) = (measures.all, measures.direct);
        let held = [all.held, direct.held];
        assert_eq!(held, [Some(true); 2], "{rate}: {direct:?}");
        let [of_all, of_direct] =
            [false, true].map(|direct| counted(ece_of_sites(&outcomes, direct)));
        assert!(of_all <= ALL_ECE_MAX, "{rate}: {of_all}");
        assert!(of_direct <= DIRECT_ECE_MAX, "{rate}: {of_direct}");
        let held = outcomes
            .iter()
            .filter(|site| {
                let measures = measure(std::slice::from_ref(site), Some(rate));
                measures.direct.held == Some(true)
            })
            .count();
        assert!(
            held >= 48,
            "{rate}: the range of {held} of {SITES} sites holds"
        );
    }
}

/// The methods of cascade files, on the readers and the contents of a site that the product is scored on.
#[test]
fn the_methods_of_cascades_are_scored_on_what_the_product_is() {
    let scenario = scaled_to(&Scenario::default(), 900.0);
    let (outcome, _) = driven(&scenario, Via::Hits, 0.0);
    let found = measure_chains([&outcome.chains]);
    let [product, methods @ ..] = &found.content_methods[..] else {
        panic!("no method");
    };
    assert_eq!(methods.len(), 13);
    let contents = found.spreads.reproduction.contents;
    assert!(contents > 3, "{contents}");
    for method in methods {
        let name = method.name;
        for (ours, theirs) in [
            (product.told_tokens, method.told_tokens),
            (product.told_facts, method.told_facts),
        ] {
            assert_eq!(ours.parents.readers, theirs.parents.readers, "{name}");
            assert_eq!(ours.parents.chained, theirs.parents.chained, "{name}");
            let parents = theirs.parents;
            for figure in [
                parents.top1,
                parents.top1_chain,
                parents.mrr,
                parents.log_loss,
                parents.ece,
                theirs.reproduction.stated,
                theirs.reproduction.error_private,
                theirs.reproduction.error_all,
                theirs.virality.stated,
                theirs.virality.error_private,
                theirs.virality.error_all,
            ] {
                assert!(counted(figure).is_finite(), "{name}: {theirs:?}");
            }
        }
    }
    let of = |name: &str| {
        let method = methods.iter().find(|method| method.name == name);
        method.expect("a method").told_tokens
    };
    assert!(counted(of("most recent").reproduction.stated) > 0.95);
    assert_eq!(of("always root").reproduction.stated, Some(0.0));
    let uniform = of("uniform");
    let ours = product.told_tokens;
    for (ours, theirs) in [
        (ours.parents.log_loss, uniform.parents.log_loss),
        (ours.reproduction.error_all, uniform.reproduction.error_all),
        (ours.virality.error_all, uniform.virality.error_all),
    ] {
        assert!(counted(ours) < counted(theirs), "{product:?} {uniform:?}");
    }
    // The same as among the methods that know nothing but who read before, where no person is two.
    let simple = found.methods.iter();
    let mut simple = simple.filter(|method| method.name == "uniform, outside included");
    let simple = simple.next().expect("a method").all;
    let off = counted(uniform.parents.log_loss) - counted(simple.log_loss);
    assert!(off.abs() < 0.01, "{uniform:?} {simple:?}");
    // A site that nobody read has none of these, and no figure is made up.
    for method in measure_chains([]).content_methods {
        let scores = [method.told_tokens, method.told_facts];
        assert_eq!(scores.map(|scores| scores.parents.top1), [None; 2]);
        assert_eq!(scores.map(|scores| scores.parents.log_loss), [None; 2]);
        assert_eq!(
            scores.map(|scores| scores.reproduction.error_all),
            [None; 2]
        );
        assert_eq!(scores.map(|scores| scores.virality.stated), [None; 2]);
    }
}

/// Half of the tokens kept, of two sites: the product's causes beat every simple method, and the share of readers from
/// earlier readers is about right.
#[test]
fn the_chain_stage_names_parents_better_than_simple_methods() {
    names_parents_better(Via::Hits);
}

/// In an access log a token says that a link was passed on, and not whose it is.
#[test]
fn the_chain_stage_names_parents_better_by_a_log_as_well() {
    names_parents_better(Via::Log);
}

fn names_parents_better(via: Via) {
    let outcomes: Vec<Outcome> = [41, 42]
        .map(|seed| {
            let scenario = Scenario {
                seed,
                ..scaled_to(&Scenario::default(), 1_500.0)
            };
            driven(&scenario, via, 0.5).0
        })
        .into();
    let found = measure_chains(outcomes.iter().map(|outcome| &outcome.chains));
    let [product, baselines @ ..] = &found.methods[..] else {
        panic!("no method");
    };
    assert!(product.all.readers > 2_000, "{product:?}");
    assert!(product.inferred.readers > 500, "{product:?}");
    for baseline in baselines {
        let name = baseline.name;
        for (ours, theirs) in [
            (product.all, baseline.all),
            (product.inferred, baseline.inferred),
        ] {
            assert_eq!(ours.readers, theirs.readers, "{name}");
            let [loss, most] = [ours, theirs].map(|scores| counted(scores.log_loss));
            assert!(loss < most, "{name}: {ours:?} {theirs:?}");
        }
    }
    assert!(counted(product.all.bias).abs() < 0.05, "{product:?}");
    // Readers who are named are as often right as is stated, within the bins' chance.
    assert!(counted(product.inferred.ece_named) < 0.1, "{product:?}");
    // Tokens name half of the parents, where they are known.
    let named = match via {
        Via::Log => 0.1,
        Via::Hits | Via::Script => 0.3,
    };
    assert!(counted(product.all.top1_chain) > named, "{product:?}");
    let spreads = found.spreads;
    let [low, _, high] = spreads.chained.expect("readers are settled");
    let truth = counted(spreads.chained_private)..=counted(spreads.chained_all);
    assert!(low <= *truth.end() && *truth.start() <= high, "{spreads:?}");
    assert!(spreads.reproduction.contents > 5, "{spreads:?}");
    assert!(counted(spreads.reproduction.held) > 0.6, "{spreads:?}");
    assert!(counted(spreads.virality.held) > 0.5, "{spreads:?}");
    // Everything is settled in the end, and counted once.
    let apart = [found.by_post, found.no_reader];
    let apart: usize = apart.iter().map(|apart| apart.readers).sum();
    assert!(product.all.readers + apart <= found.landings);
    let groups: usize = found.groups.iter().map(|group| group.scores.readers).sum();
    assert_eq!(groups, product.all.readers);
}
