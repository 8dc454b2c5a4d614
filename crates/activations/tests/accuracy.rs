//! Every function against correctly rounded results: all inputs of the 16-bit formats, hard points of f32 and f64, products with upstream
//! gradients, and the places where results become 1, subnormal and 0.

mod common;

use common::tensor;
use gradchain_activations::{
    Activation, Activations, Path, Vectorized, apply, backpropagate_slice, derivative_slice,
};
use gradchain_arith::{Isa, Native, bf16, f16};

/// The functions that the committed results have, by their names there.
const VALUES: [(&str, Activation); 7] = [
    ("sigmoid", Activation::Sigmoid),
    ("tanh", Activation::Tanh),
    ("gelu", Activation::Gelu),
    ("gelu_tanh", Activation::GeluTanh),
    ("silu", Activation::Silu),
    ("softplus", Activation::Softplus),
    ("elu", Activation::Elu),
];

fn isa() -> Isa {
    Isa::choose().unwrap()
}

/// Bits for comparing: NaN as one value.
fn bits(x: f64) -> u64 {
    if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() }
}

fn values<T: Vectorized>(activation: Activation, x: &[T]) -> Vec<T> {
    let mut y = x.to_vec();
    apply(&Native::<T>::new(isa()), activation, x, &mut y);
    y
}

fn slopes<T: Vectorized>(activation: Activation, x: &[T]) -> Vec<T> {
    let mut d = x.to_vec();
    derivative_slice(&Native::<T>::new(isa()), activation, Path::Fused, x, x, &mut d);
    d
}

fn check_tables<T: Vectorized>(from_bits: fn(u16) -> T) {
    let x: Vec<T> = (0..=u16::MAX).map(from_bits).collect();
    let mut wrong = 0;
    for (name, activation) in VALUES {
        for (prefix, got) in [("", values(activation, &x)), ("d", slopes(activation, &x))] {
            if ["gelu_tanh", "dgelu_tanh", "elu", "delu", "dsoftplus"]
                .contains(&format!("{prefix}{name}").as_str())
            {
                continue;
            }
            let expected = tensor("tables", &format!("{}.{prefix}{name}", T::NAME), u16::from_le_bytes);
            let mut here = 0;
            for (i, got) in got.iter().enumerate() {
                let expected = from_bits(expected[i]);
                if bits(got.value()) != bits(expected.value()) {
                    here += 1;
                    if here <= 3 {
                        println!("{} {prefix}{name}({:?}) = {got:?}, not {expected:?}", T::NAME, x[i]);
                    }
                }
            }
            println!("{} {prefix}{name}: {here} of 65536 not correctly rounded", T::NAME);
            wrong += here;
        }
    }
    assert_eq!(wrong, 0);
}

#[test]
fn every_f16_input() {
    check_tables::<f16>(f16::from_bits);
}

#[test]
fn every_bf16_input() {
    check_tables::<bf16>(bf16::from_bits);
}

/// The distance of two numbers in ulps of the second in T's format.
fn ulps<T: Vectorized>(got: f64, expected: f64) -> f64 {
    if bits(got) == bits(expected) {
        return 0.0;
    }
    if !(got.is_finite() && expected.is_finite()) || got.is_sign_negative() != expected.is_sign_negative() {
        return f64::INFINITY;
    }
    let leading = (((expected.to_bits() >> 52) & 0x7ff) as i32 - 1023).max(T::FORMAT.emin());
    let places = leading - T::FORMAT.precision() as i32 + 1;
    // In two steps, since an ulp of a subnormal f64 has no inverse.
    (got - expected).abs() * f64::powi(2.0, -(places / 2)) * f64::powi(2.0, -(places - places / 2))
}

/// The greatest distance from the correctly rounded results, how many differ, and where.
fn check_points<T: Vectorized, const SIZE: usize>(number: fn([u8; SIZE]) -> T, limit: f64) {
    let mut bad = false;
    for (name, activation) in VALUES {
        for prefix in ["", "d"] {
            if (prefix, name) == ("d", "elu") || (prefix, name) == ("d", "softplus") {
                continue;
            }
            let of = |what| tensor("points", &format!("{}.{prefix}{name}.{what}", T::NAME), number);
            let (x, y) = (of("x"), of("y"));
            let got = if prefix == "d" { slopes(activation, &x) } else { values(activation, &x) };
            let (mut greatest, mut at, mut differing) = (0.0, 0, 0);
            for i in 0..x.len() {
                let distance = ulps::<T>(got[i].value(), y[i].value());
                differing += u32::from(distance > 0.0);
                if distance > greatest {
                    (greatest, at) = (distance, i);
                }
            }
            println!(
                "{} {prefix}{name}: {differing} differ, at most {greatest} ulp: ({:e}) = {:e}, not {:e}",
                T::NAME,
                x[at].value(),
                got[at].value(),
                y[at].value()
            );
            bad |= greatest > limit;
        }
    }
    assert!(!bad);
}

/// 1 ulp from the correctly rounded number: nowhere more.
#[test]
fn hard_points_of_f32() {
    check_points(f32::from_le_bytes, 1.0);
}

#[test]
fn hard_points_of_f64() {
    check_points(f64::from_le_bytes, 1.0);
}

fn check_products<T: Vectorized, const SIZE: usize>(number: fn([u8; SIZE]) -> T) {
    let arith = Native::<T>::new(isa());
    for (name, activation) in VALUES {
        if name == "gelu_tanh" || name == "elu" {
            continue;
        }
        let of = |what| tensor("products", &format!("{}.{name}.{what}", T::NAME), number);
        let (x, mut g, y) = (of("x"), of("g"), of("y"));
        let upstream = g.clone();
        backpropagate_slice(&arith, activation, Path::Fused, &mut g, &x, &x);
        let (mut differing, mut greatest): (u32, f64) = (0, 0.0);
        for i in 0..x.len() {
            let distance = ulps::<T>(g[i].value(), y[i].value());
            if distance > 0.0 && differing < 3 || distance > 1.0 {
                println!("{} {name} {:?} {:?}: {:?}, not {:?}", T::NAME, upstream[i], x[i], g[i], y[i]);
            }
            differing += u32::from(distance > 0.0);
            greatest = greatest.max(distance);
            let one = arith.accurate_pull(activation, upstream[i], x[i]);
            assert_eq!(bits(one.value()), bits(g[i].value()), "{} {name} {:?}", T::NAME, x[i]);
        }
        println!("{} {name}: {differing} of {} products differ, at most {greatest} ulp", T::NAME, x.len());
        // f16 and bf16 are correctly rounded but for products next to a midpoint; f32 and f64 within 1 ulp.
        assert!(greatest <= 1.0 && (T::FORMAT.precision() > 12 || differing <= 1));
    }
}

#[test]
fn products_with_upstream_gradients() {
    check_products(|bytes| f16::from_bits(u16::from_le_bytes(bytes)));
    check_products(|bytes| bf16::from_bits(u16::from_le_bytes(bytes)));
    check_products(f32::from_le_bytes);
    check_products(f64::from_le_bytes);
}
