//! The documented edge cases of clipping, and what frameworks make of the same gradients.

mod common;

use common::numbers::{assert_same, native, numbers, same, values};
use gradchain_arith::{Arithmetic, Emulated, Format, Native, Real, Rounding, Rules, bf16, f16};
use gradchain_gradients::frameworks::optax::Leaf;
use gradchain_gradients::frameworks::{jax, optax, torch};
use gradchain_gradients::{
    Adaptive, Clipping, GradientError, Measured, NonFinite, Order, Outcome, Units, clip_adaptively,
    clip_by_norm, clip_by_range, clip_by_rms, clip_by_tensor_norm, clip_by_value, clipped, excess, norm,
    scale, unscale,
};

/// One tensor clipped to the two norm `limit`, and the report.
fn ours<T: Measured>(g: &[f64], limit: f64, policy: NonFinite) -> (Vec<f64>, Clipping) {
    let mut g = numbers::<T>(g);
    let report = clip_by_norm(&native::<T>(), Order::Two, limit, policy, &mut [&mut g]).unwrap();
    (values(&g), report)
}

fn by_torch<T: Measured>(g: &[f64], limit: f64) -> Vec<f64> {
    let mut g = numbers::<T>(g);
    torch::clip_grad_norm(limit, 2.0, false, &mut [&mut g]).unwrap();
    values(&g)
}

fn by_optax<T: Measured>(g: &[f64], limit: f64) -> Vec<f64> {
    let mut g = numbers::<T>(g);
    optax::clip_by_global_norm(limit, &mut [Leaf { shape: &[g.len()], numbers: &mut g }]);
    values(&g)
}

/// A1, A3 and A5 in the frameworks: squares and norms that overflow make zeros of the gradient.
#[test]
fn overflow_of_squares_and_norms() {
    assert_eq!(ours::<f16>(&[300.0], 1.0, NonFinite::Error).0, [1.0]);
    assert_eq!(by_torch::<f16>(&[300.0], 1.0), [1.0]);
    assert_same(&by_optax::<f16>(&[300.0], 1.0), &[0.0]);
    let half = f16::round_from(0.5_f64.sqrt()).value();
    assert_eq!(ours::<f16>(&[5e4; 2], 1.0, NonFinite::Error).0, [half; 2]);
    assert_same(&by_torch::<f16>(&[5e4; 2], 1.0), &[0.0; 2]);
    assert_same(&by_optax::<f16>(&[5e4; 2], 1.0), &[0.0; 2]);
    assert_eq!(ours::<f32>(&[1e20, 1.0], 1e10, NonFinite::Error).0[0], f64::from(1e10_f32));
    assert_same(&by_torch::<f32>(&[1e20, 1.0], 1e10), &[0.0; 2]);
    assert_same(&by_optax::<f32>(&[1e20, 1.0], 1e10), &[0.0; 2]);
    // A7: f64 squares too.
    assert_eq!(ours::<f64>(&[1e200], 1.0, NonFinite::Error).0, [1.0]);
    assert_same(&by_torch::<f64>(&[1e200], 1.0), &[0.0]);
}

/// A8: sums in the format stop; ours do not, and torch's f16 sums in f32 do not either.
#[test]
fn long_vectors_of_ones() {
    let ones = [1.0; 4096];
    let at = f16::round_from(1.0 / 64.0).value();
    assert_eq!(ours::<f16>(&ones, 1.0, NonFinite::Error).0[7], at);
    assert_eq!(by_torch::<f16>(&ones, 1.0)[7], at);
    // 0.5 / 64 is exact, a sum that stops at 2048 would give 0.5 / 45.25.
    assert_eq!(ours::<bf16>(&ones, 0.5, NonFinite::Error).0[7], 0.5 / 64.0);
}

