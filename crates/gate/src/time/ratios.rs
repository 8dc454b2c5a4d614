//! Claims on ratios of speeds within one run: ranges in a file, held against what was measured.

use crate::time::statistics::{interval, median};
use crate::verdict::Verdict;
use serde::Deserialize;
use thiserror::Error;

/// A claim: `fast` goes through so many times as many elements a second as `slow`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// What is claimed, in words.
    pub name: String,
    /// The work whose speed is the numerator.
    pub fast: String,
    /// The work whose speed is the denominator.
    pub slow: String,
    /// The ratio is at least this.
    pub at_least: f64,
    /// The ratio is at most this; without it, any ratio above is welcome.
    #[serde(default = "no_limit")]
    pub at_most: f64,
    /// The instruction sets for which it is claimed (`portable`, `avx2`, `avx512`); all of them without it.
    #[serde(default)]
    pub instruction_sets: Vec<String>,
}

fn no_limit() -> f64 {
    f64::INFINITY
}

/// A file of claims.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The claims.
    #[serde(rename = "claim")]
    pub claims: Vec<Claim>,
}

/// Why a file holds no claims.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ClaimsError {
    /// Not TOML, or other fields.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// An empty list.
    #[error("there is no claim")]
    Empty,
    /// Limits that no ratio satisfies.
    #[error(
        "claim `{name}`: at_least = {at_least}, at_most = {at_most}; allowed are 0 < at_least <= at_most, at_least finite"
    )]
    Range {
        /// The claim.
        name: String,
        /// Its lower limit.
        at_least: f64,
        /// Its upper limit.
        at_most: f64,
    },
    /// One name for two claims.
    #[error("claim `{0}` stands twice")]
    Twice(String),
}

impl Claims {
    /// Reads a file of claims.
    ///
    /// # Errors
    /// If it is not TOML, has other fields, no claim, a claim twice, or limits that no ratio satisfies.
    pub fn parse(text: &str) -> Result<Claims, ClaimsError> {
        let claims: Claims = toml::from_str(text)?;
        if claims.claims.is_empty() {
            return Err(ClaimsError::Empty);
        }
        for (i, claim) in claims.claims.iter().enumerate() {
            let Claim { ref name, at_least, at_most, .. } = *claim;
            if !(at_least > 0.0 && at_least.is_finite() && at_least <= at_most) {
                return Err(ClaimsError::Range { name: name.clone(), at_least, at_most });
            }
            if claims.claims[..i].iter().any(|other| other.name == *name) {
                return Err(ClaimsError::Twice(name.clone()));
            }
        }
        Ok(claims)
    }
}

/// What is decided of a claim.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedClaim {
    /// `Same` if it holds, `OverBudget` if it is broken, `Inconclusive` if the interval of the ratio contains a limit.
    pub verdict: Verdict,
    /// The ratio: the median over respawns.
    pub ratio: f64,
    /// Its interval.
    pub between: (f64, f64),
    /// Why, for verdicts that need it; else empty.
    pub message: String,
}

