//! A figure as the tables of `grapevine evaluate` have it: a dash where nothing counts for it.

/// What stands in a table for a figure that nothing counts for.
const NOTHING: &str = "–";

/// A figure with so many digits behind the point.
pub(super) fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| NOTHING.to_owned(), |value| format!("{value:.digits$}"))
}

/// A part of a whole in percent, without the sign.
pub(super) fn percent(part: Option<f64>, digits: usize) -> String {
    figure(part.map(|part| part * 100.0), digits)
}

/// A difference, always with its sign.
pub(super) fn signed(difference: Option<f64>, digits: usize) -> String {
    difference.map_or_else(
        || NOTHING.to_owned(),
        |difference| format!("{difference:+.digits$}"),
    )
}

/// A difference of parts in points, always with its sign.
pub(super) fn points(difference: Option<f64>, digits: usize) -> String {
    signed(difference.map(|difference| difference * 100.0), digits)
}

/// A part of a whole in percent, with the sign, as a sentence has it.
pub(super) fn in_percent(part: Option<f64>) -> String {
    part.map_or_else(
        || NOTHING.to_owned(),
        |part| format!("{:.1} %", part * 100.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_a_dash_and_nought_is_not() {
        assert_eq!([figure(None, 3), figure(Some(0.0), 3)], ["–", "0.000"]);
        assert_eq!([percent(None, 0), percent(Some(0.25), 0)], ["–", "25"]);
        assert_eq!([points(None, 1), points(Some(0.0), 1)], ["–", "+0.0"]);
        assert_eq!([in_percent(None), in_percent(Some(0.5))], ["–", "50.0 %"]);
    }
}
