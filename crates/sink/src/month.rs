//! The month of a time: ClickHouse's partition of a row.

use std::fmt;

/// Milliseconds since 1970 of 2100-01-01, the first moment that is refused. ClickHouse's
/// `DateTime`, which hours and days are rounded to, ends in 2106.
const END_MILLIS: i64 = 4_102_444_800_000;
const DAY_MILLIS: i64 = 86_400_000;

/// A month of a year, UTC, written like `202403`, as `toYYYYMM` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Month(u32);

impl Month {
    /// The month of a time in milliseconds since 1970; none before 1970 and from 2100 on.
    pub(crate) fn of_millis(millis: i64) -> Option<Month> {
        if !(0..END_MILLIS).contains(&millis) {
            return None;
        }
        // Days to civil date by Howard Hinnant's algorithm, for days that are not negative:
        // <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
        let days = u32::try_from(millis / DAY_MILLIS).ok()? + 719_468;
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let (month, later) = if from_march < 10 {
            (from_march + 3, 0)
        } else {
            (from_march - 9, 1)
        };
        Some(Month((year_of_era + era * 400 + later) * 100 + month))
    }

    /// The month written like `202403`.
    pub(crate) fn from_number(number: u32) -> Option<Month> {
        let (year, month) = (number / 100, number % 100);
        ((1970..2100).contains(&year) && (1..=12).contains(&month)).then_some(Month(number))
    }

    /// The month written like `202403`, as `toYYYYMM` gives it.
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    /// First day, as ClickHouse reads a date: `2024-03-01`.
    pub(crate) fn first_day(self) -> String {
        format!("{:04}-{:02}-01", self.0 / 100, self.0 % 100)
    }

    /// The month that follows.
    pub(crate) fn next(self) -> Month {
        if self.0 % 100 == 12 {
            Month((self.0 / 100 + 1) * 100 + 1)
        } else {
            Month(self.0 + 1)
        }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_is_in_the_month_that_a_calendar_says() {
        let mut millis = 0;
        for year in 1970..2100 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let february = if leap { 29 } else { 28 };
            let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            for (month, length) in (1..).zip(lengths) {
                for _ in 0..length {
                    let expected = Some(Month(year * 100 + month));
                    assert_eq!(Month::of_millis(millis), expected);
                    assert_eq!(Month::of_millis(millis + DAY_MILLIS - 1), expected);
                    millis += DAY_MILLIS;
                }
            }
        }
        assert_eq!(millis, END_MILLIS);
        assert_eq!(Month::of_millis(millis), None);
        assert_eq!(Month::of_millis(-1), None);
    }

    #[test]
    fn months_follow_each_other() {
        assert_eq!(Month(202_412).next(), Month(202_501));
        assert_eq!(Month(202_401).next(), Month(202_402));
        assert_eq!(Month(202_401).first_day(), "2024-01-01");
        assert_eq!(Month::from_number(202_413), None);
    }
}
