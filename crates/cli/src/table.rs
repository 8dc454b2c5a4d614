//! Tables for people: short numbers, no empty columns, and what is the same in all rows in a line above.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle, presets};
use gradchain_study::{COLUMNS, Kind, Record, Study, Value};

/// Lines above and below the heading, none between rows.
pub(crate) const STYLE: TableStyle = presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none());

/// A table for the terminal.
pub(crate) fn plain(study: &Study, records: &[Record]) -> String {
    let layout = Layout::new(study, records);
    let mut table = Table::new();
    table.load_style(STYLE).set_header(&layout.columns);
    for row in &layout.rows {
        table.add_row(row);
    }
    for (i, numeric) in layout.numeric.iter().enumerate() {
        if let (true, Some(column)) = (*numeric, table.column_mut(i)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let body = if layout.rows.is_empty() { String::new() } else { format!("{}\n", table.trim_fmt()) };
    format!("{}: {}\n{}{body}", study.name, one_line(&study.question), layout.caption("", ""))
}

/// A table in Markdown.
pub(crate) fn markdown(study: &Study, records: &[Record]) -> String {
    let layout = Layout::new(study, records);
    let mut out =
        format!("**{}**: {}\n\n{}", study.name, one_line(&study.question), layout.caption("*", "*\n"));
    if layout.rows.is_empty() {
        return out;
    }
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    out += &line(layout.columns.iter().map(|name| (*name).to_owned()).collect());
    out += &line(
        layout.numeric.iter().map(|numeric| if *numeric { "---:" } else { "---" }.to_owned()).collect(),
    );
    for row in &layout.rows {
        out += &line(row.iter().map(|cell| cell.replace('|', "\\|")).collect());
    }
    out
}

pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a table shows: columns, cells as text, and the parameters that are the same in all rows.
struct Layout {
    columns: Vec<&'static str>,
    numeric: Vec<bool>,
    rows: Vec<Vec<String>>,
    constant: Vec<String>,
    count: usize,
}

impl Layout {
    /// Parameters that vary are always shown, else rows could not be told apart; the study's list settles the order and which results
    /// are shown.
    fn new(study: &Study, records: &[Record]) -> Layout {
        let varies = |name: &str| records.iter().any(|r| r.get(name) != records[0].get(name));
        let measured = |name: &str| records.iter().any(|r| *r.get(name) != Value::Null);
        let parameters = || COLUMNS.iter().filter(|column| column.kind == Kind::Parameter);
        let mut columns: Vec<&'static str> = Vec::new();
        if study.columns.is_empty() {
            columns.extend(COLUMNS.iter().map(|column| column.name));
        } else {
            columns
                .extend(parameters().map(|column| column.name).filter(|name| !study.columns.contains(name)));
            columns.extend(&study.columns);
        }
        let is_parameter = |name: &str| parameters().any(|column| column.name == name);
        columns.retain(|name| if is_parameter(name) { varies(name) } else { measured(name) });
        let constant = parameters().filter(|column| !varies(column.name) && measured(column.name));
        let constant = constant
            .map(|column| format!("{} {}", column.name, short(records[0].get(column.name))))
            .collect();
        let is_number = |value: &Value| match value {
            Value::Null | Value::Integer(_) | Value::Number(_) | Value::Scaled { .. } => true,
            Value::Bool(_) | Value::Text(_) => false,
        };
        let numeric = columns.iter().map(|name| records.iter().all(|r| is_number(r.get(name)))).collect();
        let rows = records.iter().map(|r| columns.iter().map(|name| short(r.get(name))).collect()).collect();
        Layout { columns, numeric, rows, constant, count: records.len() }
    }

    fn caption(&self, before: &str, after: &str) -> String {
        match self.count {
            0 => "no rows\n".to_owned(),
            _ if self.constant.is_empty() => String::new(),
            _ => format!("{before}in all rows: {}{after}\n", self.constant.join(", ")),
        }
    }
}

/// A value in at most 5 significant digits; whole numbers in full.
pub(crate) fn short(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(x) => x.to_string(),
        Value::Integer(x) => x.to_string(),
        Value::Text(text) => text.clone(),
        Value::Number(x) => short_number(*x),
        Value::Scaled { mantissa, exp2 } => {
            // The logarithm has digits to spare as long as the exponent stays below 2^30 or so.
            let log10 = libm::log10(mantissa.abs()) + *exp2 as f64 * std::f64::consts::LOG10_2;
            let exponent = log10.floor();
            let digits = trim(format!("{:.4}", libm::pow(10.0, log10 - exponent)));
            let (digits, exponent) =
                if digits == "10" { ("1".to_owned(), exponent + 1.0) } else { (digits, exponent) };
            format!("{}{digits}e{exponent}", if *mantissa < 0.0 { "-" } else { "" })
        }
    }
}

fn short_number(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return if x.is_nan() { "nan".to_owned() } else { format!("{x}") };
    }
    let scientific = format!("{x:.4e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent @ -3..=5) => trim(format!("{x:.*}", (4 - exponent).max(0) as usize)),
        _ => format!("{}e{exponent}", trim(digits.to_owned())),
    }
}

/// Without zeros at the end of a fraction.
fn trim(text: String) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (x, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1 + 0.2, "0.3"),
            (123456.0, "123456"),
            (99999.96, "100000"),
            (1234567.0, "1.2346e6"),
            (0.00123456, "0.0012346"),
            (0.000123456, "1.2346e-4"),
            (-4.0656117753e17, "-4.0656e17"),
            (9.99999e-9, "1e-8"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (f64::MAX, "1.7977e308"),
        ] {
            assert_eq!(short(&Value::Number(x)), expected);
        }
        // Digits by arithmetic with 50 places.
        assert_eq!(short(&Value::Scaled { mantissa: 1.5424, exp2: 5849 }), "8.1779e1760");
        assert_eq!(short(&Value::Scaled { mantissa: -1.0, exp2: -3322 }), "-9.5138e-1001");
        assert_eq!(short(&Value::Integer(1234567)), "1234567");
    }
}
