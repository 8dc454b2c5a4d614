//! Sums of long tensors: exact, a block at a time, and on several threads.
//!
//! The accumulators of [`levels`](crate::levels) and [`singles`](crate::singles) take a block in one look, on the grid that fitted the block before. If in the end they cannot prove the sum exact, because
//! numbers were too large or too small for the grid, nothing of it is used: the block is taken in windows of magnitudes, from the largest down, each so narrow
//! that its grid is certain to fit, and the last few numbers one by one. So every number is added exactly, and how fast depends on how many magnitudes a
//! block holds: in ordinary gradients one block of a hundred is taken twice.

use crate::levels::{Grid, Taken, Text};
use crate::stored::Bits;
use crate::sum::{Sum, Terms};
use crate::threads::{NUMBERS_FOR_A_THREAD, on_threads};
use gradchain_arith::{Isa, LANES, Simd, WithSimd};

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

/// Which text took the last block, with the grid that may fit the next one.
enum State<T: Bits> {
    /// The text itself.
    Narrow(Fitting<T>),
    /// Its wide one.
    Wide(Fitting<T>),
    /// The wide one of that, where it has one.
    Widest(Fitting<T>),
    /// The last block had too many magnitudes for one grid, or there was none.
    Unknown,
}

/// The text for windows.
type Widest<T, X> = <<X as Text<T>>::Wide as Text<T>>::Wide;

fn add_blocks<T: Bits, X: Text<T>>(isa: Isa, sum: &mut Sum, numbers: &[T]) {
    let mut state = State::Unknown;
    for block in numbers.chunks(T::BLOCK) {
        if block.len() < FEW {
            block.iter().for_each(|x| sum.add(x.value()));
        } else {
            state = add_block::<T, X>(isa, sum, block, state);
        }
    }
}

fn add_block<T: Bits, X: Text<T>>(isa: Isa, sum: &mut Sum, block: &[T], mut state: State<T>) -> State<T> {
    // The grid of the first window.
    let mut first = None;
    if let State::Narrow(fitting) = state {
        match on_grid::<T, X>(isa, sum, block, fitting) {
            Tried::Added(next, _) => return next.map_or(State::Unknown, State::Narrow),
            Tried::Refused(wider) if X::Wide::NARROW => state = wider.map_or(State::Unknown, State::Wide),
            Tried::Refused(wider) => first = wider,
        }
    }
    if let State::Wide(fitting) = state {
        match on_grid::<T, X::Wide>(isa, sum, block, fitting) {
            Tried::Added(None, _) => return State::Unknown,
            Tried::Added(Some(next), least) => {
                return back::<T, X>(isa, block, next, least).map_or(State::Wide(next), State::Narrow);
            }
            Tried::Refused(wider) => first = wider,
        }
    }
    if let State::Widest(fitting) = state {
        match on_grid::<T, Widest<T, X>>(isa, sum, block, fitting) {
            Tried::Added(None, _) => return State::Unknown,
            Tried::Added(Some(next), least) => {
                let back = back::<T, X::Wide>(isa, block, next, least);
                return back.map_or(State::Widest(next), State::Wide);
            }
            Tried::Refused(same) => first = same,
        }
    }
    let next = in_windows::<T, Widest<T, X>>(isa, sum, block, first);
    next.map_or(State::Unknown, if X::Wide::NARROW { State::Widest } else { State::Wide })
}

/// What became of a block on a grid.
enum Tried<T: Bits> {
    /// It was added: the grid that may fit the next one, and the least magnitude.
    Added(Option<Fitting<T>>, T::Magnitude),
    /// Nothing was added: the grid of the wide text that no number is too large for, if that is known.
    Refused(Option<Fitting<T>>),
}

/// Adds the block if the grid holds it.
fn on_grid<T: Bits, X: Text<T>>(isa: Isa, sum: &mut Sum, block: &[T], fitting: Fitting<T>) -> Tried<T> {
    let taken = take::<T, X>(isa, block, fitting.grid);
    if taken.fits && fitting.holds(isa, block, taken.least) {
        add_taken::<T, X>(sum, fitting.grid, &taken);
        return Tried::Added(fitting.after::<X>(&taken), taken.least);
    }
    // A lane of the wide text may take the terms of all sets, and they are rounded.
    let more = if X::NARROW { sets_to_wide::<T, X>().max(0) + 1 } else { 0 };
    let wide = Grid { k: fitting.grid.k + more, ..fitting.grid };
    Tried::Refused(taken.fits.then(|| Fitting::of::<X::Wide>(wide)))
}

