//! The passes of the layers on vectors against the definition, which emulated formats take: the same bits on every instruction set, for every layer, shape and
//! magnitude.

mod common;

use common::batch::{Batch, Results, run};
use common::numbers::same;
use common::random::{Random, print_missing_isas};
use gradchain_arith::{Emulated, Isa, Native, Rules, bf16, f16};
use gradchain_gradients::Measured;
use gradchain_gradients::layers::NormLayer;

fn check<T: Measured>(batch: &Batch, context: &str) {
    let expected = run(&Emulated::new(T::FORMAT, Rules::default(), 0), batch);
    for isa in Isa::available() {
        let got = run(&Native::<T>::new(isa), batch);
        let of = |results: &Results| {
            let Results { statistics, y, dx, weight_gradient, bias_gradient } = results;
            let known = (0..statistics.len())
                .flat_map(|i| [statistics.mean(i), statistics.variance(i), statistics.factor(i)]);
            [known.collect(), y.clone(), dx.clone(), weight_gradient.clone(), bias_gradient.clone()]
        };
        let names = ["statistics", "y", "dL/dx", "dL/dweight", "dL/dbias"];
        for ((name, got), expected) in names.into_iter().zip(of(&got)).zip(of(&expected)) {
            for (i, (&got, &expected)) in got.iter().zip(&expected).enumerate() {
                assert!(
                    same(got, expected),
                    "{} {isa} {} eps {:e} {context}, {name} {i}: {got:e}, not {expected:e}",
                    T::NAME,
                    batch.layer,
                    batch.eps
                );
            }
        }
    }
}

/// A batch of numbers of these binades about a shift.
fn draw<T: Measured>(random: &mut Random, size: (usize, usize), low: i32, span: u64, shift: f64) -> Vec<f64> {
    (0..size.0 * size.1)
        .map(|_| T::round_from(random.number::<T>(low, span).value() + shift).value())
        .collect()
}

fn batches<T: Measured>() {
    let mut random = Random(T::FORMAT.precision().into());
    let (emin, top) = (T::FORMAT.emin(), T::FORMAT.emax());
    for (rows, width) in [(1, 1), (3, 2), (2, 16), (5, 33), (34, 5), (40, 48), (0, 4), (17, 130)] {
        for (low, span, shift) in [
            (-3, 4, 0.0),
            (-6, 3, 1.0),
            (emin - 2, 5, 0.0),
            (top - 4, 4, 0.0),
            (emin, 1, 0.0),
            (-9, 1, 100.0),
        ] {
            let x = draw::<T>(&mut random, (rows, width), low, span, shift);
            for (exponent, eps) in [(0, 1e-5), (emin, 0.0), (top - 3, 1e-12), (-20, 1e300)] {
                let gradient = draw::<T>(&mut random, (rows, width), exponent, 3, 0.0);
                let [weight, bias] = [1, -1].map(|e| draw::<T>(&mut random, (1, width), e, 3, 0.0));
                for layer in NormLayer::ALL {
                    let (x, weight, bias, gradient) =
                        (x.clone(), weight.clone(), bias.clone(), gradient.clone());
                    let batch = Batch { layer, eps, width, x, weight, bias, gradient };
                    let context = format!("{rows} x {width} from 2^{low}, gradient from 2^{exponent}");
                    check::<T>(&batch, &context);
                }
            }
        }
    }
}

#[test]
fn every_shape_and_magnitude() {
    batches::<f16>();
    batches::<bf16>();
    batches::<f32>();
    batches::<f64>();
    print_missing_isas();
}

/// Zeros of both signs here and there, equal numbers, numbers that cancel, and infinities and NaN in one place, of x, the gradient, weights and biases.
fn specials<T: Measured>() {
    let mut random = Random(8);
    let (rows, width) = (19, 20);
    let sizes = [(rows, width), (rows, width), (1, width), (1, width)];
    let plain = sizes.map(|size| draw::<T>(&mut random, size, -3, 4, 0.0));
    let half_zeros = |values: &[f64]| -> Vec<f64> {
        let zero = |i: usize| if i.is_multiple_of(3) { 0.0 } else { -0.0 };
        values.iter().enumerate().map(|(i, &x)| if x < 0.0 { zero(i) } else { x }).collect()
    };
    for layer in NormLayer::ALL {
        for eps in [0.0, 1e-5, 3.0] {
            let mut variants: Vec<[Vec<f64>; 4]> = vec![plain.clone()];
            for part in 0..4 {
                for special in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, T::FORMAT.max()] {
                    let mut parts = plain.clone();
                    parts[part][7] = special;
                    variants.push(parts);
                }
                let mut parts = plain.clone();
                parts[part] = half_zeros(&parts[part]);
                variants.push(parts);
                for x in [0.0, -0.0, 0.75] {
                    let mut parts = plain.clone();
                    parts[part].iter_mut().take(5 * width).for_each(|number| *number = x);
                    variants.push(parts);
                }
            }
            // Columns of zeros, and rows of two numbers.
            let mut parts = plain.clone();
            parts[0].iter_mut().enumerate().for_each(|(i, x)| {
                if i % 3 == 0 {
                    *x = 0.0;
                } else if i / width % 2 == 0 {
                    *x = if i % 2 == 0 { 1.5 } else { -1.5 };
                }
            });
            variants.push(parts);
            for (i, [x, gradient, weight, bias]) in variants.into_iter().enumerate() {
                check::<T>(&Batch { layer, eps, width, x, weight, bias, gradient }, &format!("variant {i}"));
            }
        }
    }
}

#[test]
fn zeros_equal_numbers_and_specials() {
    specials::<f16>();
    specials::<bf16>();
    specials::<f32>();
    specials::<f64>();
}
