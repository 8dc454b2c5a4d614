//! Items without chance: bits, constants, and integrals to nine digits.

use crate::Item;
use crate::published_scalars::{FORMATS, Fate, TABLE, cell};
use gradchain_arith::{Arithmetic, Emulated, Format, Isa, Native, Real, Rules, f16};
use gradchain_gradients::TorchScaler;
use gradchain_study::{Value, measure};
use gradchain_theory::{Activation, MeanField};
use std::f64::consts::FRAC_1_SQRT_2;

pub(crate) fn items() -> Vec<Item> {
    vec![scalar_chains(), sums(), formats(), mean_field(), closed_forms(), loss_scales()]
}

fn scalar_chains() -> Item {
    let isa = Isa::choose().expect("an instruction set of this machine");
    let mut cases = Vec::new();
    for (gain, fates) in &TABLE {
        for (format, fate) in FORMATS.into_iter().zip(fates) {
            let rows = measure(&cell(format, gain, 100_000), isa).expect("a chain of gains");
            let integer = |name: &str| match rows[0].get(name) {
                Some(Value::Integer(x)) => Some(*x),
                _ => None,
            };
            let number = |name: &str| match rows[0].get(name) {
                Some(Value::Number(x)) => *x,
                _ => f64::NAN,
            };
            let seen = [
                integer("first_infinite").or(integer("first_nan")),
                integer("first_subnormal"),
                integer("first_zero"),
                integer("stuck_at"),
            ];
            cases.push(match *fate {
                Fate::Over(k) => seen == [Some(k), None, None, None],
                Fate::Stuck(k, at, multiple) => {
                    seen == [None, Some(k), None, Some(at)] && number("stuck_multiple") == multiple
                }
                Fate::Zero(k, at) => seen == [None, Some(k), Some(at), None],
                Fate::Normal(at, value) => {
                    seen == [None, None, None, Some(at)] && number("stuck_value") == value
                }
                Fate::Never => seen == [None; 4],
            });
        }
    }
    Item::cases(
        "P1",
        "12 gains in 6 formats: depth of overflow, subnormals, zero, sticking",
        &cases,
        "`gradchain run scalar --set depth=100000 --set gain=0.8 --set format=f16`, and so on",
    )
}

/// Sums that stop growing (Higham and Pranesh 2019).
fn sums() -> Item {
    let arith = |name: &str| Emulated::new(name.parse().expect("a format"), Rules::default(), 0);
    let mut cases = Vec::new();
    // Harmonic sums, each term rounded first: where they stop, and the terms until then.
    for (format, sum, terms) in [("bf16", 5.0625, 65), ("f16", 7.0859375, 513), ("custom:5,-14,15", 3.5, 16)]
    {
        let arith = arith(format);
        let (mut now, mut k) = (0.0, 0);
        loop {
            k += 1;
            let next = arith.add(now, arith.round(1.0 / f64::from(k)));
            if next == now {
                break;
            }
            now = next;
        }
        cases.push((now, k) == (sum, terms));
    }
    let (mut now, mut k) = (0.0_f32, 0_u32);
    loop {
        k += 1;
        let next = now + 1.0 / k as f32;
        if next == now {
            break;
        }
        now = next;
    }
    cases.push((f64::from(now) - 15.403_683).abs() < 5e-7 && k == 2_097_152);
    // Sums of 1/k², the smallest first, in f16, with subnormal numbers and without.
    let f16 = "f16".parse::<Format>().expect("a format");
    for (subnormals, sums) in [
        (gradchain_arith::Subnormals::Keep, [1.634766, 1.643555, 1.644531]),
        (gradchain_arith::Subnormals::Flush, [1.634766, 1.636719, 1.636719]),
    ] {
        let arith = Emulated::new(f16, Rules { subnormals, ..Rules::default() }, 0);
        for (terms, sum) in [100_u32, 1000, 10_000].into_iter().zip(sums) {
            let term = |k: u32| arith.round(1.0 / (f64::from(k) * f64::from(k)));
            let total = (1..=terms).rev().fold(0.0, |total, k| arith.add(total, term(k)));
            cases.push((total - sum).abs() < 5e-7);
        }
    }
    // A sum of ones stops at 2^p.
    for (format, p) in [("f16", 11), ("bf16", 8), ("e4m3", 4), ("e5m2", 3)] {
        let arith = arith(format);
        let total = (0..5000).fold(0.0, |total, _| arith.add(total, 1.0));
        cases.push(total == f64::powi(2.0, p));
    }
    Item::cases(
        "P2",
        "sums of Higham and Pranesh 2019 that stop growing",
        &cases,
        "`gradchain_arith::Emulated::add`",
    )
}

