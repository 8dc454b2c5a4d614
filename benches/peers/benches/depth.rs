//! Time a layer of a backward pass against the depth of the chain, and against its width.
//!
//! No throughput here: criterion would draw it in place of the depth. An iteration is one layer, so that chains of every depth take the
//! same time to measure; a flat line says that depth costs nothing but layers.

#[expect(dead_code, reason = "a chain of layers is no contest")]
mod common;

use common::{isa, short};
use criterion::{AxisScale, BenchmarkId, Criterion, PlotConfiguration, criterion_group, criterion_main};
use gradchain_activations::{Activation, Path, Vectorized};
use gradchain_arith::{Arithmetic, Native, Summation, bf16, f16};
use gradchain_chain::{Draw, Init, Network, Rounded, Setting, Upstream, backward, draw_ends};
use gradchain_gradients::{Measured, Remedy};
use gradchain_kernels::Stored;
use gradchain_peers::pool;
use std::hint::black_box;
use std::time::Instant;

const DEPTHS: [usize; 5] = [1, 10, 100, 1000, 10_000];
/// Width of the chains of different depths.
const WIDTH: usize = 64;
const WIDTHS: [usize; 7] = [16, 32, 64, 128, 256, 512, 1024];
/// Depth of the chains of different widths.
const DEPTH: usize = 16;
/// How many weights of a chain are drawn; then its layers repeat. Orthogonal matrices are drawn in cubic time.
const DRAWN: usize = 1 << 18;

/// A chain whose gradient keeps its norm at every depth.
fn network(width: usize, depth: usize) -> Network {
    let different = (DRAWN / (width * width)).clamp(1, depth);
    let drawn = Draw::square(Init::Orthogonal, width, different, Activation::Identity, 1).network();
    let layers = drawn.layers.iter().cloned().cycle().take(depth).collect();
    Network::plain(layers, drawn.activation)
}

fn layers<T: Stored + Vectorized + Measured>(c: &mut Criterion, axis: &str, chains: &[(usize, usize)]) {
    let arith = Native::<T>::new(isa());
    let pool = pool(1);
    let mut group = c.benchmark_group(format!("time_layer_by_{axis}_{}", T::NAME));
    group.plot_config(PlotConfiguration::default().summary_scale(AxisScale::Logarithmic));
    for &(width, depth) in chains {
        let rounded = Rounded::of(&arith, &network(width, depth));
        let upstream: Vec<T> = draw_ends((width, width), 1, Upstream::Normal, 3, 0)
            .upstream
            .into_iter()
            .map(T::round_from)
            .collect();
        for summation in [Summation::Recursive, Summation::Wide] {
            let setting = Setting { summation, path: Path::Fused, remedy: Remedy::None };
            let pass = || {
                let pass = backward(&arith, &rounded, setting, None, 1, black_box(&upstream), |step| {
                    black_box(arith.value(step.gradient[0]));
                });
                pass.expect("no remedy, so none that is set wrongly");
            };
            let number = if axis == "depth" { depth } else { width };
            group.bench_function(BenchmarkId::new(summation.name(), number), |b| {
                pool.install(|| {
                    b.iter_custom(|layers| {
                        let passes = layers.div_ceil(depth as u64);
                        let start = Instant::now();
                        for _ in 0..passes {
                            pass();
                        }
                        start.elapsed().mul_f64(layers as f64 / (passes * depth as u64) as f64)
                    });
                });
            });
        }
    }
    group.finish();
}

fn both<T: Stored + Vectorized + Measured>(c: &mut Criterion) {
    layers::<T>(c, "depth", &DEPTHS.map(|depth| (WIDTH, depth)));
    layers::<T>(c, "width", &WIDTHS.map(|width| (width, DEPTH)));
}

fn all(c: &mut Criterion) {
    both::<f16>(c);
    both::<bf16>(c);
    both::<f32>(c);
    both::<f64>(c);
}

criterion_group! { name = benches; config = short(); targets = all }
criterion_main!(benches);
