//! Numbers known beyond f64: a decimal as the user wrote it, or the square root of 2.

use std::fmt;
use std::str::FromStr;

/// A number as the nearest f64 and what that leaves off: the value is `nearest + rest` to about 106 bits.
///
/// 0.8 is no binary number: over 100 layers the f64 nearest to it drifts 5.5e-15 away from the decimal power.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decimal {
    /// The nearest f64.
    pub nearest: f64,
    /// The number minus `nearest`, rounded to f64.
    pub rest: f64,
}

impl Decimal {
    /// The square root of 2.
    pub fn sqrt2() -> Decimal {
        let nearest = std::f64::consts::SQRT_2;
        // One Newton step; the residual 2 - nearest² is exact by FMA.
        Decimal { nearest, rest: f64::mul_add(-nearest, nearest, 2.0) / (2.0 * nearest) }
    }

    /// Half the number; exact.
    #[must_use]
    pub fn halved(self) -> Decimal {
        Decimal { nearest: self.nearest / 2.0, rest: self.rest / 2.0 }
    }
}

/// A text that is no decimal of at most 15 significant digits with a power of ten between -22 and 22.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecimalError(String);

impl fmt::Display for DecimalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DecimalError(text) = self;
        write!(
            f,
            "`{text}` is not a usable number; allowed: sqrt2, 1/sqrt2, or a decimal of at most 15 significant digits "
        )?;
        write!(f, "whose last digit stands between 1e-22 and 1e22")
    }
}

impl std::error::Error for DecimalError {}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Decimal, DecimalError> {
        let error = || DecimalError(text.to_owned());
        match text {
            "sqrt2" => return Ok(Decimal::sqrt2()),
            "1/sqrt2" => return Ok(Decimal::sqrt2().halved()),
            _ => {}
        }
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().map_err(|_| error())?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let negative = whole.starts_with('-');
        let whole = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        let digits: String = [whole, fraction].concat();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error());
        }
        let digits_without_zeros = digits.trim_start_matches('0');
        let power = exponent.checked_sub(fraction.len() as i32).ok_or_else(error)?;
        if digits_without_zeros.len() > 15 || !(-22..=22).contains(&power) {
            return Err(error());
        }
        let integer: u64 = digits.parse().map_err(|_| error())?;
        let integer = if negative { -(integer as f64) } else { integer as f64 };
        // Both are exact in f64: 15 digits are below 2^53, and 10^22 is the last power of ten that is.
        let ten = (0..power.abs()).fold(1.0, |ten, _| ten * 10.0);
        if power >= 0 {
            let nearest = integer * ten;
            return Ok(Decimal { nearest, rest: f64::mul_add(integer, ten, -nearest) });
        }
        let nearest = integer / ten;
        Ok(Decimal { nearest, rest: f64::mul_add(-nearest, ten, integer) / ten })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_what_f64_leaves_off() {
        let gain: Decimal = "0.8".parse().unwrap();
        // 0.8 = 0x1.999999999999999999...p-1; the f64 ends in ...a, 0.4 units of 2^-53 too high.
        assert_eq!(gain.nearest, 0.8);
        assert!((gain.rest / (-0.4 * f64::powi(2.0, -53)) - 1.0).abs() < 1e-15, "{}", gain.rest);
        assert_eq!("1.5".parse::<Decimal>().unwrap(), Decimal { nearest: 1.5, rest: 0.0 });
        assert_eq!("-25e-2".parse::<Decimal>().unwrap(), Decimal { nearest: -0.25, rest: 0.0 });
        assert_eq!("1e22".parse::<Decimal>().unwrap().nearest, 1e22);
        let root = Decimal::sqrt2();
        // sqrt(2) = 1.4142135623730950488016887242097; f64 1.41421356237309514547...
        assert!((root.rest / -9.667_293_313_452_913e-17 - 1.0).abs() < 1e-15, "{}", root.rest);
        assert_eq!("1/sqrt2".parse::<Decimal>().unwrap(), root.halved());
    }

    #[test]
    fn what_is_no_usable_decimal() {
        for text in [
            "",
            ".",
            "-",
            "x",
            "1.2.3",
            "1e",
            "1e99",
            "1234567890123456",
            "nan",
            "inf",
            "1e-23",
            "0x10",
            "1 ",
        ] {
            let message = text.parse::<Decimal>().unwrap_err().to_string();
            assert!(message.contains(&format!("`{text}`")) && message.contains("15 significant digits"));
        }
    }
}
