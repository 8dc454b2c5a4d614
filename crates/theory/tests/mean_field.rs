//! Mean-field predictions against published tables, closed forms, differences, and simulated networks.

mod common;

use common::check;
use gradchain_theory::Activation::{self, *};
use gradchain_theory::MeanField;
use gradchain_theory::criticality::{critical_at, critical_with_bias, critical_with_weights, half_stable};
use gradchain_theory::finite_width::{log_variance_coefficient, mean_log_growth, rate_standard_error};
use gradchain_theory::mean_field::{Limit, depth_scale, trainable_depth};
use gradchain_theory::moments::{closed_slope2, closed_value2, moments, slope2, value2};
use gradchain_theory::quadrature::gaussian_mean;

fn field(activation: Activation, weight_scale: f64, bias_scale: f64) -> MeanField {
    MeanField::new(activation, weight_scale, bias_scale).unwrap()
}

/// activation, σ_w, σ_b, q*, χ_1, log2(χ_1)/2, ξ.
const GROWTH: [(Activation, f64, f64, &str, &str, &str, &str); 19] = [
    (Tanh, 1.1, 0.0, "0.112749885865", "1.01018936430", "0.00731287883", "-98.64"),
    (Tanh, 1.3, 0.0, "0.408983225651", "1.06436917103", "0.04499931453", "-16.03"),
    (Tanh, 1.5, 0.0, "0.793354042607", "1.13932322499", "0.09408854821", "-7.667"),
    (Tanh, 5.0 / 3.0, 0.0, "1.17848049039", "1.20983132038", "0.1374029575", "-5.250"),
    (Tanh, 2.0, 0.0, "2.12147356820", "1.36267333752", "0.2232198791", "-3.232"),
    (Tanh, 4.0, 0.0, "12.5006010101", "2.37680158378", "0.6245107358", "-1.155"),
    (Tanh, 1.0, 0.3, "0.276299192872", "0.700258146603", "-0.2570206163", "2.80657"),
    (Tanh, 1.3, 0.3, "0.607046791909", "0.939807428682", "-0.04478146168", "16.1082"),
    (Tanh, 1.5, 0.3, "0.960844279740", "1.06098126414", "0.04269958997", "-16.89"),
    (Tanh, 2.5, 0.3, "4.07912387528", "1.58522476501", "0.3323437055", "-2.170"),
    (Sigmoid, 1.0, 0.0, "0.264686875182", "0.0557207067697", "-2.082821316", "0.34633"),
    (Sigmoid, 2.0, 0.0, "1.19691434340", "0.171581354147", "-1.271517656", "0.56731"),
    (Sigmoid, 4.0, 0.0, "5.85540356441", "0.398879006544", "-0.6629884501", "1.08802"),
    (Erf, 1.0, 0.0, "0.141923765314", "1.01690251995", "0.0120906947", "-59.66"),
    (Erf, 1.0, 0.3, "0.369353191502", "0.808929983383", "-0.1529566294", "4.71603"),
    (Erf, 2.0, 0.0, "2.51149802169", "1.53238448453", "0.3078891618", "-2.343"),
    (Gelu, 1.0, 0.3, "0.128671774602", "0.315071114513", "-0.8331252998", "0.86583"),
    (Silu, 1.0, 0.3, "0.123460614286", "0.277525985858", "-0.9246526159", "0.78013"),
    (HardTanh, 1.5, 0.0, "1.26256170360", "1.40966136863", "0.2476743187", "-2.912"),
];

#[test]
fn growth_of_networks_with_a_fixed_point() {
    for (activation, weight, bias, q, factor, rate, depth) in GROWTH {
        let what = format!("{activation} {weight} {bias}");
        for start in [1e-3, 1.0, 50.0] {
            let growth = field(activation, weight, bias).growth(start).unwrap();
            assert_eq!(growth.limit, Limit::Reached(growth.variance));
            check(&what, growth.variance, q);
            check(&what, growth.gradient_factor, factor);
            check(&what, growth.rate_log2, rate);
            check(&what, growth.gradient_depth, depth);
            assert!(growth.variance_factor > 0.0 && growth.variance_factor < 1.0, "{what}: stable");
            assert_eq!(growth.gradient_depth, depth_scale(growth.gradient_factor));
        }
    }
}

