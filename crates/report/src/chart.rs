//! What a page shows of a study: charts chosen by the shape of its rows.
//!
//! | rows have | chart |
//! | --- | --- |
//! | a gain, width 1 and events | trajectories: log2 of the magnitude against layers, with the limits of the formats |
//! | events (first zero, first infinity, ...) | lifelines: one lane a format, marks where something happens |
//! | a result over depth, layer, learning rate or another number | lines, one colour a format, predictions dashed |
//! | a result over two or more names | heat maps |
//!
//! A study file chooses among them only by its `columns`, so that a new study has a page without a line of Rust.

use crate::grid::{Grid, grids};
use crate::names::{IN_BITS_LEFT, is_companion, is_event, is_horizon};
use crate::rows::Rows;
use crate::study::Study;
use crate::value::Value;
use crate::{heat, lifelines, lines, trajectories};

/// Panels with one heading.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    pub(crate) heading: String,
    /// How to read it, in plain text.
    pub(crate) caption: String,
    pub(crate) key: Vec<Key>,
    pub(crate) panels: Vec<Panel>,
    /// Panels that were left out.
    pub(crate) left_out: usize,
}

/// One drawing, and what its rows have in common.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    /// Names and values of parameters.
    pub(crate) title: Vec<(String, String)>,
    /// The drawing for a column or a phone.
    pub(crate) small: String,
    /// The drawing for a panel that has the width of a desktop page to itself.
    pub(crate) large: Option<String>,
}

/// An entry of the key: how it is drawn, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) look: Look,
    pub(crate) text: String,
}

/// How an entry of the key is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// A line with the mark of the colour.
    Series(usize),
    Dashed,
    Band,
    Range,
    Infinity,
    Zero,
    Nan,
    /// A level of a heat map.
    Heat(usize),
    HeatSpecial,
    /// A name in a heat map, by its colour.
    Name(usize),
    /// A lane of a lifeline: of normal numbers, with subnormal ones, stuck.
    Alive,
    Subnormal,
    Stuck,
    DirectionLost,
}

impl Key {
    pub(crate) fn new(look: Look, text: impl Into<String>) -> Key {
        Key { look, text: text.into() }
    }
}

/// Charts of one grid.
const MAX_CHARTS: usize = 4;

/// More panels than this are left to the table.
pub(crate) const MAX_PANELS: usize = 24;

/// The charts of a study. `prefix` starts the ids of the drawings, so that several pages' charts can stand in one.
pub(crate) fn charts(rows: &Rows, study: &Study, prefix: &str) -> Vec<Chart> {
    let mut out = Vec::new();
    let grids = grids(rows, study);
    for (g, grid) in grids.iter().enumerate() {
        let mut of_grid: Vec<Chart> = Vec::new();
        let id = |n: usize| format!("{prefix}{}{}", letter(g), letter(n));
        let results: Vec<usize> = results(rows, study, grid);
        let named = |c: &usize| rows.columns[*c].name.as_str();
        of_grid.extend(trajectories::plan(rows, grid, &id(of_grid.len())));
        let events: Vec<usize> = results.iter().copied().filter(|c| is_event(named(c))).collect();
        let lifelines = lifelines::plan(rows, grid, &events, &id(of_grid.len()));
        let has_lifelines = lifelines.is_some();
        of_grid.extend(lifelines);
        for (i, y) in charted(rows, &results, grid).into_iter().enumerate() {
            let n = of_grid.len();
            if n >= MAX_CHARTS {
                break;
            }
            // What happens comes before what no line shows, such as a count.
            let drawn = lines::plan(rows, grid, y, i == 0, &|k| id(n + k));
            if i == 0 && drawn.is_empty() && !has_lifelines {
                of_grid.extend(event_maps(rows, grid, &events, &|k| id(n + k)));
            }
            let n = of_grid.len();
            match drawn.is_empty() {
                false => of_grid.extend(drawn),
                true => of_grid.extend(heat::plan(rows, grid, y, &id(n))),
            }
        }
        if of_grid.is_empty() {
            of_grid.extend(event_maps(rows, grid, &events, &id));
        }
        if grids.len() > 1 {
            let what = grid.title(rows, &grid.rows, &(0..rows.rows.len()).collect::<Vec<_>>(), &[]);
            let what: Vec<String> = what.iter().map(|(name, value)| format!("{name} {value}")).collect();
            for chart in of_grid.iter_mut().filter(|_| !what.is_empty()) {
                chart.caption = format!("Rows with {}. {}", what.join(", "), chart.caption);
            }
        }
        out.extend(of_grid);
    }
    out
}

