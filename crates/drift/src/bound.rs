//! The running forward error bound of a linear chain.
//!
//! For a chain `v_t = W_t^T v_(t-1)` computed with a summation of factor γ and underflow term η (`Summation::bound` and
//! `Summation::underflow` of the arithmetic), the error of each component of the computed vector is at most
//!
//! ```text
//! B_0 = 0      B_t = |W_t|^T B_(t-1) + γ |W_t|^T (|v_(t-1)| + B_(t-1)) + η
//! ```
//!
//! because the computed product errs by at most γ times the product of the magnitudes of its operands, of which the computed vector
//! is at most `|v| + B` (Higham 2002, "Accuracy and Stability of Numerical Algorithms", sections 3.1 and 3.3, as a running bound with
//! the exact v in place of the computed one).
//!
//! The theory knows no overflow. Where one could go unseen, in a format that saturates, the bound is infinite from the layer on at which a partial
//! sum, at most `(1 + γ) |W_t|^T (|v_(t-1)| + B_(t-1)) + η`, could exceed the largest number. Elsewhere an overflow is seen: it ends in an
//! infinity or a NaN, which no later layer makes finite again.

use crate::scaled::{Scaled, ldexp, pow2};
use crate::scaled_vector::{ScaledVector, common_exponent};
use gradchain_arith::{Isa, Simd, WithSimd};
use gradchain_chain::Layer;

/// B_t as `bounds_i · 2^exponent`, every operation on it rounded up.
#[derive(Clone, Debug)]
pub struct ErrorBound {
    bounds: Vec<f64>,
    exponent: i64,
    batch: usize,
    infinite: bool,
    magnitudes: Vec<f64>,
    products: Vec<[f64; 2]>,
}

/// What one layer may add to the error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerError {
    /// γ for sums of as many terms as the layer has outputs.
    pub gamma: f64,
    /// η, an absolute error.
    pub underflow: f64,
}

/// Added to every product of normalised numbers, for what underflow in the bound's own arithmetic may have dropped.
const DROPPED: f64 = 1e-290;

impl ErrorBound {
    /// B_0 = 0 for an upstream gradient of `batch` rows and `len` numbers in all.
    pub fn new(batch: usize, len: usize) -> ErrorBound {
        ErrorBound {
            bounds: vec![0.0; len],
            exponent: 0,
            batch,
            infinite: false,
            magnitudes: Vec::new(),
            products: Vec::new(),
        }
    }

    /// Takes the bound from G_t to G_(t-1) = G_t W_t, where `gradient` is the exact G_t, row-major `batch · outputs`. `limit` is the largest number of the
    /// format, or infinity where the caller knows that nothing overflowed.
    ///
    /// # Panics
    /// If `gradient`, the layer and the bound so far do not fit.
    pub fn pass(&mut self, isa: Isa, layer: &Layer, gradient: &ScaledVector, error: LayerError, limit: f64) {
        assert_eq!(gradient.len(), self.bounds.len(), "gradient and bound differ in length");
        assert_eq!(gradient.len(), self.batch * layer.outputs, "gradient of {} rows at a layer", self.batch);
        isa.run(Pass { bound: self, layer, gradient, error, limit });
    }

    /// `||B||_2 / ||G||_2`, rounded up, for the exact gradient that the bound belongs to: the drift cannot be larger. 0 where both are zero,
    /// infinite where only the gradient is or where the bound is, NaN for a gradient that is not finite.
    pub fn relative(&self, gradient: &ScaledVector) -> Scaled {
        let norm = gradient.norm();
        if norm.mantissa().is_nan() {
            return Scaled::from(f64::NAN);
        }
        if self.infinite {
            return Scaled::from(f64::INFINITY);
        }
        let bound = self.norm();
        if bound.mantissa() == 0.0 {
            return Scaled::ZERO;
        }
        // The norms and the quotient are right to a few 2^-53.
        let ratio = bound.divided_by(norm);
        Scaled::new(ratio.mantissa() * (1.0 + pow2(-48)), ratio.exponent())
    }

