//! Values and true derivatives against correctly rounded tables, and the same in every arithmetic.

mod common;

use common::tensor;
use gradchain_activations::{Activation, Activations, Path, Vectorized, derivative, value};
use gradchain_arith::{
    Arithmetic, Emulated, Format, Isa, Native, Real, Rounding, Rules, Subnormals, bf16, f16,
};

const SMOOTH: [Activation; 2] = [Activation::Sigmoid, Activation::Tanh];

/// Bits for comparing: NaN as one value.
fn bits(x: f64) -> u64 {
    if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() }
}

/// The fused derivative, which needs no stored output.
fn slope<A: Activations>(arith: &A, activation: Activation, x: A::Number) -> A::Number {
    derivative(arith, activation, Path::Fused, x, arith.round(0.0))
}

fn check_table<T: Vectorized>(from_bits: fn(u16) -> T) {
    let arith = Native::<T>::new(Isa::PORTABLE);
    for activation in SMOOTH {
        let values = tensor("tables", &format!("{}.{activation}", T::NAME), u16::from_le_bytes);
        let slopes = tensor("tables", &format!("{}.d{activation}", T::NAME), u16::from_le_bytes);
        for i in 0..=u16::MAX {
            let x = from_bits(i);
            let (expected, got) = (from_bits(values[usize::from(i)]), value(&arith, activation, x));
            assert_eq!(bits(got.value()), bits(expected.value()), "{} {activation}({x:?})", T::NAME);
            let (expected, got) = (from_bits(slopes[usize::from(i)]), slope(&arith, activation, x));
            assert_eq!(bits(got.value()), bits(expected.value()), "{} {activation}'({x:?})", T::NAME);
        }
    }
}

#[test]
fn every_f16_input() {
    check_table::<f16>(f16::from_bits);
}

#[test]
fn every_bf16_input() {
    check_table::<bf16>(bf16::from_bits);
}

/// Checks all points and returns how many there were.
fn check_points<T: Vectorized, const SIZE: usize>(number: fn([u8; SIZE]) -> T) {
    let arith = Native::<T>::new(Isa::PORTABLE);
    let emulated = Emulated::new(T::FORMAT, Rules::default(), 0);
    for activation in SMOOTH {
        for prefix in ["", "d"] {
            let of = |what| tensor("points", &format!("{}.{prefix}{activation}.{what}", T::NAME), number);
            let (xs, ys) = (of("x"), of("y"));
            let evaluate =
                |x| if prefix == "d" { slope(&arith, activation, x) } else { value(&arith, activation, x) };
            let wrong =
                xs.iter().zip(&ys).filter(|(x, y)| bits(evaluate(**x).value()) != bits(y.value())).count();
            // f32 and f64 are within 1 ulp (`accuracy.rs`); correctly rounded they are under rules that the native arithmetic does not have.
            println!("{} {prefix}{activation}: {wrong} of {} not correctly rounded", T::NAME, xs.len());
            for &x in &xs {
                let same = if prefix == "d" {
                    slope(&emulated, activation, x.value())
                } else {
                    value(&emulated, activation, x.value())
                };
                assert_eq!(
                    bits(same),
                    bits(evaluate(x).value()),
                    "emulated {} {prefix}{activation}({x:?})",
                    T::NAME
                );
            }
        }
    }
}

#[test]
fn hard_points_of_f32() {
    check_points(f32::from_le_bytes);
}

/// C5: f64 does not pass through f32, or not one of these would be right.
#[test]
fn hard_points_of_f64() {
    check_points(f64::from_le_bytes);
}

/// Where x/4 is a rounding midpoint of 1/2 + x/4, the next term of the series, beyond double-double, decides: the tables' random inputs
/// have none of these.
#[test]
fn midpoints_next_to_one_half() {
    let arith = Native::<f64>::new(Isa::PORTABLE);
    let ulp = f64::powi(2.0, -53);
    for odd in [1.0, 3.0, 5.0, 7.0, 101.0] {
        // σ(x) = 1/2 + odd · ulp / 2 less x³/48; below 1/2 the ulps are half as large.
        let x = odd * f64::powi(2.0, -52);
        // Either neighbour is within 1 ulp.
        let (above, below) =
            (value(&arith, Activation::Sigmoid, x), value(&arith, Activation::Sigmoid, -x / 2.0));
        assert!((above - (0.5 + (odd - 1.0) / 2.0 * ulp)).abs() <= 2.0 * ulp, "{odd}: {above}");
        assert!((below - (0.5 - (odd - 1.0) / 4.0 * ulp)).abs() <= ulp, "-{odd}: {below}");
        let arith = Native::<f32>::new(Isa::PORTABLE);
        let (x, ulp) = ((odd * f64::powi(2.0, -23)) as f32, f64::powi(2.0, -24));
        let above = value(&arith, Activation::Sigmoid, x).value();
        assert!((above - (0.5 + (odd - 1.0) / 2.0 * ulp)).abs() <= ulp, "{odd}: {above}");
        // Under a rule that the native arithmetic does not have the lower one is found, as the next term of the series says.
        let rules = Rules { subnormals: Subnormals::Flush, ..Rules::default() };
        let emulated = Emulated::new(Format::F32, rules, 0);
        let close = value(&emulated, Activation::Sigmoid, f64::from(x));
        assert_eq!(close, 0.5 + (odd - 1.0) / 2.0 * ulp, "{odd}");
    }
}

