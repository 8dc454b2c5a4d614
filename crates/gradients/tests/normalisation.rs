//! Normalisation layers against reference cases, exact results, and each other.

mod common;
mod oracle;

use common::batch::{Batch, plain, run};
use common::numbers::{assert_same, native};
use dashu_float::ops::Abs;
use gradchain_arith::{Emulated, Format, Real, Rounding, Rules, bf16, f16};
use gradchain_gradients::Measured;
use gradchain_gradients::layers::{Affine, NormLayer, forward, statistics};
use oracle::{big, error};
use safetensors::{Dtype, SafeTensors};

/// Numbers from -1 to 1.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / f64::powi(2.0, 52) - 1.0
    }

    fn take<T: Real>(&mut self, n: usize, number: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        (0..n).map(|_| (self.next(), self.next())).map(|(a, b)| T::round_from(number(a, b)).value()).collect()
    }
}

fn floats(tensors: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    fn chunks<const SIZE: usize>(data: &[u8], number: impl Fn([u8; SIZE]) -> f64) -> Vec<f64> {
        data.chunks_exact(SIZE).map(|bytes| number(bytes.try_into().unwrap())).collect()
    }
    let tensor = tensors.tensor(name).unwrap();
    let (data, dtype) = (tensor.data(), tensor.dtype());
    if dtype == Dtype::F16 {
        chunks(data, |bytes| f16::from_bits(u16::from_le_bytes(bytes)).value())
    } else if dtype == Dtype::BF16 {
        chunks(data, |bytes| bf16::from_bits(u16::from_le_bytes(bytes)).value())
    } else if dtype == Dtype::F32 {
        chunks(data, |bytes| f32::from_le_bytes(bytes).into())
    } else {
        assert_eq!(dtype, Dtype::F64, "{name}");
        chunks(data, f64::from_le_bytes)
    }
}

/// The largest error in ulp of the exact results, and how many are not the exact results rounded once.
fn compare<T: Real>(got: &[f64], exact: &[f64]) -> (f64, usize) {
    let mut worst = (0.0_f64, 0);
    for (&got, &exact) in got.iter().zip(exact) {
        let ulp = oracle::ulp(T::FORMAT, &big(exact)).to_f64().value();
        let rounded = T::round_from(exact).value();
        let ulps = ((got - exact) / ulp).abs();
        worst.0 = worst.0.max(if got == rounded && got.is_infinite() { 0.5 } else { ulps });
        worst.0 = if got.is_nan() { f64::INFINITY } else { worst.0 };
        worst.1 += usize::from(got != rounded);
    }
    worst
}

