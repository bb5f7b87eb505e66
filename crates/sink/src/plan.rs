//! What the sink is about to insert, written down before it does.
//!
//! The plan is the metadata of the sink's position: the position's offset acknowledges everything
//! below it, the plan says which rows follow. It is text, because Kafka keeps commit metadata as
//! text (at most 4096 bytes by default, hence [`MONTHS_MAX`]):
//! `plan 1 end=1500 encoder=1 rows=202402:20,202403:480`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::month::Month;

/// Months that one batch may touch: each is an insert of its own, and an entry of the plan.
pub(crate) const MONTHS_MAX: usize = 64;

const MARK: &str = "plan 1";

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
    /// The plan as commit metadata.
    pub(crate) fn to_metadata(&self) -> Vec<u8> {
        let mut text = format!("{MARK} end={} encoder={} rows=", self.end, self.encoder);
        for (index, (month, rows)) in self.rows.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(text, "{comma}{month}:{rows}");
        }
        text.into_bytes()
    }

    /// Reads commit metadata; `None` where it is no plan of this form.
    pub(crate) fn from_metadata(metadata: &[u8]) -> Option<Plan> {
        let text = std::str::from_utf8(metadata).ok()?;
        let fields = text.strip_prefix(MARK)?.strip_prefix(' ')?;
        let mut fields = fields.split(' ');
        let end = fields.next()?.strip_prefix("end=")?.parse().ok()?;
        let encoder = fields.next()?.strip_prefix("encoder=")?.parse().ok()?;
        let entries = fields.next()?.strip_prefix("rows=")?;
        let mut rows = BTreeMap::new();
        for entry in entries.split(',').filter(|entry| !entry.is_empty()) {
            let (month, count) = entry.split_once(':')?;
            let month = Month::from_number(month.parse().ok()?)?;
            rows.insert(month, count.parse().ok()?);
        }
        fields
            .next()
            .is_none()
            .then_some(Plan { end, encoder, rows })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_plan_reads_back(end: u64, encoder: u32, rows in prop::collection::btree_map(0i64..4_000_000_000_000, any::<u64>(), 0..MONTHS_MAX)) {
            let rows = rows.into_iter().filter_map(|(time, rows)| Some((Month::of_millis(time)?, rows))).collect();
            let plan = Plan { end, encoder, rows };
            let metadata = plan.to_metadata();
            prop_assert!(metadata.len() < 4096);
            prop_assert_eq!(Plan::from_metadata(&metadata), Some(plan));
        }

        #[test]
        fn other_metadata_is_no_plan(metadata in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(Plan::from_metadata(&metadata), None);
        }
    }

    #[test]
    fn a_plan_of_another_form_is_refused() {
        for text in [
            "",
            "plan 2 end=1 encoder=1 rows=",
            "plan 1 end=1 encoder=1 rows= more",
            "plan 1 end=x encoder=1 rows=",
            "plan 1 end=1 encoder=1 rows=202413:1",
        ] {
            assert_eq!(Plan::from_metadata(text.as_bytes()), None, "{text}");
        }
    }
}
