//! Logarithm and exponential from IEEE basic operations only.
//!
//! The standard library's `ln`, `exp` and `powf` go to the platform's mathematics library, whose
//! last bits differ between platforms. Addition, multiplication and division do not, so these give
//! the same bits everywhere, and with them the same scenario gives the same bytes everywhere.

const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// Natural logarithm of a positive, normal number.
pub(crate) fn ln(x: f64) -> f64 {
    debug_assert!(x.is_normal() && x > 0.0);
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | (1023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)), a series in s² < 0.0295.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let mut sum = 0.0;
    for odd in (0..12).rev() {
        sum = sum * square + 1.0 / f64::from(2 * odd + 1);
    }
    let exponent = exponent as f64;
    exponent * LN_2_HIGH + (2.0 * s * sum + exponent * LN_2_LOW)
}

/// e to the power of `x`; 0 below −700 and e⁷⁰⁰ above 700.
pub(crate) fn exp(x: f64) -> f64 {
    if x < -700.0 {
        return 0.0;
    }
    let x = x.min(700.0);
    let power = (x * std::f64::consts::LOG2_E + 0.5).floor();
    let rest = (x - power * LN_2_HIGH) - power * LN_2_LOW;
    let mut sum = 1.0;
    for step in (1..=16).rev() {
        sum = 1.0 + sum * rest / f64::from(step);
    }
    sum * f64::from_bits(((1023 + power as i64) as u64) << 52)
}

/// `base` (positive) to the power of `exponent`.
pub(crate) fn pow(base: f64, exponent: f64) -> f64 {
    exp(exponent * ln(base))
}

/// A well mixed 64-bit value of another: SplitMix64's finaliser (Steele, Lea, Flood 2014).
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn logarithm_and_exponential_agree_with_the_platform(x in 1e-300f64..1e300, y in -600f64..600.0) {
            prop_assert!((ln(x) - x.ln()).abs() <= 4e-14 * (1.0 + x.ln().abs()));
            prop_assert!((exp(y) / y.exp() - 1.0).abs() < 1e-12);
        }

        #[test]
        fn powers_agree_with_the_platform(base in 1e-9f64..1e9, exponent in -6f64..6.0) {
            prop_assert!((pow(base, exponent) / base.powf(exponent) - 1.0).abs() < 1e-11);
        }
    }

    #[test]
    fn some_bits_are_pinned() {
        // Any platform that disagrees here would write other bytes for the same scenario.
        assert_eq!(ln(10.0).to_bits(), 4_612_367_379_483_415_830);
        assert_eq!(exp(1.0).to_bits(), 4_613_303_445_314_885_482);
        assert_eq!(exp(-1000.0), 0.0);
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
    }
}
