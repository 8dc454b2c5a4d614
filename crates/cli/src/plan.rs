//! `gradchain plan`: the cells of studies, and what they are estimated to cost.

use crate::Verdict;
use crate::args::{ListFormat, PlanArgs};
use crate::studies::Planned;
use crate::table::{STYLE, one_line, short};
use anyhow::Result;
use comfy_table::{CellAlignment, Table};
use gradchain_study::{COLUMNS, Cost, Kind, Record, Row, Value, assign, cost};
use serde_json::{Map, Value as Json, json};
use std::io::{self, Write};

pub(crate) fn plan(args: &PlanArgs) -> Result<Verdict> {
    for (number, planned) in args.selection.plan()?.iter().enumerate() {
        let shards =
            args.part.shard.map(|shard| assign(&planned.cells, shard.of(), args.part.balance.into()));
        let own = |index: &usize| match (&shards, args.part.shard) {
            (Some(shards), Some(shard)) => shards[*index] == shard.number(),
            (None, _) | (_, None) => true,
        };
        let costs: Vec<Cost> = planned.cells.iter().map(cost).collect();
        let indices: Vec<usize> = (0..costs.len()).filter(own).collect();
        let mut stdout = io::stdout().lock();
        match args.format {
            ListFormat::Jsonl => {
                for &index in &indices {
                    writeln!(stdout, "{}", line(planned, index, &costs[index]))?;
                }
            }
            ListFormat::Table => {
                let gap = if number == 0 { "" } else { "\n" };
                let text = table(planned, &indices, &costs);
                let shard = args.part.shard.map(|shard| format!(", shard {shard}")).unwrap_or_default();
                write!(stdout, "{gap}{text}{}", summary(planned, &indices, &costs, &shard))?;
            }
        }
    }
    Ok(Verdict::Passed)
}

/// A cell as JSON: its parameters as in a row, and its cost.
fn line(planned: &Planned, index: usize, cost: &Cost) -> Json {
    let cell = &planned.cells[index];
    let row = Record::new(cell, &Row::new(), None).to_json();
    let mut map = match serde_json::from_str(&row) {
        Ok(Json::Object(map)) => map,
        Ok(_) | Err(_) => Map::new(),
    };
    map.remove("provenance");
    map.insert("seed".to_owned(), json!(cell.seed));
    map.insert("measure".to_owned(), json!(cell.measure.name()));
    map.insert("plan".to_owned(), json!(planned.hash));
    map.insert("rows".to_owned(), json!(cell.row_count()));
    map.insert("multiply_adds".to_owned(), json!(cost.multiply_adds));
    map.insert("memory_bytes".to_owned(), json!(cost.bytes));
    map.insert("estimated_seconds".to_owned(), json!(cost.seconds));
    Json::Object(map)
}

/// The cells at `indices`: ids, the parameters that differ, and what they cost; above it the parameters that are the same.
fn table(planned: &Planned, indices: &[usize], costs: &[Cost]) -> String {
    let records: Vec<Record> =
        indices.iter().map(|&index| Record::new(&planned.cells[index], &Row::new(), None)).collect();
    let parameters = COLUMNS.iter().filter(|column| column.kind == Kind::Parameter).map(|column| column.name);
    let varies = |name: &str| records.iter().any(|record| record.get(name) != records[0].get(name));
    let (varying, constant): (Vec<&str>, Vec<&str>) = parameters.partition(|name| varies(name));
    let constant = constant.into_iter().filter_map(|name| {
        let value = records.first()?.get(name);
        (*value != Value::Null).then(|| format!("{name} {}", short(value)))
    });
    let constant: Vec<String> = constant.collect();
    let caption =
        if constant.is_empty() { String::new() } else { format!("in all cells: {}\n", constant.join(", ")) };
    let mut table = Table::new();
    let costly = ["multiply-adds", "memory", "share of time"];
    table.load_style(STYLE).set_header(["cell"].into_iter().chain(varying.iter().copied()).chain(costly));
    let total: f64 = indices.iter().map(|&index| costs[index].seconds).sum();
    for (record, &index) in records.iter().zip(indices) {
        let cost = &costs[index];
        let mut row = vec![record.cell.clone()];
        row.extend(varying.iter().map(|name| short(record.get(name))));
        let share = if total > 0.0 { 100.0 * cost.seconds / total } else { 0.0 };
        row.extend([short(&cost.multiply_adds.into()), memory(cost.bytes), format!("{share:.2} %")]);
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1 + varying.len()) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let body = if indices.is_empty() { String::new() } else { table.trim_fmt() + "\n" };
    format!("{}: {}\n{caption}{body}", planned.study.name, one_line(&planned.study.question))
}

fn summary(planned: &Planned, indices: &[usize], costs: &[Cost], shard: &str) -> String {
    let sum = |f: fn(&Cost) -> f64| indices.iter().map(|&index| f(&costs[index])).sum::<f64>();
    let all: f64 = costs.iter().map(|cost| cost.seconds).sum();
    let largest = indices.iter().map(|&index| costs[index].bytes).fold(0.0, f64::max);
    let seconds = sum(|cost| cost.seconds);
    let share = match shard.is_empty() || all == 0.0 {
        true => String::new(),
        false => format!(" ({:.1} % of the study)", 100.0 * seconds / all),
    };
    format!(
        "plan {}{shard}: {} of {} cells, {} multiply-adds, roughly {} of one core{share}, at most {} a cell\n",
        planned.hash,
        indices.len(),
        costs.len(),
        short(&sum(|cost| cost.multiply_adds).into()),
        time(seconds),
        memory(largest)
    )
}

/// Bytes in the unit that leaves at least one before the point.
fn memory(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB"];
    let unit = units.iter().enumerate().rev().find(|(power, _)| bytes >= f64::powi(1024.0, *power as i32));
    let (power, unit) = unit.unwrap_or((0, &units[0]));
    format!("{:.1} {unit}", bytes / f64::powi(1024.0, power as i32))
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => "less than a second".to_owned(),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        let sizes = [0.0, 1023.0, 1024.0, 1.5e6, 17.0 * 1024.0 * 1024.0 * 1024.0].map(memory);
        assert_eq!(sizes, ["0.0 B", "1023.0 B", "1.0 KiB", "1.4 MiB", "17.0 GiB"]);
        let times = [0.5, 3.4, 119.0, 600.0, 9000.0].map(time);
        assert_eq!(times, ["less than a second", "3 s", "119 s", "10 min", "2.5 h"]);
    }
}
