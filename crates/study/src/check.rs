//! Compares committed rows with recomputed ones, byte for byte, and says where they differ.

use crate::axis::Axis;
use crate::cell::Cell;
use crate::columns::COLUMNS;
use crate::record::{Record, plain};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt;

/// One difference between committed and recomputed rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A column has another value.
    Value {
        /// The cell, with the axes that tell it from the others.
        cell: String,
        /// Row of the cell, from 1.
        row: usize,
        /// Name of the column.
        column: String,
        /// The value in the file, as JSON; `absent` if the field is not there.
        committed: String,
        /// The value now.
        recomputed: String,
    },
    /// A line is no row.
    Malformed {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
        /// The cell that should stand there.
        cell: String,
        /// The column in which it first differs from that cell's row.
        column: String,
    },
    /// The file has fewer rows of a cell than the study gives; often none.
    Missing {
        /// The cell.
        cell: String,
        /// Rows in the file.
        committed: usize,
        /// Rows now.
        recomputed: usize,
    },
    /// The file has more rows of a cell than the study gives, or rows of a cell that the study does not have.
    Extra {
        /// The cell, as the file describes it.
        cell: String,
        /// The first line of them.
        line: usize,
        /// The cell whose row should stand in that line and is missing, where the id is that of no cell of the study.
        place: Option<String>,
    },
    /// Rows are equal, but stand in another order.
    Order {
        /// The first line that is not where it should be.
        line: usize,
    },
    /// The rows say the same in other bytes: spaces, digits, or the end of the line.
    Text {
        /// The line.
        line: usize,
        /// The cell.
        cell: String,
        /// The column in which the bytes first differ; the last one for the end of the line.
        column: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Value { cell, row, column, committed, recomputed } => {
                let row = if *row == 1 { String::new() } else { format!(", row {row}") };
                write!(f, "cell {cell}{row}: column {column}: committed {committed}, recomputed {recomputed}")
            }
            Difference::Malformed { line, reason, cell, column } => {
                write!(f, "line {line}: {reason}; expected cell {cell}, differs first in column {column}")
            }
            Difference::Missing { cell, committed: 0, .. } => {
                write!(f, "cell {cell}: missing from the committed rows")
            }
            Difference::Missing { cell, committed, recomputed } => {
                write!(f, "cell {cell}: {committed} committed rows, recomputed {recomputed}")
            }
            Difference::Extra { cell, line, place: None } => {
                write!(f, "line {line}: cell {cell}: committed, but not in the study")
            }
            Difference::Extra { cell, line, place: Some(place) } => {
                write!(
                    f,
                    "line {line}: cell {place} is missing; in its place stands, by column cell, {cell}, which is not in the study"
                )
            }
            Difference::Order { line } => {
                write!(f, "line {line}: the rows stand in another order than the cells of the study")
            }
            Difference::Text { line, cell, column } => {
                write!(f, "line {line}: cell {cell}: column {column}: equal values in other bytes")
            }
        }
    }
}

