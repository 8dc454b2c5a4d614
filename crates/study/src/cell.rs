//! Cells: one point of the grid of a study, with an id that depends on nothing else.

use crate::axis::Axis;
use crate::gain::Gain;
use crate::row::Value;
use crate::widths::Widths;
use gradchain_activations::{Activation, Path};
use gradchain_arith::{Format, Overflow, Rounding, Rules, Subnormals, Summation};
use gradchain_chain::train::Momentum;
use gradchain_chain::{Digits, Upstream, Wiring};
use gradchain_gradients::Remedy;
use gradchain_kernels::{Association, MAX_OPTIMAL_LAYERS};
use std::fmt;
use std::sync::{Arc, LazyLock};

/// What a cell computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// A whole chain: one row.
    Chain,
    /// A whole chain under a remedy: one row.
    Remedies,
    /// The rate at which gradients grow, over many networks: one row.
    Growth,
    /// Every layer of a network: one row a layer.
    Layers,
    /// A linear chain, multiplied in the order of the cell's association: one row.
    Association,
    /// The derivative of an activation at the numbers of the format: one row.
    Derivative,
    /// Lyapunov exponents and singular values of the Jacobian: a row for each of up to 16 of them.
    Spectrum,
    /// What training does at a learning rate, or at which learning rates it works: one row.
    LearningRate,
}

impl Measure {
    /// All measures by name.
    pub const NAMED: [(&'static str, Measure); 8] = [
        ("chain", Measure::Chain),
        ("remedies", Measure::Remedies),
        ("growth", Measure::Growth),
        ("layers", Measure::Layers),
        ("association", Measure::Association),
        ("derivative", Measure::Derivative),
        ("spectrum", Measure::Spectrum),
        ("learning-rate", Measure::LearningRate),
    ];

    /// The name in study files.
    pub const fn name(self) -> &'static str {
        match self {
            Measure::Chain => "chain",
            Measure::Remedies => "remedies",
            Measure::Growth => "growth",
            Measure::Layers => "layers",
            Measure::Association => "association",
            Measure::Derivative => "derivative",
            Measure::Spectrum => "spectrum",
            Measure::LearningRate => "learning-rate",
        }
    }
}

/// Rows of a cell of the measure `spectrum`, at most.
pub(crate) const SPECTRUM_ROWS: usize = 16;

/// Where the weights come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Init {
    /// Normal, variance 1/fan_in.
    Gaussian,
    /// Glorot and Bengio's uniform distribution.
    Xavier,
    /// He's normal distribution, variance 2/fan_in.
    He,
    /// LeCun's normal distribution, variance 1/fan_in, no bias.
    LeCun,
    /// The default of torch.nn.Linear.
    Torch,
    /// Haar-distributed orthogonal matrices.
    Orthogonal,
    /// A network that was trained or drawn elsewhere.
    File(NetworkFile),
}

impl Init {
    /// The distributions by name; `file:PATH` is one more text.
    pub const NAMED: [(&'static str, Init); 6] = [
        ("gaussian", Init::Gaussian),
        ("xavier", Init::Xavier),
        ("he", Init::He),
        ("lecun", Init::LeCun),
        ("torch", Init::Torch),
        ("orthogonal", Init::Orthogonal),
    ];

    /// The initialisation of `gradchain_chain`, unless a file gives the weights.
    pub fn drawn(&self) -> Option<gradchain_chain::Init> {
        match self {
            Init::Gaussian => Some(gradchain_chain::Init::Gaussian),
            Init::Xavier => Some(gradchain_chain::Init::Xavier),
            Init::He => Some(gradchain_chain::Init::He),
            Init::LeCun => Some(gradchain_chain::Init::LeCun),
            Init::Torch => Some(gradchain_chain::Init::Torch),
            Init::Orthogonal => Some(gradchain_chain::Init::Orthogonal),
            Init::File(_) => None,
        }
    }
}

/// In which numbers training keeps the weights, and how it rounds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Master {
    /// In the format of the passes itself.
    None,
    /// In f32, rounded into the format for each pass: master weights (Micikevicius et al. 2018, "Mixed precision training", section 3.1).
    F32,
    /// In the format itself, but every update rounds stochastically: on average none is lost (Gupta et al. 2015, arXiv:1502.02551, section 3). The passes
    /// round as `rounding` says.
    Stochastic,
}

