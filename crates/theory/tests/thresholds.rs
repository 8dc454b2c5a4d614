//! Learning rates, initialisations, formats and loss scales.

mod common;

use common::check;
use gradchain_theory::formats::{NumberFormat, depth_until, log2_norm_of};
use gradchain_theory::initialisation::{
    Initialisation, convolution_deviation, layer_variances, relu_backward_factor,
};
use gradchain_theory::learning_rate::{
    balanced_sharpness, edge_of_stability, equal_weights_sharpness, gradient_descent, heavy_ball,
    minimum_sharpness, nesterov,
};
use gradchain_theory::loss_scale::{
    halvings, log2_largest_scale, log2_scale_to_keep, log2_scale_to_normal, log2_scales_that_keep,
    overflows_until_zero, thresholds,
};

fn format(name: &str) -> NumberFormat {
    NumberFormat::named(name).unwrap()
}

#[test]
fn learning_rates() {
    let of = |depth, target| gradient_descent(balanced_sharpness(depth, target).unwrap()).unwrap();
    assert_eq!((of(2, 1.0), of(5, 1.0), of(10, 1.0), of(100, 1.0)), (1.0, 0.4, 0.2, 0.02));
    check("5, 2", of(5, 2.0), "0.1319507911");
    check("10, 3", of(10, 3.0), "0.02768290977");
    assert_eq!(minimum_sharpness(&[2.0, 0.5]).unwrap(), 4.25);
    check("unbalanced", gradient_descent(4.25).unwrap(), "0.470588");
    assert_eq!((heavy_ball(1.0, 0.9).unwrap(), nesterov(1.0, 0.0).unwrap()), (3.8, 2.0));
    check("nesterov", nesterov(1.0, 0.9).unwrap(), "1.357142857");
    assert_eq!(edge_of_stability(0.1).unwrap(), 20.0);
    assert_eq!(equal_weights_sharpness(7, 1.0, 0.25).unwrap(), 7.0 + 0.75 * 6.0);
    assert_eq!(equal_weights_sharpness(2, 1.0, 5.0).unwrap(), 4.0);
    assert_eq!(equal_weights_sharpness(1, 3.0, 5.0).unwrap(), 1.0);
    // A minimum with equal weights is the balanced one, and no minimum is flatter.
    let w = libm::pow(3.0, 0.1);
    assert!(
        (equal_weights_sharpness(10, w, 3.0).unwrap() / balanced_sharpness(10, 3.0).unwrap() - 1.0).abs()
            < 1e-13
    );
    assert!(minimum_sharpness(&[1.0, 3.0, 1.0, 0.5, 2.0]).unwrap() > balanced_sharpness(5, 3.0).unwrap());
    assert_eq!(minimum_sharpness(&[0.0, 2.0, 3.0]).unwrap(), 36.0);
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(
            gradient_descent(bad).is_err()
                && edge_of_stability(bad).is_err()
                && balanced_sharpness(3, bad).is_err()
        );
    }
    assert!(heavy_ball(1.0, 1.0).is_err() && nesterov(1.0, -0.1).is_err());
    assert!(balanced_sharpness(0, 1.0).is_err() && minimum_sharpness(&[]).is_err());
    assert!(minimum_sharpness(&[f64::NAN]).is_err() && equal_weights_sharpness(3, 0.0, 1.0).is_err());
}

/// P14: steps on a quadratic at 0.98 and 1.02 of each threshold.
#[test]
fn thresholds_are_thresholds() {
    let (curvature, b) = (3.7, 0.6);
    let shrinks = |eta: f64, momentum: f64, nesterov: bool| {
        let (mut x, mut v) = (1.0, 0.0);
        for _ in 0..3000 {
            let at = if nesterov { x + momentum * v } else { x };
            v = momentum * v - eta * curvature * at;
            x += v;
        }
        f64::abs(x) < 1e-3
    };
    let rules = [
        (gradient_descent(curvature).unwrap(), 0.0, false),
        (heavy_ball(curvature, b).unwrap(), b, false),
        (nesterov(curvature, b).unwrap(), b, true),
    ];
    for (threshold, momentum, nesterov) in rules {
        assert!(
            shrinks(0.98 * threshold, momentum, nesterov) && !shrinks(1.02 * threshold, momentum, nesterov)
        );
    }
    // Deep linear chains of weights near the balanced minimum: converge or not.
    for (depth, target) in [(2, 1.0), (5, 2.0), (10, 3.0)] {
        let threshold = gradient_descent(balanced_sharpness(depth, target).unwrap()).unwrap();
        for (part, converges) in [(0.98, true), (1.02, false)] {
            let mut w = vec![libm::pow(target, 1.0 / depth as f64) + 1e-3; depth];
            for _ in 0..20_000 {
                let product: f64 = w.iter().product();
                let gradient: Vec<f64> = w.iter().map(|w| (product - target) * product / w).collect();
                for (w, g) in w.iter_mut().zip(gradient) {
                    *w -= part * threshold * g;
                }
            }
            let loss = libm::fabs(w.iter().product::<f64>() - target);
            assert_eq!(loss < 1e-6, converges, "{depth} {target} {part}: {loss}");
        }
    }
    // The Hessian away from a minimum, by differences of the loss.
    for (depth, w, target) in [(4, 1.1, 0.3), (3, 0.8, 4.0)] {
        let loss = |a: &[f64]| {
            let residual = a.iter().product::<f64>() - target;
            0.5 * residual * residual
        };
        let h = 1e-4;
        let second = |direction: &dyn Fn(usize) -> f64| {
            let at = |t: f64| loss(&(0..depth).map(|i| w + t * direction(i)).collect::<Vec<_>>());
            (at(h) - 2.0 * at(0.0) + at(-h)) / (h * h)
        };
        let along = second(&|_| 1.0 / (depth as f64).sqrt());
        let across = second(&|i| [1.0, -1.0].get(i).copied().unwrap_or(0.0) / 2.0_f64.sqrt());
        let expected = equal_weights_sharpness(depth, w, target).unwrap();
        assert!((along.max(across) - expected).abs() < 1e-5, "{along} {across} {expected}");
    }
}