fn formats() -> Item {
    let mut cases = Vec::new();
    for (name, p, emin, emax, max) in [
        ("f16", 11, -14, 15, 65504.0),
        ("bf16", 8, -126, 127, 3.389_531_389_251_535_5e38),
        ("f32", 24, -126, 127, f64::from(f32::MAX)),
        ("f64", 53, -1022, 1023, f64::MAX),
        ("e4m3", 4, -6, 8, 448.0),
        ("e5m2", 3, -14, 15, 57344.0),
    ] {
        let format: Format = name.parse().expect("a format");
        cases.push(
            (format.precision(), format.emin(), format.emax(), format.max()) == (p, emin, emax, max)
                && format.min_subnormal() == f64::powi(2.0, emin) * f64::powi(2.0, 1 - p as i32),
        );
    }
    let arith = Emulated::new("f16".parse().expect("a format"), Rules::default(), 0);
    for (x, rounded) in [
        (65519.0, 65504.0),
        (65520.0, f64::INFINITY),
        (f64::powi(2.0, -25), 0.0),
        (1.0001 * f64::powi(2.0, -25), f64::powi(2.0, -24)),
        (2049.0, 2048.0),
        (2051.0, 2052.0),
    ] {
        cases.push(arith.round(x) == rounded && f16::round_from(x).value() == rounded);
    }
    Item::cases(
        "P3",
        "constants of six formats, and thresholds of f16",
        &cases,
        "`gradchain_arith::Format`, `Emulated::round`",
    )
}

/// χ_1 of smooth networks, by quadrature elsewhere to 12 digits.
fn mean_field() -> Item {
    use Activation::{Erf, Gelu, HardTanh, Identity, Relu, Sigmoid, Silu, Tanh};
    let table = [
        (Identity, 1.1, 0.0, 1.21),
        (Relu, 1.5, 0.0, 1.125),
        (Tanh, 1.1, 0.0, 1.010_189_364_30),
        (Tanh, 1.3, 0.0, 1.064_369_171_03),
        (Tanh, 1.5, 0.0, 1.139_323_224_99),
        (Tanh, 5.0 / 3.0, 0.0, 1.209_831_320_38),
        (Tanh, 2.0, 0.0, 1.362_673_337_52),
        (Tanh, 4.0, 0.0, 2.376_801_583_78),
        (Tanh, 1.0, 0.3, 0.700_258_146_603),
        (Tanh, 1.3, 0.3, 0.939_807_428_682),
        (Tanh, 1.5, 0.3, 1.060_981_264_14),
        (Tanh, 2.5, 0.3, 1.585_224_765_01),
        (Sigmoid, 1.0, 0.0, 0.055_720_706_769_7),
        (Sigmoid, 2.0, 0.0, 0.171_581_354_147),
        (Sigmoid, 4.0, 0.0, 0.398_879_006_544),
        (Erf, 1.0, 0.0, 1.016_902_519_95),
        (Erf, 1.0, 0.3, 0.808_929_983_383),
        (Erf, 2.0, 0.0, 1.532_384_484_53),
        (Gelu, 1.0, 0.3, 0.315_071_114_513),
        (Silu, 1.0, 0.3, 0.277_525_985_858),
        (HardTanh, 1.5, 0.0, 1.409_661_368_63),
    ];
    let distance = |(activation, weight_scale, bias_scale, expected): (Activation, f64, f64, f64)| {
        let growth = MeanField::new(activation, weight_scale, bias_scale).and_then(|field| field.growth(1.0));
        growth.map_or(f64::INFINITY, |growth| (growth.gradient_factor / expected - 1.0).abs())
    };
    worst(
        "χ_1 of 21 networks: largest relative distance",
        table.into_iter().map(distance),
        "`gradchain_theory::MeanField::growth`",
    )
}

