//! Clipping, normalisation and the names of remedies.

mod common;

use common::numbers::{assert_same, native, numbers};
use gradchain_arith::{Emulated, Format, Real, Rounding, Rules, f16};
use gradchain_gradients::{
    GradientError, Measured, NonFinite, Order, Outcome, Remedy, clip_by_norm, clip_by_value, normalise,
};

/// The values after clipping one tensor to the two norm `limit`.
fn clipped<T: Measured>(values: &[f64], limit: f64, policy: NonFinite) -> (Vec<f64>, Outcome) {
    let mut g = numbers::<T>(values);
    let clipping = clip_by_norm(&native::<T>(), Order::Two, limit, policy, &mut [&mut g]).unwrap();
    (g.iter().map(|g| g.value()).collect(), clipping.outcome)
}

fn clip<T: Measured>(values: &[f64], limit: f64) -> Vec<f64> {
    clipped::<T>(values, limit, NonFinite::Error).0
}

/// A1 to A3: norms that the format cannot square or hold.
#[test]
fn clipping_beyond_the_range() {
    assert_eq!(clip::<f16>(&[300.0], 1.0), [1.0]);
    assert_eq!(clip::<f16>(&[50000.0, 50000.0], 1.0), [f16::round_from(0.5_f64.sqrt()).value(); 2]);
    // One ulp below the root of 1/2: the norm was rounded before.
    assert_eq!(clip::<f64>(&[1e200, 1e200], 1.0), [0.5_f64.sqrt().next_down(); 2]);
    // Norm and limit 600 binades apart and more, the result a number all the same.
    let tiny = clip::<f64>(&[f64::MAX, f64::MAX], 1e-300);
    assert!((tiny[0] / 7.071067811865475e-301 - 1.0).abs() < 1e-15, "{tiny:?}");
    assert_eq!(clip::<f64>(&[f64::MAX; 2], f64::from_bits(1)), [f64::from_bits(1); 2]);
}

/// B5: each policy for infinities and NaN.
#[test]
fn policies() {
    let nan = f64::NAN;
    let infinite = [f64::INFINITY, 1.0, -2.0];
    for (policy, values, expected, outcome) in [
        (NonFinite::Propagate, infinite, [nan, 0.0, -0.0], Outcome::Spoiled),
        (NonFinite::AllNan, infinite, [nan; 3], Outcome::Spoiled),
        (NonFinite::Skip, infinite, infinite, Outcome::Skipped),
        (NonFinite::Propagate, [nan, 1.0, f64::INFINITY], [nan; 3], Outcome::Spoiled),
        (NonFinite::Skip, [nan, 1.0, 2.0], [nan, 1.0, 2.0], Outcome::Skipped),
    ] {
        let (after, found) = clipped::<f16>(&values, 1.0, policy);
        assert_same(&after, &expected);
        assert_eq!(found, outcome);
        let mut g = numbers::<f16>(&values);
        let clipping = normalise(&native::<f16>(), Order::Two, policy, &mut [&mut g]).unwrap();
        assert_eq!(clipping.outcome, outcome);
        assert_same(&g.iter().map(|g| g.value()).collect::<Vec<_>>(), &expected);
    }
    let (mut first, mut second) = (numbers::<f32>(&[1.0]), numbers::<f32>(&infinite));
    let tensors: &mut [&mut [f32]] = &mut [&mut first, &mut second];
    let error = clip_by_norm(&native::<f32>(), Order::Two, 1.0, NonFinite::Error, tensors).unwrap_err();
    assert_eq!(error, GradientError::NonFinite { tensor: 1, index: 0, value: f64::INFINITY });
    assert_eq!(error.to_string(), "gradient 1 holds inf at index 0");
    assert_eq!((first[0], second[1]), (1.0, 1.0));
}

/// B6: clipping by value.
#[test]
fn values() {
    let clip = |limit: f64, values: &[f64]| {
        let mut g = numbers::<f16>(values);
        let count = clip_by_value(&native::<f16>(), limit, &mut g).unwrap();
        (g.iter().map(|g| g.value()).collect::<Vec<_>>(), count)
    };
    let values = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0, 0.5, -2.0, 1.0];
    let (after, count) = clip(1.0, &values);
    assert_same(&after, &[1.0, -1.0, f64::NAN, -0.0, 0.5, -1.0, 1.0]);
    assert_eq!(count, 3);
    let (after, _) = clip(0.0, &values);
    assert_same(&after, &[0.0, -0.0, f64::NAN, -0.0, 0.0, -0.0, 0.0]);
    // Beyond the largest number, infinities still become finite; without a limit they stay.
    assert_same(&clip(1e9, &values).0[..2], &[65504.0, -65504.0]);
    assert_same(&clip(f64::INFINITY, &values).0, &values);
}

