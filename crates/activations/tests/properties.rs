//! What holds of every function: the same bits on every instruction set and at every length, limits, signs of zeros, NaN, symmetry, order, and
//! where results become 1, subnormal and 0.

use gradchain_activations::{
    Activation, Activations, Path, Vectorized, apply, backpropagate_slice, derivative, derivative_slice,
    value,
};
use gradchain_arith::{Arithmetic, Emulated, Format, Isa, Native, Real, Rounding, Rules, bf16, f16, philox};

fn native<T>() -> Native<T> {
    Native::new(Isa::choose().unwrap())
}

/// Bits for comparing: NaN as one value.
fn bits(x: f64) -> u64 {
    if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() }
}

fn value_at<T: Vectorized>(activation: Activation, x: f64) -> f64 {
    value(&native::<T>(), activation, T::round_from(x)).value()
}

fn slope_at<T: Vectorized>(activation: Activation, x: f64) -> f64 {
    let x = T::round_from(x);
    derivative(&native::<T>(), activation, Path::Fused, x, x).value()
}

/// Numbers of all sizes, most of them where the functions bend, and the special ones.
fn inputs<T: Vectorized>(seed: u64, n: usize) -> Vec<T> {
    let draw = |i: usize| {
        let [a, b] = philox(seed, 1, i as u64);
        let unit = a as f64 / 2.0_f64.powi(64);
        let x = match b % 8 {
            0 => f64::from_bits(a),
            1 => f64::from(f32::from_bits(a as u32)),
            2 => [0.0, f64::INFINITY, f64::NAN, T::FORMAT.min_subnormal()][a as usize % 4],
            3 => 200.0 * unit,
            4 => 2.0_f64.powi(-((b >> 8) as i32 % 40)) * unit,
            _ => 8.0 * unit,
        };
        T::round_from(if b >> 32 & 1 == 0 { x } else { -x })
    };
    (0..n).map(draw).collect()
}

/// Value, slope, the product with an upstream gradient rounded once, and the product rounded twice.
fn all_works<T: Vectorized>(arith: &Native<T>, activation: Activation, x: &[T], g: &[T]) -> Vec<u64> {
    let mut results = Vec::new();
    let mut out = x.to_vec();
    apply(arith, activation, x, &mut out);
    results.extend(out.iter().map(|y| bits(y.value())));
    derivative_slice(arith, activation, Path::Fused, x, x, &mut out);
    results.extend(out.iter().map(|y| bits(y.value())));
    for path in [Path::Fused, Path::Multiplied] {
        let mut gradient = g.to_vec();
        backpropagate_slice(arith, activation, path, &mut gradient, x, x);
        results.extend(gradient.iter().map(|y| bits(y.value())));
    }
    results
}

/// Instruction sets, lengths, places in memory and scalars do not matter.
#[test]
fn every_instruction_set_and_length_has_the_same_bits() {
    fn check<T: Vectorized>() {
        let (x, g) = (inputs::<T>(1, 4000), inputs::<T>(2, 4000));
        for activation in Activation::ALL {
            let expected = all_works(&Native::new(Isa::PORTABLE), activation, &x, &g);
            for isa in Isa::available() {
                let arith = Native::<T>::new(isa);
                assert!(all_works(&arith, activation, &x, &g) == expected, "{isa} {} {activation}", T::NAME);
                for length in 0..=70 {
                    let start = length * 3;
                    let (x, g) = (&x[start..start + length], &g[start..start + length]);
                    let got = all_works(&arith, activation, x, g);
                    for (work, got) in got.chunks(length.max(1)).enumerate() {
                        let expected = &expected[4000 * work + start..][..length];
                        assert_eq!(got, expected, "{isa} {} {activation} {length}", T::NAME);
                    }
                }
            }
            let arith = native::<T>();
            for i in 0..200 {
                let slope = arith.accurate_slope(activation, x[i]);
                let scalars = [
                    value(&arith, activation, x[i]),
                    slope,
                    arith.accurate_pull(activation, g[i], x[i]),
                    arith.mul(g[i], slope),
                ];
                for (work, scalar) in scalars.into_iter().enumerate() {
                    assert_eq!(bits(scalar.value()), expected[4000 * work + i], "{} {activation}", T::NAME);
                }
            }
        }
    }
    check::<f16>();
    check::<bf16>();
    check::<f32>();
    check::<f64>();
}

