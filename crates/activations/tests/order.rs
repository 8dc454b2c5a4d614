//! Where the true function rises or falls, results do, on neighbouring numbers of f32 and f64: around every seam of the texts, where two formulas
//! or two pieces of a table meet, and around the places where functions bend. All numbers of f32 are tried by
//! `examples/sweep.rs -- order`; those of 16 bits in `properties.rs`.

use gradchain_activations::{Activation, Vectorized, apply};
use gradchain_arith::{Isa, Native};

/// Numbers on each side of a place.
const AROUND: i64 = 24;

/// Where the function is least; it falls before and rises after.
fn minimum(activation: Activation) -> f64 {
    match activation {
        Activation::Gelu => -0.751_791_524_693_564_5,
        Activation::GeluTanh => -0.752_461_422_071_016_3,
        Activation::Silu => -1.278_464_542_761_073_7,
        Activation::Identity
        | Activation::Sigmoid
        | Activation::Relu
        | Activation::Tanh
        | Activation::LeakyRelu
        | Activation::Elu
        | Activation::Selu
        | Activation::Softplus
        | Activation::Erf
        | Activation::HardTanh => f64::NEG_INFINITY,
    }
}

/// Places of one sign: powers of two and quarters between them, where e^x, e^(2x) and e^(x²/2) and e^(x²) go to another table entry or power, pieces of
/// tables, ends of ranges, minima.
fn places(least_exponent: i32) -> Vec<f64> {
    let step = std::f64::consts::LN_2 / 32.0;
    let mut places = vec![0.0, 0.125, 0.75, 0.751_791_524_693_564_5, 0.752_461_422_071_016_3];
    places.extend([1.278_464_542_761_073_7, 8.625, 9.25, 9.375, 9.875, 12.0, 13.0, 37.5, 75.0, 86.0, 400.0]);
    for exponent in least_exponent..10 {
        places.extend([1.0, 1.25, 1.5, 1.75].map(|x| x * f64::powi(2.0, exponent)));
    }
    for odd in (1..6000).step_by(2) {
        let z = f64::from(odd) * step;
        places.extend([z, z / 2.0, z.sqrt(), (2.0 * z).sqrt()]);
        // The tanh form of GELU: v = 1.5957691216057308 x (1 + 0.044715 x²), by Newton's method.
        let mut x = z / (1.6 + z / 16.0);
        for _ in 0..50 {
            let v = 1.5957691216057308 * x * (1.0 + 0.044715 * x * x) - z;
            x -= v / (1.5957691216057308 * (1.0 + 3.0 * 0.044715 * x * x));
        }
        places.push(x);
    }
    // Quarters of binades after a shift, as tables have them.
    for shift in [1.125, 1.25, 3.5] {
        places.extend((0..24).map(|i| [1.0, 1.25, 1.5, 1.75][i % 4] * f64::powi(2.0, i as i32 / 4) - shift));
    }
    places
}

/// The functions with breaks of the order among neighbours, and how many; `number` of consecutive whole numbers is consecutive, `index` its inverse. A
/// break is a step of one ulp.
fn breaks<T: Vectorized>(
    least_exponent: i32,
    index: fn(f64) -> i64,
    number: fn(i64) -> T,
) -> Vec<(Activation, u64)> {
    let arith = Native::<T>::new(Isa::choose().unwrap());
    let mut all = Vec::new();
    for activation in Activation::ALL {
        let mut here = 0;
        for place in places(least_exponent).into_iter().flat_map(|place| [place, -place]) {
            let middle = index(place);
            let x: Vec<T> = (middle - AROUND..=middle + AROUND).map(number).collect();
            let mut y = x.clone();
            apply(&arith, activation, &x, &mut y);
            for (x, y) in x.windows(2).zip(y.windows(2)) {
                let (before, after) = (y[0].value(), y[1].value());
                let right = if x[0].value() >= minimum(activation) {
                    before <= after
                } else {
                    x[1].value() >= minimum(activation) || before >= after
                };
                if !right {
                    assert_eq!(
                        (index(before) - index(after)).abs(),
                        1,
                        "{} {activation} at {:?}",
                        T::NAME,
                        x[0]
                    );
                    here += 1;
                    if here <= 2 {
                        println!(
                            "{} {activation}: {before:e} at {:?}, {after:e} at {:?}",
                            T::NAME,
                            x[0],
                            x[1]
                        );
                    }
                }
            }
        }
        println!("{} {activation}: {here} breaks of order", T::NAME);
        if here > 0 {
            all.push((activation, here));
        }
    }
    all
}

#[test]
fn f32_keeps_order_around_seams() {
    let index = |x: f64| {
        let bits = i64::from((x.abs() as f32).to_bits());
        if x < 0.0 { -bits } else { bits }
    };
    let number = |i: i64| f32::from_bits(i.unsigned_abs() as u32 | if i < 0 { 1 << 31 } else { 0 });
    assert_eq!(breaks::<f32>(-149, index, number), []);
}

/// In f64 two functions are not always in order: where they are so flat that a step of x is less than their rounding errors, GELU next to its
/// minimum and softplus next to 0 step back by an ulp.
#[test]
fn f64_keeps_order_around_seams() {
    let index = |x: f64| {
        let bits = x.abs().to_bits() as i64;
        if x < 0.0 { -bits } else { bits }
    };
    let number = |i: i64| f64::from_bits(i.unsigned_abs() | if i < 0 { 1 << 63 } else { 0 });
    assert_eq!(breaks::<f64>(-200, index, number), [(Activation::Gelu, 10), (Activation::Softplus, 7)]);
}