/// B1: within the limit no bit changes; torch multiplies from 1e-6 below the limit on.
#[test]
fn within_the_limit() {
    let (after, report) = ours::<f64>(&[1.0, -0.0], 1.0, NonFinite::Error);
    assert_same(&after, &[1.0, -0.0]);
    for (g, limit) in [([0.0, -0.0], 0.0), ([3.0, -4.0], f64::INFINITY)] {
        let (after, report) = ours::<f32>(&g, limit, NonFinite::Error);
        assert_same(&after, &g);
        assert_eq!(report.outcome, Outcome::Kept);
    }
    assert_eq!((report.outcome, report.coefficient.to_f64()), (Outcome::Kept, 1.0));
    assert!((by_torch::<f64>(&[1.0], 1.0)[0] - 0.999999).abs() < 1e-11);
    assert_eq!(by_optax::<f64>(&[1.0], 1.0), [1.0]);
    // 3 / 5 · 5 in f64, by the rounded reciprocal: not 3.
    assert_eq!(ours::<f64>(&[3.0, -4.0], 5.0, NonFinite::Error).0, [3.0, -4.0]);
    assert_ne!(by_optax::<f64>(&[3.0, -4.0], 5.0)[0], 3.0);
    assert!(by_torch::<f32>(&[3.0, -4.0], 5.0)[0] < 3.0);
}

/// B2: small limits. torch's epsilon halves what is legal.
#[test]
fn small_limits() {
    for (g, limit, ours_is, torch_is) in
        [(5e-7, 6e-7, 1.0, 0.4), (1e-6, 1e-6, 1.0, 0.5), (0.011, 0.01, 0.9090909090909091, 0.909008272)]
    {
        let factor = ours::<f64>(&[g], limit, NonFinite::Error).0[0] / g;
        assert!((factor / ours_is - 1.0).abs() <= f64::EPSILON, "{g}: {factor}");
        let factor = by_torch::<f64>(&[g], limit)[0] / g;
        assert!((factor / torch_is - 1.0).abs() <= 1e-9, "{g}: {factor}");
    }
    assert_eq!(by_optax::<f64>(&[5e-7], 6e-7), [5e-7]);
}

/// B3 and B4: limits of zero, infinity, below zero and NaN.
#[test]
fn limits_at_the_edges() {
    for zero in [[0.0, -0.0], [2.0, -3.0]] {
        assert_same(&ours::<f32>(&zero, 0.0, NonFinite::Error).0, &[0.0, -0.0]);
    }
    assert!(by_optax::<f32>(&[0.0], 0.0)[0].is_nan());
    let mut zero = [0.0_f32];
    jax::clip_grads(0.0, &mut [&mut zero]);
    assert!(zero[0].is_nan());
    assert_same(&by_torch::<f32>(&[0.0, -0.0], 0.0), &[0.0, -0.0]);
    // In f16 the reciprocal of 1e-6 overflows: 0 · ∞.
    assert!(by_torch::<f16>(&[0.0], 0.0)[0].is_nan());
    assert_eq!(ours::<f16>(&[6e4, -6e4], f64::INFINITY, NonFinite::Error).0, [6e4, -6e4]);
    for limit in [-1.0, f64::NAN] {
        for error in [
            clip_by_norm(&native::<f32>(), Order::Two, limit, NonFinite::Skip, &mut []).unwrap_err(),
            clip_by_tensor_norm(&native::<f32>(), Order::Two, limit, NonFinite::Skip, &mut []).unwrap_err(),
            excess::<Native<f32>>(&native(), Order::Two, limit, &[]).unwrap_err(),
        ] {
            assert_eq!(error.to_string(), format!("clip-norm = {limit} is out of range; allowed: 0 to inf"));
        }
        let mut g = [1.0, 2.0];
        let error = clip_by_value(&native::<f32>(), limit, &mut g).unwrap_err();
        assert_eq!(error.to_string(), format!("clip-value = {limit} is out of range; allowed: 0 to inf"));
        assert_eq!(g, [1.0, 2.0]);
        let error = clip_by_rms(&native::<f32>(), limit, NonFinite::Skip, &mut []).unwrap_err();
        assert_eq!(error.to_string(), format!("clip-rms = {limit} is out of range; allowed: 0 to inf"));
    }
    // torch turns the gradient round.
    assert!(by_torch::<f32>(&[2.0], -1.0)[0] < 0.0);
}

