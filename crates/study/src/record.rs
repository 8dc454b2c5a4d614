//! Rows as they stand in files: JSON Lines (the source of truth) and CSV.
//!
//! A line depends on the cell and its results alone, so that equal measurements are equal bytes. Time and machine stand in an object of
//! their own, which is only there if asked for.

use crate::axis::Axis;
use crate::cell::Cell;
use crate::columns::{COLUMNS, column};
use crate::row::{Row, Value};
use serde_json::{Map, Number, Value as Json, json};

/// The version of the lines; a reader refuses others.
pub const SCHEMA_VERSION: u64 = 1;

/// How long a cell took, and with which instructions.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// Wall time of the whole cell.
    pub seconds: f64,
    /// Instruction set.
    pub isa: String,
}

/// A row with the parameters of its cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Name of the study.
    pub study: String,
    /// Id of the cell.
    pub cell: String,
    /// Parameters and results by column name, in the order of the column table.
    pub fields: Vec<(&'static str, Value)>,
    /// The version of gradchain that measured.
    pub version: String,
    /// The seed of the study.
    pub seed: u64,
    /// Time and machine, if asked for.
    pub timing: Option<Timing>,
}

impl Record {
    /// The record of one row of `cell`, measured by this version.
    pub fn new(cell: &Cell, row: &Row, timing: Option<Timing>) -> Record {
        let mut fields: Vec<(&'static str, Value)> = Axis::ALL
            .into_iter()
            .filter(|axis| axis.stands_in_rows_of(cell))
            .map(|axis| (axis.name(), cell.value(axis)))
            .collect();
        fields.push(("draws", cell.draws.into()));
        fields.extend(COLUMNS.iter().filter_map(|column| Some((column.name, row.get(column.name)?.clone()))));
        Record {
            study: cell.study.to_string(),
            cell: cell.id(),
            fields,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: cell.seed,
            timing,
        }
    }

    /// The value of a column; null where the row does not have it.
    pub fn get(&self, name: &str) -> &Value {
        self.fields.iter().find(|(known, _)| *known == name).map_or(&Value::Null, |(_, value)| value)
    }

    /// One line of JSON, without the line feed.
    pub fn to_json(&self) -> String {
        let mut map = Map::new();
        map.insert("schema_version".to_owned(), json!(SCHEMA_VERSION));
        map.insert("study".to_owned(), json!(self.study));
        map.insert("cell".to_owned(), json!(self.cell));
        for (name, value) in &self.fields {
            map.insert((*name).to_owned(), encode(value));
        }
        map.insert("provenance".to_owned(), json!({"version": self.version, "seed": self.seed}));
        if let Some(timing) = &self.timing {
            map.insert("timing".to_owned(), json!({"seconds": timing.seconds, "isa": timing.isa}));
        }
        Json::Object(map).to_string()
    }

    /// Reads a line back.
    ///
    /// # Errors
    /// If it is no row of this schema version: the message says what is wrong.
    pub fn parse(line: &str) -> Result<Record, String> {
        let json: Json = serde_json::from_str(line).map_err(|e| format!("no JSON: {e}"))?;
        let Json::Object(map) = json else { return Err("not a JSON object".to_owned()) };
        let version = map.get("schema_version").and_then(Json::as_u64);
        if version != Some(SCHEMA_VERSION) {
            let found = map.get("schema_version").map_or("none".to_owned(), Json::to_string);
            return Err(format!("schema_version is {found}; this program reads {SCHEMA_VERSION}"));
        }
        let text = |json: Option<&Json>, what: &str| {
            json.and_then(Json::as_str)
                .map(str::to_owned)
                .ok_or_else(|| format!("`{what}` is missing or no text"))
        };
        let provenance = map.get("provenance");
        let mut record = Record {
            study: text(map.get("study"), "study")?,
            cell: text(map.get("cell"), "cell")?,
            fields: Vec::new(),
            version: text(provenance.and_then(|p| p.get("version")), "provenance.version")?,
            seed: provenance
                .and_then(|p| p.get("seed"))
                .and_then(Json::as_u64)
                .ok_or("`provenance.seed` is missing or no integer")?,
            timing: None,
        };
        if let Some(timing) = map.get("timing") {
            let seconds = timing
                .get("seconds")
                .and_then(Json::as_f64)
                .ok_or("`timing.seconds` is missing or no number")?;
            record.timing = Some(Timing { seconds, isa: text(timing.get("isa"), "timing.isa")? });
        }
        for (key, json) in &map {
            if ["schema_version", "study", "cell", "provenance", "timing"].contains(&key.as_str()) {
                continue;
            }
            let column = column(key).ok_or_else(|| format!("unknown column `{key}`"))?;
            let value = decode(json, column.unit)
                .ok_or_else(|| format!("`{key}` has the value {json}, which no row holds"))?;
            record.fields.push((column.name, value));
        }
        Ok(record)
    }
}

/// The heading of the CSV form, with the line end. CSV has every column, so that tables of several studies share one heading.
pub fn csv_header(timing: bool) -> String {
    let names = ["study", "cell"]
        .into_iter()
        .chain(COLUMNS.iter().map(|column| column.name))
        .chain(["version", "seed"]);
    let timing: &[&str] = if timing { &["seconds", "isa"] } else { &[] };
    csv_line(names.chain(timing.iter().copied()).map(str::to_owned))
}

impl Record {
    /// One line of CSV by RFC 4180, with the line end. Null is empty; a number beyond f64 is written `mantissa*2^exponent`.
    /// `timing` as for [`csv_header`]; a row that was not timed leaves those columns empty.
    pub fn to_csv(&self, timing: bool) -> String {
        let mut cells = vec![self.study.clone(), self.cell.clone()];
        cells.extend(COLUMNS.iter().map(|column| plain(self.get(column.name))));
        cells.extend([self.version.clone(), self.seed.to_string()]);
        if timing {
            cells.push(plain(&self.timing.as_ref().map(|timing| timing.seconds).into()));
            cells.push(self.timing.as_ref().map(|timing| timing.isa.clone()).unwrap_or_default());
        }
        csv_line(cells)
    }
}

/// A value as text, with all its digits.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(x) => x.to_string(),
        Value::Integer(x) => x.to_string(),
        Value::Number(x) => special(*x).map_or_else(|| json!(x).to_string(), str::to_owned),
        Value::Scaled { mantissa, exp2 } => format!("{}*2^{exp2}", json!(mantissa)),
        Value::Text(text) => text.clone(),
    }
}

