//! The arithmetic of XLA on an x86-64 CPU: each operation in f32 for the 16-bit formats, subnormal operands and results of f32 and f64 zero,
//! every result rounded into the format.

use gradchain_arith::{Format, Real, Rules, Subnormals, round_f64};

/// The largest window of XLA's tree of sums.
const WINDOW: usize = 32;

/// The longest row that XLA's compiler unrolls.
const UNROLLED: usize = 8;

/// Rounded into the format that is computed in, as the result of an operation: subnormal numbers become zero of their sign.
pub(super) fn computed<T: Real>(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    let rules = Rules { subnormals: Subnormals::Flush, ..Rules::default() };
    round_f64(x, <T::Computed as Real>::FORMAT, rules, 0)
}

/// Rounded into the format that is computed in, then into the format.
pub(super) fn result<T: Real>(x: f64) -> f64 {
    T::round_from(computed::<T>(x)).value()
}

/// An operand: a subnormal number of the format that is computed in counts as zero of its sign.
pub(super) fn operand<T: Real>(x: f64) -> f64 {
    if x.abs() < <T::Computed as Real>::FORMAT.min_normal() { 0.0_f64.copysign(x) } else { x }
}

/// A Python number that meets a number of the format.
pub(super) fn scalar<T: Real>(x: f64) -> f64 {
    T::round_from(x).value()
}

pub(super) fn multiplied<T: Real>(a: f64, b: f64) -> f64 {
    result::<T>(operand::<T>(a) * operand::<T>(b))
}

pub(super) fn divided<T: Real>(a: f64, b: f64) -> f64 {
    result::<T>(operand::<T>(a) / operand::<T>(b))
}

pub(super) fn added<T: Real>(a: f64, b: f64) -> f64 {
    result::<T>(operand::<T>(a) + operand::<T>(b))
}

pub(super) fn root<T: Real>(x: f64) -> f64 {
    result::<T>(operand::<T>(x).sqrt())
}

pub(super) fn less<T: Real>(a: f64, b: f64) -> bool {
    operand::<T>(a) < operand::<T>(b)
}

/// The larger one, NaN if one is.
pub(super) fn larger<T: Real>(a: f64, b: f64) -> f64 {
    let (a, b) = (operand::<T>(a), operand::<T>(b));
    if a.is_nan() || a >= b { a } else { b }
}

/// What divides a tensor by the scalar b: the compiler multiplies with the reciprocal, which it rounds into the format, for bf16 into f32.
pub(super) fn division_by<T: Real>(b: f64) -> impl Fn(f64) -> f64 {
    let quotient = 1.0 / operand::<T>(b);
    let reciprocal = if T::FORMAT == Format::BF16 { computed::<T>(quotient) } else { result::<T>(quotient) };
    move |a| multiplied::<T>(a, reciprocal)
}

/// The sum of a tensor, row by row, in the format that is computed in. Not yet rounded into the format.
pub(super) fn sum<T: Real>(shape: &[usize], x: &[f64]) -> f64 {
    debug_assert_eq!(shape.iter().product::<usize>(), x.len());
    if shape.iter().all(|&d| d <= WINDOW) {
        return sum_of_rows::<T>(shape, x);
    }
    let windows: Vec<usize> = shape.iter().map(|d| d.div_ceil(WINDOW)).collect();
    let sums: Vec<f64> = (0..windows.iter().product())
        .map(|window| plain_sum::<T>(in_window(shape, &windows, window).into_iter().map(|i| x[i])))
        .collect();
    sum::<T>(&windows, &sums)
}

/// The places of the numbers in one of the windows, row by row. The windows cover the padded length with the padding on both sides.
fn in_window(shape: &[usize], windows: &[usize], window: usize) -> Vec<usize> {
    let (mut places, mut rest) = (vec![0], window);
    // Row-major: the last dimension varies fastest in the number of the window, the first is the outermost loop over places.
    let mut ranges = Vec::new();
    for (&length, &count) in shape.iter().zip(windows).rev() {
        let (index, size) = (rest % count, length.min(WINDOW));
        rest /= count;
        let before = (count * size - length) / 2;
        ranges.push(((index * size).saturating_sub(before), ((index + 1) * size - before).min(length)));
    }
    for ((from, to), &length) in ranges.into_iter().rev().zip(shape) {
        places = places.iter().flat_map(|&place| (from..to).map(move |i| place * length + i)).collect();
    }
    places
}

/// A sum without windows. The compiler sums the second of two short rows by itself.
fn sum_of_rows<T: Real>(shape: &[usize], x: &[f64]) -> f64 {
    match *shape {
        [.., 2, width] if width <= UNROLLED && width > 0 => x.chunks(2 * width).fold(0.0, |total, rows| {
            let (first, second) = rows.split_at(width);
            let total = first.iter().fold(total, |total, &x| computed::<T>(total + x));
            computed::<T>(total + plain_sum::<T>(second.iter().copied()))
        }),
        _ => plain_sum::<T>(x.iter().copied()),
    }
}

fn plain_sum<T: Real>(x: impl Iterator<Item = f64>) -> f64 {
    x.fold(0.0, |sum, x| computed::<T>(sum + operand::<T>(x)))
}

/// `Σ x²` as `vdot` adds it: up to one window each square is fused with the addition.
pub(super) fn vdot<T: Real>(x: &[T]) -> f64 {
    let x = x.iter().map(|x| operand::<T>(x.value()));
    if x.len() > WINDOW {
        let squares: Vec<f64> = x.map(|x| computed::<T>(x * x)).collect();
        return sum::<T>(&[squares.len()], &squares);
    }
    x.fold(0.0, |sum, x| {
        let [x, sum] = [x, sum].map(T::Computed::round_from);
        computed::<T>(x.mul_add(x, sum).value())
    })
}