#[test]
fn normalisation() {
    fn unit<T: Measured>(values: &[f64]) -> Vec<f64> {
        let mut g = numbers::<T>(values);
        normalise(&native::<T>(), Order::Two, NonFinite::Error, &mut [&mut g]).unwrap();
        g.iter().map(|g| g.value()).collect()
    }
    assert_eq!(unit::<f64>(&[3.0, -4.0]), [0.6, -0.8]);
    assert_same(&unit::<f16>(&[0.0, -0.0]), &[0.0, -0.0]);
    assert_eq!(unit::<f16>(&[f64::powi(2.0, -24)]), [1.0]);
    let root = 0.5_f64.sqrt().next_down();
    assert_eq!(unit::<f64>(&[f64::from_bits(1), -f64::from_bits(1)]), [root, -root]);
    assert_eq!(unit::<f64>(&[f64::MAX; 4]), [0.5; 4]);
    assert_eq!(unit::<f64>(&[f64::MAX, f64::from_bits(1)])[1], 0.0);
}

#[test]
fn remedies_by_name() {
    for text in [
        "none",
        "clip-value:0.5",
        "clip-norm:1",
        "clip-norm:inf",
        "normalise",
        "loss-scale:65536",
        "loss-scale:0.125",
        "adaptive:0.01",
        "residual:1",
        "residual:-0.125",
        "rmsnorm",
        "batchnorm",
    ] {
        assert_eq!(text.parse::<Remedy>().unwrap().to_string(), text);
    }
    assert_eq!("clip-norm:1e-3".parse::<Remedy>().unwrap(), Remedy::ClipNorm(0.001));
    let known = "known: none, clip-value:c, clip-norm:c, adaptive:lambda, normalise, loss-scale:s, residual:alpha, rmsnorm, batchnorm";
    for text in ["clip", "clip-norm", "clip-norm:", "clip-norm:x", "none:1", "normalise:2", ""] {
        assert_eq!(
            text.parse::<Remedy>().unwrap_err().to_string(),
            format!("unknown remedy `{text}`; {known}")
        );
    }
    for (text, message) in [
        ("clip-norm:-1", "clip-norm = -1 is out of range; allowed: 0 to inf"),
        ("clip-value:nan", "clip-value = NaN is out of range; allowed: 0 to inf"),
        ("adaptive:-1", "adaptive = -1 is out of range; allowed: 0 to inf"),
        ("residual:inf", "residual = inf is out of range; allowed: finite numbers"),
        ("loss-scale:3", "loss-scale = 3 is out of range; allowed: the powers of two from 2^-1022 to 2^1022"),
    ] {
        assert_eq!(text.parse::<Remedy>().unwrap_err().to_string(), message);
    }
}

/// Each remedy acts on a layer or on the ends, not on both. So B11 cannot arise: a chain has one remedy, and a scaled gradient is never clipped.
#[test]
fn remedies_act_where_they_say() {
    let arith = native::<f32>();
    let layer = |remedy: Remedy| {
        let mut g = [3.0, -4.0];
        remedy.apply(&arith, &mut g).unwrap();
        g
    };
    let ends = |remedy: Remedy| {
        let (mut up, mut down) = ([3.0, -4.0], [3.0, -4.0]);
        remedy.scale_upstream(&arith, &mut up).unwrap();
        remedy.unscale_gradient(&arith, &mut down).unwrap();
        (up, down)
    };
    let (same, kept) = ([3.0, -4.0], ([3.0, -4.0], [3.0, -4.0]));
    assert_eq!((layer(Remedy::None), ends(Remedy::None)), (same, kept));
    assert_eq!((layer(Remedy::ClipValue(3.5)), ends(Remedy::ClipValue(3.5))), ([3.0, -3.5], kept));
    assert_eq!((layer(Remedy::ClipNorm(2.5)), ends(Remedy::ClipNorm(2.5))), ([1.5, -2.0], kept));
    assert_eq!((layer(Remedy::Normalise), ends(Remedy::Normalise)), ([0.6, -0.8], kept));
    let scaled = ([6.0, -8.0], [1.5, -2.0]);
    assert_eq!((layer(Remedy::LossScale(2.0)), ends(Remedy::LossScale(2.0))), (same, scaled));
    assert!(Remedy::ClipNorm(-1.0).apply(&arith, &mut [1.0]).is_err());
    assert!(Remedy::LossScale(3.0).scale_upstream(&arith, &mut [1.0]).is_err());
}

/// Stochastic rounding gives the same bits again, and other bits to other tensors.
#[test]
fn streams() {
    let rules = Rules { rounding: Rounding::Stochastic, ..Rules::default() };
    let arith = Emulated::new(Format::E4M3, rules, 3);
    let draw = || {
        let (mut a, mut b) = ([7.0; 32], [7.0; 32]);
        clip_by_norm(&arith, Order::Two, 0.9, NonFinite::Error, &mut [&mut a, &mut b]).unwrap();
        (a, b)
    };
    let (a, b) = draw();
    assert_eq!((a, b), draw());
    assert!(a != b && a.iter().any(|x| *x != a[0]));
}
