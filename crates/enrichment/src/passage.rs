//! Which task a heartbeat came through: the partition behind the name of its source.

/// The source of a heartbeat that came through a partition.
pub(crate) fn mark(source: &str, partition: i32) -> String {
    format!("{source}#{partition}")
}

/// The source and the partition of a heartbeat that was marked.
pub(crate) fn unmark(marked: &str) -> Option<(&str, usize)> {
    let (source, partition) = marked.rsplit_once('#')?;
    Some((source, partition.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_whatever_the_name() {
        for source in ["collector", "a#1", "#", ""] {
            assert_eq!(unmark(&mark(source, 12)), Some((source, 12)));
        }
        assert_eq!(unmark("collector"), None);
        assert_eq!(unmark("collector#x"), None);
        assert_eq!(unmark("collector#-1"), None);
    }
}
