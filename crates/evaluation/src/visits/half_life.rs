//! The true half-life of a content: from the exact times of its true readers.

/// Ages up to this count as one bin, seconds; above it bins are quarters of an octave. What is the
/// busiest time hangs on how it is counted, so it is counted as the product does.
const FIRST: f64 = 64.0;

/// First and last age of the bin that an age lies in, seconds.
fn bin(age: f64) -> [f64; 2] {
    if age < FIRST {
        return [0.0, FIRST];
    }
    let octave = 2f64.powf((age / FIRST).log2().floor()) * FIRST;
    let quarter = octave / 4.0;
    let from = octave + ((age - octave) / quarter).floor() * quarter;
    [from, from + quarter]
}

/// Seconds from the middle of the busiest time to the half of all later readers; `ages` are theirs
/// in seconds since the content's start, in any order. None where nobody came later.
pub(super) fn half_life(mut ages: Vec<f64>) -> Option<f64> {
    ages.iter_mut().for_each(|age| *age = age.max(0.0).floor());
    ages.sort_by(f64::total_cmp);
    let mut best = (0.0, None);
    for same in ages.chunk_by(|a, b| bin(*a) == bin(*b)) {
        let [from, to] = bin(same[0]);
        let rate = (same.len() as f64 - 1.0) / (to - from);
        if rate > best.0 {
            best = (rate, Some([from, to]));
        }
    }
    let [from, to] = best.1?;
    let later: Vec<f64> = ages.into_iter().filter(|age| *age >= to).collect();
    let middle = later.len().checked_sub(1)? / 2;
    Some(later[middle] - (from + to) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_quarters_of_octaves() {
        assert_eq!(bin(63.0), [0.0, 64.0]);
        assert_eq!(bin(64.0), [64.0, 80.0]);
        assert_eq!(bin(127.0), [112.0, 128.0]);
        assert_eq!(bin(1_000.0), [896.0, 1_024.0]);
    }

    #[test]
    fn half_of_those_after_the_busiest_time() {
        // Five in the first minute, then one after 100, 200, 300 and 400 s.
        let ages = vec![300.0, 1.0, 2.0, 3.0, 4.0, 5.0, 100.0, 200.0, 400.0];
        assert_eq!(half_life(ages), Some(200.0 - 32.0));
        assert_eq!(half_life(vec![1.0, 2.0, 3.0]), None);
        assert_eq!(half_life(Vec::new()), None);
    }
}