#[test]
fn initialisations() {
    let he = Initialisation::He.variance(9 * 64, 10).unwrap();
    assert_eq!(he, 2.0 / 576.0);
    for (channels, text) in [(64, "0.0589256"), (128, "0.0416667"), (256, "0.0294628"), (512, "0.0208333")] {
        check("He", convolution_deviation(3, channels).unwrap(), text);
    }
    // Standard deviations of 0.01 where He's belong: gradients from conv10 to conv2 shrink by 1.7e4.
    let ratio = |c| convolution_deviation(3, c).unwrap() / 0.01;
    let shrink = ratio(64) * ratio(128) * ratio(128) * ratio(256) * ratio(256) * libm::pow(ratio(512), 4.0);
    check("He", shrink, "16728.8");
    let xavier = Initialisation::Xavier.variance(100, 100).unwrap();
    let factor = relu_backward_factor(100, xavier).unwrap();
    assert!((libm::pow(factor, 22.0) / libm::exp2(-11.0) - 1.0).abs() < 1e-13);
    assert!((libm::pow(factor, 30.0) / libm::exp2(-15.0) - 1.0).abs() < 1e-13);
    for init in Initialisation::ALL {
        assert_eq!(init.name().parse::<Initialisation>().unwrap(), init);
        let by_fan = init.variance(24, 72).unwrap() * 24.0;
        assert!((init.weight_variance(24, 72).unwrap() - by_fan).abs() < 1e-15, "{init}");
        assert!(init.variance(0, 3).is_err() && init.weight_variance(3, 0).is_err());
    }
    assert!("orthogonal".parse::<Initialisation>().is_err());
    assert_eq!(Initialisation::Xavier.weight_variance(24, 72).unwrap(), 0.5);
}

/// Glorot and Bengio: n Var W = 1/3 a layer back, and the same weight gradients in all layers.
#[test]
fn variances_through_layers() {
    let (n, depth) = (50, 12);
    let standard = Initialisation::Torch.variance(n, n).unwrap();
    let layers = layer_variances(&vec![n; depth + 1], &vec![standard; depth]).unwrap();
    for (l, layer) in layers.iter().enumerate() {
        assert!((layer.ln_backward - (depth - 1 - l) as f64 * libm::log(1.0 / 3.0)).abs() < 1e-12);
        assert!((layer.ln_forward - l as f64 * libm::log(1.0 / 3.0)).abs() < 1e-12);
        assert!((layer.ln_weight_gradient - layers[0].ln_weight_gradient).abs() < 1e-12);
    }
    // Rectangles: forward by the inputs of the layers before, backward by the outputs of those behind.
    let layers = layer_variances(&[2, 3, 5], &[0.5, 0.25]).unwrap();
    assert!((layers[1].ln_forward - libm::log(2.0 * 0.5)).abs() < 1e-15);
    assert!((layers[0].ln_backward - libm::log(5.0 * 0.25)).abs() < 1e-15);
    assert!(layer_variances(&[2, 3], &[0.5, 0.25]).is_err() && layer_variances(&[2, 0], &[0.5]).is_err());
    assert!(layer_variances(&[2, 2], &[f64::NAN]).is_err());
    assert!(layer_variances(&[4], &[]).unwrap().is_empty());
}