/// Back to the narrow text, if it had held the block with two binades to spare.
fn back<T: Bits, X: Text<T>>(
    isa: Isa,
    block: &[T],
    wide: Fitting<T>,
    least: T::Magnitude,
) -> Option<Fitting<T>> {
    if !X::NARROW {
        return Some(wide);
    }
    let Grid { k, scale } = wide.grid;
    let k = k - sets_to_wide::<T, X>();
    let held = Fitting::of::<X>(Grid { k: k + 4, scale }).holds(isa, block, least);
    held.then(|| Fitting::of::<X>(Grid { k, scale }))
}

/// The binary logarithm of the terms that a lane takes of a block.
const fn adds<T: Bits, X: Text<T>>() -> i32 {
    (T::BLOCK / (X::SETS * LANES)).ilog2() as i32
}

/// The binary logarithm of how many more terms a lane of the wide text takes.
const fn sets_to_wide<T: Bits, X: Text<T>>() -> i32 {
    adds::<T, X::Wide>() - adds::<T, X>()
}

/// A grid, and the least magnitude of a number, but zero, that a text adds exactly on it.
#[derive(Clone, Copy)]
struct Fitting<T: Bits> {
    grid: Grid,
    floor: T::Magnitude,
}

impl<T: Bits> Fitting<T> {
    fn of<X: Text<T>>(grid: Grid) -> Fitting<T> {
        let least = |precision| X::least_exponent(grid.k, adds::<T, X>(), precision) - grid.scale;
        let floor = if least(1) <= T::FORMAT.min_exponent() {
            T::ZERO
        } else {
            T::round_from(libm::scalbn(1.0, least(T::FORMAT.precision() as i32))).magnitude()
        };
        Fitting { grid, floor }
    }

    /// Whether no number of the block but zeros is below the floor; `least` is the least magnitude, which may be that of a zero.
    fn holds(&self, isa: Isa, block: &[T], least: T::Magnitude) -> bool {
        let floor = self.floor;
        least >= floor || least == T::ZERO && !isa.run(Below { numbers: block, floor })
    }

    /// The grid for the next block: where this one is, as long as its accumulators get at most two bits too few, or else so that they would have left one
    /// bit free. None where the last accumulator would not be a normal f64 number: numbers have become so small that they need another scale.
    fn after<X: Text<T>>(self, taken: &Taken<T::Magnitude>) -> Option<Fitting<T>> {
        if taken.bits >= 50 || taken.bits == 0 {
            return Some(self);
        }
        let k = self.grid.k - 51 + taken.bits;
        (k >= LEAST_K).then(|| Fitting::of::<X>(Grid { k, ..self.grid }))
    }
}

/// All accumulators of all texts are normal numbers down to this k.
const LEAST_K: i32 = -800;

/// Adds the block, a window of magnitudes after the other, and says which grid may fit the next one. `first` is the grid of the first window, if it is known that
/// no number is too large for it.
fn in_windows<T: Bits, X: Text<T>>(
    isa: Isa,
    sum: &mut Sum,
    block: &[T],
    first: Option<Fitting<T>>,
) -> Option<Fitting<T>> {
    let mut below = T::LARGEST;
    let mut next = None;
    for window in 0.. {
        let fitting = match first {
            Some(fitting) if window == 0 => fitting,
            _ => {
                let (largest, count) = isa.run(Extreme { numbers: block, below });
                if largest >= T::INFINITE {
                    // Infinite or, with a NaN, which is larger, NaN, whatever the other numbers are.
                    sum.add(T::of(largest));
                    break;
                }
                if count < FEW || window == MOST_WINDOWS {
                    isa.run(Rest { numbers: block, below, sum });
                    break;
                }
                Fitting::of::<X>(grid_for::<T, X>(exponent_of(T::of(largest))))
            }
        };
        let Fitting { grid, floor } = fitting;
        let whole = below == T::LARGEST && !isa.run(Below { numbers: block, floor });
        let taken = if whole {
            take::<T, X>(isa, block, grid)
        } else {
            take_window::<T, X>(isa, block, grid, floor, below)
        };
        assert!(taken.fits, "a window of numbers too large for its grid");
        add_taken::<T, X>(sum, grid, &taken);
        // A block of several windows does not fit on the grid of the first.
        next = fitting.after::<X>(&taken).filter(|_| window == 0);
        if whole {
            break;
        }
        below = floor;
    }
    next
}

