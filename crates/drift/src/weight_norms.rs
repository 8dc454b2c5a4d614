//! Frobenius norms of the weight and bias gradients, without forming the matrices.

use crate::double_double::DoubleDouble;
use crate::norm::SumOfSquares;
use crate::scaled::Scaled;
use crate::scaled_vector::ScaledVector;
use gradchain_arith::{Isa, Simd, WithSimd};

/// `||D^T H||_F`, the norm of dL/dW of a layer summed over the batch; D is `batch x outputs`, H `batch x inputs`, both row-major.
/// Relative error below 2^-50, unless the samples cancel by more than 2^50.
///
/// # Panics
/// If the lengths are not multiples of `batch`.
pub fn weight_gradient_norm(isa: Isa, batch: usize, delta: &ScaledVector, values: &ScaledVector) -> Scaled {
    if batch == 1 {
        // A matrix of rank one.
        return delta.norm().times(values.norm());
    }
    let (outputs, inputs) = (width("D", batch, delta), width("H", batch, values));
    isa.run(OuterNorm { batch, outputs, inputs, delta, values })
}

/// `||Σ over the batch of D||_2`, the norm of dL/db of a layer; D is `batch x outputs`, row-major. Error as in [`weight_gradient_norm`].
///
/// # Panics
/// If the length is not a multiple of `batch`.
pub fn bias_gradient_norm(isa: Isa, batch: usize, delta: &ScaledVector) -> Scaled {
    weight_gradient_norm(isa, batch, delta, &ScaledVector::new(&vec![1.0; batch]))
}

fn width(name: &str, batch: usize, vector: &ScaledVector) -> usize {
    let width = vector.len().checked_div(batch).unwrap_or(0);
    assert_eq!(width * batch, vector.len(), "{name} of {batch} rows");
    width
}

struct OuterNorm<'a> {
    batch: usize,
    outputs: usize,
    inputs: usize,
    delta: &'a ScaledVector,
    values: &'a ScaledVector,
}

impl WithSimd for OuterNorm<'_> {
    type Output = Scaled;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Scaled {
        let OuterNorm { batch, outputs, inputs, delta, values } = self;
        let exponent = delta.exponent.saturating_add(values.exponent);
        let (mut hi, mut lo) = (vec![0.0; inputs], vec![0.0; inputs]);
        let mut squares = SumOfSquares::default();
        for i in 0..outputs {
            hi.fill(0.0);
            lo.fill(0.0);
            for b in 0..batch {
                let factor = delta.mantissa(b * outputs + i);
                let row = values.hi[b * inputs..][..inputs].iter().zip(&values.lo[b * inputs..][..inputs]);
                for ((hi, lo), (&h, &l)) in hi.iter_mut().zip(&mut lo).zip(row) {
                    let sum =
                        DoubleDouble { hi: *hi, lo: *lo }.plus(factor.times(DoubleDouble { hi: h, lo: l }));
                    (*hi, *lo) = (sum.hi, sum.lo);
                }
            }
            squares.add(&hi, &lo, exponent);
        }
        squares.root()
    }
}
