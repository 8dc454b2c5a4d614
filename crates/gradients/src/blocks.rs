//! Sums of long tensors: exact, a block at a time, and on several threads.
//!
//! The accumulators of [`levels`](crate::levels) take a block in one look, on the grid that fitted the block before. If in the end they cannot prove the sum exact, because
//! numbers were too large or too small for the grid, nothing of it is used: the block is taken in windows of magnitudes, from the largest down, each so narrow
//! that its grid is certain to fit, and the last few numbers one by one. So every number is added exactly, and how fast depends on how many magnitudes a
//! block holds: in ordinary gradients one block of a hundred is taken twice.

use crate::levels::{Grid, Pass, Taken, Text};
use crate::stored::Bits;
use crate::sum::{Sum, Terms};
use crate::threads::on_threads;
use gradchain_arith::{Isa, LANES, Simd, WithSimd};
use std::marker::PhantomData;

/// Below as many numbers a second thread is not worth its start.
const NUMBERS_FOR_A_THREAD: usize = 1 << 18;
/// The same for powers, which cost as much as a hundred squares.
pub(crate) const NUMBERS_FOR_A_THREAD_OF_POWERS: usize = 1 << 12;

/// The sum of the terms of `tensors`, on the threads of the current rayon pool: sums are exact, so that no bit depends on where they are cut.
pub(crate) fn sum<T: Bits>(isa: Isa, terms: Terms, tensors: &[&[T]]) -> Sum {
    let of_pieces = |pieces: &[&[T]]| {
        let mut sum = Sum::new(terms);
        for numbers in pieces {
            match terms {
                Terms::Magnitudes => add_blocks::<T, T::Magnitudes>(isa, &mut sum, numbers),
                Terms::Squares => add_blocks::<T, T::Squares>(isa, &mut sum, numbers),
                // A NaN is larger than infinity.
                Terms::Largest => sum.add(T::of(isa.run(Largest(numbers)))),
            }
        }
        sum
    };
    let merged = |mut left: Sum, right: Sum| {
        left.merge(&right);
        left
    };
    on_threads(tensors, NUMBERS_FOR_A_THREAD, &of_pieces, &merged)
}

/// Fewer numbers than this are added one by one.
const FEW: usize = 24;
/// After as many windows the rest of a block is added one by one.
const MOST_WINDOWS: usize = 8;

fn add_blocks<T: Bits, X: Text>(isa: Isa, sum: &mut Sum, numbers: &[T]) {
    let mut grid = None;
    for block in numbers.chunks(T::BLOCK) {
        if block.len() < FEW {
            block.iter().for_each(|x| sum.add(x.value()));
            continue;
        }
        grid = match grid {
            Some(grid) => on_grid::<T, X>(isa, sum, block, grid),
            None => in_windows::<T, X>(isa, sum, block, None),
        };
    }
}

/// The binary logarithm of the terms that a lane takes of a block.
const fn adds<T: Bits, X: Text>() -> i32 {
    (T::BLOCK / (X::SETS * LANES)).ilog2() as i32
}

/// A grid, and the least magnitude of a number, but zero, that is added exactly on it.
#[derive(Clone, Copy)]
struct Fitting<T: Bits> {
    grid: Grid,
    floor: T::Magnitude,
}

/// Adds the block, at once if it fits the grid of the block before, and says which grid may fit the next one.
fn on_grid<T: Bits, X: Text>(
    isa: Isa,
    sum: &mut Sum,
    block: &[T],
    fitting: Fitting<T>,
) -> Option<Fitting<T>> {
    let Fitting { grid, floor } = fitting;
    let taken = take::<T, X>(isa, block, grid);
    if !taken.fits {
        return in_windows::<T, X>(isa, sum, block, None);
    }
    let small = taken.least < floor && (taken.least > T::ZERO || isa.run(Below { numbers: block, floor }));
    if small {
        return in_windows::<T, X>(isa, sum, block, Some(fitting));
    }
    add_taken::<T, X>(sum, grid, &taken);
    // A grid is left where it is as long as its accumulators get two bits or fewer too few.
    if taken.bits >= 50 { Some(fitting) } else { Some(following::<T, X>(grid, &taken)) }
}

/// Adds the block, a window of magnitudes after the other, and says which grid may fit the next one. `first` is the grid of the first window, if it is known that
/// no number is too large for it.
fn in_windows<T: Bits, X: Text>(
    isa: Isa,
    sum: &mut Sum,
    block: &[T],
    first: Option<Fitting<T>>,
) -> Option<Fitting<T>> {
    let mut below = T::LARGEST;
    let mut next = None;
    for window in 0.. {
        let Fitting { grid, floor } = match first {
            Some(fitting) if window == 0 => fitting,
            _ => {
                let (largest, count) = isa.run(Extreme { numbers: block, below });
                if count < FEW || window == MOST_WINDOWS || largest >= T::INFINITE {
                    isa.run(Rest { numbers: block, below, sum });
                    break;
                }
                fitting::<T, X>(grid_for::<T, X>(exponent_of(T::of(largest))))
            }
        };
        let whole = below == T::LARGEST && !isa.run(Below { numbers: block, floor });
        let taken = if whole {
            take::<T, X>(isa, block, grid)
        } else {
            take_window::<T, X>(isa, block, grid, floor, below)
        };
        assert!(taken.fits, "a window of numbers too large for its grid");
        add_taken::<T, X>(sum, grid, &taken);
        // A block of several windows does not fit on the grid of the first.
        next = (window == 0).then(|| following::<T, X>(grid, &taken));
        if whole {
            break;
        }
        below = floor;
    }
    next
}

