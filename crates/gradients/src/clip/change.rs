//! How numbers are changed: one exact product or quotient, rounded once.

use crate::clip::policy::NonFinite;
use crate::clip::report::{Clipping, Outcome};
use crate::extended::Extended;
use crate::norm::{Norm, times_power_of_two};
use crate::stored::Gradients;
use gradchain_arith::{Arithmetic, Exact, Format, Rounding, Rules, round};

/// What is done to every number of a tensor or unit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// Nothing.
    Keep,
    /// Nothing, for it is not finite.
    Skip,
    /// A product or quotient, rounded once.
    Scale(Scaling),
    /// The product with this number by IEEE's rules: 0 or NaN.
    Spoil(f64),
    /// NaN.
    AllNan,
    /// +0.
    Zero,
}

/// What a whole tensor is scaled by.
#[derive(Clone, Copy, Debug)]
pub struct Scaling(By);

#[derive(Clone, Copy, Debug)]
enum By {
    Ratio(Ratio),
    /// Multiplication with a number of 126 bits; the product settles before it is rounded.
    Long(Extended),
}

/// Multiplication with `operand · 2^exponent`, or division by `operand / 2^exponent`.
#[derive(Clone, Copy, Debug)]
struct Ratio {
    operation: Operation,
    /// For products 0, or from 1/2 to 1; for quotients from 1 to 2. So the operation alone cannot overflow.
    operand: f64,
    exponent: i64,
    /// 2^exponent, or NaN where that is no normal number.
    power: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation {
    Times,
    Over,
}

/// A factor from this on, 2^-900, and up to its reciprocal can have a second part.
const LEAST_OF_TWO_PARTS: f64 = f64::from_bits((1023 - 900) << 52);

/// Above this, a product or quotient with an operand of [`Scaling`] has a rest that is a normal number.
const EXACT_REST: f64 = f64::from_bits((1023 - 900) << 52);

/// The most bits of a format for which one rounding to odd into f64 comes before the rounding into the format: two fewer than f64 has.
const ODD_PRECISION: u32 = 51;

impl Change {
    /// What brings a gradient of this `norm` to the `limit`, where it is above.
    pub(crate) fn to_limit(limit: Norm, norm: Norm, policy: NonFinite) -> Change {
        if !norm.is_finite() {
            return Change::of_spoiled(limit.to_f64() / norm.to_f64(), policy);
        }
        if norm > limit { Change::Scale(Scaling::product(limit, norm)) } else { Change::Keep }
    }

    /// What brings a gradient of this `norm` to the norm 1.
    pub(crate) fn to_unit(norm: Norm, policy: NonFinite) -> Change {
        if !norm.is_finite() {
            return Change::of_spoiled(1.0 / norm.to_f64(), policy);
        }
        if norm.mantissa() == 0.0 { Change::Keep } else { Change::Scale(Scaling::quotient(norm)) }
    }

    fn of_spoiled(factor: f64, policy: NonFinite) -> Change {
        match policy {
            NonFinite::Propagate => Change::Spoil(factor),
            NonFinite::AllNan => Change::AllNan,
            NonFinite::Zero => Change::Zero,
            // An error is returned before any number changes.
            NonFinite::Skip | NonFinite::Error => Change::Skip,
        }
    }

    /// The report on a gradient of this `norm`, before the numbers are changed.
    pub(crate) fn report(&self, norm: Norm) -> Clipping {
        let (outcome, coefficient) = match *self {
            Change::Keep => (Outcome::Kept, Norm::from_f64(1.0)),
            Change::Skip => (Outcome::Skipped, Norm::from_f64(1.0)),
            Change::Scale(scaling) => (Outcome::Scaled, scaling.coefficient()),
            Change::Spoil(factor) => (Outcome::Spoiled, Norm::from_f64(factor)),
            Change::AllNan => (Outcome::Spoiled, Norm::from_f64(f64::NAN)),
            Change::Zero => (Outcome::Zeroed, Norm::from_f64(0.0)),
        };
        Clipping { coefficient, outcome, ..Clipping::kept(norm) }
    }

    /// Changes all numbers of a tensor; number i draws its random bits from stream i of `arith`.
    pub(crate) fn apply<A: Gradients>(&self, arith: &A, tensor: &mut [A::Number], report: &mut Clipping) {
        match self {
            Change::Keep | Change::Skip => {}
            Change::Scale(scaling) => arith.scale_all(scaling, tensor, report),
            Change::Spoil(_) | Change::AllNan | Change::Zero => {
                for (i, g) in tensor.iter_mut().enumerate() {
                    self.change(&arith.stream(i as u64), g, report);
                }
            }
        }
    }

    /// Changes one number.
    #[inline]
    pub(crate) fn change<A: Arithmetic>(&self, arith: &A, g: &mut A::Number, report: &mut Clipping) {
        let before = arith.value(*g);
        *g = match *self {
            Change::Keep | Change::Skip => return,
            Change::Scale(scaling) => scaling.scaled(arith, before),
            Change::Spoil(factor) => arith.round(before * factor),
            Change::AllNan => arith.round(f64::NAN),
            Change::Zero => arith.round(0.0),
        };
        report.count(arith, before, *g);
    }
}

impl Scaling {
    /// `limit / norm`, rounded to 53 bits; the limit is finite, and the norm not zero.
    pub(crate) fn product(limit: Norm, norm: Norm) -> Scaling {
        let ratio = limit.mantissa() / norm.mantissa();
        let exponent = limit.exponent() - norm.exponent();
        // Mantissas lie from 1 to 2, their ratio from 1/2 to 2.
        let (operand, exponent) = if ratio < 1.0 { (ratio, exponent) } else { (0.5 * ratio, exponent + 1) };
        Scaling(By::Ratio(Ratio::new(Operation::Times, operand, exponent)))
    }