/// Compares the bytes of a committed file of rows with the records recomputed now (`cells[i]` gave `records[i]`). No difference means the
/// same bytes.
pub fn compare(committed: &[u8], cells: &[Cell], records: &[Vec<Record>]) -> Vec<Difference> {
    let expected: Vec<(usize, String)> = records
        .iter()
        .enumerate()
        .flat_map(|(i, records)| records.iter().map(move |r| (i, r.to_json())))
        .collect();
    let whole: String = expected.iter().flat_map(|(_, line)| [line.as_str(), "\n"]).collect();
    if whole.as_bytes() == committed {
        return Vec::new();
    }
    let label = Labels::new(cells);
    let index_of: BTreeMap<String, usize> =
        cells.iter().enumerate().map(|(i, cell)| (cell.id(), i)).collect();
    let mut out = Vec::new();
    let mut found: BTreeMap<usize, Vec<(usize, String)>> = BTreeMap::new();
    let mut foreign: Vec<(usize, Record)> = Vec::new();
    // Rows of a cell that are accounted for by another difference than `Missing`.
    let mut torn: BTreeMap<usize, usize> = BTreeMap::new();
    for (number, line) in committed.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let line_number = number + 1;
        let line = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line)).into_owned();
        match Record::parse(&line) {
            Ok(record) => match index_of.get(&record.cell) {
                Some(&index) => found.entry(index).or_default().push((line_number, line)),
                None => foreign.push((line_number, record)),
            },
            // The file stands in the order of the study: the place of the line tells which row it was.
            Err(reason) => {
                let (cell, column) = match expected.get(number) {
                    Some((index, expected)) => {
                        *torn.entry(*index).or_default() += 1;
                        (label.of(*index), column_at(expected, &line).to_owned())
                    }
                    None => ("none".to_owned(), "none".to_owned()),
                };
                out.push(Difference::Malformed { line: line_number, reason, cell, column });
            }
        }
    }
    let lacking = |index: usize, torn: &BTreeMap<usize, usize>| {
        let found = found.get(&index).map_or(0, Vec::len);
        found + torn.get(&index).copied().unwrap_or(0) < records[index].len()
    };
    for (line, record) in foreign {
        let place = expected.get(line - 1).map(|(index, _)| *index).filter(|index| lacking(*index, &torn));
        if let Some(index) = place {
            *torn.entry(index).or_default() += 1;
        }
        let place = place.map(|index| label.of(index));
        out.push(Difference::Extra { cell: describe(&record), line, place });
    }
    for (index, records) in records.iter().enumerate() {
        let lines = found.get(&index).map_or(&[][..], Vec::as_slice);
        if lacking(index, &torn) {
            out.push(Difference::Missing {
                cell: label.of(index),
                committed: lines.len(),
                recomputed: records.len(),
            });
        }
        if let Some((line, _)) = lines.get(records.len()) {
            out.push(Difference::Extra { cell: label.of(index), line: *line, place: None });
        }
        if lines.len() == records.len() {
            let rows = lines.iter().zip(records).enumerate();
            rows.for_each(|(row, ((number, line), record))| {
                out.extend(row_differences(&label.of(index), row + 1, *number, line, &record.to_json()));
            });
        }
    }
    if out.is_empty() {
        // Every row is there once and equal: the first line that differs is another row, or lacks its line feed.
        let mut lines = committed.split_inclusive(|&byte| byte == b'\n').zip(&expected).enumerate();
        let differs = |(_, (line, (_, expected))): &(usize, (&[u8], &(usize, String)))| {
            line.strip_suffix(b"\n") != Some(expected.as_bytes())
        };
        out.extend(lines.find(differs).map(|(number, (line, (index, expected)))| {
            if line == expected.as_bytes() {
                let column = column_at(expected, expected).to_owned();
                return Difference::Text { line: number + 1, cell: label.of(*index), column };
            }
            Difference::Order { line: number + 1 }
        }));
    }
    out
}

fn row_differences(
    cell: &str,
    row: usize,
    number: usize,
    committed: &str,
    recomputed: &str,
) -> Vec<Difference> {
    if committed == recomputed {
        return Vec::new();
    }
    let parse = |line: &str| serde_json::from_str(line).unwrap_or(Json::Null);
    let mut out = Vec::new();
    differing("", &parse(committed), &parse(recomputed), &mut |column, committed, recomputed| {
        let show = |json: Option<&Json>| json.map_or("absent".to_owned(), Json::to_string);
        out.push(Difference::Value {
            cell: cell.to_owned(),
            row,
            column: column.to_owned(),
            committed: show(committed),
            recomputed: show(recomputed),
        });
    });
    if out.is_empty() {
        let column = column_at(recomputed, committed).to_owned();
        out.push(Difference::Text { line: number, cell: cell.to_owned(), column });
    }
    out
}

/// Calls `tell` for each field in which two objects differ; fields of the objects of a row (provenance) are named with a dot.
pub(crate) fn differing(
    prefix: &str,
    a: &Json,
    b: &Json,
    tell: &mut impl FnMut(&str, Option<&Json>, Option<&Json>),
) {
    let (Json::Object(a), Json::Object(b)) = (a, b) else { return tell(prefix, Some(a), Some(b)) };
    for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
        let (x, y) = (a.get(key), b.get(key));
        match (x, y) {
            _ if x == y => {}
            (Some(x @ Json::Object(_)), Some(y @ Json::Object(_)))
                if prefix.is_empty() && key == "provenance" =>
            {
                differing("provenance.", x, y, tell);
            }
            _ => tell(&format!("{prefix}{key}"), x, y),
        }
    }
}