/// Closed forms of mean squares of slopes.
fn closed_forms() -> Item {
    use gradchain_theory::moments::slope2;
    use gradchain_theory::special::erf;
    use std::f64::consts::PI;
    let mut distances = Vec::new();
    for q in [0.01, 0.3, 1.0, 3.561_552_812_81, 25.0] {
        let erf_slope = 4.0 / PI / f64::sqrt(1.0 + 4.0 * q);
        let gelu = 0.25
            + libm::asin(q / (1.0 + q)) / (2.0 * PI)
            + q * (3.0 + 5.0 * q) / (2.0 * PI * (1.0 + q) * libm::pow(1.0 + 2.0 * q, 1.5));
        for (activation, expected) in [
            (Activation::Relu, 0.5),
            (Activation::HardTanh, erf(FRAC_1_SQRT_2 / f64::sqrt(q))),
            (Activation::Erf, erf_slope),
            (Activation::Gelu, gelu),
        ] {
            // By quadrature, which knows nothing of them.
            let by_quadrature = gradchain_theory::moments::moments(activation, q).slope2;
            distances.extend([slope2(activation, q), by_quadrature].map(|x| (x / expected - 1.0).abs()));
        }
    }
    worst(
        "closed forms of E φ'²: largest relative distance",
        distances.into_iter(),
        "`gradchain_theory::moments::slope2`",
    )
}

fn worst(what: &str, distances: impl Iterator<Item = f64>, by: &str) -> Item {
    Item {
        id: "P4",
        what: what.to_owned(),
        expected: 0.0,
        measured: distances.fold(0.0, f64::max),
        standard_error: None,
        tolerance: 1e-9,
        by: by.to_owned(),
    }
}

/// Loss scaling in f16 (Micikevicius et al. 2018), and torch's scaler.
fn loss_scales() -> Item {
    let arith = Native::<f16>::new(Isa::PORTABLE);
    let rounded = |x: f64| arith.value(arith.round(x));
    let format: Format = "f16".parse().expect("a format");
    let mut cases = vec![
        rounded(f64::powi(2.0, -25)) == 0.0,
        rounded(1.0001 * f64::powi(2.0, -25)) == f64::powi(2.0, -24),
    ];
    for e in 14..40 {
        for s in 0..24 {
            let scaled = rounded(f64::powi(2.0, s - e));
            cases.push((scaled != 0.0) == (s >= e - 24) && (scaled >= format.min_normal()) == (s >= e - 14));
        }
    }
    // A gradient of 100 in f16 under torch's GradScaler: seven halvings, to 512.
    let mut halvings = 0;
    if let Ok(mut scaler) = TorchScaler::new(65536.0, 2.0, 0.5, 2000) {
        loop {
            let overflowed = !rounded(100.0 * f64::from(scaler.scale())).is_finite();
            if !overflowed || scaler.update(&[true]).is_err() {
                break;
            }
            halvings += 1;
        }
        cases.push(halvings == 7 && scaler.scale() == 512.0);
    }
    Item::cases(
        "P16",
        "loss scales in f16 that keep 2^-e, and torch's scaler",
        &cases,
        "`gradchain_arith::Native::<f16>::round`, `gradchain_gradients::TorchScaler`",
    )
}
