//! R of a whole site, from what the records of its contents hold.
//!
//! A content's R is (X + c) / (E + n): X expected readers to whom somebody passed the link on, E
//! readers who count each by the part of its children that should have come by then, and a weak
//! prior of c children of n readers. A record has X and R, so E follows. R of a site is the same of
//! all X and all E, with the prior once: a mean of the contents' own R would count the prior as
//! often as there are contents, and most contents have a reader or two.

use grapevine_inference::causes::{self, PRIOR_CHILDREN, PRIOR_READERS, Range};

use crate::report::figures::Estimate;

/// ClickHouse's expression of E over the records that a query selects, in readers; 0 to those that
/// are settled.
pub(super) fn exposed_sql() -> String {
    format!(
        "sum(least(toFloat64(settled), greatest(0., (chain_arrivals + {PRIOR_CHILDREN:?}) / reproduction - {PRIOR_READERS:?})))"
    )
}

/// R where `shared` readers came by links of `exposed` ones, with the range that holds it in 80 of
/// 100 cases: what chance leaves of a count of that size, and the range of `shared`.
pub(super) fn reproduction(shared: Estimate, exposed: f64) -> Estimate {
    let shared = Range {
        low: shared.low,
        likely: shared.expected.max(0.0),
        high: shared.high,
    };
    let found = causes::reproduction(shared, exposed.max(0.0));
    Estimate {
        expected: found.likely,
        low: found.low,
        high: found.high,
    }
}

#[cfg(test)]
mod tests {
    use grapevine_inference::causes::{
        Arrival, MarkLaws, Metrics, Scratch, Shape, Spread, Weights,
    };

    use super::*;

    /// A content that so many read, one a minute, as known so many minutes after the last.
    fn content(readers: u32, minutes: i64) -> (Shape, Metrics) {
        let (weights, laws) = (Weights::builtin(), MarkLaws::default());
        let mut scratch = Scratch::default();
        let mut spread = Spread::new(7, 0);
        let mut now = 0;
        for reader in 1..=readers {
            now += 60_000;
            let arrival = Arrival::new(u64::from(reader), now);
            spread.consider(&arrival, &weights, &laws, &mut scratch);
            spread.admit(&arrival, &weights, &scratch);
        }
        while spread.settle(true, &weights, &laws, &mut scratch).is_some() {}
        let shape = spread.shape(&weights);
        (shape, spread.metrics(now + minutes * 60_000, &weights))
    }

    fn shared(shape: &Shape) -> Estimate {
        let settled = shape.arrivals as f64;
        Estimate {
            expected: shape.shared.likely * settled,
            low: shape.shared.low * settled,
            high: shape.shared.high * settled,
        }
    }

    /// E of one record, as [`exposed_sql`] has it.
    fn exposed(shape: &Shape, metrics: &Metrics) -> f64 {
        let children = shared(shape).expected + PRIOR_CHILDREN;
        children / metrics.reproduction.likely - PRIOR_READERS
    }

    #[test]
    fn a_record_holds_how_much_of_its_readers_children_should_have_come() {
        for readers in [1, 3, 40] {
            let all = f64::from(readers);
            // In decades all have.
            let (shape, metrics) = content(readers, 20_000_000);
            let late = exposed(&shape, &metrics);
            assert!((late / all - 1.0).abs() < 0.01, "{late} of {readers}");
            let (shape, metrics) = content(readers, 1);
            let soon = exposed(&shape, &metrics);
            assert!(soon > 0.0 && soon < 0.5 * all, "{soon} of {readers}");
        }
    }

    #[test]
    fn one_content_alone_has_its_own_r() {
        for minutes in [1, 60, 100_000] {
            let (shape, metrics) = content(40, minutes);
            let own = metrics.reproduction;
            let pooled = reproduction(shared(&shape), exposed(&shape, &metrics));
            assert!((pooled.expected - own.likely).abs() < 1e-9, "{pooled:?}");
            // The range of a number of readers has chance in it, too.
            assert!(pooled.low <= own.low + 1e-9, "{pooled:?} {own:?}");
            assert!(pooled.high >= own.high - 1e-9, "{pooled:?} {own:?}");
            assert!(pooled.high < 1.5 * own.high, "{pooled:?} {own:?}");
        }
    }

    #[test]
    fn of_many_contents_the_prior_counts_once() {
        let nobody = reproduction(Estimate::default(), 1_000.0);
        assert!(nobody.expected < 0.001 && nobody.high < 0.003, "{nobody:?}");
        let sure = |count| Estimate {
            expected: count,
            low: count,
            high: count,
        };
        let many = reproduction(sure(400.0), 1_000.0);
        assert!((many.expected - 0.4).abs() < 0.001, "{many:?}");
        // The root of 400, times 1.28.
        let above = many.high - many.expected;
        assert!((above - 0.0256).abs() < 0.001, "{many:?}");
        // Half of the children are still to come.
        let young = reproduction(sure(400.0), 500.0);
        assert!((young.expected - 0.8).abs() < 0.005, "{young:?}");
    }
}
