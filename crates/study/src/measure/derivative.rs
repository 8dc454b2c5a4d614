//! The derivative of an activation by one path, in one format, at every number of the format or at a sample of them.
//!
//! The truth is the reference of `gradchain_drift`, at the same x. One ulp is that of the true value in the format: the distance between numbers of its
//! binade, below the normal range the least subnormal.

use super::MeasureError;
use super::arithmetic::{WithArithmetic, with_arithmetic};
use crate::cell::Cell;
use crate::row::Row;
use gradchain_activations::{apply, derivative_slice};
use gradchain_arith::{Format, Isa};
use gradchain_chain::ChainArithmetic;
use gradchain_drift::{AtPoint, DoubleDouble, values_and_slopes};

/// Formats of no more finite numbers are measured at all of them.
const MOST: u64 = 1 << 17;
/// How many numbers of each sign stand for a larger format.
const SAMPLED: u64 = 1 << 15;
/// The binades `2^-LEAST ..` and `.. 2^GREATEST` in which activations bend; half of a sample lies there.
const LEAST: i32 = -8;
const GREATEST: i32 = 10;
/// Up to here the errors of formulas are told apart from those of the tails: `max_ulp_core`.
const CORE: f64 = 4.0;

/// The row of a cell.
pub(super) fn measure(cell: &Cell, isa: Isa) -> Result<Vec<Row>, MeasureError> {
    let positive = positive_numbers(cell.format);
    let inputs: Vec<f64> = positive.iter().flat_map(|&x| [x, -x]).collect();
    let points: Vec<DoubleDouble> = inputs.iter().map(|&x| DoubleDouble::from(x)).collect();
    let truths = values_and_slopes(isa, cell.activation, &points);
    let (_, slopes) = with_arithmetic(cell, isa, 0, &Evaluate { cell, inputs: &inputs });
    let mut errors = Errors::default();
    for ((&x, &slope), &(_, truth)) in inputs.iter().zip(&slopes).zip(&truths) {
        errors.count(cell.format, x, slope, truth);
    }
    let mut row = Row::new();
    errors.report(&mut row);
    edges(cell, isa, &mut row);
    Ok(vec![row])
}

/// Values and derivatives at some numbers of the format.
struct Evaluate<'a> {
    cell: &'a Cell,
    inputs: &'a [f64],
}

impl WithArithmetic for Evaluate<'_> {
    type Output = (Vec<f64>, Vec<f64>);

    fn run<K: ChainArithmetic>(&self, arith: &K, inputs: &K) -> (Vec<f64>, Vec<f64>) {
        let Evaluate { cell, inputs: numbers } = self;
        let x: Vec<K::Number> = numbers.iter().map(|&x| inputs.round(x)).collect();
        let (mut y, mut slopes) = (x.clone(), x.clone());
        apply(arith, cell.activation, &x, &mut y);
        derivative_slice(arith, cell.activation, cell.path, &x, &y, &mut slopes);
        let values = |numbers: &[K::Number]| numbers.iter().map(|&x| arith.value(x)).collect();
        (values(&y), values(&slopes))
    }
}

/// The finite numbers of `format` from 0 on: all of them, or a sample, in ascending order.
///
/// Of a sample half lies in the binades where activations bend and half in all, as many in each; within a binade the fractions step by the
/// golden ratio (Weyl 1916: they are equally distributed).
fn positive_numbers(format: Format) -> Vec<f64> {
    let count = index_of(format, format.max()) + 1;
    if 2 * count <= MOST {
        return (0..count).map(|index| number(format, index)).collect();
    }
    let least = format.emin() - format.precision() as i32 + 1;
    let everywhere = least.max(-1074)..=format.emax();
    let bend = LEAST.max(least)..=GREATEST.min(format.emax());
    let mut numbers = vec![0.0, format.min_subnormal(), format.min_normal(), format.max()];
    for (i, binades) in (0..SAMPLED).zip([everywhere, bend].iter().cycle()) {
        let (first, last) = (*binades.start(), *binades.end());
        let binade = first + (i / 2 % (last - first + 1) as u64) as i32;
        let fraction = (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 12) as f64 * f64::powi(2.0, -52);
        // In two steps, since 2^binade may be subnormal where the number that it is made of is not.
        let x = (1.0 + fraction) * f64::powi(2.0, binade / 2) * f64::powi(2.0, binade - binade / 2);
        numbers.push(number(format, index_of(format, x.min(format.max()))));
    }
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    numbers
}