/// Every reference case: y and dL/dx are the exact results rounded once, also where torch gives NaN, zeros, or overflows.
#[test]
fn reference_cases() {
    fn case<T: Measured>(tensors: &SafeTensors<'_>, id: &str) {
        let tensor = |what: &str| floats(tensors, &format!("{id}/{what}"));
        let optional = |what: &str, otherwise: f64| {
            let name = format!("{id}/{what}");
            if tensors.tensor(&name).is_ok() { floats(tensors, &name) } else { vec![otherwise; 16] }
        };
        let layer = if id.ends_with("layer_norm") {
            NormLayer::LayerNorm
        } else if id.ends_with("rms_norm") {
            NormLayer::RmsNorm
        } else {
            NormLayer::UnitNorm
        };
        let batch = Batch {
            layer,
            eps: tensor("eps")[0],
            width: 16,
            x: tensor("x"),
            weight: optional("weight", 1.0),
            bias: optional("bias", -0.0),
            gradient: tensor("g"),
        };
        let results = run(&native::<T>(), &batch);
        let [y, torch_y] = [&results.y, &tensor("torch_y")].map(|y| compare::<T>(y, &tensor("exact_y")));
        let [dx, torch_dx] =
            [&results.dx, &tensor("torch_dx")].map(|dx| compare::<T>(dx, &tensor("exact_dx")));
        println!(
            "{id:22} y {:.4} ulp, torch {:9.3e}; dx {:.4} ulp, torch {:9.3e}",
            y.0, torch_y.0, dx.0, torch_dx.0
        );
        // The exact results were rounded to f64, so that a wrong rounding at a midpoint next to one could not be told.
        assert!(y.1 == 0 && dx.1 == 0, "{id}: {} of y and {} of dx differ", y.1, dx.1);
        assert!(y.0 <= 0.5 && dx.0 <= 0.5);
    }
    let bytes =
        std::fs::read(format!("{}/tests/data/normalise.safetensors", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut ids: Vec<&str> =
        tensors.names().into_iter().filter_map(|name| name.strip_suffix("/eps")).collect();
    ids.sort_unstable();
    assert_eq!(ids.len(), 36);
    for id in ids {
        match id.split('.').next().unwrap() {
            "f16" => case::<f16>(&tensors, id),
            "bf16" => case::<bf16>(&tensors, id),
            "f32" => case::<f32>(&tensors, id),
            _ => case::<f64>(&tensors, id),
        }
    }
}

/// `2^-110 + n 2^-124`, the δ of the bounds.
fn delta(n: usize) -> f64 {
    f64::powi(2.0, -110) + n as f64 * f64::powi(2.0, -124)
}

/// The errors of all results are within the stated bounds; returns the largest of y, dx, weight and bias gradients in ulp, where the terms do not
/// cancel.
fn within_bounds<T: Measured>(batch: &Batch, what: &str) -> [f64; 4] {
    let results = run(&native::<T>(), batch);
    let exact = batch.exact();
    let rows = batch.x.len() / batch.width;
    let n = if batch.layer == NormLayer::BatchNorm { rows } else { batch.width };
    let mut worst = [0.0_f64; 4];
    let all = [
        (&results.y, &exact.y, delta(n), "y"),
        (&results.dx, &exact.dx, delta(n), "dx"),
        (&results.weight_gradient, &exact.weight_gradient, delta(n.max(rows)), "weight"),
    ];
    for (worst, (got, exact, delta, which)) in worst.iter_mut().zip(all) {
        assert_eq!(got.len(), exact.len());
        for (&got, exact) in got.iter().zip(exact) {
            let Some((exact, magnitude)) = exact else {
                assert!(got.is_nan(), "{what}: {which} = {got} where there is nothing to divide by");
                continue;
            };
            let slack = magnitude * big(delta);
            let ulps = error(T::FORMAT, got, exact, &slack, &format!("{what} {which}"));
            // Where the terms cancel by more than 50 bits, the bound is all that is promised.
            if big(f64::powi(2.0, 50)) * exact.clone().abs() >= *magnitude {
                *worst = worst.max(ulps);
            }
        }
    }
    for (index, exact) in exact.statistics.iter().enumerate() {
        let found = &results.statistics;
        for (k, got) in
            [found.mean(index), found.variance(index), found.factor(index)].into_iter().enumerate()
        {
            let Some(exact) = exact else {
                assert!(got.is_nan(), "{what}: {got}");
                continue;
            };
            // The mean to 125 bits beside its terms, whose sum is exact; the others have no terms that cancel.
            let slack = exact[k].clone().abs() * big(delta(n));
            error(Format::F64, got, &exact[k], &slack, &format!("{what} statistic {k} of {index}"));
        }
    }
    for (&got, exact) in results.bias_gradient.iter().zip(&exact.bias_gradient) {
        worst[3] = worst[3].max(error(T::FORMAT, got, exact, &big(0.0), &format!("{what} bias")));
    }
    worst
}

/// Numbers of usual size, at both ends of the format, a few ulp around a large mean, and over the whole range in one row: within the bounds of the
/// exact results, gradients being differences of the exact loss.
#[test]
fn bounds_hold_at_every_magnitude() {
    fn sweep<T: Measured>() {
        let format = T::FORMAT;
        let (least, largest) = (format.min_subnormal(), format.max());
        let ulp = 2.0 * format.unit_roundoff();
        type Number = Box<dyn Fn(f64, f64) -> f64>;
        let binades = f64::from(format.emax() - format.min_exponent());
        let wide = move |a: f64, b: f64| {
            let exponent = (f64::from(format.emax()) - (b.abs() * binades)) as i32;
            let half = exponent / 2;
            a * f64::powi(2.0, half) * f64::powi(2.0, exponent - half)
        };
        let kinds: [(&str, Number); 5] = [
            ("usual", Box::new(|a, b| a + b)),
            ("large", Box::new(move |a, _| a * largest)),
            ("small", Box::new(move |a, _| a * 100.0 * least)),
            ("offset", Box::new(move |a, _| 100.0 * (1.0 + 4.0 * a * ulp))),
            ("wide", Box::new(wide)),
        ];
        for layer in NormLayer::ALL {
            let mut worst = [0.0_f64; 4];
            let mut draws = Draws(layer as u64 + 1);
            for (kind, number) in &kinds {
                for (rows, width) in [(1, 5), (2, 3), (4, 1), (3, 8)] {
                    for eps in [0.0, 1e-5, f64::from_bits(1)] {
                        let n = rows * width;
                        let usual = |a: f64, _: f64| 2.0 * a;
                        let factors: &dyn Fn(f64, f64) -> f64 = if *kind == "wide" { number } else { &usual };
                        let batch = Batch {
                            layer,
                            eps,
                            width,
                            x: draws.take::<T>(n, number),
                            weight: draws.take::<T>(width, factors),
                            bias: draws.take::<T>(width, usual),
                            gradient: draws.take::<T>(n, factors),
                        };
                        let what = format!("{format} {layer} {kind} {rows}x{width} eps {eps}");
                        let found = within_bounds::<T>(&batch, &what);
                        worst.iter_mut().zip(found).for_each(|(worst, found)| *worst = worst.max(found));
                    }
                }
            }
            let [y, dx, weight, bias] = worst;
            assert!(worst.iter().all(|worst| *worst < 0.51));
            println!("{format:5} {layer:9}: ulp y {y:.4}, dx {dx:.4}, weights {weight:.4}, biases {bias:.4}");
        }
    }
    sweep::<f16>();
    sweep::<bf16>();
    sweep::<f32>();
    sweep::<f64>();
}

/// The magnitudes that squares cannot take: 6e4 in f16, 1e30 in f32, 1e200 in f64, and subnormal numbers.
#[test]
fn squares_out_of_range() {
    fn unit<T: Measured>(scale: f64) {
        let x: Vec<f64> = [3.0, -4.0, 0.0, 12.0].map(|x| T::round_from(x / 12.0 * scale).value()).to_vec();
        let batch = plain(NormLayer::UnitNorm, 0.0, 4, &x, &[1.0, 0.0, -1.0, 2.0]);
        within_bounds::<T>(&batch, T::NAME);
        for layer in NormLayer::ALL {
            let rows: Vec<f64> = x.iter().chain(x.iter().rev()).copied().collect();
            let gradient: Vec<f64> = (0..8).map(|i| f64::from(i % 3) - 1.0).collect();
            within_bounds::<T>(&plain(layer, 1e-5, 4, &rows, &gradient), T::NAME);
        }
    }
    unit::<f16>(6e4);
    unit::<f16>(12.0 * f64::powi(2.0, -24));
    unit::<bf16>(3e38);
    unit::<f32>(1e30);
    unit::<f32>(12.0 * f64::from(f32::from_bits(1)));
    unit::<f64>(1e200);
    unit::<f64>(f64::MAX);
    unit::<f64>(12.0 * f64::from_bits(1));
}

/// Long rows: the errors of the sums stay within the bound, and the mean is exact beside deviations of an ulp.
#[test]
fn long_rows() {
    fn check<T: Measured>() {
        let width = 20_011;
        let mut draws = Draws(23);
        let ulp = 2.0 * T::FORMAT.unit_roundoff();
        for layer in [NormLayer::RmsNorm, NormLayer::LayerNorm, NormLayer::UnitNorm] {
            let x = draws.take::<T>(width, |a, _| 1000.0 * (1.0 + 2.0 * a * ulp));
            let batch = plain(layer, 0.0, width, &x, &vec![1.0; width]);
            let found = run(&native::<T>(), &batch);
            for (j, (exact, magnitude)) in batch.exact_row().iter().enumerate() {
                let slack = magnitude * big(delta(width));
                error(T::FORMAT, found.y[j], exact, &slack, &format!("{} {layer} {j}", T::NAME));
            }
        }
    }
    check::<bf16>();
    check::<f32>();
    check::<f64>();
}

/// RMSNorm of width 1 is `x / sqrt(x² + ε)`: all inputs of f16, against f64.
#[test]
fn every_f16() {
    let arith = native::<f16>();
    let x: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
    for eps in [1e-5, 0.0] {
        let statistics = statistics(&arith, NormLayer::RmsNorm, eps, 1, &x).unwrap();
        let mut y = vec![f16::from_bits(0); x.len()];
        forward(&arith, &statistics, &x, Affine::NONE, &mut y).unwrap();
        for (x, y) in x.iter().map(|x| x.value()).zip(y) {
            // 3 operations in f64, each within 2^-53.
            let expected = x / (x * x + eps).sqrt();
            let ulp = f64::powi(2.0, (expected.abs().log2_floor()).max(-14) - 10);
            let fits = (y.value() - expected).abs() <= ulp / 2.0 + 4.0 * f64::EPSILON * expected.abs();
            assert!(fits || (y.value().is_nan() && expected.is_nan()), "{x}: {} for {expected}", y.value());
            assert!(expected.is_nan() || y.value().is_sign_negative() == x.is_sign_negative(), "{x}");
        }
    }
}

trait Log2Floor {
    fn log2_floor(self) -> i32;
}

impl Log2Floor for f64 {
    /// The exponent of a normal number.
    fn log2_floor(self) -> i32 {
        (self.to_bits() >> 52 & 0x7ff) as i32 - 1023
    }
}

/// Identities of the gradients. A shift of x changes nothing under LayerNorm and BatchNorm, so dL/dx sums to 0 over a group; a factor changes
/// nothing with ε = 0, so `Σ x dL/dx` is 0 too.
#[test]
fn gradients_are_orthogonal_to_what_the_layer_removes() {
    fn check<T: Measured>() {
        let mut draws = Draws(11);
        for layer in NormLayer::ALL {
            let mut batch = plain(layer, 0.0, 24, &draws.take::<T>(24 * 24, |a, b| a + 2.0 * b), &[]);
            batch.gradient = draws.take::<T>(24 * 24, |a, _| a);
            batch.weight = draws.take::<T>(24, |a, b| a + b);
            let found = run(&native::<T>(), &batch);
            for group in batch.groups() {
                // Each of the numbers is half an ulp off or less.
                let dx: f64 = group.iter().map(|&at| found.dx[at]).sum();
                let slack: f64 =
                    group.iter().map(|&at| found.dx[at].abs()).sum::<f64>() * T::FORMAT.unit_roundoff();
                let centred = layer == NormLayer::LayerNorm || layer == NormLayer::BatchNorm;
                // 24 more roundings of the sum itself.
                assert!(
                    !centred
                        || dx.abs()
                            <= slack * (1.0 + 1e-3) + 24.0 * slack * f64::EPSILON / T::FORMAT.unit_roundoff()
                );
                let moment: f64 = group.iter().map(|&at| found.dx[at] * batch.x[at]).sum();
                let scale: f64 = group.iter().map(|&at| (found.dx[at] * batch.x[at]).abs()).sum();
                assert!(moment.abs() <= scale * (T::FORMAT.unit_roundoff() + 25.0 * f64::EPSILON), "{layer}");
            }
        }
    }
    check::<f16>();
    check::<bf16>();
    check::<f32>();
    check::<f64>();
}

/// The emulated formats give the bits of the native ones, and directed rounding lies on its side of the exact result.
#[test]
fn emulated() {
    fn compare<T: Measured>() {
        let mut draws = Draws(5);
        for layer in NormLayer::ALL {
            let mut batch = plain(layer, 1e-6, 6, &draws.take::<T>(30, |a, b| a * 1e3 * b), &[]);
            batch.gradient = draws.take::<T>(30, |a, _| a);
            batch.weight = draws.take::<T>(6, |a, b| a + b);
            batch.bias = draws.take::<T>(6, |a, _| a);
            let fast = run(&native::<T>(), &batch);
            let emulated = |rounding: Rounding| {
                run(&Emulated::new(T::FORMAT, Rules { rounding, ..Rules::default() }, 9), &batch)
            };
            let slow = emulated(Rounding::Nearest);
            assert_same(&slow.y, &fast.y);
            assert_same(&slow.dx, &fast.dx);
            assert_same(&slow.weight_gradient, &fast.weight_gradient);
            assert_same(&slow.bias_gradient, &fast.bias_gradient);
            if T::FORMAT == Format::F64 {
                continue;
            }
            let exact = batch.exact();
            let [down, up, drawn] = [Rounding::Down, Rounding::Up, Rounding::Stochastic].map(emulated);
            assert_same(&drawn.dx, &emulated(Rounding::Stochastic).dx);
            let mut both = [0; 2];
            for (at, (exact, _)) in exact.dx.iter().map(|exact| exact.as_ref().unwrap()).enumerate() {
                let (low, high) = (down.dx[at], up.dx[at]);
                assert!(big(low) <= *exact && *exact <= big(high), "{layer}: {low} {high}");
                assert!(big(high) - big(low) <= oracle::ulp(T::FORMAT, exact));
                assert!(drawn.dx[at] == low || drawn.dx[at] == high);
                both[usize::from(drawn.dx[at] == high)] += 1;
            }
            assert!(both[0] > 0 && both[1] > 0, "{both:?}");
        }
    }
    compare::<f16>();
    compare::<bf16>();
    compare::<f32>();
    compare::<f64>();
}
