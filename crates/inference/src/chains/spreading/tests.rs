//! Histories through [`Chains`], and what is found in them.

use std::collections::BTreeMap;

use grapevine_event::{AddressOf, Edge, EdgeMethod, Id, ParentKind, Share, ShareKind};
use proptest::prelude::*;

use super::*;
use crate::chains::{Arrival, Cause, Chains, Gift, Judgement, Place};
use crate::{from_bytes, to_bytes};

const SITE: &str = "example.org";
const T0: i64 = 1_760_000_000_000;
const HOUR: i64 = 3_600_000;

/// What was found, owned.
#[derive(Debug, Default, PartialEq)]
struct Found {
    edges: Vec<Edge<'static>>,
    spreads: Vec<grapevine_event::Spread<'static>>,
    models: Vec<grapevine_event::ChainModel<'static>>,
}

impl Found {
    fn take(&mut self, finding: Finding<'_>) {
        let own = |text: &str| text.to_owned().into();
        match finding {
            Finding::Edge(edge) => self.edges.push(Edge {
                site: SITE,
                content: own(&edge.content),
                parent_app: own(&edge.parent_app),
                child_app: own(&edge.child_app),
                model_version: own(&edge.model_version),
                ..edge
            }),
            Finding::Spread(spread) => self.spreads.push(grapevine_event::Spread {
                site: SITE,
                content: own(&spread.content),
                model_version: own(&spread.model_version),
                ..spread
            }),
            Finding::Model(model) => self.models.push(grapevine_event::ChainModel {
                site: SITE,
                version: own(&model.version),
                learned_from: own(&model.learned_from),
                weights: own(&model.weights),
                ..model
            }),
        }
    }

    /// Sum of the probabilities of each child's causes.
    fn sums(&self) -> BTreeMap<Id, f64> {
        let mut sums = BTreeMap::new();
        for edge in &self.edges {
            *sums.entry(edge.child_visit).or_default() +=
                f64::from(edge.probability) * f64::from(edge.sign);
        }
        sums
    }

    fn of(&self, child: Id) -> Vec<&Edge<'static>> {
        let edges = self.edges.iter();
        edges.filter(|edge| edge.child_visit == child).collect()
    }
}

/// The stage in little: certain edges at once, as it writes them, and whatever else is found.
#[derive(Default)]
struct World {
    chains: Chains,
    found: Found,
}

#[derive(Clone, Copy, Debug)]
struct Landing<'a> {
    number: u64,
    content: &'a str,
    visitor: Option<i64>,
    time: i64,
    app: &'a str,
    token: Option<&'a str>,
    given: Option<&'a str>,
    network: Option<i64>,
    outside: bool,
    dark: f32,
}

impl<'a> Landing<'a> {
    fn new(number: u64, content: &'a str, time: i64) -> Self {
        Landing {
            number,
            content,
            visitor: Some(number as i64),
            time,
            app: "",
            token: None,
            given: None,
            network: None,
            outside: false,
            dark: 0.5,
        }
    }
}

fn visit(number: u64) -> Id {
    Id::builder("test").number(number).finish()
}

impl World {
    fn land(&mut self, landing: &Landing<'_>) -> Place {
        let arrival = Arrival {
            site: SITE,
            content: landing.content,
            visit: visit(landing.number),
            visitor: landing.visitor,
            time: landing.time,
            app: landing.app,
            incoming_token: landing.token,
            share_token: landing.given,
            network: landing.network,
        };
        let place = self.chains.arrive(&arrival);
        let known = match place.cause {
            Cause::Parent { visit, .. } => Some((Some(visit), ParentKind::Visitor)),
            Cause::SomeShare => Some((None, ParentKind::Unknown)),
            _ => None,
        };
        if let Some((parent, kind)) = known {
            self.found.edges.push(Edge {
                site: SITE,
                content: landing.content.to_owned().into(),
                child_visit: arrival.visit,
                parent_visit: parent,
                time: landing.time,
                method: EdgeMethod::Token,
                probability: 1.0,
                lag_ms: None,
                parent_app: "".into(),
                child_app: landing.app.to_owned().into(),
                model_version: "".into(),
                parent_kind: kind,
                sign: 1,
            });
        }
        let judgement = Judgement {
            outside: landing.outside,
            dark: [landing.dark * 0.5, landing.dark, 0.5 + landing.dark * 0.5],
            device: 0,
        };
        let found = &mut self.found;
        let emit = &mut |finding: Finding<'_>| found.take(finding);
        self.chains.read(&arrival, &place, &judgement, emit);
        place
    }