/// The field of the line `expected` in which `found` first differs from it; a brace counts with the field beside it, and what stands after the
/// line with the last field.
fn column_at(expected: &str, found: &str) -> &'static str {
    let same = expected.bytes().zip(found.bytes()).take_while(|(a, b)| a == b).count();
    let names =
        ["schema_version", "study", "cell", "provenance"].into_iter().chain(COLUMNS.iter().map(|c| c.name));
    let starts = names.filter_map(|name| Some((expected.find(&format!("\"{name}\":"))?, name)));
    starts.filter(|(start, _)| *start <= same).max().map_or("schema_version", |(_, name)| name)
}

/// Short names of cells: the id, and the axes on which the cells of the study differ.
pub(crate) struct Labels<'a> {
    cells: &'a [Cell],
    axes: Vec<Axis>,
}

impl Labels<'_> {
    pub(crate) fn new(cells: &[Cell]) -> Labels<'_> {
        let varies = |axis: &Axis| cells.iter().any(|cell| cell.value(*axis) != cells[0].value(*axis));
        Labels { cells, axes: Axis::ALL.into_iter().filter(varies).collect() }
    }

    pub(crate) fn of(&self, index: usize) -> String {
        let cell = &self.cells[index];
        let axes =
            self.axes.iter().map(|axis| format!("{} {}", axis.name(), named(&plain(&cell.value(*axis)))));
        with_axes(&cell.id(), axes)
    }
}

fn describe(record: &Record) -> String {
    let default = Cell::default();
    let has = |axis: &Axis| record.fields.iter().any(|(name, _)| *name == axis.name());
    let different =
        Axis::ALL.into_iter().filter(has).filter(|axis| *record.get(axis.name()) != default.value(*axis));
    with_axes(
        &record.cell,
        different.map(|axis| format!("{} {}", axis.name(), named(&plain(record.get(axis.name()))))),
    )
}

