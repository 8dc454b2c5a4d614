//! The forward error bound of a product of matrices whose brackets may stand anywhere.
//!
//! A computed product of factors `A_1 ··· A_m` is within, in every component,
//!
//! ```text
//! |computed - A_1 ··· A_m| <= ε |A_1| ··· |A_m| + U      ‖U‖_F <= μ s      s >= ‖ |A_1| ··· |A_m| ‖_2
//! ```
//!
//! For a factor ε = μ = 0 and `s² = ‖A‖_1 ‖A‖_∞`. A product of two such, of rows x columns, with a summation of factor γ and underflow term η, has
//! (a, b its operands; `|fl(XY) - XY| <= γ |X| |Y| + η` and the triangle inequality, nothing else)
//!
//! ```text
//! 1 + ε = (1 + γ) (1 + ε_a) (1 + ε_b)                                s = s_a s_b
//! μ = (1 + γ) ((1 + ε_a) μ_b + (1 + ε_b) μ_a + μ_a μ_b) + η sqrt(rows · columns) / s
//! ```
//!
//! Without underflow that is `Π (1 + γ) - 1` over all products (after Higham 2002, "Accuracy and Stability of Numerical Algorithms", section 3.5 and
//! lemma 3.8), the same for every way to set the brackets. The theory knows no overflow: see [`ProductError::largest`].

use crate::bound::LayerError;
use crate::scaled::{Scaled, pow2};

/// ε, μ and s of one product, every operation on them rounded up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProductError {
    relative: f64,
    absolute: f64,
    size: Scaled,
}

/// More than the roundings of any formula here.
const UP: f64 = 1.0 + 32.0 * f64::EPSILON;

impl ProductError {
    /// A factor, which is exact: row-major with this many columns.
    ///
    /// # Panics
    /// If the numbers are not whole rows.
    pub fn exact(matrix: &[f64], columns: usize) -> ProductError {
        let rows = matrix.len().checked_div(columns).unwrap_or(0);
        assert_eq!(rows * columns, matrix.len(), "numbers of a matrix with {columns} columns");
        // Each sum of magnitudes has had one rounding a term.
        let up = |terms: usize| 1.0 + (terms as f64 + 16.0) * f64::EPSILON;
        let mut of_columns = vec![0.0; columns];
        let mut of_rows = vec![0.0; rows];
        for (row, sum) in matrix.chunks_exact(columns.max(1)).zip(&mut of_rows) {
            for (x, of_column) in row.iter().zip(&mut of_columns) {
                *sum += x.abs();
                *of_column += x.abs();
            }
        }
        let root = |sums: &[f64]| largest(sums).sqrt();
        let size =
            Scaled::from(root(&of_columns) * up(rows)).times(Scaled::from(root(&of_rows) * up(columns)));
        ProductError { relative: 0.0, absolute: 0.0, size }
    }

    /// The computed product of the two, `rows x columns`, of which each sum errs as `error` says.
    #[must_use]
    pub fn times(
        &self,
        right: &ProductError,
        rows: usize,
        columns: usize,
        error: LayerError,
    ) -> ProductError {
        let (a, b) = (1.0 + self.relative, 1.0 + right.relative);
        let LayerError { gamma, underflow } = error;
        let size = raised(self.size.times(right.size));
        // Where a factor is zero, so is every number from there on, and nothing underflows.
        let lost = match underflow > 0.0 && size.mantissa() != 0.0 {
            true => {
                let lost = Scaled::from(underflow * (rows as f64 * columns as f64).sqrt()).divided_by(size);
                lost.to_f64() * UP + f64::MIN_POSITIVE
            }
            false => 0.0,
        };
        let (of_left, of_right) = (self.absolute, right.absolute);
        let absolute = (1.0 + gamma) * (a * of_right + b * of_left + of_left * of_right) + lost;
        let relative = gamma * a * b + self.relative * b + right.relative;
        ProductError { relative: relative * UP, absolute: absolute * UP, size }
    }

    /// No partial sum of the computed product is larger. Where overflow could go unseen, there is no bound unless this lies within the format.
    pub fn largest(&self) -> Scaled {
        raised(self.size.times(Scaled::from((1.0 + self.relative + self.absolute) * UP)))
    }

    /// `(ε ‖ |A_1| ··· |A_m| ‖_F + μ s) / ‖A_1 ··· A_m‖_F`, rounded up, from the two norms: the drift cannot be larger. 0 where nothing can be lost,
    /// infinite where ε or μ leave the range of f64, NaN for a product that is not finite.
    pub fn relative(&self, magnitudes: Scaled, product: Scaled) -> Scaled {
        if product.mantissa().is_nan() {
            return product;
        }
        if !self.relative.is_finite() || !self.absolute.is_finite() {
            return Scaled::from(f64::INFINITY);
        }
        let error =
            sum(magnitudes.times(Scaled::from(self.relative)), self.size.times(Scaled::from(self.absolute)));
        if error.mantissa() == 0.0 { Scaled::ZERO } else { raised(error.divided_by(product)) }
    }
}