/// A clip of one tensor.
type Clip = fn(&Native<f16>, NonFinite, &mut [f16]) -> Result<Vec<Clipping>, GradientError>;

/// B5: each policy for every clip, and torch's way.
#[test]
fn policies() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let infinite = [inf, 1.0, -2.0];
    assert_same(&by_torch::<f16>(&infinite, 1.0), &[nan, 0.0, -0.0]);
    assert_same(&by_torch::<f16>(&[nan, 1.0], 1.0), &[nan; 2]);
    let arith = native::<f16>();
    for (policy, g, expected, outcome, coefficient) in [
        (NonFinite::Propagate, infinite, [nan, 0.0, -0.0], Outcome::Spoiled, 0.0),
        (NonFinite::AllNan, infinite, [nan; 3], Outcome::Spoiled, nan),
        (NonFinite::Zero, infinite, [0.0; 3], Outcome::Zeroed, 0.0),
        (NonFinite::Skip, infinite, infinite, Outcome::Skipped, 1.0),
        (NonFinite::Propagate, [nan, 1.0, inf], [nan; 3], Outcome::Spoiled, nan),
        (NonFinite::Zero, [nan, 1.0, inf], [0.0; 3], Outcome::Zeroed, 0.0),
    ] {
        let (after, report) = ours::<f16>(&g, 1.0, policy);
        assert_same(&after, &expected);
        assert!(report.outcome == outcome && same(report.coefficient.to_f64(), coefficient));
        let clips: [Clip; 3] = [
            |arith, policy, g| clip_by_tensor_norm(arith, Order::Two, 1.0, policy, &mut [g]),
            |arith, policy, g| clip_by_rms(arith, 1.0, policy, &mut [g]),
            |arith, policy, g| {
                let (ones, adaptive) = ([f16::ONE; 3], Adaptive { clipping: 0.5, eps: 1e-3 });
                clip_adaptively(arith, adaptive, Units::Whole, 0, policy, &ones, g)
            },
        ];
        for clip in clips {
            let mut g = numbers::<f16>(&g);
            let reports = clip(&arith, policy, &mut g).unwrap();
            assert_same(&values(&g), &expected);
            assert_eq!((reports.len(), reports[0].outcome), (1, outcome));
            let error = clip(&arith, NonFinite::Error, &mut numbers::<f16>(&infinite)).unwrap_err();
            assert_eq!(error, GradientError::NonFinite { tensor: 0, index: 0, value: inf });
        }
    }
    // The last tensor stops the first.
    let (mut first, mut second) = ([9.0_f32], [1.0, f32::NAN]);
    let error = clip_by_tensor_norm(
        &native::<f32>(),
        Order::One,
        1.0,
        NonFinite::Error,
        &mut [&mut first, &mut second],
    )
    .unwrap_err();
    assert_eq!((error.to_string().as_str(), first), ("gradient 1 holds NaN at index 1", [9.0]));
    for (name, policy) in NonFinite::NAMED {
        assert_eq!((name.parse::<NonFinite>().unwrap(), policy.to_string()), (policy, name.to_owned()));
    }
    let error = "none".parse::<NonFinite>().unwrap_err().to_string();
    assert_eq!(error, "unknown policy `none`; known: propagate, all-nan, zero, skip, error");
}