fn named(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

fn with_axes(id: &str, axes: impl Iterator<Item = String>) -> String {
    let axes: Vec<String> = axes.collect();
    if axes.is_empty() { id.to_owned() } else { format!("{id} ({})", axes.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;

    fn study() -> (Vec<Cell>, Vec<Vec<Record>>, String) {
        let cells: Vec<Cell> =
            (1..=3).map(|depth| Cell { study: "s".into(), depth, ..Cell::default() }).collect();
        let records: Vec<Vec<Record>> = cells
            .iter()
            .map(|cell| {
                (1..=2usize)
                    .map(|layer| {
                        let row = Row::new().with("layer", layer).with("drift", 0.5);
                        // Numbers whose last digit, and whose `e`, can change without changing the value.
                        Record::new(cell, &row.with("drift_min", 0.1 + 0.2).with("drift_max", 1e-20), None)
                    })
                    .collect()
            })
            .collect();
        let text = records.iter().flatten().map(|record| record.to_json() + "\n").collect();
        (cells, records, text)
    }

    fn told(committed: &str) -> Vec<String> {
        let (cells, records, _) = study();
        compare(committed.as_bytes(), &cells, &records).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn equal_bytes_differ_in_nothing() {
        assert_eq!(told(&study().2), Vec::<String>::new());
    }

    #[test]
    fn a_changed_value_names_cell_and_column() {
        let (cells, _, text) = study();
        let id = cells[1].id();
        let changed = text.replacen("\"depth\":2", "\"depth\":9", 1);
        assert_eq!(told(&changed), [format!("cell {id} (depth 2): column depth: committed 9, recomputed 2")]);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[3] = lines[3].replace("0.5", "0.25").replace("\"seed\":1", "\"seed\":2");
        assert_eq!(
            told(&(lines.join("\n") + "\n")),
            [
                format!("cell {id} (depth 2), row 2: column drift: committed 0.25, recomputed 0.5"),
                format!("cell {id} (depth 2), row 2: column provenance.seed: committed 2, recomputed 1")
            ]
        );
    }

    #[test]
    fn missing_extra_moved_and_rewritten_rows() {
        let (cells, _, text) = study();
        let lines: Vec<&str> = text.lines().collect();
        let join = |lines: &[&str]| lines.join("\n") + "\n";
        assert_eq!(
            told(&join(&lines[..4])),
            [format!("cell {} (depth 3): missing from the committed rows", cells[2].id())]
        );
        assert_eq!(
            told(&join(&lines[..5])),
            [format!("cell {} (depth 3): 1 committed rows, recomputed 2", cells[2].id())]
        );
        assert_eq!(told("").len(), 3);
        let foreign = lines[0].replace(&cells[0].id(), "0123456789abcdef");
        let extra = told(&(text.clone() + &foreign + "\n"));
        assert_eq!(extra, ["line 7: cell 0123456789abcdef (depth 1): committed, but not in the study"]);
        assert_eq!(told(&(text.clone() + lines[0] + "\n")).len(), 1);
        let moved = [lines[2], lines[3], lines[0], lines[1], lines[4], lines[5]];
        assert_eq!(
            told(&join(&moved)),
            ["line 1: the rows stand in another order than the cells of the study"]
        );
        let renamed = lines[2].replace(&cells[1].id(), "0123456789abcdef");
        assert_eq!(
            told(&text.replace(lines[2], &renamed)),
            [format!(
                "line 3: cell {} (depth 2) is missing; in its place stands, by column cell, 0123456789abcdef (depth 2), which is not in the study",
                cells[1].id()
            )]
        );
        let text_at = |line: usize, cell: usize, column: &str| {
            let (depth, id) = (cell + 1, cells[cell].id());
            [format!("line {line}: cell {id} (depth {depth}): column {column}: equal values in other bytes")]
        };
        assert_eq!(told(&text.replacen("\"layer\":1", "\"layer\": 1", 1)), text_at(1, 0, "layer"));
        assert_eq!(told(text.trim_end()), text_at(6, 2, "provenance"));
    }

    /// Every bit of the file: the cell of the row and the column that the bit stands in are named together, by one difference. Keys, colons and the
    /// comma behind a value count with the column, braces and the line feed with the column beside them.
    #[test]
    fn every_flipped_bit_is_found_with_its_cell_and_column() {
        let (cells, records, text) = study();
        let mut kinds = [0; 6];
        let (mut row, mut column) = (0, "");
        for at in 0..text.len() {
            let field = |name: &str| text[at..].starts_with(&format!("\"{name}\":"));
            let names = ["schema_version", "study", "cell", "provenance"].into_iter();
            let starts = names.chain(COLUMNS.iter().map(|column| column.name)).find(|name| field(name));
            match text.as_bytes()[at] {
                _ if starts.is_some() => column = starts.unwrap_or_default(),
                b'{' if at == 0 || text.as_bytes()[at - 1] == b'\n' => column = "schema_version",
                _ => {}
            }
            for bit in 0..8 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let differences = compare(&bytes, &cells, &records);
                let cell = format!("cell {} ", cells[row / 2].id());
                let named = |difference: &Difference| {
                    let told = difference.to_string();
                    let mut columns = told.split("column ").skip(1);
                    let inside =
                        |told: &str| told.strip_prefix(column).is_some_and(|rest| !rest.starts_with('_'));
                    told.contains(&cell) && columns.any(inside)
                };
                let told: Vec<String> = differences.iter().map(ToString::to_string).collect();
                assert!(differences.iter().any(named), "byte {at} bit {bit}, {cell}{column}: {told:?}");
                for difference in &differences {
                    kinds[match difference {
                        Difference::Value { .. } => 0,
                        Difference::Malformed { .. } => 1,
                        Difference::Missing { .. } => 2,
                        Difference::Extra { .. } => 3,
                        Difference::Order { .. } => 4,
                        Difference::Text { .. } => 5,
                    }] += 1;
                }
            }
            if text.as_bytes()[at] == b'\n' {
                row += 1;
            }
        }
        println!("values, malformed lines, missing, extra, order, text: {kinds:?}");
        // A line feed that is gone takes the row behind it along; nothing else is told of any other row.
        assert_eq!((kinds[2], kinds[4]), (8 * 5, 0));
        assert!([0, 1, 3, 5].iter().all(|kind| kinds[*kind] > 0), "{kinds:?}");
    }

    #[test]
    fn a_malformed_line_names_the_column_where_it_breaks() {
        let broken = study().2.replacen("\"drift\":0.5", "\"drift\":0,5", 1);
        let told = told(&broken);
        assert_eq!(told.len(), 1);
        assert!(
            told[0].starts_with("line 1: no JSON") && told[0].ends_with("differs first in column drift"),
            "{told:?}"
        );
    }
}
