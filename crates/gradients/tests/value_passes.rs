//! The passes that limit, scale by a power of two, and normalise on vectors, against the definition number by number, which emulated formats take: the same bits and
//! the same reports on every instruction set, for every length and start, and on several threads.

mod common;

use common::numbers::same;
use common::random::{Random, print_missing_isas};
use gradchain_arith::{Emulated, Isa, Native, Rules, bf16, f16};
use gradchain_gradients::{
    Gradients, Measured, NonFinite, Order, centralise, clip_by_range, clip_by_value, normalise,
    normalise_each, normalise_rms, scale, unscale,
};
use std::fmt::Debug;

/// A pass over one tensor, and what it reports.
trait Pass: Copy {
    fn run<A: Gradients>(self, arith: &A, numbers: &mut [A::Number]) -> String;
}

/// The pass by vectors on every instruction set, and by the definition.
fn check<T: Measured>(pass: impl Pass + Debug, numbers: &[T], context: &str) {
    let emulated = Emulated::new(T::FORMAT, Rules::default(), 0);
    let mut expected: Vec<f64> = numbers.iter().map(|x| x.value()).collect();
    let report = pass.run(&emulated, &mut expected);
    for isa in Isa::available() {
        let mut got = numbers.to_vec();
        let of = pass.run(&Native::<T>::new(isa), &mut got);
        for (i, (got, &expected)) in got.iter().zip(&expected).enumerate() {
            assert!(
                same(got.value(), expected),
                "{} {isa} {pass:?} of {context}, number {i}: {:e} became {:e}, not {expected:e}",
                T::NAME,
                numbers[i].value(),
                got.value()
            );
        }
        assert_eq!(of, report, "{} {isa} {pass:?} of {context}", T::NAME);
    }
}

#[derive(Clone, Copy, Debug)]
enum Value {
    Limit(f64),
    Range(f64, f64),
    Times(f64),
    Over(f64),
}

