//! Study files in TOML.
//!
//! ```toml
//! question = "At which depth does each format overflow?"
//! measure = "chain"              # or "remedies", "growth", "layers", "association", "derivative", "spectrum"
//! draws = 8                      # random networks to average over; 1 if absent
//! seed = 1                       # 1 if absent
//! columns = ["format", "drift"]  # what a table shows; all that is not null if absent
//! [axes]                         # the first axis varies slowest
//! format = ["f16", "bf16"]
//! depth = "1..1024:x2"
//! [[extra]]                      # a further grid: these axes replace those above
//! depth = 100000
//! ```
//!
//! Every key, axis and value that is not known is an error with its line, its column and what is known.

use crate::axis::Axis;
use crate::cell::Measure;
use crate::columns::{COLUMNS, column};
use crate::grid::values;
use crate::study::{DRAWS, Origin, Study, StudyError, Values, replace};
use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const KEYS: [&str; 7] = ["question", "measure", "draws", "seed", "columns", "axes", "extra"];

impl Study {
    /// Reads the text of a study file; `place` names it in messages.
    ///
    /// # Errors
    /// If it is not TOML, or holds a key, an axis or a value that is not known.
    pub fn parse(name: &str, place: &str, text: &str) -> Result<Study, StudyError> {
        let file = File { place, text };
        let table = DeTable::parse(text).map_err(|e| file.error(e.span(), None, e.message().to_owned()))?;
        let table = table.get_ref();
        for key in table.keys() {
            if !KEYS.contains(&key.get_ref().as_ref()) {
                let message = format!("unknown key `{}`; known: {}", key.get_ref(), KEYS.join(", "));
                return Err(file.error(Some(key.span()), None, message));
            }
        }
        let required = |key: &str| {
            table.get(key).ok_or_else(|| file.error(None, Some(key), "this key is missing".to_owned()))
        };
        let question = file.string(required("question")?, "question")?.trim().to_owned();
        let measure = required("measure")?;
        let name_of_measure = file.string(measure, "measure")?;
        let measure =
            Measure::NAMED.iter().find(|(name, _)| *name == name_of_measure).map(|(_, m)| *m).ok_or_else(
                || {
                    let known = Measure::NAMED.map(|(name, _)| name).join(", ");
                    file.error(
                        Some(measure.span()),
                        Some("measure"),
                        format!("unknown measure `{name_of_measure}`; known: {known}"),
                    )
                },
            )?;
        let integer = |key: &str, allowed: RangeInclusive<u64>| match table.get(key) {
            Some(value) => file.integer(value, key, allowed),
            None => Ok(1),
        };
        let draws = integer("draws", DRAWS)?;
        let seed = integer("seed", 0..=u64::MAX)?;
        let columns = table.get("columns").map_or(Ok(Vec::new()), |columns| file.columns(columns))?;
        let axes = table.get("axes").map_or(Ok(Vec::new()), |axes| file.axes(axes, "axes"))?;
        let mut grids = vec![axes];
        if let Some(extra) = table.get("extra") {
            let DeValue::Array(tables) = extra.get_ref() else {
                return Err(file.error(
                    Some(extra.span()),
                    Some("extra"),
                    "expected [[extra]] tables".to_owned(),
                ));
            };
            for table in tables.iter() {
                let further = file.axes(table, "extra")?;
                let mut grid = grids[0].clone();
                further.into_iter().for_each(|values| replace(&mut grid, values));
                grids.push(grid);
            }
        }
        Ok(Study {
            name: name.into(),
            place: place.to_owned(),
            question,
            measure,
            draws,
            seed,
            columns,
            grids,
        })
    }
}

/// A study file while it is read.
struct File<'a> {
    place: &'a str,
    text: &'a str,
}