/// Linear and ReLU networks, the default initialisation of PyTorch, SELU.
#[test]
fn growth_without_one() {
    let of = |activation, variance, start: f64| {
        MeanField::from_variances(activation, variance, 0.0).unwrap().growth(start).unwrap()
    };
    for (weight, rate, depth) in [(1.1, "0.137503524", "-5.246"), (0.9, "-0.152003093", "4.746")] {
        let growth = field(Identity, weight, 0.0).growth(1.0).unwrap();
        check("linear", growth.rate_log2, rate);
        check("linear", growth.gradient_depth, depth);
        assert_eq!(growth.limit, if weight > 1.0 { Limit::Diverges } else { Limit::Reached(0.0) });
    }
    check("relu 1", of(Relu, 1.0, 1.0).rate_log2, "-0.5");
    check("relu 1", of(Relu, 1.0, 1.0).gradient_depth, "1.4427");
    check("relu 1.5", field(Relu, 1.5, 0.0).growth(1.0).unwrap().rate_log2, "0.0849625007");
    check("relu 2", field(Relu, 2.0, 0.0).growth(1.0).unwrap().rate_log2, "0.5");
    check("relu torch", of(Relu, 1.0 / 3.0, 1.0).rate_log2, "-1.29248125");
    check("linear torch", of(Identity, 1.0 / 3.0, 1.0).rate_log2, "-0.79248125");
    let tanh = of(Tanh, 1.0 / 3.0, 1.0);
    assert_eq!(tanh.limit, Limit::Reached(0.0));
    check("tanh torch", tanh.rate_log2, "-0.79248125");
    let he = of(Relu, 2.0, 0.7);
    assert_eq!((he.limit, he.variance, he.gradient_factor), (Limit::Kept, 0.7, 1.0));
    assert_eq!(he.gradient_depth, f64::INFINITY);
    assert_eq!(of(LeakyRelu, 1.0, 1.0).gradient_factor, (1.0 + 1e-4) / 2.0);
    let selu = of(Selu, 1.0, 3.0);
    assert!((selu.variance - 1.0).abs() < 1e-12, "{selu:?}");
    check("selu", selu.gradient_factor, "1.071574992");
    check("selu", selu.rate_log2, "0.0498664");
    // Sigmoid is tanh of half the argument, halved and shifted.
    let (one, other) =
        (field(Sigmoid, 4.0, 0.0).growth(1.0).unwrap(), field(Tanh, 1.0, 1.0).growth(1.0).unwrap());
    assert!((one.gradient_factor - other.gradient_factor).abs() < 1e-13);
    assert_eq!(trainable_depth(-2.0), 12.0);
}

#[test]
fn limits_are_found_from_anywhere() {
    // Fixed points on both sides of an unstable one: GELU falls to a small q below it and diverges above.
    let gelu = MeanField::from_variances(Gelu, 1.95, 0.1).unwrap();
    let Limit::Reached(low) = gelu.limit(1.0).unwrap() else { panic!("no fixed point") };
    assert!((gelu.next_variance(low) / low - 1.0).abs() < 1e-13);
    assert!(gelu.variance_factor(low) < 1.0);
    let wide = MeanField::from_variances(Gelu, 2.05, 0.01).unwrap();
    let Limit::Reached(stable) = wide.limit(0.0).unwrap() else { panic!("no fixed point") };
    assert_eq!(wide.limit(1e4).unwrap(), Limit::Diverges);
    assert_eq!(wide.growth(1e4).unwrap().gradient_factor, 1.025);
    // From both sides, and after many iterations of the map itself.
    let Limit::Reached(same) = wide.limit(2.0 * stable).unwrap() else { panic!("no fixed point") };
    assert!((same / stable - 1.0).abs() < 1e-12);
    let mut q = 0.0;
    for _ in 0..3000 {
        q = wide.next_variance(q);
    }
    assert!((q / stable - 1.0).abs() < 1e-10, "{q} {stable}");
    // Coming from above, GELU at its half-stable point finds two fixed points that are nearly one, between two points of the search; a little
    // less bias, and there is only the stable one further down.
    let point = half_stable(Gelu)[0];
    let from_above = |shift: f64| {
        let field =
            MeanField::from_variances(Gelu, point.weight_variance, point.bias_variance + shift).unwrap();
        let Limit::Reached(q) = field.limit(10.0).unwrap() else { panic!("no fixed point") };
        q
    };
    assert!(
        from_above(1e-9) > point.variance && from_above(1e-9) < 1.05 * point.variance,
        "{}",
        from_above(1e-9)
    );
    assert!((from_above(0.0) / point.variance - 1.0).abs() < 1e-3, "{}", from_above(0.0));
    check("stable", from_above(-1e-9), "3.035");
    // Slowly to zero, and tiny biases.
    assert_eq!(field(Tanh, 1.0, 0.0).limit(1.0).unwrap(), Limit::Reached(0.0));
    let Limit::Reached(tiny) = field(Tanh, 0.5, 1e-20).limit(1.0).unwrap() else { panic!() };
    assert!((tiny / (1e-40 / 0.75) - 1.0).abs() < 1e-12, "{tiny}");
    let Limit::Reached(close) = MeanField::from_variances(Tanh, 1.0 + 1e-6, 0.0).unwrap().limit(1.0).unwrap()
    else {
        panic!()
    };
    // σ_w² (1 - 2q + 17/3 q²) = 1.
    assert!((close / 5e-7 - 1.0).abs() < 2e-6, "{close}");
    assert_eq!(field(Identity, 1.0, 0.1).limit(1.0).unwrap(), Limit::Diverges);
    assert_eq!(field(Sigmoid, 0.0, 0.5).limit(1.0).unwrap(), Limit::Reached(0.25));
    for activation in Activation::ALL {
        for weight in [0.1, 1.4, 1e50] {
            for start in [0.0, 1.0, 1e299] {
                let growth = field(activation, weight, 0.2).growth(start).unwrap();
                assert!(growth.gradient_factor >= 0.0, "{activation} {weight} {start}: {growth:?}");
                if let Limit::Reached(q) = growth.limit {
                    let next = field(activation, weight, 0.2).next_variance(q);
                    assert!((next / q - 1.0).abs() < 1e-12, "{activation} {weight} {start}: {q} -> {next}");
                }
            }
        }
    }
}

