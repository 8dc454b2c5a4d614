//! Every activation and its derivative: against an oracle of 400 bits at points of all exponents, against correctly rounded results, and at the edges.
//!
//! The promise is 2^-95; what is demanded is nearer to what is measured.

mod common;
mod oracle;

use common::{Big, big, big_of, floats, log2_error, shifted};
use gradchain_activations::Activation;
use gradchain_arith::Isa;
use gradchain_drift::{DoubleDouble, values_and_slopes};
use oracle::{Oracle, SERIES_UP_TO, VANISHED};
use safetensors::SafeTensors;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, LN_2};

type Pair = (DoubleDouble, i64);

fn isa() -> Isa {
    Isa::choose().expect("an instruction set")
}

fn at(activation: Activation, x: f64) -> (Pair, Pair) {
    values_and_slopes(isa(), activation, &[DoubleDouble::from(x)])[0]
}

fn exact((m, e): Pair) -> Big {
    shifted(big_of(m), e)
}

/// The functions whose derivative has a root, with a point near it.
const WITH_ROOT: [(Activation, f64); 3] =
    [(Activation::Gelu, -0.7518), (Activation::GeluTanh, -0.7525), (Activation::Silu, -1.2785)];

struct Draws(u64);

impl Draws {
    /// Uniform in [0, 1).
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// `x` with a low part.
    fn with_low_part(&mut self, x: f64) -> DoubleDouble {
        DoubleDouble::new(x, x * 1e-16 * (self.unit() - 0.5))
    }
}

/// Points of every exponent from 2^-140 to 2^40 and a few beyond, more of them where the functions bend, and around the places
/// where the formulas change. Positive: callers take both signs.
fn sizes(each: usize) -> Vec<DoubleDouble> {
    let mut draws = Draws(7);
    let mut points = Vec::new();
    for e in -140..=40 {
        for _ in 0..each {
            let x = libm::scalbn(1.0 + draws.unit(), e);
            points.push(draws.with_low_part(x));
        }
    }
    for size in [1.0, 3.0, 10.0, 40.0, 1000.0] {
        for _ in 0..40 * each {
            let x = size * draws.unit();
            points.push(draws.with_low_part(x));
        }
    }
    // The series of erf ends, the residue ends, the exponential is reduced, the low part decides at 1.
    for turn in [0.5, 0.5 * LN_2, LN_2, FRAC_1_SQRT_2, 9.42477796, 13.3286488, 1.0, 24_900.0] {
        for k in [-1e-3, -1e-9, 0.0, 1e-9, 1e-3] {
            points.push(draws.with_low_part(turn * (1.0 + k)));
        }
    }
    for e in [-1074, -1022, -900, 45, 100, 1000, 1023] {
        points.push(DoubleDouble::from(libm::scalbn(1.0, e)));
    }
    points.push(DoubleDouble::from(f64::MAX));
    points
}

/// log2 of the relative error, or none where the exact result, or an exponential that it is made of, is below `e^-2^40`.
fn error(got: Pair, wanted: &Big) -> Option<f64> {
    if *wanted == Big::ZERO || got.0.hi == 0.0 {
        assert!(*wanted == Big::ZERO && got.0.hi == 0.0, "{got:?} for {wanted:?}");
        return None;
    }
    Some(log2_error(&exact(got), wanted))
}

