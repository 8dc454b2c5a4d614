//! The definition of every summation, on scalars, for every format: what the vector texts are tested against, and how the emulated
//! formats are computed.

use crate::arithmetic::{Arithmetic, Emulated};
use crate::format::Format;
use crate::rounding::{Rules, Subnormals};
use crate::summation::{INTERLEAVED, Summation, computed_format, wide_format};

/// `Σ a_i · b_i` in the format and under the rules of `arith`, which also orders and rounds it; see [`Summation`].
///
/// [`Summation::Wide`] accumulates with IEEE's default rules in the wide format and enters the format by one rounding under its own. Where the
/// wide format is double-double, its sum is rounded to f64, to nearest, before that: in f64 itself the rules then find nothing left to
/// round, and formats of 27 to 52 bits are rounded twice.
///
/// [`Summation::Interleaved`] and [`Summation::Bf16Dot`] likewise add up with IEEE's default rules and enter the format once, at the end.
///
/// # Panics
/// If the summation is not defined for the format.
pub fn dot(arith: &Emulated, summation: Summation, terms: impl Iterator<Item = (f64, f64)>) -> f64 {
    match summation {
        Summation::Recursive => terms.fold(0.0, |sum, (a, b)| arith.add(sum, arith.mul(a, b))),
        Summation::Fused => terms.fold(0.0, |sum, (a, b)| arith.mul_add(a, b, sum)),
        Summation::Interleaved => interleaved(arith, terms),
        Summation::Pairwise => pairwise(arith, terms),
        Summation::Compensated => compensated(arith, terms),
        Summation::Wide => wide(arith, terms),
        Summation::Bf16Dot => bf16_dot(arith, terms),
    }
}

fn interleaved(arith: &Emulated, terms: impl Iterator<Item = (f64, f64)>) -> f64 {
    let computed = Emulated::new(computed_format(arith.format()).unwrap_or(Format::F64), Rules::default(), 0);
    let mut sums = [0.0; INTERLEAVED];
    for (i, (a, b)) in terms.enumerate() {
        let sum = &mut sums[i % INTERLEAVED];
        *sum = computed.mul_add(a, b, *sum);
    }
    let mut left = INTERLEAVED;
    while left > 1 {
        left /= 2;
        for j in 0..left {
            sums[j] = computed.add(sums[j], sums[j + left]);
        }
    }
    arith.round(sums[0])
}

fn bf16_dot(arith: &Emulated, mut terms: impl Iterator<Item = (f64, f64)>) -> f64 {
    assert!(
        arith.format() == Format::BF16,
        "the sum `bf16-dot` is one of bf16 numbers, not of {}",
        arith.format()
    );
    let rules = Rules { subnormals: Subnormals::Flush, ..Rules::default() };
    let [operand, sum] = [Format::BF16, Format::F32].map(|format| Emulated::new(format, rules, 0));
    let mut total = 0.0;
    while let Some(first) = terms.next() {
        for (a, b) in [terms.next().unwrap_or((0.0, 0.0)), first] {
            total = sum.mul_add(operand.round(a), operand.round(b), total);
        }
    }
    arith.round(total)
}

fn pairwise(arith: &Emulated, terms: impl Iterator<Item = (f64, f64)>) -> f64 {
    // A stack of (number of products, their sum), sizes falling: equal neighbours are joined at once.
    let mut stack: Vec<(usize, f64)> = Vec::new();
    for (a, b) in terms {
        let mut block = (1, arith.mul(a, b));
        while let Some(&(size, sum)) = stack.last()
            && size == block.0
        {
            stack.pop();
            block = (2 * size, arith.add(sum, block.1));
        }
        stack.push(block);
    }
    stack.into_iter().rev().map(|(_, sum)| sum).reduce(|sum, larger| arith.add(larger, sum)).unwrap_or(0.0)
}

fn compensated(arith: &Emulated, terms: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (mut sum, mut correction) = (0.0, 0.0);
    for (a, b) in terms {
        let product = arith.mul(a, b);
        let product_error = arith.mul_add(a, b, -product);
        let next = arith.add(sum, product);
        let from_product = arith.sub(next, sum);
        let from_sum = arith.sub(next, from_product);
        let sum_error = arith.add(arith.sub(sum, from_sum), arith.sub(product, from_product));
        sum = next;
        correction = arith.add(correction, arith.add(sum_error, product_error));
    }
    if sum.is_finite() { arith.add(sum, correction) } else { sum }
}

fn wide(arith: &Emulated, terms: impl Iterator<Item = (f64, f64)>) -> f64 {
    let sum = match wide_format(arith.format()) {
        Some(format) => {
            let accumulator = Emulated::new(format, Rules::default(), 0);
            terms.fold(0.0, |sum, (a, b)| accumulator.mul_add(a, b, sum))
        }
        None => double_double(terms),
    };
    arith.round(sum)
}

/// The sum in double-double (AccurateDWPlusDW; Joldes, Muller and Popescu 2017, algorithm 6), rounded to f64.
fn double_double(terms: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (mut high, mut low) = (0.0, 0.0);
    for (a, b) in terms {
        let product = a * b;
        let product_error = f64::mul_add(a, b, -product);
        let (sum, sum_error) = two_sum(high, product);
        let (rest, rest_error) = two_sum(low, product_error);
        if !sum.is_finite() {
            (high, low) = (sum, sum);
            continue;
        }
        let (first, second) = quick_two_sum(sum, sum_error + rest);
        (high, low) = quick_two_sum(first, rest_error + second);
    }
    high
}

fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let from_b = sum - a;
    (sum, (a - (sum - from_b)) + (b - from_b))
}

fn quick_two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    (sum, b - (sum - a))
}
