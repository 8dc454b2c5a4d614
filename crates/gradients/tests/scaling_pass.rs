//! The pass that scales a tensor on vectors, against the definition number by number, which emulated formats take: the same bits and the same report.

mod common;

use common::random::{Random, print_missing_isas};
use gradchain_arith::{Emulated, Isa, Native, Rules, bf16, f16};
use gradchain_gradients::{Measured, NonFinite, Order, clip_by_norm};

/// Clips by vectors on every instruction set, and by the definition. `limit` is a part of the norm.
fn check<T: Measured>(numbers: &[T], limit: f64, context: &str) {
    let emulated = Emulated::new(T::FORMAT, Rules::default(), 0);
    let mut expected: Vec<f64> = numbers.iter().map(|x| x.value()).collect();
    let clip =
        |g: &mut [f64]| clip_by_norm(&emulated, Order::Two, limit, NonFinite::Propagate, &mut [g]).unwrap();
    let report = clip(&mut expected);
    for isa in Isa::available() {
        let mut got = numbers.to_vec();
        let arith = Native::<T>::new(isa);
        let of = clip_by_norm(&arith, Order::Two, limit, NonFinite::Propagate, &mut [&mut got]).unwrap();
        for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let (got, nan) = (got.value(), expected.is_nan());
            assert!(
                got.to_bits() == expected.to_bits() || (nan && got.is_nan()),
                "{} {isa} {context}, limit {limit:e}, number {i}: {:e} became {got:e}, not {expected:e}",
                T::NAME,
                numbers[i].value()
            );
        }
        if report.norm.is_finite() {
            assert_eq!(of, report, "{} {isa} {context}, limit {limit:e}", T::NAME);
        }
    }
}

fn magnitudes<T: Measured>() {
    let mut random = Random(T::FORMAT.precision().into());
    let (least, top) = (T::FORMAT.min_exponent(), T::FORMAT.emax());
    for span in [1_u64, 5, 12, 30] {
        for low in [least, T::FORMAT.emin() - 3, T::FORMAT.emin() + 20, -8, 0, top - span as i32] {
            for length in [1, 16, 40, 1100] {
                let mut numbers: Vec<T> = (0..length).map(|_| random.number(low, span)).collect();
                numbers[length / 2] = T::round_from(-0.0);
                let context = format!("{length} numbers of {span} binades from 2^{low}");
                for part in [0.75, 1e-2, 1e-5, 1e-30, 1e-300] {
                    check(&numbers, libm::scalbn(part, low), &context);
                }
                check(&numbers, 0.0, &context);
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
    print_missing_isas();
}

/// All finite numbers of a 16-bit format at once, with factors that put products on midpoints: 1/2, 3/4, and others.
#[test]
fn all_16_bit_numbers() {
    fn all<T: Measured>(numbers: Vec<T>) {
        let norm =
            gradchain_gradients::norm(&Native::<T>::new(Isa::PORTABLE), Order::Two, &[&numbers]).to_f64();
        for part in [0.5, 0.75, 0.625, 1.0 / 3.0, 0.9999, 1e-3, 1e-7] {
            check(&numbers, norm * part, "all numbers");
        }
    }
    all((0..=u16::MAX).map(f16::from_bits).filter(|x| x.is_finite()).collect());
    all((0..=u16::MAX).map(bf16::from_bits).filter(|x| x.is_finite()).collect());
}

/// f32 numbers whose products with a factor of few bits are midpoints of f32, and those next to them.
#[test]
fn midpoints_of_f32() {
    let numbers: Vec<f32> = (0..4096).map(|i| 1.0 + (2 * i + 1) as f32 * f32::EPSILON).collect();
    let norm = gradchain_gradients::norm(&Native::<f32>::new(Isa::PORTABLE), Order::Two, &[&numbers]);
    for part in [0.5, 0.75, 0.625, 0.501953125] {
        check(&numbers, norm.to_f64() * part, "odd numbers");
    }
    // A norm of one number is that number: factors that are exact quotients.
    for (i, &x) in numbers.iter().enumerate().take(200) {
        check(&[x], f64::from(x) * 0.5, &format!("number {i}"));
    }
}

/// Factors of a few decimal digits, such as 0.9, miss simple fractions by a part of 2^-53 only: every tenth product lies that near to the middle of two numbers,
/// above and below; and those at either end of the format.
#[test]
fn almost_midpoints() {
    fn all<T: Measured>() {
        let mut random = Random(1);
        let last = T::FORMAT.precision() as i32 - 1;
        let (least, top) = (T::FORMAT.min_exponent(), T::FORMAT.emax() - last);
        for low in [least, least + 1, least + last, -last, top - 1, top] {
            let number = |_| {
                let significand = (random.next() >> 20) % (1 << (last + 1).min(30));
                T::round_from(libm::scalbn(significand as f64, low))
            };
            let numbers: Vec<T> = (0..1000).map(number).collect();
            let norm = gradchain_gradients::norm(&Native::<T>::new(Isa::PORTABLE), Order::Two, &[&numbers]);
            for part in [0.9, 0.7, 0.3, 0.1, 0.05, 0.99, 1.0 / 3.0] {
                for nudge in [-1, 0, 1] {
                    let part = f64::from_bits((part * norm.mantissa()).to_bits().wrapping_add_signed(nudge));
                    check(&numbers, libm::scalbn(part, norm.exponent() as i32), &format!("from 2^{low}"));
                }
            }
        }
    }
    all::<f16>();
    all::<bf16>();
    all::<f32>();
    all::<f64>();
}

#[test]
fn specials() {
    for special in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut numbers = vec![1.0_f32; 100];
        numbers[37] = special;
        check(&numbers, 1.0, &special.to_string());
    }
}

/// Long tensors are cut for threads: the same numbers and the same report.
#[test]
fn threads() {
    let mut random = Random(6);
    let numbers: Vec<f16> = (0..1_100_003)
        .map(|_| f16::from_bits(random.next() as u16 & 0x83ff | ((random.next() >> 30) as u16 % 20) << 10))
        .collect();
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut numbers = numbers.clone();
        let arith = Native::<f16>::new(Isa::choose().unwrap());
        let clip = || clip_by_norm(&arith, Order::Two, 0.9, NonFinite::Error, &mut [&mut numbers]).unwrap();
        let report = pool.install(clip);
        (numbers, report)
    };
    let expected = on(1);
    assert!(expected.1.flushed > 0 && expected.1.made_subnormal > 0, "{:?}", expected.1);
    for threads in [2, 3, 7] {
        let got = on(threads);
        assert!(got == expected, "{threads} threads: {:?}, {:?}", got.1, expected.1);
    }
}