#[test]
fn every_function_and_exponent_within_95_bits() {
    let oracle = Oracle::new();
    let sizes = sizes(1);
    let points: Vec<DoubleDouble> = sizes.iter().flat_map(|x| [*x, x.negated()]).collect();
    for activation in Activation::ALL {
        let (mut of_values, mut of_slopes) = ((f64::NEG_INFINITY, 0.0), (f64::NEG_INFINITY, 0.0));
        for (x, got) in points.iter().zip(values_and_slopes(isa(), activation, &points)) {
            let (value, slope) = oracle.at(activation, &big_of(*x));
            let value = error(got.0, &value).unwrap_or(f64::NEG_INFINITY);
            let slope = error(got.1, &slope).unwrap_or(f64::NEG_INFINITY);
            of_values = if value > of_values.0 { (value, x.hi) } else { of_values };
            of_slopes = if slope > of_slopes.0 { (slope, x.hi) } else { of_slopes };
        }
        println!(
            "{activation}: 2^{:.1} at {:e}, derivative 2^{:.1} at {:e}",
            of_values.0, of_values.1, of_slopes.0, of_slopes.1
        );
        assert!(of_values.0 <= -100.0 && of_slopes.0 <= -100.0, "{activation}");
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let points: Vec<DoubleDouble> = sizes(1).iter().flat_map(|x| [*x, x.negated()]).collect();
    let bits = |(m, e): Pair| (m.hi.to_bits(), m.lo.to_bits(), e);
    for activation in Activation::ALL {
        let runs = Isa::available().into_iter().map(|isa| {
            let results = values_and_slopes(isa, activation, &points);
            results.into_iter().map(|(value, slope)| (bits(value), bits(slope))).collect::<Vec<_>>()
        });
        let runs: Vec<_> = runs.collect();
        assert!(runs.iter().all(|run| *run == runs[0]), "{activation}");
    }
}

#[test]
fn beside_the_roots_of_derivatives() {
    let oracle = Oracle::new();
    for (activation, near) in WITH_ROOT {
        // The root to 300 bits, by the secant method.
        let slope = |x: &Big| oracle.at(activation, x).1;
        let (mut a, mut b) = (big(near), big(near * (1.0 + 1e-9)));
        let (mut of_a, mut of_b) = (slope(&a), slope(&b));
        while log2_error(&a, &b) > -300.0 {
            let next = &b - &of_b * (&b - &a) / (&of_b - &of_a);
            (a, of_a) = (b, of_b);
            of_b = slope(&next);
            b = next;
        }
        let (mut worst, mut closest) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        for k in 1..=105 {
            for sign in [1.0, -1.0] {
                let x = &b + ((&b * big(sign)) >> k);
                let hi = x.to_f64().value();
                let x = DoubleDouble::new(hi, (&x - big(hi)).to_f64().value());
                let got = values_and_slopes(isa(), activation, &[x])[0].1;
                let x = big_of(x);
                let error = log2_error(&exact(got), &slope(&x));
                if k <= 60 {
                    worst = worst.max(error);
                } else {
                    closest = closest.max(error + log2_error(&x, &b));
                }
            }
        }
        println!(
            "{activation}: derivative 2^{worst:.1}, 2^{closest:.1} over the distance, beside {}",
            b.to_f64().value()
        );
        assert!(worst <= -100.0 && closest <= -155.0, "{activation}: 2^{worst}, 2^{closest}");
    }
}

#[test]
fn derivatives_are_limits_of_differences() {
    let oracle = Oracle::new();
    let mut draws = Draws(11);
    for activation in Activation::ALL {
        let (mut worst, mut of_oracle) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        for i in 0..120 {
            // Values near 1 or -1 hide the differences far out; where the value itself falls, they are seen as far as one likes.
            let size = if i < 80 { 8.0 } else { 1000.0 };
            let x = size * (2.0 * draws.unit() - 1.0);
            let falls = [Activation::Gelu, Activation::GeluTanh, Activation::Silu, Activation::Softplus];
            if x.abs() > 8.0 && !falls.contains(&activation) {
                continue;
            }
            let x = draws.with_low_part(x);
            let got = values_and_slopes(isa(), activation, &[x])[0].1;
            let x = big_of(x);
            let step = (if x < Big::ZERO { -&x } else { x.clone() }) >> 120;
            let difference = oracle.at(activation, &(&x + &step)).0 - oracle.at(activation, &(&x - &step)).0;
            let quotient = difference / (step * big(2.0));
            let slope = oracle.at(activation, &x).1;
            if quotient == Big::ZERO {
                assert!(slope == Big::ZERO && got.0.hi == 0.0, "{activation} at {x}");
                continue;
            }
            of_oracle = of_oracle.max(log2_error(&slope, &quotient));
            worst = worst.max(log2_error(&exact(got), &quotient));
        }
        println!("{activation}: reference 2^{worst:.1}, oracle 2^{of_oracle:.1} beside differences");
        assert!(worst <= -95.0 && of_oracle <= -120.0, "{activation}");
    }
}

/// The two ways to erfc of the oracle, where they meet.
#[test]
fn the_oracle_agrees_with_itself() {
    let oracle = Oracle::new();
    for i in -10..=10 {
        let s = big(SERIES_UP_TO + f64::from(i) * 0.09);
        let error = log2_error(&oracle.scaled_erfc_by_series(&s), &oracle.scaled_erfc_by_fraction(&s));
        assert!(error <= -380.0, "2^{error} at {s}");
    }
}

/// The nearest f64 number to `m · 2^e`. The conversion of the oracle's numbers rounds twice where the result is subnormal: its neighbours decide.
fn rounded((m, e): Pair) -> f64 {
    if m.hi == 0.0 || !m.hi.is_finite() {
        return m.hi;
    }
    let exact = exact((m, e));
    let near = exact.to_f64().value();
    if !near.is_finite() || near.is_normal() {
        return near;
    }
    let distance = |x: f64| if exact > big(x) { &exact - big(x) } else { big(x) - &exact };
    let nearer = |best, x| if distance(x) < distance(best) { x } else { best };
    let nearest = [near.next_down(), near.next_up()].into_iter().fold(near, nearer);
    f64::copysign(nearest, m.hi)
}

#[test]
fn correctly_rounded_results() {
    let read =
        |path: &str| std::fs::read(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).expect("the data");
    let own = read("tests/data/activation_points.safetensors");
    let of_activations = read("../activations/tests/data/points.safetensors");
    for (data, functions) in [
        (own, vec!["gelu", "dgelu", "gelu_tanh", "dgelu_tanh", "silu", "dsilu", "softplus", "elu"]),
        (of_activations, vec!["sigmoid", "dsigmoid", "tanh", "dtanh"]),
    ] {
        let file = SafeTensors::deserialize(&data).expect("safetensors");
        for function in functions {
            let (x, y) =
                (floats(&file, &format!("f64.{function}.x")), floats(&file, &format!("f64.{function}.y")));
            let name = function.strip_prefix('d').unwrap_or(function).replace('_', "-");
            let activation = name.parse().expect("a known activation");
            let points: Vec<DoubleDouble> = x.iter().copied().map(DoubleDouble::from).collect();
            assert_eq!(points.len(), 4096);
            for ((x, y), (value, slope)) in x.iter().zip(y).zip(values_and_slopes(isa(), activation, &points))
            {
                let got = rounded(if function.starts_with('d') { slope } else { value });
                assert!(
                    got.to_bits() == y.to_bits() || got.is_nan() && y.is_nan(),
                    "{function}({x:e}): {got:e}, not {y:e}"
                );
            }
        }
    }
}

#[test]
fn edges() {
    let value = |activation, x| rounded(at(activation, x).0);
    let slope = |activation, x| rounded(at(activation, x).1);
    let infinity = f64::INFINITY;
    for activation in Activation::ALL {
        assert!(value(activation, f64::NAN).is_nan(), "{activation}");
        assert_eq!(slope(activation, f64::NAN).is_nan(), activation != Activation::Identity, "{activation}");
        let limits = [
            value(activation, infinity),
            slope(activation, infinity),
            value(activation, -infinity),
            slope(activation, -infinity),
        ];
        let scale = 1.0507009873554805;
        let (wanted, at_zero) = match activation {
            Activation::Identity => ([infinity, 1.0, -infinity, 1.0], (0.0, 1.0)),
            Activation::Relu => ([infinity, 1.0, 0.0, 0.0], (0.0, 0.0)),
            Activation::LeakyRelu => ([infinity, 1.0, -infinity, 0.01], (0.0, 0.01)),
            Activation::HardTanh => ([1.0, 0.0, -1.0, 0.0], (0.0, 1.0)),
            Activation::Sigmoid => ([1.0, 0.0, 0.0, 0.0], (0.5, 0.25)),
            Activation::Tanh => ([1.0, 0.0, -1.0, 0.0], (0.0, 1.0)),
            Activation::Elu => ([infinity, 1.0, -1.0, 0.0], (0.0, 1.0)),
            Activation::Selu => ([infinity, scale, -1.7580993408473769, 0.0], (0.0, 1.7580993408473769)),
            Activation::Gelu | Activation::GeluTanh | Activation::Silu => {
                ([infinity, 1.0, 0.0, 0.0], (0.0, 0.5))
            }
            Activation::Softplus => ([infinity, 1.0, 0.0, 0.0], (LN_2, 0.5)),
            Activation::Erf => ([1.0, 0.0, -1.0, 0.0], (0.0, FRAC_2_SQRT_PI)),
        };
        assert_eq!(limits, wanted, "{activation}");
        for zero in [0.0, -0.0] {
            assert_eq!((value(activation, zero), slope(activation, zero)), at_zero, "{activation}");
            if at_zero.0 == 0.0 && activation != Activation::Relu {
                assert_eq!(value(activation, zero).to_bits(), zero.to_bits(), "{activation}");
            }
        }
    }
    // The low part decides beside 1, and the kinks have the slope of their outer side.
    let hard_tanh = |hi, lo| {
        let (value, slope) = values_and_slopes(isa(), Activation::HardTanh, &[DoubleDouble { hi, lo }])[0];
        (exact(value) == big_of(DoubleDouble { hi, lo }), slope.0.hi)
    };
    assert_eq!((hard_tanh(1.0, -1e-20), hard_tanh(-1.0, 1e-20)), ((true, 1.0), (true, 1.0)));
    assert_eq!((hard_tanh(1.0, 0.0), hard_tanh(-1.0, 0.0)), ((true, 0.0), (true, 0.0)));
    assert_eq!((hard_tanh(1.0, 1e-20), hard_tanh(1.5, 0.0)), ((false, 0.0), (false, 0.0)));
    // A number with an exponent of its own, far below f64.
    let (m, e) = at(Activation::Gelu, -1000.0).1;
    assert!(m.hi < 0.0 && e < -700_000, "{m:?} 2^{e}");
    assert_eq!(at(Activation::Gelu, -libm::sqrt(2.0 * VANISHED) * 1.001).1.0.hi, 0.0);
    assert!(at(Activation::Gelu, -libm::sqrt(2.0 * VANISHED) * 0.999).1.0.hi < 0.0);
}
