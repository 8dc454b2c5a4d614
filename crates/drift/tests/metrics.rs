//! Distances, events and the error bound on cases small enough to know the answer.

mod common;

use common::{linear, scalar_chain};
use gradchain_arith::{Counts, Format, Isa};
use gradchain_drift::{
    Comparison, DoubleDouble, ErrorBound, Events, LayerError, Scaled, ScaledVector, Weights, compare, norm,
    reference_backward,
};

const U: f64 = f64::EPSILON;

fn near(got: f64, exact: f64) -> bool {
    got == exact || (got - exact).abs() <= 4.0 * U * exact.abs()
}

/// `factors_i · 2^exponent`.
fn vector(factors: &[f64], exponent: i64) -> ScaledVector {
    let factors: Vec<DoubleDouble> = factors.iter().map(|&x| DoubleDouble::from(x)).collect();
    ScaledVector::with_exponent(&factors, exponent)
}

fn f16(computed: &[f64], reference: &ScaledVector) -> Comparison {
    compare(computed, reference, Format::F16)
}

#[test]
fn equal_vectors() {
    let c = f16(&[1.0, -2.5, 0.0], &vector(&[1.0, -2.5, 0.0], 0));
    assert_eq!((c.drift, c.worst_relative, c.worst_ulp, c.bits_left), (0.0, 0.0, 0.0, 11.0));
    assert_eq!(c.log2_drift, f64::NEG_INFINITY);
    assert!(near(c.cosine, 1.0) && near(c.log2_norm, 0.5 * libm::log2(7.25)));
    assert_eq!(c.signed_relative, None);
}

#[test]
fn plain_errors() {
    // Errors of 0.5 and 0 beside (3, 4): 0.1 normwise, 1/6 by components; one ulp of 3 in f16 is 2^-9.
    let c = f16(&[3.5, 4.0], &vector(&[3.0, 4.0], 0));
    assert!(near(c.drift, 0.1) && near(c.worst_relative, 0.5 / 3.0));
    assert_eq!(c.worst_ulp, 256.0);
    assert!(near(c.bits_left, libm::log2(10.0)));
    assert!(near(c.cosine, (10.5 + 16.0) / (5.0 * (3.5_f64 * 3.5 + 16.0).sqrt())));
    assert!(near(c.log2_norm_reference, libm::log2(5.0)));
    let c = f16(&[-1.5], &vector(&[1.0], 0));
    assert_eq!((c.drift, c.signed_relative, c.cosine, c.bits_left), (2.5, Some(-2.5), -1.0, 0.0));
    let c = f16(&[0.75], &vector(&[-1.0], 0));
    assert_eq!(c.signed_relative, Some(-1.75));
}

#[test]
fn errors_below_f64_are_seen() {
    // 1/3 as a double-double against 1/3 as f64.
    let third = DoubleDouble::ONE.divided_by(DoubleDouble::from(3.0));
    let c = compare(&[1.0 / 3.0], &ScaledVector::with_exponent(&[third], 0), Format::F64);
    assert!(near(c.drift, third.lo / third.hi) && c.drift > 5e-17, "{c:?}");
    assert_eq!(c.bits_left, 53.0);
    assert!(near(c.worst_ulp, third.lo / f64::powi(2.0, -54)) && c.worst_ulp < 0.5);
}

#[test]
fn zeros() {
    let c = f16(&[0.0, 0.0], &vector(&[1e-300, 0.0], 0));
    assert_eq!((c.drift, c.worst_relative, c.cosine, c.bits_left), (1.0, 1.0, 0.0, 0.0));
    assert_eq!(c.log2_norm, f64::NEG_INFINITY);
    assert!(near(c.log2_norm_reference, libm::log2(1e-300)));
    let c = f16(&[0.0], &vector(&[0.75], -10_000_000));
    assert_eq!((c.drift, c.signed_relative), (1.0, Some(-1.0)));
    assert!(near(c.log2_norm_reference, -10_000_000.0 + libm::log2(0.75)));
    let c = f16(&[0.0, -0.0], &vector(&[0.0, 0.0], 0));
    assert_eq!((c.drift, c.worst_relative, c.worst_ulp, c.cosine, c.bits_left), (0.0, 0.0, 0.0, 1.0, 11.0));
    assert_eq!((c.log2_norm, c.log2_norm_reference), (f64::NEG_INFINITY, f64::NEG_INFINITY));
    let c = f16(&[f64::powi(2.0, -24)], &vector(&[0.0], 0));
    assert_eq!(
        (c.drift, c.worst_relative, c.worst_ulp, c.signed_relative),
        (f64::INFINITY, f64::INFINITY, 1.0, Some(f64::INFINITY))
    );
    assert_eq!((c.cosine, c.bits_left), (0.0, 0.0));
    let c = f16(&[], &vector(&[], 0));
    assert_eq!((c.drift, c.cosine, c.bits_left, c.log2_norm), (0.0, 1.0, 11.0, f64::NEG_INFINITY));
}

