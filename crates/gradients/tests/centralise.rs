//! Gradient centralisation, and normalisation by the root mean square and tensor by tensor.

mod common;

use common::numbers::{assert_same, native};
use dashu_float::FBig;
use dashu_float::round::mode::HalfEven;
use gradchain_arith::{Emulated, Format, Rounding, Rules, bf16, f16};
use gradchain_gradients::{
    GradientError, Measured, NonFinite, Order, Outcome, centralise, normalise, normalise_each, normalise_rms,
};

type Big = FBig<HalfEven, 2>;

fn big(x: f64) -> Big {
    Big::try_from(x).unwrap().with_precision(4500).value()
}

fn centred<A: gradchain_gradients::Gradients>(
    arith: &A,
    width: usize,
    policy: NonFinite,
    values: &[f64],
) -> (Vec<f64>, Outcome) {
    let mut g: Vec<A::Number> = values.iter().map(|&x| arith.round(x)).collect();
    let outcome = centralise(arith, width, policy, &mut g).unwrap();
    (g.iter().map(|&g| arith.value(g)).collect(), outcome)
}

/// Numbers of both signs over `binades` binades below 2^`top`.
fn spread<T: Measured>(n: usize, top: i32, binades: u64, state: &mut u64) -> Vec<f64> {
    let mut next = || {
        *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        *state >> 11
    };
    (0..n)
        .map(|_| {
            let exponent = top - ((next() >> 20) % binades) as i32;
            let fraction = next() as f64 / f64::powi(2.0, 52) - 1.0;
            T::round_from(fraction * f64::powi(2.0, exponent / 2) * f64::powi(2.0, exponent - exponent / 2))
                .value()
        })
        .collect()
}

/// Every number is the exact difference rounded once, ties to even: in each format, for widths that are powers of two (many ties) and others,
/// over few binades and over all.
#[test]
fn differences_are_rounded_once() {
    fn check<T: Measured>() {
        let format = T::FORMAT;
        let (mut state, mut ties) = (3, 0);
        let all = (format.emax() - format.min_exponent()) as u64;
        for (top, binades) in [(0, 1), (0, 12), (format.emax(), all), (format.emin(), 4)] {
            for width in [1, 2, 3, 4, 7, 16, 100] {
                let values = spread::<T>(2 * width, top, binades, &mut state);
                let (found, _) = centred(&native::<T>(), width, NonFinite::Error, &values);
                for (row, got) in values.chunks(width).zip(found.chunks(width)) {
                    let sum = row.iter().fold(big(0.0), |sum, &x| sum + big(x));
                    for (&x, &got) in row.iter().zip(got) {
                        // n times everything: whole numbers of the least unit, compared without a division.
                        let n = big(width as f64);
                        let exact = big(x) * &n - &sum;
                        if got.is_infinite() {
                            let limit = big(format.max()) * big(1.0 + format.unit_roundoff() / 2.0);
                            assert!((if got > 0.0 { exact } else { -exact }) >= limit * n);
                            continue;
                        }
                        for towards in [f64::INFINITY, f64::NEG_INFINITY] {
                            let beyond = neighbour(format, got, towards);
                            if !beyond.is_finite() {
                                continue;
                            }
                            let middle = (big(got) + big(beyond)) * &n * big(0.5);
                            let outside = if towards > 0.0 { exact > middle } else { exact < middle };
                            assert!(!outside, "{format} {width}: {x} became {got}");
                            if exact == middle {
                                ties += 1;
                                assert!(is_even(format, got), "{format} {width}: {x} became {got}");
                            }
                        }
                    }
                }
            }
        }
        println!("{format}: {ties} ties");
        assert!(ties > 0 || format == Format::F32 || format == Format::F64);
    }
    check::<f16>();
    check::<bf16>();
    check::<f32>();
    check::<f64>();
}

/// The number of `format` next to `x`.
fn neighbour(format: Format, x: f64, towards: f64) -> f64 {
    let down =
        Rules { rounding: if towards > 0.0 { Rounding::Up } else { Rounding::Down }, ..Rules::default() };
    gradchain_arith::round_f64(if towards > 0.0 { x.next_up() } else { x.next_down() }, format, down, 0)
}

/// Whether the last bit of the significand is zero.
fn is_even(format: Format, x: f64) -> bool {
    let exponent = if x == 0.0 { -1074 } else { (x.to_bits() >> 52 & 0x7ff) as i32 - 1023 };
    let quantum = exponent.max(format.emin()) - format.precision() as i32 + 1;
    let scaled = x * f64::powi(2.0, -quantum / 2) * f64::powi(2.0, -quantum + quantum / 2);
    scaled % 2.0 == 0.0
}

