//! Sums a block at a time against the same terms added one by one into the long accumulator: the same bits, whatever the numbers, the length, where a slice
//! begins, the threads and the instruction set.

mod common;

use common::random::{Random, print_missing_isas};
use gradchain_arith::{Isa, Native, Real, bf16, f16};
use gradchain_gradients::{Measured, Norm, Order, Sum, Terms, norm};

fn one_by_one<T: Real>(order: Order, numbers: &[T]) -> Norm {
    let terms = match order {
        Order::One => Terms::Magnitudes,
        Order::Two => Terms::Squares,
        Order::Infinity | Order::Power(_) => Terms::Largest,
    };
    let mut sum = Sum::new(terms);
    numbers.iter().for_each(|x| sum.add(x.value()));
    sum.norm()
}

fn same(a: Norm, b: Norm) -> bool {
    (a.mantissa().to_bits(), a.exponent()) == (b.mantissa().to_bits(), b.exponent())
        || (a.mantissa().is_nan() && b.mantissa().is_nan())
}

fn check<T: Measured>(numbers: &[T], context: &str) {
    for order in Order::EXACT {
        let expected = one_by_one(order, numbers);
        for isa in Isa::available() {
            let got = norm(&Native::<T>::new(isa), order, &[numbers]);
            assert!(
                same(got, expected),
                "{} {isa} norm {order} of {context}: {got:?}, {expected:?}",
                T::NAME
            );
        }
    }
}

/// Every spread of magnitudes, from one binade to the whole format, at both ends of it and in the middle; lengths around those of blocks and vectors.
fn magnitudes<T: Measured>() {
    let mut random = Random(T::FORMAT.precision().into());
    let (least, top) = (T::FORMAT.min_exponent(), T::FORMAT.emax());
    let all = (top - least) as u64;
    for span in [1, 2, 8, 17, 18, 23, 40, 100, 300, 2098].into_iter().filter(|span| *span <= all) {
        for low in [least, T::FORMAT.emin(), -3, 0, top - span as i32 + 1] {
            let low = low.clamp(least, top - span as i32 + 1);
            for length in [1, 15, 16, 31, 33, 1023, 1024, 1025, 4096, 5000] {
                let numbers: Vec<T> = (0..length).map(|_| random.number(low, span)).collect();
                check(&numbers, &format!("{length} numbers of {span} binades from 2^{low}"));
            }
        }
    }
}

#[test]
fn every_magnitude_and_spread() {
    magnitudes::<f16>();
    magnitudes::<bf16>();
    magnitudes::<f32>();
    magnitudes::<f64>();
    print_missing_isas();
}

/// All numbers of a format in one tensor, infinities and NaNs left out: the least spread that no accumulator holds, and every significand.
#[test]
fn all_finite_16_bit_numbers_at_once() {
    let f16s: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).filter(|x| x.is_finite()).collect();
    let bf16s: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).filter(|x| x.is_finite()).collect();
    check(&f16s, "all numbers");
    check(&bf16s, "all numbers");
}

/// The largest significands, so that every accumulator fills up to its last bit; the least; and rests of every sign.
fn fullest<T: Measured>() {
    let one = T::round_from(1.0).value();
    let unit = T::FORMAT.unit_roundoff();
    for x in [2.0 - 2.0 * unit, one, 1.0 + 2.0 * unit, 1.5, 4.0 / 3.0] {
        let numbers = vec![T::round_from(x); 10_000];
        check(&numbers, &format!("10 000 times {x}"));
        let mixed: Vec<T> = (0..10_000).map(|i| T::round_from(libm::scalbn(x, -(i % 13)))).collect();
        check(&mixed, &format!("{x} over powers of two"));
    }
}

#[test]
fn accumulators_filled_to_the_last_bit() {
    fullest::<f16>();
    fullest::<bf16>();
    fullest::<f32>();
    fullest::<f64>();
}