/// B6: clipping to a range.
#[test]
fn ranges() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let clip = |low: f64, high: f64, policy, g: &[f64]| {
        let mut g = numbers::<f16>(g);
        let report = clip_by_range(&native::<f16>(), low, high, policy, &mut [&mut g])?;
        Ok::<_, GradientError>((values(&g), report.outcome, report.clipped))
    };
    let g = [inf, -inf, nan, -0.0, 0.5, -2.0];
    let (after, outcome, count) = clip(-1.0, 2.0, NonFinite::Propagate, &g).unwrap();
    assert_same(&after, &[2.0, -1.0, nan, -0.0, 0.5, -1.0]);
    assert_eq!((outcome, count), (Outcome::Scaled, 3));
    for (policy, expected, outcome) in [
        (NonFinite::AllNan, [nan; 6], Outcome::Spoiled),
        (NonFinite::Zero, [0.0; 6], Outcome::Zeroed),
        (NonFinite::Skip, g, Outcome::Skipped),
    ] {
        let (after, found, count) = clip(-1.0, 2.0, policy, &g).unwrap();
        assert_same(&after, &expected);
        assert_eq!((found, count), (outcome, 0));
        assert_eq!(clip(-1.0, 2.0, policy, &[3.0]).unwrap(), (vec![2.0], Outcome::Scaled, 1));
    }
    let error = clip(-1.0, 2.0, NonFinite::Error, &g).unwrap_err();
    assert_eq!(error.to_string(), "gradient 0 holds inf at index 0");
    assert_eq!(clip(-1.0, 2.0, NonFinite::Error, &[1.0]).unwrap().1, Outcome::Kept);
    // Bounds beyond the format.
    assert_eq!(clip(-1e9, 1e9, NonFinite::Propagate, &g[..2]).unwrap().0, [65504.0, -65504.0]);
    let message = |low, high| clip(low, high, NonFinite::Skip, &g).unwrap_err().to_string();
    assert_eq!(message(1.0, -1.0), "high = -1 is out of range; allowed: low to inf");
    assert_eq!(message(nan, 1.0), "low = NaN is out of range; allowed: -inf to inf");
    assert_eq!(message(0.0, nan), "high = NaN is out of range; allowed: low to inf");
    // torch takes a negative limit, and makes it the value of every number.
    let mut g = [3.0_f32, -0.5];
    torch::clip_grad_value(-1.0, &mut [&mut g]).unwrap();
    assert_eq!(g, [-1.0, -1.0]);
}

/// B8 and the report: what clipping destroys in f16.
#[test]
fn what_the_report_counts() {
    let least = f64::powi(2.0, -24);
    let (after, report) = ours::<f16>(&[1e4, 1e-3, 5e-4, 1e-4, 0.0], 1.0, NonFinite::Error);
    assert_eq!(after, [1.0, 2.0 * least, least, 0.0, 0.0]);
    assert_eq!((report.flushed, report.made_subnormal), (1, 2));
    assert!((2.0 * least / (f16::round_from(1e-3).value() * 1e-4) - 1.0).abs() > 0.19);
    assert!((report.coefficient.to_f64() / 1e-4 - 1.0).abs() < 1e-12);
    // A number that was subnormal before is not made so.
    let (_, report) = ours::<f16>(&[2.0, 40.0 * least], 1.0, NonFinite::Error);
    assert_eq!((report.flushed, report.made_subnormal), (0, 0));
}

/// B7: the norm afterwards, with a coefficient that is not rounded into the format, and torch's with one that is.
#[test]
fn norms_afterwards() {
    fn worst<T: Measured>() -> [f64; 2] {
        let mut state = 11_u64;
        let mut worst = [0.0_f64; 2];
        for n in 1..1500 {
            let g: Vec<f64> = (0..n % 41 + 1)
                .map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    ((state >> 11) as f64 / f64::powi(2.0, 52) - 1.0) * 100.0
                })
                .collect();
            let arith = native::<T>();
            for (worst, after) in
                worst.iter_mut().zip([ours::<T>(&g, 1.0, NonFinite::Error).0, by_torch::<T>(&g, 1.0)])
            {
                let after = numbers::<T>(&after);
                *worst = worst.max(excess(&arith, Order::Two, 1.0, &[&after]).unwrap());
            }
        }
        println!("{}: norm above the limit, ours and torch's: {worst:?}", T::NAME);
        let unit = T::FORMAT.unit_roundoff();
        assert!(worst[0] <= (1.0 + unit) * (1.0 + f64::powi(2.0, -51)) - 1.0);
        worst
    }
    for [ours, torch] in [worst::<f16>(), worst::<bf16>()] {
        assert!(0.0 < ours && ours < torch);
    }
    worst::<f32>();
    worst::<f64>();
}