/// The width is the row, not the tensor; equal numbers become zeros; a mean of 0 changes no bit.
#[test]
fn rows() {
    let centre = |width: usize, values: &[f64]| centred(&native::<f32>(), width, NonFinite::Error, values);
    let values = [1.0, 3.0, 10.0, 20.0];
    assert_eq!(centre(2, &values), (vec![-1.0, 1.0, -5.0, 5.0], Outcome::Scaled));
    assert_eq!(centre(4, &values).0, [-7.5, -5.5, 1.5, 11.5]);
    assert_same(&centre(1, &values).0, &[0.0; 4]);
    let (kept, outcome) = centre(3, &[-0.0, 1.5, -1.5]);
    assert_same(&kept, &[-0.0, 1.5, -1.5]);
    assert_eq!(outcome, Outcome::Kept);
    assert_eq!(centre(3, &[]), (vec![], Outcome::Kept));
    // Sums that the format cannot hold, and a mean between two subnormal numbers.
    assert_eq!(centred(&native::<f16>(), 2, NonFinite::Error, &[65504.0, 65472.0]).0, [16.0, -16.0]);
    assert_eq!(
        centred(&native::<f64>(), 2, NonFinite::Error, &[f64::MAX, f64::MAX / 2.0]).0[0],
        f64::MAX / 4.0
    );
    let least = f64::from_bits(1);
    assert_same(&centred(&native::<f64>(), 2, NonFinite::Error, &[least, 0.0]).0, &[0.0, -0.0]);
    let error = centralise(&native::<f32>(), 3, NonFinite::Skip, &mut [1.0; 4]).unwrap_err();
    assert_eq!(error.to_string(), "gradient has 4 numbers; allowed: a multiple of the width 3");
    assert!(centralise(&native::<f32>(), 0, NonFinite::Skip, &mut [1.0; 4]).is_err());
}

#[test]
fn centralising_what_is_not_finite() {
    let (nan, infinity) = (f64::NAN, f64::INFINITY);
    let values = [infinity, 1.0, 2.0, 4.0, nan, 1.0, infinity, -infinity];
    let centre = |policy: NonFinite| centred(&native::<bf16>(), 2, policy, &values);
    let (found, outcome) = centre(NonFinite::Propagate);
    assert_same(&found, &[nan, -infinity, -1.0, 1.0, nan, nan, nan, nan]);
    assert_eq!(outcome, Outcome::Spoiled);
    let (found, outcome) = centre(NonFinite::AllNan);
    assert_same(&found, &[nan; 8]);
    assert_eq!(outcome, Outcome::Spoiled);
    let (found, outcome) = centre(NonFinite::Skip);
    assert_same(&found, &values);
    assert_eq!(outcome, Outcome::Skipped);
    let error = centralise(&native::<f64>(), 2, NonFinite::Error, &mut [1.0, 2.0, nan, 0.0]).unwrap_err();
    assert!(matches!(error, GradientError::NonFinite { tensor: 0, index: 2, .. }));
}

/// Directed rounding goes to its side, stochastic rounding gives the same bits again.
#[test]
fn centralising_under_other_rules() {
    let values = [1.0, 1.5, 3.0, 7.0, 2.0, 0.25];
    let centre = |rounding: Rounding| {
        let arith = Emulated::new(Format::E4M3, Rules { rounding, ..Rules::default() }, 4);
        centred(&arith, 3, NonFinite::Error, &values).0
    };
    // Means 11/6 and 37/12.
    let exact = [-5.0 / 6.0, -1.0 / 3.0, 7.0 / 6.0, 47.0 / 12.0, -13.0 / 12.0, -34.0 / 12.0];
    let (down, up) = (centre(Rounding::Down), centre(Rounding::Up));
    for i in 0..6 {
        assert!(down[i] < exact[i] && exact[i] < up[i] && up[i] - down[i] <= exact[i].abs() / 8.0, "{i}");
    }
    let drawn = centre(Rounding::Stochastic);
    assert_eq!(drawn, centre(Rounding::Stochastic));
    assert!(drawn.iter().zip(down.iter().zip(&up)).all(|(x, (low, high))| x == low || x == high));
}

