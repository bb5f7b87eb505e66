//! Numbers for people.

/// A count: whole, with narrow spaces between the thousands; tenths below ten.
pub fn count(value: f64) -> String {
    if value > 0.0 && value < 10.0 && (value - value.round()).abs() > 0.05 {
        return format!("{value:.1}");
    }
    let digits = format!("{:.0}", value.round().abs());
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// The word that goes with a count.
pub fn plural<'a>(value: f64, one: &'a str, many: &'a str) -> &'a str {
    if count(value) == "1" { one } else { many }
}

/// A part of a whole in percent, the sign behind a narrow space that no line breaks at.
pub fn percent(part: f64, whole: f64) -> String {
    if whole <= 0.0 {
        return "–".to_owned();
    }
    let share = 100.0 * part / whole;
    if share > 0.0 && share < 10.0 {
        format!("{share:.1}\u{202f}%")
    } else {
        format!("{share:.0}\u{202f}%")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_readable() {
        assert_eq!(count(0.0), "0");
        assert_eq!(count(0.34), "0.3");
        assert_eq!(count(9.99), "10");
        assert_eq!(count(1_234_567.0), "1\u{202f}234\u{202f}567");
        assert_eq!(percent(1.0, 3.0), "33\u{202f}%");
        assert_eq!(percent(1.0, 0.0), "–");
        assert_eq!(plural(1.0, "visit", "visits"), "visit");
    }
}
