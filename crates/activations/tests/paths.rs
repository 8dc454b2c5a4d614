//! The error of each derivative path over every input, and the edge cases of values, slopes and gradients.

use gradchain_activations::{
    Activation, Path, Vectorized, apply, backpropagate, backpropagate_slice, derivative, derivative_slice,
    value,
};
use gradchain_arith::{Arithmetic, Emulated, Format, Isa, Native, Real, Rounding, Rules, bf16, f16};

/// The true slope in f64, here `e / (1 + e)²` with another exponential: its error is nothing in a 16-bit ulp.
fn true_sigmoid_slope(x: f64) -> f64 {
    let e = libm::exp(-x.abs());
    e / ((1.0 + e) * (1.0 + e))
}

/// What a path gets wrong.
#[derive(Debug, PartialEq)]
struct Errors {
    /// Largest error, in hundredths of an ulp of the true value, rounded up.
    centi_ulp: u32,
    /// Zeros where the true value rounds to another number, and those of them where it is a normal one.
    zeros: u32,
    normal_zeros: u32,
    /// Results that are not the correctly rounded ones.
    not_rounded: u32,
}

/// The errors of `path` of the sigmoid over the numbers of one sign below 120.
fn errors<T: Vectorized>(from_bits: fn(u16) -> T, path: Path, positive: bool) -> Errors {
    let arith = Native::<T>::new(Isa::PORTABLE);
    let mut found = Errors { centi_ulp: 0, zeros: 0, normal_zeros: 0, not_rounded: 0 };
    let mut worst: f64 = 0.0;
    for x in (0..0x8000).map(|bits| from_bits(bits | if positive { 0 } else { 0x8000 })) {
        if !(x.value() != 0.0 && x.value().abs() < 120.0) {
            continue;
        }
        let exact = true_sigmoid_slope(x.value());
        let y = value(&arith, Activation::Sigmoid, x);
        let got = derivative(&arith, Activation::Sigmoid, path, x, y).value();
        let rounded = arith.round(exact).value();
        let leading = (((exact.to_bits() >> 52) & 0x7ff) as i32 - 1023).max(T::FORMAT.emin());
        worst = worst.max((got - exact).abs() / f64::powi(2.0, leading - T::FORMAT.precision() as i32 + 1));
        let lost = got == 0.0 && rounded != 0.0;
        found.zeros += u32::from(lost);
        found.normal_zeros += u32::from(lost && exact >= T::FORMAT.min_normal());
        found.not_rounded += u32::from(got != rounded);
    }
    found.centi_ulp = (worst * 100.0).round() as u32;
    println!("{} {path}, x {} 0: {worst:.5} ulp, {found:?}", T::NAME, if positive { '>' } else { '<' });
    found
}

/// What each path of the sigmoid costs (C1).
#[test]
fn figures_of_the_paths() {
    let expect = |found: Errors, centi_ulp, zeros, normal_zeros, not_rounded| {
        assert_eq!(found, Errors { centi_ulp, zeros, normal_zeros, not_rounded });
    };
    let (f, b) = (f16::from_bits, bf16::from_bits);
    expect(errors(f, Path::Output, true), 204180, 1069, 178, 4492);
    expect(errors(b, Path::Output, true), 25580, 498, 487, 860);
    expect(errors(f, Path::Output, false), 150, 0, 0, 5685);
    expect(errors(b, Path::Output, false), 148, 0, 0, 567);
    for positive in [true, false] {
        expect(errors(f, Path::Symmetric, positive), 159, 0, 0, 5708);
        expect(errors(b, Path::Symmetric, positive), 170, 0, 0, 563);
        expect(errors(f, Path::Fused, positive), 50, 0, 0, 0);
        expect(errors(b, Path::Fused, positive), 50, 0, 0, 0);
    }
    // These two rest on the last bit of the f32 exponential: with that of each e^-x moved down, f16 has 580 results that are not correctly
    // rounded, moved up 581.
    expect(errors(f, Path::Input, true), 142, 45, 0, 582);
    expect(errors(b, Path::Input, true), 25571, 308, 297, 389);
}

fn native<T: Vectorized>() -> Native<T> {
    Native::new(Isa::PORTABLE)
}

