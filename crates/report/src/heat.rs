//! Heat maps: a result over two axes of names, a number in each cell and a colour for its size.

use crate::chart::{Chart, Key, Look, MAX_PANELS, Panel};
use crate::formats::colour;
use crate::grid::Grid;
use crate::names::{heading, is_event, is_horizon, is_magnitude, meaning, words};
use crate::rows::Rows;
use crate::svg::{Anchor, SMALL, Size, drawing, text, width_of};
use crate::value::{Value, short_number};

/// Colours of a heat map beside the one for nothing.
const LEVELS: usize = 6;
const CELL: f64 = 22.0;

/// The levels of a chart: even steps of the value, or of its log2 where it spans more than a factor of 30. What lies above the first nine tenths of the
/// values shares the last level, so that one huge value does not make all others alike.
struct Levels {
    low: f64,
    high: f64,
    log: bool,
    /// Whether the values are logarithms themselves, so that -inf is a zero.
    is_log2: bool,
    /// Names in the order met, if the values are names.
    names: Vec<String>,
}

impl Levels {
    fn of<'a>(values: impl Iterator<Item = &'a Value> + Clone, is_log2: bool) -> Levels {
        let sorted = |of: &dyn Fn(&Value) -> Option<f64>| {
            let mut sorted: Vec<f64> = values.clone().filter_map(of).filter(|x| x.is_finite()).collect();
            sorted.sort_by(f64::total_cmp);
            sorted
        };
        let (numbers, logs) = (sorted(&Value::number), sorted(&Value::log2));
        let negative = numbers.first().is_some_and(|x| *x < 0.0);
        let span = logs.last().zip(logs.first()).map_or(0.0, |(high, low)| high - low);
        let log = !negative && !is_log2 && span > 5.0;
        let used = if log { logs } else { numbers };
        let mut names: Vec<String> = Vec::new();
        for value in values.filter(|value| matches!(value, Value::Text(_))) {
            if !names.contains(&value.full()) {
                names.push(value.full());
            }
        }
        let (Some(&low), Some(&most)) = (used.first(), used.last()) else {
            return Levels { low: 0.0, high: 0.0, log, is_log2, names };
        };
        let nine_tenths = used[(used.len() - 1) * 9 / 10];
        Levels { low, high: if nine_tenths > low { nine_tenths } else { most }, log, is_log2, names }
    }

    /// The class of a value: `h0` for zero on a scale of logarithms, `h1` to `h6`, `hx` for infinities and NaN, `hn` for what never happened.
    fn class(&self, value: &Value) -> String {
        if let Some(name) = self.names.iter().position(|name| *name == value.full()) {
            return format!("q c{}", colour("", name));
        }
        let Some(x) = (if self.log { value.log2() } else { value.number() }) else { return "hn".to_owned() };
        if (self.log || self.is_log2) && x == f64::NEG_INFINITY {
            return "h0".to_owned();
        }
        if !x.is_finite() {
            return "hx".to_owned();
        }
        let share = (x - self.low) / (self.high - self.low).max(f64::MIN_POSITIVE);
        format!("h{}", 1 + ((share * LEVELS as f64) as usize).min(LEVELS - 1))
    }

    fn key(&self) -> Vec<Key> {
        let bound = |k: usize| {
            let x = self.low + (self.high - self.low) * k as f64 / LEVELS as f64;
            match self.log {
                true if !(-10.0..20.0).contains(&x) => format!("2^{x:.0}"),
                true => short_number(libm::exp2(x), 2),
                false => short_number(x, 2),
            }
        };
        let level = |k: usize| match k {
            0 => format!("{} to {}", bound(0), bound(1)),
            k if k == LEVELS - 1 => format!("{} and more", bound(k)),
            k => format!("to {}", bound(k + 1)),
        };
        if !self.names.is_empty() {
            let entry = |(i, name): (usize, &String)| Key::new(Look::Name(colour("", i)), name.clone());
            return self.names.iter().enumerate().map(entry).collect();
        }
        match self.high > self.low {
            true => (0..LEVELS).map(|k| Key::new(Look::Heat(k + 1), level(k))).collect(),
            false => Vec::new(),
        }
    }
}

