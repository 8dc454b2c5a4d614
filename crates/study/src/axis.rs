//! The axes of a study: their names, and what a text on each of them means.

use crate::cell::{Cell, Init, Measure, NetworkFile};
use crate::row::Value;
use crate::widths::MAX_WIDTH;
use gradchain_arith::{Overflow, Rounding, Subnormals};
use gradchain_chain::Upstream;
use std::fmt::Display;
use std::str::FromStr;

/// A parameter that a study can vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the column table says what each means")]
pub enum Axis {
    Format,
    Summation,
    Association,
    Path,
    Rounding,
    Subnormals,
    Overflow,
    Activation,
    Init,
    WeightScale,
    BiasScale,
    Gain,
    Width,
    Widths,
    Depth,
    Batch,
    Remedy,
    Upstream,
}

impl Axis {
    /// All axes, in the order of the fields of a row.
    pub const ALL: [Axis; 18] = [
        Axis::Format,
        Axis::Summation,
        Axis::Association,
        Axis::Path,
        Axis::Rounding,
        Axis::Subnormals,
        Axis::Overflow,
        Axis::Activation,
        Axis::Init,
        Axis::WeightScale,
        Axis::BiasScale,
        Axis::Gain,
        Axis::Width,
        Axis::Widths,
        Axis::Depth,
        Axis::Batch,
        Axis::Remedy,
        Axis::Upstream,
    ];