/// C2 on all paths: limits, zero, NaN.
fn check_special<T: Vectorized>() {
    let arith = native::<T>();
    let evaluate = |activation, path, x: f64| {
        let x = arith.round(x);
        let y = value(&arith, activation, x);
        (y.value(), derivative(&arith, activation, path, x, y).value())
    };
    let same = |(y, d): (f64, f64), (ey, ed): (f64, f64)| {
        assert!(
            y.to_bits() == ey.to_bits() && d.to_bits() == ed.to_bits(),
            "{}: {y} {d}, not {ey} {ed}",
            T::NAME
        );
    };
    let infinity = f64::INFINITY;
    for path in Path::ALL {
        let [sigmoid, tanh, relu, identity] =
            [Activation::Sigmoid, Activation::Tanh, Activation::Relu, Activation::Identity]
                .map(|activation| move |x: f64| evaluate(activation, path, x));
        same(sigmoid(0.0), (0.5, 0.25));
        same(sigmoid(-0.0), (0.5, 0.25));
        same(sigmoid(infinity), (1.0, 0.0));
        same(sigmoid(-infinity), (0.0, 0.0));
        same(tanh(0.0), (0.0, 1.0));
        same(tanh(-0.0), (-0.0, 1.0));
        same(tanh(infinity), (1.0, 0.0));
        same(tanh(-infinity), (-1.0, 0.0));
        // C6 and C8: the least subnormal number is active, zeros of both signs are not.
        let least = T::FORMAT.min_subnormal();
        let slopes_at_kink = [(Path::SlopeOne, 1.0), (Path::SlopeHalf, 0.5)];
        let at_kink =
            slopes_at_kink.iter().find(|(named, _)| *named == path).map_or(0.0, |(_, slope)| *slope);
        same(relu(0.0), (0.0, at_kink));
        same(relu(-0.0), (0.0, at_kink));
        same(relu(-least), (0.0, 0.0));
        same(relu(least), (least, 1.0));
        same(relu(infinity), (infinity, 1.0));
        same(relu(-infinity), (0.0, 0.0));
        same(identity(-0.0), (-0.0, 1.0));
        for (y, d) in [sigmoid(f64::NAN), tanh(f64::NAN), relu(f64::NAN)] {
            assert!(y.is_nan() && d.is_nan(), "{} {path}", T::NAME);
        }
        let (y, d) = identity(f64::NAN);
        assert!(y.is_nan() && d == 1.0);
    }
}

#[test]
fn special_inputs() {
    check_special::<f16>();
    check_special::<bf16>();
    check_special::<f32>();
    check_special::<f64>();
}

/// C3: bitwise even slopes.
#[test]
fn slopes_are_even() {
    fn check<T: Vectorized>(xs: impl Iterator<Item = f64>) {
        let arith = native::<T>();
        for x in xs {
            for activation in [Activation::Sigmoid, Activation::Tanh] {
                for path in [Path::Symmetric, Path::Fused] {
                    let [a, b] = [x, -x].map(|x| {
                        let x = arith.round(x);
                        derivative(&arith, activation, path, x, value(&arith, activation, x)).value()
                    });
                    assert!(a.to_bits() == b.to_bits(), "{} {activation} {path} {x}: {a} {b}", T::NAME);
                }
            }
        }
    }
    check::<f16>((0..0x7c00).map(|bits| f16::from_bits(bits).value()));
    check::<bf16>((0..0x7f80).map(|bits| bf16::from_bits(bits).value()));
    check::<f32>((0..4000).map(|i| f64::from(i) * 0.031));
    check::<f64>((0..4000).map(|i| f64::from(i) * 0.211));
}