#[test]
fn numbers_that_are_not_finite() {
    let c = f16(&[f64::INFINITY, 1.0], &vector(&[65536.0, 1.0], 0));
    assert_eq!(
        (c.drift, c.worst_relative, c.worst_ulp, c.log2_norm),
        (f64::INFINITY, f64::INFINITY, f64::INFINITY, f64::INFINITY)
    );
    assert!(c.cosine.is_nan() && c.bits_left == 0.0);
    let c = f16(&[f64::NAN, f64::INFINITY], &vector(&[1.0, 1.0], 0));
    assert!(c.drift == f64::INFINITY && c.log2_norm.is_nan() && c.cosine.is_nan() && c.bits_left == 0.0);
    let c = f16(&[f64::NEG_INFINITY], &vector(&[-1.0], 5000));
    assert_eq!(c.signed_relative, Some(f64::INFINITY));
    let c = f16(&[1.0, 2.0], &vector(&[f64::NAN, 2.0], 0));
    assert!(c.drift.is_nan() && c.worst_ulp.is_nan() && c.cosine.is_nan() && c.bits_left == 0.0);
    assert!(near(c.log2_norm, 0.5 * libm::log2(5.0)) && c.log2_norm_reference.is_nan());
}

#[test]
fn exponents_beyond_f64_on_both_sides() {
    // Stuck at 2^-23 where the truth is 2^-32193.
    let c = f16(&[f64::powi(2.0, -23)], &vector(&[1.0], -32193));
    assert_eq!((c.drift, c.log2_drift, c.bits_left), (f64::INFINITY, 32170.0, 0.0));
    assert_eq!(c.cosine, 1.0);
    // Saturated at 65504 where the truth is 2^5000: all of it is missing.
    let c = f16(&[65504.0, 1.0], &vector(&[1.0, 0.0], 5000));
    assert_eq!((c.drift, c.bits_left), (1.0, 0.0));
    assert!(
        near(c.cosine, 65504.0 / (65504.0_f64 * 65504.0 + 1.0).sqrt()) && c.log2_norm_reference == 5000.0
    );
    // ulps go on above the largest number: 2^16 where one ulp is 2^6.
    assert_eq!(f16(&[65504.0], &vector(&[65536.0], 0)).worst_ulp, 0.5);
    // A vector whose squares underflow and one whose squares overflow.
    let c = compare(&[3e-200, 4e-200], &vector(&[3e-200, 4e-200], 0), Format::F64);
    assert!(near(c.log2_norm, libm::log2(5e-200)) && c.drift == 0.0 && near(c.cosine, 1.0));
    let c = compare(&[3e300, 4e300], &vector(&[4e300, 3e300], 0), Format::F64);
    assert!(near(c.cosine, 0.96) && near(c.drift, 0.2 * 2.0_f64.sqrt()), "{c:?}");
    assert_eq!(norm(&[f64::MAX, f64::MAX]).to_f64(), f64::INFINITY);
    assert!(near(norm(&[f64::MAX, f64::MAX]).log2(), 1024.5));
    assert!(near(norm(&[5e-324; 4]).to_f64(), 1e-323));
    assert_eq!(norm(&[1.0; 10_000]).to_f64(), 100.0);
    assert!(near(norm(&[1e-300, 1e200, 1.0]).to_f64(), 1e200));
}

#[test]
fn ulps_of_subnormals_and_at_powers_of_two() {
    // Below 2^-14 the ulp of f16 is 2^-24 throughout.
    let c = f16(&[libm::scalbn(3.0, -24)], &vector(&[2.5], -24));
    assert_eq!(c.worst_ulp, 0.5);
    assert!(near(c.worst_relative, 0.2));
    // Just below 1 the ulp is half of that at 1.
    let below = ScaledVector::with_exponent(&[DoubleDouble::new(1.0, -1e-20)], 0);
    assert!(near(f16(&[1.0 - 1.0 / 2048.0], &below).worst_ulp, 1.0));
    assert!(near(f16(&[1.0 - 1.0 / 2048.0], &vector(&[1.0], 0)).worst_ulp, 0.5));
}