fn csv_line(cells: impl IntoIterator<Item = String>) -> String {
    let quoted = |cell: String| match cell.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    };
    let cells: Vec<String> = cells.into_iter().map(quoted).collect();
    cells.join(",") + "\r\n"
}

fn special(x: f64) -> Option<&'static str> {
    match x {
        f64::INFINITY => Some("inf"),
        f64::NEG_INFINITY => Some("-inf"),
        x if x.is_nan() => Some("nan"),
        _ => None,
    }
}

fn encode(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(x) => json!(x),
        Value::Integer(x) => json!(x),
        // JSON has no infinities and no NaN: they are texts.
        Value::Number(x) => match special(*x) {
            Some(name) => json!(name),
            None => Number::from_f64(*x).map_or(Json::Null, Json::Number),
        },
        Value::Scaled { mantissa, exp2 } => json!({"mantissa": mantissa, "exp2": exp2}),
        Value::Text(text) => json!(text),
    }
}

fn decode(json: &Json, unit: &str) -> Option<Value> {
    Some(match json {
        Json::Null => Value::Null,
        Json::Bool(x) => Value::Bool(*x),
        Json::Number(x) => match x.as_i64() {
            Some(x) => Value::Integer(x),
            None => Value::Number(x.as_f64()?),
        },
        Json::String(text) => match text.as_str() {
            "inf" if unit != "name" => Value::Number(f64::INFINITY),
            "-inf" if unit != "name" => Value::Number(f64::NEG_INFINITY),
            "nan" if unit != "name" => Value::Number(f64::NAN),
            _ => Value::Text(text.clone()),
        },
        Json::Object(map) if map.len() == 2 => {
            Value::Scaled { mantissa: map.get("mantissa")?.as_f64()?, exp2: map.get("exp2")?.as_i64()? }
        }
        Json::Object(_) | Json::Array(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Measure;

    fn record() -> Record {
        let cell = Cell {
            study: "test".into(),
            gain: Some("alternating:1.5,0.8".parse().unwrap()),
            ..Cell::default()
        };
        let row = Row::new()
            .with("drift", 0.1 + 0.2)
            .with("value", Value::scaled(1.5, 5000))
            .with("log2_norm", f64::NEG_INFINITY)
            .with("theory_bound", f64::INFINITY)
            .with("first_zero", None::<usize>)
            .with("layer", 3usize);
        Record::new(&cell, &row, None)
    }

    #[test]
    fn a_line_is_pinned() {
        assert_eq!(
            record().to_json(),
            concat!(
                r#"{"schema_version":1,"study":"test","cell":"CELL","format":"f32","summation":"wide","#,
                r#""path":"fused","rounding":"nearest","subnormals":"keep","overflow":"infinity","activation":"identity","#,
                r#""init":null,"weight_scale":null,"bias_scale":0.0,"gain":"alternating:1.5,0.8","width":64,"depth":64,"#,
                r#""batch":1,"remedy":"none","upstream":"normal","draws":1,"layer":3,"first_zero":null,"#,
                r#""value":{"mantissa":1.5,"exp2":5000},"log2_norm":"-inf","drift":0.30000000000000004,"#,
                r#""theory_bound":"inf","provenance":{"version":"VERSION","seed":1}}"#
            )
            .replace("CELL", &record().cell)
            .replace("VERSION", env!("CARGO_PKG_VERSION"))
        );
    }

    /// Axes that came after the first committed rows stand where they matter.
    #[test]
    fn later_axes_leave_other_rows_as_they_were() {
        let fields = |cell: &Cell| {
            let record = Record::new(cell, &Row::new(), None);
            assert_eq!(Record::parse(&record.to_json()).unwrap(), record);
            [record.get("association").clone(), record.get("widths").clone()]
        };
        let has = |cell: &Cell, name: &str| Record::new(cell, &Row::new(), None).to_json().contains(name);
        let chain = Cell::default();
        assert!(!has(&chain, "association") && !has(&chain, "widths"));
        let rectangular = Cell { widths: Some("alternating:8,2".parse().unwrap()), ..chain };
        assert_eq!(fields(&rectangular), [Value::Null, "alternating:8,2".into()]);
        let associated = Cell { measure: Measure::Association, ..Cell::default() };
        assert_eq!(fields(&associated), ["vector-first".into(), Value::Null]);
        assert!(has(&associated, "\"widths\":null"));
    }

    #[test]
    fn lines_come_back() {
        let mut record = record();
        assert_eq!(Record::parse(&record.to_json()).unwrap(), record);
        record.timing = Some(Timing { seconds: 0.25, isa: "avx2".to_owned() });
        let back = Record::parse(&record.to_json()).unwrap();
        assert_eq!((&back, back.to_json()), (&record, record.to_json()));
        assert_eq!(csv_header(true).split(',').count(), 2 + COLUMNS.len() + 4);
        assert!(
            record.to_csv(false).contains(r#","alternating:1.5,0.8",64,,64,"#),
            "{}",
            record.to_csv(false)
        );
        assert!(
            record.to_csv(true).ends_with(",1,0.25,avx2\r\n") && record.to_csv(false).ends_with(",1\r\n")
        );
        record.timing = None;
        assert!(record.to_csv(true).ends_with(",1,,\r\n"));
    }

    #[test]
    fn lines_that_are_no_rows() {
        let line = record().to_json();
        for (bad, reason) in [
            ("{", "no JSON"),
            ("[]", "not a JSON object"),
            ("{}", "schema_version is none"),
            (&line.replace("\"schema_version\":1", "\"schema_version\":2"), "reads 1"),
            (&line.replace("\"layer\"", "\"lay\""), "unknown column `lay`"),
            (&line.replace("\"layer\":3", "\"layer\":[3]"), "[3]"),
            (&line.replace("\"seed\":1", "\"seed\":-1"), "provenance.seed"),
        ] {
            let message = Record::parse(bad).unwrap_err();
            assert!(message.contains(reason), "{message}");
        }
    }
}
