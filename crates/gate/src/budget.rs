//! Absolute limits: what no baseline can move and no blessing can pass.
//!
//! The rules are data, in `budgets.toml` beside this file and, for a study of one's own, in `budgets.toml` beside its `study.toml`; the head of the first
//! says what a rule is.

use crate::finding::{Effect, Figure};
use crate::number::Number;
use crate::rows::{plain, short};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// Rounding of two logarithms of the same number, in bits.
const LOGARITHM_SLACK: f64 = 1e-9;

/// A set of rules.
#[derive(Clone, Debug)]
pub struct Budget {
    rules: Vec<Rule>,
}

/// Why a file of rules cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct BudgetError {
    /// The file.
    pub place: String,
    /// What is wrong in it.
    pub message: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<Rule>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: String,
    why: String,
    column: String,
    #[serde(default, rename = "where")]
    only: BTreeMap<String, Vec<String>>,
    #[serde(default, rename = "where_not")]
    except: BTreeMap<String, Vec<String>>,
    at_most: Option<Limit>,
    at_least: Option<Limit>,
    times: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Limit {
    Number(f64),
    Column(String),
    Logarithm { minus_log2: String },
}

/// A row beyond a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excess {
    /// What is beyond what, and why it may not be, as part of a sentence.
    pub(crate) message: String,
    pub(crate) figure: Figure,
}

impl Budget {
    /// The rules that hold for every study.
    ///
    /// # Panics
    /// If the rules of this program are broken, which a test excludes.
    pub fn builtin() -> Budget {
        match Budget::parse("budgets.toml (built in)", include_str!("budgets.toml"), &|_| true) {
            Ok(budget) => budget,
            Err(e) => panic!("{e}"),
        }
    }

    /// These rules and those of a file; `known` says which columns there are, so that a misspelt rule does not pass for ever.
    ///
    /// # Errors
    /// If the text is no file of rules, or a rule is without a limit or names a column that is not known.
    pub fn with(
        mut self,
        place: &str,
        text: &str,
        known: &dyn Fn(&str) -> bool,
    ) -> Result<Budget, BudgetError> {
        self.rules.extend(Budget::parse(place, text, known)?.rules);
        Ok(self)
    }

    fn parse(place: &str, text: &str, known: &dyn Fn(&str) -> bool) -> Result<Budget, BudgetError> {
        let error = |message: String| BudgetError { place: place.to_owned(), message };
        let file: File = toml::from_str(text).map_err(|e| error(e.to_string().trim_end().to_owned()))?;
        for rule in &file.rule {
            if rule.at_most.is_none() && rule.at_least.is_none() {
                return Err(error(format!("rule `{}` has no limit; give at_most or at_least", rule.name)));
            }
            if rule.times.is_some_and(|times| !(times > 0.0 && times.is_finite())) {
                return Err(error(format!("rule `{}`: times must be above 0 and finite", rule.name)));
            }
            let limits = [&rule.at_most, &rule.at_least].into_iter().flatten();
            let of_limits = limits.filter_map(|limit| match limit {
                Limit::Number(_) => None,
                Limit::Column(name) | Limit::Logarithm { minus_log2: name } => Some(name),
            });
            let mut named =
                [&rule.column].into_iter().chain(of_limits).chain(rule.only.keys()).chain(rule.except.keys());
            if let Some(name) = named.find(|name| !known(name)) {
                return Err(error(format!(
                    "rule `{}` names the column `{name}`, which no row has; `gradchain schema` lists the columns",
                    rule.name
                )));
            }
        }
        Ok(Budget { rules: file.rule })
    }

    /// Names of all columns in the rules.
    pub fn columns(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for rule in &self.rules {
            names.push(&rule.column);
            names.extend(rule.only.keys().chain(rule.except.keys()).map(String::as_str));
            for limit in [&rule.at_most, &rule.at_least].into_iter().flatten() {
                match limit {
                    Limit::Number(_) => {}
                    Limit::Column(name) | Limit::Logarithm { minus_log2: name } => names.push(name),
                }
            }
        }
        names
    }

    /// Where the fields of a row are beyond a limit. `row` is the place of the row in its cell, from 1.
    pub(crate) fn excesses(&self, row: usize, fields: &Map<String, Json>) -> Vec<Excess> {
        self.rules.iter().filter_map(|rule| rule.excess(row, fields)).collect()
    }
}