/// The place among the numbers of `format` from 0 on of the greatest that is not above `x >= 0`.
fn index_of(format: Format, x: f64) -> u64 {
    let p = format.precision();
    let leading = exponent(x).max(format.emin());
    let units = (x * f64::powi(2.0, -(leading / 2))) * f64::powi(2.0, p as i32 - 1 - (leading - leading / 2));
    let binades = (leading - format.emin()) as u64;
    // The leading bit of a normal number counts one binade: subnormal numbers have none.
    units as u64 + (binades << (p - 1))
}

/// The number of `format` at this place, from 0 on.
fn number(format: Format, index: u64) -> f64 {
    let p = format.precision();
    let (units, leading) = match index >> (p - 1) {
        0 => (index, format.emin()),
        binade => {
            let fraction = index & ((1 << (p - 1)) - 1);
            (fraction | 1 << (p - 1), format.emin() + binade as i32 - 1)
        }
    };
    let ulp = leading - p as i32 + 1;
    units as f64 * f64::powi(2.0, ulp / 2) * f64::powi(2.0, ulp - ulp / 2)
}

/// The exponent of the leading bit of a finite number; -1074 for zero.
fn exponent(x: f64) -> i32 {
    let biased = ((x.to_bits() >> 52) & 0x7ff) as i32;
    match x.to_bits() << 12 {
        _ if biased > 0 => biased - 1023,
        0 => -1074,
        fraction => -1023 - fraction.leading_zeros() as i32,
    }
}

/// What is wrong with the derivatives at many numbers.
#[derive(Default)]
struct Errors {
    inputs: u64,
    sum: f64,
    /// The largest errors in ulps: everywhere and where; up to [`CORE`]; below zero.
    largest: f64,
    largest_at: f64,
    core: f64,
    negative: f64,
    /// Results that are not the correctly rounded ones; of them those below zero.
    not_rounded: u64,
    not_rounded_negative: u64,
    /// Zeros where the truth rounds to another number; of them those where it is a normal one.
    zeros: u64,
    normal_zeros: u64,
    /// Where the truth does not round to zero: relative errors above 1/10, those of them where it is a normal number, relative errors of 1 or more, and
    /// results that are not finite.
    tenth: u64,
    normal_tenth: u64,
    whole: u64,
    not_finite: u64,
}

impl Errors {
    /// Counts the result `got` at `x`, where the truth is `m · 2^e`.
    fn count(&mut self, format: Format, x: f64, got: f64, (m, e): (DoubleDouble, i64)) {
        self.inputs += 1;
        let leading = i64::from(exponent(m.hi)).saturating_add(e);
        let emin = i64::from(format.emin());
        let zero = m.hi == 0.0;
        let ulp = if zero { emin } else { leading.max(emin) } - i64::from(format.precision()) + 1;
        // In units of an ulp both have at most p bits before the point.
        let true_ulps = DoubleDouble { hi: scaled(m.hi, e - ulp), lo: scaled(m.lo, e - ulp) };
        let error = ((scaled(got, -ulp) - true_ulps.hi) - true_ulps.lo).abs();
        // Ties go to zero.
        let vanishes = true_ulps.hi.abs() <= 0.5 && (true_ulps.hi.abs() < 0.5 || true_ulps.lo == 0.0);
        let normal = !zero && leading >= emin;
        let finite = got.is_finite();
        let error = if finite { error } else { f64::INFINITY };
        self.sum += error;
        if error > self.largest {
            (self.largest, self.largest_at) = (error, x);
        }
        if x.abs() <= CORE {
            self.core = self.core.max(error);
        }
        let wrong = error > 0.5;
        self.not_rounded += u64::from(wrong);
        if x.is_sign_negative() {
            self.negative = self.negative.max(error);
            self.not_rounded_negative += u64::from(wrong);
        }
        if vanishes {
            return;
        }
        let relative = error / true_ulps.hi.abs();
        self.zeros += u64::from(got == 0.0);
        self.normal_zeros += u64::from(got == 0.0 && normal);
        self.tenth += u64::from(relative > 0.1);
        self.normal_tenth += u64::from(relative > 0.1 && normal);
        self.whole += u64::from(relative >= 1.0);
        self.not_finite += u64::from(!finite);
    }

