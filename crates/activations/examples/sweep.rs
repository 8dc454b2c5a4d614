//! The greatest error of every function in f32 over many inputs, against libm's f64 functions, with which it shares no code; and whether results are in
//! order where the function is.
//!
//! ```text
//! cargo run --release -p gradchain-activations --example sweep                # 2^24 inputs, one of each 256 neighbours
//! cargo run --release -p gradchain-activations --example sweep -- 32          # all 2^32
//! cargo run --release -p gradchain-activations --example sweep -- 32 gelu     # of one function
//! cargo run --release -p gradchain-activations --example sweep -- order       # every pair of neighbours
//! ```
//!
//! The oracle rounds several times in f64: near the roots of derivatives its own error is seen in f32, so that there, and in deep tails where
//! libm's rounding of x² counts, a distance of some more hundredths of an ulp is the oracle's. The program ends with an error above 0.6 ulp, at any zero, infinity or NaN that is wrong, and at any pair out of order.

use gradchain_activations::{Activation, Path, apply, derivative_slice};
use gradchain_arith::{Isa, Native, philox};

/// The value and the slope, and by how much the oracle itself may be wrong, relatively.
fn oracle(activation: Activation, x: f64) -> [(f64, f64); 2] {
    const UNIT: f64 = f64::EPSILON;
    let e = libm::exp(-x.abs());
    let sigmoid = if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) };
    let bell = e / ((1.0 + e) * (1.0 + e));
    let below = |x: f64| libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2) / 2.0;
    let pair = |value: f64, slope: f64| [(value, 16.0 * UNIT), (slope, 16.0 * UNIT)];
    // A sum whose terms cancel is as good as its terms.
    let sum = |a: f64, b: f64, unit: f64| (a + b, unit * (a.abs() + b.abs()) / (a + b).abs());
    match activation {
        Activation::Identity => pair(x, 1.0),
        Activation::Sigmoid => pair(sigmoid, bell),
        Activation::Relu => pair(x.max(0.0), if x > 0.0 { 1.0 } else { 0.0 }),
        Activation::Tanh => {
            let e = libm::exp(-2.0 * x.abs());
            pair(libm::tanh(x), 4.0 * e / ((1.0 + e) * (1.0 + e)))
        }
        Activation::LeakyRelu => pair(if x > 0.0 { x } else { 0.01 * x }, if x > 0.0 { 1.0 } else { 0.01 }),
        Activation::Elu if x < 0.0 => pair(libm::expm1(x), libm::exp(x)),
        Activation::Elu => pair(x, 1.0),
        Activation::Selu if x <= 0.0 => {
            pair(1.7580993408473768 * libm::expm1(x), 1.7580993408473768 * libm::exp(x))
        }
        Activation::Selu => pair(1.0507009873554805 * x, 1.0507009873554805),
        Activation::Gelu => {
            let density = libm::exp(-x * x / 2.0) * 0.398_942_280_401_432_7;
            let unit = UNIT * (16.0 + x * x);
            [(x * below(x), unit), sum(below(x), x * density, unit)]
        }
        Activation::GeluTanh => {
            let k = 1.5957691216057308;
            let v = k * x * (1.0 + 0.044715 * x * x);
            let e = libm::exp(-v.abs());
            let sigmoid = if v < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) };
            // Where e^-v is 0, the product would be 0 times infinity.
            let bend = if e == 0.0 {
                0.0
            } else {
                x * (e / ((1.0 + e) * (1.0 + e))) * k * (1.0 + 3.0 * 0.044715 * x * x)
            };
            let unit = UNIT * (16.0 + v.abs());
            let value = if sigmoid == 0.0 { -0.0 } else { x * sigmoid };
            [(value, unit), if bend == 0.0 { (sigmoid, unit) } else { sum(sigmoid, bend, unit) }]
        }
        Activation::Silu => [(x * sigmoid, 16.0 * UNIT), sum(sigmoid, x * bell, 16.0 * UNIT)],
        Activation::Softplus => {
            let log = libm::log1p(e);
            pair(if x > 0.0 { x + log } else { log }, sigmoid)
        }
        Activation::Erf => {
            let slope = std::f64::consts::FRAC_2_SQRT_PI * libm::exp(-x * x);
            [(libm::erf(x), 16.0 * UNIT), (slope, UNIT * (16.0 + 2.0 * x * x))]
        }
        Activation::HardTanh => pair(x.clamp(-1.0, 1.0), if x.abs() < 1.0 { 1.0 } else { 0.0 }),
    }
}

#[derive(Clone, Copy, Default)]
struct Worst {
    ulps: f64,
    at: f32,
    wrong_zeros: u64,
    beyond: u64,
}

