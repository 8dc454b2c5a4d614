//! Networks drawn from a seed.
//!
//! The generator is ChaCha8 as `rand_chacha` defines it, seeded by `seed_from_u64(seed)`; draw number k takes stream 3k for the weights and biases,
//! 3k + 1 for the input and 3k + 2 for the upstream gradient, so that two chains that differ in activation, format or summation get the
//! same numbers. Layers are drawn from the input on: weights row by row, then biases.

use crate::decimal::Decimal;
use crate::network::{Ends, Layer, Network};
use crate::normal::StandardNormal;
use gradchain_activations::Activation;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Uniform};

/// How the weights of a layer with `fan_in` inputs and `fan_out` outputs are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// `N(0, 1/fan_in)`: with the weight scale σ_w the mean-field convention σ_w²/fan_in (Poole et al. 2016).
    Gaussian,
    /// Uniform on `±sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio 2010, eq. 16).
    Xavier,
    /// `N(0, 2/fan_in)` (He et al. 2015, eq. 10).
    He,
    /// `N(0, 1/fan_in)` with zero bias (LeCun et al. 1998, section 4.6).
    LeCun,
    /// Uniform on `±1/sqrt(fan_in)`, weights and biases: the default of torch.nn.Linear.
    Torch,
    /// Haar-distributed orthogonal rows or columns, whichever are fewer (Saxe et al. 2014).
    Orthogonal,
    /// The same gain in every layer: the gain itself at width 1, the gain times an orthogonal matrix at larger widths.
    Constant(Decimal),
    /// Two gains in turn, the first in the layer that the gradient passes first (the last one).
    Alternating(Decimal, Decimal),
    /// A gain drawn for each layer from `N(mean, sd²)`; at larger widths times an orthogonal matrix.
    RandomGain {
        /// Mean of the gain.
        mean: f64,
        /// Standard deviation of the gain.
        sd: f64,
    },
}

/// The upstream gradient dL/dh_d.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Upstream {
    /// Independent `N(0, 1)`: what growth rates of ReLU networks need (with zero mean; a fixed vector is conserved by homogeneity).
    Normal,
    /// All ones.
    Ones,
    /// The first unit vector.
    Unit,
}

impl Upstream {
    /// All kinds by name.
    pub const NAMED: [(&'static str, Upstream); 3] =
        [("normal", Upstream::Normal), ("ones", Upstream::Ones), ("unit", Upstream::Unit)];
}

/// What a drawn network looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// Distribution of the weights.
    pub init: Init,
    /// Factor on every weight (σ_w).
    pub weight_scale: f64,
    /// Standard deviation of the biases (σ_b); with 0 there are none, but for [`Init::Torch`], which has its own.
    pub bias_scale: f64,
    /// Width of every layer and of the input.
    pub width: usize,
    /// Number of layers.
    pub depth: usize,
    /// Activation of every layer.
    pub activation: Activation,
    /// The seed.
    pub seed: u64,
    /// The number of the draw under the seed.
    pub number: u64,
}

impl Draw {
    /// The network.
    pub fn network(&self) -> Network {
        let mut rng = generator(self.seed, self.number, 0);
        let layers = (0..self.depth).map(|index| self.layer(&mut rng, index)).collect();
        Network { layers, activation: self.activation }
    }

    fn layer(&self, rng: &mut ChaCha8Rng, index: usize) -> Layer {
        let width = self.width;
        let fan_in = width as f64;
        let size = width * width;
        let scaled = |weights: Vec<f64>, scale: f64| weights.into_iter().map(|w| w * scale).collect();
        let (weights, weights_rest) = match self.init {
            Init::Gaussian | Init::LeCun => {
                (scaled(normals(rng, size), self.weight_scale / fan_in.sqrt()), None)
            }
            Init::He => (scaled(normals(rng, size), self.weight_scale * (2.0 / fan_in).sqrt()), None),
            Init::Xavier => (uniforms(rng, size, self.weight_scale * (6.0 / (2.0 * fan_in)).sqrt()), None),
            Init::Torch => (uniforms(rng, size, self.weight_scale / fan_in.sqrt()), None),
            Init::Orthogonal => (scaled(orthogonal(rng, width), self.weight_scale), None),
            Init::Constant(gain) => self.with_gain(rng, gain),
            Init::Alternating(first, second) => {
                let passed = self.depth - 1 - index;
                self.with_gain(rng, if passed % 2 == 0 { first } else { second })
            }
            Init::RandomGain { mean, sd } => {
                let gain = mean + sd * StandardNormal.sample(rng);
                self.with_gain(rng, Decimal { nearest: gain, rest: 0.0 })
            }
        };
        let bias = match self.init {
            Init::Torch => Some(uniforms(rng, width, 1.0 / fan_in.sqrt())),
            _ if self.bias_scale == 0.0 => None,
            _ => Some(scaled(normals(rng, width), self.bias_scale)),
        };
        Layer { outputs: width, inputs: width, weights, weights_rest, bias }
    }

    fn with_gain(&self, rng: &mut ChaCha8Rng, gain: Decimal) -> (Vec<f64>, Option<Vec<f64>>) {
        if self.width == 1 {
            return (vec![gain.nearest], (gain.rest != 0.0).then(|| vec![gain.rest]));
        }
        (orthogonal(rng, self.width).into_iter().map(|w| w * gain.nearest).collect(), None)
    }
}

/// What enters `network` under draw `number` of `seed`: `batch` inputs with independent `N(0, 1)` entries, and the upstream gradient.
pub fn draw_ends(network: &Network, batch: usize, upstream: Upstream, seed: u64, number: u64) -> Ends {
    let outputs = network.outputs();
    let size = batch * outputs;
    let upstream = match upstream {
        Upstream::Normal => normals(&mut generator(seed, number, 2), size),
        Upstream::Ones => vec![1.0; size],
        Upstream::Unit => (0..size).map(|i| if i % outputs == 0 { 1.0 } else { 0.0 }).collect(),
    };
    Ends { batch, input: normals(&mut generator(seed, number, 1), batch * network.inputs()), upstream }
}

fn generator(seed: u64, number: u64, purpose: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number.wrapping_mul(3).wrapping_add(purpose));
    rng
}

fn normals(rng: &mut ChaCha8Rng, size: usize) -> Vec<f64> {
    StandardNormal.sample_iter(rng).take(size).collect()
}

/// Uniform on `[-limit, limit)`.
fn uniforms(rng: &mut ChaCha8Rng, size: usize, limit: f64) -> Vec<f64> {
    let unit = Uniform::new(-1.0, 1.0).expect("the limits are finite and in order");
    unit.sample_iter(rng).map(|x: f64| x * limit).take(size).collect()
}

/// A Haar-distributed orthogonal matrix, row-major: rows of a Gaussian matrix, made orthonormal one after the other (Gram and Schmidt), each
/// projection done twice so that orthogonality holds to the unit roundoff (Giraud, Langou and Rozložník 2005).
fn orthogonal(rng: &mut ChaCha8Rng, width: usize) -> Vec<f64> {
    let mut rows: Vec<f64> = Vec::with_capacity(width * width);
    while rows.len() < width * width {
        let mut row = normals(rng, width);
        for _ in 0..2 {
            for done in rows.chunks_exact(width) {
                let along: f64 = done.iter().zip(&row).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(done).for_each(|(x, a)| *x -= along * a);
            }
        }
        let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        // A Gaussian row lies in the span of the others with probability zero; numerically that is a tiny norm, and the row is drawn anew.
        if norm > 1e-6 {
            rows.extend(row.iter().map(|x| x / norm));
        }
    }
    rows
}
