//! How long the pieces of a gradient chain take in each format, with the peers in the same group.
//!
//! Every group is named `time_...`; throughput counts weights (steps) or elements (activations, clipping). Peers: `matrixmultiply`,
//! ndarray's `dot`, and plain loops over the numbers of `half`; more of them, larger works and threads are in the package `peers` beside this file.
//! The ceiling of a step reads as many bytes as it and does nothing else. Results are checked before anything is timed.

use criterion::{BenchmarkId, Criterion, PlottingBackend, Throughput, criterion_group, criterion_main};
use gradchain_activations::{Activation, Path, Vectorized, apply, backpropagate_slice};
use gradchain_arith::{Arithmetic, Isa, Native, Real, Summation, bf16, f16};
use gradchain_chain::{Draw, Init, Rounded, Setting, Upstream, backward, draw_ends};
use gradchain_gradients::{Measured, Remedy};
use gradchain_kernels::{Kernels, MatrixMultiply, Shape, Stored, matrixmultiply_times};
use ndarray::{ArrayView1, ArrayView2, LinalgScalar};
use std::hint::black_box;
use std::ops::AddAssign;
use std::time::Duration;

#[expect(
    dead_code,
    unreachable_pub,
    reason = "one file for both packages of benches; here only steps have a ceiling"
)]
#[path = "peers/src/ceilings.rs"]
mod ceilings;

/// Widths of a layer: 64 x 64 lies in the first cache, 512 x 512 in the second or third.
const STEP_WIDTHS: [usize; 2] = [64, 512];
/// Depths of the whole chains, at width 64.
const CHAIN_DEPTHS: [usize; 3] = [16, 64, 256];
/// Elements of an activation or a gradient to clip.
const ELEMENTS: usize = 16_384;

fn isa() -> Isa {
    Isa::choose().unwrap_or_else(|error| panic!("{error}"))
}

fn numbers<T: Real>(size: usize, seed: u64) -> Vec<T> {
    draw_ends((1, 1), size, Upstream::Normal, seed, 0).upstream.into_iter().map(T::round_from).collect()
}

/// A step `W^T g` of a square layer of width n: weights, g, result.
type Step<T> = fn(&[T], &[T], &mut [T]);