/// B9: an epsilon of 1e-6 is another number in f16, and none beside most norms.
#[test]
fn epsilon_in_the_format() {
    let (arith, norm) = (native::<f16>(), f16::round_from(0.00391));
    let eps = arith.round(1e-6);
    assert_eq!((eps.value(), arith.add(norm, eps)), (17.0 * f64::powi(2.0, -24), norm));
    assert_eq!(Emulated::new(Format::E5M2, Rules::default(), 0).round(1e-6), 0.0);
    assert_eq!(ours::<f16>(&[0.00391], 0.00390625, NonFinite::Error).0, [0.00390625]);
    // At the limit torch changes nothing in f16, for 1e-6 is lost; below 1.4e-5 the reciprocal overflows and nothing is clipped.
    assert_eq!(by_torch::<f16>(&[1.0], 1.0), [1.0]);
    let tiny = f16::round_from(1.2e-7).value();
    assert_eq!(by_torch::<f16>(&[1.2e-7], 6e-8), [tiny]);
    assert_eq!(ours::<f16>(&[1.2e-7], 6e-8, NonFinite::Error).0, [f64::powi(2.0, -24)]);
    assert_eq!(by_optax::<f16>(&[1.2e-7], 6e-8), [tiny]);
}

/// B10: one norm over all tensors, or one for each.
#[test]
fn global_and_by_tensor() {
    let (a, b) = ([0.6, 0.8], [1.0, 0.0, 1.0]);
    let arith = native::<f64>();
    let (each, reports) = clipped(&[&a[..], &b[..]], |copies| {
        clip_by_tensor_norm(&arith, Order::Two, 1.0, NonFinite::Error, copies)
    })
    .unwrap();
    assert_eq!(each[0], a);
    assert!((each[1][0] - 0.5_f64.sqrt()).abs() <= 2.0_f64.powi(-53) && each[1][1] == 0.0);
    assert_eq!([reports[0].outcome, reports[1].outcome], [Outcome::Kept, Outcome::Scaled]);
    assert_eq!(reports[1].norm.to_f64(), 2.0_f64.sqrt());
    let (global, report) =
        clipped(&[&a[..], &b[..]], |copies| clip_by_norm(&arith, Order::Two, 1.0, NonFinite::Error, copies))
            .unwrap();
    assert!((report.norm.to_f64() / 3.0_f64.sqrt() - 1.0).abs() < 1e-15);
    assert!((global[0][0] / 0.6 - 1.0 / 3.0_f64.sqrt()).abs() < 1e-15);
}

/// B11: clipping comes after unscaling; before it, the limit would be one for the scaled gradient.
#[test]
fn clipping_after_unscaling() {
    let arith = native::<f32>();
    let clip = |g: &mut [f32]| clip_by_norm(&arith, Order::Two, 1.0, NonFinite::Error, &mut [g]).unwrap();
    let (mut right, mut wrong) = ([0.3_f32, 0.4], [0.3_f32, 0.4]);
    scale(&arith, 1024.0, &mut right).unwrap();
    unscale(&arith, 1024.0, &mut right).unwrap();
    clip(&mut right);
    scale(&arith, 1024.0, &mut wrong).unwrap();
    clip(&mut wrong);
    unscale(&arith, 1024.0, &mut wrong).unwrap();
    assert_eq!(right, [0.3, 0.4]);
    assert!((wrong[0] - 0.6 / 1024.0).abs() < 1e-9);
}

