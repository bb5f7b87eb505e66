use grapevine_event::{Calibration, VisitorBasis};
use proptest::prelude::*;

use super::*;
use crate::state::{from_bytes, to_bytes};

/// Part of the tokens that are taken to be private.
const PRIVATE: f64 = 0.925;

/// A token of its own for every landing.
fn label(at: usize) -> String {
    format!("tok{at}")
}

/// A landing of a reader with an id.
fn marked(log_odds: f64, token: Option<&str>) -> Marked<'_> {
    Marked {
        log_odds,
        company: 0.0,
        private_readers: PrivateReaders::None,
        front: false,
        token,
        owner: TokenOwner::Seen,
        with_id: true,
    }
}

/// The token of a link of known way, whose owner was seen.
fn seen(token: bool) -> Option<TokenOwner> {
    token.then_some(TokenOwner::Seen)
}

/// A fixed stream of numbers from 0 to 1.
struct Dice(u64);

impl Dice {
    fn unit(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn sigmoid(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

/// A site whose private links are `off` more likely than the facts say, of which `survival` keep
/// their token; `known` links of known way beside them, which keep theirs as much oftener as the model says.
fn site(off: f64, survival: f64, landings: usize, known: usize) -> Calibrations {
    site_of(4.0, off, survival, landings, known)
}

/// The same, where what the facts say is `wide` log-odds wide.
fn site_of(wide: f64, off: f64, survival: f64, landings: usize, known: usize) -> Calibrations {
    let model = Model::builtin();
    let mut calibrations = Calibrations::default();
    let mut dice = Dice(7);
    let odds = survival / (1.0 - survival) / model.site.survival_to_known;
    let survival_of_known = odds / (1.0 + odds);
    for at in 0..landings.max(known) {
        if at < known {
            calibrations.known("s", seen(dice.unit() < survival_of_known));
        }
        if at < landings {
            let facts = wide * (dice.unit() - 0.6);
            let private = dice.unit() < sigmoid(facts + off);
            let token = private && dice.unit() < survival / PRIVATE;
            calibrations.landing(
                "s",
                "v",
                marked(facts, token.then_some(label(at)).as_deref()),
                &model,
            );
        }
    }
    calibrations
}

fn record<T>(calibrations: &mut Calibrations, read: impl Fn(&Calibration<'_>) -> T) -> T {
    let mut found = None;
    calibrations.take_changed(5, "v", &Model::builtin(), &mut |record| {
        found = Some(read(record));
    });
    found.expect("a record")
}

#[test]
fn intercept_and_survival_are_found_where_the_way_of_some_links_is_known() {
    for (off, survival) in [(0.0, 0.5), (1.0, 0.5), (-1.0, 0.3), (0.7, 0.8), (0.0, 0.05)] {
        let mut calibrations = site(off, survival, 8_000, 800);
        let model = Model::builtin();
        let learned = calibrations.landing("s", "v", marked(0.0, None), &model);
        let learned = learned.expect("learned");
        let found = learned.intercept();
        assert!((found.low..=found.high).contains(&off), "{off}: {found:?}");
        assert!((found.likely - off).abs() < 0.45, "{off}: {found:?}");
        let found = learned.survival().expect("tokens came");
        assert!(
            (found.low..=found.high).contains(&survival),
            "{survival}: {found:?}"
        );
        assert!(learned.version().starts_with("v+site."));
    }
}

#[test]
fn without_links_of_known_way_the_range_says_so() {
    let model = Model::builtin();
    let range = |known: usize| {
        let mut calibrations = site_of(1.0, 0.5, 0.5, 8_000, known);
        let learned = calibrations.landing("s", "v", marked(0.0, None), &model);
        let range = learned.expect("learned").intercept();
        assert!((range.low..=range.high).contains(&0.5), "{range:?}");
        range.high - range.low
    };
    assert!(range(0) > 1.5 * range(800));
}

#[test]
fn nothing_is_learned_from_one_token_that_was_found_somewhere() {
    let model = Model::builtin();
    let mut calibrations = Calibrations::default();
    for at in 0..5_000 {
        let learned = calibrations.landing(
            "s",
            "v",
            marked(0.3, (at == 400).then_some("found")),
            &model,
        );
        assert!(learned.is_none());
    }
    assert_eq!(record(&mut calibrations, |record| record.ece), None);
    assert_eq!(record_count(&mut calibrations), 0, "unchanged since");
}

fn record_count(calibrations: &mut Calibrations) -> usize {
    let mut count = 0;
    calibrations.take_changed(5, "v", &Model::builtin(), &mut |_| count += 1);
    count
}

#[test]
fn the_curve_is_straight_and_facts_that_are_worth_less_are_noticed() {
    // Learned as it goes, so what was scored early is still off.
    let right = record(&mut site(0.0, 0.5, 20_000, 800), |record| record.ece);
    assert!(right.expect("measured") < 0.05, "{right:?}");
    let model = Model::builtin();
    let mut calibrations = Calibrations::default();
    let mut dice = Dice(9);
    for at in 0..20_000 {
        if at % 20 == 0 {
            calibrations.known("s", seen(dice.unit() < 0.5));
        }
        // The facts are worth a third of what they claim, around the same mean.
        let facts = 6.0 * dice.unit() - 3.0;
        let private = dice.unit() < sigmoid(facts / 3.0);
        let token = private && dice.unit() < 0.5 / PRIVATE;
        calibrations.landing(
            "s",
            "v",
            marked(facts, token.then_some(label(at)).as_deref()),
            &model,
        );
    }
    let (slope, ece, brier, landings) = record(&mut calibrations, |record| {
        assert_eq!(record.bin_landings.len(), 10);
        assert_eq!(record.bin_landings.iter().sum::<i64>(), record.landings);
        assert_eq!(record.bin_tokens.iter().sum::<i64>(), record.tokens);
        assert!(record.ece_low <= record.ece && record.ece <= record.ece_high);
        (record.slope, record.ece, record.brier, record.landings)
    });
    assert_eq!(landings, 20_000);
    // Found, and then put right: worth a third is a slope of -2/3.
    assert!((slope.expect("learned") + 0.66).abs() < 0.15, "{slope:?}");
    assert!(ece.expect("measured") < 0.05, "{ece:?}");
    // What remains is the variance of private links themselves: the mean of p (1 - p) for
    // p = σ(f / 3), f even from -3 to 3, is tanh(1 / 2) / 2 = .231.
    assert!((brier.expect("measured") - 0.231).abs() < 0.03, "{brier:?}");
}

#[test]
fn counts_are_bounded_and_a_site_that_changes_is_noticed() {
    let model = Model::builtin();
    let mut calibrations = site(1.5, 0.5, 60_000, 500);
    let mut dice = Dice(3);
    for at in 0..300_000 {
        let facts = 4.0 * dice.unit() - 2.5;
        let private = dice.unit() < sigmoid(facts - 1.0);
        let token = private && dice.unit() < 0.5 / PRIVATE;
        let token = token.then(|| label(100_000 + at));
        calibrations.landing("s", "v", marked(facts, token.as_deref()), &model);
    }
    let intercept = calibrations
        .landing("s", "v", marked(0.0, None), &model)
        .expect("learned")
        .adds(-0.5);
    assert!((intercept + 1.0).abs() < 0.5, "{intercept}");
    assert!(record(&mut calibrations, |record| record.landings) < 65_536);
}

#[test]
fn sites_are_kept_apart_and_bounded() {
    let model = Model::builtin();
    let mut calibrations = site(1.0, 0.5, 2_000, 200);
    assert!(
        calibrations
            .landing("other", "v", marked(0.0, None), &model)
            .is_none()
    );
    for at in 0..3 * SITES_MAX {
        calibrations.known(&format!("site-{at}"), seen(true));
    }
    assert_eq!(calibrations.entries(), SITES_MAX as usize);
}

#[test]
fn private_apps_that_name_themselves_tell_of_a_site_without_tokens() {
    let model = Model::builtin();
    let learned = |named: usize| {
        let mut calibrations = Calibrations::default();
        for at in 0..2_000 {
            calibrations.visit("s", at % named == 0);
            calibrations.landing("s", "v", marked(-1.0, None), &model);
        }
        calibrations
            .landing("s", "v", marked(-1.0, None), &model)
            .cloned()
    };
    let [often, seldom] = [4, 60].map(|named| learned(named).expect("believed"));
    assert_eq!(often.survival(), None, "no token has come");
    // By the logarithm of how often; the prior of a site's intercept holds it back a little.
    let by = model.site.named_slope * 15f64.ln();
    assert!(often.intercept().likely > 0.3 * by, "{often:?}");
    assert!(seldom.intercept().likely < -0.3 * by, "{seldom:?}");
    let width = |learned: &Learned| learned.intercept().high - learned.intercept().low;
    let unknown = 2.0 * 1.645 * model.site.intercept_spread;
    assert!(width(&often) < unknown && width(&often) > 0.5, "{often:?}");
    assert!(learned(200).is_none(), "ten arrivals say nothing");
    let mut calibrations = Calibrations::default();
    for at in 0..2_000 {
        calibrations.visit("s", at % 4 == 0);
        calibrations.landing("s", "v", marked(-1.0, None), &model);
    }
    assert_eq!(record(&mut calibrations, |record| record.ece), None);
}

#[test]
fn a_token_that_brings_many_weighs_as_one_share() {
    let model = Model::builtin();
    // Twice as many tokens as expected: of a share each, or all of one share.
    let width = |one: bool| {
        let mut calibrations = Calibrations::default();
        for at in 0..4_000 {
            let token = label(if one { 0 } else { at });
            let token = (at % 2 == 0).then_some(token.as_str());
            calibrations.landing("s", "v", marked(-1.0, token), &model);
            calibrations.known("s", seen(at % 2 == 0));
        }
        let learned = calibrations.landing("s", "v", marked(-1.0, None), &model);
        learned.expect("learned").intercept()
    };
    let (shares, one) = (width(false), width(true));
    assert!(shares.likely > 2.0 * one.likely.abs(), "{shares:?} {one:?}");
    assert!(one.high - one.low > shares.high - shares.low);
}

/// A site of readers with or without an id, of whose private links the part `survival` keeps its token,
/// and of whose other landings `own` come by an own one that nobody recognises, `again` times as
/// many by one that is recognised.
fn site_with_own_tokens(survival: f64, own: f64, again: f64, with_id: bool) -> Calibrations {
    let model = Model::builtin();
    let mut calibrations = Calibrations::default();
    let mut dice = Dice(11);
    for at in 0..6_000 {
        if at % 10 == 0 {
            calibrations.known("s", seen(dice.unit() < survival));
        }
        let facts = 6.0 * (dice.unit() - 0.6);
        let private = dice.unit() < sigmoid(facts);
        let token = match private {
            true => dice.unit() < survival / PRIVATE,
            false => dice.unit() < own,
        };
        if !private && dice.unit() < own * again {
            calibrations.again("s");
        }
        let landing = Marked {
            with_id,
            ..marked(facts, None)
        };
        let token = token.then(|| label(at));
        let landing = Marked {
            token: token.as_deref(),
            ..landing
        };
        calibrations.landing("s", "v", landing, &model);
    }
    calibrations
}

#[test]
fn most_tokens_are_readers_own_where_few_links_keep_theirs() {
    let model = Model::builtin();
    let private = |mut calibrations: Calibrations, log_odds: f64| {
        let learned = calibrations.landing("s", "v", marked(0.0, None), &model);
        let law = learned.and_then(Learned::token_law).expect("tokens came");
        let range = law.private(log_odds, &model);
        assert!(
            range.low <= range.likely && range.likely <= range.high,
            "{range:?}"
        );
        range
    };
    for with_id in [true, false] {
        // Where no id tells, what is usual holds what is found.
        let least = if with_id { 0.005 } else { 0.04 };
        for (survival, own) in [(0.02, 0.05), (0.5, 0.05), (0.5, least), (0.1, 0.1)] {
            let site = || site_with_own_tokens(survival, own, 1.0 / 0.19, with_id);
            for log_odds in [-3.0, -1.0, 1.0] {
                // Bayes' rule for what the site was made of.
                let p = sigmoid(log_odds);
                let truth = survival * p / (survival / PRIVATE * p + own * (1.0 - p));
                let found = private(site(), log_odds);
                let place = format!("{survival} {own} {log_odds} {with_id}: {truth} {found:?}");
                assert!((found.low..=found.high).contains(&truth), "{place}");
                assert!((found.likely - truth).abs() < 0.15, "{place}");
            }
        }
    }
}

/// Home pages, which people open by their plain address, say nothing of own tokens elsewhere.
#[test]
fn fronts_say_nothing_of_own_tokens() {
    let model = Model::builtin();
    let law = |fronts: bool| {
        let mut calibrations = Calibrations::default();
        let mut dice = Dice(11);
        for at in 0..6_000 {
            if at % 10 == 0 {
                calibrations.known("s", seen(dice.unit() < 0.3));
            }
            let facts = 6.0 * (dice.unit() - 0.6);
            let private = dice.unit() < sigmoid(facts);
            let marked_part = if private { 0.3 / PRIVATE } else { 0.15 };
            let token = (dice.unit() < marked_part).then(|| label(at));
            let landing = Marked {
                with_id: false,
                ..marked(facts, token.as_deref())
            };
            calibrations.landing("s", "v", landing, &model);
            if fronts {
                let front = Marked {
                    front: true,
                    with_id: false,
                    ..marked(-6.0, None)
                };
                calibrations.landing("s", "v", front, &model);
            }
        }
        let bins = record(&mut calibrations, |record| {
            let tokens = record.bin_tokens.iter().sum::<i64>();
            (record.landings, record.tokens, tokens)
        });
        let learned = calibrations.landing("s", "v", marked(0.0, None), &model);
        (
            learned
                .and_then(Learned::token_law)
                .expect("tokens came")
                .own,
            bins,
        )
    };
    let (without, (landings, tokens, passed_on)) = law(false);
    let (with, (all, all_tokens, still)) = law(true);
    // A link of known way may come between.
    assert!(
        (without.likely / with.likely - 1.0).abs() < 0.01,
        "{without:?} {with:?}"
    );
    assert!((with.low..=with.high).contains(&0.15), "{with:?}");
    assert_eq!((all, all_tokens), (2 * landings, tokens), "they are scored");
    assert!(
        passed_on < tokens && (passed_on - still).abs() < 4,
        "{passed_on} {still}"
    );
}

#[test]
fn own_tokens_that_are_recognised_tell_of_those_that_are_not() {
    let model = Model::builtin();
    let own = |again: usize| {
        let mut calibrations = Calibrations::default();
        for at in 0..400 {
            let token = (at % 40 == 0).then(|| label(at));
            calibrations.landing("s", "v", marked(-1.5, token.as_deref()), &model);
        }
        (0..again).for_each(|_| calibrations.again("s"));
        let mut found = None;
        for _ in 0..60 {
            let learned = calibrations.landing("s", "v", marked(-1.5, None), &model);
            found = learned.and_then(Learned::token_law);
        }
        found.expect("tokens came").private(-1.5, &model).likely
    };
    let [never, often] = [0, 100].map(own);
    assert!(never > often + 0.2, "{never} {often}");
}

#[test]
fn what_is_usual_of_tokens_hangs_on_the_rest_and_on_whether_readers_have_an_id() {
    let model = Model::builtin();
    let private = |basis, log_odds| {
        TokenLaw::usual(basis, &model)
            .private(log_odds, &model)
            .likely
    };
    let [kept, none] = [VisitorBasis::Client, VisitorBasis::None];
    assert!(private(kept, -1.0) > private(none, -1.0) + 0.05);
    assert!(private(none, 1.0) > private(none, -3.0) + 0.2);
    assert!(private(kept, 3.0) <= model.token().likely);
}

/// A page that is its site's only one is a front: what named apps say of the site still reaches it.
#[test]
fn a_site_of_fronts_only_learns_what_its_record_says() {
    let model = Model::builtin();
    let mut calibrations = Calibrations::default();
    let mut versions = Vec::new();
    for at in 0..400 {
        calibrations.visit("s", at % 4 == 0);
        let landing = Marked {
            front: true,
            ..marked(-3.0, None)
        };
        let learned = calibrations.landing("s", "v", landing, &model);
        versions.push(learned.map(|learned| learned.version().to_string()));
    }
    assert_eq!(versions[0], None);
    let last = versions.last().expect("some").as_deref();
    assert!(
        last.is_some_and(|version| version.starts_with("v+site.")),
        "{last:?}"
    );
    let learned = calibrations.learned("s").expect("believed").intercept();
    let stated = record(&mut calibrations, |record| record.intercept);
    let off = stated.expect("believed") - learned.likely;
    assert!(
        learned.likely > 0.1 && off.abs() < 0.05,
        "{learned:?} {off}"
    );
}

/// To a home page hardly anybody comes back by his own token, and how hardly is not known.
#[test]
fn a_token_on_a_front_is_likelier_passed_on_and_less_certain() {
    let model = Model::builtin();
    let law = TokenLaw::usual(VisitorBasis::None, &model);
    let [elsewhere, front] = [law, law.on_fronts(&model)].map(|law| law.private(-3.0, &model));
    assert!(
        front.likely > elsewhere.likely + 0.2,
        "{front:?} {elsewhere:?}"
    );
    assert!(front.high - front.low > elsewhere.high - elsewhere.low);
    assert!(front.low <= elsewhere.likely, "{front:?} {elsewhere:?}");
}

/// Fronts are far below all that a site learned from.
#[test]
fn what_facts_are_worth_is_not_drawn_on_beyond_what_was_seen() {
    let model = Model::builtin();
    let mut calibrations = Calibrations::default();
    let mut dice = Dice(13);
    for at in 0..12_000 {
        if at % 20 == 0 {
            calibrations.known("s", seen(dice.unit() < 0.5));
        }
        // Worth twice what they claim.
        let facts = 4.0 * (dice.unit() - 0.5);
        let private = dice.unit() < sigmoid(2.0 * facts);
        let token = (private && dice.unit() < 0.5 / PRIVATE).then(|| label(at));
        calibrations.landing("s", "v", marked(facts, token.as_deref()), &model);
    }
    let learned = calibrations.learned("s").expect("learned");
    assert!(learned.slope() > 0.3, "{learned:?}");
    let [low, high] = [-1.9, 1.9].map(|log_odds| learned.adds(log_odds));
    assert!(high - low > 1.0, "{low} {high}");
    assert_eq!(learned.adds(-9.0), learned.adds(-12.0));
    assert_eq!(learned.adds(9.0), learned.adds(12.0));
    assert!((learned.adds(-9.0) - low).abs() < 0.25, "{learned:?}");
    assert!((learned.adds(9.0) - high).abs() < 0.25, "{learned:?}");
}

/// A site where others who came of late are known by their tokens, of links that lose theirs together: half of all
/// groups keep them. Beside it the part that keeps its token beside nobody, and beside many.
fn site_of_groups(off: f64) -> (Calibrations, [f64; 2]) {
    let model = Model::builtin();
    let mut calibrations = Calibrations::default();
    let mut dice = Dice(5);
    let weight = 3.0;
    let [mut links, mut kept] = [[0.0; 2]; 2];
    for at in 0..12_000 {
        if at % 20 == 0 {
            calibrations.known("s", seen(dice.unit() < 0.5));
        }
        let facts = 4.0 * (dice.unit() - 0.6);
        let private = dice.unit() < sigmoid(facts + off);
        // Of those that are private in a group that keeps its tokens, nearly all are beside others of it.
        let group_keeps = dice.unit() < 0.5;
        let known = private && group_keeps && dice.unit() < 0.9;
        let token = private && group_keeps && dice.unit() < 0.95;
        let readers = match known {
            true => PrivateReaders::Many,
            false => PrivateReaders::None,
        };
        let company = if known { weight } else { 0.0 };
        let label = label(at);
        let landing = Marked {
            log_odds: facts + company,
            company,
            private_readers: readers,
            ..marked(0.0, token.then_some(label.as_str()))
        };
        calibrations.landing("s", "v", landing, &model);
        links[usize::from(known)] += f64::from(u8::from(private));
        kept[usize::from(known)] += f64::from(u8::from(token));
    }
    (calibrations, [kept[0] / links[0], kept[1] / links[1]])
}

#[test]
fn links_beside_others_keep_their_token_more_often() {
    let model = Model::builtin();
    let (mut calibrations, [alone, beside]) = site_of_groups(0.5);
    let learned = calibrations.landing("s", "v", marked(0.0, None), &model);
    let law = learned.and_then(Learned::token_law).expect("tokens came");
    let found = [
        PrivateReaders::None,
        PrivateReaders::Few,
        PrivateReaders::Many,
    ]
    .map(|readers| law.beside(readers, &model).survival);
    assert!(found[0] < found[1] && found[1] < found[2], "{found:?}");
    // Where nobody is beside it, a landing is ln .55 less likely to be private: .9 of half of the private ones are known.
    let intercept = learned.expect("learned").intercept();
    let truth = 0.5 + 0.55f64.ln();
    assert!(
        (intercept.likely - truth).abs() < 0.4,
        "{truth} {intercept:?}"
    );
    // Between what is so of all links and what is so of each kind here.
    let all = learned_survival(&mut calibrations);
    assert!(
        alone < found[0] && found[0] < all,
        "{alone} {found:?} {all}"
    );
    assert!(
        all < found[2] && found[2] < beside,
        "{beside} {found:?} {all}"
    );
    // Where nobody came, those beside nobody are all.
    let mut lonely = site(0.0, 0.5, 8_000, 800);
    let learned = lonely.landing("s", "v", marked(0.0, None), &model);
    let learned = learned.expect("learned");
    let survival = learned.survival().expect("tokens came").likely;
    let law = learned.token_law().expect("tokens came");
    let alone = law.beside(PrivateReaders::None, &model).survival;
    assert!((alone - survival).abs() < 1e-6, "{survival} {law:?}");
}

/// On fronts, and of who comes again, others are not looked at: their links are all links.
#[test]
fn where_others_are_not_looked_at_links_keep_their_token_as_all_do() {
    let model = Model::builtin();
    let (mut calibrations, _) = site_of_groups(0.5);
    let all = {
        calibrations.landing("s", "v", marked(0.0, None), &model);
        learned_survival(&mut calibrations)
    };
    let learned = calibrations.learned("s").expect("learned");
    let law = learned.token_law().expect("tokens came");
    assert_eq!(law.on_fronts(&model).survival, all);
    let missing = |readers: Option<PrivateReaders>| {
        let weight = learned.missing_token(readers, &model);
        weight.expect("links carry tokens").dark.likely
    };
    assert!((missing(None) - (1.0 - all).ln()).abs() < 1e-5);
    assert!(missing(Some(PrivateReaders::None)) > missing(None));
    assert!(missing(None) > missing(Some(PrivateReaders::Many)));
    // Before a site has told, the mean of all is known and nothing of each kind.
    let usual = TokenLaw::usual(grapevine_event::VisitorBasis::Client, &model);
    let beside = usual.beside(PrivateReaders::Many, &model);
    assert_eq!(beside.survival, model.site.survival);
}

fn learned_survival(calibrations: &mut Calibrations) -> f64 {
    let learned = calibrations.learned("s").expect("learned");
    learned.survival().expect("tokens came").likely
}

proptest! {
    #[test]
    fn any_history_gives_numbers_and_a_snapshot_goes_on_the_same(
        landings in prop::collection::vec(
            (prop::num::f64::ANY, prop::num::f64::ANY, 0usize..3, any::<bool>(), any::<bool>(), any::<bool>()),
            0..300,
        ),
        cut in 0usize..300,
    ) {
        let model = Model::builtin();
        let mut whole = Calibrations::default();
        let mut resumed = Calibrations::default();
        for (at, (log_odds, company, readers, front, token, known)) in landings.iter().enumerate() {
            if at == cut {
                let bytes = to_bytes(1, &resumed).expect("writes");
                resumed = from_bytes(1, &bytes).expect("reads");
            }
            for calibrations in [&mut whole, &mut resumed] {
                if *known {
                    calibrations.known("s", seen(*token));
                }
                calibrations.visit("s", *known);
                if *known && *token {
                    calibrations.again("s");
                }
                let label = token.then(|| label(at));
                let readers = PrivateReaders::ALL[*readers];
                let landing = Marked {
                    company: *company,
                    private_readers: readers,
                    front: *front,
                    ..marked(*log_odds, label.as_deref())
                };
                if let Some(learned) = calibrations.landing("s", "v", landing, &model) {
                    let intercept = learned.intercept();
                    prop_assert!(intercept.low <= intercept.likely && intercept.likely <= intercept.high);
                    prop_assert!(intercept.low.is_finite() && intercept.high.is_finite());
                    if let Some(law) = learned.token_law() {
                        let law = match *front {
                            true => law.on_fronts(&model),
                            false => law.beside(readers, &model),
                        };
                        let private = law.private(*log_odds, &model);
                        prop_assert!(0.0 <= private.low && private.low <= private.likely);
                        prop_assert!(private.likely <= private.high && private.high <= 1.0);
                    }
                    if let Some(survival) = learned.survival() {
                        prop_assert!(0.0 < survival.low && survival.low <= survival.likely);
                        prop_assert!(survival.likely <= survival.high && survival.high < 1.0);
                    }
                }
            }
        }
        prop_assert_eq!(to_bytes(1, &whole), to_bytes(1, &resumed));
        let mut texts = [Vec::new(), Vec::new()];
        for (calibrations, text) in [&mut whole, &mut resumed].into_iter().zip(&mut texts) {
            calibrations.take_changed(5, "v", &model, &mut |record| text.push(format!("{record:?}")));
        }
        prop_assert_eq!(&texts[0], &texts[1]);
        prop_assert!(texts[0].iter().all(|text| !text.contains("NaN") && !text.contains("inf")));
    }
}
