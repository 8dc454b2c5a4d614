//! Widths that differ from layer to layer.

use std::fmt;
use std::str::FromStr;

/// Greatest width of a layer.
pub(crate) const MAX_WIDTH: usize = 65_536;

/// The widths n_0 .. n_d of the vectors of a chain of d layers: n_0 at the input, n_d at the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Widths {
    /// The first for even t, the second for odd t.
    Alternating(usize, usize),
    /// The first everywhere but at t = d/2 (rounded down, of at least two layers), where the second stands: a narrow waist in the middle.
    Bottleneck(usize, usize),
}

impl Widths {
    /// n_t of a chain of `depth` layers.
    pub fn at(self, depth: usize, t: usize) -> usize {
        match self {
            Widths::Alternating(even, odd) => {
                if t.is_multiple_of(2) {
                    even
                } else {
                    odd
                }
            }
            Widths::Bottleneck(ends, waist) => {
                if depth >= 2 && t == depth / 2 {
                    waist
                } else {
                    ends
                }
            }
        }
    }
}

impl FromStr for Widths {
    type Err = String;

    fn from_str(text: &str) -> Result<Widths, String> {
        let error = || {
            format!(
                "`{text}` is not allowed; allowed: none, alternating:a,b, bottleneck:a,b with integers from 1 to {MAX_WIDTH}"
            )
        };
        let (name, pair) = text.split_once(':').ok_or_else(error)?;
        let (a, b) = pair.split_once(',').ok_or_else(error)?;
        let width =
            |text: &str| text.trim().parse().ok().filter(|n| (1..=MAX_WIDTH).contains(n)).ok_or_else(error);
        let (a, b) = (width(a)?, width(b)?);
        match name {
            "alternating" => Ok(Widths::Alternating(a, b)),
            "bottleneck" => Ok(Widths::Bottleneck(a, b)),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Widths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Widths::Alternating(a, b) => write!(f, "alternating:{a},{b}"),
            Widths::Bottleneck(a, b) => write!(f, "bottleneck:{a},{b}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_of_every_vector() {
        let all = |text: &str, depth| -> Vec<usize> {
            let widths: Widths = text.parse().unwrap();
            (0..=depth).map(|t| widths.at(depth, t)).collect()
        };
        assert_eq!(all("alternating:5,2", 3), [5, 2, 5, 2]);
        assert_eq!(all("bottleneck:5,2", 4), [5, 5, 2, 5, 5]);
        assert_eq!(all("bottleneck:5,2", 3), [5, 2, 5, 5]);
        assert_eq!((all("bottleneck:5,2", 1), all("bottleneck:5,2", 0)), (vec![5, 5], vec![5]));
    }

    #[test]
    fn one_text_for_each() {
        assert_eq!("bottleneck:064, 4".parse::<Widths>().unwrap().to_string(), "bottleneck:64,4");
        for bad in [
            "",
            "4",
            "bottleneck",
            "bottleneck:4",
            "bottleneck:4,0",
            "waist:4,2",
            "alternating:1,2,3",
            "alternating:1,65537",
        ] {
            let message = bad.parse::<Widths>().unwrap_err();
            assert!(message.contains(&format!("`{bad}`")) && message.contains("bottleneck:a,b"), "{message}");
        }
    }
}