/// The emulated arithmetic of a stored format has the bits of the native one, products included.
#[test]
fn emulated_equals_native() {
    fn check<T: Vectorized>() {
        let (native, emulated) = (native::<T>(), Emulated::new(T::FORMAT, Rules::default(), 0));
        let (x, g) = (inputs::<T>(3, 400), inputs::<T>(4, 400));
        for activation in Activation::ALL {
            for (&x, &g) in x.iter().zip(&g) {
                let of = (native.accurate_value(activation, x), native.accurate_pull(activation, g, x));
                let same = (
                    emulated.accurate_value(activation, x.value()),
                    emulated.accurate_pull(activation, g.value(), x.value()),
                );
                assert_eq!(bits(of.0.value()), bits(same.0), "{} {activation}({x:?})", T::NAME);
                assert_eq!(bits(of.1.value()), bits(same.1), "{} {g:?} {activation}'({x:?})", T::NAME);
            }
        }
    }
    check::<f16>();
    check::<bf16>();
    check::<f32>();
    check::<f64>();
}

/// A format that nothing computes in: the accurate f64 rounded once, in every direction to one of the neighbours.
#[test]
fn small_formats_round_the_accurate_value_once() {
    for format in [Format::E4M3, Format::E5M2, Format::TF32] {
        let nearest = Emulated::new(format, Rules::default(), 0);
        let [up, down] = [Rounding::Up, Rounding::Down]
            .map(|rounding| Emulated::new(format, Rules { rounding, ..Rules::default() }, 0));
        for activation in Activation::ALL {
            for x in inputs::<f64>(5, 300).into_iter().map(|x| nearest.round(x)).filter(|x| x.is_finite()) {
                let close = native::<f64>().accurate_slope(activation, x);
                let [n, u, d] = [&nearest, &up, &down].map(|arith| arith.accurate_slope(activation, x));
                assert_eq!(bits(n), bits(nearest.round(close)), "{format} {activation} {x}");
                assert!(d <= n && n <= u && (n == d || n == u), "{format} {activation} {x}: {d} {n} {u}");
            }
        }
    }
}

/// Limits at ±∞, signs of zeros, NaN.
#[test]
fn special_inputs() {
    fn check<T: Vectorized>() {
        let inf = f64::INFINITY;
        let constant = |x: f64| T::round_from(x).value();
        let (lambda, lambda_alpha, leak) =
            (constant(1.0507009873554805), constant(1.7580993408473768), constant(0.01));
        // Values at -∞, ∞, and whether f(±0) = ±0 (else the value there); slopes at -∞, ∞, 0.
        let table = [
            (Activation::Identity, [-inf, inf], None, [1.0, 1.0, 1.0]),
            (Activation::Sigmoid, [0.0, 1.0], Some(0.5), [0.0, 0.0, 0.25]),
            (Activation::Relu, [0.0, inf], Some(0.0), [0.0, 1.0, 0.0]),
            (Activation::Tanh, [-1.0, 1.0], None, [0.0, 0.0, 1.0]),
            (Activation::LeakyRelu, [-inf, inf], None, [leak, 1.0, leak]),
            (Activation::Elu, [-1.0, inf], None, [0.0, 1.0, 1.0]),
            (Activation::Selu, [-lambda_alpha, inf], None, [0.0, lambda, lambda_alpha]),
            (Activation::Gelu, [-0.0, inf], None, [-0.0, 1.0, 0.5]),
            (Activation::GeluTanh, [-0.0, inf], None, [-0.0, 1.0, 0.5]),
            (Activation::Silu, [-0.0, inf], None, [-0.0, 1.0, 0.5]),
            (Activation::Softplus, [0.0, inf], Some(constant(std::f64::consts::LN_2)), [0.0, 1.0, 0.5]),
            (Activation::Erf, [-1.0, 1.0], None, [0.0, 0.0, constant(std::f64::consts::FRAC_2_SQRT_PI)]),
            (Activation::HardTanh, [-1.0, 1.0], None, [0.0, 0.0, 1.0]),
        ];
        assert_eq!(table.map(|row| row.0), Activation::ALL);
        for (activation, [left, right], at_zero, [slope_left, slope_right, slope_zero]) in table {
            let f = |x| bits(value_at::<T>(activation, x));
            let slope = |x| bits(slope_at::<T>(activation, x));
            let name = format!("{} {activation}", T::NAME);
            assert_eq!((f(-inf), f(inf)), (bits(left), bits(right)), "{name} at infinity");
            assert_eq!(
                (f(0.0), f(-0.0)),
                (bits(at_zero.unwrap_or(0.0)), bits(at_zero.unwrap_or(-0.0))),
                "{name} at 0"
            );
            assert_eq!(
                (slope(-inf), slope(inf)),
                (bits(slope_left), bits(slope_right)),
                "{name}' at infinity"
            );
            assert_eq!((slope(0.0), slope(-0.0)), (bits(slope_zero), bits(slope_zero)), "{name}' at 0");
            assert!(value_at::<T>(activation, f64::NAN).is_nan(), "{name} of NaN");
            assert_eq!(slope_at::<T>(activation, f64::NAN).is_nan(), activation != Activation::Identity);
            // The greatest numbers are no different from what is a little less.
            let max = T::FORMAT.max();
            assert_eq!(slope(max), bits(slope_right), "{name}' at the greatest number");
            let near = value_at::<T>(activation, max);
            let expected =
                if right == inf { if activation == Activation::Selu { inf } else { max } } else { right };
            assert_eq!(near, expected, "{name} of the greatest number");
        }
    }
    check::<f16>();
    check::<bf16>();
    check::<f32>();
    check::<f64>();
}