impl File<'_> {
    fn error(&self, span: Option<Range<usize>>, field: Option<&str>, message: String) -> StudyError {
        let position = span.map(|span| self.position(span.start));
        StudyError { place: self.place.to_owned(), position, field: field.map(str::to_owned), message }
    }

    fn position(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }

    fn string<'v>(&self, value: &'v Spanned<DeValue<'_>>, key: &str) -> Result<&'v str, StudyError> {
        let wrong = || {
            self.error(
                Some(value.span()),
                Some(key),
                format!("expected a text, found {}", value.get_ref().type_str()),
            )
        };
        value.get_ref().as_str().ok_or_else(wrong)
    }

    fn integer(
        &self,
        value: &Spanned<DeValue<'_>>,
        key: &str,
        allowed: RangeInclusive<u64>,
    ) -> Result<u64, StudyError> {
        let number =
            value.get_ref().as_integer().and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok());
        number.filter(|n| allowed.contains(n)).ok_or_else(|| {
            let found = self.text.get(value.span()).unwrap_or_default();
            let message = format!(
                "`{found}` is not allowed; allowed: integers from {} to {}",
                allowed.start(),
                allowed.end()
            );
            self.error(Some(value.span()), Some(key), message)
        })
    }

    fn columns(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<&'static str>, StudyError> {
        let DeValue::Array(names) = value.get_ref() else {
            return Err(self.error(
                Some(value.span()),
                Some("columns"),
                "expected a list of column names".to_owned(),
            ));
        };
        let column = |name: &Spanned<DeValue<'_>>| {
            let text = self.string(name, "columns")?;
            let known = || COLUMNS.iter().map(|c| c.name).collect::<Vec<_>>().join(", ");
            let unknown = || {
                self.error(
                    Some(name.span()),
                    Some("columns"),
                    format!("unknown column `{text}`; known: {}", known()),
                )
            };
            column(text).map(|column| column.name).ok_or_else(unknown)
        };
        names.iter().map(column).collect()
    }

    fn axes(&self, value: &Spanned<DeValue<'_>>, section: &str) -> Result<Vec<Values>, StudyError> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.error(
                Some(value.span()),
                Some(section),
                format!("expected a table of axes, found {}", value.get_ref().type_str()),
            ));
        };
        // The parser keeps tables sorted by name; the order of the file is the order of the cells.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let axis = |(key, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
            let axis =
                Axis::named(key.get_ref()).map_err(|e| self.error(Some(key.span()), Some(section), e))?;
            let field = format!("{section}.{}", axis.name());
            let texts = match value.get_ref() {
                DeValue::Array(items) if items.is_empty() => {
                    return Err(self.error(
                        Some(value.span()),
                        Some(&field),
                        "an empty list; leave the axis out for its default".to_owned(),
                    ));
                }
                DeValue::Array(items) => items
                    .iter()
                    .map(|item| self.values(axis, item, &field))
                    .collect::<Result<Vec<_>, _>>()?
                    .concat(),
                DeValue::String(_)
                | DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_)
                | DeValue::Table(_) => self.values(axis, value, &field)?,
            };
            Ok(Values {
                axis,
                texts,
                origin: Origin::StudyFile,
                position: Some(self.position(value.span().start)),
            })
        };
        entries.into_iter().map(axis).collect()
    }

    /// The values of one item: a text (perhaps a range) or a number, which keeps the digits of the file.
    fn values(
        &self,
        axis: Axis,
        item: &Spanned<DeValue<'_>>,
        field: &str,
    ) -> Result<Vec<String>, StudyError> {
        let error = |message| self.error(Some(item.span()), Some(field), message);
        let text = match item.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(n) if n.radix() == 10 => n.as_str().to_owned(),
            DeValue::Float(x) => x.as_str().to_owned(),
            other @ (DeValue::Integer(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_)) => {
                return Err(error(format!(
                    "expected a text or a decimal number, found {}",
                    other.type_str()
                )));
            }
        };
        values(axis, text.trim()).map_err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;
    use crate::row::Value;

    const HEAD: &str = "question = 'Why?'\nmeasure = 'chain'\n";

    fn parse(text: &str) -> Result<Study, StudyError> {
        Study::parse("s", "s.toml", text)
    }

    fn cells(text: &str) -> Result<Vec<Cell>, StudyError> {
        parse(&format!("{HEAD}{text}"))?.plan(&|path, _| Err(format!("no such file {path}")))
    }

    fn column_of(cells: &[Cell], axis: Axis) -> Vec<Value> {
        cells.iter().map(|cell| cell.value(axis)).collect()
    }

    #[test]
    fn grids_expand_in_the_order_of_the_file_and_fold() {
        let cells = cells(
            "draws = 3\nseed = 7\n[axes]\nwidth = [2, 1]\ndepth = '1..4:x2'\n[[extra]]\ndepth = [4, 8]\nwidth = 1\nformat = ['f32', 'f16']",
        )
        .unwrap();
        let integers = |list: &[i64]| list.iter().map(|&x| Value::Integer(x)).collect::<Vec<_>>();
        assert_eq!(column_of(&cells, Axis::Width), integers(&[2, 2, 2, 1, 1, 1, 1, 1, 1]));
        assert_eq!(column_of(&cells, Axis::Depth), integers(&[1, 2, 4, 1, 2, 4, 4, 8, 8]));
        assert!(cells.iter().all(|cell| cell.draws == 3 && cell.seed == 7));
    }

    #[test]
    fn an_added_value_renames_no_cell() {
        let ids = |depths: &str| {
            cells(&format!("axes.depth = {depths}")).unwrap().iter().map(Cell::id).collect::<Vec<_>>()
        };
        assert_eq!(ids("[1, 9]"), [ids("[1, 5, 9]")[0].clone(), ids("[1, 5, 9]")[2].clone()]);
    }

    #[test]
    fn gains_keep_the_digits_of_the_file() {
        let cells = cells("[axes]\ngain = [1, 0.10, 1_0.5, 'sqrt2', '0.8..1:+0.1']").unwrap();
        let texts = ["1", "0.1", "10.5", "sqrt2", "0.8", "0.9"].map(Value::from);
        assert_eq!(column_of(&cells, Axis::Gain), texts);
    }

    #[test]
    fn set_replaces_an_axis_in_every_grid() {
        let mut study = parse(&format!(
            "{HEAD}[axes]\nformat = ['f16', 'f32']\ndepth = 1\n[[extra]]\ndepth = 2\nformat = 'f64'"
        ))
        .unwrap();
        study.set("format=bf16,custom:5,-14,15").unwrap();
        study.set("depth = 7").unwrap();
        let cells = study.plan(&|_, _| Err(String::new())).unwrap();
        assert_eq!(column_of(&cells, Axis::Format), ["bf16", "custom:5,-14,15"].map(Value::from));
        for (bad, reason) in [
            ("depth", "allowed: axis=v1,v2"),
            ("deep=1", "unknown axis `deep`; known: format, summation"),
            ("depth=x", "--set: depth: `x` is not allowed; allowed: integers from 0 to 10000000"),
            ("format=f16,f15", "unknown format `f15`"),
        ] {
            let message = study.set(bad).unwrap_err().to_string();
            assert!(message.contains(reason), "{message}");
        }
    }

    #[test]
    fn errors_name_the_place_the_field_and_what_is_allowed() {
        for (text, expected) in [
            ("draws = ", "s.toml:3:9: "),
            ("colour = 1", "s.toml:3:1: unknown key `colour`; known: question, measure, draws"),
            ("draws = 0", "s.toml:3:9: draws: `0` is not allowed; allowed: integers from 1 to 10000000"),
            ("seed = -1", "s.toml:3:8: seed: `-1`"),
            ("draws = 'x'", "s.toml:3:9: draws: `'x'`"),
            ("columns = ['format', 'dirft']", "s.toml:3:22: columns: unknown column `dirft`; known: format"),
            ("columns = 'format'", "s.toml:3:11: columns: expected a list"),
            ("[axes]\ndeep = 1", "s.toml:4:1: axes: unknown axis `deep`; known: format"),
            (
                "[axes]\nlearning_rate = 0.1",
                "s.toml:4:17: learning_rate: `0.1` is for the measure `learning-rate`; the measure `chain` trains nothing",
            ),
            ("[axes]\nformat = ['f16', 'f15']", "s.toml:4:18: axes.format: unknown format `f15`; known: f16"),
            (
                "[axes]\nweight_scale = nan",
                "s.toml:4:16: axes.weight_scale: `nan` is not allowed; allowed: finite",
            ),
            ("[axes]\nweight_scale = inf", "axes.weight_scale: `inf`"),
            ("[axes]\ndepth = '1..8'", "s.toml:4:9: axes.depth: bad range `1..8`: the step is missing"),
            ("[axes]\ndepth = 1.5", "`1.5` is not allowed; allowed: integers"),
            ("[axes]\ndepth = 0x10", "expected a text or a decimal number"),
            ("[axes]\ndepth = [[1]]", "found array"),
            ("[axes]\ndepth = []", "s.toml:4:9: axes.depth: an empty list"),
            ("[axes]\nwidth = 0", "`0` is not allowed; allowed: integers from 1 to 65536"),
            ("axes = 1", "s.toml:3:8: axes: expected a table"),
            ("extra = 1", "s.toml:3:9: extra: expected [[extra]]"),
            ("[[extra]]\ndeep = 1", "s.toml:4:1: extra: unknown axis `deep`"),
            ("[axes]\ngain = 2\ninit = 'he'", "s.toml:4:8: gain: `2` gives the weights"),
            ("[axes]\ngain = 2\nweight_scale = 2", "gain: `2` gives the weights"),
            ("[axes]\ninit = 'file:x'", "s.toml:4:8: init: x: no such file x"),
            (
                "[axes]\nassociation = 'balanced'",
                "s.toml:4:15: association: `balanced` is an order for the measure `association`; the measure `chain`",
            ),
            (
                "[axes]\nwidths = 'bottleneck:4'",
                "s.toml:4:10: axes.widths: `bottleneck:4` is not allowed; allowed: none",
            ),
            (
                "[axes]\ndepth = '1..1000:+1'\nwidth = '1..1001:+1'",
                "s.toml: 1001000 cells; allowed: at most 1000000",
            ),
        ] {
            let message = cells(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text:?}: {message}");
        }
        assert_eq!(
            parse("measure = 'chain'").unwrap_err().to_string(),
            "s.toml: question: this key is missing"
        );
        let message = parse("question = 'é'\nmeasure = 'chian'").unwrap_err().to_string();
        assert_eq!(
            message,
            "s.toml:2:11: measure: unknown measure `chian`; known: chain, remedies, growth, layers, association, derivative, spectrum, learning-rate"
        );
        assert!(
            parse("question = 3\nmeasure = 'chain'").unwrap_err().to_string().contains("expected a text")
        );
    }

    #[test]
    fn the_measure_association_takes_linear_chains() {
        let cells = |axes: &str| {
            let text = format!("question = 'Why?'\nmeasure = 'association'\n[axes]\n{axes}");
            parse(&text)?.plan(&|path, _| Err(format!("no such file {path}")))
        };
        for (axes, expected) in [
            ("activation = 'relu'", "s.toml:4:14: activation: `relu` is not linear; "),
            ("remedy = 'normalise'", "s.toml:4:10: remedy: `normalise` treats the gradient after each layer"),
            (
                "association = 'optimal'\ndepth = 1025",
                "s.toml:5:9: depth: the optimal order of 1025 layers is not searched for; allowed with association=optimal: at most 1024",
            ),
        ] {
            let message = cells(axes).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        let all = "['vector-first', 'matrix-first', 'balanced', 'optimal']";
        assert_eq!(cells(&format!("association = {all}\ndepth = [0, 1024]")).unwrap().len(), 8);
        assert_eq!(cells("association = 'balanced'\ndepth = 100000").unwrap().len(), 1);
    }

    /// `widths` replace `width`, which then has no meaning: cells that differ in it alone are one.
    #[test]
    fn widths_replace_the_width() {
        let cells = cells("[axes]\nwidth = [8, 9]\nwidths = ['none', 'bottleneck:064,4']").unwrap();
        assert_eq!(column_of(&cells, Axis::Width), [Value::Integer(8), Value::Null, Value::Integer(9)]);
        let texts = [Value::Null, Value::from("bottleneck:64,4"), Value::Null];
        assert_eq!(column_of(&cells, Axis::Widths), texts);
    }

    #[test]
    fn a_file_that_is_no_network_stops_the_study() {
        let study = parse(&format!("{HEAD}axes.init = 'file:x'")).unwrap();
        let message = study.plan(&|_, _| Ok(vec![1, 2, 3])).unwrap_err().to_string();
        assert!(message.starts_with("s.toml:3:13: init: x: not a readable safetensors file"), "{message}");
    }

    /// A network of one weight, 1.
    fn one_weight() -> Vec<u8> {
        let header = r#"{"0.weight":{"dtype":"F64","shape":[1,1],"data_offsets":[0,8]}}"#;
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &1f64.to_le_bytes()].concat()
    }

    #[test]
    fn axes_that_a_file_gives_are_refused_beside_it() {
        let plan = |text: &str, set: &[&str]| {
            let mut study = parse(&format!("{HEAD}{text}")).unwrap();
            set.iter().for_each(|assignment| study.set(assignment).unwrap());
            study.plan(&|_, _| Ok(one_weight())).map_err(|e| e.to_string())
        };
        for (text, set, expected) in [
            (
                "axes.init = 'file:x'\naxes.width = [1, 2]",
                &[][..],
                "s.toml:4:14: width: `1,2` has no effect: ",
            ),
            (
                "axes.depth = 64\naxes.init = ['he', 'file:x']",
                &[],
                "s.toml:3:14: depth: `64` has no effect: ",
            ),
            (
                "axes.init = 'file:x'\naxes.weight_scale = 1",
                &[],
                "weight_scale: `1` has no effect: init=file:x",
            ),
            (
                "axes.bias_scale = 0\n[[extra]]\ninit = 'file:x'",
                &[],
                "leave bias_scale out, or give each `init`",
            ),
            (
                "axes.init = 'file:x'\naxes.widths = 'alternating:1,2'",
                &[],
                "s.toml:4:15: widths: `alternating:1,2` has",
            ),
            ("axes.init = 'file:x'", &["depth=3"], "--set: depth: `3` has no effect: init=file:x gives"),
            (
                "axes.width = 2",
                &["init=file:y", "width=3,4"],
                "--set: width: `3,4` has no effect: init=file:y",
            ),
        ] {
            let message = plan(text, set).unwrap_err();
            assert!(message.contains(expected), "{text:?} {set:?}: {message}");
        }
        // What the study file draws gives way to a file of the command line; axes that mean something to it stay.
        let cells =
            plan("axes.depth = [1, 2]\naxes.width = 3\naxes.batch = [1, 2]", &["init=file:x"]).unwrap();
        assert_eq!(column_of(&cells, Axis::Depth), [Value::Null, Value::Null]);
        assert_eq!(column_of(&cells, Axis::Batch), [1, 2].map(Value::Integer));
    }

    #[test]
    fn cells_beyond_the_memory_are_refused_where_they_are_written() {
        for (text, expected) in [
            (
                "axes.width = 65536",
                "s.toml:3:14: width: width 65536, depth 64, batch 1, draws 1: a cell needs about 5120.1 GiB of memory; allowed: at most 16 GiB",
            ),
            (
                "axes.width = 65536\naxes.depth = 1",
                "width 65536, depth 1, batch 1, draws 1: a cell needs about 80.",
            ),
            ("axes.depth = [1, 10000000]", "s.toml:3:14: depth: width 64, depth 10000000, batch 1"),
            ("axes.batch = 65536\naxes.depth = 5000", "width 64, depth 5000, batch 65536"),
            (
                "axes.widths = 'alternating:65536,65535'",
                "s.toml:3:15: widths: widths alternating:65536,65535, depth 64",
            ),
        ] {
            let message = cells(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text:?}: {message}");
        }
        let mut study = parse(&format!("{HEAD}axes.width = 2")).unwrap();
        study.set("depth=10000000").unwrap();
        assert_eq!(study.plan(&|_, _| Err(String::new())).unwrap().len(), 1);
        study.set("batch=65536").unwrap();
        let message = study.plan(&|_, _| Err(String::new())).unwrap_err().to_string();
        assert!(message.starts_with("--set: "), "{message}");
        // Great widths, depths and batches alone fit, and so does all that the committed studies ask for.
        for text in
            ["axes.width = 65536\naxes.depth = 0", "axes.width = 25000\naxes.depth = 1", "axes.batch = 65536"]
        {
            assert_eq!(cells(text).unwrap().len(), 1, "{text}");
        }
        for text in ["axes.depth = 10000000\naxes.width = 1", "axes.init = 'file:x'\naxes.batch = 65536"] {
            let study = parse(&format!("{HEAD}{text}")).unwrap();
            assert_eq!(study.plan(&|_, _| Ok(one_weight())).unwrap().len(), 1, "{text}");
        }
        // Of a file the network counts: 7000 layers of one weight, and 65 536 samples in each.
        let header: Vec<String> = (0..7000)
            .map(|t| {
                format!(r#""w/{t}":{{"dtype":"F64","shape":[1,1],"data_offsets":[{},{}]}}"#, 8 * t, 8 * t + 8)
            })
            .collect();
        let header = format!("{{{}}}", header.join(","));
        let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 56_000]].concat();
        let study =
            parse(&format!("{HEAD}axes.init = 'file:x'\naxes.batch = 65536\naxes.activation = 'tanh'"))
                .unwrap();
        let message = study.plan(&|_, _| Ok(file.clone())).unwrap_err().to_string();
        assert!(
            message.starts_with("s.toml:4:14: batch: init file:x, batch 65536, draws 1: a cell needs"),
            "{message}"
        );
    }
}