/// C4: where f16 and the other formats lose the sigmoid, and where they saturate.
#[test]
fn thresholds() {
    let sigmoid = |x: f64| value(&native::<f16>(), Activation::Sigmoid, f16::round_from(x)).value();
    assert_eq!(sigmoid(-11.09375), 255.0 * f64::powi(2.0, -24));
    assert_eq!(sigmoid(-17.328125), f64::powi(2.0, -24));
    assert_eq!(sigmoid(-17.34375), 0.0);
    fn one_from<T: Vectorized>(activation: Activation, x: f64, below: f64) {
        let arith = native::<T>();
        let at = |x: f64| value(&arith, activation, arith.round(x)).value();
        assert!(at(x) == 1.0 && at(below) < 1.0, "{} {activation} {x}", T::NAME);
    }
    one_from::<f16>(Activation::Sigmoid, 8.3203125, 8.3125);
    one_from::<bf16>(Activation::Sigmoid, 6.25, 6.21875);
    one_from::<f32>(Activation::Sigmoid, 17.32868003845215, 17.328678131103516);
    one_from::<f64>(Activation::Sigmoid, 37.42994775023705, 37.42994775023704);
    one_from::<f16>(Activation::Tanh, 4.5078125, 4.50390625);
    one_from::<bf16>(Activation::Tanh, 3.46875, 3.453125);
    one_from::<f32>(Activation::Tanh, 9.010913848876953, 9.010912895202637);
    one_from::<f64>(Activation::Tanh, 19.061547465398498, 19.061547465398494);
    fn slope_zero_from<T: Vectorized>(activation: Activation, x: f64, below: f64) {
        let arith = native::<T>();
        let at =
            |x: f64| derivative(&arith, activation, Path::Fused, arith.round(x), arith.round(1.0)).value();
        assert!(at(x) == 0.0 && at(below) == T::FORMAT.min_subnormal(), "{} {activation} {x}", T::NAME);
    }
    slope_zero_from::<f16>(Activation::Sigmoid, 17.34375, 17.328125);
    slope_zero_from::<bf16>(Activation::Sigmoid, 93.0, 92.5);
    slope_zero_from::<f32>(Activation::Sigmoid, 103.97208404541016, 103.97207641601562);
    slope_zero_from::<f64>(Activation::Sigmoid, 745.1332191019412, 745.1332191019411);
    slope_zero_from::<f16>(Activation::Tanh, 9.359375, 9.3515625);
    slope_zero_from::<bf16>(Activation::Tanh, 47.25, 47.0);
    slope_zero_from::<f32>(Activation::Tanh, 52.6791877746582, 52.67918395996094);
    slope_zero_from::<f64>(Activation::Tanh, 373.25975673153056, 373.2597567315305);
}

/// C7: the mask gives +0 whatever comes from above; the slope of the smooth functions is multiplied as IEEE says.
#[test]
fn inactive_units_hand_on_nothing() {
    let arith = native::<f16>();
    let [zero, minus, nan, infinity] = [0.0, -1.0, f64::NAN, f64::INFINITY].map(f16::round_from);
    let gradient = |activation, upstream, x| {
        let y = value(&arith, activation, x);
        backpropagate(&arith, activation, Path::Output, upstream, x, y).value()
    };
    for upstream in [infinity, nan, minus] {
        for x in [zero, minus, f16::round_from(-0.0)] {
            assert_eq!(gradient(Activation::Relu, upstream, x).to_bits(), 0.0_f64.to_bits());
        }
        assert!(gradient(Activation::Relu, upstream, nan).is_nan());
    }
    assert_eq!(gradient(Activation::Relu, infinity, infinity), f64::INFINITY);
    assert!(gradient(Activation::Sigmoid, infinity, infinity).is_nan(), "0 times infinity");
    assert_eq!(gradient(Activation::Sigmoid, infinity, zero), f64::INFINITY);
}

/// C9: ReLU and the identity do not touch the gradients that they hand on, so that a chain of ReLU layers is the product of W^T on
/// the active units.
#[test]
fn active_units_hand_on_the_same_bits() {
    let arith = native::<bf16>();
    for bits in 0..=u16::MAX {
        let g = bf16::from_bits(bits);
        let x = bf16::round_from(0.5);
        for activation in [Activation::Relu, Activation::Identity] {
            let handed_on = backpropagate(&arith, activation, Path::Fused, g, x, x);
            assert_eq!(handed_on.to_bits(), bits);
        }
    }
}

/// C10: the slope is rounded before it is multiplied; the other order gives other bits, and underflows elsewhere.
#[test]
fn order_of_the_upstream_product() {
    let arith = native::<f16>();
    let x = f16::round_from(7.5);
    let g = f16::round_from(1e-4);
    let s = value(&arith, Activation::Sigmoid, x);
    let one_less = arith.sub(f16::round_from(1.0), s);
    let stated = arith.mul(g, arith.mul(s, one_less));
    assert_eq!(backpropagate(&arith, Activation::Sigmoid, Path::Output, g, x, s), stated);
    let differing = (0..0x4880).filter(|&bits| {
        let x = f16::from_bits(bits);
        let s = value(&arith, Activation::Sigmoid, x);
        let one_less = arith.sub(f16::round_from(1.0), s);
        arith.mul(g, arith.mul(s, one_less)) != arith.mul(arith.mul(g, s), one_less)
    });
    assert_eq!(differing.count(), 2540, "of 18560 inputs from 0 to 9");
}