/// σ'(x) and σ'(-x), tanh' and erf' have the same bits; tanh, erf and hard tanh change sign with x.
#[test]
fn symmetric_functions_are_symmetric() {
    fn check<T: Vectorized>() {
        for x in inputs::<T>(6, 4000).into_iter().map(T::value).filter(|x| !x.is_nan()) {
            for activation in [Activation::Sigmoid, Activation::Tanh, Activation::Erf, Activation::HardTanh] {
                let (a, b) = (slope_at::<T>(activation, x), slope_at::<T>(activation, -x));
                assert_eq!(a.to_bits(), b.to_bits(), "{} {activation}'({x})", T::NAME);
            }
            for activation in [Activation::Tanh, Activation::Erf, Activation::HardTanh] {
                let (a, b) = (value_at::<T>(activation, x), value_at::<T>(activation, -x));
                assert_eq!(a.to_bits(), (-b).to_bits(), "{} {activation}({x})", T::NAME);
            }
        }
    }
    check::<f16>();
    check::<bf16>();
    check::<f32>();
    check::<f64>();
}

/// On all numbers of the 16-bit formats in order each function rises where the true one does; where it has a minimum, it falls before.
#[test]
fn order_is_kept() {
    fn check<T: Vectorized>(from_bits: fn(u16) -> T, infinity: u16) {
        let x: Vec<T> = (0..=infinity)
            .rev()
            .map(|b| from_bits(b | 0x8000))
            .chain((0..=infinity).map(from_bits))
            .collect();
        for activation in Activation::ALL {
            let minimum = [
                (Activation::Gelu, -0.751_791_5),
                (Activation::GeluTanh, -0.752_461_4),
                (Activation::Silu, -1.278_464_5),
            ];
            let minimum = minimum.iter().find(|(known, _)| *known == activation);
            let minimum = minimum.map_or(f64::NEG_INFINITY, |(_, x)| *x);
            let mut y = x.clone();
            apply(&native::<T>(), activation, &x, &mut y);
            for i in 1..x.len() {
                let (before, after) = (y[i - 1].value(), y[i].value());
                let right = if x[i - 1].value() >= minimum {
                    before <= after
                } else {
                    x[i].value() >= minimum || before >= after
                };
                assert!(right, "{} {activation}: {before} at {:?}, {after} at {:?}", T::NAME, x[i - 1], x[i]);
            }
        }
    }
    check(f16::from_bits, 0x7c00);
    check(bf16::from_bits, 0x7f80);
}