impl Master {
    /// All by name.
    pub const NAMED: [(&'static str, Master); 3] =
        [("none", Master::None), ("f32", Master::F32), ("stochastic", Master::Stochastic)];
}

/// A safetensors file, read by the caller: this crate opens none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NetworkFile {
    /// The path as the user wrote it.
    pub path: Arc<str>,
    /// The whole content; empty until it is read.
    pub bytes: Arc<[u8]>,
    /// The widths of the network, from the input on: one more than it has layers.
    pub widths: Arc<[usize]>,
}

impl fmt::Debug for NetworkFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkFile({:?}, {} bytes)", self.path, self.bytes.len())
    }
}

/// One point of the grid: what to compute and how.
///
/// Draw k of `seed` is the same network in every format, summation and path, so that cells can be compared: derive streams from
/// `(seed, k)` alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Name of the study.
    pub study: Arc<str>,
    /// What to compute.
    pub measure: Measure,
    /// Random networks to average over.
    pub draws: u64,
    /// The seed of the study.
    pub seed: u64,
    /// Number format.
    pub format: Format,
    /// How products are added.
    pub summation: Summation,
    /// In which order the matrices are multiplied.
    pub association: Association,
    /// How the derivative of the activation is computed.
    pub path: Path,
    /// Which neighbour an inexact result becomes.
    pub rounding: Rounding,
    /// What becomes of subnormal results.
    pub subnormals: Subnormals,
    /// What becomes of results that are too large.
    pub overflow: Overflow,
    /// Activation of every layer.
    pub activation: Activation,
    /// Where the weights come from, unless `gain` gives them.
    pub init: Init,
    /// Factor on every weight; without meaning if `gain` or a file gives the weights.
    pub weight_scale: f64,
    /// Standard deviation of the biases; without meaning if a file gives them.
    pub bias_scale: f64,
    /// The factor of each layer; replaces `init`.
    pub gain: Option<Gain>,
    /// Outputs of each layer; without meaning if `widths` or a file gives them.
    pub width: usize,
    /// Widths that differ from layer to layer, in place of `width`; without meaning if a file gives the network.
    pub widths: Option<Widths>,
    /// Layers; without meaning if a file gives the network.
    pub depth: usize,
    /// Samples that pass at once.
    pub batch: usize,
    /// What is done to the gradient after each layer.
    pub remedy: Remedy,
    /// What enters at the last layer.
    pub upstream: Upstream,
    /// The learning rate. None: the measure `learning-rate` searches for those at which training works, the measure `layers` makes no step.
    pub learning_rate: Option<f64>,
    /// The rule by which training makes a step of a gradient.
    pub optimiser: Momentum,
    /// In which numbers training keeps the weights.
    pub master: Master,
    /// Steps of one training.
    pub steps: usize,
}

impl Default for Cell {
    /// The values of the axes that a study does not name. They are part of the ids: a changed default renames every cell.
    fn default() -> Cell {
        Cell {
            study: "".into(),
            measure: Measure::Chain,
            draws: 1,
            seed: 1,
            format: Format::F32,
            summation: Summation::Wide,
            association: Association::VectorFirst,
            path: Path::Fused,
            rounding: Rounding::Nearest,
            subnormals: Subnormals::Keep,
            overflow: Overflow::Infinity,
            activation: Activation::Identity,
            init: Init::Gaussian,
            weight_scale: 1.0,
            bias_scale: 0.0,
            gain: None,
            width: 64,
            widths: None,
            depth: 64,
            batch: 1,
            remedy: Remedy::None,
            upstream: Upstream::Normal,
            learning_rate: None,
            optimiser: Momentum::None,
            master: Master::None,
            steps: 120,
        }
    }
}

impl Cell {
    /// How results enter the format.
    pub fn rules(&self) -> Rules {
        Rules { rounding: self.rounding, subnormals: self.subnormals, overflow: self.overflow }
    }

    /// The width of h_t, t = 0 .. `depth`, unless a file gives the network.
    pub fn width_at(&self, t: usize) -> usize {
        self.widths.map_or(self.width, |widths| widths.at(self.depth, t))
    }

