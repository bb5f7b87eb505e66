//! What holds of any history.

use proptest::prelude::*;

use super::*;

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
                // Passed on for certain, and more and less likely than the reader's own.
                passed_on: [1.0, 0.75, 0.25][usize::from(*dark) % 3],
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
            let emit = &mut |finding: Finding<'_>| found.take(finding);
            world.chains.heartbeat(time + 40 * 24 * HOUR, emit);
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
            let posted = [spread.broadcast_arrivals_low, spread.broadcast_arrivals, spread.broadcast_arrivals_high];
            prop_assert!(posted.is_sorted(), "{:?}", spread);
            let most = Some(spread.certain_shares as f64);
            prop_assert!(spread.broadcast_arrivals_high.is_none() || spread.broadcast_arrivals_high <= most, "{:?}", spread);
            prop_assert_eq!(spread.broadcast_arrivals.is_some(), spread.certain_shares > 0);
            let factor = [spread.k_factor_low, spread.k_factor, spread.k_factor_high];
            prop_assert!(factor.is_sorted() && factor[2] <= Some(1.0), "{:?}", spread);
            prop_assert_eq!(spread.k_factor.is_some(), spread.settled > 0);
            let half = [spread.half_life_seconds_low, spread.half_life_seconds, spread.half_life_seconds_high];
            prop_assert!(half.is_sorted() && half[0].is_none_or(|half| half >= 0.0), "{:?}", spread);
            let ratio = [spread.reproduction_low, spread.reproduction, spread.reproduction_high];
            prop_assert!(ratio.is_sorted() && ratio.iter().all(|r| r.is_finite()), "{:?}", spread);
            let now = [spread.reproduction_now_low, spread.reproduction_now, spread.reproduction_now_high];
            prop_assert!(now.is_sorted(), "{:?}", spread);
            let depth = [spread.depth_low, spread.depth, spread.depth_high];
            prop_assert!(depth.is_sorted(), "{:?}", spread);
            let virality = [
                spread.structural_virality_low,
                spread.structural_virality,
                spread.structural_virality_high,
            ];
            prop_assert!(virality.is_sorted(), "{:?}", spread);
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
        // Sharers who came well before: whose token it is does not hang on the order of moments.
        let sharers: Vec<Landing<'_>> = [("t0", 0), ("t1", 1)]
            .into_iter()
            .map(|(token, content)| Landing {
                given: Some(token),
                ..Landing::new(1_000 + content as u64, CONTENTS[content], T0 - HOUR)
            })
            .collect();
        for (number, gap) in (0..).zip(&gaps) {
            time += gap;
            let content = CONTENTS[(number % 3 == 0) as usize];
            let mut landing = Landing::new(number, content, time);
            landing.outside = number % 4 == 1;
            landing.token = match (number % 5, content == CONTENTS[0]) {
                (2, true) => Some("t0"),
                (2, false) => Some("t1"),
                _ => None,
            };
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
            sharers.iter().chain(landings).for_each(|landing| { world.land(landing); });
            world.end();
            // Certain edges are written as they come, one by one.
            world.found.edges.sort_by_key(|edge| (edge.time, edge.child_visit, edge.parent_kind));
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
        let posted = calm.spreads.iter().filter_map(|spread| spread.broadcast_probability);
        prop_assert!(posted.clone().all(|posted| (0.0..=1.0).contains(&posted)));
        prop_assert_eq!(told(&mixed), calm);
    }
}