#[test]
fn scaled_numbers() {
    let x = Scaled::new(5e-324, -3);
    assert_eq!((x.mantissa(), x.exponent(), x.to_f64()), (0.5, -1076, 0.0));
    assert_eq!(Scaled::new(1.5, 100_000).log2(), 100_000.0 + libm::log2(1.5));
    assert_eq!(
        (Scaled::new(1.0, 1024).to_f64(), Scaled::new(-1.0, 1023).to_f64()),
        (f64::INFINITY, -f64::powi(2.0, 1023))
    );
    // 1.5 least numbers lie halfway between 1 and 2 of them, and 2 is even.
    assert_eq!((Scaled::new(0.75, -1073).to_f64(), Scaled::new(0.5, -1074).to_f64()), (1e-323, 0.0));
    assert_eq!(Scaled::ZERO.log2(), f64::NEG_INFINITY);
    assert_eq!(Scaled::from(f64::NEG_INFINITY).log2(), f64::INFINITY);
    assert!(Scaled::from(f64::NAN).to_f64().is_nan());
    assert_eq!(Scaled::new(3.0, 4000).divided_by(Scaled::new(1.5, -4000)), Scaled::new(2.0, 8000));
    assert_eq!(vector(&[1.0, 3.0], 2000).get(1), Scaled::new(3.0, 2000));
    assert_eq!(vector(&[1.0, -3.0], 1).to_f64(), [2.0, -6.0]);
}

/// f16 numbers of the chain `g_k = RN(0.8 g_(k-1))`, by hand: halves of 2^-24 round to even.
#[test]
fn events_of_a_chain_that_gets_stuck() {
    let mut events = Events::new(Format::F16);
    let quantum = f64::powi(2.0, -24);
    for (k, m) in [1100.0, 1024.0, 900.0, 3.0, 2.0, 2.0, 2.0, 2.0].into_iter().enumerate() {
        events.observe(&[m * quantum, -quantum], if k < 3 { 1.0 } else { 0.89 });
    }
    let report = events.report();
    assert_eq!((report.depth, report.first_subnormal, report.stuck_at), (7, Some(0), Some(4)));
    assert_eq!(report.stuck_value, Some(2.0 * quantum));
    assert_eq!(
        (report.first_zero, report.first_infinite, report.first_nan, report.direction_lost),
        (None, None, None, Some(3))
    );
    assert_eq!(report.counts, Counts { subnormal: 2, ..Counts::default() });
}

#[test]
fn events_of_vectors_that_overflow_vanish_or_move() {
    let report_of = |gradients: &[&[f64]]| {
        let mut events = Events::new(Format::F16);
        gradients.iter().for_each(|gradient| events.observe(gradient, 1.0));
        events.report()
    };
    let report =
        report_of(&[&[1.0, 6e4], &[1.0, f64::INFINITY], &[f64::NEG_INFINITY, f64::NAN], &[f64::NAN; 2]]);
    assert_eq!((report.first_infinite, report.first_nan, report.stuck_at), (Some(1), Some(2), None));
    assert_eq!(report.counts.nan, 2);
    let report = report_of(&[&[1.0, 0.0], &[0.0, 1e-7], &[0.0, -0.0], &[0.0, 0.0], &[0.0, 0.0]]);
    assert_eq!(
        (report.first_subnormal, report.first_zero, report.stuck_at, report.stuck_value),
        (Some(1), Some(2), None, None)
    );
    // The last two gradients alone are equal: one step without change is not enough.
    assert_eq!(report_of(&[&[3.0], &[2.0], &[2.0]]).stuck_at, None);
    assert_eq!(report_of(&[&[3.0], &[-2.0], &[-2.0], &[-2.0]]).stuck_at, Some(1));
    assert_eq!(report_of(&[&[3.0], &[-2.0], &[-2.0], &[-2.0]]).stuck_value, Some(-2.0));
    // It moves again at the end, or changes its length.
    assert_eq!(report_of(&[&[2.0], &[2.0], &[2.0], &[1.0]]).stuck_at, None);
    assert_eq!(report_of(&[&[2.0, 0.0], &[2.0], &[2.0], &[2.0]]).stuck_at, Some(1));
    assert_eq!(report_of(&[&[f64::INFINITY], &[f64::INFINITY], &[f64::INFINITY]]).stuck_at, None);
    assert_eq!((report_of(&[]).depth, report_of(&[&[]]).first_zero), (0, None));
    let mut events = Events::new(Format::F16);
    events.observe(&[f64::NAN], f64::NAN);
    assert_eq!(events.report().direction_lost, Some(0));
}

/// Passes the whole chain of `network` and gives the relative bound after each layer.
fn bounds(
    network: &gradchain_chain::Network,
    upstream: &[f64],
    batch: usize,
    error: LayerError,
    format: Format,
) -> Vec<f64> {
    let isa = Isa::PORTABLE;
    let mut bound = ErrorBound::new(batch, upstream.len());
    let mut relative = Vec::new();
    let depth = network.layers.len();
    reference_backward(isa, network, Weights::Stored, None, batch, &ScaledVector::new(upstream), |step| {
        relative.push(bound.relative(step.gradient).to_f64());
        if step.passed < depth {
            bound.pass(isa, &network.layers[depth - step.passed - 1], step.gradient, error, format.max());
        }
    });
    relative
}