    /// How many rows the cell gives: known before it is measured, so that a file which ends within a cell is told from a whole one.
    pub fn row_count(&self) -> usize {
        match self.measure {
            Measure::Chain
            | Measure::Remedies
            | Measure::Growth
            | Measure::Association
            | Measure::Derivative
            | Measure::LearningRate => 1,
            Measure::Layers => self.layers(),
            Measure::Spectrum => self.singular_values().min(SPECTRUM_ROWS),
        }
    }

    /// Singular values of the Jacobian: the smaller width of the two ends.
    fn singular_values(&self) -> usize {
        match &self.init {
            Init::File(file) => file.widths.first().min(file.widths.last()).copied().unwrap_or(self.width),
            Init::Gaussian | Init::Xavier | Init::He | Init::LeCun | Init::Torch | Init::Orthogonal => {
                self.width_at(0).min(self.width_at(self.depth))
            }
        }
    }

    /// Layers of the network: those of its file, or `depth`.
    pub fn layers(&self) -> usize {
        match &self.init {
            Init::File(file) => file.widths.len().saturating_sub(1),
            Init::Gaussian | Init::Xavier | Init::He | Init::LeCun | Init::Torch | Init::Orthogonal => {
                self.depth
            }
        }
    }

    /// What on which axis contradicts the rest of the cell.
    pub(crate) fn contradiction(&self) -> Option<(Axis, String)> {
        let default = Cell::default();
        if let Some(gain) = &self.gain
            && (self.init != default.init || self.weight_scale != default.weight_scale)
        {
            let message = format!(
                "`{gain}` gives the weights; leave `init` and `weight_scale` at their defaults, or set gain=none"
            );
            return Some((Axis::Gain, message));
        }
        if !self.summation.is_defined_for(self.format) {
            let allowed: Vec<&str> = Summation::of(self.format).map(Summation::name).collect();
            let message = format!(
                "`{}` is not a sum of {} numbers; allowed: {}",
                self.summation,
                self.format,
                allowed.join(", ")
            );
            return Some((Axis::Summation, message));
        }
        if !self.path.is_defined_for(self.activation) {
            let allowed: Vec<&str> = Path::ALL
                .into_iter()
                .filter(|path| path.is_defined_for(self.activation))
                .map(Path::name)
                .collect();
            let message = format!(
                "`{}` is no way to the derivative of {}; allowed: {}",
                self.path,
                self.activation,
                allowed.join(", ")
            );
            return Some((Axis::Path, message));
        }
        if self.remedy == Remedy::BatchNorm && self.batch < 2 && self.measure != Measure::Derivative {
            let message =
                "batchnorm takes its statistics over the batch; allowed with it: 2 to 65536".to_owned();
            return Some((Axis::Batch, message));
        }
        let without_meaning = |what: &str| {
            let axis = Axis::ALL
                .into_iter()
                .find(|axis| !axis.stands_in_rows_of(self) && axis.value(self) != axis.value(&default))?;
            let measure = self.measure.name();
            Some((axis, format!("it has no meaning for the measure `{measure}`, which {what}; leave it out")))
        };
        if self.measure != Measure::LearningRate && self.measure != Measure::Derivative {
            let training = [Axis::LearningRate, Axis::Optimiser, Axis::Master, Axis::Steps];
            let foreign =
                |axis: &Axis| !axis.stands_in_rows_of(self) && axis.value(self) != axis.value(&default);
            if let Some(axis) = training.into_iter().find(foreign) {
                let (value, measure) = (plain(&axis.value(self)), self.measure.name());
                let allowed = plain(&axis.value(&default));
                let message = format!(
                    "`{value}` is for the measure `learning-rate`; the measure `{measure}` trains nothing: allowed: {allowed}"
                );
                return Some((axis, message));
            }
        }
        match self.measure {
            Measure::Derivative => without_meaning("looks at single numbers"),
            Measure::LearningRate => {
                without_meaning("trains a network").or_else(|| self.training_contradiction())
            }
            Measure::Chain | Measure::Remedies | Measure::Growth | Measure::Layers | Measure::Spectrum
                if self.association != default.association =>
            {
                let (association, measure) = (self.association, self.measure.name());
                let message = format!(
                    "`{association}` is an order for the measure `association`; the measure `{measure}` goes layer by layer: \
                     allowed: {}",
                    default.association
                );
                Some((Axis::Association, message))
            }
            Measure::Chain | Measure::Remedies | Measure::Growth
                if matches!(self.remedy, Remedy::Adaptive(_)) =>
            {
                let (remedy, measure) = (self.remedy, self.measure.name());
                let message = format!(
                    "`{remedy}` treats the gradients of the weights, which the measure `{measure}` does not look at; the measure `layers` does"
                );
                Some((Axis::Remedy, message))
            }
            Measure::Spectrum => self.beyond_one_jacobian(),
            Measure::Chain | Measure::Remedies | Measure::Growth | Measure::Layers => None,
            Measure::Association if self.activation != Activation::Identity => {
                let message = format!(
                    "`{}` is not linear; the measure `association` multiplies matrices in any order: allowed: {}",
                    self.activation,
                    Activation::Identity
                );
                Some((Axis::Activation, message))
            }
            Measure::Association if self.remedy != Remedy::None => {
                let message = format!(
                    "`{}` treats the gradient after each layer, which only vector-first has; the measure `association` \
                     takes no remedy: allowed: {}",
                    self.remedy,
                    Remedy::None
                );
                Some((Axis::Remedy, message))
            }
            Measure::Association
                if self.association == Association::Optimal
                    && self.init.drawn().is_some()
                    && self.depth > MAX_OPTIMAL_LAYERS =>
            {
                let message = format!(
                    "the optimal order of {} layers is not searched for; allowed with association=optimal: at most {MAX_OPTIMAL_LAYERS}",
                    self.depth
                );
                Some((Axis::Depth, message))
            }
            Measure::Association => None,
        }
    }

