//! What the sink has put in, and what it is about to insert, written down before it does.
//!
//! Both are the metadata of the sink's position: the position's offset acknowledges everything
//! below it, the plan says which rows follow, and `before` how many rows lie below the offset. The
//! count moves in the same commit as the offset, so that an audit knows how many rows there must
//! be without knowing which offsets are records and which are Kafka's own marks of transactions.
//!
//! It is text, because Kafka keeps commit metadata as text (at most 4096 bytes by default, hence
//! [`MONTHS_MAX`]): `plan 2 end=1500 encoder=1 before=812 rows=202402:20,202403:480`, and where
//! nothing is planned `done 2 before=1312`. The first form, `plan 1 …`, had no count.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use grapevine_log::Position;

use crate::month::Month;

/// Months that one batch may touch: each is an insert of its own, and an entry of the plan.
pub(crate) const MONTHS_MAX: usize = 64;

/// A batch, decided on: the records from the position's offset to `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Offset that follows the last record.
    pub(crate) end: u64,
    /// Version of the encoder that decided which records give rows.
    pub(crate) encoder: u32,
    /// Rows of each month's block. Records that cannot be written give none.
    pub(crate) rows: BTreeMap<Month, u64>,
}

impl Plan {
    /// Rows of all blocks.
    pub(crate) fn rows_total(&self) -> u64 {
        self.rows
            .values()
            .fold(0, |sum, rows| sum.saturating_add(*rows))
    }
}

/// What the metadata of a position says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Rows that the records below the position gave; `None` where it does not say: it was set by
    /// hand, or is of a version that did not count. The sink counts them anew then
    /// ([`recount`](crate::recount)).
    pub(crate) before: Option<u64>,
    /// The batch that follows, where there is one.
    pub(crate) plan: Option<Plan>,
}

impl Standing {
    /// As commit metadata.
    pub(crate) fn to_metadata(&self) -> Vec<u8> {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = match &self.plan {
            Some(plan) => write!(text, "plan 2 end={} encoder={} ", plan.end, plan.encoder),
            None => write!(text, "done 2 "),
        };
        let _ = match self.before {
            Some(before) => write!(text, "before={before}"),
            None => write!(text, "before=?"),
        };
        if let Some(plan) = &self.plan {
            text.push_str(" rows=");
            for (index, (month, rows)) in plan.rows.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(text, "{comma}{month}:{rows}");
            }
        }
        text.into_bytes()
    }

    /// Reads a position's metadata; `None` where it is of no form known here.
    pub(crate) fn of(position: &Position) -> Option<Standing> {
        if position.metadata.is_empty() {
            return Some(Standing {
                // A position that was never committed has nothing below it.
                before: (position.offset == 0).then_some(0),
                plan: None,
            });
        }
        let text = std::str::from_utf8(&position.metadata).ok()?;
        let mut words = text.split(' ');
        let (form, version) = (words.next()?, words.next()?);
        let counted = match version {
            "1" if form == "plan" => false,
            "2" => true,
            _ => return None,
        };
        let mut field = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
        let planned = match form {
            "plan" => Some((field("end")?.parse().ok()?, field("encoder")?.parse().ok()?)),
            "done" => None,
            _ => return None,
        };
        let before = match counted.then(|| field("before")) {
            None => None,
            Some(Some("?")) => None,
            Some(count) => Some(count?.parse().ok()?),
        };
        let plan = match planned {
            None => None,
            Some((end, encoder)) => Some(Plan {
                end,
                encoder,
                rows: rows(field("rows")?)?,
            }),
        };
        words.next().is_none().then_some(Standing { before, plan })
    }
}

fn rows(entries: &str) -> Option<BTreeMap<Month, u64>> {
    let mut rows = BTreeMap::new();
    for entry in entries.split(',').filter(|entry| !entry.is_empty()) {
        let (month, count) = entry.split_once(':')?;
        let month = Month::from_number(month.parse().ok()?)?;
        rows.insert(month, count.parse().ok()?);
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(metadata: &[u8]) -> Option<Standing> {
        Standing::of(&Position {
            offset: 7,
            metadata: metadata.to_vec(),
        })
    }

    proptest! {
        #[test]
        fn a_standing_reads_back(
            end: u64,
            encoder: u32,
            before: Option<u64>,
            planned: bool,
            rows in prop::collection::btree_map(0i64..4_000_000_000_000, any::<u64>(), 0..MONTHS_MAX),
        ) {
            let rows = rows.into_iter().filter_map(|(time, rows)| Some((Month::of_millis(time)?, rows))).collect();
            let plan = planned.then_some(Plan { end, encoder, rows });
            let standing = Standing { before, plan };
            let metadata = standing.to_metadata();
            prop_assert!(metadata.len() < 4096);
            prop_assert_eq!(read(&metadata), Some(standing));
        }

        #[test]
        fn other_metadata_is_none(metadata in prop::collection::vec(any::<u8>(), 1..100)) {
            prop_assert_eq!(read(&metadata), None);
        }
    }

    #[test]
    fn the_form_without_a_count_is_still_read() {
        let standing = read(b"plan 1 end=9 encoder=1 rows=202402:2").expect("reads");
        assert_eq!(standing.before, None);
        let plan = standing.plan.expect("a plan");
        assert_eq!((plan.end, plan.rows_total()), (9, 2));
        let acknowledged = read(b"").expect("reads");
        assert_eq!(
            acknowledged,
            Standing {
                before: None,
                plan: None
            }
        );
        let never = Standing::of(&Position::default()).expect("reads");
        assert_eq!(never.before, Some(0));
    }

    #[test]
    fn another_form_is_refused() {
        for text in [
            " ",
            "plan 3 end=1 encoder=1 before=1 rows=",
            "done 1 before=1",
            "plan 1 end=1 encoder=1 rows= more",
            "plan 1 end=x encoder=1 rows=",
            "plan 1 end=1 encoder=1 rows=202413:1",
            "plan 2 end=1 encoder=1 rows=202412:1",
            "done 2 before=x",
            "done 2 before=1 rows=",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}