    /// `1 / norm`, which is not zero.
    fn quotient(norm: Norm) -> Scaling {
        // By a power of two the quotient is a product as well.
        let operation = if norm.mantissa() == 1.0 { Operation::Times } else { Operation::Over };
        Scaling(By::Ratio(Ratio::new(operation, norm.mantissa(), -norm.exponent())))
    }

    /// The positive `factor`.
    pub(crate) fn long(factor: Extended) -> Scaling {
        Scaling(By::Long(factor))
    }

    /// What is multiplied by in two parts, to a relative error of 2^-104, where both are normal f64 numbers; or exactly, and then the second part is 0.
    pub(crate) fn factor(&self) -> Option<[f64; 2]> {
        let normal = |least: f64, most: f64, high: f64| (least..=most).contains(&high);
        let [high, low] = match self.0 {
            By::Ratio(ratio) => {
                let Ratio { operation, operand, power, .. } = ratio;
                if operation == Operation::Times {
                    // Multiplied with a power of two, a number that stays normal is exact.
                    let factor = operand * power;
                    return normal(f64::MIN_POSITIVE, f64::MAX, factor).then_some([factor, 0.0]);
                }
                let high = 1.0 / operand;
                [high * power, high.mul_add(-operand, 1.0) / operand * power]
            }
            By::Long(factor) => {
                let high = factor.to_nearest();
                // An infinity has no rest.
                [high, factor.minus(Extended::from_f64(high.min(f64::MAX))).to_nearest()]
            }
        };
        normal(LEAST_OF_TWO_PARTS, 1.0 / LEAST_OF_TWO_PARTS, high).then_some([high, low])
    }

    pub(crate) fn coefficient(self) -> Norm {
        let Ratio { operation, operand, exponent, .. } = match self.0 {
            By::Ratio(ratio) => ratio,
            By::Long(factor) => return factor.settled().to_norm(),
        };
        let factor = match operation {
            Operation::Times => Exact::from_f64(operand),
            Operation::Over => Exact::quotient(1.0, operand),
        };
        Norm::rounded(factor.mantissa, i64::from(factor.exponent) + exponent, factor.sticky)
    }

    /// The exact product or quotient, rounded once by `arith`; formats of more than 51 bits get the nearest f64.
    #[inline]
    pub(crate) fn scaled<A: Arithmetic>(&self, arith: &A, g: f64) -> A::Number {
        match self.0 {
            _ if g == 0.0 => arith.round(g),
            By::Ratio(ratio) if arith.format().precision() <= ODD_PRECISION => {
                arith.round(ratio.rounded_to_odd(g))
            }
            By::Ratio(ratio) => arith.round(ratio.nearest(g)),
            By::Long(factor) => Extended::from_f64(g).times(factor).settled().round(arith),
        }
    }
}

impl Ratio {
    fn new(operation: Operation, operand: f64, exponent: i64) -> Ratio {
        let normal = (-1022..=1023).contains(&exponent);
        let power = if normal { times_power_of_two(1.0, exponent) } else { f64::NAN };
        Ratio { operation, operand, exponent, power }
    }

    /// The nearest f64.
    #[inline]
    fn nearest(&self, g: f64) -> f64 {
        let x = match self.operation {
            Operation::Times => g * self.operand,
            Operation::Over => g / self.operand,
        };
        let result = x * self.power;
        // Multiplied with a power of two, a normal number that stays one is exact.
        if x.abs() >= f64::MIN_POSITIVE && (f64::MIN_POSITIVE..=f64::MAX).contains(&result.abs()) {
            return result;
        }
        round(self.exact(g), Format::F64, Rules::default(), 0)
    }

    /// Rounded to odd into f64: inexact results have the last bit set, so that one rounding to 51 bits or fewer gives what it gives of the
    /// exact result (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums", theorem 1).
    #[inline]
    fn rounded_to_odd(&self, g: f64) -> f64 {
        let (x, rest) = match self.operation {
            Operation::Times => {
                let x = g * self.operand;
                (x, g.mul_add(self.operand, -x))
            }
            Operation::Over => {
                let x = g / self.operand;
                (x, x.mul_add(-self.operand, g))
            }
        };
        let result = odd(x, rest) * self.power;
        if x.abs() >= EXACT_REST && (f64::MIN_POSITIVE..=f64::MAX).contains(&result.abs()) {
            return result;
        }
        let exact = self.exact(g);
        let toward = |rounding| round(exact, Format::F64, Rules { rounding, ..Rules::default() }, 0);
        let (below, above) = (toward(Rounding::Down), toward(Rounding::Up));
        if below == above || below.to_bits() & 1 == 1 { below } else { above }
    }

    fn exact(&self, g: f64) -> Exact {
        let result = match self.operation {
            Operation::Times => Exact::product(g, self.operand),
            Operation::Over => Exact::quotient(g, self.operand),
        };
        // Beyond these exponents every f64 is a zero, or an infinity, all the same.
        let exponent = (i64::from(result.exponent) + self.exponent).clamp(-8000, 8000) as i32;
        Exact { exponent, ..result }
    }
}

/// `x + rest` rounded to odd, where `x` is the nearest to it: an inexact sum with an even last bit moves onto the odd neighbour.
#[inline]
fn odd(x: f64, rest: f64) -> f64 {
    let bits = x.to_bits();
    if rest == 0.0 || bits & 1 == 1 {
        return x;
    }
    let outward = (bits ^ rest.to_bits()) >> 63 == 0;
    f64::from_bits(if outward { bits + 1 } else { bits - 1 })
}