/// B12 and the two conventions of units.
#[test]
fn adaptive_clipping() {
    let arith = native::<f64>();
    let adaptive = Adaptive { clipping: 0.01, eps: 1e-3 };
    let clip = |adaptive, units, width, weights: &[f64], g: &[f64]| {
        let (after, reports) = clipped(&[g], |copy| {
            clip_adaptively(&arith, adaptive, units, width, NonFinite::Error, weights, copy[0])
        })?;
        Ok::<_, GradientError>((after[0].clone(), reports))
    };
    // Weights that are zero: the limit is 0.01 · 0.001.
    let (after, _) = clip(adaptive, Units::Whole, 0, &[0.0; 2], &[3.0, 4.0]).unwrap();
    assert!((after[0] - 0.6e-5).abs() < 1e-20 && (after[1] - 0.8e-5).abs() < 1e-20);
    // Rows of norms 500 and 1, columns of norms sqrt(90001) and sqrt(160000).
    let (weights, g) = ([300.0, 400.0, 1.0, 0.0], [3.0, 4.0, 3.0, 4.0]);
    let (rows, reports) = clip(adaptive, Units::Rows, 2, &weights, &g).unwrap();
    assert_eq!(rows[..2], g[..2]);
    assert!((rows[2] - 0.006).abs() < 1e-17 && (rows[3] - 0.008).abs() < 1e-17, "{rows:?}");
    assert_eq!([reports[0].outcome, reports[1].outcome], [Outcome::Kept, Outcome::Scaled]);
    assert_eq!([reports[0].norm.to_f64(), reports[1].norm.to_f64()], [5.0, 5.0]);
    let (columns, reports) = clip(adaptive, Units::Columns, 2, &weights, &g).unwrap();
    let limits = [0.01 * 90001.0_f64.sqrt(), 4.0];
    let norms = [18.0_f64.sqrt(), 32.0_f64.sqrt()];
    for i in 0..4 {
        let expected = g[i] * (limits[i % 2] / norms[i % 2]);
        assert!((columns[i] / expected - 1.0).abs() < 1e-15, "{columns:?}");
    }
    assert_eq!([reports[0].norm.to_f64(), reports[1].norm.to_f64()], norms);
    // optax's units of a matrix are its columns.
    let (mut theirs, shape) = (g, [2, 2]);
    optax::adaptive_grad_clip(0.01, 1e-3, &mut [Leaf { shape: &shape, numbers: &mut theirs }], &[&weights])
        .unwrap();
    for (theirs, ours) in theirs.iter().zip(&columns) {
        assert!((theirs / ours - 1.0).abs() < 1e-14);
    }
    // In f16 optax squares weights of 300 to infinity: no limit is left, and where the gradient's norm is infinite as well, ∞ / ∞.
    let weights = numbers::<f16>(&[300.0; 4]);
    for (size, expected) in [(100.0, 100.0), (200.0, f64::NAN)] {
        let (mut g, mut theirs) = (numbers::<f16>(&[size; 4]), numbers::<f16>(&[size; 4]));
        let mut leaves = [Leaf { shape: &[4], numbers: &mut theirs }];
        optax::adaptive_grad_clip(0.01, 1e-3, &mut leaves, &[&weights]).unwrap();
        assert_same(&values(&theirs), &[expected; 4]);
        clip_adaptively(&native::<f16>(), adaptive, Units::Whole, 0, NonFinite::Error, &weights, &mut g)
            .unwrap();
        assert_eq!(values(&g), [3.0; 4]);
    }
    let message = |adaptive, width, w: &[f64], g: &[f64]| {
        clip(adaptive, Units::Rows, width, w, g).unwrap_err().to_string()
    };
    let one = [1.0];
    assert_eq!(
        message(Adaptive { clipping: -1.0, eps: 0.0 }, 1, &one, &one),
        "clipping = -1 is out of range; allowed: 0 to inf"
    );
    assert_eq!(
        message(Adaptive { clipping: 1.0, eps: f64::INFINITY }, 1, &one, &one),
        "eps = inf is out of range; allowed: finite numbers from 0"
    );
    assert_eq!(
        message(adaptive, 1, &[1.0; 2], &one),
        "weights has 2 numbers; allowed: 1, as many as the gradient"
    );
    assert_eq!(
        message(adaptive, 2, &[1.0; 3], &[1.0; 3]),
        "gradient has 3 numbers; allowed: a multiple of the width 2"
    );
    assert_eq!(
        message(adaptive, 1, &[f64::INFINITY], &one),
        "weight = inf is out of range; allowed: finite numbers"
    );
    for units in Units::NAMED {
        assert_eq!((units.0.parse::<Units>().unwrap(), units.1.to_string()), (units.1, units.0.to_owned()));
        assert!(clip(adaptive, units.1, 3, &[], &[]).is_ok());
    }
    assert_eq!(
        "unit".parse::<Units>().unwrap_err().to_string(),
        "unknown unit `unit`; known: whole, rows, columns"
    );
}