#[test]
fn formats() {
    let rows = [
        ("f16", 65520.0, -14.0, -24.0, 40),
        ("bf16", 3.396_177_529_23e38, -126.0, -133.0, 261),
        ("f32", 3.402_823_567_8e38, -126.0, -149.0, 277),
        ("f64", f64::INFINITY, -1022.0, -1074.0, 2098),
        ("e4m3", 464.0, -6.0, -9.0, 18),
        ("e5m2", 61440.0, -14.0, -16.0, 32),
        ("tf32", 3.401_992_9e38, -126.0, -136.0, 264),
    ];
    for (name, overflow, normal, subnormal, binades) in rows {
        let f = format(name);
        let same = f.overflow_from() == overflow || (f.overflow_from() / overflow - 1.0).abs() < 3e-8;
        assert!(same, "{name}: {}", f.overflow_from());
        assert_eq!(
            (f.log2_min_normal(), f.log2_min_subnormal(), f.powers_of_two()),
            (normal, subnormal, binades),
            "{name}"
        );
        assert_eq!(f.unit_roundoff(), libm::exp2(-f64::from(f.precision())));
        assert_eq!(f.log2_zero(), subnormal - 1.0);
        if name != "e4m3" {
            let custom = NumberFormat::custom(f.precision(), normal as i32, f.max_exponent()).unwrap();
            assert_eq!(custom, f, "{name}");
        }
    }
    check("f64", format("f64").log2_overflow(), "1024");
    assert!((format("f16").log2_overflow() - libm::log2(65520.0)).abs() < 1e-14);
    assert!(NumberFormat::named("fp16").unwrap_err().to_string().contains("f16, bf16, f32"));
    assert!(NumberFormat::custom(1, -3, 3).is_err() && NumberFormat::custom(5, 3, -3).is_err());
    assert!(NumberFormat::custom(54, -3, 3).is_err() && NumberFormat::custom(5, -2000, 3).is_err());
    assert_eq!(log2_norm_of(-24.0, 256), -20.0);
    assert_eq!(depth_until(0.0, -0.5, -24.0), Some(48.0));
    assert_eq!(depth_until(0.0, 0.5, -24.0), None);
    assert_eq!(depth_until(0.0, 0.0, 16.0), None);
    assert_eq!(depth_until(f64::NAN, 1.0, 16.0), None);
}

/// Micikevicius et al. 2018, and PyTorch's scaler.
#[test]
fn loss_scales() {
    let rows = [
        (1.0, 65520.0, 2.980e-8, 6.104e-5),
        (8.0, 8190.0, 3.725e-9, 7.63e-6),
        (128.0, 511.875, 2.328e-10, 4.77e-7),
        (32768.0, 1.99951, 9.09e-13, 1.86e-9),
        (65536.0, 0.99976, 4.55e-13, 9.31e-10),
    ];
    let f16 = format("f16");
    for (scale, overflow, zero, normal) in rows {
        let t = thresholds(f16, scale).unwrap();
        for (value, printed) in [(t.overflow_from, overflow), (t.zero_up_to, zero), (t.normal_from, normal)] {
            assert!((value / printed - 1.0).abs() < 2e-3, "{scale}: {value} {printed}");
        }
    }
    // 2^-e is not 0 iff S >= 2^(e - 24), and normal iff S >= 2^(e - 14); values down to 2^-27 need S = 8.
    for e in 0..60 {
        let e = f64::from(e);
        assert_eq!((log2_scale_to_keep(f16, -e), log2_scale_to_normal(f16, -e)), (e - 24.0, e - 14.0));
    }
    assert_eq!(log2_scale_to_keep(f16, -27.0), 3.0);
    assert_eq!(
        (log2_scale_to_keep(f16, -26.5), log2_scale_to_keep(f16, f64::NEG_INFINITY)),
        (2.0, f64::INFINITY)
    );
    // Also where a threshold without the scale is no number of f64.
    let wide = thresholds(format("f64"), 4.0).unwrap();
    assert_eq!((wide.overflow_from, wide.normal_from), (libm::exp2(1022.0), libm::exp2(-1024.0)));
    assert_eq!(thresholds(format("f64"), 0.25).unwrap().zero_up_to, libm::exp2(-1073.0));
    assert_eq!(log2_largest_scale(f16, 65519.0).unwrap(), 0.0);
    assert_eq!(log2_largest_scale(f16, 65520.0).unwrap(), -1.0);
    assert_eq!(log2_largest_scale(f16, 1.0).unwrap(), 15.0);
    assert_eq!(log2_largest_scale(format("f64"), f64::MAX).unwrap(), 0.0);
    // A gradient of 100: 7 halvings from 65536 to 512; a gradient of 1 overflows at 65536 at once.
    assert_eq!((halvings(f16, 16, 100.0).unwrap(), halvings(f16, 16, 1.0).unwrap()), (7, 1));
    assert_eq!(halvings(f16, 9, 100.0).unwrap(), 0);
    assert_eq!(log2_scales_that_keep(f16, libm::exp2(-27.0), 100.0).unwrap(), Some((3.0, 9.0)));
    assert_eq!(log2_scales_that_keep(f16, 1e-30, 100.0).unwrap(), None);
    assert_eq!(overflows_until_zero(format("f32"), 16), 166);
    assert_eq!(overflows_until_zero(format("f32"), -200), 0);
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(
            thresholds(f16, bad).is_err()
                && log2_largest_scale(f16, bad).is_err()
                && halvings(f16, 3, bad).is_err()
        );
        assert!(log2_scales_that_keep(f16, bad, 1.0).is_err());
    }
}