    /// What the Jacobian at one input, without a gradient that passes it, has nothing to do with.
    fn beyond_one_jacobian(&self) -> Option<(Axis, String)> {
        let default = Cell::default();
        let message = |text: &str, allowed: &str| {
            format!("{text}; the measure `spectrum` looks at the Jacobian at one input: allowed: {allowed}")
        };
        if self.remedy != default.remedy {
            let text = format!("`{}` treats gradients or changes the network", self.remedy);
            return Some((Axis::Remedy, message(&text, "none")));
        }
        if self.batch != default.batch {
            return Some((Axis::Batch, message(&format!("a batch of {}", self.batch), "1")));
        }
        if self.upstream != default.upstream {
            return Some((Axis::Upstream, message("no upstream gradient enters it", "normal, the default")));
        }
        None
    }

    /// What on which axis contradicts the training of the measure `learning-rate`.
    fn training_contradiction(&self) -> Option<(Axis, String)> {
        let refused = |axis, message: String| Some((axis, message));
        let drawn = !matches!(self.init, Init::File(_));
        if drawn && self.depth == 0 {
            return refused(
                Axis::Depth,
                "`0`: a network without layers is not trained; allowed: 1 to 10000000".to_owned(),
            );
        }
        let digits = Digits::built_in().count();
        if self.batch > digits {
            return refused(
                Axis::Batch,
                format!("`{}`: there are {digits} digits; allowed: 1 to {digits}", self.batch),
            );
        }
        if self.master == Master::F32 && self.format.precision() > Format::F32.precision() {
            let message = format!("`f32` is coarser than {}; allowed with it: none", self.format);
            return refused(Axis::Master, message);
        }
        let gain = self.gain.as_ref()?;
        let positive = matches!(gain, Gain::Constant(number) if number.decimal().nearest > 0.0);
        if !positive {
            let message = format!(
                "`{gain}` is no gain that the measure `learning-rate` trains towards; allowed: none, a number above 0"
            );
            return refused(Axis::Gain, message);
        }
        let refused = |axis: Axis, allowed: &str| {
            let message = format!(
                "`{}`: the measure `learning-rate` trains a gain as a linear chain of width 1, on one sample and without biases; allowed with \
                 a gain: {allowed}",
                plain(&axis.value(self))
            );
            Some((axis, message))
        };
        if self.widths.is_some() {
            return refused(Axis::Widths, "none");
        }
        if self.width != 1 {
            return refused(Axis::Width, "1");
        }
        if self.activation != Activation::Identity {
            return refused(Axis::Activation, "identity");
        }
        if self.batch != 1 {
            return refused(Axis::Batch, "1");
        }
        if self.bias_scale != 0.0 {
            return refused(Axis::BiasScale, "0");
        }
        if Wiring::of(self.remedy) != Wiring::Plain {
            return refused(Axis::Remedy, "remedies that leave the network as it is");
        }
        None
    }