    fn report(&self, row: &mut Row) {
        row.set("inputs", self.inputs);
        row.set("max_ulp", self.largest);
        row.set("max_ulp_at", self.largest_at);
        row.set("max_ulp_core", self.core);
        row.set("max_ulp_negative", self.negative);
        row.set("mean_ulp", self.sum / self.inputs as f64);
        row.set("not_rounded", self.not_rounded);
        row.set("not_rounded_negative", self.not_rounded_negative);
        row.set("wrong_zeros", self.zeros);
        row.set("wrong_zeros_normal", self.normal_zeros);
        row.set("wrong_tenth", self.tenth);
        row.set("wrong_tenth_normal", self.normal_tenth);
        row.set("wrong_whole", self.whole);
        row.set("wrong_not_finite", self.not_finite);
    }
}

/// `x · 2^e`, rounded where it leaves f64's normal range.
fn scaled(x: f64, e: i64) -> f64 {
    let half = (e / 2).clamp(-1000, 1000) as i32;
    let rest = (e - i64::from(half)).clamp(-1000, 1000) as i32;
    x * f64::powi(2.0, half) * f64::powi(2.0, rest)
}

/// Where value and derivative reach what they tend to, on the side where the derivative tends to zero.
fn edges(cell: &Cell, isa: Isa, row: &mut Row) {
    let evaluate = |x: f64| {
        let (values, slopes) = with_arithmetic(cell, isa, 0, &Evaluate { cell, inputs: &[x] });
        (values[0], slopes[0])
    };
    let truth = |x: f64| -> AtPoint { values_and_slopes(isa, cell.activation, &[DoubleDouble::from(x)])[0] };
    let flat = |sign: f64| truth(sign * f64::INFINITY).1.0.hi == 0.0;
    let Some(sign) = [1.0, -1.0].into_iter().find(|&sign| flat(sign)) else {
        return;
    };
    // Not at infinity, which not every format has.
    let (limit, _) = evaluate(sign * cell.format.max());
    let zero = |(m, e): (DoubleDouble, i64)| {
        let least = DoubleDouble { hi: scaled(m.hi, e), lo: scaled(m.lo, e) };
        let half = cell.format.min_subnormal() / 2.0;
        least.hi.abs() < half || (least.hi.abs() == half && least.lo * least.hi.signum() <= 0.0)
    };
    let first = |reached: &dyn Fn(f64) -> bool| first_number(cell.format, sign, reached);
    row.set("value_saturated_from", first(&|x| evaluate(x).0 == limit));
    row.set("slope_zero_from", first(&|x| evaluate(x).1 == 0.0));
    row.set("slope_zero_rightly_from", first(&|x| zero(truth(x).1)));
}

