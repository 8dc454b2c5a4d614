//! At what rate the gradient of a random network grows or shrinks.
//!
//! A sample is one gradient of one network: each draw is a network of its own, and the samples of its batch, with inputs and upstream gradients of their
//! own, share its weights. So standard errors are taken over the means of the networks, which are independent.

use super::MeasureError;
use super::arithmetic::{WithArithmetic, with_arithmetic};
use super::network::{EndWidths, Networks};
use super::prediction::predict;
use crate::cell::Cell;
use crate::row::Row;
use gradchain_arith::{Format, Isa};
use gradchain_chain::{
    ChainArithmetic, Ends, Network, Rounded, Setting, Wiring, backward, draw_ends, forward, round_ends,
};
use gradchain_drift::norm;
use rayon::prelude::*;

/// The row of a cell.
pub(super) fn measure(cell: &Cell, isa: Isa) -> Result<Vec<Row>, MeasureError> {
    let networks = Networks::of(cell, EndWidths::of(cell))?;
    // The draws depend on their numbers alone, and are summed up in order: threads change no bit.
    let draws: Result<Vec<Vec<Sample>>, MeasureError> = (0..cell.draws)
        .into_par_iter()
        .map(|number| {
            let network = Network { wiring: Wiring::of(cell.remedy), ..networks.draw(number) };
            let widths = match network.layers.is_empty() {
                true => (cell.width_at(0), cell.width_at(0)),
                false => (network.inputs(), network.outputs()),
            };
            let ends = draw_ends(widths, cell.batch, cell.upstream, cell.seed, number);
            with_arithmetic(cell, isa, number, &OneDraw { cell, network, ends })
        })
        .collect();
    let mut row = row_of(&draws?);
    if let Some(prediction) = predict(cell) {
        prediction.set(&mut row, cell);
    }
    Ok(vec![row])
}

fn row_of(draws: &[Vec<Sample>]) -> Row {
    let all = || draws.iter().flatten();
    let mut row = Row::new();
    let first = |f: fn(&Sample) -> Option<usize>| all().filter_map(f).min();
    row.set("first_subnormal", first(|s| s.first_subnormal));
    row.set("first_zero", first(|s| s.first_zero.filter(|_| !s.dead)));
    row.set("first_infinite", first(|s| s.first_infinite));
    let count = all().count();
    row.set("samples", count);
    row.set("dead_fraction", all().filter(|s| s.dead).count() as f64 / count as f64);
    let alive = |f: fn(&Sample) -> Option<f64>| {
        let of_draw = |draw: &Vec<Sample>| draw.iter().filter_map(f).collect::<Vec<f64>>();
        draws.iter().map(of_draw).collect::<Vec<Vec<f64>>>()
    };
    let rates = alive(|s| s.rate);
    if let Some(Estimate { mean, standard_error }) = Estimate::of(&rates) {
        row.set("rate_log2", mean);
        row.set("rate_stderr", standard_error);
    }
    let logarithms = alive(|s| s.ln_growth);
    row.set("complete", logarithms.iter().flatten().count());
    if let Some(Estimate { mean, standard_error }) = Estimate::of(&logarithms) {
        row.set("mean_ln_norm2", mean);
        row.set("mean_stderr", standard_error);
        let squares = |draw: &Vec<f64>| draw.iter().map(|x| (x - mean) * (x - mean)).collect::<Vec<f64>>();
        let squares: Vec<Vec<f64>> = logarithms.iter().map(squares).collect();
        let n = logarithms.iter().flatten().count() as f64;
        if let Some(Estimate { mean, standard_error }) = Estimate::of(&squares)
            && n > 1.0
        {
            row.set("var_ln_norm2", mean * n / (n - 1.0));
            row.set("var_stderr", standard_error);
        }
    }
    row
}

/// A mean over samples, and its standard error from the scatter of the networks' means: none where there is one network.
struct Estimate {
    mean: f64,
    standard_error: Option<f64>,
}

impl Estimate {
    /// The estimate from the samples of each network; none without samples. Sums run in the order of the draws.
    fn of(networks: &[Vec<f64>]) -> Option<Estimate> {
        let total: f64 = networks.iter().flatten().sum();
        let count = networks.iter().flatten().count() as f64;
        if count == 0.0 {
            return None;
        }
        let mean = total / count;
        // A network with more samples alive counts for more: the ratio estimator of cluster sampling (Cochran 1977, section 9A).
        let clusters: Vec<f64> = networks
            .iter()
            .filter(|samples| !samples.is_empty())
            .map(|samples| samples.iter().map(|x| x - mean).sum())
            .collect();
        let k = clusters.len() as f64;
        let standard_error =
            (k > 1.0).then(|| (clusters.iter().map(|x| x * x).sum::<f64>() * k / (k - 1.0)).sqrt() / count);
        Some(Estimate { mean, standard_error })
    }
}