#[test]
fn root_mean_square() {
    fn rms<T: Measured>(values: &[f64]) -> (Vec<f64>, f64) {
        let mut g: Vec<T> = values.iter().map(|&x| T::round_from(x)).collect();
        let (first, second) = g.split_at_mut(values.len() / 2);
        let clipping = normalise_rms(&native::<T>(), NonFinite::Error, &mut [first, second]).unwrap();
        assert_eq!(clipping.outcome == Outcome::Kept, values.iter().all(|x| *x == 0.0));
        (g.iter().map(|g| g.value()).collect(), clipping.norm.to_f64())
    }
    assert_eq!(rms::<f64>(&[1.0, -7.0]), (vec![0.2, -1.4], 5.0));
    // One root over all tensors: sqrt((9 + 16 + 0 + 144) / 4) = 6.5.
    assert_eq!(rms::<f32>(&[3.0, -4.0, 0.0, 12.0]).1, 6.5);
    assert_same(&rms::<f16>(&[0.0, -0.0]).0, &[0.0, -0.0]);
    for x in [6e4, 6e-8] {
        assert_same(&rms::<f16>(&[x, -x, x]).0, &[1.0, -1.0, 1.0]);
    }
    for x in [f64::MAX, 1e200, f64::from_bits(1)] {
        assert_eq!(rms::<f64>(&[x, -x, x]), (vec![1.0, -1.0, 1.0], x));
    }
    assert_eq!(rms::<f64>(&[]), (vec![], 0.0));
    // Directed rounding keeps what is exact, from a root that is not a short number.
    for rounding in [Rounding::Down, Rounding::Up] {
        let arith = Emulated::new(Format::E4M3, Rules { rounding, ..Rules::default() }, 0);
        let mut g = [0.3125; 3];
        normalise_rms(&arith, NonFinite::Error, &mut [&mut g]).unwrap();
        assert_eq!(g, [1.0; 3]);
    }
    // Against 4500 bits: half an ulp, where dividing by the norm rounded to 53 bits is up to 1.5 ulp off.
    let mut state = 17;
    let (mut worst, mut rounded_twice) = (0.0_f64, 0.0_f64);
    for n in [2, 5, 64, 200] {
        let values = spread::<f64>(n, 500, 30, &mut state);
        let (found, _) = rms::<f64>(&values);
        let mut norms = values.clone();
        normalise(&native::<f64>(), Order::Two, NonFinite::Error, &mut [&mut norms]).unwrap();
        let squares = values.iter().fold(big(0.0), |sum, &x| sum + big(x) * big(x));
        let (norm, root) = (squares.sqrt(), big(n as f64).sqrt());
        for (i, &x) in values.iter().enumerate() {
            let off = |got: f64, exact: Big| {
                let ulp = (got.next_up() - got).min(got - got.next_down());
                (((big(got) - exact) / big(ulp)).to_f64().value()).abs()
            };
            worst = worst.max(off(found[i], big(x) * &root / &norm));
            rounded_twice = rounded_twice.max(off(norms[i], big(x) / &norm));
        }
    }
    println!("f64: {worst:.4} ulp by the root mean square, {rounded_twice:.4} ulp by the norm");
    assert!(worst <= 0.5 + 1e-12);
    for policy in [NonFinite::Propagate, NonFinite::AllNan, NonFinite::Skip] {
        let mut g = [[1.0, f64::INFINITY]; 2];
        let [first, second] = &mut g;
        let found = normalise_rms(&native::<f64>(), policy, &mut [first]).unwrap();
        let norm = normalise(&native::<f64>(), Order::Two, policy, &mut [second]).unwrap();
        assert_eq!(found.outcome, norm.outcome);
        assert_same(&g[0], &g[1]);
    }
}

#[test]
fn each_by_its_own_norm() {
    let arith = native::<f64>();
    let (mut a, mut b, mut zero, mut empty) = ([3.0, -4.0], [1e300], [0.0, -0.0], []);
    let tensors: &mut [&mut [f64]] = &mut [&mut a, &mut b, &mut zero, &mut empty];
    let each = normalise_each(&arith, Order::Two, NonFinite::Error, tensors).unwrap();
    assert_same(&[a.as_slice(), &b, &zero].concat(), &[0.6, -0.8, 1.0, 0.0, -0.0]);
    let found: Vec<(f64, Outcome)> = each.iter().map(|one| (one.norm.to_f64(), one.outcome)).collect();
    let kept = (0.0, Outcome::Kept);
    assert_eq!(found, [(5.0, Outcome::Scaled), (1e300, Outcome::Scaled), kept, kept]);
    // A tensor that is not finite does not touch the others, or stops them all.
    let bad = || ([2.0, 2.0], [1.0, f64::NEG_INFINITY]);
    let (mut a, mut b) = bad();
    let each = normalise_each(&arith, Order::One, NonFinite::Skip, &mut [&mut a, &mut b]).unwrap();
    assert_eq!((a, b), ([0.5, 0.5], bad().1));
    assert_eq!([each[0].outcome, each[1].outcome], [Outcome::Scaled, Outcome::Skipped]);
    let (mut a, mut b) = bad();
    let error = normalise_each(&arith, Order::One, NonFinite::Error, &mut [&mut a, &mut b]).unwrap_err();
    assert_eq!(error, GradientError::NonFinite { tensor: 1, index: 1, value: f64::NEG_INFINITY });
    assert_eq!((a, b), bad());
    // Tensors draw from streams of their own.
    let rules = Rules { rounding: Rounding::Stochastic, ..Rules::default() };
    let arith = Emulated::new(Format::E4M3, rules, 3);
    let (mut a, mut b) = ([7.0; 32], [7.0; 32]);
    normalise_each(&arith, Order::Two, NonFinite::Error, &mut [&mut a, &mut b]).unwrap();
    assert!(a != b);
}