    fn preview(&mut self, number: u64, content: &str, time: i64, token: Option<&str>) {
        let share = Share {
            share_id: Id::builder("act").number(number).finish(),
            site: SITE,
            time,
            content: content.into(),
            kind: ShareKind::Preview,
            app: "whatsapp".into(),
            private: Some(true),
            probability: 0.95,
            address_of: AddressOf::Sender,
            network: Some(7),
            visitor: None,
            sharer_visit: None,
            token: token.map(Into::into),
        };
        let sharer = self.chains.share(&share);
        let found = &mut self.found;
        let emit = &mut |finding: Finding<'_>| found.take(finding);
        self.chains.pass_on(&share, sharer, emit);
    }

    fn give(&mut self, content: &str, sharer: u64, time: i64, token: &str) {
        self.chains.give(&Gift {
            site: SITE,
            content,
            visit: visit(sharer),
            visitor: Some(sharer as i64),
            time,
            token,
        });
        let found = &mut self.found;
        let emit = &mut |finding: Finding<'_>| found.take(finding);
        self.chains
            .adopt(SITE, content, token, Some(sharer as i64), emit);
    }

    fn end(&mut self) {
        let found = &mut self.found;
        self.chains.import_ended(&mut |finding| found.take(finding));
    }

    fn reload(&mut self) {
        let bytes = to_bytes(1, &self.chains).expect("writes");
        self.chains = from_bytes(1, &bytes).expect("reads");
        assert_eq!(to_bytes(1, &self.chains).expect("writes"), bytes);
    }
}

/// One step of a generated history.
#[derive(Clone, Debug)]
enum Step {
    Land {
        visitor: Option<i64>,
        content: usize,
        /// Token of the step so many before; of nobody where there is none.
        token: Option<usize>,
        outside: bool,
        dark: u8,
        app: usize,
        gives: bool,
    },
    Preview {
        content: usize,
        token: Option<usize>,
    },
    Heartbeat,
}

fn steps(most: usize) -> impl Strategy<Value = Vec<(Step, i64)>> {
    let land = (
        prop::option::weighted(0.9, 0i64..60),
        0usize..2,
        prop::option::weighted(0.3, 1usize..30),
        prop::bool::weighted(0.3),
        any::<u8>(),
        (0usize..3, prop::bool::weighted(0.7)),
    )
        .prop_map(|(visitor, content, token, outside, dark, (app, gives))| {
            let outside = outside && token.is_none();
            Step::Land {
                visitor,
                content,
                token,
                outside,
                dark,
                app,
                gives,
            }
        });
    let step = prop_oneof![
        10 => land,
        2 => (0usize..2, prop::option::of(1usize..30))
            .prop_map(|(content, token)| Step::Preview { content, token }),
        1 => Just(Step::Heartbeat),
    ];
    let after =
        prop_oneof![6 => 0i64..60_000, 2 => 0i64..HOUR, 1 => HOUR..30 * HOUR, 1 => -20_000i64..0];
    prop::collection::vec((step, after), 1..most)
}

const CONTENTS: [&str; 2] = ["https://example.org/a", "https://example.org/b"];
const APPS: [&str; 3] = ["", "whatsapp", "telegram"];