/// The number of the given sign nearest to 0 that has `reached` what all numbers beyond it have; none if the largest has not.
fn first_number(format: Format, sign: f64, reached: &dyn Fn(f64) -> bool) -> Option<f64> {
    let (mut without, mut with) = (0, index_of(format, format.max()));
    if !reached(sign * format.max()) {
        return None;
    }
    while with - without > 1 {
        let middle = without + (with - without) / 2;
        *(if reached(sign * number(format, middle)) { &mut with } else { &mut without }) = middle;
    }
    Some(sign * number(format, with))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Measure;
    use crate::row::Value;
    use gradchain_activations::{Activation, Path};

    /// Places and numbers belong together, over all of a small format and at the ends of the large ones.
    #[test]
    fn numbers_have_places() {
        for format in [Format::E4M3, Format::E5M2, Format::F16, Format::BF16] {
            let all = positive_numbers(format);
            assert!(all.windows(2).all(|pair| pair[0] < pair[1]) && all.iter().all(|&x| format.contains(x)));
            assert_eq!((all[0], all[1], all.last()), (0.0, format.min_subnormal(), Some(&format.max())));
            for (index, &x) in all.iter().enumerate() {
                assert_eq!(index_of(format, x), index as u64, "{format} {x}");
            }
        }
        assert_eq!(positive_numbers(Format::F16).len(), 63488 / 2);
        assert_eq!(positive_numbers(Format::BF16).len(), 65280 / 2);
        for format in [Format::F32, Format::F64] {
            for x in [0.0, format.min_subnormal(), format.min_normal(), 1.0, 1.5, format.max()] {
                assert_eq!(number(format, index_of(format, x)), x, "{format}");
            }
            assert!(positive_numbers(format).iter().all(|&x| format.contains(x)));
        }
    }

    fn integer(row: &Row, name: &str) -> i64 {
        match row.get(name) {
            Some(Value::Integer(x)) => *x,
            other => panic!("{name}: {other:?}"),
        }
    }

    fn float(row: &Row, name: &str) -> f64 {
        match row.get(name) {
            Some(Value::Number(x)) => *x,
            other => panic!("{name}: {other:?}"),
        }
    }

    /// The published figures of the derivative paths, measured elsewhere against proven 2000-bit values: zeros that are wrong, of them where the truth is
    /// a normal number, relative errors above a tenth, of them normal ones, and the largest error with one digit after the point below 100 ulp.
    #[test]
    fn figures_of_textbook_formulas() {
        let isa = Isa::choose().unwrap();
        let all: [(Activation, Path, Format, [i64; 4], f64); 18] = [
            (Activation::Sigmoid, Path::Native, Format::F16, [1920, 315, 2280, 675], 2047.0),
            (Activation::Sigmoid, Path::Native, Format::BF16, [528, 509, 585, 566], 256.0),
            (Activation::Sigmoid, Path::Output, Format::F16, [1069, 178, 1499, 497], 2041.8),
            (Activation::Sigmoid, Path::Output, Format::BF16, [498, 487, 545, 532], 255.8),
            (Activation::Sigmoid, Path::Fused, Format::F16, [0, 0, 222, 0], 0.5),
            (Activation::Sigmoid, Path::Fused, Format::BF16, [0, 0, 4, 0], 0.5),
            (Activation::Tanh, Path::Native, Format::F16, [2136, 532, 2646, 1042], 2048.0),
            (Activation::Tanh, Path::Native, Format::BF16, [958, 936, 1048, 1026], 256.0),
            (Activation::Tanh, Path::Fused, Format::F16, [0, 0, 178, 0], 0.5),
            (Activation::Tanh, Path::Fused, Format::BF16, [0, 0, 4, 0], 0.5),
            (Activation::Silu, Path::Native, Format::F16, [904, 131, 910, 137], 2040.0),
            (Activation::Silu, Path::Native, Format::BF16, [18, 7, 21, 10], 242.0),
            (Activation::Silu, Path::Fused, Format::F16, [0, 0, 94, 0], 0.5),
            (Activation::Softplus, Path::Native, Format::F16, [0, 0, 13027, 12916], f64::INFINITY),
            (Activation::Softplus, Path::Native, Format::BF16, [0, 0, 15568, 15566], f64::INFINITY),
            (Activation::Softplus, Path::Fused, Format::F16, [0, 0, 111, 0], 0.5),
            (Activation::Gelu, Path::Fused, Format::F16, [0, 0, 62, 0], 0.5),
            (Activation::Elu, Path::Fused, Format::F16, [0, 0, 111, 0], 0.5),
        ];
        let mut wrong = Vec::new();
        for (activation, path, format, counts, largest) in all {
            let cell = Cell { measure: Measure::Derivative, activation, path, format, ..Cell::default() };
            let row = &measure(&cell, isa).unwrap()[0];
            let found = ["wrong_zeros", "wrong_zeros_normal", "wrong_tenth", "wrong_tenth_normal"]
                .map(|name| integer(row, name));
            let found_largest = float(row, "max_ulp");
            let near = found_largest == largest || (found_largest - largest).abs() <= 0.005 * largest;
            if found != counts || !near {
                wrong.push(format!(
                    "{activation} {path} {format}: {found:?} {found_largest}, not {counts:?} {largest}"
                ));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// Where sigmoid and tanh saturate, and where their derivatives may vanish.
    #[test]
    fn edges_of_the_saturating_functions() {
        let isa = Isa::choose().unwrap();
        for (activation, path, format, edges) in [
            (Activation::Sigmoid, Path::Fused, Format::F16, [8.3203125, 17.34375, 17.34375]),
            (Activation::Sigmoid, Path::Output, Format::F16, [8.3203125, 8.3203125, 17.34375]),
            (Activation::Sigmoid, Path::Native, Format::F16, [8.3203125, 7.625, 17.34375]),
            (Activation::Sigmoid, Path::Output, Format::BF16, [6.25, 6.25, 93.0]),
            (Activation::Tanh, Path::Output, Format::F16, [4.5078125, 4.5078125, 9.359375]),
            (Activation::Tanh, Path::Fused, Format::BF16, [3.46875, 47.25, 47.25]),
            (Activation::Sigmoid, Path::Fused, Format::E4M3, [3.5, 7.0, 7.0]),
        ] {
            let cell = Cell { measure: Measure::Derivative, activation, path, format, ..Cell::default() };
            let row = &measure(&cell, isa).unwrap()[0];
            let names = ["value_saturated_from", "slope_zero_from", "slope_zero_rightly_from"];
            assert_eq!(names.map(|name| float(row, name)), edges, "{activation} {path} {format}");
        }
    }
}