/// Holds a claim against the natural logarithms of the ratio of speeds in each respawn. The interval is wrong with probability at most 1 % for all `family`
/// claims together (Bonferroni), half of that at each end.
pub fn judge_claim(claim: &Claim, logarithms: &[f64], family: usize) -> JudgedClaim {
    let error = 0.01 / 2.0 / family.max(1) as f64;
    let ratio = median(logarithms).map_or(f64::NAN, libm::exp);
    let between = interval(logarithms, error);
    let (lower, upper) =
        between.map_or((0.0, f64::INFINITY), |found| (libm::exp(found.lower), libm::exp(found.upper)));
    let Claim { at_least, at_most, .. } = *claim;
    let measured = format!("{ratio:.3} times, between {lower:.3} and {upper:.3}");
    let (verdict, message) = if upper < at_least {
        (Verdict::OverBudget, format!("{measured}; claimed are at least {at_least}"))
    } else if lower > at_most {
        (Verdict::OverBudget, format!("{measured}; claimed are at most {at_most}"))
    } else if lower >= at_least && upper <= at_most {
        (Verdict::Same, String::new())
    } else if between.is_none() {
        (Verdict::Inconclusive, format!("{} respawns are too few to bound the ratio", logarithms.len()))
    } else {
        (Verdict::Inconclusive, format!("{measured}: a limit of the claim lies within"))
    };
    JudgedClaim { verdict, ratio, between: (lower, upper), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(at_least: f64, at_most: f64) -> Claim {
        let text =
            format!("[[claim]]\nname='n'\nfast='a'\nslow='b'\nat_least={at_least:?}\nat_most={at_most:?}");
        Claims::parse(&text).unwrap().claims.remove(0)
    }

    #[test]
    fn files_are_read_or_refused_by_name() {
        let whole = "[[claim]]\nname='n'\nfast='a'\nslow='b'\nat_least=1.8\ninstruction_sets=['avx2']\n";
        let claims = Claims::parse(whole).unwrap();
        assert_eq!(claims.claims[0].at_most, f64::INFINITY);
        assert_eq!(claims.claims[0].instruction_sets, ["avx2"]);
        let refused = |text: &str, words: &str| {
            let message = Claims::parse(text).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        };
        refused("", "missing field `claim`");
        refused("claim = []", "there is no claim");
        refused(&whole.replace("at_least", "atleast"), "unknown field `atleast`");
        refused(&whole.replace("1.8", "'1.8'"), "invalid type: string");
        refused(&whole.replace("1.8", "0"), "allowed are 0 < at_least");
        refused(&whole.replace("1.8", "nan"), "allowed are 0 < at_least");
        refused(&whole.replace("1.8", "1.8\nat_most=1.7"), "at_most = 1.7");
        refused(&format!("{whole}{whole}"), "claim `n` stands twice");
        refused("[[claim", "TOML parse error at line 1");
    }

    #[test]
    fn a_claim_holds_breaks_or_cannot_be_told() {
        let logarithms =
            |from: i32, to: i32| (from..=to).map(|k| libm::log(f64::from(k) / 100.0)).collect::<Vec<_>>();
        let verdict = |claim: &Claim, from, to| judge_claim(claim, &logarithms(from, to), 1).verdict;
        let open = claim(1.8, f64::INFINITY);
        assert_eq!(verdict(&open, 180, 200), Verdict::Same);
        assert_eq!(verdict(&open, 160, 180), Verdict::OverBudget);
        assert_eq!(verdict(&open, 170, 190), Verdict::Inconclusive);
        assert_eq!(verdict(&open, 300, 320), Verdict::Same);
        let range = claim(1.8, 2.2);
        assert_eq!(verdict(&range, 190, 210), Verdict::Same);
        assert_eq!(verdict(&range, 230, 250), Verdict::OverBudget);
        assert_eq!(verdict(&range, 210, 230), Verdict::Inconclusive);
        assert_eq!(verdict(&open, 190, 195), Verdict::Inconclusive, "six respawns: 1/64 is more than 0.005");
        assert_eq!(judge_claim(&open, &[], 1).verdict, Verdict::Inconclusive);
        // 21 respawns bound the ratio of one claim by their 5th and 17th, of a million claims by nothing.
        assert_eq!(judge_claim(&open, &logarithms(176, 196), 1).between, (1.80, 1.92).map_exp());
        assert_eq!(judge_claim(&open, &logarithms(190, 210), 1_000_000).verdict, Verdict::Inconclusive);
    }

    trait Through {
        fn map_exp(self) -> (f64, f64);
    }

    impl Through for (f64, f64) {
        /// What becomes of limits on their way through the logarithm.
        fn map_exp(self) -> (f64, f64) {
            (libm::exp(libm::log(self.0)), libm::exp(libm::log(self.1)))
        }
    }
}