/// Where results become 1, subnormal and 0: from the committed figures outward, not before.
#[test]
fn edges() {
    fn check<T: Vectorized>(figures: &serde_json::Value) {
        let outward = |x: f64, up: bool| {
            // The neighbour of x in the format, away from 0 or toward it.
            let places = libm::log2(x.abs()).floor() as i32 - T::FORMAT.precision() as i32 + 1;
            let ulp = f64::powi(2.0, places).copysign(x);
            T::round_from(if up { x + ulp } else { x - ulp }).value()
        };
        for (name, x) in figures[T::NAME].as_object().unwrap() {
            let x = x.as_f64().unwrap();
            let (function, edge) =
                ["_eq_1_from", "_eq_0_from", "_eq_0_up_to", "_subnormal_from", "_subnormal_below"]
                    .iter()
                    .find_map(|edge| Some((name.strip_suffix(edge)?, *edge)))
                    .unwrap();
            let (slope, function) = match function.strip_prefix('d') {
                Some(function) => (true, function),
                None => (false, function),
            };
            let activation: Activation = function.replace('_', "-").parse().unwrap();
            let at = |x: f64| if slope { slope_at::<T>(activation, x) } else { value_at::<T>(activation, x) };
            let holds = |y: f64| match edge {
                "_eq_1_from" => y == 1.0,
                "_eq_0_from" | "_eq_0_up_to" => y == 0.0,
                _ => y.abs() < T::FORMAT.min_normal(),
            };
            let (here, inside, beyond) = (at(x), at(outward(x, false)), at(outward(x, true)));
            // "Below" names the last number that is normal, or the first that is not.
            let begins = edge == "_subnormal_below" || holds(here);
            assert!(
                begins && !holds(inside) && holds(beyond),
                "{} {name} {x}: {inside} {here} {beyond}",
                T::NAME
            );
        }
    }
    let path = format!("{}/tests/data/edges.json", env!("CARGO_MANIFEST_DIR"));
    let figures = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    check::<f16>(&figures);
    check::<bf16>(&figures);
    check::<f32>(&figures);
    check::<f64>(&figures);
}

#[test]
#[should_panic(expected = "the path `output` is not defined for `gelu`")]
fn undefined_paths_are_refused() {
    let _ = derivative(&native::<f32>(), Activation::Gelu, Path::Output, 1.0, 1.0);
}

/// At a kink the paths differ, and nowhere else.
#[test]
fn slopes_at_kinks() {
    let arith = native::<f64>();
    let at = |activation, path, x: f64| derivative(&arith, activation, path, x, x);
    for (activation, x, [default, one, half]) in [
        (Activation::Relu, 0.0, [0.0, 1.0, 0.5]),
        (Activation::Relu, -0.0, [0.0, 1.0, 0.5]),
        (Activation::LeakyRelu, 0.0, [0.01, 1.0, 0.505]),
        (Activation::HardTanh, 1.0, [0.0, 1.0, 0.5]),
        (Activation::HardTanh, -1.0, [0.0, 1.0, 0.5]),
        (Activation::Selu, 0.0, [1.7580993408473768, 1.0507009873554805, 1.4044001641014287]),
        (Activation::Elu, 0.0, [1.0, 1.0, 1.0]),
        (Activation::Relu, 5e-324, [1.0, 1.0, 1.0]),
    ] {
        for (path, expected) in [(Path::Fused, default), (Path::SlopeOne, one), (Path::SlopeHalf, half)] {
            assert_eq!(at(activation, path, x), expected, "{activation} {path} {x}");
        }
    }
    // Masked or multiplied: what an inactive unit makes of infinity.
    let pull =
        |path| gradchain_activations::backpropagate(&arith, Activation::Relu, path, f64::INFINITY, -1.0, 0.0);
    assert_eq!(pull(Path::Fused).to_bits(), 0);
    assert!(pull(Path::Multiplied).is_nan());
}

