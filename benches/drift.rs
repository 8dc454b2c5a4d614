//! How many units of roundoff a gradient drifts with depth, in each format and with each summation, as a criterion measurement.
//!
//! The groups are named `drift_...`, and their unit is u, the unit roundoff of the format: normwise relative distance from the reference for the
//! same rounded inputs, divided by u. Criterion calls every measurement a time; here "time" is that distance.
//!
//! Criterion cannot digest values that are all equal, zero or not finite, and it decides itself how often to ask. So the values are
//! a fixed table: one chain for each of [`SEEDS`] seeds, sample k showing seed k mod [`SEEDS`], between [`FLOOR`] and the value at which
//! no bit is left. The exact values are gated elsewhere, by the committed rows of the study `drift`.

use criterion::measurement::{Measurement, ValueFormatter};
use criterion::{
    AxisScale, BenchmarkId, Criterion, PlotConfiguration, PlottingBackend, SamplingMode, Throughput,
    criterion_group, criterion_main,
};
use gradchain_activations::{Activation, Path, Vectorized};
use gradchain_arith::{Arithmetic, Isa, Native, Summation, bf16, f16};
use gradchain_chain::{Draw, Init, Rounded, Setting, Upstream, backward, draw_ends, round_ends};
use gradchain_drift::{ScaledVector, Weights, compare, reference_backward};
use gradchain_gradients::{Measured, Remedy};
use gradchain_kernels::Stored;
use std::cell::Cell;
use std::time::Duration;

/// Chains behind each point of a chart, and criterion's sample size.
const SEEDS: usize = 10;
/// Depths of the charts.
const DEPTHS: [usize; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
/// Width of the chains.
const WIDTH: usize = 16;
/// The least value shown, in units of u: a chain without any drift would be no measurement to criterion.
const FLOOR: f64 = 1.0 / 1024.0;

/// Drift in units of the unit roundoff; criterion's clock is never asked.
struct Drift;

impl Measurement for Drift {
    type Intermediate = ();
    type Value = f64;

    fn start(&self) {}

    fn end(&self, (): ()) -> f64 {
        FLOOR
    }

    fn add(&self, a: &f64, b: &f64) -> f64 {
        a + b
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &UnitRoundoffs
    }
}

/// Writes values as multiples of u.
struct UnitRoundoffs;

impl ValueFormatter for UnitRoundoffs {
    fn scale_values(&self, _typical: f64, _values: &mut [f64]) -> &'static str {
        "u"
    }

    fn scale_throughputs(
        &self,
        _typical: f64,
        _throughput: &Throughput,
        _values: &mut [f64],
    ) -> &'static str {
        "u"
    }

    fn scale_for_machines(&self, _values: &mut [f64]) -> &'static str {
        "u"
    }
}

/// The drift of the chain of each seed, in units of u: `values[depth index][seed]`. One pass to the largest depth gives all depths, since the
/// gradient after k layers does not know how many follow.
fn table<T: Stored + Vectorized + Measured>(isa: Isa, summation: Summation) -> Vec<[f64; SEEDS]> {
    let arith = Native::<T>::new(isa);
    let deepest = DEPTHS[DEPTHS.len() - 1];
    let mut values = vec![[0.0; SEEDS]; DEPTHS.len()];
    for (number, seed) in (0..SEEDS).zip(0..) {
        // Orthogonal layers keep the norm, so that every format stays inside its range at every depth.
        let network = Draw::square(Init::Orthogonal, WIDTH, deepest, Activation::Identity, seed).network();
        let rounded = Rounded::of(&arith, &network);
        let ends = draw_ends((WIDTH, WIDTH), 1, Upstream::Normal, seed, 0);
        let (_, upstream) = round_ends(&arith, &ends);
        let setting = Setting { summation, path: Path::Fused, remedy: Remedy::None };
        let mut computed: Vec<Vec<f64>> = Vec::new();
        let pass = backward(&arith, &rounded, setting, None, 1, &upstream, |step| {
            computed.push(step.gradient.iter().map(|&x| arith.value(x)).collect());
        });
        pass.expect("no remedy, so none that is set wrongly");
        let exact = ScaledVector::new(&computed[0]);
        reference_backward(isa, &rounded.widened(&arith), Weights::Stored, None, 1, &exact, |step| {
            if let Some(index) = DEPTHS.iter().position(|&depth| depth == step.passed) {
                let drift = compare(&computed[step.passed], step.gradient, T::FORMAT).drift;
                let unit = T::FORMAT.unit_roundoff();
                values[index][number] = (drift / unit).clamp(FLOOR, 1.0 / unit);
            }
        });
    }
    values
}

fn drift_of<T: Stored + Vectorized + Measured>(c: &mut Criterion<Drift>) {
    let isa = Isa::choose().unwrap_or_else(|error| panic!("{error}"));
    let mut group = c.benchmark_group(format!("drift_{}", T::NAME));
    group.sampling_mode(SamplingMode::Flat);
    group.plot_config(PlotConfiguration::default().summary_scale(AxisScale::Logarithmic));
    for summation in Summation::of(T::FORMAT) {
        for (depth, values) in DEPTHS.into_iter().zip(table::<T>(isa, summation)) {
            if values.iter().all(|&value| value == values[0]) {
                eprintln!(
                    "drift_{}/{summation}/{depth}: {} in every chain; criterion cannot chart that",
                    T::NAME,
                    values[0]
                );
                continue;
            }
            let next = Cell::new(0);
            group.bench_function(BenchmarkId::new(summation.name(), depth), |b| {
                b.iter_custom(|iterations| {
                    let seed = next.get();
                    next.set((seed + 1) % SEEDS);
                    values[seed] * iterations as f64
                });
            });
        }
    }
    group.finish();
}

fn all(c: &mut Criterion<Drift>) {
    drift_of::<f16>(c);
    drift_of::<bf16>(c);
    drift_of::<f32>(c);
    drift_of::<f64>(c);
}

/// The shortest times there are: one call to warm up, and one iteration a sample.
fn fixed() -> Criterion<Drift> {
    Criterion::default()
        .with_measurement(Drift)
        .plotting_backend(PlottingBackend::Plotters)
        .warm_up_time(Duration::from_nanos(1))
        .measurement_time(Duration::from_nanos(1))
        .sample_size(SEEDS)
        .nresamples(1001)
}

criterion_group! { name = benches; config = fixed(); targets = all }
criterion_main!(benches);