impl Rule {
    fn excess(&self, row: usize, fields: &Map<String, Json>) -> Option<Excess> {
        let is_one_of = |name: &str, allowed: &[String]| {
            fields.get(name).is_some_and(|value| allowed.contains(&plain(value)))
        };
        let speaks = self.only.iter().all(|(name, allowed)| is_one_of(name, allowed))
            && !self.except.iter().any(|(name, values)| is_one_of(name, values));
        let value = fields.get(&self.column).and_then(Number::read).filter(|_| speaks)?;
        let beyond = |limit: &Option<Limit>, word: &str, keeps: &dyn Fn(Number, Number) -> bool| {
            let limit = limit.as_ref()?;
            let number = self.limit(limit, fields)?;
            let unlimited = matches!(number, Number::Infinite { .. });
            if keeps(value, number) || value == Number::Nan && unlimited {
                return None;
            }
            let of = match limit {
                Limit::Number(_) => String::new(),
                Limit::Column(name) => format!("{name} = "),
                Limit::Logarithm { minus_log2 } => format!("-log2 {minus_log2} = "),
            };
            let times = self.times.map_or(String::new(), |times| format!("{times} times "));
            let shown = match self.limit_text(limit, fields) {
                Some(text) => short(&text),
                None => short(&number.to_f64().to_string()),
            };
            Some(format!("{word} {times}{of}{shown}"))
        };
        let over = beyond(&self.at_most, "above", &|value, limit| {
            value <= limit || value == Number::from(f64::INFINITY) && limit.exceeds_f64()
        });
        let under = beyond(&self.at_least, "below", &|value, limit| value >= limit);
        let beyond = over.or(under)?;
        let text = fields.get(&self.column).map(plain).unwrap_or_default();
        let place = if row > 1 { format!("row {row}: ") } else { String::new() };
        Some(Excess {
            message: format!(
                "{place}{} = {} is {beyond}, which rule {} forbids: {}",
                self.column,
                short(&text),
                self.name,
                self.why
            ),
            figure: Figure {
                name: self.column.clone(),
                row,
                unit: String::new(),
                base: None,
                head: Some(text),
                effect: Effect::Worse,
            },
        })
    }

    fn limit(&self, limit: &Limit, fields: &Map<String, Json>) -> Option<Number> {
        let times = self.times.unwrap_or(1.0);
        match limit {
            Limit::Number(x) => Some(Number::from(x * times)),
            Limit::Column(name) => match fields.get(name).and_then(Number::read)? {
                Number::Finite { mantissa, exp2 } => {
                    let Number::Finite { mantissa, exp2: shift } = Number::from(mantissa * times) else {
                        return None;
                    };
                    Some(Number::Finite { mantissa, exp2: exp2 + shift })
                }
                other @ (Number::Nan | Number::Infinite { .. }) => Some(other),
            },
            Limit::Logarithm { minus_log2 } => match fields.get(minus_log2).and_then(Number::read)? {
                Number::Finite { mantissa, exp2 } if mantissa > 0.0 => {
                    let bits = -(libm::log2(mantissa) + exp2 as f64);
                    Some(Number::from(bits.max(0.0) * times + LOGARITHM_SLACK))
                }
                // Zero has as many bits as there are; infinity and NaN have none.
                Number::Finite { .. } => Some(Number::from(f64::INFINITY)),
                Number::Infinite { .. } | Number::Nan => Some(Number::from(0.0)),
            },
        }
    }

