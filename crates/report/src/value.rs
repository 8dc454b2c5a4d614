//! One value of a row, and how it is written for people.

use serde_json::Value as Json;

/// A value as it stands in a line of rows. Infinities and NaN are texts in JSON and numbers here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Number(f64),
    /// `mantissa · 2^exp2`, beyond what f64 holds.
    Scaled {
        mantissa: f64,
        exp2: i64,
    },
    Text(String),
}

impl Value {
    /// The value of a field, or none if no row holds such a thing.
    pub(crate) fn read(json: &Json) -> Option<Value> {
        Some(match json {
            Json::Null => Value::Null,
            Json::Bool(x) => Value::Bool(*x),
            Json::Number(x) => match x.as_i64() {
                Some(x) => Value::Integer(x),
                None => Value::Number(x.as_f64()?),
            },
            Json::String(text) => match text.as_str() {
                "inf" => Value::Number(f64::INFINITY),
                "-inf" => Value::Number(f64::NEG_INFINITY),
                "nan" => Value::Number(f64::NAN),
                _ => Value::Text(text.clone()),
            },
            Json::Object(map) if map.len() == 2 => {
                Value::Scaled { mantissa: map.get("mantissa")?.as_f64()?, exp2: map.get("exp2")?.as_i64()? }
            }
            Json::Object(_) | Json::Array(_) => return None,
        })
    }

    /// As f64; beyond its range an infinity or a zero. None for names and for what did not happen.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Value::Integer(x) => Some(*x as f64),
            Value::Number(x) => Some(*x),
            Value::Scaled { mantissa, exp2 } => {
                Some(libm::scalbn(*mantissa, (*exp2).clamp(-4000, 4000) as i32))
            }
            Value::Null | Value::Bool(_) | Value::Text(_) => None,
        }
    }

    /// log2 of the magnitude, also beyond f64: -inf for zero.
    pub(crate) fn log2(&self) -> Option<f64> {
        match self {
            Value::Scaled { mantissa, exp2 } => Some(libm::log2(mantissa.abs()) + *exp2 as f64),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Number(_) | Value::Text(_) => {
                Some(libm::log2(self.number()?.abs()))
            }
        }
    }

    /// With all its digits, in the syntax of the rows; empty for what did not happen.
    pub(crate) fn full(&self) -> String {
        match self {
            Value::Null => String::new(),
            Value::Bool(x) => x.to_string(),
            Value::Integer(x) => x.to_string(),
            Value::Number(x) if x.is_finite() => Json::from(*x).to_string(),
            Value::Number(x) => short_number(*x, 1),
            Value::Scaled { mantissa, exp2 } => format!("{}*2^{exp2}", Json::from(*mantissa)),
            Value::Text(text) => text.clone(),
        }
    }

    /// In at most `digits` significant digits; whole numbers in full.
    pub(crate) fn short(&self, digits: usize) -> String {
        match self {
            Value::Number(x) => short_number(*x, digits),
            Value::Scaled { mantissa, exp2 } => {
                // The logarithm has digits to spare as long as the exponent stays below 2^30 or so.
                let log10 = libm::log10(mantissa.abs()) + *exp2 as f64 * std::f64::consts::LOG10_2;
                let exponent = log10.floor();
                let text = trim(format!("{:.*}", digits - 1, libm::pow(10.0, log10 - exponent)));
                let (text, exponent) =
                    if text == "10" { ("1".to_owned(), exponent + 1.0) } else { (text, exponent) };
                format!("{}{text}e{exponent}", if *mantissa < 0.0 { "-" } else { "" })
            }
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Text(_) => self.full(),
        }
    }

    /// Whether it is a number, finite or not.
    pub(crate) fn is_number(&self) -> bool {
        match self {
            Value::Integer(_) | Value::Number(_) | Value::Scaled { .. } => true,
            Value::Null | Value::Bool(_) | Value::Text(_) => false,
        }
    }
}

/// `x` in at most `digits` significant digits, in powers of ten outside of 1e-3 to 1e6.
pub(crate) fn short_number(x: f64, digits: usize) -> String {
    if x == 0.0 || !x.is_finite() {
        return if x.is_nan() { "nan".to_owned() } else { format!("{x}") };
    }
    let scientific = format!("{x:.*e}", digits - 1);
    let (text, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent @ -3..=5) => trim(format!("{x:.*}", (digits as i32 - 1 - exponent).max(0) as usize)),
        _ => format!("{}e{exponent}", trim(text.to_owned())),
    }
}

/// Without zeros at the end of a fraction.
fn trim(text: String) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Value {
        Value::read(&serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn numbers_for_people() {
        for (json, expected) in [
            ("0.0", "0"),
            ("1.0", "1"),
            ("0.30000000000000004", "0.3"),
            ("123456.0", "123456"),
            ("1234567.0", "1.2346e6"),
            ("0.00123456", "0.0012346"),
            ("0.000123456", "1.2346e-4"),
            ("9.99999e-9", "1e-8"),
            ("\"inf\"", "inf"),
            ("\"-inf\"", "-inf"),
            ("\"nan\"", "nan"),
            ("1234567", "1234567"),
            ("null", ""),
            ("\"wide\"", "wide"),
            // Digits by arithmetic with 50 places.
            (r#"{"mantissa":1.5424,"exp2":5849}"#, "8.1779e1760"),
            (r#"{"mantissa":-1.0,"exp2":-3322}"#, "-9.5138e-1001"),
        ] {
            assert_eq!(read(json).short(5), expected, "{json}");
        }
        assert_eq!(read("4.280412").short(3), "4.28");
        assert_eq!(read("0.1").full(), "0.1");
        assert_eq!(read(r#"{"mantissa":1.5,"exp2":5000}"#).full(), "1.5*2^5000");
    }

    #[test]
    fn logarithms_reach_beyond_f64() {
        assert_eq!(read(r#"{"mantissa":-1.0,"exp2":41495}"#).log2(), Some(41495.0));
        assert_eq!(read("0.0").log2(), Some(f64::NEG_INFINITY));
        assert_eq!(read("-8").log2(), Some(3.0));
        assert!(read("\"nan\"").log2().unwrap().is_nan());
        assert_eq!(read("\"wide\"").log2(), None);
    }

    #[test]
    fn what_no_row_holds() {
        for json in ["[1]", r#"{"mantissa":1.0}"#, r#"{"a":1,"b":2}"#] {
            assert_eq!(Value::read(&serde_json::from_str(json).unwrap()), None, "{json}");
        }
    }
}