/// Tensors whose magnitudes change on the way: rising, falling, here and there, with zeros between.
fn changing<T: Measured>() {
    let mut random = Random(17);
    let (least, top) = (T::FORMAT.min_exponent(), T::FORMAT.emax());
    for draw in 0..12 {
        let mut numbers: Vec<T> = Vec::new();
        while numbers.len() < 30_000 {
            let span = 1 + random.below(12) as i32;
            let low = match draw % 3 {
                0 => least + random.below((top - least - span) as u64) as i32,
                1 => (least + numbers.len() as i32 * (top - least) / 30_000).min(top - span),
                _ => (top - span - numbers.len() as i32 * (top - least) / 30_000).max(least),
            };
            let length = 1 + random.below(6000);
            let zeros = random.below(3) == 0;
            for _ in 0..length {
                let number = random.number(low, span as u64);
                numbers.push(if zeros && random.below(4) == 0 { T::round_from(-0.0) } else { number });
            }
        }
        check(&numbers, &format!("numbers that change, draw {draw}"));
    }
}

/// Numbers of f64 that become smaller so slowly that each block fits the grid of the one before, from one end of the format to the other.
#[test]
fn magnitudes_that_fade() {
    let mut random = Random(23);
    let number = |i: i32| random.number::<f64>(1020 - i / 150, 2);
    let fading: Vec<f64> = (0..150 * 2090).map(number).collect();
    for length in [fading.len(), 150 * 1500] {
        check(&fading[fading.len() - length..], "numbers that fade");
    }
    // Without the largest ones, which hide the others: sums of parts from small to large.
    for part in fading.rchunks(40_000) {
        check(part, "a part of them");
    }
}

#[test]
fn magnitudes_that_change() {
    changing::<f16>();
    changing::<bf16>();
    changing::<f32>();
    changing::<f64>();
}

/// Infinities, NaNs, zeros of both signs and subnormal numbers at any place; slices that begin anywhere.
fn specials<T: Measured>() {
    let mut random = Random(99);
    let numbers: Vec<T> = (0..9000).map(|_| random.number(-5, 6)).collect();
    for special in
        [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 0.0, -0.0, T::FORMAT.min_subnormal(), T::FORMAT.max()]
    {
        for place in [0, 1, 4095, 4096, 8999] {
            let mut numbers = numbers.clone();
            numbers[place] = T::round_from(special);
            check(&numbers, &format!("{special} at {place}"));
        }
    }
    for start in [1, 3, 7, 8191, 9000] {
        check(&numbers[start..], &format!("the numbers from {start}"));
    }
    check(&[T::round_from(-0.0); 5000], "negative zeros");
    check::<T>(&[], "no numbers");
}

#[test]
fn specials_zeros_and_starts() {
    specials::<f16>();
    specials::<bf16>();
    specials::<f32>();
    specials::<f64>();
}

/// Sums are cut for threads, and by the caller.
#[test]
fn threads_and_groupings() {
    let mut random = Random(3);
    let numbers: Vec<f32> = (0..1_300_001).map(|_| random.number(-30, 28)).collect();
    let expected = one_by_one(Order::Two, &numbers);
    let arith = Native::<f32>::new(Isa::choose().unwrap());
    for threads in [1, 2, 3, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for groups in [1, 2, 7, 100] {
            let tensors: Vec<&[f32]> = numbers.chunks(numbers.len().div_ceil(groups)).collect();
            let got = pool.install(|| norm(&arith, Order::Two, &tensors));
            assert!(same(got, expected), "{threads} threads, {groups} tensors: {got:?}, {expected:?}");
        }
    }
}

/// Powers are cut for threads too, and tensors of very different lengths are shared out.
#[test]
fn threads_of_powers_and_uneven_lists() {
    let mut random = Random(4);
    let numbers: Vec<f64> = (0..700_000).map(|_| random.number(-30, 28)).collect();
    let mut tensors: Vec<&[f64]> = vec![&numbers[..0], &numbers[..1], &numbers[1..600_000]];
    tensors.extend(numbers[600_000..].chunks(77));
    let arith = Native::<f64>::new(Isa::choose().unwrap());
    let on = |threads: usize, order: Order, tensors: &[&[f64]]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| norm(&arith, order, tensors))
    };
    let three = Order::of(3.0).unwrap();
    let short: Vec<&[f64]> = tensors.iter().map(|tensor| &tensor[..tensor.len().min(30_000)]).collect();
    let cube = on(1, three, &short);
    for threads in [1, 2, 3, 7] {
        for order in Order::EXACT {
            assert!(same(on(threads, order, &tensors), one_by_one(order, &numbers)), "{threads} {order}");
        }
        assert!(same(on(threads, three, &short), cube), "{threads}");
    }
}