/// `x` and what a few roundings may have taken off of it.
fn raised(x: Scaled) -> Scaled {
    Scaled::new(x.mantissa() * UP, x.exponent())
}

/// The sum of two numbers of at least 0; what is 2^-1000 times smaller than the other counts as that.
fn sum(x: Scaled, y: Scaled) -> Scaled {
    let (large, small) = if x.log2() >= y.log2() { (x, y) } else { (y, x) };
    if small.mantissa() == 0.0 {
        return large;
    }
    let shift = small.exponent().saturating_sub(large.exponent()).max(-1000);
    Scaled::new(large.mantissa() + small.mantissa() * pow2(shift), large.exponent())
}

/// The largest of numbers of at least 0; NaN where there is one.
fn largest(numbers: &[f64]) -> f64 {
    numbers.iter().fold(0.0, |a, &b| if b > a || b.is_nan() { b } else { a })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, expected: f64) -> bool {
        got >= expected && got <= expected * (1.0 + 1e-13)
    }

    /// A = [3 -4] has ‖A‖_1 = 4, ‖A‖_∞ = 7; B = [1; 2] has 3 and 2: s = sqrt(28) sqrt(6).
    #[test]
    fn the_formulas_by_hand() {
        let (a, b) = (ProductError::exact(&[3.0, -4.0], 2), ProductError::exact(&[1.0, 2.0], 1));
        assert!(close(a.size.to_f64(), 28.0_f64.sqrt()) && close(b.size.to_f64(), 6.0_f64.sqrt()));
        let error = LayerError { gamma: 0.25, underflow: 0.5 };
        let ab = a.times(&b, 1, 1, error);
        let s = ab.size.to_f64();
        assert!(close(ab.relative, 0.25) && close(s, 168.0_f64.sqrt()), "{ab:?}");
        assert!(close(ab.absolute * s, 0.5), "{ab:?}");
        let twice = ab.times(&ab, 1, 1, error);
        assert!(close(twice.relative, f64::powi(1.25, 3) - 1.0), "{twice:?}");
        let lost = twice.absolute * twice.size.to_f64();
        assert!(close(lost, 1.25 * (2.5 * s * 0.5 + 0.5 * 0.5) + 0.5), "{twice:?}");
        assert!(close(twice.largest().to_f64(), 168.0 * (1.0 + twice.relative) + lost));
        let drift = ab.relative(Scaled::from(11.0), Scaled::from(5.0)).to_f64();
        assert!(close(drift, (0.25 * 11.0 + 0.5) / 5.0), "{drift}");
    }

    #[test]
    fn nothing_lost_and_nothing_known() {
        let one = ProductError::exact(&[1.0], 1);
        let exact = one.times(&one, 1, 1, LayerError { gamma: 0.0, underflow: 0.0 });
        assert_eq!(exact.relative(Scaled::from(1.0), Scaled::from(1.0)), Scaled::ZERO);
        let zero = ProductError::exact(&[0.0], 1);
        let dead = zero.times(&one, 1, 1, LayerError { gamma: 0.5, underflow: 1.0 });
        assert_eq!((dead.absolute, dead.size.to_f64()), (0.0, 0.0));
        let unknown = one.times(&one, 1, 1, LayerError { gamma: f64::INFINITY, underflow: 0.0 });
        assert_eq!(unknown.relative(Scaled::from(1.0), Scaled::from(1.0)).to_f64(), f64::INFINITY);
        let nan = Scaled::from(f64::NAN);
        assert!(exact.relative(nan, nan).mantissa().is_nan());
        assert!(ProductError::exact(&[f64::NAN, 1.0], 1).size.mantissa().is_nan());
        assert_eq!(ProductError::exact(&[], 0).size, Scaled::ZERO);
    }

    /// Sizes beyond f64: a thousand factors of 2^2000 each would overflow any f64.
    #[test]
    fn sizes_have_no_range() {
        let big = ProductError::exact(&[f64::powi(2.0, 1000)], 1);
        let error = LayerError { gamma: f64::powi(2.0, -10), underflow: f64::powi(2.0, -24) };
        let product = (0..1000).fold(big, |product, _| product.times(&big, 1, 1, error));
        let log2 = product.size.log2();
        assert!((log2 - 1_001_000.0).abs() < 1e-6, "{log2}");
        let drift = product.relative(product.size, product.size).to_f64();
        assert!((drift / (f64::powi(1.0 + f64::powi(2.0, -10), 1000) - 1.0) - 1.0).abs() < 1e-9, "{drift}");
    }

    #[test]
    fn sums_of_numbers_far_apart() {
        let (one, tiny) = (Scaled::from(1.0), Scaled::new(1.0, -5000));
        assert_eq!((sum(one, tiny), sum(tiny, one)), (one, one));
        assert_eq!((sum(one, one).to_f64(), sum(Scaled::ZERO, tiny)), (2.0, tiny));
    }
}
