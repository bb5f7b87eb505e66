//! Where every row of every table is from. A row that nobody can look up again is a rumour.

use crate::catalogue::provenance;

#[test]
fn every_row_of_every_table_has_a_source_and_a_date() {
    let rows = provenance();
    assert!(rows.len() > 1_000, "{} rows", rows.len());
    for (table, id, source, date) in &rows {
        assert!(source.len() > 3, "{table} `{id}`: no source");
        let parts: Vec<&str> = date.split('-').collect();
        let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        assert!(
            matches!(lengths[..], [4] | [4, 2] | [4, 2, 2]),
            "{table} `{id}`: date {date:?} is no YYYY, YYYY-MM or YYYY-MM-DD"
        );
        let numbers: Vec<u32> = parts.iter().filter_map(|part| part.parse().ok()).collect();
        assert!(
            numbers.len() == parts.len() && (2010..2100).contains(&numbers[0]),
            "{table} `{id}`: date {date:?}"
        );
    }
}

/// A list, a vendor's page, a log or a file of a public code index can be looked up again.
#[test]
fn no_row_is_from_memory() {
    for (table, id, source, _) in provenance() {
        let said = source.to_lowercase();
        for word in ["memory", "folklore", "hearsay"] {
            assert!(
                !said.contains(word),
                "{table} `{id}`: find a list, a vendor's page or a log: {source:?}"
            );
        }
    }
}
