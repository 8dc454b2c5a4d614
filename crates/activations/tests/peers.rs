//! The errors that derivative formulas in use make over all inputs of f16 and bf16: the published figures, by running those formulas, beside the
//! default path.
//!
//! The oracle is f64 with another exponential (libm's): its error is nothing in an ulp of 16 bits.

use gradchain_activations::{Activation, Path, Vectorized, apply, derivative_slice};
use gradchain_arith::{Isa, Native, bf16, f16};

fn true_slope(activation: Activation, x: f64) -> f64 {
    let e = libm::exp(-x.abs());
    let sigmoid = |x: f64| if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) };
    if activation == Activation::Tanh {
        let e = libm::exp(-2.0 * x.abs());
        4.0 * e / ((1.0 + e) * (1.0 + e))
    } else if activation == Activation::Silu {
        sigmoid(x) * (1.0 + x * sigmoid(-x))
    } else if activation == Activation::Softplus {
        sigmoid(x)
    } else {
        e / ((1.0 + e) * (1.0 + e))
    }
}

/// One row for one format: greatest error in ulps, everywhere and for |x| <= 4; mean error; wrong zeros; relative errors above 10 %; those of
/// at least 100 % or NaN; NaN. In pairs, the second figure counts those where the true value is a normal number.
struct Row(f64, f64, f64, [u32; 2], [u32; 2], u32, u32);

fn check<T: Vectorized>(from_bits: fn(u16) -> T, activation: Activation, path: Path, expected: &Row) {
    let x: Vec<T> = (0..=u16::MAX).map(from_bits).filter(|x| x.value().is_finite()).collect();
    let arith = Native::<T>::new(Isa::choose().unwrap());
    let (mut y, mut d) = (x.clone(), x.clone());
    apply(&arith, activation, &x, &mut y);
    derivative_slice(&arith, activation, path, &x, &y, &mut d);
    let mut found = Row(0.0, 0.0, 0.0, [0; 2], [0; 2], 0, 0);
    let mut finite = 0;
    for (x, d) in x.iter().zip(&d) {
        let exact = true_slope(activation, x.value());
        let rounded = T::round_from(exact).value();
        let normal = exact.abs() >= T::FORMAT.min_normal();
        let got = d.value();
        let relative = (got - exact).abs() / exact.abs();
        let leading = (((exact.to_bits() >> 52) & 0x7ff) as i32 - 1023).max(T::FORMAT.emin());
        let ulps = (got - exact).abs() / f64::powi(2.0, leading - T::FORMAT.precision() as i32 + 1);
        // A zero is right where the true value rounds to zero.
        let far = got.is_nan() || relative > 0.1 && (got != rounded || rounded != 0.0);
        if got.is_nan() {
            found.6 += 1;
        } else {
            finite += 1;
            found.0 = found.0.max(ulps);
            found.2 += ulps;
            if x.value().abs() <= 4.0 {
                found.1 = found.1.max(ulps);
            }
        }
        if got == 0.0 && rounded != 0.0 {
            found.3[0] += 1;
            found.3[1] += u32::from(normal);
        }
        if far {
            found.4[0] += 1;
            found.4[1] += u32::from(normal);
        }
        found.5 += u32::from(got.is_nan() || relative >= 1.0 && rounded != 0.0);
    }
    found.2 /= f64::from(finite);
    println!(
        "{} {activation}' {path}: {:.4} ulp, {:.4} within 4, mean {:.4}, zeros {:?}, 10 % {:?}, 100 % {}, NaN {}",
        T::NAME,
        found.0,
        found.1,
        found.2,
        found.3,
        found.4,
        found.5,
        found.6
    );
    // The published figures have three digits.
    let near = |a: f64, b: f64| (a - b).abs() <= 0.006 * b;
    assert!(near(found.0, expected.0) && near(found.1, expected.1) && near(found.2, expected.2));
    assert_eq!(
        (found.3, found.4, found.5, found.6),
        (expected.3, expected.4, expected.5, expected.6),
        "{} {activation} {path}",
        T::NAME
    );
}

#[test]
fn published_figures() {
    use Activation::{Sigmoid, Silu, Softplus, Tanh};
    use Path::{Fused, Native, Output};
    #[rustfmt::skip]
    let rows = [
        (Sigmoid, Native, Row(2048.0, 43.7, 13.3, [1920, 315], [2280, 675], 1920, 0), Row(256.0, 34.7, 1.52, [528, 509], [585, 566], 528, 0)),
        (Sigmoid, Output, Row(2042.0, 15.7, 8.84, [1069, 178], [1499, 497], 1069, 0), Row(256.0, 14.9, 1.45, [498, 487], [545, 532], 498, 0)),
        (Sigmoid, Fused, Row(0.5, 0.5, 0.0874, [0, 0], [222, 0], 0, 0), Row(0.5, 0.5, 0.0111, [0, 0], [4, 0], 0, 0)),
        (Tanh, Native, Row(2048.0, 510.0, 20.8, [2136, 532], [2646, 1042], 2136, 0), Row(256.0, 256.0, 2.77, [958, 936], [1048, 1026], 958, 0)),
        (Tanh, Fused, Row(0.5, 0.5, 0.088, [0, 0], [178, 0], 0, 0), Row(0.5, 0.5, 0.0111, [0, 0], [4, 0], 0, 0)),
        (Silu, Native, Row(2042.0, 528.0, 5.5, [904, 131], [910, 137], 904, 0), Row(242.0, 159.0, 0.0608, [18, 7], [21, 10], 18, 0)),
        (Silu, Fused, Row(0.5, 0.5, 0.146, [0, 0], [94, 0], 0, 0), Row(0.5, 0.5, 0.0161, [0, 0], [3, 0], 0, 0)),
        (Softplus, Native, Row(1.76, 1.76, 0.24, [0, 0], [13027, 12916], 12916, 12916), Row(1.57, 1.57, 0.0264, [0, 0], [15568, 15566], 15566, 15566)),
        (Softplus, Fused, Row(0.5, 0.5, 0.137, [0, 0], [111, 0], 0, 0), Row(0.5, 0.5, 0.015, [0, 0], [2, 0], 0, 0)),
    ];
    for (activation, path, in_f16, in_bf16) in rows {
        check(f16::from_bits, activation, path, &in_f16);
        check(bf16::from_bits, activation, path, &in_bf16);
    }
}