    /// The value on `axis` as it stands in a row.
    pub fn value(&self, axis: Axis) -> Value {
        axis.value(self)
    }

    /// The canonical text that the id is a hash of: a line `axis=value` for each axis that differs from its default, by name, then measure,
    /// draws and seed. Axes at their default are left out so that an axis added later renames no cell. A network file
    /// counts with its content, not its path.
    pub fn canonical(&self) -> String {
        static DEFAULTS: LazyLock<[String; Axis::ALL.len()]> =
            LazyLock::new(|| Axis::ALL.map(|axis| plain(&Cell::default().value(axis))));
        let mut lines: Vec<String> = Vec::new();
        for (axis, default) in Axis::ALL.into_iter().zip(DEFAULTS.iter()) {
            let file =
                if let (Axis::Init, Init::File(file)) = (axis, &self.init) { Some(file) } else { None };
            let text = file
                .map_or_else(|| plain(&self.value(axis)), |file| format!("file:{:032x}", fnv(&file.bytes)));
            if text != *default {
                lines.push(format!("{}={text}", axis.name()));
            }
        }
        lines.sort_unstable();
        lines.push(format!("measure={}\ndraws={}\nseed={}", self.measure.name(), self.draws, self.seed));
        lines.join("\n")
    }

    /// The id: the FNV-1a hash (128 bits, its halves joined by exclusive or) of the canonical text, as 16 hexadecimal digits.
    pub fn id(&self) -> String {
        let hash = fnv(self.canonical().as_bytes());
        format!("{:016x}", (hash >> 64) as u64 ^ hash as u64)
    }
}

/// Text of a parameter in ids; part of them for ever.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(x) => x.to_string(),
        Value::Integer(x) => x.to_string(),
        Value::Number(x) => x.to_string(),
        Value::Scaled { mantissa, exp2 } => format!("{mantissa}*2^{exp2}"),
        Value::Text(text) => text.clone(),
    }
}

/// FNV-1a with 128 bits (Fowler, Noll, Vo; RFC 9923).
pub(crate) fn fnv(bytes: &[u8]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = (1 << 88) + 0x13b;
    bytes.iter().fold(OFFSET, |hash, &byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable() {
        // Golden: rows committed under these ids must be found again.
        assert_eq!(Cell::default().canonical(), "measure=chain\ndraws=1\nseed=1");
        let cell = Cell { gain: Some("0.80".parse().unwrap()), depth: 100, width: 1, ..Cell::default() };
        assert_eq!(
            cell.canonical(),
            "depth=100\ngain=0.8\ninit=none\nweight_scale=none\nwidth=1\nmeasure=chain\ndraws=1\nseed=1"
        );
        assert_eq!(
            (Cell::default().id().as_str(), cell.id().as_str()),
            ("5e35091c40556168", "1e726ad6e4200dbf")
        );
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        // Published vectors: the empty text, and "a".
        assert_eq!(fnv(b""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(fnv(b"a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }

    #[test]
    fn rows_are_counted_before_they_are_measured() {
        let cell = Cell { depth: 7, ..Cell::default() };
        assert_eq!(cell.row_count(), 1);
        let layers = Cell { measure: Measure::Layers, ..cell };
        assert_eq!(layers.row_count(), 7);
        let file = NetworkFile { widths: [64, 20, 10].into(), ..Default::default() };
        assert_eq!(Cell { init: Init::File(file), ..layers }.row_count(), 2);
    }

    #[test]
    fn a_file_counts_with_its_content() {
        let cell = |path: &str, bytes: &[u8]| Cell {
            init: Init::File(NetworkFile { path: path.into(), bytes: bytes.into(), ..Default::default() }),
            ..Cell::default()
        };
        assert_eq!(cell("a", b"x").id(), cell("b", b"x").id());
        assert_ne!(cell("a", b"x").id(), cell("a", b"y").id());
    }
}