/// The root mean square: a limit on each number's share, whatever the length.
#[test]
fn clipping_by_rms() {
    let arith = native::<f64>();
    let (after, reports) = clipped(&[&[0.1; 7][..], &[3.0, -4.0], &[2.0; 3], &[]], |copies| {
        clip_by_rms(&arith, 0.1, NonFinite::Error, copies)
    })
    .unwrap();
    // Equal numbers at the limit: their root mean square is the limit.
    assert_eq!((after[0].as_slice(), reports[0].outcome), (&[0.1; 7][..], Outcome::Kept));
    let factor = 0.1 / 12.5_f64.sqrt();
    assert!((after[1][0] / (3.0 * factor) - 1.0).abs() < 1e-15 && after[1][1] < 0.0);
    assert!(after[2].iter().all(|x| (x / 0.1 - 1.0).abs() < 1e-15), "{after:?}");
    assert_eq!((reports[3].outcome, reports[1].norm.to_f64()), (Outcome::Kept, 12.5_f64.sqrt()));
    for n in 1..200 {
        let equal = vec![0.1_f32; n];
        let arith = native::<f32>();
        let limit = f64::from(0.1_f32);
        let (after, _) = clipped(&[&equal[..]], |g| clip_by_rms(&arith, limit, NonFinite::Error, g)).unwrap();
        assert_eq!(after[0], equal);
    }
}

/// B13: a factor that f32 holds as a subnormal number, and optax flushes.
#[test]
fn factors_below_f32() {
    assert_eq!(ours::<bf16>(&[3e38], 1.0, NonFinite::Error).0, [1.0]);
    assert_eq!(ours::<bf16>(&[3e38, -3e38], 1.0, NonFinite::Error).0, [0.70703125, -0.70703125]);
    let (after, report) = ours::<f32>(&[3e38], 1.0, NonFinite::Error);
    assert_eq!(after, [1.0]);
    assert!(report.coefficient.to_f64() < f64::from(f32::MIN_POSITIVE));
    // Their squares overflow first.
    assert_eq!(by_torch::<bf16>(&[3e38], 1.0), [0.0]);
    // Without squares, torch keeps the subnormal factor, with few bits.
    let mut g = numbers::<f32>(&[3e38]);
    torch::clip_grad_norm(1.0, f64::INFINITY, false, &mut [&mut g]).unwrap();
    assert!(g[0] < 1.0 && g[0] > 0.99999, "{}", g[0]);
}

/// The coefficient is exact where no f64 holds it.
#[test]
fn coefficients_below_f64() {
    let (after, report) = ours::<f64>(&[f64::MAX; 2], 1e-300, NonFinite::Error);
    assert_eq!(report.coefficient.to_f64(), 0.0);
    assert!((-2022..=-2020).contains(&report.coefficient.exponent()));
    assert!((after[0] / 7.071067811865475e-301 - 1.0).abs() < 1e-15);
}