#[test]
fn critical_pairs() {
    let pairs = [
        (Tanh, 0.05, "1.12253900477", "0.153691936"),
        (Tanh, 0.1, "1.19340072502", "0.273300913"),
        (Tanh, 0.2, "1.30414584006", "0.512078504"),
        (Tanh, 0.3, "1.39558397515", "0.763474767"),
        (Tanh, 0.5, "1.54967391251", ""),
        (Tanh, 1.0, "1.85558910114", ""),
        (Erf, 0.1, "1.05559464919", ""),
        (Erf, 0.3, "1.23367250584", ""),
        (HardTanh, 0.1, "1.02570035069", ""),
        (HardTanh, 0.3, "1.11614499966", ""),
        (Sigmoid, 0.0, "10.14926371", ""),
    ];
    for (activation, bias, weight, q) in pairs {
        let [point] = critical_with_bias(activation, bias).unwrap()[..] else {
            panic!("{activation} {bias}")
        };
        check(activation.name(), point.weight_variance.sqrt(), weight);
        if !q.is_empty() {
            check(activation.name(), point.variance, q);
        }
        // It is a fixed point of the network itself, which is critical.
        let growth = field(activation, point.weight_variance.sqrt(), bias).growth(1.0).unwrap();
        assert!((growth.gradient_factor - 1.0).abs() < 1e-9, "{activation} {bias}: {growth:?}");
        assert!((growth.variance_factor - point.variance_factor).abs() < 1e-8);
        // And the way back.
        let back = critical_with_weights(activation, point.weight_variance).unwrap();
        let nearest = back.iter().map(|p| (p.bias_variance.sqrt() - bias).abs()).fold(1.0, f64::min);
        assert!(nearest < 1e-5, "{activation} {bias}: {back:?}");
    }
    // Published: σ_b² = 0.05 has 1.76; σ_w² = 1.05 has 2.01e-5 (Pennington, Schoenholz and Ganguli 2017).
    let tanh = critical_with_bias(Tanh, 0.05_f64.sqrt()).unwrap()[0];
    check("tanh", tanh.weight_variance, "1.760955");
    let tanh = critical_with_weights(Tanh, 1.05).unwrap()[0];
    check("tanh", tanh.bias_variance * 1e5, "2.010521");
    // Without biases: σ_w = 1 for tanh, π/4 for erf; ReLU has 2 alone.
    assert_eq!(critical_with_bias(Tanh, 0.0).unwrap()[0].weight_variance, 1.0);
    assert!(
        (critical_with_bias(Erf, 0.0).unwrap()[0].weight_variance - std::f64::consts::FRAC_PI_4).abs()
            < 1e-15
    );
    assert_eq!(critical_with_bias(Relu, 0.0).unwrap()[0].weight_variance, 2.0);
    assert!(critical_with_bias(Relu, 0.1).unwrap().is_empty());
    assert_eq!(critical_with_weights(Relu, 2.0).unwrap().len(), 1);
    assert!(critical_with_weights(Relu, 2.1).unwrap().is_empty());
    assert!(critical_with_weights(Tanh, 0.9).unwrap().is_empty());
    // Accurate values for σ_b² = 0.04, where public tables of Hayou et al. have 1.722 and 2.952.
    check("tanh", critical_with_bias(Tanh, 0.2).unwrap()[0].weight_variance, "1.700796");
    let silu: Vec<f64> = critical_with_bias(Silu, 0.2).unwrap().iter().map(|p| p.weight_variance).collect();
    assert!(silu.iter().any(|&w| (w - 2.820826).abs() < 5e-7), "{silu:?}");
}