/// A slope may be far below the least number of the format where its product with a large gradient is not: it is not rounded before. The
/// exponentials are taken in halves, so that the expected products do not underflow either.
#[test]
fn products_do_not_underflow_on_the_way() {
    let arith = native::<f64>();
    let g = f64::powi(2.0, 1020);
    let halves = |exponent: f64| (g * libm::exp(exponent / 2.0)) * libm::exp(exponent / 2.0);
    let inverse_root = 0.398_942_280_401_432_7;
    // The leading term of each tail; the next is smaller by the last factor.
    let cubic = |x: f64| 1.5957691216057308 * x * (1.0 + 0.044715 * x * x);
    let bend = |x: f64| 1.5957691216057308 * x * (1.0 + 3.0 * 0.044715 * x * x);
    for (activation, x, expected, rest) in [
        (Activation::Sigmoid, -1000.0, halves(-1000.0), 1e-13),
        (Activation::Sigmoid, 1000.0, halves(-1000.0), 1e-13),
        (Activation::Tanh, -600.0, 4.0 * halves(-1200.0), 1e-13),
        (Activation::Softplus, -1300.0, halves(-1300.0), 1e-13),
        (Activation::Elu, -900.0, halves(-900.0), 1e-13),
        (Activation::Selu, -900.0, 1.7580993408473768 * halves(-900.0), 1e-13),
        (Activation::Silu, -1000.0, -999.0 * halves(-1000.0), 1e-13),
        (Activation::Erf, 33.0, std::f64::consts::FRAC_2_SQRT_PI * halves(-1089.0), 1e-12),
        (Activation::Gelu, -45.0, -45.0 * inverse_root * halves(-45.0 * 45.0 / 2.0), 1e-3),
        (Activation::GeluTanh, -24.0, (1.0 - bend(24.0)) * halves(-cubic(24.0)), 1e-10),
    ] {
        let got = arith.accurate_pull(activation, g, x);
        assert!((got / expected - 1.0).abs() < rest, "{activation} {x}: {got:e}, not {expected:e}");
        // At infinity the slope is 0, and so is the product, of the sign that the slope has.
        let limit = arith.accurate_pull(activation, g, f64::INFINITY.copysign(x));
        assert_eq!(limit, 0.0, "{activation} at infinity");
        assert!(arith.accurate_pull(activation, f64::INFINITY, f64::INFINITY.copysign(x)).is_nan());
    }
    // The greatest gradients, and subnormal ones.
    for g in [f64::MAX, 1e-310, 5e-324, -f64::MAX] {
        assert_eq!(arith.accurate_pull(Activation::Sigmoid, g, 0.0), g / 4.0);
        assert_eq!(arith.accurate_pull(Activation::Tanh, g, 0.0), g);
        assert_eq!(arith.accurate_pull(Activation::Silu, g, 100.0), g);
    }
}

/// Leaky ReLU is x / 100, rounded once, of every 16-bit number, and in f32 and f64 of numbers of all sizes and of those whose quotients are midpoints:
/// a division, which is not how it is computed, is the oracle. So is its product with a gradient.
#[test]
fn leaky_relu_divides_by_a_hundred() {
    fn check<T: Vectorized>(x: &[T], hundredth: impl Fn(T) -> T) {
        for isa in Isa::available() {
            let arith = Native::<T>::new(isa);
            let (mut y, mut gradient) = (x.to_vec(), x.to_vec());
            apply(&arith, Activation::LeakyRelu, x, &mut y);
            let left = vec![T::round_from(-1.0); x.len()];
            backpropagate_slice(&arith, Activation::LeakyRelu, Path::Fused, &mut gradient, &left, &left);
            for ((&x, y), gradient) in x.iter().zip(y).zip(gradient) {
                let expected = if x.value() > 0.0 { x } else { hundredth(x) };
                assert_eq!(bits(y.value()), bits(expected.value()), "{} {isa} {x:?}", T::NAME);
                assert_eq!(bits(gradient.value()), bits(hundredth(x).value()), "{} {isa} {x:?}", T::NAME);
            }
        }
    }
    // The f64 quotient is rounded to 53 bits first; midpoints of 16-bit numbers are farther from other quotients than that, or equal to it.
    let short: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
    check(&short, |x| f16::round_from(x.value() / 100.0));
    let short: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
    check(&short, |x| bf16::round_from(x.value() / 100.0));
    let mut single = inputs::<f32>(7, 100_000);
    single.extend((0..100_000).map(|i| -f32::from_bits(25 * i)));
    check(&single, |x| x / 100.0);
    let mut double = inputs::<f64>(8, 100_000);
    double.extend((0..100_000).map(|i| -f64::from_bits(25 * i)));
    check(&double, |x| x / 100.0);
}
