//! Lines of rows: read, named, and set beside each other.

use crate::direction::{effect, interest};
use crate::finding::{Effect, Figure};
use serde_json::{Map, Value as Json};
use std::cmp::Reverse;

/// Fields that are neither parameter nor result.
const FRAME: [&str; 5] = ["schema_version", "study", "cell", "provenance", "timing"];

/// A line of a file of rows.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: usize,
    pub(crate) text: String,
    /// Whether a line feed ends it.
    pub(crate) ended: bool,
    pub(crate) row: Result<Row, Defect>,
}

/// Why a line is no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// It is a row of another version of the format, or of none.
    Schema(String),
    /// Another reason.
    Other(String),
}

impl Defect {
    pub(crate) fn message(&self) -> &str {
        match self {
            Defect::Schema(message) | Defect::Other(message) => message,
        }
    }
}

/// A row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) study: String,
    pub(crate) cell: String,
    pub(crate) fields: Map<String, Json>,
}

/// The lines of a file; a line need not be a row.
pub(crate) fn read(bytes: &[u8], schema_version: u64) -> Vec<Line> {
    let line = |(i, bytes): (usize, &[u8])| {
        let stripped = bytes.strip_suffix(b"\n");
        let text = String::from_utf8_lossy(stripped.unwrap_or(bytes)).into_owned();
        let row = parse(&text, schema_version);
        Line { number: i + 1, text, ended: stripped.is_some(), row }
    };
    bytes.split_inclusive(|&byte| byte == b'\n').enumerate().map(line).collect()
}

fn parse(text: &str, schema_version: u64) -> Result<Row, Defect> {
    let json: Json = serde_json::from_str(text).map_err(|e| Defect::Other(format!("no JSON: {e}")))?;
    let Json::Object(fields) = json else { return Err(Defect::Other("not a JSON object".to_owned())) };
    if fields.get("schema_version").and_then(Json::as_u64) != Some(schema_version) {
        let found = fields.get("schema_version").map_or("none".to_owned(), Json::to_string);
        return Err(Defect::Schema(format!(
            "schema_version is {found}; this program reads {schema_version}"
        )));
    }
    let name = |name: &str| {
        let text = fields.get(name).and_then(Json::as_str).map(str::to_owned);
        text.ok_or_else(|| Defect::Other(format!("`{name}` is missing or no text")))
    };
    Ok(Row { study: name("study")?, cell: name("cell")?, fields })
}

impl Row {
    /// The parameters of the cell: what stands before the results, up to the number of draws.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&str, &Json)> {
        let own = |(name, _): &(&String, &Json)| !FRAME.contains(&name.as_str());
        let end = self.fields.keys().position(|name| name == "draws").map_or(0, |draws| draws + 1);
        self.fields.iter().take(end).filter(own).map(|(name, value)| (name.as_str(), value))
    }
}

/// A value as text: all digits, names without quotes.
pub(crate) fn plain(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        Json::Object(map) => match (map.get("mantissa"), map.get("exp2")) {
            (Some(mantissa), Some(exp2)) => format!("{mantissa}*2^{exp2}"),
            _ => json.to_string(),
        },
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) => json.to_string(),
    }
}

/// The fields in which two rows differ, gravest first. `row` is the place of the row in its cell, from 1.
pub(crate) fn differences(row: usize, base: &Row, head: &Row, unit: &dyn Fn(&str) -> String) -> Vec<Figure> {
    let mut out = Vec::new();
    differing("", &base.fields, &head.fields, &mut |name, base, head| {
        let effect = if FRAME.contains(&name) { Effect::Neutral } else { effect(name, base, head) };
        let (base, head) = (base.map(plain), head.map(plain));
        out.push(Figure { name: name.to_owned(), row, unit: unit(name), base, head, effect });
    });
    sort(&mut out);
    out
}

/// Calls `tell` for each field in which two objects differ; those of the provenance are named with a dot.
fn differing(
    prefix: &str,
    base: &Map<String, Json>,
    head: &Map<String, Json>,
    tell: &mut impl FnMut(&str, Option<&Json>, Option<&Json>),
) {
    for name in head.keys().chain(base.keys().filter(|name| !head.contains_key(*name))) {
        match (base.get(name), head.get(name)) {
            (base, head) if base == head => {}
            (Some(Json::Object(base)), Some(Json::Object(head)))
                if prefix.is_empty() && name == "provenance" =>
            {
                differing("provenance.", base, head, tell);
            }
            (base, head) => tell(&format!("{prefix}{name}"), base, head),
        }
    }
}

