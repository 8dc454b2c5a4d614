//! Lines: a result against a number, one colour for each format (or another axis), predictions dashed, the limits of the formats as bands.

use crate::chart::{Chart, Key, Look, MAX_PANELS, Panel};
use crate::companions::Companions;
use crate::formats::{colour, limits};
use crate::grid::Grid;
use crate::names::{heading, is_horizon, is_magnitude, meaning, series_axis, words};
use crate::panel::{Axis, Place, Point, Series, Style, draw};
use crate::rows::Rows;
use crate::scale::{Label, Tick, linear_ticks, plain_log2_ticks};
use crate::svg::{LARGE, SMALL};
use crate::value::Value;

/// The charts of column `y` against a number, if there is one: by format, and, if `twice` and another axis has few values, also with the formats apart.
pub(crate) fn plan(
    rows: &Rows,
    grid: &Grid,
    y: usize,
    twice: bool,
    id: &dyn Fn(usize) -> String,
) -> Vec<Chart> {
    if is_horizon(&rows.columns[y].name) {
        return Vec::new();
    }
    let of = grid.dependence(rows, y, false);
    let Some(x) = x_axis(rows, &of.rows, &of.axes) else { return Vec::new() };
    let others: Vec<usize> = of.axes.iter().copied().filter(|axis| *axis != x).collect();
    let first = series_axis(rows, &of.rows, &others, 8);
    let mut out: Vec<Chart> = Vec::new();
    out.extend(chart(rows, grid, &of.rows, [x, y], first, &others, &id(0)));
    // Where one must look from panel to panel to compare, the same by another axis, with the formats apart, tells more; it comes first.
    if !twice || out.iter().all(|chart| chart.panels.len() <= 6) {
        return out;
    }
    let rest: Vec<usize> = others.iter().copied().filter(|axis| Some(*axis) != first).collect();
    let count = |axis: &usize| rows.distinct(&of.rows, *axis).len();
    let second = rest.iter().copied().filter(|axis| (3..=8).contains(&count(axis))).max_by_key(count);
    if let (Some(second), Some(first)) = (second, first) {
        let panels: usize = others.iter().filter(|axis| **axis != second).map(count).product();
        if panels <= 16 && rows.columns[first].name == "format" {
            out.extend(chart(rows, grid, &of.rows, [x, y], Some(second), &others, &id(out.len())));
            out.rotate_right(1);
        }
    }
    out
}

/// The axis with numbers along which a result goes: the index of the rows of a cell, the depth, the learning rate, or another with at least 4 values.
fn x_axis(rows: &Rows, of: &[usize], axes: &[usize]) -> Option<usize> {
    let numbers = |&axis: &usize| {
        let values = rows.distinct(of, axis);
        values.iter().all(|value| value.number().is_some_and(f64::is_finite)).then_some(values.len())
    };
    let name = |axis: &usize| rows.columns[*axis].name.as_str();
    let preferred =
        axes.iter().copied().filter(|axis| numbers(axis).is_some_and(|n| n >= 3)).min_by_key(|axis| {
            match name(axis) {
                _ if !rows.columns[*axis].parameter => 0,
                "depth" => 1,
                "learning_rate" => 2,
                _ => 9,
            }
        })?;
    let is_known =
        !rows.columns[preferred].parameter || ["depth", "learning_rate"].contains(&name(&preferred));
    (is_known || numbers(&preferred)? >= 4).then_some(preferred)
}

