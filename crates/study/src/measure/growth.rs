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
use gradchain_chain::{ChainArithmetic, Ends, Network, Rounded, Setting, backward, forward, round_ends};
use gradchain_drift::norm;
use rayon::prelude::*;

/// The row of a cell.
pub(super) fn measure(cell: &Cell, isa: Isa) -> Result<Vec<Row>, MeasureError> {
    let networks = Networks::of(cell, EndWidths::of(cell))?;
    // The draws depend on their numbers alone, and are summed up in order: threads change no bit.
    let draws: Result<Vec<Vec<Sample>>, MeasureError> = (0..cell.draws)
        .into_par_iter()
        .map(|number| {
            let network = networks.draw(number);
            let ends = networks.ends(&network, number);
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
    let of_draws = |f: &dyn Fn(&Sample) -> Option<(f64, f64)>| {
        let of_draw = |draw: &Vec<Sample>| draw.iter().filter_map(f).collect();
        draws.iter().map(of_draw).collect::<Vec<Vec<(f64, f64)>>>()
    };
    let growths = of_draws(&|s| s.growth.map(|(growth, layers)| (growth, layers as f64)));
    if let Some(Ratio { value, standard_error }) = Ratio::of(&growths) {
        row.set("rate_log2", value);
        row.set("rate_stderr", standard_error);
    }
    let logarithms = of_draws(&|s| s.ln_growth.map(|x| (x, 1.0)));
    let complete = logarithms.iter().flatten().count();
    row.set("complete", complete);
    if let Some(Ratio { value: mean, standard_error }) = Ratio::of(&logarithms) {
        row.set("mean_ln_norm2", mean);
        row.set("mean_stderr", standard_error);
        let squares = of_draws(&|s| s.ln_growth.map(|x| ((x - mean) * (x - mean), 1.0)));
        let n = complete as f64;
        if let Some(Ratio { value, standard_error }) = Ratio::of(&squares)
            && n > 1.0
        {
            row.set("var_ln_norm2", value * n / (n - 1.0));
            row.set("var_stderr", standard_error);
        }
    }
    row
}

/// A sum over samples over another one, and its standard error from the scatter of the networks: none where there is one network.
struct Ratio {
    value: f64,
    standard_error: Option<f64>,
}

impl Ratio {
    /// `Σ x / Σ n` over the samples (x, n) of all networks: a mean, where every n is 1; none without samples. Sums run in the order of the draws.
    ///
    /// The standard error is that of the ratio estimator with networks for clusters (Cochran 1977, "Sampling techniques", section 9A): the networks that count
    /// for more, with more samples or more layers, weigh more.
    fn of(networks: &[Vec<(f64, f64)>]) -> Option<Ratio> {
        let samples = || networks.iter().flatten();
        let count: f64 = samples().map(|(_, n)| n).sum();
        if count == 0.0 {
            return None;
        }
        let value = samples().map(|(x, _)| x).sum::<f64>() / count;
        let residuals: Vec<f64> = networks
            .iter()
            .filter(|samples| !samples.is_empty())
            .map(|samples| samples.iter().map(|(x, n)| x - value * n).sum())
            .collect();
        let k = residuals.len() as f64;
        let standard_error =
            (k > 1.0).then(|| (residuals.iter().map(|x| x * x).sum::<f64>() * k / (k - 1.0)).sqrt() / count);
        Some(Ratio { value, standard_error })
    }
}

/// What one gradient did on its way.
#[derive(Clone, Debug, Default)]
struct Sample {
    /// log2 of the norm over that at the top, and the layers between them: up to the first layer with a subnormal number, or the last one of a gradient that
    /// has none and is neither zero nor infinite. The layer that ends it is of it: leaving it out would leave out what it did to the norm, in the
    /// samples that shrank the most.
    growth: Option<(f64, usize)>,
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
            sample.growth = Some((self.now - self.top, passed));
        }
    }

    fn finish(mut self) -> Sample {
        let growth = self.now - self.top;
        let sample = &mut self.sample;
        let complete = sample.first_infinite.is_none() && sample.first_zero.is_none() && growth.is_finite();
        sample.ln_growth = complete.then_some(2.0 * std::f64::consts::LN_2 * growth);
        sample.growth = sample.growth.filter(|_| !sample.dead);
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