/// Roberts, Yaida and Hanin 2021.
#[test]
fn half_stable_points() {
    let [gelu] = half_stable(Gelu)[..] else { panic!() };
    assert!((gelu.variance - (3.0 + 17.0_f64.sqrt()) / 2.0).abs() < 1e-12, "{gelu:?}");
    check("gelu", gelu.weight_variance, "1.98305825744");
    check("gelu", gelu.bias_variance, "0.172922390756");
    let [silu] = half_stable(Silu)[..] else { panic!() };
    check("silu", silu.variance, "14.3201736");
    check("silu", silu.weight_variance, "1.98800467827");
    check("silu", silu.bias_variance, "0.555143170722");
    for point in [gelu, silu] {
        assert!((point.variance_factor - 1.0).abs() < 1e-13);
    }
    for activation in [Identity, Relu, LeakyRelu, Tanh, Erf, HardTanh, Sigmoid, Softplus, Selu] {
        assert!(half_stable(activation).is_empty(), "{activation}");
    }
    assert!(critical_at(Sigmoid, 0.1).is_err(), "σ_b² would be negative");
}

/// Quadrature against closed forms, over q where these keep their digits.
#[test]
fn closed_forms() {
    for activation in Activation::ALL {
        for k in -30..=30 {
            let q = libm::exp2(f64::from(k) / 3.0);
            let by_quadrature = moments(activation, q);
            let pairs = [
                (closed_value2(activation, q), value2(activation, q), by_quadrature.value2),
                (closed_slope2(activation, q), slope2(activation, q), by_quadrature.slope2),
            ];
            for (i, (closed, used, quadrature)) in pairs.into_iter().enumerate() {
                let loses = matches!(activation, Elu | Selu | HardTanh);
                let tolerance = if loses { 1e-15 * q.max(1.0 / q) + 1e-13 } else { 3e-14 };
                assert!((used / quadrature - 1.0).abs() < 3e-14, "{activation} {q} {i}: {used} {quadrature}");
                if let Some(closed) = closed.filter(|closed| closed.is_finite()) {
                    let error = (closed / quadrature - 1.0).abs();
                    assert!(
                        error < tolerance || q > 60.0 && loses,
                        "{activation} {q} {i}: {closed} {quadrature}"
                    );
                }
            }
        }
    }
    // χ_q of erf from its closed form: (4/π) / ((1 + 2q) √(1 + 4q)).
    for q in [0.01_f64, 0.5, 3.0, 40.0] {
        let closed = 4.0 / std::f64::consts::PI / ((1.0 + 2.0 * q) * (1.0 + 4.0 * q).sqrt());
        let factor = field(Erf, 1.0, 0.0).variance_factor(q);
        assert!((factor / closed - 1.0).abs() < 1e-13, "{q}: {factor} {closed}");
    }
}

/// χ_q and d/dq E φ'² by Stein's lemma, `d/dq E f = E[f (z² - 1)] / (2q)`, which needs no derivative of f and knows no kinks; χ_q is never negative.
#[test]
fn derivatives_by_another_way() {
    for activation in Activation::ALL {
        let kinks: Vec<f64> = activation.kinks().iter().map(|kink| kink.at).collect();
        for q in [0.05, 0.3, 1.0, 2.7, 20.0] {
            let [value, slope] = gaussian_mean(q, &kinks, |x| {
                let (value, slope) = (activation.value(x), activation.slope(x));
                let weight = (x * x / q - 1.0) / (2.0 * q);
                [value * value * weight, slope * slope * weight]
            });
            let factor = field(activation, 1.0, 0.0).variance_factor(q);
            assert!((factor - value).abs() < 1e-12, "{activation} {q}: {factor} {value}");
            assert!(factor >= 0.0);
            let rate = moments(activation, q).slope2_rate;
            assert!((rate - slope).abs() < 1e-12, "{activation} {q}: {rate} {slope}");
        }
    }
}