    /// `||B||_2`; infinite where overflow cannot be excluded.
    pub fn norm(&self) -> Scaled {
        if self.infinite {
            return Scaled::from(f64::INFINITY);
        }
        let mut squares = crate::norm::SumOfSquares::default();
        squares.add(&self.bounds, &vec![0.0; self.bounds.len()], self.exponent);
        squares.root()
    }
}

struct Pass<'a> {
    bound: &'a mut ErrorBound,
    layer: &'a Layer,
    gradient: &'a ScaledVector,
    error: LayerError,
    limit: f64,
}

impl WithSimd for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Pass { bound, layer, gradient, error: LayerError { gamma, underflow }, limit } = self;
        let n = layer.inputs;
        if bound.infinite || !gamma.is_finite() {
            bound.infinite = true;
            bound.bounds.clear();
            bound.bounds.resize(bound.batch * n, f64::INFINITY);
            return;
        }
        // |v| + B and B over one power of two, and the weights over another: nothing here overflows.
        let present = [
            common_exponent(&gradient.hi).map(|_| gradient.exponent),
            common_exponent(&bound.bounds).map(|_| bound.exponent),
        ];
        let exponent = present.into_iter().flatten().max().unwrap_or(0);
        let (of_v, of_b) = (
            pow2((gradient.exponent.saturating_sub(exponent)).min(0)),
            pow2((bound.exponent.saturating_sub(exponent)).min(0)),
        );
        let b_dropped = if present[1].is_some() { DROPPED } else { 0.0 };
        for b in &mut bound.bounds {
            *b = *b * of_b + b_dropped;
        }
        bound.magnitudes.clear();
        let dropped = if present[0].is_some() { DROPPED } else { 0.0 };
        bound
            .magnitudes
            .extend(gradient.hi.iter().zip(&bound.bounds).map(|(v, b)| v.abs() * of_v + b + dropped));
        let of_weights = common_exponent(&layer.weights).unwrap_or(0).clamp(-1000, 1000);
        let scale = pow2(-of_weights);
        bound.products.clear();
        bound.products.resize(bound.batch * n, [0.0; 2]);
        for row in 0..bound.batch {
            let products = &mut bound.products[row * n..][..n];
            for i in 0..layer.outputs {
                let (b, m) =
                    (bound.bounds[row * layer.outputs + i], bound.magnitudes[row * layer.outputs + i]);
                for ([of_b, of_m], w) in products.iter_mut().zip(&layer.weights[i * n..][..n]) {
                    let w = w.abs() * scale;
                    *of_b += w * b;
                    *of_m += w * m;
                }
            }
        }
        // Each sum has had one rounding a term and one a product; the bound over all of them, doubled, is far below what it is a bound of.
        let up = 1.0 + (layer.outputs as f64 + 16.0) * pow2(-52);
        let exponent = exponent.saturating_add(of_weights);
        let to =
            exponent.max(if underflow > 0.0 { common_exponent(&[underflow]).unwrap_or(0) } else { exponent });
        let (down, eta) = (pow2(exponent.saturating_sub(to)), ldexp(underflow, -to));
        let max = Scaled::from(limit);
        let mut largest: f64 = 0.0;
        bound.bounds.clear();
        bound.bounds.extend(bound.products.iter().map(|&[of_b, of_m]| {
            let moved = if of_m > 0.0 { DROPPED } else { 0.0 };
            let of_m = of_m * up * down + moved;
            let partial = ((1.0 + gamma) * of_m + eta) * up;
            largest = if partial > largest || partial.is_nan() { partial } else { largest };
            (of_b * up * down + if of_b > 0.0 { DROPPED } else { 0.0 } + gamma * of_m + eta) * up
        }));
        bound.exponent = to;
        let sum = Scaled::new(largest, to);
        let exceeds = largest.is_nan() || sum.divided_by(max).log2() > 0.0;
        bound.infinite = exceeds;
        let own = common_exponent(&bound.bounds).unwrap_or(0);
        bound.bounds.iter_mut().for_each(|b| *b = ldexp(*b, -own));
        bound.exponent = bound.exponent.saturating_add(own);
    }
}