/// Figures in the order of gravity, then of interest, then of rows.
pub(crate) fn sort(figures: &mut [Figure]) {
    let gravity = |effect| match effect {
        Effect::Neutral => 0,
        Effect::Better => 1,
        Effect::Worse => 2,
        Effect::NonFinite => 3,
    };
    figures.sort_by_key(|figure| (Reverse(gravity(figure.effect)), interest(&figure.name), figure.row));
}

/// The field of the line `expected` in which `found` first differs from it; a brace counts with the field beside it, and what stands after
/// the line with the last field.
pub(crate) fn column_at(expected: &Line, found: &str) -> String {
    let same = expected.text.bytes().zip(found.bytes()).take_while(|(a, b)| a == b).count();
    let Ok(row) = &expected.row else { return "schema_version".to_owned() };
    let starts =
        row.fields.keys().filter_map(|name| Some((expected.text.find(&format!("\"{name}\":"))?, name)));
    starts
        .filter(|(start, _)| *start <= same)
        .max()
        .map_or("schema_version".to_owned(), |(_, name)| name.clone())
}

/// A number for people: five significant digits. Other texts stay as they are.
pub(crate) fn short(text: &str) -> String {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() && text.len() > 7 => {
            let plain = (1e-3..1e7).contains(&x.abs());
            let exponent = libm::floor(libm::log10(x.abs().max(f64::MIN_POSITIVE))) as i32;
            match plain {
                true => format!("{x:.*}", (4 - exponent).max(0) as usize),
                false => format!("{x:.4e}"),
            }
        }
        _ => text.to_owned(),
    }
}

/// The change of a figure as part of a sentence.
pub(crate) fn told(figure: &Figure) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".to_owned());
    let (base, head) = (text(&figure.base), text(&figure.head));
    let (short_base, short_head) = (short(&base), short(&head));
    // Digits that do not show the difference are no help.
    let (base_text, head_text) =
        if short_base == short_head { (&base, &head) } else { (&short_base, &short_head) };
    let numbers = (base.parse::<f64>().ok(), head.parse::<f64>().ok());
    let verb = match (figure.effect, numbers) {
        (Effect::Better | Effect::Worse, (Some(base), Some(head))) if base < head => "rose",
        (Effect::Better | Effect::Worse, (Some(_), Some(_))) => "fell",
        _ => "changed",
    };
    let relative = match numbers {
        (Some(base), Some(head))
            if verb != "changed" && base != 0.0 && base.is_finite() && head.is_finite() =>
        {
            let percent = (head - base) / base.abs() * 100.0;
            if percent.abs() >= 0.05 { format!(" ({percent:+.1} %)") } else { String::new() }
        }
        _ => String::new(),
    };
    let row = if figure.row > 1 { format!("row {}: ", figure.row) } else { String::new() };
    format!("{row}{} {verb} from {base_text} to {head_text}{relative}", figure.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (text, expected) in [
            ("0.0003999326688883083", "3.9993e-4"),
            ("4283.463799975628", "4283.5"),
            ("-0.9999998724309502", "-1.00000"),
            ("123456789", "1.2346e8"),
            ("637836.5451390572", "637837"),
            ("11.0", "11.0"),
            ("null", "null"),
            ("inf", "inf"),
            ("1.2826906023259985*2^32206", "1.2826906023259985*2^32206"),
        ] {
            assert_eq!(short(text), expected);
        }
    }

    #[test]
    fn changes_as_sentences() {
        let figure = |name: &str, row, base: &str, head: &str, effect| Figure {
            name: name.to_owned(),
            row,
            unit: String::new(),
            base: Some(base.to_owned()),
            head: Some(head.to_owned()),
            effect,
        };
        assert_eq!(
            told(&figure("drift", 1, "0.25", "0.5", Effect::Worse)),
            "drift rose from 0.25 to 0.5 (+100.0 %)"
        );
        assert_eq!(
            told(&figure("bits_left", 3, "0.30000000000000004", "0.3", Effect::Worse)),
            "row 3: bits_left fell from 0.30000 to 0.3"
        );
        assert_eq!(
            told(&figure("cosine", 1, "0.9999998724309502", "0.9999998724309503", Effect::Better)),
            "cosine rose from 0.9999998724309502 to 0.9999998724309503"
        );
        assert_eq!(
            told(&figure("first_infinite", 1, "28", "null", Effect::NonFinite)),
            "first_infinite changed from 28 to null"
        );
    }
}
