//! Layers that are not plain: normalised pre-activations, and branches beside a skip, in scaled double-double.

use crate::double_double::DoubleDouble;
use crate::scaled::{ldexp, pow2};
use crate::scaled_vector::{ScaledVector, common_exponent};
use gradchain_chain::Wiring;

/// A layer's normalised z, and of each group the factor by which it was multiplied, as (m, e) with the value `m · 2^e`.
#[derive(Clone, Debug)]
pub(crate) struct Normalised {
    values: ScaledVector,
    factors: Vec<(DoubleDouble, i64)>,
    groups: Groups,
    centred: bool,
}

/// The groups of numbers that are normalised together, in `batch` rows of `width` numbers.
#[derive(Clone, Copy, Debug)]
struct Groups {
    count: usize,
    size: usize,
    /// From one number of a group to the next.
    stride: usize,
    /// From the first number of a group to that of the next one.
    apart: usize,
}

impl Groups {
    fn members(self, group: usize) -> impl Iterator<Item = usize> {
        (0..self.size).map(move |k| group * self.apart + k * self.stride)
    }
}

/// Replaces z by what the wiring makes of it before the activation: each row over `sqrt(mean(z²) + ε)`, or each column, less its mean, over
/// `sqrt(variance + ε)`. None where the wiring does not normalise.
///
/// The sums run in the order of the numbers, with a relative error of n · 2^-104; of differences from a mean, relative to the largest number of the column.
pub(crate) fn normalise(
    wiring: Wiring,
    z: &mut ScaledVector,
    batch: usize,
    width: usize,
) -> Option<Normalised> {
    let (groups, centred) = match wiring {
        Wiring::Plain | Wiring::Residual { .. } => return None,
        Wiring::RmsNorm => (Groups { count: batch, size: width, stride: 1, apart: width }, false),
        Wiring::BatchNorm => (Groups { count: width, size: batch, stride: width, apart: 1 }, true),
    };
    let n = DoubleDouble::from(groups.size as f64);
    let mut factors = Vec::with_capacity(groups.count);
    let mut numbers = Vec::with_capacity(groups.size);
    for group in 0..groups.count {
        numbers.clear();
        numbers.extend(groups.members(group).map(|i| z.mantissa(i)));
        if centred {
            let mean = sum(numbers.iter().copied()).divided_by(n);
            numbers.iter_mut().for_each(|x| *x = x.minus(mean));
        }
        // Everything over 2^e, of the size of the largest number or of the root of ε, whichever is larger: no square overflows, and those that underflow
        // are nothing beside ε.
        let largest = common_exponent(&numbers.iter().map(|x| x.hi).collect::<Vec<f64>>());
        let e = largest.map_or(ROOT_OF_EPSILON, |own| own.saturating_add(z.exponent).max(ROOT_OF_EPSILON));
        let shift = z.exponent.saturating_sub(e);
        numbers.iter_mut().for_each(|x| *x = DoubleDouble { hi: ldexp(x.hi, shift), lo: ldexp(x.lo, shift) });
        let mean_square = sum(numbers.iter().map(|x| x.times(*x))).divided_by(n);
        let epsilon = ldexp(Wiring::EPSILON, e.saturating_mul(-2));
        let factor = DoubleDouble::ONE.divided_by(mean_square.plus_f64(epsilon).sqrt());
        for (i, x) in groups.members(group).zip(&numbers) {
            let value = x.times(factor);
            (z.hi[i], z.lo[i]) = (value.hi, value.lo);
        }
        factors.push((factor, e.saturating_neg()));
    }
    z.exponent = 0;
    z.renormalise();
    Some(Normalised { values: z.clone(), factors, groups, centred })
}

/// The exponent that the root of ε, 10^-5, has with a mantissa of at most 1: 2^-9 < 0.0031 < 2^-8.
const ROOT_OF_EPSILON: i64 = -8;

/// Takes the gradient by the normalised numbers to that by z, in place: with the normalised numbers x and the factor r of each group,
/// `r (g - mean(g) - x mean(g x))`, without the mean of g where nothing was centred.
pub(crate) fn denormalise(gradient: &mut ScaledVector, normalised: &Normalised, exponents: &mut Vec<i64>) {
    let Normalised { values, factors, groups, centred } = normalised;
    let n = DoubleDouble::from(groups.size as f64);
    let power = |x: DoubleDouble, e: i64| x.times_power(pow2(e));
    exponents.clear();
    exponents.resize(gradient.len(), 0);
    for (group, &(factor, e)) in factors.iter().enumerate() {
        let value = |i: usize| power(values.mantissa(i), values.exponent);
        let mean = sum(groups.members(group).map(|i| gradient.mantissa(i))).divided_by(n);
        let along = sum(groups.members(group).map(|i| gradient.mantissa(i).times(value(i)))).divided_by(n);
        for i in groups.members(group) {
            let mut g = gradient.mantissa(i).minus(value(i).times(along));
            if *centred {
                g = g.minus(mean);
            }
            let g = g.times(factor);
            (gradient.hi[i], gradient.lo[i]) = (g.hi, g.lo);
            exponents[i] = gradient.exponent.saturating_add(e);
        }
    }
    gradient.gather(exponents);
}

fn sum(terms: impl Iterator<Item = DoubleDouble>) -> DoubleDouble {
    terms.fold(DoubleDouble::default(), DoubleDouble::plus)
}
