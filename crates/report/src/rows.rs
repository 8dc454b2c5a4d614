//! The table of rows: lines of JSON become columns, rows with ids, and questions such as "which parameters vary".

use crate::value::Value;
use crate::{Column, ReportError};
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, BTreeSet};

/// All rows of a study, and how they came to be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
    /// Versions of gradchain that measured, in the order met.
    pub(crate) versions: Vec<String>,
    /// Seeds, in the order met.
    pub(crate) seeds: Vec<u64>,
}

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What its permalink is called: the id of the cell, with a number where a cell has several rows.
    pub(crate) id: String,
    /// Id of the cell.
    pub(crate) cell: String,
    /// One value for each column.
    pub(crate) values: Vec<Value>,
}

impl Rows {
    /// Reads lines of JSON. `known` explains columns; one that it does not hold is a parameter if it stands before `draws`, else a result.
    pub(crate) fn read(place: &str, text: &str, known: &[Column]) -> Result<Rows, ReportError> {
        let mut out = Rows::default();
        let mut sparse = Vec::new();
        let lines = || text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        for (i, line) in lines() {
            let read = read_line(line).and_then(|(map, cell, version, seed)| {
                if !out.versions.contains(&version) {
                    out.versions.push(version);
                }
                if !out.seeds.contains(&seed) {
                    out.seeds.push(seed);
                }
                Ok((cell, out.fields(&map, known)?))
            });
            sparse.push(read.map_err(|message| ReportError {
                place: place.to_owned(),
                line: Some(i + 1),
                message,
            })?);
        }
        let mut of_cell: BTreeMap<String, usize> = BTreeMap::new();
        for (cell, _) in &sparse {
            *of_cell.entry(cell.clone()).or_default() += 1;
        }
        let mut met: BTreeMap<String, usize> = BTreeMap::new();
        for (cell, fields) in sparse {
            let mut values = vec![Value::Null; out.columns.len()];
            for (column, value) in fields {
                values[column] = value;
            }
            let number = met.entry(cell.clone()).or_default();
            *number += 1;
            let id = if of_cell[&cell] > 1 { format!("{cell}.{number}") } else { cell.clone() };
            out.rows.push(Row { id, cell, values });
        }
        Ok(out)
    }

    /// The fields of a line by column; a name that is new becomes a column.
    fn fields(&mut self, map: &Map<String, Json>, known: &[Column]) -> Result<Vec<(usize, Value)>, String> {
        let mut before_draws = map.contains_key("draws");
        let mut fields = Vec::new();
        for (name, json) in map {
            let value = Value::read(json)
                .ok_or_else(|| format!("`{name}` has the value {json}, which no row holds"))?;
            let column = match self.column(name) {
                Some(column) => column,
                None => {
                    self.columns.push(known.iter().find(|c| c.name == *name).cloned().unwrap_or_else(|| {
                        let unit = if name.contains("log2") { "log2" } else { "" }.to_owned();
                        Column { name: name.clone(), parameter: before_draws, unit, meaning: String::new() }
                    }));
                    self.columns.len() - 1
                }
            };
            before_draws &= name != "draws";
            fields.push((column, value));
        }
        Ok(fields)
    }

    /// The place of the column `name`.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The value of a column in a row.
    pub(crate) fn get(&self, row: usize, column: usize) -> &Value {
        &self.rows[row].values[column]
    }

    /// The value of the column `name` in a row; null if there is no such column.
    pub(crate) fn named(&self, row: usize, name: &str) -> &Value {
        self.column(name).map_or(&Value::Null, |column| self.get(row, column))
    }

    /// The different values of a column in `rows`, in the order met.
    pub(crate) fn distinct(&self, rows: &[usize], column: usize) -> Vec<&Value> {
        let mut seen = BTreeSet::new();
        rows.iter().map(|&row| self.get(row, column)).filter(|value| seen.insert(value.full())).collect()
    }

    /// The values of `columns` in a row as one key.
    pub(crate) fn key(&self, row: usize, columns: &[usize]) -> Vec<String> {
        columns.iter().map(|&column| self.get(row, column).full()).collect()
    }

    /// `rows` in groups that agree in `columns`, in the order met.
    pub(crate) fn groups(&self, rows: &[usize], columns: &[usize]) -> Vec<Vec<usize>> {
        let mut place: BTreeMap<Vec<String>, usize> = BTreeMap::new();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for &row in rows {
            let at = *place.entry(self.key(row, columns)).or_insert(groups.len());
            if at == groups.len() {
                groups.push(Vec::new());
            }
            groups[at].push(row);
        }
        groups
    }

    /// The result that tells the rows of one cell apart, such as the layer.
    pub(crate) fn index(&self) -> Option<usize> {
        let all: Vec<usize> = (0..self.rows.len()).collect();
        let cells: Vec<Vec<usize>> = {
            let mut cells: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            all.iter().for_each(|&row| cells.entry(&self.rows[row].cell).or_default().push(row));
            cells.into_values().filter(|rows| rows.len() > 1).collect()
        };
        let tells = |&column: &usize| {
            cells.iter().all(|rows| {
                rows.iter().all(|&row| matches!(self.get(row, column), Value::Integer(_)))
                    && self.distinct(rows, column).len() == rows.len()
            })
        };
        let results = (0..self.columns.len()).filter(|&column| !self.columns[column].parameter);
        results.into_iter().find(tells).filter(|_| !cells.is_empty())
    }
}

/// The fields of a line without those about the line itself, and cell, version and seed.
fn read_line(line: &str) -> Result<(Map<String, Json>, String, String, u64), String> {
    const READS: u64 = 1;
    let json: Json = serde_json::from_str(line).map_err(|e| format!("no JSON: {e}"))?;
    let Json::Object(mut map) = json else { return Err("not a JSON object".to_owned()) };
    let version = map.shift_remove("schema_version");
    if version.as_ref().and_then(Json::as_u64) != Some(READS) {
        let found = version.map_or("none".to_owned(), |version| version.to_string());
        return Err(format!("schema_version is {found}; a report reads {READS}"));
    }
    let text = |json: Option<&Json>, what: &str| {
        json.and_then(Json::as_str)
            .map(str::to_owned)
            .ok_or_else(|| format!("`{what}` is missing or no text"))
    };
    let cell = text(map.get("cell"), "cell")?;
    let provenance = map.get("provenance");
    let version = text(provenance.and_then(|p| p.get("version")), "provenance.version")?;
    let seed = provenance
        .and_then(|p| p.get("seed"))
        .and_then(Json::as_u64)
        .ok_or("`provenance.seed` is missing or no integer")?;
    for name in ["study", "cell", "provenance", "timing"] {
        map.shift_remove(name);
    }
    Ok((map, cell, version, seed))
}
