//! Error bounds, stagnation and sticking, crossings of thresholds, and the random-walk law, against arithmetic that is rounded here.

mod common;

use common::{check, standard_normal};
use gradchain_theory::error_bounds::{
    BlockMode, block_product, gamma, inner_product_probability, log2_bound_over_norm, probabilistic_gamma,
    probability,
};
use gradchain_theory::formats::NumberFormat;
use gradchain_theory::scalar_chains::{
    crossing, largest_lost_addend, lost_update_ratios, sticking_multiple, sum_of_ones,
};
use gradchain_theory::{
    NEAREST_RMS, STOCHASTIC_RMS, gaussian_growth, matrix_chain_drift, scalar_chain_drift,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const U16: f64 = 1.0 / 2048.0;
const UB16: f64 = 1.0 / 256.0;
const U32: f64 = 1.0 / 16_777_216.0;

#[test]
fn bounds() {
    let close = |value: f64, printed: f64| assert!((value / printed - 1.0).abs() < 5e-6, "{value} {printed}");
    for (unit, bound, likely) in
        [(U16, 0.051_334_7, 0.004_918_72), (UB16, 0.641_026, 0.041_429_6), (U32, 5.960_50e-6, 5.960_47e-7)]
    {
        close(gamma(100, unit), bound);
        close(probabilistic_gamma(100, unit, 1.0), likely);
    }
    close(gamma(1000, U16), 0.954_198);
    close(probabilistic_gamma(1000, U16, 1.0), 0.015_802_9);
    // n u = 1: void.
    assert_eq!((gamma(2048, U16), gamma(256, UB16)), (f64::INFINITY, f64::INFINITY));
    assert!(gamma(2047, U16).is_finite());
    assert_eq!(gamma(0, U16), 0.0);
    assert!(gamma(3, -1.0).is_nan() && gamma(3, f64::NAN).is_nan());
    assert!(probabilistic_gamma(3, 1.0, 1.0).is_nan() && probabilistic_gamma(3, U16, -1.0).is_nan());
    check("λ = 4", probability(4.0, 0.0), "0.99932907");
    assert_eq!((probability(0.1, 0.0), inner_product_probability(1_000_000, 1.0, U16)), (0.0, 0.0));
    assert!(inner_product_probability(1000, 7.0, U16) > 1.0 - 1e-7);
    assert!((inner_product_probability(1, 3.0, U16) - probability(3.0, U16)).abs() < 1e-15);
    for (mode, printed) in [
        (BlockMode::F16, 0.500_977),
        (BlockMode::BlocksToF16, 0.126_038),
        (BlockMode::BlocksToF32, 0.001_037_6),
        (BlockMode::F32, 6.103_52e-5),
    ] {
        assert!((block_product(1024, mode) / printed - 1.0).abs() < 1e-5, "{mode:?}");
    }
    assert_eq!(log2_bound_over_norm(100, 0), 0.0);
    check("100, 2", log2_bound_over_norm(100, 2), "5.992360");
}

/// Round to nearest, ties to even, to p bits with the least exponent of a format.
fn round(x: f64, format: NumberFormat) -> f64 {
    if x == 0.0 {
        return 0.0;
    }
    let (_, exponent) = libm::frexp(x);
    let quantum = (exponent - format.precision() as i32).max(format.log2_min_subnormal() as i32);
    let scaled = libm::scalbn(x, -quantum);
    let rounded = libm::scalbn(scaled.round_ties_even(), quantum);
    if rounded.abs() > format.largest() { f64::INFINITY } else { rounded }
}

/// Products of numbers of up to 24 bits are exact in f64 as long as the format's range is far from that of f64.
const SMALL: [&str; 5] = ["f16", "bf16", "f32", "e4m3", "e5m2"];

#[test]
fn sticking() {
    for name in SMALL {
        let format = NumberFormat::named(name).unwrap();
        let least = libm::exp2(format.log2_min_subnormal());
        for factor in [0.51, 0.6, std::f64::consts::FRAC_1_SQRT_2, 0.75, 0.8, 0.9, 0.96875, 0.99, 0.5, 0.25] {
            let r = round(factor, format);
            let mut g = 1.0;
            for _ in 0..30_000 {
                g = round(g * r, format);
            }
            let predicted = if r == 1.0 { 1.0 / least } else { sticking_multiple(r).unwrap_or(0) as f64 };
            assert_eq!(g / least, predicted, "{name} {factor}");
        }
    }
    // The published table: 0.8, 0.9, 0.99 and 1/√2, in f64 as well.
    assert_eq!(sticking_multiple(0.8), Some(2));
    assert_eq!(sticking_multiple(0.9), Some(5));
    assert_eq!(sticking_multiple(0.99), Some(49));
    assert_eq!(sticking_multiple(std::f64::consts::FRAC_1_SQRT_2), Some(1));
    assert_eq!(sticking_multiple(round(0.9, NumberFormat::named("f16").unwrap())), Some(4));
    assert_eq!(sticking_multiple(round(0.99, NumberFormat::named("f16").unwrap())), Some(51));
    assert_eq!(sticking_multiple(1.0 - U16), Some(1024));
    assert_eq!(sticking_multiple(1.0_f64.next_down()), Some(1 << 52));
    for factor in [0.5, 0.0, -0.8, 1.0, 1.5, f64::NAN, f64::INFINITY] {
        assert_eq!(sticking_multiple(factor), None);
    }
}

#[test]
fn crossings() {
    for name in SMALL {
        let format = NumberFormat::named(name).unwrap();
        for factor in [1.01, 1.1, std::f64::consts::SQRT_2, 1.5, 2.0, 0.99, 0.9, 0.8, 0.7, 0.5, 0.25] {
            let r = round(factor, format);
            let rising = r > 1.0;
            let threshold = if rising { format.log2_overflow() } else { format.log2_min_normal() };
            let predicted = crossing(r, threshold, format.unit_roundoff()).unwrap();
            let least = libm::exp2(format.log2_min_normal());
            let mut g = 1.0;
            let depth = (1..20_000).find(|_| {
                g = round(g * r, format);
                if rising { g.is_infinite() } else { g < least }
            });
            match (depth, predicted) {
                (None, None) => assert_eq!(r, 1.0, "{name} {factor}"),
                (Some(depth), Some(range)) => {
                    let depth = depth as u64;
                    assert!(depth >= range.earliest, "{name} {factor}: {depth} {range:?}");
                    assert!(
                        range.latest.is_none_or(|latest| depth <= latest),
                        "{name} {factor}: {depth} {range:?}"
                    );
                    assert!(
                        range.earliest <= range.exact
                            && range.latest.is_none_or(|latest| range.exact <= latest)
                    );
                }
                // Held back by roundings for ever: the bound must allow it.
                (None, Some(range)) => assert_eq!(range.latest, None, "{name} {factor}"),
                (Some(_), None) => panic!("{name} {factor}: not predicted"),
            }
        }
    }
    // Exact powers need no range: 2 overflows f16 at 16, 1/4 is subnormal at 8; f64 as published.
    let at = |factor: f64, threshold: f64| crossing(factor, threshold, 0.0).unwrap().unwrap().exact;
    let f64_ = NumberFormat::named("f64").unwrap();
    assert_eq!((at(2.0, libm::log2(65520.0)), at(0.25, -14.0), at(0.5, -14.0)), (16, 8, 15));
    let expected = [(1.5, 1751), (2.0, 1024), (1.1, 7448), (1.01, 71333), (std::f64::consts::SQRT_2, 2048)];
    for (factor, depth) in expected {
        assert_eq!(at(factor, f64_.log2_overflow()), depth, "{factor}");
    }
    for (factor, depth) in [(0.8, 3175), (0.9, 6724), (0.25, 512), (0.5, 1023), (0.99, 70485)] {
        assert_eq!(at(factor, f64_.log2_min_normal()), depth, "{factor}");
    }
    assert_eq!(crossing(1.5, -14.0, U16).unwrap(), None);
    assert_eq!(crossing(1.0, 16.0, U16).unwrap(), None);
    for (factor, threshold, unit) in
        [(0.0, 1.0, U16), (f64::NAN, 1.0, U16), (2.0, f64::INFINITY, U16), (2.0, 1.0, 1.0)]
    {
        assert!(crossing(factor, threshold, unit).is_err());
    }
}

/// Higham and Pranesh 2019: a sum of ones stops at 2^p, the harmonic sum where its terms become lost addends.
#[test]
fn stagnation() {
    let published = [("bf16", 5.0625, 65), ("f16", 7.0859375, 513), ("f32", 15.403683, 2_097_152)];
    for (name, value, terms) in published {
        let format = NumberFormat::named(name).unwrap();
        let p = format.precision();
        if p < 20 {
            let mut ones = 0.0;
            for _ in 0..5000 {
                ones = round(ones + 1.0, format);
            }
            assert_eq!(ones, sum_of_ones(p));
        }
        let (mut sum, mut k) = (0.0, 0);
        loop {
            k += 1;
            let term = round(1.0 / f64::from(k), format);
            let next = round(sum + term, format);
            if next == sum {
                assert!(term <= largest_lost_addend(sum, p), "{name}");
                break;
            }
            assert!(term >= largest_lost_addend(sum, p), "{name} {k}");
            sum = next;
        }
        assert!((sum - value).abs() < 5e-7 && k == terms, "{name}: {sum} after {k}");
    }
    for (p, ones) in [(11, 2048.0), (8, 256.0), (24, 16_777_216.0), (4, 16.0), (3, 8.0)] {
        assert_eq!(sum_of_ones(p), ones);
    }
    assert_eq!(lost_update_ratios(11), (2048.0, 4096.0));
    assert_eq!((largest_lost_addend(0.0, 11), largest_lost_addend(-1.0, 11)), (0.0, U16));
    assert!(largest_lost_addend(f64::INFINITY, 11).is_nan());
}

/// P13: 20 000 chains of 100 random factors in f32; the standard error of a root mean square of normal drifts is `1/√(2N)` = 0.5%, tolerance 4 of
/// them.
#[test]
fn random_walk() {
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let (chains, depth) = (20_000, 100);
    let (mut nearest, mut stochastic) = (0.0, 0.0);
    for _ in 0..chains {
        let (mut exact, mut near, mut random) = (1.0, 1.0_f32, 1.0_f32);
        for _ in 0..depth {
            let factor = libm::exp(0.3 * standard_normal(&mut rng)) as f32;
            exact *= f64::from(factor);
            near *= factor;
            // Up with the probability of the distance from the lower neighbour.
            let product = f64::from(random) * f64::from(factor);
            let below = if f64::from(product as f32) > product {
                (product as f32).next_down()
            } else {
                product as f32
            };
            let gap = f64::from(below.next_up()) - f64::from(below);
            random = if (product - f64::from(below)) / gap > rng.random::<f64>() {
                below.next_up()
            } else {
                below
            };
        }
        nearest += libm::pow(f64::from(near) / exact - 1.0, 2.0);
        stochastic += libm::pow(f64::from(random) / exact - 1.0, 2.0);
    }
    for (squares, constant) in [(nearest, NEAREST_RMS), (stochastic, STOCHASTIC_RMS)] {
        let measured = (squares / f64::from(chains)).sqrt();
        let predicted = scalar_chain_drift(U32, depth, constant);
        assert!((measured / predicted - 1.0).abs() < 0.02, "{measured} {predicted}");
    }
}

/// Matrix chains with storage in f32 and sums in f64: 10% with 200 chains of width 32, depth 12.
#[test]
fn matrix_chains() {
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    let (n, depth, chains) = (32, 12, 200);
    let mut squares = 0.0;
    for _ in 0..chains {
        let mut exact: Vec<f64> = (0..n).map(|_| f64::from(standard_normal(&mut rng) as f32)).collect();
        let mut stored = exact.clone();
        for _ in 0..depth {
            let w: Vec<f64> = (0..n * n)
                .map(|_| f64::from((standard_normal(&mut rng) / (n as f64).sqrt()) as f32))
                .collect();
            let times = |x: &[f64]| -> Vec<f64> {
                w.chunks(n).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
            };
            exact = times(&exact);
            stored = times(&stored).iter().map(|&x| f64::from(x as f32)).collect();
        }
        let difference: f64 = exact.iter().zip(&stored).map(|(a, b)| (a - b) * (a - b)).sum();
        squares += difference / exact.iter().map(|x| x * x).sum::<f64>();
    }
    let measured = (squares / f64::from(chains)).sqrt();
    let predicted = matrix_chain_drift(U32, depth, gaussian_growth(n), 1.0);
    assert!((measured / predicted - 1.0).abs() < 0.1, "{measured} {predicted}");
}