    /// The limit as the row writes it, where it stands there.
    fn limit_text(&self, limit: &Limit, fields: &Map<String, Json>) -> Option<String> {
        match limit {
            Limit::Column(name) => fields.get(name).map(plain),
            Limit::Number(_) | Limit::Logarithm { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(fields: Json) -> Vec<String> {
        let Json::Object(fields) = fields else { panic!("no object") };
        Budget::builtin().excesses(1, &fields).into_iter().map(|excess| excess.message).collect()
    }

    #[test]
    fn bounds_of_theory() {
        assert_eq!(told(json!({"drift": 0.5, "theory_bound": 0.5})), Vec::<String>::new());
        let over = told(json!({"drift": 0.5000000000000001, "theory_bound": 0.5}));
        assert!(
            over.len() == 1
                && over[0].starts_with(
                    "drift = 0.50000 is above theory_bound = 0.5, which rule theory-bound forbids: "
                ),
            "{over:?}"
        );
        // What is beyond f64 keeps what is beyond f64, and nothing else.
        assert!(told(json!({"drift": "inf", "theory_bound": {"mantissa": 1.0, "exp2": 1024}})).is_empty());
        assert_eq!(told(json!({"drift": "inf", "theory_bound": {"mantissa": 1.5, "exp2": 1023}})).len(), 1);
        assert_eq!(told(json!({"drift": "nan", "theory_bound": {"mantissa": 1.5, "exp2": 9999}})).len(), 1);
        assert!(told(json!({"drift": "nan", "theory_bound": "inf"})).is_empty());
        assert!(told(json!({"drift": null, "theory_bound": 0.0})).is_empty());
        assert_eq!(told(json!({"drift": 1e-3, "theory_bound": "nan"})).len(), 1);
        assert_eq!(
            (
                told(json!({"drift": 3.0, "theory_drift": 1.0})).len(),
                told(json!({"drift": 3.1, "theory_drift": 1.0})).len()
            ),
            (0, 1)
        );
    }

    #[test]
    fn fused_derivatives() {
        let row = |format: &str, path: &str, column: &str, value: f64| {
            let mut row = json!({"format": format, "path": path});
            row[column] = json!(value);
            told(row).len()
        };
        assert_eq!(
            (row("f16", "fused", "not_rounded", 0.0), row("f16", "fused", "not_rounded", 1.0)),
            (0, 1)
        );
        assert_eq!(
            (row("f32", "fused", "not_rounded", 1.0), row("f16", "native", "not_rounded", 1.0)),
            (0, 0)
        );
        assert_eq!(
            (row("f64", "fused", "wrong_zeros", 1.0), row("f64", "fused", "wrong_not_finite", 1.0)),
            (1, 1)
        );
        assert_eq!((row("bf16", "fused", "max_ulp", 0.5), row("bf16", "fused", "max_ulp", 0.51)), (0, 1));
        assert_eq!((row("f64", "fused", "max_ulp", 1.0), row("f32", "fused", "max_ulp", 1.01)), (0, 1));
    }

    #[test]
    fn units_that_do_not_fit_each_other() {
        assert!(told(json!({"drift": 0.25, "bits_left": 2.0})).is_empty());
        assert!(told(json!({"drift": 0.0, "bits_left": 53.0})).is_empty());
        assert_eq!(told(json!({"drift": 25.0, "bits_left": 2.0})).len(), 1);
        assert_eq!(told(json!({"drift": "inf", "bits_left": 2.0})).len(), 1);
        assert_eq!(told(json!({"cosine": 1.0000000000000002})).len(), 1);
        assert!(told(json!({"cosine": "nan"})).is_empty());
        assert_eq!(told(json!({"surviving_depth": 65, "depth": 64})).len(), 1);
    }

    #[test]
    fn rules_of_a_study_are_read_with_care() {
        let add = |text: &str| Budget::builtin().with("x/budgets.toml", text, &|name| name == "drift");
        let rule = "[[rule]]\nname = 'mine'\nwhy = 'because'\ncolumn = 'drift'\n";
        let budget = add(&format!("{rule}at_most = 0.1\nat_least = 0.01\n")).unwrap();
        let count = |drift: f64| budget.excesses(1, json!({"drift": drift}).as_object().unwrap()).len();
        assert_eq!((count(0.001), count(0.05), count(0.2)), (1, 0, 1));
        for (text, reason) in [
            (rule.to_owned(), "rule `mine` has no limit"),
            (format!("{rule}at_most = 'dirft'\n"), "names the column `dirft`"),
            (format!("{rule}at_most = 1\nwhere = {{ fromat = ['f16'] }}\n"), "names the column `fromat`"),
            (format!("{rule}at_most = 1\ntimes = -1\n"), "times must be above 0"),
            (format!("{rule}at_mots = 1\n"), "unknown field `at_mots`"),
            ("[[rule]\n".to_owned(), "x/budgets.toml"),
        ] {
            let message = add(&text).unwrap_err().to_string();
            assert!(message.contains(reason), "{message}");
        }
    }
}
