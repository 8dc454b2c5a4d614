//! The passes of the layers on vectors: results in two parts of f64, with a bound on their error, where that decides the rounding.
//!
//! The definition ([`Group`](super::statistics::Group) and what computes with it) has 126 bits. A result here has about 90 that are right, and is moved down and up by a
//! bound on its own error and that of the definition: if both round to the same number, so does the definition's result. If not, if a number is not finite, or where
//! bounds would not hold (magnitudes of groups beyond 10^±270), the whole group is left to the definition. So vectors change no bit.
//!
//! # Bounds
//!
//! With n numbers in a group (at most 2^20), each sum of terms t is off by less than `E Σ|t|`, `E = (n + 64)² 2^-105`: a sum of as many terms in one lane, in two parts
//! of which the lower takes what the upper leaves off, by `n² 2^-107` (Ogita, Rump and Oishi 2005, "Accurate sum and dot product", for their Sum2), sums over lanes by less. Products in
//! two parts are off by 2^-101 of themselves. With the mean m and A the mean of |x|, in the order in which the passes compute:
//!
//! ```text
//! m           off by a = 4 E A                                       0 where nothing is centred
//! d = x - m   off by a + 2^-102 |d|
//! Σ d² / n    off by v of itself, v = 2 E + 8 a / sqrt(Σ d² / n)     at most 10^-18
//! r           off by e of itself, e = v + 2^-98                      1 over the root of the sum of that and ε
//! x̂ = d r     off by |d| r (e + 2^-98) + a r
//! ```
//!
//! and from there each result by the sum of what its terms are off by; the passes say how much, with factors of 2 or more to spare for the roundings of the bounds.
//!
//! A vector holds numbers of one row, or numbers of neighbouring columns; the texts are the same.

mod backward;
mod centre;
mod forward;
mod pair;
mod parameters;
mod statistics;
mod tile;

pub(super) use statistics::Quick;

use super::affine::Affine;
use super::statistics::Statistics;
use crate::stored::Bits;
use gradchain_arith::Isa;

/// The most rows, and numbers of a row, on vectors.
const MOST: usize = 1 << 20;

/// A pass of a layer, for [`Gradients::layer_pass`](crate::Gradients::layer_pass).
#[derive(Debug)]
pub struct LayerPass<'a, N>(Pass<'a, N>);

impl<'a, N> From<Pass<'a, N>> for LayerPass<'a, N> {
    fn from(pass: Pass<'a, N>) -> LayerPass<'a, N> {
        LayerPass(pass)
    }
}

/// The passes; all slices have the lengths that the statistics say.
#[derive(Debug)]
pub(crate) enum Pass<'a, N> {
    /// What is found of each group of x.
    Statistics { statistics: &'a Statistics, x: &'a [N], quick: &'a mut [Option<Quick>] },
    /// `y`.
    Forward { statistics: &'a Statistics, x: &'a [N], affine: Affine<'a, N>, out: &'a mut [N] },
    /// `dL/dx`.
    Backward {
        statistics: &'a Statistics,
        x: &'a [N],
        weight: Option<&'a [N]>,
        gradient: &'a [N],
        out: &'a mut [N],
    },
    /// `dL/dweight` and `dL/dbias`.
    Parameters {
        statistics: &'a Statistics,
        x: &'a [N],
        gradient: &'a [N],
        weight_gradient: &'a mut [N],
        bias_gradient: &'a mut [N],
    },
    /// Rows less their means; whether one has changed.
    Centre { width: usize, numbers: &'a mut [N], changed: &'a mut bool },
}

/// The groups of a pass that leaves all to the definition; of parameters the weights and then the biases.
pub(crate) fn all_groups<N>(LayerPass(pass): &LayerPass<'_, N>) -> Vec<usize> {
    let count = match pass {
        Pass::Statistics { quick, .. } => quick.len(),
        Pass::Forward { statistics, .. } | Pass::Backward { statistics, .. } => statistics.len(),
        Pass::Parameters { weight_gradient, .. } => 2 * weight_gradient.len(),
        Pass::Centre { width, numbers, .. } => numbers.len().checked_div(*width).unwrap_or(0),
    };
    (0..count).collect()
}

