//! Numbers of rows, whose range is wider than that of f64.

use serde_json::Value as Json;
use std::cmp::Ordering;

/// A number as a row holds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Nan,
    /// Minus or plus infinity.
    Infinite {
        negative: bool,
    },
    /// `mantissa · 2^exp2`, the mantissa zero or of magnitude at least 1/2 and below 1.
    Finite {
        mantissa: f64,
        exp2: i64,
    },
}

impl Number {
    /// The number in a field; none where the field holds another thing.
    pub(crate) fn read(json: &Json) -> Option<Number> {
        match json {
            Json::Number(number) => number.as_f64().map(Number::from),
            Json::String(text) => match text.as_str() {
                "inf" => Some(Number::Infinite { negative: false }),
                "-inf" => Some(Number::Infinite { negative: true }),
                "nan" => Some(Number::Nan),
                _ => None,
            },
            Json::Object(map) => {
                let (mantissa, shift) = (map.get("mantissa")?.as_f64()?, map.get("exp2")?.as_i64()?);
                let mut number = Number::from(mantissa);
                if let Number::Finite { mantissa, exp2 } = &mut number
                    && *mantissa != 0.0
                {
                    *exp2 = exp2.saturating_add(shift);
                }
                Some(number)
            }
            Json::Null | Json::Bool(_) | Json::Array(_) => None,
        }
    }

    pub(crate) fn is_finite(self) -> bool {
        matches!(self, Number::Finite { .. })
    }

    /// Without its sign.
    pub(crate) fn magnitude(self) -> Number {
        match self {
            Number::Nan => Number::Nan,
            Number::Infinite { .. } => Number::Infinite { negative: false },
            Number::Finite { mantissa, exp2 } => Number::Finite { mantissa: mantissa.abs(), exp2 },
        }
    }

    /// Whether f64 has no number of this magnitude, for it is too large.
    pub(crate) fn exceeds_f64(self) -> bool {
        match self {
            Number::Nan => false,
            Number::Infinite { .. } => true,
            // The mantissa is below 1: 2^1024 itself has the exponent 1025.
            Number::Finite { exp2, .. } => exp2 > 1024,
        }
    }

    /// The nearest f64; infinite beyond its range.
    pub(crate) fn to_f64(self) -> f64 {
        match self {
            Number::Nan => f64::NAN,
            Number::Infinite { negative } => f64::INFINITY.copysign(if negative { -1.0 } else { 1.0 }),
            Number::Finite { mantissa, exp2 } => {
                libm::ldexp(mantissa, i32::try_from(exp2.clamp(-3000, 3000)).unwrap_or(0))
            }
        }
    }
}

impl From<f64> for Number {
    fn from(x: f64) -> Number {
        if x.is_nan() {
            return Number::Nan;
        }
        if x.is_infinite() {
            return Number::Infinite { negative: x < 0.0 };
        }
        let (mantissa, exp2) = libm::frexp(x);
        Number::Finite { mantissa, exp2: i64::from(exp2) }
    }
}

impl PartialOrd for Number {
    /// The order of the numbers; NaN has no place in it.
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        // Sign, then exponent towards that sign, then mantissa: all finite numbers and infinities have one.
        let key = |number: &Number| match *number {
            Number::Nan => None,
            Number::Infinite { negative: true } => Some((-2, 0, 0.0)),
            Number::Infinite { negative: false } => Some((2, 0, 0.0)),
            Number::Finite { mantissa: 0.0, .. } => Some((0, 0, 0.0)),
            Number::Finite { mantissa, exp2 } if mantissa < 0.0 => Some((-1, -exp2, mantissa)),
            Number::Finite { mantissa, exp2 } => Some((1, exp2, mantissa)),
        };
        key(self)?.partial_cmp(&key(other)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn order_goes_beyond_f64_on_both_sides() {
        let sorted = [
            json!("-inf"),
            json!({"mantissa": -1.5, "exp2": 4000}),
            json!({"mantissa": -1.25, "exp2": 4000}),
            json!(-1e300),
            json!(-1),
            json!(-5e-324),
            json!({"mantissa": -1.0, "exp2": -9000}),
            json!(0.0),
            json!({"mantissa": 1.0, "exp2": -9000}),
            json!(5e-324),
            json!(0.75),
            json!(1),
            json!(1e300),
            json!({"mantissa": 1.25, "exp2": 4000}),
            json!("inf"),
        ];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                let (a, b) = (Number::read(a).unwrap(), Number::read(b).unwrap());
                assert_eq!(a.partial_cmp(&b), Some(i.cmp(&j)), "{a:?} {b:?}");
            }
            assert_eq!(Number::read(a).unwrap().partial_cmp(&Number::Nan), None);
        }
        assert_eq!(
            Number::read(&json!(-0.0)).unwrap().partial_cmp(&Number::from(0.0)),
            Some(Ordering::Equal)
        );
        for none in [json!(null), json!("f16"), json!(true), json!([1]), json!({"exp2": 1})] {
            assert_eq!(Number::read(&none), None, "{none}");
        }
    }

    #[test]
    fn the_range_of_f64() {
        let exceeds = |json: Json| Number::read(&json).unwrap().exceeds_f64();
        assert!(
            !exceeds(json!(f64::MAX))
                && !exceeds(json!("nan"))
                && !exceeds(json!({"mantissa": 1.0, "exp2": 1023}))
        );
        assert!(exceeds(json!({"mantissa": 1.0, "exp2": 1024})) && exceeds(json!("-inf")));
        for x in [0.1, -5e-324, f64::MAX, 0.0, f64::NEG_INFINITY] {
            assert_eq!(Number::from(x).to_f64().to_bits(), x.to_bits());
        }
        assert_eq!(
            Number::read(&json!({"mantissa": -1.0, "exp2": 4000})).unwrap().to_f64(),
            f64::NEG_INFINITY
        );
    }
}