fn tell(world: &mut World, at: usize, step: &Step, time: i64) {
    let token_of = |back: &usize| format!("t{}", at.saturating_sub(*back));
    match step {
        Step::Land {
            visitor,
            content,
            token,
            outside,
            dark,
            app,
            gives,
        } => {
            let (token, given) = (token.as_ref().map(token_of), format!("t{at}"));
            world.land(&Landing {
                number: at as u64,
                content: CONTENTS[*content],
                visitor: *visitor,
                time,
                app: APPS[*app],
                token: token.as_deref(),
                given: gives.then_some(given.as_str()),
                network: Some((at % 5) as i64),
                outside: *outside,
                dark: f32::from(*dark) / 255.0,
            });
        }
        Step::Preview { content, token } => {
            let token = token.as_ref().map(token_of);
            world.preview(at as u64, CONTENTS[*content], time, token.as_deref());
        }
        Step::Heartbeat => {
            let found = &mut world.found;
            world
                .chains
                .heartbeat(time, &mut |finding| found.take(finding));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn causes_sum_to_one_and_a_restart_changes_nothing(steps in steps(300), restart_at in 0usize..300) {
        let (mut calm, mut rough) = (World::default(), World::default());
        let mut time = T0;
        for (at, (step, after)) in steps.iter().enumerate() {
            time += after;
            tell(&mut calm, at, step, time);
            if at == restart_at {
                rough.reload();
            }
            tell(&mut rough, at, step, time);
        }
        for world in [&mut calm, &mut rough] {
            world.end();
            // What lived by the collector's clock settles when that goes on.
            let found = &mut world.found;
            for days in 1..40 {
                let emit = &mut |finding: Finding<'_>| found.take(finding);
                world.chains.heartbeat(time + days * 24 * HOUR, emit);
            }
        }
        prop_assert_eq!(&calm.found, &rough.found);
        prop_assert_eq!(to_bytes(1, &calm.chains), to_bytes(1, &rough.chains));
        for (child, sum) in calm.found.sums() {
            // Of a token that its own reader brought, what was said first is taken back.
            prop_assert!((sum - 1.0).abs() < 1e-5 || sum.abs() < 1e-9, "{:?}: {}", child, sum);
        }
        for edge in &calm.found.edges {
            prop_assert!((0.0..=1.0).contains(&edge.probability), "{:?}", edge);
            prop_assert!(edge.parent_visit != Some(edge.child_visit), "{:?}", edge);
        }
        for spread in &calm.found.spreads {
            prop_assert!(spread.settled <= spread.arrivals);
            let shared = [spread.chain_arrivals_low, spread.chain_arrivals, spread.chain_arrivals_high];
            prop_assert!(shared.is_sorted() && shared[0] >= 0.0, "{:?}", spread);
            prop_assert!(shared[2] <= spread.settled as f64 + 1e-6, "{:?}", spread);
            let breadth: f64 = spread.breadth.iter().sum();
            prop_assert!((breadth - spread.settled as f64).abs() < 1e-3, "{:?}", spread);
            let ratio = [spread.reproduction_low, spread.reproduction, spread.reproduction_high];
            prop_assert!(ratio.is_sorted() && ratio.iter().all(|r| r.is_finite()), "{:?}", spread);
        }
        let newest: BTreeMap<_, _> =
            calm.found.spreads.iter().map(|spread| ((&spread.content, spread.started), spread)).collect();
        for spread in newest.values() {
            prop_assert_eq!(spread.settled, spread.arrivals, "the last record has everybody");
        }
    }

    /// What comes within the five seconds that things are held for may come in any order.
    #[test]
    fn the_order_within_seconds_does_not_matter(
        gaps in prop::collection::vec(0i64..3_000, 20..120),
        swaps in prop::collection::vec((any::<prop::sample::Index>(), 1usize..3), 0..40),
    ) {
        let mut time = T0;
        let mut landings: Vec<Landing<'_>> = Vec::new();
        for (number, gap) in (0..).zip(&gaps) {
            time += gap;
            let content = CONTENTS[(number % 3 == 0) as usize];
            let mut landing = Landing::new(number, content, time);
            landing.outside = number % 4 == 1;
            landing.app = APPS[(number % 3) as usize];
            landing.dark = (number % 10) as f32 / 10.0;
            landings.push(landing);
        }
        let told = |landings: &[Landing<'_>]| {
            let mut world = World::default();
            // Apps are numbered as they come.
            for app in APPS {
                world.chains.forest.app(app);
            }
            landings.iter().for_each(|landing| { world.land(landing); });
            world.end();
            world.found
        };
        let calm = told(&landings);
        let mut mixed = landings.clone();
        for (at, by) in swaps {
            let at = at.index(mixed.len() - by);
            let apart = (mixed[at].time - mixed[at + by].time).abs();
            let between = mixed[at..=at + by].iter().map(|landing| landing.time);
            let newest = mixed[..=at + by].iter().map(|landing| landing.time).max();
            let oldest = between.min();
            // Nothing may come after what it should have come before has been taken.
            if apart < HOLD_MS && newest.zip(oldest).is_some_and(|(newest, oldest)| newest - oldest < HOLD_MS) {
                mixed.swap(at, at + by);
            }
        }
        prop_assert_eq!(told(&mixed), calm);
    }
}

#[test]
fn a_grey_reader_shortly_after_one_of_his_network_is_his() {
    let mut world = World::default();
    for number in 0..60 {
        let mut landing = Landing::new(number, CONTENTS[0], T0 + number as i64 * 600_000);
        landing.network = Some(1_000 + number as i64);
        landing.outside = number % 2 == 0;
        world.land(&landing);
    }
    let mut child = Landing::new(60, CONTENTS[0], T0 + 60 * 600_000);
    (child.network, child.dark) = (Some(1_055), 0.95);
    world.land(&child);
    world.end();
    let edges = world.found.of(visit(60));
    let named = edges.iter().filter(|edge| edge.parent_visit.is_some());
    let likeliest = named
        .max_by(|a, b| a.probability.total_cmp(&b.probability))
        .expect("has causes");
    assert_eq!(likeliest.parent_visit, Some(visit(55)), "{edges:?}");
    assert_eq!(likeliest.lag_ms, Some(5 * 600_000));
    assert_eq!(likeliest.method, EdgeMethod::Inferred);
    assert!(
        edges
            .iter()
            .any(|edge| edge.parent_kind == ParentKind::Outside)
    );
}

#[test]
fn an_act_that_was_seen_is_a_cause_of_its_own() {
    let mut world = World::default();
    for number in 0..6 {
        let mut landing = Landing::new(number, CONTENTS[0], T0 + number as i64 * 4 * HOUR);
        landing.outside = true;
        world.land(&landing);
    }
    let time = T0 + 30 * HOUR;
    world.preview(1, CONTENTS[0], time, None);
    let mut child = Landing::new(9, CONTENTS[0], time + 30_000);
    (child.app, child.dark) = ("whatsapp", 0.97);
    world.land(&child);
    world.end();
    let edges = world.found.of(visit(9));
    let seen: f32 = edges
        .iter()
        .filter(|edge| edge.method == EdgeMethod::Preview)
        .map(|edge| edge.probability)
        .sum();
    assert!(seen > 0.3, "{edges:?}");
    let act = edges
        .iter()
        .find(|edge| edge.parent_kind == ParentKind::Act);
    if let Some(act) = act {
        assert_eq!((act.lag_ms, &*act.parent_app), (Some(30_000), "whatsapp"));
    }
    let spread = world.found.spreads.last().expect("written");
    assert_eq!((spread.arrivals, spread.shares), (7, 1));
}

#[test]
fn forged_foreign_and_own_tokens_have_a_defined_result() {
    let mut world = World::default();
    let mut owner = Landing::new(1, CONTENTS[0], T0);
    owner.given = Some("own");
    world.land(&owner);
    // Forged: a share of somebody never seen.
    let mut forged = Landing::new(2, CONTENTS[0], T0 + HOUR);
    forged.token = Some("forged");
    assert_eq!(world.land(&forged).cause, Cause::SomeShare);
    // Of another content: the same.
    let mut foreign = Landing::new(3, CONTENTS[1], T0 + HOUR);
    foreign.token = Some("own");
    assert_eq!(world.land(&foreign).cause, Cause::SomeShare);
    // One's own: a return, and no reader.
    let mut back = Landing::new(4, CONTENTS[0], T0 + 2 * HOUR);
    (back.visitor, back.token) = (Some(1), Some("own"));
    assert_eq!(world.land(&back).cause, Cause::Return);
    // A circle: who was passed a link passes it back.
    let mut child = Landing::new(5, CONTENTS[0], T0 + 3 * HOUR);
    (child.token, child.given) = (Some("own"), Some("child"));
    world.land(&child);
    let mut circle = Landing::new(6, CONTENTS[0], T0 + 4 * HOUR);
    (circle.visitor, circle.token) = (Some(1), Some("child"));
    world.land(&circle);
    world.end();
    let kinds = |number| -> Vec<(ParentKind, Option<Id>)> {
        let edges = world.found.of(visit(number));
        edges
            .iter()
            .map(|edge| (edge.parent_kind, edge.parent_visit))
            .collect()
    };
    assert_eq!(kinds(2), [(ParentKind::Unknown, None)]);
    assert_eq!(kinds(3), [(ParentKind::Unknown, None)]);
    assert_eq!(kinds(4), []);
    assert_eq!(kinds(5), [(ParentKind::Visitor, Some(visit(1)))]);
    assert_eq!(kinds(6), [], "nobody is below himself");
    let of_first = |spread: &&grapevine_event::Spread<'_>| spread.content == CONTENTS[0];
    let spread = world.found.spreads.iter().rfind(of_first).expect("written");
    assert_eq!(
        (spread.arrivals, spread.certain_shares, spread.tokens),
        (3, 1, 2)
    );
}

#[test]
fn a_token_whose_owner_is_told_later_takes_back_what_was_said() {
    for held in [true, false] {
        let mut world = World::default();
        for number in 0..4 {
            world.land(&Landing::new(
                number,
                CONTENTS[0],
                T0 + number as i64 * 60_000,
            ));
        }
        let mut child = Landing::new(7, CONTENTS[0], T0 + HOUR);
        child.token = Some("later");
        assert_eq!(world.land(&child).cause, Cause::SomeShare);
        if !held {
            world.end();
        }
        world.give(CONTENTS[0], 2, T0 + HOUR + 2_000, "later");
        world.end();
        let edges = world.found.of(visit(7));
        let said: Vec<_> = edges
            .iter()
            .map(|edge| (edge.parent_kind, edge.parent_visit, edge.sign))
            .collect();
        let owner = Some(visit(2));
        assert_eq!(
            said,
            [
                (ParentKind::Unknown, None, 1),
                (ParentKind::Unknown, None, -1),
                (ParentKind::Visitor, owner, 1)
            ]
        );
        assert!((world.found.sums()[&visit(7)] - 1.0).abs() < 1e-9);
        let spread = world.found.spreads.last().expect("written");
        assert_eq!(spread.certain_shares, 1, "{held}");
        assert_eq!(world.chains.not_followed().late_tokens, 0);
    }
    // His own token: nothing is proven.
    let mut world = World::default();
    let mut child = Landing::new(7, CONTENTS[0], T0);
    child.token = Some("mine");
    world.land(&child);
    world.give(CONTENTS[0], 7, T0 + 60_000, "mine");
    world.end();
    assert_eq!(world.found.sums().get(&visit(7)), Some(&1.0));
}

#[test]
fn a_clock_gone_wrong_settles_nobody_else() {
    let mut world = World::default();
    for number in 0..20 {
        world.land(&Landing::new(
            number,
            CONTENTS[0],
            T0 + number as i64 * 1_000,
        ));
    }
    world.land(&Landing::new(20, CONTENTS[1], T0 + 70 * 365 * 24 * HOUR));
    world.land(&Landing::new(21, CONTENTS[1], i64::MIN));
    let mut closed = world.found.spreads.iter().filter(|spread| spread.closed);
    assert!(
        closed.all(|spread| spread.content != CONTENTS[0]),
        "a day may pass, not a lifetime"
    );
    world.land(&Landing::new(22, CONTENTS[0], T0 + 30_000));
    world.end();
    let spread = world
        .found
        .spreads
        .iter()
        .rfind(|spread| spread.content == CONTENTS[0]);
    assert_eq!(spread.expect("written").settled, 21);
}

#[test]
fn a_rush_of_readers_stays_within_bounds() {
    let mut world = World::default();
    for number in 0..120_000u64 {
        let time = T0 + (number / 2) as i64;
        world.land(&Landing::new(number, CONTENTS[0], time));
        // Nothing that is found is kept.
        if number % 1_000 == 0 {
            world.found.edges.clear();
        }
    }
    world.end();
    let spread = world.found.spreads.last().expect("written");
    assert_eq!((spread.arrivals, spread.settled), (120_000, 120_000));
    assert!(
        world.found.spreads.len() < 150,
        "{}",
        world.found.spreads.len()
    );
    let (_, followed) = world.chains.spreading.contents[1].oldest().expect("there");
    let bytes = followed.spread.bytes() + followed.acts.capacity() * 24;
    assert!(
        bytes + std::mem::size_of::<Followed>() <= 16 * 1_024 + 512,
        "{bytes}"
    );
}

#[test]
fn addresses_of_any_kind_are_followed_or_counted() {
    let long = format!("https://example.org/{}", "a".repeat(65_000));
    let mut world = World::default();
    world.land(&Landing::new(1, &long, T0));
    for (number, content) in (2..).zip([
        "https://xn--e1afmkfd.example/\u{43f}\u{440}\u{438}\u{43c}\u{435}\u{440}?q=\u{202e}",
        "",
        "\0\n",
    ]) {
        world.land(&Landing::new(number, content, T0 + number as i64));
        world.land(&Landing::new(
            number + 100,
            content,
            T0 + 60_000 + number as i64,
        ));
    }
    world.end();
    assert_eq!(world.chains.not_followed().long_contents, 1);
    assert_eq!(world.found.of(visit(1)), Vec::<&Edge<'_>>::new());
    assert_eq!(world.found.sums().len(), 6);
}

#[test]
fn a_quiet_content_settles_by_time_and_is_closed_in_the_end() {
    let mut world = World::default();
    world.chains.heartbeat(T0, &mut |_| {});
    for number in 0..3 {
        world.land(&Landing::new(
            number,
            CONTENTS[0],
            T0 + number as i64 * 60_000,
        ));
    }
    let at = |time: i64, world: &mut World| {
        let found = &mut world.found;
        world
            .chains
            .heartbeat(time, &mut |finding| found.take(finding));
        (world.found.edges.len() > 0, world.found.spreads.len())
    };
    assert_eq!(at(T0 + SETTLE_MS - 60_000, &mut world), (false, 0));
    assert_eq!(at(T0 + SETTLE_MS + 3 * 60_000, &mut world), (true, 1));
    assert_eq!(world.found.spreads[0].settled, 3);
    // Event time goes on by a day at most with one record.
    for day in 1..=33 {
        at(T0 + day * 24 * HOUR, &mut world);
    }
    let spread = world.found.spreads.last().expect("written");
    assert!(spread.closed && world.found.spreads.len() == 2);
    world.land(&Landing::new(9, CONTENTS[0], T0 + 33 * 24 * HOUR));
    for day in 34..=35 {
        at(T0 + day * 24 * HOUR, &mut world);
    }
    let spread = world.found.spreads.last().expect("written");
    assert_eq!(
        (spread.arrivals, spread.closed),
        (1, false),
        "it starts anew"
    );
}

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