/// The heat map of column `y` over the two axes with the most values; what is left makes panels.
pub(crate) fn plan(rows: &Rows, grid: &Grid, y: usize, id: &str) -> Option<Chart> {
    let name = rows.columns[y].name.as_str();
    let of = match is_horizon(name) {
        true => grid.event_dependence(rows, y),
        false => grid.dependence(rows, y, false),
    };
    let count = |axis: usize| rows.distinct(&of.rows, axis).len();
    let values = rows.distinct(&of.rows, y);
    let is_log2 = is_magnitude(name);
    // That a norm is zero or not is no heat map: the events say when.
    let finite = values.iter().filter(|value| value.number().is_some_and(f64::is_finite)).count();
    if values.len() < 2 || is_log2 && finite < 2 {
        return None;
    }
    let mut by_count = of.axes.clone();
    by_count.sort_by_key(|axis| usize::MAX - count(*axis));
    let is_number =
        |axis: usize| rows.distinct(&of.rows, axis).iter().all(|value| value.full().parse::<f64>().is_ok());
    let (row_axis, column_axis) = match by_count[..] {
        [] => return None,
        [only] => (only, None),
        // Numbers go from left to right; else the longer list from top to bottom.
        [first, second, ..] if is_number(first) && !is_number(second) => (second, Some(first)),
        [first, second, ..] => (first, Some(second)),
    };
    let shown: Vec<usize> = [Some(row_axis), column_axis].into_iter().flatten().collect();
    let facet_axes: Vec<usize> = of.axes.iter().copied().filter(|axis| !shown.contains(axis)).collect();
    let levels = Levels::of(of.rows.iter().map(|&row| rows.get(row, y)), is_log2);
    let mut facets = rows.groups(&of.rows, &facet_axes);
    // Panels of dots alone say in one sentence what they say.
    let all = facets.len();
    facets.retain(|facet| facet.iter().any(|&row| *rows.get(row, y) != Value::Null));
    let empty = all - facets.len();
    let never = is_event(name) || facets.iter().flatten().any(|&row| *rows.get(row, y) == Value::Null);
    let left_out = facets.len().saturating_sub(MAX_PANELS);
    let panels = facets
        .iter()
        .take(MAX_PANELS)
        .enumerate()
        .map(|(n, facet)| {
            let title = grid.title(rows, facet, &of.rows, &shown);
            let mut full = heading(&words(name));
            title.iter().for_each(|(axis, value)| full += &format!(", {axis} {value}"));
            let small = draw(rows, facet, y, row_axis, column_axis, &levels, &full, &format!("{id}{n}"));
            Panel { title, small, large: None }
        })
        .collect();
    let axis_name = |axis: usize| rows.columns[axis].name.replace('_', " ");
    let mut key = levels.key();
    let special = |row: &usize| levels.class(rows.get(*row, y)) == "hx";
    if of.rows.iter().any(special) {
        key.push(Key::new(Look::HeatSpecial, "infinite or NaN"));
    }
    let mut caption = match is_event(name) {
        true => "Layers passed until then".to_owned(),
        false => meaning(&rows.columns[y]),
    };
    if !caption.is_empty() {
        caption += ". ";
    }
    if never {
        caption += "A dot: never. ";
    }
    if empty > 0 {
        caption += &format!("It never happens in {empty} more panels, which are left out.");
    }
    let over = column_axis.map_or(String::new(), |axis| format!(" and {}", axis_name(axis)));
    Some(Chart {
        heading: format!("{} by {}{over}", heading(&words(name)), axis_name(row_axis)),
        caption: caption.trim().to_owned(),
        key,
        panels,
        left_out,
    })
}

