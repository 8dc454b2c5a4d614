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
    /// `N(0, 1/fan_in)` (LeCun et al. 1998, section 4.6): the numbers of [`Init::Gaussian`] under the name that frameworks give them.
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
    /// Factor on every weight (σ_w) that is drawn from a distribution of weights; gains are taken as they stand.
    pub weight_scale: f64,
    /// Standard deviation of the biases (σ_b); with 0 there are none, but for [`Init::Torch`], which has its own.
    pub bias_scale: f64,
    /// Width of the input.
    pub inputs: usize,
    /// Width of the layers between.
    pub width: usize,
    /// Width of the output.
    pub outputs: usize,
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
    /// A network of one width throughout, with unit weight scale and no bias.
    pub fn square(init: Init, width: usize, depth: usize, activation: Activation, seed: u64) -> Draw {
        Draw {
            init,
            weight_scale: 1.0,
            bias_scale: 0.0,
            inputs: width,
            width,
            outputs: width,
            depth,
            activation,
            seed,
            number: 0,
        }
    }

    /// The network.
    pub fn network(&self) -> Network {
        self.network_of_widths(|t| match t {
            0 => self.inputs,
            _ if t == self.depth => self.outputs,
            _ => self.width,
        })
    }

    /// The network whose vector h_t, t = 0 .. `depth`, has `width(t)` components, in place of `inputs`, `width` and `outputs`.
    pub fn network_of_widths(&self, width: impl Fn(usize) -> usize) -> Network {
        let mut rng = generator(self.seed, self.number, 0);
        let layers = (0..self.depth).map(|t| self.layer(&mut rng, t, width(t + 1), width(t))).collect();
        Network::plain(layers, self.activation)
    }

    fn layer(&self, rng: &mut ChaCha8Rng, index: usize, outputs: usize, inputs: usize) -> Layer {
        let fan_in = inputs as f64;
        let size = outputs * inputs;
        let (weights, weights_rest) = match self.init {
            Init::Gaussian | Init::LeCun => (normals(rng, size, self.weight_scale / fan_in.sqrt()), None),
            Init::He => (normals(rng, size, self.weight_scale * (2.0 / fan_in).sqrt()), None),
            Init::Xavier => {
                let limit = (6.0 / (fan_in + outputs as f64)).sqrt();
                (uniforms(rng, size, self.weight_scale * limit), None)
            }
            Init::Torch => (uniforms(rng, size, self.weight_scale / fan_in.sqrt()), None),
            Init::Orthogonal => (orthogonal(rng, outputs, inputs, self.weight_scale), None),
            Init::Constant(gain) => with_gain(rng, outputs, inputs, gain),
            Init::Alternating(first, second) => {
                let passed = self.depth - 1 - index;
                with_gain(rng, outputs, inputs, if passed.is_multiple_of(2) { first } else { second })
            }
            Init::RandomGain { mean, sd } => {
                let gain = mean + sd * StandardNormal.sample(rng);
                with_gain(rng, outputs, inputs, Decimal { nearest: gain, rest: 0.0 })
            }
        };
        let bias = match self.init {
            Init::Torch => Some(uniforms(rng, outputs, 1.0 / fan_in.sqrt())),
            Init::Gaussian
            | Init::Xavier
            | Init::He
            | Init::LeCun
            | Init::Orthogonal
            | Init::Constant(_)
            | Init::Alternating(..)
            | Init::RandomGain { .. } => {
                (self.bias_scale != 0.0).then(|| normals(rng, outputs, self.bias_scale))
            }
        };
        Layer { outputs, inputs, weights, weights_rest, bias }
    }
}

/// What enters a network of `inputs` and `outputs` under draw `number` of `seed`: `batch` inputs with independent `N(0, 1)` entries, and the
/// upstream gradient.
pub fn draw_ends(
    (inputs, outputs): (usize, usize),
    batch: usize,
    upstream: Upstream,
    seed: u64,
    number: u64,
) -> Ends {
    let size = batch * outputs;
    let upstream = match upstream {
        Upstream::Normal => normals(&mut generator(seed, number, 2), size, 1.0),
        Upstream::Ones => vec![1.0; size],
        Upstream::Unit => (0..size).map(|i| if i % outputs == 0 { 1.0 } else { 0.0 }).collect(),
    };
    Ends { batch, input: normals(&mut generator(seed, number, 1), batch * inputs, 1.0), upstream }
}

fn generator(seed: u64, number: u64, purpose: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number.wrapping_mul(3).wrapping_add(purpose));
    rng
}

fn normals(rng: &mut ChaCha8Rng, size: usize, scale: f64) -> Vec<f64> {
    let mut numbers = vec![0.0; size];
    StandardNormal.fill(rng, &mut numbers);
    numbers.iter_mut().for_each(|x| *x *= scale);
    numbers
}

/// Uniform on `[-limit, limit)`.
fn uniforms(rng: &mut ChaCha8Rng, size: usize, limit: f64) -> Vec<f64> {
    let unit = Uniform::new(-1.0, 1.0).expect("the limits are finite and in order");
    unit.sample_iter(rng).take(size).map(|x: f64| x * limit).collect()
}

/// The gain itself for a layer of one weight, with what f64 leaves off of it; else the gain times an orthogonal matrix.
fn with_gain(
    rng: &mut ChaCha8Rng,
    rows: usize,
    columns: usize,
    gain: Decimal,
) -> (Vec<f64>, Option<Vec<f64>>) {
    if rows * columns == 1 {
        return (vec![gain.nearest], (gain.rest != 0.0).then(|| vec![gain.rest]));
    }
    (orthogonal(rng, rows, columns, gain.nearest), None)
}

/// `scale` times a Haar-distributed matrix with orthonormal rows, or columns where those are fewer; row-major.
fn orthogonal(rng: &mut ChaCha8Rng, rows: usize, columns: usize, scale: f64) -> Vec<f64> {
    let (few, long) = (rows.min(columns), rows.max(columns));
    let vectors = orthonormal(rng, few, long);
    let at = |i: usize, j: usize| if rows <= columns { vectors[i * long + j] } else { vectors[j * long + i] };
    (0..rows * columns).map(|entry| scale * at(entry / columns, entry % columns)).collect()
}

/// `count` orthonormal vectors of `length`: Gaussian ones, made orthonormal one after the other (Gram and Schmidt), each projection
/// done twice so that orthogonality holds to the unit roundoff (Giraud, Langou and Rozložník 2005).
fn orthonormal(rng: &mut ChaCha8Rng, count: usize, length: usize) -> Vec<f64> {
    let mut vectors: Vec<f64> = Vec::with_capacity(count * length);
    while vectors.len() < count * length {
        let mut new = normals(rng, length, 1.0);
        for _ in 0..2 {
            for done in vectors.chunks_exact(length) {
                let along: f64 = done.iter().zip(&new).map(|(a, b)| a * b).sum();
                new.iter_mut().zip(done).for_each(|(x, a)| *x -= along * a);
            }
        }
        let norm = new.iter().map(|x| x * x).sum::<f64>().sqrt();
        // A Gaussian vector lies in the span of the others with probability zero; numerically that is a tiny norm, and it is drawn anew.
        if norm > 1e-6 {
            vectors.extend(new.iter().map(|x| x / norm));
        }
    }
    vectors
}
