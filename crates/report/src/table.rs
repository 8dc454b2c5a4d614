//! The table of rows: which columns, and how it is written.

use crate::names::words;
use crate::rows::Rows;
use crate::study::Study;
use crate::svg::escape;
use crate::value::Value;
use serde_json::{Value as Json, json};

/// More cells than this make a page that is slow to open; the rows after them are in the file of rows.
const MOST_CELLS: usize = 16_000;

/// What the table shows.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Columns in the order shown.
    pub(crate) columns: Vec<usize>,
    /// Of each, whether all its values are numbers.
    pub(crate) numeric: Vec<bool>,
    /// How many rows are shown.
    pub(crate) shown: usize,
    /// Parameters that are the same in all rows.
    pub(crate) constant: Vec<(String, String)>,
}

/// Parameters that vary are always shown, else rows could not be told apart; the list of the study settles the order and which results are shown.
pub(crate) fn layout(rows: &Rows, study: &Study) -> Layout {
    let all: Vec<usize> = (0..rows.rows.len()).collect();
    let varies = |c: usize| rows.distinct(&all, c).len() > 1;
    let measured = |c: usize| all.iter().any(|&row| *rows.get(row, c) != Value::Null);
    let parameter = |c: usize| rows.columns[c].parameter;
    let listed: Vec<usize> = study.columns.iter().filter_map(|name| rows.column(name)).collect();
    let every = 0..rows.columns.len();
    let mut columns: Vec<usize> = Vec::new();
    if listed.is_empty() {
        columns.extend(every.clone());
    } else {
        columns.extend(every.clone().filter(|c| parameter(*c) && !listed.contains(c)));
        columns.extend(rows.index().filter(|c| !listed.contains(c)));
        columns.extend(&listed);
    }
    columns.retain(|&c| if parameter(c) { varies(c) } else { measured(c) });
    let number = |value: &Value| *value == Value::Null || value.is_number();
    let numeric = columns.iter().map(|&c| all.iter().all(|&row| number(rows.get(row, c)))).collect();
    let constant = every.filter(|&c| parameter(c) && !varies(c) && measured(c));
    let constant =
        constant.map(|c| (rows.columns[c].name.replace('_', " "), rows.get(0, c).short(6))).collect();
    let shown = (MOST_CELLS / columns.len().max(1)).min(all.len());
    Layout { columns, numeric, shown, constant }
}

/// The table in HTML.
pub(crate) fn html(rows: &Rows, layout: &Layout) -> String {
    let mut out = String::from("<style>");
    for (i, _) in layout.numeric.iter().enumerate().filter(|(_, numeric)| **numeric) {
        // The first column is the permalink.
        out += &format!("#rows tr>:nth-child({}){{text-align:right}}", i + 2);
    }
    out += "</style>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table of rows\"><table id=\"rows\"><thead><tr><th scope=\"col\">row</th>";
    for &c in &layout.columns {
        let column = &rows.columns[c];
        let meaning = if column.meaning.is_empty() { words(&column.name) } else { column.meaning.clone() };
        let unit = match column.unit.as_str() {
            "" | "1" | "name" => String::new(),
            unit => format!(" [{unit}]"),
        };
        out += &format!(
            "<th scope=\"col\" title=\"{}\">{}</th>",
            escape(&(meaning + &unit)),
            escape(&column.name).replace('_', "_<wbr>")
        );
    }
    out += "</tr></thead><tbody>\n";
    for (i, row) in rows.rows.iter().enumerate().take(layout.shown) {
        let id = escape(&anchor(&row.id));
        out += &format!("<tr id=\"{id}\"><td>{}</td>", i + 1);
        for &c in &layout.columns {
            out += &format!("<td>{}</td>", escape(&rows.get(i, c).short(5)));
        }
        out += "</tr>\n";
    }
    out + "</tbody></table></div>\n"
}

/// The fragment of a row's permalink. What is no letter, digit, point or hyphen becomes a hyphen.
fn anchor(id: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    format!("row-{}", id.chars().map(plain).collect::<String>())
}

/// All digits of the columns shown, for hover, sorting and CSV: names, and a list for each row. It may stand inside a script element.
pub(crate) fn data(rows: &Rows, layout: &Layout) -> String {
    let value = |value: &Value| match value {
        Value::Null => Json::Null,
        Value::Bool(x) => json!(x),
        Value::Integer(x) => json!(x),
        Value::Number(x) if x.is_finite() => json!(x),
        Value::Number(_) | Value::Scaled { .. } | Value::Text(_) => json!(value.full()),
    };
    let names: Vec<&str> = layout.columns.iter().map(|&c| rows.columns[c].name.as_str()).collect();
    let parameters: Vec<bool> = layout.columns.iter().map(|&c| rows.columns[c].parameter).collect();
    let lines: Vec<String> = (0..rows.rows.len())
        .map(|row| Json::Array(layout.columns.iter().map(|&c| value(rows.get(row, c))).collect()).to_string())
        .collect();
    let out = format!(
        "{{\"columns\":{},\"parameters\":{},\"rows\":[\n{}\n]}}",
        json!(names),
        json!(parameters),
        lines.join(",\n")
    );
    // `</script` and `<!--` would end or change the element, `&` is a sign in XML; U+2028 is a line end to old parsers of script.
    out.replace('<', "\\u003c")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}