#[expect(clippy::too_many_arguments, reason = "one call; what a panel shows, and where it goes")]
fn draw(
    rows: &Rows,
    facet: &[usize],
    y: usize,
    row_axis: usize,
    column_axis: Option<usize>,
    levels: &Levels,
    name: &str,
    id: &str,
) -> String {
    let label = |value: &Value| if *value == Value::Null { "none".to_owned() } else { value.short(4) };
    let of = |axis: usize| rows.distinct(facet, axis);
    let (down_values, across_values) = (of(row_axis), column_axis.map_or(Vec::new(), of));
    let down: Vec<String> = down_values.iter().copied().map(label).collect();
    let across: Vec<String> = match column_axis {
        Some(_) => across_values.iter().copied().map(label).collect(),
        None => vec![String::new()],
    };
    let left = down.iter().map(|text| width_of(text)).fold(30.0, f64::max).min(140.0) + 8.0;
    // Many columns are narrow, and what has no room in a cell is left to the colour.
    let many = across.len() > 8;
    let longest = across.iter().map(|text| width_of(text) + 6.0).fold(36.0, f64::max);
    let least = if many { 16.0 } else { longest };
    let width = ((SMALL.width - left - 4.0) / across.len() as f64).min(72.0).max(least);
    let size = Size {
        width: SMALL.width.max(left + width * across.len() as f64 + 4.0),
        height: 26.0 + CELL * down.len() as f64,
    };
    let mut out = String::new();
    let mut free = f64::NEG_INFINITY;
    for (i, text_of) in across.iter().enumerate() {
        let at = left + width * (i as f64 + 0.5);
        if at - width_of(text_of) / 2.0 > free {
            out += &text(at, 14.0, Anchor::Middle, "tick", text_of);
            free = at + width_of(text_of) / 2.0;
        }
    }
    for (j, text_of) in down.iter().enumerate() {
        out += &text(left - 6.0, 20.0 + CELL * (j as f64 + 0.5) + 3.8, Anchor::End, "tick", text_of);
    }
    for &row in facet {
        let at = |axis: usize, values: &[&Value]| {
            values.iter().position(|value| value.full() == rows.get(row, axis).full()).unwrap_or(0)
        };
        let j = at(row_axis, &down_values);
        let i = column_axis.map_or(0, |axis| at(axis, &across_values));
        let value = rows.get(row, y);
        let class = levels.class(value);
        let (x, top) = (left + width * i as f64, 20.0 + CELL * j as f64);
        let content = match value {
            Value::Null => "\u{b7}".to_owned(),
            Value::Number(f64::NEG_INFINITY) if levels.is_log2 => "zero".to_owned(),
            // The key says what the colour means; a sign of the name is enough.
            Value::Text(name) if width_of(name) + 4.0 > width => name.chars().take(1).collect(),
            Value::Bool(_) | Value::Integer(_) | Value::Number(_) | Value::Scaled { .. } | Value::Text(_) => {
                compact(value, width)
            }
        };
        out += &format!(
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"2\" data-r=\"{row}\"/>",
            crate::svg::place(x + 0.75),
            crate::svg::place(top + 0.75),
            crate::svg::place(width - 1.5),
            crate::svg::place(CELL - 1.5)
        );
        out +=
            &text(x + width / 2.0, top + CELL / 2.0 + 3.8, Anchor::Middle, &format!("in {class}"), &content);
    }
    let axis_name = |axis: usize| rows.columns[axis].name.replace('_', " ");
    let over = column_axis.map_or(String::new(), |axis| format!(" and {}", axis_name(axis)));
    let desc = format!("A value for each {}{over}; the table below holds them all.", axis_name(row_axis));
    drawing(id, size, if size.width > 420.0 { "small heat wide" } else { "small heat" }, name, &desc, &out)
}

/// As many of three digits as the cell has room for; large counts in powers of ten.
fn compact(value: &Value, width: f64) -> String {
    let large = value.number().filter(|x| x.is_finite() && x.abs() >= 99_999.5);
    let forms = match (value, large) {
        (_, Some(x)) => [2, 1, 0].map(|digits| format!("{x:.digits$e}")),
        (Value::Integer(n), None) => [n.to_string(), n.to_string(), n.to_string()],
        (value, None) => [3, 2, 1].map(|digits| value.short(digits)),
    };
    let fits = |form: &&String| width_of(form) + 3.0 <= width;
    forms.iter().find(fits).unwrap_or(&forms[2]).clone()
}