/// The path by double-double and the one by f64 agree: a custom format whose exponents reach further than quick f64 allows has the same
/// numbers as tf32 wherever both have any.
#[test]
fn quick_and_close_agree_on_every_tf32_input() {
    let quick = Emulated::new(Format::TF32, Rules::default(), 0);
    let close = Emulated::new(Format::custom(11, -1000, 127).unwrap(), Rules::default(), 0);
    for i in 0..1 << 19 {
        let x = f64::from(f32::from_bits(i << 13));
        for activation in SMOOTH {
            let (a, b) = (value(&quick, activation, x), value(&close, activation, x));
            assert!(bits(a) == bits(b) || b.abs() < Format::TF32.min_normal(), "{activation}({x}): {a} {b}");
            let (a, b) = (slope(&quick, activation, x), slope(&close, activation, x));
            assert!(bits(a) == bits(b) || b.abs() < Format::TF32.min_normal(), "{activation}'({x}): {a} {b}");
        }
    }
}

/// The value at a finite x other than 0 is never a number of the format, so that rounding up gives the next number after rounding down,
/// and rounding to nearest one of the two. Formats by f64, by f64 and double-double, and by double-double alone.
#[test]
fn directed_roundings_enclose() {
    let custom = |p| Format::custom(p, -126, 127).unwrap();
    for format in [Format::F16, Format::BF16, Format::E5M2, Format::F32, custom(40), Format::F64] {
        let [nearest, up, down, zero] = [Rounding::Nearest, Rounding::Up, Rounding::Down, Rounding::Zero]
            .map(|rounding| Emulated::new(format, Rules { rounding, ..Rules::default() }, 0));
        let quantum = |x: f64| {
            let leading = ((x.to_bits() >> 52) & 0x7ff) as i32 - 1023;
            f64::powi(2.0, leading.max(format.emin()) - format.precision() as i32 + 1)
        };
        for i in 0..2000 {
            // Down to 2^-14, where a value is still farther than 2^-100 from a midpoint, and up to 20, where it is still normal in f64.
            let x = nearest.round(
                f64::powi(2.0, i % 18 - 14) * (1.0 + f64::from(i % 97) / 97.0) * [1.0, -1.0][i as usize % 2],
            );
            for activation in SMOOTH {
                for evaluate in [value::<Emulated>, slope::<Emulated>] {
                    let [n, u, d, z] =
                        [&nearest, &up, &down, &zero].map(|arith| evaluate(arith, activation, x));
                    // To nearest, f64 is the native arithmetic's: within 1 ulp, and not always one of these two.
                    let is_neighbour = n == d || n == u || format == Format::F64;
                    assert!(d < u && is_neighbour, "{format} {activation} {x}: {d} {n} {u}");
                    assert_eq!(z.abs(), d.abs().min(u.abs()), "{format} {activation} {x}");
                    assert_eq!(u - d, quantum(z), "{format} {activation} {x}: {d} {u}");
                }
            }
        }
    }
}

/// Native and emulated 16-bit arithmetic agree on every input and every path.
#[test]
fn native_equals_emulated() {
    fn check<T: Vectorized>(from_bits: fn(u16) -> T) {
        let native = Native::<T>::new(Isa::PORTABLE);
        let emulated = Emulated::new(T::FORMAT, Rules::default(), 0);
        for i in 0..=u16::MAX {
            let x = from_bits(i);
            for (place, activation) in Activation::ALL.into_iter().enumerate() {
                // The functions that came first on every input, each of the others on every 16th.
                if place >= 4 && usize::from(i) % 16 != place {
                    continue;
                }
                let (y, e) = (value(&native, activation, x), value(&emulated, activation, x.value()));
                assert_eq!(bits(y.value()), bits(e), "{activation}({x:?})");
                for path in Path::ALL.into_iter().filter(|path| path.is_defined_for(activation)) {
                    let d = derivative(&native, activation, path, x, y).value();
                    assert_eq!(
                        bits(d),
                        bits(derivative(&emulated, activation, path, x.value(), e)),
                        "{activation} {path} {x:?}"
                    );
                }
            }
        }
    }
    check::<f16>(f16::from_bits);
    check::<bf16>(bf16::from_bits);
}