/// `got` is an upper bound of `exact`, and hardly larger.
fn just_above(got: f64, exact: f64) -> bool {
    got >= exact && got <= exact * (1.0 + 1e-13)
}

#[test]
fn bound_of_two_layers_by_hand() {
    // G_2 = (1, 2); W_2 = [[1, -2], [3, 4]]: G_1 = (7, 6), |W|^T |G| = (7, 10); γ = 1/8, η = 1: B_1 = (15/8, 18/8).
    // W_1 = [[-1], [1]]: G_0 = -1; B_0 = (15 + 18)/8 + (7 + 6 + 33/8)/8 + 1.
    let network = gradchain_chain::Network::plain(
        vec![linear(2, 1, vec![-1.0, 1.0]), linear(2, 2, vec![1.0, -2.0, 3.0, 4.0])],
        gradchain_activations::Activation::Identity,
    );
    let error = LayerError { gamma: 0.125, underflow: 1.0 };
    let relative = bounds(&network, &[1.0, 2.0], 1, error, Format::F32);
    assert_eq!(relative[0], 0.0);
    let first = (15.0_f64 * 15.0 + 18.0 * 18.0).sqrt() / 8.0 / 85.0_f64.sqrt();
    assert!(just_above(relative[1], first), "{} {first}", relative[1]);
    let second = 33.0 / 8.0 + (13.0 + 33.0 / 8.0) / 8.0 + 1.0;
    assert!(just_above(relative[2], second), "{} {second}", relative[2]);
    // Two equal rows have the bound of one.
    let twice = bounds(&network, &[1.0, 2.0, 1.0, 2.0], 2, error, Format::F32);
    assert!(just_above(twice[2], second));
    // Without errors there is no bound to speak of.
    assert_eq!(
        bounds(&network, &[1.0, 2.0], 1, LayerError { gamma: 0.0, underflow: 0.0 }, Format::F32),
        [0.0; 3]
    );
    assert_eq!(
        bounds(&network, &[1.0, 2.0], 1, LayerError { gamma: f64::INFINITY, underflow: 0.0 }, Format::F32)[1],
        f64::INFINITY
    );
}

#[test]
fn bound_of_scalar_chains() {
    let gamma = 0.0009765625;
    // (1 + γ)^k - 1 relative, until 1.5^k (1 + γ)^k passes 65504: k = 28 has 85222, k = 27 has 57000.
    let relative =
        bounds(&scalar_chain(40, 1.5, None), &[1.0], 1, LayerError { gamma, underflow: 0.0 }, Format::F16);
    for (k, &bound) in relative.iter().enumerate() {
        let exact = (1.0 + gamma).powi(k as i32) - 1.0;
        assert!(
            if k <= 27 { bound >= exact && bound <= exact + 1e-13 } else { bound == f64::INFINITY },
            "{k}: {bound}"
        );
    }
    // Far below f64's range the relative bound is the same, and with underflow it grows without limit but is right where f64 holds it.
    let relative = bounds(
        &scalar_chain(20_000, 0.5, None),
        &[1.0],
        1,
        LayerError { gamma, underflow: 0.0 },
        Format::F16,
    );
    let exact = libm::expm1(20_000.0 * libm::log1p(gamma));
    assert!(
        relative[20_000] >= exact * (1.0 - 1e-12) && relative[20_000] <= exact * (1.0 + 1e-9),
        "{}",
        relative[20_000]
    );
    // B_k = η Σ 2^-j, over 2^-k.
    let relative = bounds(
        &scalar_chain(2000, 0.5, None),
        &[1.0],
        1,
        LayerError { gamma: 0.0, underflow: 1e-8 },
        Format::F16,
    );
    assert!(just_above(relative[10], 1e-8 * (2.0 - 1.0 / 512.0) * 1024.0));
    assert_eq!(relative[2000], f64::INFINITY);
    // A bound over a gradient of zeros.
    let relative = bounds(
        &scalar_chain(2, 0.0, None),
        &[1.0],
        1,
        LayerError { gamma: 0.0, underflow: 1e-8 },
        Format::F16,
    );
    assert_eq!(relative, [0.0, f64::INFINITY, f64::INFINITY]);
    let relative = bounds(
        &scalar_chain(2, f64::NAN, None),
        &[1.0],
        1,
        LayerError { gamma, underflow: 1e-8 },
        Format::F16,
    );
    assert!(relative[2].is_nan());
}