fn chart(
    rows: &Rows,
    grid: &Grid,
    of: &[usize],
    [x, y]: [usize; 2],
    series: Option<usize>,
    axes: &[usize],
    id: &str,
) -> Option<Chart> {
    let facet_axes: Vec<usize> = axes.iter().copied().filter(|axis| Some(*axis) != series).collect();
    let axis = y_axis(rows, of, y);
    let (x_values, log_x) = x_values(rows, of, x);
    let names: Vec<String> =
        series.map_or(Vec::new(), |series| rows.distinct(of, series).iter().map(|v| v.short(6)).collect());
    let y_name = rows.columns[y].name.as_str();
    let companions = Companions::of(rows, y, axis);
    let mut panels: Vec<(Vec<usize>, Vec<Series>)> = Vec::new();
    let mut skipped = 0;
    for facet in rows.groups(of, &facet_axes) {
        let series: Vec<Series> = rows
            .groups(&facet, &series.into_iter().collect::<Vec<_>>())
            .into_iter()
            .map(|group| line_of(rows, &group, [x, y], series, &names, axis, log_x, &companions))
            .collect();
        if series.iter().any(|series| series.points.len() >= 3) {
            panels.push((facet, series));
        } else {
            skipped += facet.len();
        }
    }
    let drawn: Vec<usize> = panels.iter().flat_map(|(facet, _)| facet.iter().copied()).collect();
    // Many panels of few points each are better seen as a heat map.
    let points = rows.distinct(&drawn, x).len();
    if panels.len() > 12 && points <= 4 {
        return None;
    }
    if panels.is_empty() || drawn.iter().all(|&row| *rows.get(row, y) == *rows.get(drawn[0], y)) {
        return None;
    }
    let is_magnitude = is_magnitude(y_name);
    let format = rows.column("format");
    let own_y =
        y_name.contains("bits") && panels.len() > 1 && facet_axes.iter().any(|axis| Some(*axis) == format);
    let all: Vec<Series> = panels.iter().flat_map(|(_, series)| series.iter().cloned()).collect();
    let shared = extent(&all, y_name);
    let left_out = panels.len().saturating_sub(MAX_PANELS);
    let heading_text = match series {
        Some(series) => {
            format!("{} by {}", heading(&words(y_name)), rows.columns[series].name.replace('_', " "))
        }
        None => heading(&words(y_name)),
    };
    let single = panels.len() == 1;
    let x_name = x_name(rows, x);
    let shown: Vec<usize> = series.into_iter().chain([x, y]).collect();
    let mut bands_seen = false;
    let drawn_panels = panels
        .iter()
        .take(MAX_PANELS)
        .enumerate()
        .map(|(n, (facet, series))| {
            let title = grid.title(rows, facet, &drawn, &shown);
            let bands = match (is_magnitude, format) {
                (true, Some(format)) => rows
                    .distinct(facet, format)
                    .iter()
                    .enumerate()
                    .filter_map(|(i, name)| {
                        Some((name.full(), colour(&name.full(), i), limits(&name.full())?))
                    })
                    .collect(),
                _ => Vec::new(),
            };
            let y_domain = if own_y { extent(series, y_name) } else { shared };
            bands_seen |= !bands.is_empty();
            // A panel whose numbers end early ends there.
            let own: Vec<f64> =
                series.iter().flat_map(|series| series.points.iter().map(|point| point.x)).collect();
            let x_values: Vec<f64> = x_values.iter().copied().filter(|x| own.contains(x)).collect();
            let x_domain = bounds(x_values.iter().copied()).unwrap_or((0.0, 1.0));
            let ticks = |count: usize| match log_x {
                true => {
                    let values: Vec<f64> = x_values.iter().map(|x| libm::exp2(*x)).collect();
                    plain_log2_ticks(x_domain, &values, count)
                }
                false => whole_ticks(x_domain, count, &x_values),
            };
            let mut name = heading_text.clone();
            for (axis, value) in &title {
                name += &format!(", {axis} {value}");
            }
            let style = Style {
                x: x_domain,
                x_ticks: &ticks,
                x_name: x_name.clone(),
                y: y_domain,
                axis,
                bands,
                title: &name,
            };
            Panel {
                small: draw(series, &style, SMALL, "small", &format!("{id}{n}")),
                large: single.then(|| draw(series, &style, LARGE, "large", &format!("{id}{n}l"))),
                title,
            }
        })
        .collect();
    let mut key: Vec<Key> = Vec::new();
    if let Some(series) = series {
        for (i, value) in rows.distinct(&drawn, series).iter().enumerate() {
            let text = value.short(6);
            key.push(Key::new(Look::Series(series_colour(rows, series, &names, &text, i)), text));
        }
    }
    key.extend(companions.key(&all));
    key.extend(signs(&all, bands_seen));
    let mut caption = meaning(&rows.columns[y]);
    if !caption.is_empty() {
        caption += ". ";
    }
    if is_magnitude {
        caption += "The limits are those of single numbers; a norm of n numbers lies above them by up to the square root of n. ";
    }
    if skipped > 0 {
        let what = plural(rows, x);
        caption += &format!("{skipped} rows with fewer than three {what} stand in the table only.");
    }
    Some(Chart {
        heading: heading_text,
        caption: caption.trim().to_owned(),
        key,
        panels: drawn_panels,
        left_out,
    })
}