/// Where the function is least; it falls before and rises after.
fn minimum(activation: Activation) -> f32 {
    match activation {
        Activation::Gelu => -0.751_791_5,
        Activation::GeluTanh => -0.752_461_4,
        Activation::Silu => -1.278_464_5,
        Activation::Identity
        | Activation::Sigmoid
        | Activation::Relu
        | Activation::Tanh
        | Activation::LeakyRelu
        | Activation::Elu
        | Activation::Selu
        | Activation::Softplus
        | Activation::Erf
        | Activation::HardTanh => f32::NEG_INFINITY,
    }
}

/// Pairs of neighbours, from -∞ to ∞, whose values are not in order.
fn out_of_order(arith: &Native<f32>, activation: Activation) -> u64 {
    const STRETCH: i64 = 1 << 14;
    let infinity = i64::from(f32::INFINITY.to_bits());
    let number = |i: i64| f32::from_bits(i.unsigned_abs() as u32 | if i < 0 { 1 << 31 } else { 0 });
    let mut x = vec![0.0_f32; STRETCH as usize];
    let mut y = x.clone();
    let mut wrong = 0;
    for first in (-infinity..infinity).step_by(STRETCH as usize - 1) {
        for (x, i) in x.iter_mut().zip(first..) {
            *x = number(i.min(infinity));
        }
        apply(arith, activation, &x, &mut y);
        for (x, y) in x.windows(2).zip(y.windows(2)) {
            let right = if x[0] >= minimum(activation) {
                y[0] <= y[1]
            } else {
                x[1] >= minimum(activation) || y[0] >= y[1]
            };
            wrong += u64::from(!right);
        }
    }
    wrong
}

fn main() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let isa = Isa::choose().map_err(|error| error.to_string())?;
    let arith = Native::<f32>::new(isa);
    let first = arguments.next().unwrap_or_else(|| "24".to_owned());
    let only: Option<Activation> = arguments.next().map(|name| name.parse()).transpose()?;
    let activations =
        || Activation::ALL.into_iter().filter(|&activation| only.is_none_or(|only| only == activation));
    if first == "order" {
        let mut failed = false;
        for activation in activations() {
            let wrong = out_of_order(&arith, activation);
            println!("{activation:10}: {wrong} pairs out of order");
            failed |= wrong > 0;
        }
        return if failed { Err("values out of order".to_owned()) } else { Ok(()) };
    }
    let places: u32 =
        first.parse().map_err(|error| format!("`{first}`, neither `order` nor 12 to 32: {error}"))?;
    if !(12..=32).contains(&places) {
        return Err(format!("{places} is not from 12 to 32"));
    }
    let mut failed = false;
    for activation in activations() {
        let mut worst = [Worst::default(); 2];
        let mut x = vec![0.0_f32; 1 << 12];
        let (mut y, mut d) = (x.clone(), x.clone());
        for block in 0..1_u64 << (places - 12) {
            for (i, x) in x.iter_mut().enumerate() {
                // Stratified: a random one of each stretch of neighbours.
                let index = block << 12 | i as u64;
                let within =
                    if places == 32 { 0 } else { philox(7, index, 0)[0] & ((1 << (32 - places)) - 1) };
                *x = f32::from_bits((index << (32 - places) | within) as u32);
            }
            apply(&arith, activation, &x, &mut y);
            derivative_slice(&arith, activation, Path::Fused, &x, &x, &mut d);
            for (i, &x) in x.iter().enumerate().filter(|(_, x)| x.is_finite()) {
                for (what, (exact, unit)) in oracle(activation, f64::from(x)).into_iter().enumerate() {
                    check(&mut worst[what], x, [y[i], d[i]][what], exact, unit);
                }
            }
        }
        for (what, worst) in ["value", "slope"].into_iter().zip(worst) {
            let Worst { ulps, at, wrong_zeros, beyond } = worst;
            println!(
                "{activation:10} {what}: {ulps:.5} ulp at {at:e}, {wrong_zeros} wrong zeros, \
                 {beyond} not finite"
            );
            failed |= ulps > 0.6 || wrong_zeros + beyond > 0;
        }
    }
    if failed { Err("an error above 0.6 ulp".to_owned()) } else { Ok(()) }
}

fn check(worst: &mut Worst, x: f32, got: f32, exact: f64, unit: f64) {
    let rounded = exact as f32;
    if rounded.is_infinite() && got == rounded {
        return;
    }
    let leading = (((exact.to_bits() >> 52) & 0x7ff) as i32 - 1023).max(-126);
    let ulp = f64::powi(2.0, leading - 23);
    let error = unit * exact.abs() / ulp;
    worst.beyond += u64::from(!got.is_finite());
    let ulps = (f64::from(got) - exact).abs() / ulp - error;
    if ulps > worst.ulps {
        (worst.ulps, worst.at) = (ulps, x);
    }
    // Halfway between 0 and the least number either may be right, as far as the oracle knows.
    worst.wrong_zeros += u64::from((got == 0.0) != (rounded == 0.0) && ulps > 0.501);
}