impl Pass for Value {
    fn run<A: Gradients>(self, arith: &A, numbers: &mut [A::Number]) -> String {
        match self {
            Value::Limit(limit) => clip_by_value(arith, limit, numbers).unwrap().to_string(),
            Value::Range(low, high) => {
                let clipping = clip_by_range(arith, low, high, NonFinite::Propagate, &mut [numbers]);
                format!("{:?}", clipping.unwrap())
            }
            Value::Times(factor) => format!("{:?}", scale(arith, factor, numbers)),
            Value::Over(factor) => format!("{:?}", unscale(arith, factor, numbers)),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Unit {
    Norm(Order),
    Rms,
    Each,
    /// Rows of this width.
    Centre(usize),
}

impl Pass for Unit {
    fn run<A: Gradients>(self, arith: &A, numbers: &mut [A::Number]) -> String {
        let policy = NonFinite::Propagate;
        match self {
            Unit::Norm(order) => format!("{:?}", normalise(arith, order, policy, &mut [numbers])),
            Unit::Centre(width) => format!("{:?}", centralise(arith, width, policy, numbers)),
            Unit::Rms => format!("{:?}", normalise_rms(arith, policy, &mut [numbers])),
            Unit::Each => {
                let mut parts: Vec<&mut [A::Number]> = numbers.chunks_mut(37).collect();
                format!("{:?}", normalise_each(arith, Order::Two, policy, &mut parts))
            }
        }
    }
}

/// Limits between, on and next to numbers of the format, beyond it, and zeros.
fn limits<T: Measured>(numbers: &[T], context: &str) {
    let (least, most) = (T::FORMAT.min_subnormal(), T::FORMAT.max());
    let third = T::round_from(1.0 / 3.0).value();
    let limits = [
        0.0,
        least / 3.0,
        least,
        1.5 * least,
        1.0 / 3.0,
        third,
        1.0,
        most,
        0.99 * most,
        1e300,
        f64::INFINITY,
    ];
    for limit in limits {
        check(Value::Limit(limit), numbers, context);
        for other in limits {
            check(Value::Range(-other, limit), numbers, context);
            check(Value::Range(other.min(limit), other.max(limit)), numbers, context);
            check(Value::Range(-other.max(limit), -other.min(limit)), numbers, context);
        }
    }
}

/// Every number of a 16-bit format, infinities, NaNs and zeros of both signs included.
#[test]
fn all_16_bit_numbers() {
    fn all<T: Measured>(number: impl Fn(u16) -> T) {
        let numbers: Vec<T> = (0..=u16::MAX).map(number).collect();
        let finite: Vec<T> = numbers.iter().copied().filter(|x| x.value().is_finite()).collect();
        let some: Vec<T> = numbers.iter().copied().step_by(61).collect();
        limits(&some, "every 61st number");
        for limit in [0.0, 1e-6, 0.1, 1.0, 1e3, 1e5] {
            check(Value::Limit(limit), &numbers, "all numbers");
            check(Value::Range(-limit, 3.0), &numbers, "all numbers");
        }
        for e in [-1022, -300, -150, -127, -126, -40, -20, -9, -1, 0, 1, 9, 20, 40, 127, 128, 300, 1022] {
            check(Value::Times(libm::scalbn(1.0, e)), &numbers, "all numbers");
            check(Value::Over(libm::scalbn(1.0, e)), &numbers, "all numbers");
        }
        for unit in [Unit::Norm(Order::One), Unit::Norm(Order::Two), Unit::Norm(Order::Infinity), Unit::Rms] {
            check(unit, &finite, "all finite numbers");
        }
        check(Unit::Each, &finite[..5000], "numbers in order");
        check(Unit::Centre(64), &finite[..6400], "numbers in order");
        check(Unit::Centre(48), &numbers[..65_520], "all numbers");
    }
    all(f16::from_bits);
    all(bf16::from_bits);
    print_missing_isas();
}

fn magnitudes<T: Measured>() {
    let mut random = Random(T::FORMAT.precision().into());
    let (least, top) = (T::FORMAT.min_exponent(), T::FORMAT.emax());
    for span in [1_u64, 5, 30] {
        for low in [least, T::FORMAT.emin() - 3, T::FORMAT.emin() + 20, -8, 0, top + 1 - span as i32] {
            for (start, length) in [(0, 1), (1, 16), (3, 40), (5, 1100), (0, 0)] {
                let mut numbers: Vec<T> = (0..start + length).map(|_| random.number(low, span)).collect();
                if length > 1 {
                    numbers[start + length / 2] = T::round_from(-0.0);
                }
                let numbers = &numbers[start..];
                let context = format!("{length} numbers of {span} binades from 2^{low}");
                for unit in [Unit::Norm(Order::One), Unit::Norm(Order::Two), Unit::Norm(Order::Infinity)] {
                    check(unit, numbers, &context);
                }
                check(Unit::Rms, numbers, &context);
                check(Unit::Each, numbers, &context);
                for width in [1, 4, 5, 20, 64, length] {
                    check(Unit::Centre(width.max(1)), &numbers[..length - length % width.max(1)], &context);
                }
                for e in [-1022, -160, -20, -3, 1, 15, 160, 1022, -low, least - low - 4] {
                    let power = libm::scalbn(1.0, e.clamp(-1022, 1022));
                    check(Value::Times(power), numbers, &context);
                    check(Value::Over(power), numbers, &context);
                }
            }
        }
    }
}

#[test]
fn every_magnitude() {
    magnitudes::<f16>();
    magnitudes::<bf16>();
    magnitudes::<f32>();
    magnitudes::<f64>();
}

/// The bounds at numbers of f32 and f64, with infinities and NaN among the numbers.
#[test]
fn limits_of_long_formats() {
    fn long<T: Measured>() {
        let mut random = Random(2);
        let (least, top) = (T::FORMAT.min_exponent(), T::FORMAT.emax());
        let mut numbers: Vec<T> = (0..61).map(|_| random.number(least, (top - least) as u64)).collect();
        numbers.extend((0..61).map(|_| random.number::<T>(-2, 3)));
        numbers.extend(
            [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.0, 1.0 / 3.0].map(T::round_from),
        );
        limits(&numbers, "numbers");
    }
    long::<f32>();
    long::<f64>();
}

/// Numbers whose quotients by the norm are short: norms that are powers of two, and equal numbers.
#[test]
fn short_quotients() {
    fn short<T: Measured>() {
        for e in [T::FORMAT.emin() - 2, -5, 0, 3, 8] {
            let x = libm::scalbn(1.0, e);
            for n in [1, 4, 16, 64, 256] {
                check(Unit::Norm(Order::Two), &vec![T::round_from(x); n], "equal numbers");
                check(Unit::Rms, &vec![T::round_from(1.25 * x); n], "equal numbers");
            }
            // Odd multiples of a small unit beside a number that makes the norm a power of two: the root of the sum is exact.
            let numbers: Vec<T> = (0..64).map(|i| T::round_from(x * f64::from(i - 32) / 64.0)).collect();
            check(Unit::Norm(Order::Infinity), &numbers, "multiples");
            check(Unit::Rms, &numbers, "multiples");
        }
    }
    short::<f16>();
    short::<bf16>();
    short::<f32>();
    short::<f64>();
}

#[test]
fn threads() {
    let mut random = Random(6);
    let numbers: Vec<f16> = (0..1_100_003)
        .map(|_| f16::from_bits(random.next() as u16 & 0x83ff | ((random.next() >> 30) as u16 % 20) << 10))
        .collect();
    let passes = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let arith = Native::<f16>::new(Isa::choose().unwrap());
        let run = |pass: &(dyn Fn(&mut [f16]) -> String + Sync)| {
            let mut numbers = numbers.clone();
            let report = pool.install(|| pass(&mut numbers));
            (numbers.into_iter().map(f16::to_bits).collect::<Vec<_>>(), report)
        };
        [
            run(&|numbers| Value::Limit(0.01).run(&arith, numbers)),
            run(&|numbers| Value::Over(1024.0).run(&arith, numbers)),
            run(&|numbers| Unit::Norm(Order::Two).run(&arith, numbers)),
            run(&|numbers| Unit::Rms.run(&arith, numbers)),
        ]
    };
    let expected = passes(1);
    for threads in [2, 3, 7] {
        assert!(passes(threads) == expected, "{threads} threads");
    }
}