/// Does what vectors can decide of the pass, and returns the groups that are left to the definition; of parameters the weights and, after as many numbers as
/// there are columns, the biases.
pub(crate) fn on_vectors<T: Bits>(isa: Isa, pass: LayerPass<'_, T>) -> Vec<usize> {
    let LayerPass(inner) = &pass;
    let (rows, width) = match inner {
        Pass::Statistics { statistics, .. }
        | Pass::Forward { statistics, .. }
        | Pass::Backward { statistics, .. }
        | Pass::Parameters { statistics, .. } => (statistics.rows, statistics.width),
        Pass::Centre { width, .. } => (1, *width),
    };
    if rows.min(width) == 0 || rows.max(width) > MOST {
        return all_groups(&pass);
    }
    let LayerPass(pass) = pass;
    match pass {
        Pass::Statistics { statistics, x, quick } => isa.run(statistics::Find { statistics, x, quick }),
        Pass::Forward { statistics, x, affine, out } => {
            isa.run(forward::Forward { statistics, x, affine, out })
        }
        Pass::Backward { statistics, x, weight, gradient, out } => {
            isa.run(backward::Backward { statistics, x, weight, gradient, out })
        }
        Pass::Parameters { statistics, x, gradient, weight_gradient, bias_gradient } => {
            isa.run(parameters::Parameters { statistics, x, gradient, weight_gradient, bias_gradient })
        }
        Pass::Centre { width, numbers, changed } => isa.run(centre::Centre { width, numbers, changed }),
    }
}

/// E of the module's text, for sums of so many terms.
fn sum_error(n: usize) -> f64 {
    let n = (n + 64) as f64;
    n * n * f64::from_bits((1023 - 105) << 52)
}

/// 2^-98: what a few roundings in two parts are off by, as a part of their result.
const ROUNDINGS: f64 = f64::from_bits((1023 - 98) << 52);
/// Below this magnitude, products in two parts of f64 numbers can underflow; numbers of the other formats stay above.
const UNDERFLOW: f64 = 1e-270;
/// More than what is left off there of a product.
const LEFT_OFF: f64 = 1e-290;

#[cfg(test)]
mod tests {
    use super::super::statistics::Known;
    use super::super::{NormLayer, statistics};
    use super::*;
    use crate::stored::Measured;
    use gradchain_arith::{Native, bf16, f16};

    /// Of ordinary batches next to nothing is left to the definition: of 48 groups at most one, in every layer, format and pass.
    #[test]
    fn ordinary_batches_are_decided_on_vectors() {
        fn ordinary<T: Measured + Bits>() {
            let mut state = 9_u64;
            let mut draw = |scale: f64, shift: f64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                T::round_from(scale * ((state >> 11) as f64 * libm::exp2(-52.0) - 1.0) + shift)
            };
            let (rows, width) = (48, 48);
            let x: Vec<T> = (0..rows * width).map(|_| draw(0.5, 0.1)).collect();
            let gradient: Vec<T> = (0..rows * width).map(|_| draw(1e-3, 0.0)).collect();
            let [weight, bias]: [Vec<T>; 2] =
                [1.0, 0.1].map(|shift| (0..width).map(|_| draw(0.3, shift)).collect());
            let isa = Isa::choose().unwrap();
            for layer in NormLayer::ALL {
                let statistics = &statistics(&Native::<T>::new(isa), layer, 1e-5, width, &x).unwrap();
                let defined = statistics.groups.iter().filter(|group| matches!(group, Known::Defined(_)));
                assert!(defined.count() <= 1, "{} {layer}", T::NAME);
                let (weight, bias) = (Some(&weight[..]), Some(&bias[..]));
                let mut out = x.clone();
                let affine = Affine { weight, bias };
                let forward = Pass::Forward { statistics, x: &x, affine, out: &mut out };
                let forward = on_vectors(isa, forward.into());
                let backward =
                    Pass::Backward { statistics, x: &x, weight, gradient: &gradient, out: &mut out };
                let backward = on_vectors(isa, backward.into());
                let (mut weights, mut biases) = (x[..width].to_vec(), x[..width].to_vec());
                let parameters = Pass::Parameters {
                    statistics,
                    x: &x,
                    gradient: &gradient,
                    weight_gradient: &mut weights,
                    bias_gradient: &mut biases,
                };
                let parameters = on_vectors(isa, parameters.into());
                println!(
                    "{} {layer}: left {} {} {}",
                    T::NAME,
                    forward.len(),
                    backward.len(),
                    parameters.len()
                );
                assert!(forward.len() <= 1 && backward.len() <= 1 && parameters.len() <= 1);
            }
        }
        ordinary::<f16>();
        ordinary::<bf16>();
        ordinary::<f32>();
        ordinary::<f64>();
    }
}