/// A grid that is certain to hold a block of numbers below `2^(exponent + 1)`.
fn grid_for<T: Bits, X: Text<T>>(exponent: i32) -> Grid {
    // Squares of f64 would leave f64: the largest number becomes one of 2^-51, for which the factor is an f64 number whatever the exponent.
    let scale = if T::FORMAT.precision() == 53 { -51 - exponent } else { 0 };
    let bound = exponent + 1 + scale;
    // Terms are below their bound; rounded to a grid they can reach it.
    let rounded = i32::from(X::LEVELS > 1);
    Grid { k: if X::SQUARE { 2 * bound } else { bound } + adds::<T, X>() + rounded, scale }
}

/// What the accumulators take of the numbers with `from <= |x| < below`.
#[inline(never)]
fn take_window<T: Bits, X: Text<T>>(
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

fn take<T: Bits, X: Text<T>>(isa: Isa, numbers: &[T], grid: Grid) -> Taken<T::Magnitude> {
    X::take(isa, numbers, grid, adds::<T, X>())
}

/// Adds what the accumulators took.
fn add_taken<T: Bits, X: Text<T>>(sum: &mut Sum, grid: Grid, taken: &Taken<T::Magnitude>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::levels::{Halves, Quarters, Whole};
    use gradchain_arith::{bf16, f16};

    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.0 >> 11
        }

        /// A number like a normal draw: twelve uniform ones.
        fn normal(&mut self) -> f64 {
            (0..12).map(|_| self.next() as f64 * libm::exp2(-53.0)).sum::<f64>() - 6.0
        }
    }

    fn isa() -> Isa {
        Isa::choose().unwrap()
    }

    fn one_by_one<T: Bits>(terms: Terms, numbers: &[T]) -> Sum {
        let mut sum = Sum::new(terms);
        numbers.iter().for_each(|x| sum.add(x.value()));
        sum
    }

    /// Ordinary gradients take the fast way: of 200 blocks at most one of ten is looked at again, in bf16, and of 50 in other formats.
    #[test]
    fn ordinary_blocks_are_added_at_once() {
        fn blocks<T: Bits, X: Text<T>>(spread: f64, allowed: usize) {
            let mut random = Random(5);
            let (mut again, mut sum) = (0, Sum::new(Terms::Squares));
            let (mut state, mut narrow) = (State::Unknown, 0);
            for _ in 0..200 {
                let block: Vec<T> = (0..T::BLOCK).map(|_| T::round_from(spread * random.normal())).collect();
                let taken = match &state {
                    State::Narrow(fitting) => Some((fitting, take::<T, X>(isa(), &block, fitting.grid))),
                    State::Wide(fitting) => Some((fitting, take::<T, X::Wide>(isa(), &block, fitting.grid))),
                    State::Widest(fitting) => {
                        Some((fitting, take::<T, Widest<T, X>>(isa(), &block, fitting.grid)))
                    }
                    State::Unknown => None,
                };
                let at_once = taken
                    .is_some_and(|(fitting, taken)| taken.fits && fitting.holds(isa(), &block, taken.least));
                again += usize::from(!at_once);
                narrow += usize::from(matches!(state, State::Narrow(_)));
                state = add_block::<T, X>(isa(), &mut sum, &block, state);
            }
            println!(
                "{} squares {} spread {spread}: {again} of 200 blocks again, {narrow} by the narrow text",
                T::NAME,
                X::SQUARE
            );
            assert!(again <= allowed, "{} squares {}: {again} of 200 blocks", T::NAME, X::SQUARE);
        }
        fn all<T: Bits>(allowed: usize) {
            for spread in [1e-6, 0.01, 1.0, 100.0] {
                blocks::<T, T::Squares>(spread, allowed);
                blocks::<T, T::Magnitudes>(spread, 4);
            }
        }
        all::<bf16>(20);
        all::<f16>(20);
        all::<f32>(4);
        all::<f64>(4);
    }

    /// What the grid of a window must hold: blocks of the largest numbers below its bound, of the least at its floor, and of both, with every last bit set. A few
    /// binades below the floor numbers get lost, so the floor is there for something.
    #[test]
    fn a_grid_holds_its_window_and_not_much_more() {
        fn window<T: Bits, X: Text<T>>(terms: Terms) {
            let unit = 2.0 * T::FORMAT.unit_roundoff();
            for exponent in [T::FORMAT.emax(), 0, -3, T::FORMAT.emin() + 40].map(|e| e.min(T::FORMAT.emax()))
            {
                let Fitting::<T> { grid, floor } = Fitting::of::<X>(grid_for::<T, X>(exponent));
                let top = libm::scalbn(2.0 - unit, exponent);
                let exact = |numbers: &[T]| {
                    let taken = take::<T, X>(isa(), numbers, grid);
                    assert!(taken.fits, "{} 2^{exponent}", T::NAME);
                    let mut sum = Sum::new(terms);
                    add_taken::<T, X>(&mut sum, grid, &taken);
                    sum.equals(&one_by_one(terms, numbers))
                };
                let block = |number: &dyn Fn(usize) -> f64| -> Vec<T> {
                    (0..T::BLOCK).map(|i| T::round_from(number(i))).collect()
                };
                let least = if floor > T::ZERO { T::of(floor) } else { T::FORMAT.min_subnormal() };
                let odd = least * (1.0 + unit);
                for number in [&|_| top, &|_| odd, &|i| if i % 3 == 0 { top } else { -odd }]
                    as [&dyn Fn(usize) -> f64; 3]
                {
                    assert!(exact(&block(number)), "{} 2^{exponent} squares {}", T::NAME, X::SQUARE);
                }
                if floor > T::ZERO && T::FORMAT.contains(odd * 0.0625) {
                    let mixed = block(&|i| if i < 32 { top } else { odd * 0.0625 });
                    assert!(!exact(&mixed), "{} 2^{exponent} squares {}", T::NAME, X::SQUARE);
                }
            }
        }
        fn both<T: Bits>() {
            window::<T, T::Squares>(Terms::Squares);
            window::<T, <T::Squares as Text<T>>::Wide>(Terms::Squares);
            window::<T, Widest<T, T::Squares>>(Terms::Squares);
            window::<T, T::Magnitudes>(Terms::Magnitudes);
            window::<T, <T::Magnitudes as Text<T>>::Wide>(Terms::Magnitudes);
        }
        both::<f16>();
        both::<bf16>();
        both::<f32>();
        both::<f64>();
    }

    /// LEAST_K keeps its promise.
    #[test]
    fn accumulators_are_normal_numbers() {
        for c in 0..=8 {
            let exponents = [
                &<Whole<true, Halves<true>> as Text<f64>>::exponents(LEAST_K, c)[..1],
                &<Halves<true> as Text<f64>>::exponents(LEAST_K, c)[..2],
                &<Quarters as Text<f64>>::exponents(LEAST_K, c)[..4],
            ];
            assert!(exponents.into_iter().flatten().all(|e| *e >= -1022));
        }
    }

    /// The ways of a block that does not fit: numbers too large, numbers too small, several windows, more windows than there may be.
    #[test]
    fn blocks_that_do_not_fit() {
        fn ways<T: Bits, X: Text<T>>(terms: Terms) {
            let mut random = Random(8);
            let mut draw = |exponents: std::ops::Range<i32>| -> Vec<T> {
                let span = exponents.len() as u64;
                let mut number = |_| {
                    let significand = 1.0 + random.next() as f64 * libm::exp2(-53.0);
                    T::round_from(libm::scalbn(significand, exponents.start + (random.next() % span) as i32))
                };
                (0..T::BLOCK).map(&mut number).collect()
            };
            let (least, most) = (T::FORMAT.min_exponent(), T::FORMAT.emax());
            let narrow = draw(-6..-3);
            let larger = draw(most - 3..most);
            let smaller = draw(least..least + 3);
            let wide = draw(least..most);
            let half: Vec<T> =
                narrow.iter().zip(&smaller).map(|(a, b)| if a < b { *b } else { *a }).collect();
            let few: Vec<T> =
                (0..T::BLOCK).map(|i| if i % 400 == 7 { smaller[i] } else { narrow[i] }).collect();
            let [twice, four_times, eight_times] = [-5..-2, -4..-1, -3..0].map(&mut draw);
            for block in [&narrow, &larger, &smaller, &wide, &half, &few, &twice, &four_times, &eight_times] {
                let mut sum = Sum::new(terms);
                let mut state = State::Unknown;
                for block in [&narrow, &narrow, &narrow, block, block] {
                    state = add_block::<T, X>(isa(), &mut sum, block, state);
                }
                let all: Vec<T> =
                    [&narrow, &narrow, &narrow, block, block].into_iter().flatten().copied().collect();
                assert!(sum.equals(&one_by_one(terms, &all)), "{} squares {}", T::NAME, X::SQUARE);
            }
        }
        fn both<T: Bits>() {
            ways::<T, T::Squares>(Terms::Squares);
            ways::<T, T::Magnitudes>(Terms::Magnitudes);
        }
        both::<f16>();
        both::<bf16>();
        both::<f32>();
        both::<f64>();
    }
}
