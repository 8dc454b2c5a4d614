//! What a cell measured: values under the names of the column table.

use crate::columns::result_column;

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// It did not happen, or it has no meaning here.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A count, a layer.
    Integer(i64),
    /// A number; infinities and NaN included.
    Number(f64),
    /// `mantissa · 2^exp2`, for magnitudes that f64 does not have. Made by [`Value::scaled`].
    Scaled {
        /// The mantissa, of magnitude at least 1 and below 2.
        mantissa: f64,
        /// The exponent of 2.
        exp2: i64,
    },
    /// A name.
    Text(String),
}

impl Value {
    /// `mantissa · 2^exp2`: a number where that is a normal f64 number (or zero, infinite or NaN), scaled elsewhere.
    pub fn scaled(mantissa: f64, exp2: i64) -> Value {
        if mantissa == 0.0 || !mantissa.is_finite() {
            return Value::Number(mantissa);
        }
        let (mantissa, shift) = normalised(mantissa);
        let exp2 = exp2.saturating_add(shift);
        if (-1022..=1023).contains(&exp2) {
            let power = f64::from_bits(((exp2 + 1023) as u64) << 52);
            return Value::Number(mantissa * power);
        }
        Value::Scaled { mantissa, exp2 }
    }
}

/// The finite `x`, not zero, as `(m, e)` with `x = m · 2^e` and `1 <= |m| < 2`.
fn normalised(x: f64) -> (f64, i64) {
    const EXPONENT: u64 = 0x7ff << 52;
    let (x, shift) = if x.abs() < f64::MIN_POSITIVE { (x * f64::powi(2.0, 64), -64) } else { (x, 0) };
    let biased = ((x.to_bits() & EXPONENT) >> 52) as i64;
    (f64::from_bits(x.to_bits() & !EXPONENT | 1023 << 52), biased - 1023 + shift)
}

impl From<bool> for Value {
    fn from(x: bool) -> Value {
        Value::Bool(x)
    }
}

impl From<f64> for Value {
    fn from(x: f64) -> Value {
        Value::Number(x)
    }
}

impl From<i64> for Value {
    fn from(x: i64) -> Value {
        Value::Integer(x)
    }
}

impl From<usize> for Value {
    fn from(x: usize) -> Value {
        Value::Integer(i64::try_from(x).unwrap_or(i64::MAX))
    }
}

impl From<u64> for Value {
    fn from(x: u64) -> Value {
        Value::Integer(i64::try_from(x).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Value {
    fn from(x: &str) -> Value {
        Value::Text(x.to_owned())
    }
}

impl From<String> for Value {
    fn from(x: String) -> Value {
        Value::Text(x)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(x: Option<T>) -> Value {
        x.map_or(Value::Null, Into::into)
    }
}

/// The results of one row; the cell adds its parameters when the row is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    results: Vec<(&'static str, Value)>,
}

impl Row {
    /// A row without results.
    pub fn new() -> Row {
        Row::default()
    }

    /// Gives the result column `name` a value; the last value counts. A result never set is absent from the row, which differs from
    /// [`Value::Null`]: "not measured" against "did not happen".
    ///
    /// # Panics
    /// If the column table has no result of this name: a row must not hold what `gradchain schema` does not explain.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        let Some(column) = result_column(name) else { panic!("`{name}` is not a result column") };
        let value = value.into();
        match self.results.iter_mut().find(|(known, _)| *known == column.name) {
            Some((_, old)) => *old = value,
            None => self.results.push((column.name, value)),
        }
    }

    /// [`Row::set`], to be chained.
    ///
    /// # Panics
    /// As [`Row::set`].
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Row {
        self.set(name, value);
        self
    }

    /// The value of a result, if it was set.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.results.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_values_become_numbers_where_f64_has_them() {
        assert_eq!(Value::scaled(3.0, 4), Value::Number(48.0));
        assert_eq!(Value::scaled(-0.75, 2000), Value::Scaled { mantissa: -1.5, exp2: 1999 });
        assert_eq!(Value::scaled(1.5, 1023), Value::Number(1.5 * f64::powi(2.0, 1023)));
        assert_eq!(Value::scaled(1.0, -1022), Value::Number(f64::MIN_POSITIVE));
        assert_eq!(Value::scaled(5e-324, 1074), Value::Number(1.0));
        assert_eq!(Value::scaled(5e-324, 0), Value::Scaled { mantissa: 1.0, exp2: -1074 });
        assert_eq!(Value::scaled(0.0, 99), Value::Number(0.0));
        assert_eq!(Value::scaled(f64::INFINITY, -9999), Value::Number(f64::INFINITY));
    }

    #[test]
    fn the_last_value_counts() {
        let row = Row::new().with("drift", 1.0).with("first_zero", None::<usize>).with("drift", 2.0);
        assert_eq!(row.get("drift"), Some(&Value::Number(2.0)));
        assert_eq!(row.get("first_zero"), Some(&Value::Null));
        assert_eq!(row.get("first_nan"), None);
    }

    #[test]
    #[should_panic(expected = "`dirft` is not a result column")]
    fn an_unknown_result_is_a_bug() {
        Row::new().set("dirft", 1.0);
    }
}