/// Heat maps of the events that vary most.
fn event_maps(rows: &Rows, grid: &Grid, events: &[usize], id: &dyn Fn(usize) -> String) -> Vec<Chart> {
    let kinds = |c: usize| rows.distinct(&grid.rows, c).len();
    let mut happened: Vec<usize> =
        events.iter().copied().filter(|&c| kinds(c) > 2 && happens(rows, grid, c) >= 0.3).collect();
    happened.sort_by_key(|c| usize::MAX - kinds(*c));
    happened.into_iter().take(2).enumerate().filter_map(|(k, c)| heat::plan(rows, grid, c, &id(k))).collect()
}

/// In which share of the rows an event happens.
pub(crate) fn happens(rows: &Rows, grid: &Grid, event: usize) -> f64 {
    let count = grid.rows.iter().filter(|&&row| *rows.get(row, event) != Value::Null).count();
    count as f64 / grid.rows.len().max(1) as f64
}

fn letter(n: usize) -> String {
    let small = char::from(b'a' + (n % 26) as u8);
    if n < 26 { small.to_string() } else { format!("{}{small}", letter(n / 26 - 1)) }
}

/// The result columns that the study's author looks at; all if the file names none.
pub(crate) fn results(rows: &Rows, study: &Study, grid: &Grid) -> Vec<usize> {
    let chosen: Vec<usize> = match study.columns.is_empty() {
        true => (0..rows.columns.len()).collect(),
        false => study.columns.iter().filter_map(|name| rows.column(name)).collect(),
    };
    chosen.into_iter().filter(|c| !rows.columns[*c].parameter && !grid.axes.contains(c)).collect()
}

/// Those of the results that have a chart of their own: numbers and few names that vary, without what another chart says already.
pub(crate) fn charted(rows: &Rows, results: &[usize], grid: &Grid) -> Vec<usize> {
    let name = |c: usize| rows.columns[c].name.as_str();
    let bits = results.iter().any(|&c| name(c) == "bits_left");
    let counts = ["zero", "subnormal", "normal", "infinite", "nan", "inputs", "dead_fraction"];
    let mut charted: Vec<usize> = results
        .iter()
        .copied()
        .filter(|&c| {
            let elsewhere = is_event(name(c))
                || is_companion(name(c))
                || counts.contains(&name(c))
                || bits && IN_BITS_LEFT.contains(&name(c));
            !elsewhere
                && (is_numeric(rows, grid, c) || is_naming(rows, grid, c))
                && is_worth_it(rows, grid, c, bits)
        })
        .collect();
    // What says most, first; within it the order of the study file.
    let rank = |name: &str| match name {
        "surviving_depth" => 0,
        "bits_left" => 1,
        _ if is_naming(rows, grid, rows.column(name).unwrap_or(0)) => 1,
        "log2_norm" | "rate_log2" | "max_ulp" => 2,
        _ => 3,
    };
    charted.sort_by_key(|c| rank(name(*c)));
    charted.truncate(4);
    charted
}

/// Whether all values of a column are numbers.
fn is_numeric(rows: &Rows, grid: &Grid, column: usize) -> bool {
    grid.rows.iter().all(|&row| *rows.get(row, column) == Value::Null || rows.get(row, column).is_number())
}

/// Whether the values of a column are a few names, such as how a training ended.
pub(crate) fn is_naming(rows: &Rows, grid: &Grid, column: usize) -> bool {
    let values = rows.distinct(&grid.rows, column);
    let names = values.iter().filter(|value| matches!(value, Value::Text(_))).count();
    (2..=8).contains(&names) && values.iter().all(|value| !value.is_number())
}

/// Whether a result varies enough for a chart: a cosine that never falls below 0.99 does not, nor a norm that stays within a factor of 4.
fn is_worth_it(rows: &Rows, grid: &Grid, column: usize, bits: bool) -> bool {
    let values = || grid.rows.iter().filter_map(|&row| rows.get(row, column).number());
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    let special = values().any(|x| !x.is_finite());
    match rows.columns[column].name.as_str() {
        "cosine" => low < 0.99,
        // A chain that a remedy rescales may have no bit left against the reference from the start: nothing to see.
        "bits_left" => high >= 1.0 && high > low,
        // Where bits are shown, a norm has its own say only if it leaves the range of a format.
        "log2_norm" => special || high - low > 2.0 && !(bits && rows.index().is_none()),
        name if is_horizon(name) => high > low,
        // Magnitudes beyond f64 differ though their f64 do not.
        _ => rows.distinct(&grid.rows, column).len() > 1,
    }
}