/// A grid that is certain to hold a block of numbers below `2^(exponent + 1)`.
fn grid_for<T: Bits, X: Text>(exponent: i32) -> Grid {
    // Squares of f64 would leave f64: the largest number becomes one of 2^-51, for which the factor is an f64 number whatever the exponent.
    let scale = if T::FORMAT.precision() == 53 { -51 - exponent } else { 0 };
    let bound = exponent + 1 + scale;
    // Terms are below their bound; rounded to a grid they can reach it.
    let rounded = i32::from(X::LEVELS > 1);
    Grid { k: if X::SQUARE { 2 * bound } else { bound } + adds::<T, X>() + rounded, scale }
}

fn fitting<T: Bits, X: Text>(grid: Grid) -> Fitting<T> {
    let least = |precision| X::least_exponent(grid.k, adds::<T, X>(), precision) - grid.scale;
    let floor = if least(1) <= T::FORMAT.min_exponent() {
        T::ZERO
    } else {
        T::round_from(libm::scalbn(1.0, least(T::FORMAT.precision() as i32))).magnitude()
    };
    Fitting { grid, floor }
}

/// The grid on which a block like the one that was taken leaves a bit free.
fn following<T: Bits, X: Text>(grid: Grid, taken: &Taken<T::Magnitude>) -> Fitting<T> {
    let k = if taken.bits == 0 { grid.k } else { grid.k - 51 + taken.bits };
    fitting::<T, X>(Grid { k, ..grid })
}

/// What the accumulators take of the numbers with `from <= |x| < below`.
#[inline(never)]
fn take_window<T: Bits, X: Text>(
    isa: Isa,
    numbers: &[T],
    grid: Grid,
    from: T::Magnitude,
    below: T::Magnitude,
) -> Taken<T::Magnitude> {
    let mut kept = vec![T::default(); numbers.len()];
    isa.run(Keep { numbers, from, below, kept: &mut kept });
    take::<T, X>(isa, &kept, grid)
}

fn take<T: Bits, X: Text>(isa: Isa, numbers: &[T], grid: Grid) -> Taken<T::Magnitude> {
    isa.run(Pass { numbers, grid, c: adds::<T, X>(), text: PhantomData::<X> })
}

/// Adds what the accumulators took.
fn add_taken<T: Bits, X: Text>(sum: &mut Sum, grid: Grid, taken: &Taken<T::Magnitude>) {
    // The bits of an accumulator that starts at 2^e are units of 2^(e-52).
    let exponents = X::exponents(grid.k, adds::<T, X>());
    let scale = if X::SQUARE { 2 * grid.scale } else { grid.scale };
    let unit = |level: usize| exponents[level] - 52 - scale;
    let pair = |level: usize| {
        let [high, low] = [taken.units[level], taken.units[level + 1]].map(i128::from);
        (high << (exponents[level] - exponents[level + 1])) + low
    };
    match X::LEVELS {
        1 => sum.add_wide(taken.units[0] as u128, unit(0)),
        2 => sum.add_wide(pair(0) as u128, unit(1)),
        _ => sum.add_fixed(pair(0), unit(1), pair(2), unit(3)),
    }
}

/// The largest magnitude; zero of no numbers.
pub(crate) struct Largest<'a, T>(pub(crate) &'a [T]);

impl<T: Bits> WithSimd for Largest<'_, T> {
    type Output = T::Magnitude;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> T::Magnitude {
        simd.call(
            #[inline(always)]
            || self.0.iter().fold(T::ZERO, |largest, x| largest.max(x.magnitude())),
        )
    }
}

/// The largest magnitude below `below`, and how many there are, zeros left out.
struct Extreme<'a, T: Bits> {
    numbers: &'a [T],
    below: T::Magnitude,
}

impl<T: Bits> WithSimd for Extreme<'_, T> {
    type Output = (T::Magnitude, usize);

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        simd.call(
            #[inline(always)]
            || T::largest_below(self.numbers, self.below),
        )
    }
}

/// Whether a number is below `floor`, zeros left out.
struct Below<'a, T: Bits> {
    numbers: &'a [T],
    floor: T::Magnitude,
}

impl<T: Bits> WithSimd for Below<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        simd.call(
            #[inline(always)]
            || T::any_below(self.numbers, self.floor),
        )
    }
}

/// Copies the numbers with `from <= |x| < below`, and zeros for the others.
struct Keep<'a, T: Bits> {
    numbers: &'a [T],
    from: T::Magnitude,
    below: T::Magnitude,
    kept: &'a mut [T],
}

impl<T: Bits> WithSimd for Keep<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Keep { numbers, from, below, kept } = self;
        simd.call(
            #[inline(always)]
            || {
                for (kept, &x) in kept.iter_mut().zip(numbers) {
                    let magnitude = x.magnitude();
                    *kept = if (from <= magnitude) & (magnitude < below) { x } else { T::default() };
                }
            },
        );
    }
}

/// Adds the numbers below `below` one by one.
struct Rest<'a, T: Bits> {
    numbers: &'a [T],
    below: T::Magnitude,
    sum: &'a mut Sum,
}

impl<T: Bits> WithSimd for Rest<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Rest { numbers, below, sum } = self;
        let mut add = |numbers: &[T]| {
            let rest = numbers.iter().filter(|x| x.magnitude() < below);
            rest.for_each(|x| sum.add(x.value()));
        };
        simd.call(
            #[inline(always)]
            || {
                for numbers in numbers.chunks(4 * LANES) {
                    if T::any_below(numbers, below) {
                        add(numbers);
                    }
                }
            },
        );
    }
}

/// The e with `2^e <= x < 2^(e+1)` of a positive number.
fn exponent_of(x: f64) -> i32 {
    let field = (x.to_bits() >> 52) as i32;
    if field > 0 { field - 1023 } else { -1011 - x.to_bits().leading_zeros() as i32 }
}