/// What the key says of bands and of marks in gutters.
fn signs(all: &[Series], bands: bool) -> Vec<Key> {
    let mut key = Vec::new();
    if bands {
        key.push(Key::new(Look::Band, "subnormal numbers of the format; line: its largest number"));
    }
    let has = |wanted: Place| all.iter().flat_map(|series| &series.points).any(|point| point.y == wanted);
    for (wanted, look, what) in [
        (Place::Infinite, Look::Infinity, "infinite"),
        (Place::Zero, Look::Zero, "zero"),
        (Place::Nan, Look::Nan, "NaN"),
    ] {
        if has(wanted) {
            key.push(Key::new(look, what));
        }
    }
    key
}

fn plural(rows: &Rows, column: usize) -> String {
    let name = rows.columns[column].name.replace('_', " ");
    if name.ends_with('s') { name } else { format!("{name}s") }
}

fn x_name(rows: &Rows, x: usize) -> String {
    let column = &rows.columns[x];
    match column.name.as_str() {
        "depth" => "depth, layers".to_owned(),
        "layer" => "layer (1: input; the gradient comes from the right)".to_owned(),
        "learning_rate" => "learning rate".to_owned(),
        name if ["", "1", "name", name].contains(&column.unit.as_str()) => name.replace('_', " "),
        name => format!("{}, {}", name.replace('_', " "), column.unit),
    }
}

/// Linear ticks; where all numbers are whole, none in between.
fn whole_ticks(domain: (f64, f64), count: usize, values: &[f64]) -> Vec<Tick> {
    let mut ticks = linear_ticks(domain, count);
    if values.iter().all(|x| x.fract() == 0.0) {
        ticks.retain(|(at, _)| at.fract() == 0.0);
        // The first value is worth a tick: layer 1 rather than none before 5.
        if ticks.first().is_some_and(|(at, _)| *at > domain.0 + 1.0) {
            let label = Label::Plain(domain.0.to_string());
            ticks.insert(0, (domain.0, label));
        }
    }
    ticks
}

/// The different numbers of the x axis in order, and whether they are better shown by their log2 (then they are that).
fn x_values(rows: &Rows, of: &[usize], x: usize) -> (Vec<f64>, bool) {
    let mut values: Vec<f64> = rows.distinct(of, x).iter().filter_map(|value| value.number()).collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values[0], values[values.len() - 1]);
    let log = low > 0.0 && high / low >= 8.0 && rows.columns[x].parameter;
    if log {
        values.iter_mut().for_each(|x| *x = libm::log2(*x));
    }
    (values, log)
}

fn y_axis(rows: &Rows, of: &[usize], y: usize) -> Axis {
    let column = &rows.columns[y];
    if is_magnitude(&column.name) {
        return Axis::IsLog2;
    }
    let signs = of.iter().filter_map(|&row| rows.get(row, y).number()).any(|x| x < 0.0);
    let finite = |x: &f64| x.is_finite();
    let logs = of.iter().filter_map(|&row| rows.get(row, y).log2()).filter(finite);
    match bounds(logs) {
        Some((low, high)) if !signs && high - low > 7.0 && !column.name.contains("bits") => Axis::Log2,
        _ => Axis::Linear,
    }
}

fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |bounds, x| match bounds {
        None => Some((x, x)),
        Some((low, high)) => Some((low.min(x), high.max(x))),
    })
}

/// Where a value stands on an axis.
fn place_of(value: &Value, axis: Axis) -> Option<Place> {
    let x = match axis {
        Axis::Linear | Axis::IsLog2 => value.number()?,
        Axis::Log2 => value.log2()?,
    };
    Some(match x {
        x if x.is_nan() => Place::Nan,
        f64::INFINITY => Place::Infinite,
        f64::NEG_INFINITY => Place::Zero,
        x => Place::At(x),
    })
}

fn series_colour(rows: &Rows, series: usize, names: &[String], name: &str, index: usize) -> usize {
    let index = names.iter().position(|known| known == name).unwrap_or(index);
    if rows.columns[series].name == "format" { colour(name, index) } else { colour("", index) }
}

#[expect(
    clippy::too_many_arguments,
    reason = "called in one place; the arguments are the columns and how to read them"
)]
fn line_of(
    rows: &Rows,
    group: &[usize],
    [x, y]: [usize; 2],
    series: Option<usize>,
    names: &[String],
    axis: Axis,
    log_x: bool,
    companions: &Companions,
) -> Series {
    let x_of = |row: usize| {
        let value = rows.get(row, x);
        if log_x { value.log2() } else { value.number() }
    };
    let mut group = group.to_vec();
    group.sort_by(|&a, &b| {
        let key = |row| x_of(row).unwrap_or(0.0);
        key(a).total_cmp(&key(b)).then(a.cmp(&b))
    });
    let precision = limits(&rows.named(group[0], "format").full()).map(|limits| f64::from(limits.precision));
    let mut points = Vec::new();
    let mut dashed = vec![Vec::new(); companions.dashed.len()];
    for &row in &group {
        let (Some(x), Some(y)) = (x_of(row), place_of(rows.get(row, y), axis)) else { continue };
        let range = match y {
            Place::At(y) => companions.range_of(rows, row, y, precision),
            Place::Zero | Place::Infinite | Place::Nan => None,
        };
        points.push(Point { x, y, row, range });
        for (line, (column, _, as_bits)) in dashed.iter_mut().zip(&companions.dashed) {
            if let Some(y) = companions.number(rows.get(row, *column), *as_bits) {
                let y = if *as_bits { y.clamp(0.0, precision.unwrap_or(f64::INFINITY)) } else { y };
                line.push((x, y));
            }
        }
    }
    let label = series.map_or(String::new(), |series| rows.get(group[0], series).short(6));
    let colour = series.map_or(2, |series| series_colour(rows, series, names, &label, 0));
    Series { label, colour, points, dashed }
}

/// The interval that all numbers of y need, with some air. Bits start at zero.
fn extent(series: &[Series], name: &str) -> (f64, f64) {
    let on_axis = series.iter().flat_map(|series| {
        let points = series.points.iter().filter_map(|point| match point.y {
            Place::At(y) => Some(y),
            Place::Zero | Place::Infinite | Place::Nan => None,
        });
        let ranges = series.points.iter().filter_map(|point| point.range).flat_map(|(a, b)| [a, b]);
        points.chain(ranges).chain(series.dashed.iter().flatten().map(|(_, y)| *y))
    });
    let (low, high) = bounds(on_axis).unwrap_or((0.0, 1.0));
    if name.contains("bits") {
        return (0.0, high.max(1.0) * 1.04);
    }
    let air = ((high - low) * 0.06).max(if high > low { 0.0 } else { 0.5 });
    // A count that starts near zero starts at zero.
    if low >= 0.0 && low < 0.3 * high && !name.contains("log2") {
        return (if low - air < 0.0 { 0.0 } else { low - air }, high + air);
    }
    (low - air, high + air)
}
