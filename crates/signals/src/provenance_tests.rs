//! Where every row of every table is from. A row that nobody can look up again is a rumour.

use crate::catalogue::provenance;

/// Rows of which something is known from memory only, where this was written. Public lists were
/// searched for each; lower it where one is found, never raise it.
const FROM_MEMORY_MAX: usize = 86;
/// Of these, rows that nothing but memory knows.
const FROM_MEMORY_ONLY_MAX: usize = 46;

/// How a source says that a part of a row is from memory: what part it is.
const FORMS: [&str; 6] = [
    "packages from memory",
    "some packages from memory",
    "from memory of ",
    "values from memory of ",
    "sender's address: from memory of ",
    "spelling from memory of ",
];

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

#[test]
fn memory_is_called_memory_and_grows_no_more() {
    let (mut all, mut only) = (0, 0);
    for (table, id, source, _) in provenance() {
        let parts: Vec<&str> = source.split("; ").collect();
        let of_memory = |part: &&&str| part.contains("memory");
        let remembered = parts.iter().filter(of_memory).count();
        for part in parts.iter().filter(of_memory) {
            assert!(
                FORMS.iter().any(|form| part.starts_with(form)),
                "{table} `{id}`: say what of it is from memory, in one of the forms {FORMS:?}: {part:?}"
            );
        }
        all += usize::from(remembered > 0);
        let rest = parts.iter().filter(|part| !of_memory(part));
        // A service's own domain is known from using it, which is no list to look up either.
        let listed = rest
            .filter(|part| !part.contains("own domain") && !part.starts_with("in none of"))
            .count();
        only += usize::from(remembered > 0 && listed == 0);
    }
    assert!(
        all <= FROM_MEMORY_MAX && only <= FROM_MEMORY_ONLY_MAX,
        "{all} rows lean on memory, {only} on nothing else: find a list, a vendor's page or a log \
         for the new one"
    );
}