/// Slopes and curvatures against differences of values.
#[test]
fn activations() {
    for activation in Activation::ALL {
        assert_eq!(activation.name().parse::<Activation>().unwrap(), activation);
        for k in -37..=37 {
            let x = f64::from(k) * 0.173 + 0.01;
            let h = 1e-4;
            let slope = (activation.value(x + h) - activation.value(x - h)) / (2.0 * h);
            assert!((slope - activation.slope(x)).abs() < 2e-8, "{activation} {x}: {slope}");
            let curvature = (activation.slope(x + h) - activation.slope(x - h)) / (2.0 * h);
            assert!((curvature - activation.curvature(x)).abs() < 1e-7, "{activation} {x}: {curvature}");
            assert!(
                activation.slope(x).abs() <= activation.steepest_slope() * (1.0 + 1e-15),
                "{activation} {x}"
            );
        }
        let (left, right) = activation.outer_slopes();
        assert_eq!((activation.slope(-1e9).abs(), activation.slope(1e9)), (left, right), "{activation}");
        for x in [-1e300, -1e150, -800.0, 800.0, 1e150, 1e300] {
            assert!(activation.slope(x).is_finite() && activation.curvature(x) == 0.0, "{activation} {x}");
        }
    }
    check("gelu", Gelu.steepest_slope(), "1.1289");
    check("silu", Silu.steepest_slope(), "1.0998");
}

/// The coefficient of the variance of ln‖g‖² (worked out here; simulation of tanh(1.5, 0.3) at width 96 gave 4.47 ± 0.18).
#[test]
fn finite_width() {
    let of = |activation, weight, bias| {
        let field = field(activation, weight, bias);
        log_variance_coefficient(field, &field.growth(1.0).unwrap()).unwrap()
    };
    check("tanh", of(Tanh, 1.5, 0.3), "4.621");
    check("tanh", of(Tanh, 2.0, 0.0), "6.312");
    check("tanh", of(Tanh, 1.0, 0.3), "2.832");
    check("sigmoid", of(Sigmoid, 1.0, 0.0), "2.068");
    assert_eq!(of(Identity, 1.0, 0.0), 2.0);
    assert_eq!(of(Relu, 1.4, 0.0), 5.0);
    assert_eq!(of(Tanh, 0.5, 0.0), 2.0);
    let gelu = of(Gelu, 1.4, 0.4);
    assert!((gelu - 39.0).abs() < 0.5, "{gelu}");
    // P5: tanh(1.5, 0.3) at n = 512, d = 30 with 20 draws; 4 standard errors and the shift are 0.017.
    let error = rate_standard_error(4.621, 512, 30, 20).unwrap();
    let tolerance = 4.0 * error + (4.621 / 2.0 + 2.0) / 512.0 / (2.0 * std::f64::consts::LN_2);
    check("tolerance", tolerance, "0.017");
    assert_eq!(mean_log_growth(1.0, 5.0, 100).unwrap(), -0.025);
}

#[test]
fn transients() {
    let tanh = field(Tanh, 1.5, 0.3);
    let layers = tanh.transient(2.34, 200).unwrap();
    assert_eq!(layers[0].variance, 2.34);
    assert_eq!(layers[1].variance, tanh.next_variance(2.34));
    assert!((layers[199].gradient_factor - 1.06098126414).abs() < 1e-11);
    // The deviation falls by χ_q a layer.
    let growth = tanh.growth(1.0).unwrap();
    let deviation = |l: usize| layers[l].variance - growth.variance;
    assert!((deviation(21) / deviation(20) / growth.variance_factor - 1.0).abs() < 1e-3);
    let linear = field(Identity, 1e50, 0.0).transient(1.0, 5).unwrap();
    assert_eq!(linear[4].variance, f64::INFINITY);
    assert!(linear.iter().all(|layer| layer.gradient_factor == 1e50 * 1e50));
    assert!(tanh.transient(1.0, 0).unwrap().is_empty());
}

#[test]
fn bad_input() {
    for (weight, bias) in [(-1.0, 0.0), (f64::NAN, 0.0), (1.0, f64::INFINITY), (1.0, -0.1), (1e101, 0.0)] {
        let error = MeanField::new(Tanh, weight, bias).unwrap_err().to_string();
        assert!(error.contains("_scale = ") && error.contains("allowed: 0 to 1e100"), "{error}");
    }
    for start in [-1.0, f64::NAN, f64::INFINITY, 1e301] {
        assert!(field(Tanh, 1.0, 0.0).growth(start).is_err());
        assert!(field(Tanh, 1.0, 0.0).transient(start, 3).is_err());
        assert!(critical_at(Tanh, start).is_err());
    }
    assert!(critical_with_bias(Tanh, f64::NAN).is_err());
    assert!(critical_with_weights(Tanh, 0.0).is_err());
    let error = "swish".parse::<Activation>().unwrap_err().to_string();
    assert!(error.contains("`swish`") && error.contains("gelu-tanh"), "{error}");
}