/// What a format is compared with: steps of other crates, which own the order of their sums.
trait Peers: Stored + Vectorized + LinalgScalar {
    /// The peers by name.
    const STEPS: [(&'static str, Step<Self>); 2];
}

fn ndarray_dot<T: LinalgScalar>(weights: &[T], g: &[T], out: &mut [T]) {
    let n = g.len();
    let fits = "the benches make matching shapes";
    let weights = ArrayView2::from_shape((n, n), weights).expect(fits);
    let product = weights.t().dot(&ArrayView1::from_shape(n, g).expect(fits));
    out.copy_from_slice(product.as_slice().expect(fits));
}

fn matrixmultiply<T: MatrixMultiply>(weights: &[T], g: &[T], out: &mut [T]) {
    matrixmultiply_times(g, weights, out, Shape { rows: 1, inner: g.len(), columns: g.len() });
}

/// As a user of `half` writes it: one row of W after the other, operators of the 16-bit type.
fn half_loop<T: Real + LinalgScalar + AddAssign>(weights: &[T], g: &[T], out: &mut [T]) {
    out.fill(T::default());
    for (row, &g) in weights.chunks_exact(g.len()).zip(g) {
        for (out, &w) in out.iter_mut().zip(row) {
            *out += w * g;
        }
    }
}

impl Peers for f16 {
    const STEPS: [(&'static str, Step<f16>); 2] = [("half loop", half_loop), ("ndarray dot", ndarray_dot)];
}

impl Peers for bf16 {
    const STEPS: [(&'static str, Step<bf16>); 2] = [("half loop", half_loop), ("ndarray dot", ndarray_dot)];
}

impl Peers for f32 {
    const STEPS: [(&'static str, Step<f32>); 2] =
        [("matrixmultiply", matrixmultiply), ("ndarray dot", ndarray_dot)];
}

impl Peers for f64 {
    const STEPS: [(&'static str, Step<f64>); 2] =
        [("matrixmultiply", matrixmultiply), ("ndarray dot", ndarray_dot)];
}

/// Demands that `out` is `W^T g` within twice the bound of any order of summation, in the format.
fn check_step<T: Real>(out: &[T], weights: &[T], g: &[T]) {
    let n = g.len();
    let factor = 2.0 * Summation::Recursive.bound(n, T::FORMAT.unit_roundoff(), 0.0).min(1.0);
    for (j, out) in out.iter().enumerate() {
        let terms = || (0..n).map(|i| weights[i * n + j].value() * g[i].value());
        let (sum, sizes): (f64, f64) = (terms().sum(), terms().map(f64::abs).sum());
        assert!(
            (out.value() - sum).abs() <= factor * sizes,
            "{} entry {j}: {out:?}, expected {sum:e}",
            T::NAME
        );
    }
}

/// One step `W^T g` of a square layer.
fn steps<T: Peers>(c: &mut Criterion) {
    for n in STEP_WIDTHS {
        let weights = numbers::<T>(n * n, 1);
        let g = numbers::<T>(n, 2);
        let mut out = vec![T::default(); n];
        let arith = Native::<T>::new(isa());
        let mut group = c.benchmark_group(format!("time_step_{n}_{}", T::NAME));
        group.throughput(Throughput::Elements((n * n) as u64));
        let as_many_bytes = vec![0.0; n * n * size_of::<T>() / size_of::<f32>()];
        for streams in [1, 4] {
            group.bench_function(format!("ceiling, read in {streams}"), |b| {
                b.iter(|| ceilings::read(isa(), black_box(&as_many_bytes), streams));
            });
        }
        for summation in Summation::of(T::FORMAT) {
            arith.times(summation, &g, &weights, &mut out, Shape { rows: 1, inner: n, columns: n });
            check_step(&out, &weights, &g);
            group.bench_function(summation.name(), |b| {
                b.iter(|| {
                    let shape = Shape { rows: 1, inner: n, columns: n };
                    arith.times(summation, black_box(&g), black_box(&weights), &mut out, shape);
                });
            });
        }
        arith.times_transposed(
            Summation::Wide,
            &g,
            &weights,
            &mut out,
            Shape { rows: 1, inner: n, columns: n },
        );
        group.bench_function("wide, forward", |b| {
            b.iter(|| {
                let shape = Shape { rows: 1, inner: n, columns: n };
                arith.times_transposed(Summation::Wide, black_box(&g), black_box(&weights), &mut out, shape);
            });
        });
        for (name, step) in T::STEPS {
            step(&weights, &g, &mut out);
            check_step(&out, &weights, &g);
            group.bench_function(name, |b| b.iter(|| step(black_box(&weights), black_box(&g), &mut out)));
        }
        group.finish();
    }
}

/// Whole backward passes of linear chains of width 64. No throughput here: criterion would draw it over the weights and not over the depth.
fn chains<T: Peers + Measured>(c: &mut Criterion) {
    const WIDTH: usize = 64;
    let arith = Native::<T>::new(isa());
    let mut group = c.benchmark_group(format!("time_chain_{}", T::NAME));
    for depth in CHAIN_DEPTHS {
        let network = Draw::square(Init::Orthogonal, WIDTH, depth, Activation::Identity, 1).network();
        let rounded = Rounded::of(&arith, &network);
        let upstream: Vec<T> = numbers(WIDTH, 3);
        for summation in [Summation::Recursive, Summation::Wide] {
            let setting = Setting { summation, path: Path::Fused, remedy: Remedy::None };
            group.bench_with_input(BenchmarkId::new(summation.name(), depth), &depth, |b, _| {
                b.iter(|| {
                    let mut last = 0.0;
                    let pass = backward(&arith, &rounded, setting, None, 1, black_box(&upstream), |step| {
                        last = arith.value(step.gradient[0]);
                    });
                    pass.expect("no remedy, so none that is set wrongly");
                    last
                });
            });
        }
        let layers: Vec<Vec<T>> = network
            .layers
            .iter()
            .map(|layer| layer.weights.iter().map(|&w| T::round_from(w)).collect())
            .collect();
        for (name, step) in T::STEPS {
            let (mut g, mut before) = (upstream.clone(), upstream.clone());
            group.bench_with_input(BenchmarkId::new(name, depth), &depth, |b, _| {
                b.iter(|| {
                    g.copy_from_slice(black_box(&upstream));
                    for weights in layers.iter().rev() {
                        step(weights, &g, &mut before);
                        std::mem::swap(&mut g, &mut before);
                    }
                    arith.value(g[0])
                });
            });
        }
    }
    group.finish();
}

/// Sigmoid and ReLU: values, and gradients by every derivative path.
fn activations<T: Vectorized>(c: &mut Criterion) {
    let arith = Native::<T>::new(isa());
    let x = numbers::<T>(ELEMENTS, 4);
    let mut y = x.clone();
    let mut group = c.benchmark_group(format!("time_activation_{}", T::NAME));
    group.throughput(Throughput::Elements(ELEMENTS as u64));
    for activation in [Activation::Sigmoid, Activation::Relu] {
        group.bench_function(format!("{activation} value"), |b| {
            b.iter(|| apply(&arith, activation, black_box(&x), &mut y));
        });
    }
    apply(&arith, Activation::Sigmoid, &x, &mut y);
    for path in [Path::Output, Path::Input, Path::Symmetric, Path::Fused] {
        let mut gradient = numbers::<T>(ELEMENTS, 5);
        group.bench_function(format!("sigmoid gradient, {path}"), |b| {
            b.iter(|| {
                backpropagate_slice(&arith, Activation::Sigmoid, path, black_box(&mut gradient), &x, &y)
            });
        });
    }
    let mut gradient = numbers::<T>(ELEMENTS, 5);
    group.bench_function("relu gradient", |b| {
        b.iter(|| {
            backpropagate_slice(&arith, Activation::Relu, Path::Output, black_box(&mut gradient), &x, &y)
        });
    });
    group.bench_function("loop through f32 and std", |b| {
        b.iter(|| {
            for (y, x) in y.iter_mut().zip(black_box(&x)) {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the peer is what users write: the platform's exp"
                )]
                let s = 1.0 / (1.0 + (-x.value() as f32).exp());
                *y = T::round_from(f64::from(s));
            }
        });
    });
    group.finish();
}

/// Clipping a gradient by its norm and by value.
fn clipping<T: Measured>(c: &mut Criterion) {
    let arith = Native::<T>::new(isa());
    let source = numbers::<T>(ELEMENTS, 6);
    let mut gradient = source.clone();
    let mut group = c.benchmark_group(format!("time_clip_{}", T::NAME));
    group.throughput(Throughput::Elements(ELEMENTS as u64));
    for remedy in [Remedy::ClipNorm(1.0), Remedy::ClipValue(0.5), Remedy::Normalise] {
        group.bench_function(remedy.to_string(), |b| {
            b.iter(|| {
                gradient.copy_from_slice(&source);
                remedy.apply(&arith, black_box(&mut gradient)).expect("the limits are allowed ones");
            });
        });
    }
    group.bench_function("loop, squares in f32", |b| {
        b.iter(|| {
            gradient.copy_from_slice(&source);
            let squares: f32 = black_box(&gradient).iter().map(|x| (x.value() * x.value()) as f32).sum();
            let factor = (1.0 / (squares.sqrt() + 1e-6)).min(1.0);
            for x in &mut gradient {
                *x = T::round_from(x.value() * f64::from(factor));
            }
        });
    });
    group.finish();
}

fn all(c: &mut Criterion) {
    steps::<f16>(c);
    steps::<bf16>(c);
    steps::<f32>(c);
    steps::<f64>(c);
    chains::<f16>(c);
    chains::<bf16>(c);
    chains::<f32>(c);
    chains::<f64>(c);
    activations::<f16>(c);
    activations::<bf16>(c);
    activations::<f32>(c);
    activations::<f64>(c);
    clipping::<f16>(c);
    clipping::<bf16>(c);
    clipping::<f32>(c);
    clipping::<f64>(c);
}

/// Short times and few resamples: a hundred ids with their pages stay within two minutes on two cores.
fn short() -> Criterion {
    Criterion::default()
        .plotting_backend(PlottingBackend::Plotters)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(200))
        .sample_size(20)
        .nresamples(2000)
}

criterion_group! { name = benches; config = short(); targets = all }
criterion_main!(benches);