/// What one gradient did on its way.
#[derive(Clone, Debug, Default)]
struct Sample {
    /// log2 of the norm at the last layer before anything left the normal range, over that at the top, for each layer passed.
    rate: Option<f64>,
    /// ln of the squared norm at the bottom over that at the top, where both are finite and not zero.
    ln_growth: Option<f64>,
    /// A derivative of zero in every unit of some layer stopped the gradient; no number was subnormal before.
    dead: bool,
    first_subnormal: Option<usize>,
    first_zero: Option<usize>,
    first_infinite: Option<usize>,
}

/// A sample while its gradient is followed.
#[derive(Clone, Debug, Default)]
struct Followed {
    sample: Sample,
    /// log2 of the norm at the top.
    top: f64,
    /// log2 of the norm now.
    now: f64,
}

impl Followed {
    /// Takes the gradient `row`, after `passed` layers and of `delta` before the weights.
    fn step(&mut self, passed: usize, row: &[f64], delta: Option<&[f64]>, format: Format) {
        let sample = &mut self.sample;
        let ended = sample.first_infinite.is_some() || sample.first_zero.is_some();
        if ended {
            return;
        }
        let within = sample.first_subnormal.is_none();
        if within && self.now.is_finite() && delta.is_some_and(|delta| delta.iter().all(|&x| x == 0.0)) {
            sample.dead = true;
        }
        self.now = norm(row).log2();
        if passed == 0 {
            self.top = self.now;
        }
        if row.iter().any(|x| !x.is_finite()) {
            sample.first_infinite = Some(passed);
            return;
        }
        if row.iter().all(|&x| x == 0.0) {
            sample.first_zero = Some(passed);
            return;
        }
        let subnormal = |x: &f64| *x != 0.0 && x.abs() < format.min_normal();
        if within && row.iter().any(subnormal) {
            sample.first_subnormal = Some(passed);
        }
        if within && passed > 0 {
            sample.rate = Some((self.now - self.top) / passed as f64);
        }
    }

    fn finish(mut self) -> Sample {
        let growth = self.now - self.top;
        let sample = &mut self.sample;
        let complete = sample.first_infinite.is_none() && sample.first_zero.is_none() && growth.is_finite();
        sample.ln_growth = complete.then_some(2.0 * std::f64::consts::LN_2 * growth);
        sample.rate = sample.rate.filter(|_| !sample.dead);
        self.sample
    }
}

struct OneDraw<'a> {
    cell: &'a Cell,
    network: Network,
    ends: Ends,
}

impl WithArithmetic for OneDraw<'_> {
    type Output = Result<Vec<Sample>, MeasureError>;

    fn run<K: ChainArithmetic>(&self, arith: &K, inputs: &K) -> Result<Vec<Sample>, MeasureError> {
        let OneDraw { cell, network, ends } = self;
        let rounded = Rounded::of(inputs, network);
        let (input, upstream) = round_ends(inputs, ends);
        let batch = ends.batch;
        let trace = (!network.is_linear()).then(|| forward(arith, &rounded, cell.summation, batch, &input));
        let setting = Setting { summation: cell.summation, path: cell.path, remedy: cell.remedy };
        let mut followed = vec![Followed::default(); batch];
        let (mut row, mut before) = (Vec::new(), Vec::new());
        backward(arith, &rounded, setting, trace.as_ref(), batch, &upstream, |step| {
            let width = step.gradient.len() / batch;
            for (b, followed) in followed.iter_mut().enumerate() {
                row.clear();
                row.extend(step.gradient[b * width..][..width].iter().map(|&x| arith.value(x)));
                let delta = step.delta.map(|delta| {
                    let width = delta.len() / batch;
                    before.clear();
                    before.extend(delta[b * width..][..width].iter().map(|&x| arith.value(x)));
                    before.as_slice()
                });
                followed.step(step.passed, &row, delta, cell.format);
            }
        })?;
        Ok(followed.into_iter().map(Followed::finish).collect())
    }
}