/// Excess over a limit.
#[test]
fn excess_over_a_limit() {
    let of = |limit, g: &[f64]| excess(&native::<f64>(), Order::Two, limit, &[g]).unwrap();
    assert_eq!(of(5.0, &[3.0, 4.0]), 0.0);
    assert_eq!(of(4.0, &[3.0, 4.0]), 0.25);
    assert_eq!(of(1.0, &[1.0_f64.next_up()]), f64::EPSILON);
    // Across a binade.
    assert_eq!(of(1.75, &[3.5]), 1.0);
    assert_eq!(of(1.0_f64.next_down(), &[1.0]), f64::EPSILON / 2.0 / 1.0_f64.next_down());
    assert_eq!((of(0.0, &[0.0]), of(0.0, &[1.0]), of(f64::INFINITY, &[1.0])), (0.0, f64::INFINITY, 0.0));
    assert!(of(1.0, &[f64::NAN]).is_nan() && of(1.0, &[f64::INFINITY]) == f64::INFINITY);
}

/// All groupings of the numbers into tensors give the same numbers.
#[test]
fn groupings() {
    let g: Vec<f32> = (0..100_u32).map(|i| (i as f32 - 40.3) * 1.7_f32.powi(i as i32 % 30 - 15)).collect();
    let arith = native::<f32>();
    for order in Order::EXACT {
        let whole = clipped(&[&g[..]], |t| clip_by_norm(&arith, order, 1.0, NonFinite::Error, t)).unwrap();
        for size in [1, 2, 7, 50] {
            let parts: Vec<&[f32]> = g.chunks(size).collect();
            let (after, report) =
                clipped(&parts, |t| clip_by_norm(&arith, order, 1.0, NonFinite::Error, t)).unwrap();
            assert_eq!((after.concat(), report), (whole.0[0].clone(), whole.1));
        }
        assert!(norm(&arith, order, &[&whole.0[0]]).to_f64() <= 1.0 + 1e-7);
    }
}

/// Number i of unit k draws its random bits from stream k, i: rows and columns of a matrix that is its own transpose, shape and numbers, give each
/// other's transpose.
#[test]
fn streams_of_units() {
    let rules = Rules { rounding: Rounding::Stochastic, ..Rules::default() };
    let arith = Emulated::new(Format::F16, rules, 5);
    let n = 20;
    let matrix = |f: fn(usize, usize) -> f64| -> Vec<f64> {
        (0..n * n).map(|i| arith.round(f(i / n + i % n, (i / n) * (i % n)))).collect()
    };
    let (weights, g) =
        (matrix(|a, b| (a + b) as f64 / 64.0), matrix(|a, b| (3 * a + 5 * b) as f64 / 8.0 + 1.0));
    let clip = |units, g: &[f64]| {
        let adaptive = Adaptive { clipping: 0.01, eps: 1e-3 };
        clipped(&[g], |g| clip_adaptively(&arith, adaptive, units, n, NonFinite::Error, &weights, g[0]))
            .unwrap()
    };
    let ((rows, by_row), (columns, by_column)) = (clip(Units::Rows, &g), clip(Units::Columns, &g));
    assert_eq!(by_row, by_column);
    assert!((0..n * n).all(|i| rows[0][i] == columns[0][i % n * n + i / n]));
    // Equal numbers: in a row they are rounded both ways, and otherwise in the next row of equal weights.
    let weights = vec![1.0; n * n];
    let (rows, _) = clipped(&[&weights[..]], |g| {
        let adaptive = Adaptive { clipping: 0.3, eps: 1e-3 };
        clip_adaptively(&arith, adaptive, Units::Rows, n, NonFinite::Error, &weights, g[0])
    })
    .unwrap();
    let row = |k: usize| &rows[0][k * n..][..n];
    assert!(row(0).iter().any(|x| *x != row(0)[0]) && row(0) != row(1));
}