/// Slices are the numbers one by one; under stochastic rounding element i takes stream i, in any order.
#[test]
fn slices_equal_scalars() {
    let rules = Rules { rounding: Rounding::Stochastic, ..Rules::default() };
    let arith = Emulated::new(Format::E5M2, rules, 7);
    let x: Vec<f64> = (0..64)
        .map(|i| Format::E5M2.min_normal() * f64::powi(2.0, i % 17) * [1.0, -1.5][i as usize % 2])
        .collect();
    for activation in Activation::ALL {
        let mut y = vec![0.0; x.len()];
        apply(&arith, activation, &x, &mut y);
        for path in Path::ALL.into_iter().filter(|path| path.is_defined_for(activation)) {
            let (mut gradient, mut slopes) = (vec![0.75; x.len()], vec![0.0; x.len()]);
            backpropagate_slice(&arith, activation, path, &mut gradient, &x, &y);
            derivative_slice(&arith, activation, path, &x, &y, &mut slopes);
            for i in (0..x.len()).rev() {
                let stream = arith.stream(i as u64);
                assert_eq!(y[i], value(&stream.clone(), activation, x[i]));
                let scalar = backpropagate(&stream.clone(), activation, path, 0.75, x[i], y[i]);
                assert_eq!(gradient[i].to_bits(), scalar.to_bits(), "{activation} {path} {}", x[i]);
                assert_eq!(slopes[i].to_bits(), derivative(&stream, activation, path, x[i], y[i]).to_bits());
            }
        }
    }
}

#[test]
#[should_panic(expected = "gradient of 2 numbers, 1 inputs, 2 outputs")]
fn shapes_must_match() {
    backpropagate_slice(
        &native::<f32>(),
        Activation::Relu,
        Path::Output,
        &mut [0.0; 2],
        &[0.0; 1],
        &[0.0; 2],
    );
}

#[test]
fn names() {
    for activation in Activation::ALL {
        assert_eq!(activation.to_string().parse(), Ok(activation));
    }
    for path in Path::ALL {
        assert_eq!(path.to_string().parse(), Ok(path));
    }
    let error = "swish".parse::<Activation>().unwrap_err();
    assert_eq!(
        error,
        "unknown activation `swish`; known: identity, sigmoid, relu, tanh, leaky-relu, elu, selu, gelu, gelu-tanh, \
         silu, softplus, erf, hard-tanh"
    );
    let error = "inward".parse::<Path>().unwrap_err();
    assert_eq!(
        error,
        "unknown derivative path `inward`; known: output, input, symmetric, fused, multiplied, native, slope-one, \
         slope-half"
    );
}

/// The vectors of native arithmetic have the bits of the scalar definition, on every path, at odd lengths, and for gradients that are special.
#[test]
fn native_slices_equal_scalars_on_every_path() {
    fn check<T: Vectorized>() {
        let special = [0.0, -0.0, 1.0, -1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-30, -65000.0];
        let x: Vec<T> = (0..700)
            .map(|i| if i % 7 == 0 { special[i / 7 % 9] } else { (i as f64 - 350.0) * 0.031 })
            .map(T::round_from)
            .collect();
        let g: Vec<T> =
            (0..700).map(|i| T::round_from(special[(i / 5) % 9] * (1.0 + i as f64 / 700.0))).collect();
        let bits = |x: T| if x.value().is_nan() { f64::NAN.to_bits() } else { x.value().to_bits() };
        for isa in Isa::available() {
            let arith = Native::<T>::new(isa);
            for activation in Activation::ALL {
                let mut y = x.clone();
                apply(&arith, activation, &x, &mut y);
                for path in Path::ALL.into_iter().filter(|path| path.is_defined_for(activation)) {
                    for n in [0, 1, 15, 16, 33, 257, 700] {
                        let (x, y, g) = (&x[700 - n..], &y[700 - n..], &g[700 - n..]);
                        let (mut gradient, mut slopes) = (g.to_vec(), g.to_vec());
                        backpropagate_slice(&arith, activation, path, &mut gradient, x, y);
                        derivative_slice(&arith, activation, path, x, y, &mut slopes);
                        for i in 0..n {
                            let slope = derivative(&arith, activation, path, x[i], y[i]);
                            let product = backpropagate(&arith, activation, path, g[i], x[i], y[i]);
                            let name = format!("{} {isa} {activation} {path} {:?} {:?}", T::NAME, x[i], g[i]);
                            assert_eq!(bits(slopes[i]), bits(slope), "{name}");
                            assert_eq!(bits(gradient[i]), bits(product), "{name}");
                        }
                    }
                }
            }
        }
    }
    check::<f16>();
    check::<bf16>();
    check::<f32>();
    check::<f64>();
}
