//! How long the pieces of a gradient chain take in each format, with the peers in the same group.
//!
//! Every group is named `time_...`; throughput counts weights (steps, chains) or elements (activations, clipping). Peers: `matrixmultiply`,
//! ndarray's `dot`, and plain loops over the numbers of `half`. Results are checked against the peers' before anything is timed.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gradchain_activations::{Activation, Path, apply, backpropagate_slice};
use gradchain_arith::{Arithmetic, Isa, Native, Real, Summation, bf16, f16};
use gradchain_chain::{Draw, Init, Rounded, Setting, Upstream, backward, draw_ends};
use gradchain_gradients::Remedy;
use gradchain_kernels::{Kernels, MatrixMultiply, Shape, matrixmultiply_times};
use ndarray::{ArrayView1, ArrayView2, LinalgScalar};
use std::hint::black_box;
use std::time::Duration;

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

/// What a format is compared with beside the summations: peers that own the order of their sums.
trait Peers: Real + LinalgScalar {
    /// Adds the peers of a matrix-vector step `W^T g` to a group.
    fn step_peers(group: &mut BenchmarkGroup<'_, WallTime>, weights: &[Self], g: &[Self], n: usize);
}

/// `W^T g` by ndarray's `dot`.
fn bench_ndarray<T: Peers>(group: &mut BenchmarkGroup<'_, WallTime>, weights: &[T], g: &[T], n: usize) {
    let fits = "the benches make matching shapes";
    let weights = ArrayView2::from_shape((n, n), weights).expect(fits);
    let g = ArrayView1::from_shape(n, g).expect(fits);
    check_step(
        weights.t().dot(&g).as_slice().expect(fits),
        weights.as_slice().expect(fits),
        g.as_slice().expect(fits),
    );
    group.bench_function("ndarray dot", |b| b.iter(|| black_box(weights).t().dot(&black_box(g))));
}

fn bench_matrixmultiply<T: Peers + MatrixMultiply>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    weights: &[T],
    g: &[T],
    n: usize,
) {
    let shape = Shape { rows: 1, inner: n, columns: n };
    let mut out = vec![T::default(); n];
    matrixmultiply_times(g, weights, &mut out, shape);
    check_step(&out, weights, g);
    group.bench_function("matrixmultiply", |b| {
        b.iter(|| matrixmultiply_times(black_box(g), black_box(weights), &mut out, shape));
    });
}

/// `W^T g` as a user of `half` writes it: one row of W after the other, operators of the 16-bit type.
fn bench_half_loop<T: Peers + std::ops::AddAssign>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    weights: &[T],
    g: &[T],
    n: usize,
) {
    let mut out = vec![T::default(); n];
    group.bench_function("half loop", |b| {
        b.iter(|| {
            out.fill(T::default());
            for (row, &g) in black_box(weights).chunks_exact(n).zip(black_box(g)) {
                for (out, &w) in out.iter_mut().zip(row) {
                    *out += w * g;
                }
            }
            black_box(out[0])
        });
    });
    check_step(&out, weights, g);
}

impl Peers for f16 {
    fn step_peers(group: &mut BenchmarkGroup<'_, WallTime>, weights: &[f16], g: &[f16], n: usize) {
        bench_half_loop(group, weights, g, n);
        bench_ndarray(group, weights, g, n);
    }
}

impl Peers for bf16 {
    fn step_peers(group: &mut BenchmarkGroup<'_, WallTime>, weights: &[bf16], g: &[bf16], n: usize) {
        bench_half_loop(group, weights, g, n);
        bench_ndarray(group, weights, g, n);
    }
}

impl Peers for f32 {
    fn step_peers(group: &mut BenchmarkGroup<'_, WallTime>, weights: &[f32], g: &[f32], n: usize) {
        bench_matrixmultiply(group, weights, g, n);
        bench_ndarray(group, weights, g, n);
    }
}

impl Peers for f64 {
    fn step_peers(group: &mut BenchmarkGroup<'_, WallTime>, weights: &[f64], g: &[f64], n: usize) {
        bench_matrixmultiply(group, weights, g, n);
        bench_ndarray(group, weights, g, n);
    }
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
        for summation in Summation::ALL {
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
        T::step_peers(&mut group, &weights, &g, n);
        group.finish();
    }
}

/// Whole backward passes of linear chains of width 64; the throughput is weights a second, so that a flat line over depth is linear cost.
fn chains<T: Real>(c: &mut Criterion) {
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
    }
    group.finish();
}

/// Sigmoid and ReLU: values, and gradients by every derivative path.
fn activations<T: Real>(c: &mut Criterion) {
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
fn clipping<T: Real>(c: &mut Criterion) {
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
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .sample_size(20)
        .nresamples(2000)
}

criterion_group! { name = benches; config = short(); targets = all }
criterion_main!(benches);