    /// The name in studies, rows and `--set`.
    pub const fn name(self) -> &'static str {
        match self {
            Axis::Format => "format",
            Axis::Summation => "summation",
            Axis::Association => "association",
            Axis::Path => "path",
            Axis::Rounding => "rounding",
            Axis::Subnormals => "subnormals",
            Axis::Overflow => "overflow",
            Axis::Activation => "activation",
            Axis::Init => "init",
            Axis::WeightScale => "weight_scale",
            Axis::BiasScale => "bias_scale",
            Axis::Gain => "gain",
            Axis::Width => "width",
            Axis::Widths => "widths",
            Axis::Depth => "depth",
            Axis::Batch => "batch",
            Axis::Remedy => "remedy",
            Axis::Upstream => "upstream",
        }
    }

    /// The axis of this name.
    ///
    /// # Errors
    /// If there is none; the message lists the known ones.
    pub fn named(name: &str) -> Result<Axis, String> {
        Axis::ALL
            .into_iter()
            .find(|axis| axis.name() == name)
            .ok_or_else(|| format!("unknown axis `{name}`; known: {}", Axis::ALL.map(Axis::name).join(", ")))
    }

    /// Whether the values are numbers, so that a text with `..` is a range.
    pub(crate) const fn is_numeric(self) -> bool {
        match self {
            Axis::WeightScale | Axis::BiasScale | Axis::Gain | Axis::Width | Axis::Depth | Axis::Batch => {
                true
            }
            Axis::Format
            | Axis::Summation
            | Axis::Association
            | Axis::Path
            | Axis::Rounding
            | Axis::Subnormals
            | Axis::Overflow
            | Axis::Activation
            | Axis::Init
            | Axis::Widths
            | Axis::Remedy
            | Axis::Upstream => false,
        }
    }

    /// Gives `cell` the value that `text` names.
    ///
    /// # Errors
    /// If the text names no value of the axis: the message names the value and what is allowed.
    pub(crate) fn set(self, cell: &mut Cell, text: &str) -> Result<(), String> {
        match self {
            Axis::Format => cell.format = parse(text)?,
            Axis::Summation => cell.summation = parse(text)?,
            Axis::Association => cell.association = parse(text)?,
            Axis::Path => cell.path = parse(text)?,
            Axis::Rounding => cell.rounding = named(&Rounding::NAMED, "rounding", text, "")?,
            Axis::Subnormals => cell.subnormals = named(&Subnormals::NAMED, "subnormals", text, "")?,
            Axis::Overflow => cell.overflow = named(&Overflow::NAMED, "overflow", text, "")?,
            Axis::Activation => cell.activation = parse(text)?,
            Axis::Init => {
                cell.init = match text.strip_prefix("file:") {
                    Some("") => return Err("`file:` names no file; allowed: file:PATH".to_owned()),
                    Some(path) => Init::File(NetworkFile { path: path.into(), ..Default::default() }),
                    None => named(&Init::NAMED, "init", text, ", file:PATH")?,
                }
            }
            Axis::WeightScale => cell.weight_scale = scale(text)?,
            Axis::BiasScale => cell.bias_scale = scale(text)?,
            Axis::Gain => cell.gain = if text == "none" { None } else { Some(parse(text)?) },
            Axis::Width => cell.width = integer(text, 1, MAX_WIDTH)?,
            Axis::Widths => cell.widths = if text == "none" { None } else { Some(parse(text)?) },
            Axis::Depth => cell.depth = integer(text, 0, 10_000_000)?,
            Axis::Batch => cell.batch = integer(text, 1, 65_536)?,
            Axis::Remedy => cell.remedy = parse(text)?,
            Axis::Upstream => cell.upstream = named(&Upstream::NAMED, "upstream", text, "")?,
        }
        Ok(())
    }

    /// Whether the axis has a field in the rows of `cell`. Those of schema version 1 have one in every row; an axis that came later has one where it
    /// matters, so that rows that were committed before it keep their bytes.
    pub(crate) fn stands_in_rows_of(self, cell: &Cell) -> bool {
        let associated = match cell.measure {
            Measure::Association => true,
            Measure::Chain | Measure::Remedies | Measure::Growth | Measure::Layers | Measure::Spectrum => {
                false
            }
            Measure::Derivative => return self.concerns_single_numbers(),
        };
        match self {
            Axis::Association => associated,
            Axis::Widths => associated || self.value(cell) != Value::Null,
            Axis::Format
            | Axis::Summation
            | Axis::Path
            | Axis::Rounding
            | Axis::Subnormals
            | Axis::Overflow
            | Axis::Activation
            | Axis::Init
            | Axis::WeightScale
            | Axis::BiasScale
            | Axis::Gain
            | Axis::Width
            | Axis::Depth
            | Axis::Batch
            | Axis::Remedy
            | Axis::Upstream => true,
        }
    }

    /// Whether the axis says how a single number is computed, and nothing about chains.
    const fn concerns_single_numbers(self) -> bool {
        match self {
            Axis::Format
            | Axis::Path
            | Axis::Rounding
            | Axis::Subnormals
            | Axis::Overflow
            | Axis::Activation => true,
            Axis::Summation
            | Axis::Association
            | Axis::Init
            | Axis::WeightScale
            | Axis::BiasScale
            | Axis::Gain
            | Axis::Width
            | Axis::Widths
            | Axis::Depth
            | Axis::Batch
            | Axis::Remedy
            | Axis::Upstream => false,
        }
    }

    /// The value of `cell` on this axis as it stands in a row. Null where the axis has no meaning in the cell.
    pub(crate) fn value(self, cell: &Cell) -> Value {
        let drawn = !matches!(cell.init, Init::File(_));
        match self {
            Axis::Format => cell.format.to_string().into(),
            Axis::Summation => cell.summation.name().into(),
            Axis::Association => cell.association.name().into(),
            Axis::Path => cell.path.name().into(),
            Axis::Rounding => name(&Rounding::NAMED, &cell.rounding),
            Axis::Subnormals => name(&Subnormals::NAMED, &cell.subnormals),
            Axis::Overflow => name(&Overflow::NAMED, &cell.overflow),
            Axis::Activation => cell.activation.name().into(),
            Axis::Init if cell.gain.is_some() => Value::Null,
            Axis::Init => match &cell.init {
                Init::File(file) => format!("file:{}", file.path).into(),
                drawn @ (Init::Gaussian
                | Init::Xavier
                | Init::He
                | Init::LeCun
                | Init::Torch
                | Init::Orthogonal) => name(&Init::NAMED, drawn),
            },
            Axis::WeightScale => (drawn && cell.gain.is_none()).then_some(cell.weight_scale).into(),
            Axis::BiasScale => drawn.then_some(cell.bias_scale).into(),
            Axis::Gain => cell.gain.as_ref().map(ToString::to_string).into(),
            Axis::Width => (drawn && cell.widths.is_none()).then_some(cell.width).into(),
            Axis::Widths => cell.widths.filter(|_| drawn).map(|widths| widths.to_string()).into(),
            Axis::Depth => drawn.then_some(cell.depth).into(),
            Axis::Batch => cell.batch.into(),
            Axis::Remedy => cell.remedy.to_string().into(),
            Axis::Upstream => name(&Upstream::NAMED, &cell.upstream),
        }
    }
}

fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|e: T::Err| e.to_string())
}

fn named<T: Clone>(list: &[(&'static str, T)], what: &str, text: &str, more: &str) -> Result<T, String> {
    list.iter().find(|(name, _)| *name == text).map(|(_, value)| value.clone()).ok_or_else(|| {
        let known: Vec<&str> = list.iter().map(|(name, _)| *name).collect();
        format!("unknown {what} `{text}`; known: {}{more}", known.join(", "))
    })
}

fn name<T: PartialEq>(list: &[(&'static str, T)], value: &T) -> Value {
    list.iter().find(|(_, known)| known == value).map(|(name, _)| *name).into()
}

fn integer(text: &str, least: usize, greatest: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(x) if (least..=greatest).contains(&x) => Ok(x),
        _ => Err(format!("`{text}` is not allowed; allowed: integers from {least} to {greatest}")),
    }
}

fn scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        // Adding zero drops the sign of -0.
        Ok(x) if x.is_finite() && x >= 0.0 => Ok(x + 0.0),
        _ => Err(format!("`{text}` is not allowed; allowed: finite numbers of at least 0")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_under_their_names() {
        for (axis, text) in [
            (Axis::Format, "custom:5,-14,15"),
            (Axis::Summation, "pairwise"),
            (Axis::Association, "matrix-first"),
            (Axis::Path, "symmetric"),
            (Axis::Rounding, "stochastic"),
            (Axis::Subnormals, "flush"),
            (Axis::Overflow, "saturate"),
            (Axis::Activation, "relu"),
            (Axis::Init, "file:a,b.safetensors"),
            (Axis::Gain, "alternating:1.5,0.8"),
            (Axis::Widths, "bottleneck:64,4"),
            (Axis::Remedy, "clip-norm:1"),
            (Axis::Upstream, "unit"),
        ] {
            let mut cell = Cell::default();
            axis.set(&mut cell, text).unwrap();
            assert_eq!(axis.value(&cell), Value::from(text), "{}", axis.name());
        }
        for axis in Axis::ALL {
            assert_eq!(Axis::named(axis.name()), Ok(axis));
        }
    }

    #[test]
    fn bad_values_name_themselves_and_what_is_allowed() {
        for (axis, text, allowed) in [
            (Axis::Format, "f15", "bf16"),
            (Axis::Summation, "kahan", "compensated"),
            (Axis::Association, "x", "vector-first, matrix-first, balanced, optimal"),
            (Axis::Path, "x", "symmetric"),
            (Axis::Rounding, "x", "stochastic"),
            (Axis::Subnormals, "x", "keep, flush"),
            (Axis::Overflow, "x", "infinity, saturate"),
            (Axis::Activation, "x", "sigmoid"),
            (Axis::Init, "x", "file:PATH"),
            (Axis::Init, "file:", "file:PATH"),
            (Axis::WeightScale, "nan", "finite"),
            (Axis::WeightScale, "-1", "at least 0"),
            (Axis::BiasScale, "inf", "finite"),
            (Axis::Gain, "x", "alternating:a,b"),
            (Axis::Width, "0", "from 1 to 65536"),
            (Axis::Widths, "bottleneck:4", "alternating:a,b"),
            (Axis::Depth, "10000001", "from 0 to 10000000"),
            (Axis::Depth, "-1", "from 0"),
            (Axis::Batch, "1.5", "integers"),
            (Axis::Remedy, "x", "clip-norm"),
            (Axis::Remedy, "clip-norm:-1", "clip-norm = "),
            (Axis::Upstream, "x", "normal, ones, unit"),
        ] {
            let message = axis.set(&mut Cell::default(), text).unwrap_err();
            assert!(
                message.contains(text.trim_start_matches("clip-norm:")) && message.contains(allowed),
                "{}: {message}",
                axis.name()
            );
        }
    }
}
