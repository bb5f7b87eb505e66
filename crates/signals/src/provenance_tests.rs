//! Where every row of every table is from. A row that nobody can look up again is a rumour.

use crate::catalogue::{is_date, provenance};

#[test]
fn every_row_of_every_table_has_a_source_and_a_date() {
    let rows = provenance();
    assert!(rows.len() > 1_000, "{} rows", rows.len());
    for (table, id, source, date) in &rows {
        assert!(source.len() > 3, "{table} `{id}`: no source");
        assert!(
            is_date(date) && ("2010".."2100").contains(&&date[..4]),
            "{table} `{id}`: date {date:?} is no YYYY, YYYY-MM or YYYY-MM-DD"
        );
    }
}

#[test]
fn dates_are_years_months_and_days_that_there_are() {
    for date in ["2026", "2026-01", "2026-12", "2026-11-30", "2028-02-29"] {
        assert!(is_date(date), "{date}");
    }
    for none in [
        "",
        "26",
        "20261",
        "2026-",
        "2026-1",
        "2026-00",
        "2026-13",
        "2026-02-29",
        "2026-04-31",
        "2026-11-00",
        "2026-11-30-1",
        "2026-xx",
        "2026 11",
        "+026",
        "-2026",
    ] {
        assert!(!is_date(none), "{none}");
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
