//! What the rows say, in a few sentences. Every figure is a value of a row; the sentences only choose which.

use crate::chart::{charted, happens, is_naming, results};
use crate::companions::Companions;
use crate::formats::limits;
use crate::grid::{Dependence, Grid, grids};
use crate::names::{heading, is_event, is_horizon, is_magnitude, series_axis, words};
use crate::panel::Axis;
use crate::rows::Rows;
use crate::study::Study;
use crate::value::Value;

/// A part of a sentence.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    Text(String),
    Strong(String),
    /// A value of a row; `power` if it is a logarithm, to be written as a power of two.
    Figure {
        value: Value,
        power: bool,
    },
}

/// A sentence.
pub(crate) type Sentence = Vec<Piece>;

/// More sentences than this are not read.
const MOST: usize = 10;

/// The answer: the first sentences are about what happens, the next about bits, then about the rest.
pub(crate) fn answer(rows: &Rows, study: &Study) -> Vec<Sentence> {
    let mut out = Vec::new();
    let grids = grids(rows, study);
    for grid in &grids {
        let mut of_grid: Vec<Sentence> = Vec::new();
        let results = results(rows, study, grid);
        let name = |c: usize| rows.columns[c].name.as_str();
        let events: Vec<usize> = results.iter().copied().filter(|&c| is_event(name(c))).collect();
        let charted = charted(rows, &results, grid);
        // What happens in few rows only is left to the charts. That subnormals appear ends nothing.
        let ends = events.iter().copied().filter(|&c| name(c) != "first_subnormal");
        let share: f64 = ends.map(|c| happens(rows, grid, c)).sum();
        let events = if share >= 0.1 { events } else { Vec::new() };
        of_grid.extend(events_by_lane(rows, grid, &events));
        for y in charted.into_iter().filter(|&y| !is_naming(rows, grid, y)) {
            match name(y) {
                "bits_left" => of_grid.extend(bits_by_format(rows, grid, y)),
                name if is_magnitude(name) && rows.index().is_some() => {
                    of_grid.extend(norms_by_index(rows, grid, y));
                }
                // The bits say more than a norm or a cosine, if they have been said.
                "log2_norm" | "cosine" if !of_grid.is_empty() => {}
                _ => of_grid.extend(extremes(rows, grid, y)),
            }
        }
        if grids.len() > 1 {
            let all: Vec<usize> = (0..rows.rows.len()).collect();
            let what = grid.title(rows, &grid.rows, &all, &[]);
            let what: Vec<String> = what.iter().map(|(name, value)| format!("{name} {value}")).collect();
            if let (Some(first), false) = (of_grid.first_mut(), what.is_empty()) {
                first.insert(0, Piece::Text(format!("With {}: ", what.join(", "))));
            }
        }
        of_grid.truncate(if grids.len() > 1 { 6 } else { MOST });
        out.extend(of_grid);
    }
    out.truncate(MOST);
    out
}

fn text(content: impl Into<String>) -> Piece {
    Piece::Text(content.into())
}

fn figure(value: &Value) -> Piece {
    Piece::Figure { value: value.clone(), power: false }
}

/// The way a computation is done, if that varies; a study that varies it asks about it.
fn method_axis(rows: &Rows, axes: &[usize]) -> Option<usize> {
    let methods = ["remedy", "path", "association", "summation"];
    let all: Vec<usize> = (0..rows.rows.len()).collect();
    let is_method = |axis: &usize| methods.contains(&rows.columns[*axis].name.as_str());
    axes.iter().copied().filter(is_method).max_by_key(|axis| rows.distinct(&all, *axis).len())
}

/// What makes a row different from the others of `of`, without the axes that the sentence names.
fn condition(rows: &Rows, grid: &Grid, row: usize, of: &Dependence, named: &[usize]) -> String {
    let part = Grid { rows: of.rows.clone(), axes: of.axes.clone() };
    let depth = rows.column("depth");
    let skip: Vec<usize> = named.iter().copied().chain(depth).collect();
    let said = part.title(rows, &[row], &grid.rows, &skip);
    let means = |(name, value): &&(String, String)| value != "none" || name == "remedy";
    said.iter().filter(means).map(named_value).collect::<Vec<_>>().join(", ")
}

/// A parameter in words: the value alone where it says what it is.
fn named_value((name, value): &(String, String)) -> String {
    let speaks = ["format", "activation", "init", "path", "summation", "association", "remedy", "widths"];
    if name == "remedy" && value == "none" {
        return "no remedy".to_owned();
    }
    if speaks.contains(&name.as_str()) { value.clone() } else { format!("{name} {value}") }
}

fn in_brackets(condition: String) -> Piece {
    text(if condition.is_empty() { String::new() } else { format!(" ({condition})") })
}

/// For each format (or way to compute): when the first of each kind of event happens.
fn events_by_lane(rows: &Rows, grid: &Grid, events: &[usize]) -> Vec<Sentence> {
    let deep = grid.deepest(rows);
    let dependences: Vec<(usize, Dependence)> =
        events.iter().map(|&event| (event, deep.dependence(rows, event, true))).collect();
    let axes: Vec<usize> = grid
        .axes
        .iter()
        .copied()
        .filter(|axis| dependences.iter().any(|(_, of)| of.axes.contains(axis)))
        .collect();
    let Some(lane) = method_axis(rows, &axes).or(series_axis(rows, &deep.rows, &axes, 12)) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for group in rows.groups(&deep.rows, &[lane]) {
        let mut sentence = vec![Piece::Strong(rows.get(group[0], lane).short(6)), text(":")];
        for (name, verb) in [
            ("first_infinite", "infinite from layer "),
            ("first_nan", "NaN from layer "),
            ("first_zero", "zero from layer "),
            ("stuck_at", "stuck from layer "),
            ("direction_lost", "direction lost at layer "),
        ] {
            let Some((event, of)) = dependences.iter().find(|(event, _)| rows.columns[*event].name == name)
            else {
                continue;
            };
            let at = |row: usize| rows.get(row, *event).number().filter(|at| *at > 0.0);
            let first = group.iter().copied().filter(|row| at(*row).is_some()).min_by(|a, b| {
                let key = |row: usize| at(row).unwrap_or(f64::INFINITY);
                key(*a).total_cmp(&key(*b))
            });
            let Some(first) = first else { continue };
            sentence.push(text(if sentence.len() == 2 { " " } else { ", " }.to_owned() + verb));
            sentence.push(figure(rows.get(first, *event)));
            sentence.push(in_brackets(condition(rows, grid, first, of, &[lane])));
        }
        if sentence.len() > 2 {
            sentence.push(text("."));
            out.push(sentence);
        }
    }
    if !out.is_empty() {
        out.insert(0, vec![text("At the earliest, over all settings:")]);
    }
    out
}

/// For each format: the bits that are left at the end, in the best and in the worst row.
fn bits_by_format(rows: &Rows, grid: &Grid, y: usize) -> Vec<Sentence> {
    let of = grid.dependence(rows, y, false);
    let Some(format) = rows.column("format") else { return extremes(rows, grid, y) };
    let (last, at) = last_rows(rows, &of);
    let mut out = Vec::new();
    for group in rows.groups(&last, &[format]) {
        let (Some(worst), Some(best)) = (extreme(rows, &group, y, false), extreme(rows, &group, y, true))
        else {
            continue;
        };
        let name = rows.get(group[0], format).short(6);
        let mut sentence = vec![Piece::Strong(name.clone()), text(" keeps ")];
        sentence.push(figure(rows.get(best, y)));
        if rows.get(best, y) != rows.get(worst, y) {
            sentence.push(in_brackets(condition(rows, grid, best, &of, &[format])));
            sentence.push(text(" to "));
            sentence.push(figure(rows.get(worst, y)));
            sentence.push(in_brackets(condition(rows, grid, worst, &of, &[format])));
        }
        let precision = limits(&name).map_or(String::new(), |limits| format!(" of its {}", limits.precision));
        sentence.push(text(format!("{precision} bits")));
        sentence.extend(at.clone());
        sentence.push(text("."));
        out.push(sentence);
    }
    out
}

/// The row with the greatest (or least) value of y that is no NaN.
fn extreme(rows: &Rows, of: &[usize], y: usize, greatest: bool) -> Option<usize> {
    let key = |row: usize| {
        let value = rows.get(row, y);
        let sign = value.number().map_or(1.0, f64::signum);
        // The logarithm orders what f64 does not hold.
        value.log2().filter(|x| !x.is_nan()).map(|x| (value.number().unwrap_or(0.0), sign * x))
    };
    let with_value = of.iter().copied().filter(|row| key(*row).is_some());
    let order = |a: &usize, b: &usize| {
        let (a, b) = (key(*a).unwrap_or_default(), key(*b).unwrap_or_default());
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
    };
    match greatest {
        // Of equal rows the first.
        true => with_value.rev().max_by(order),
        false => with_value.min_by(order),
    }
}

/// The rows at the end of the depth or of another axis of numbers along which y goes, and words for it.
fn last_rows(rows: &Rows, of: &Dependence) -> (Vec<usize>, Vec<Piece>) {
    let Some(depth) = rows.column("depth").filter(|depth| of.axes.contains(depth)) else {
        return (of.rows.clone(), Vec::new());
    };
    let Some(deepest) = extreme(rows, &of.rows, depth, true) else { return (of.rows.clone(), Vec::new()) };
    let value = rows.get(deepest, depth);
    let last = of.rows.iter().copied().filter(|&row| rows.get(row, depth) == value).collect();
    (last, vec![text(" at depth "), figure(value)])
}

/// For each network: where the norm starts at the loss and where it ends, and which formats do not follow.
fn norms_by_index(rows: &Rows, grid: &Grid, y: usize) -> Vec<Sentence> {
    let of = grid.dependence(rows, y, false);
    let Some(index) = rows.index() else { return Vec::new() };
    let format = rows.column("format");
    let reference = rows.column(&format!("{}_reference", rows.columns[y].name)).unwrap_or(y);
    let axes: Vec<usize> =
        of.axes.iter().copied().filter(|axis| *axis != index && Some(*axis) != format).collect();
    let index_name = rows.columns[index].name.replace('_', " ");
    let what = words(&rows.columns[y].name);
    let mut out = Vec::new();
    for group in rows.groups(&of.rows, &axes) {
        let (Some(bottom), Some(top)) =
            (extreme(rows, &group, index, false), extreme(rows, &group, index, true))
        else {
            continue;
        };
        let part = grid.title(rows, &group, &of.rows, &[index]);
        let part: Vec<String> = part.iter().map(named_value).collect();
        let power = |row: usize| Piece::Figure { value: rows.get(row, reference).clone(), power: true };
        let mut sentence = vec![
            Piece::Strong(part.join(", ")),
            text(if part.is_empty() {
                heading(&format!("the {what} goes from "))
            } else {
                format!(": the {what} goes from ")
            }),
            power(top),
            text(format!(" at {index_name} ")),
            figure(rows.get(top, index)),
            text(" to "),
            power(bottom),
            text(format!(" at {index_name} ")),
            figure(rows.get(bottom, index)),
        ];
        for (special, said) in
            [(f64::NEG_INFINITY, "is zero"), (f64::INFINITY, "is infinite"), (f64::NAN, "is NaN")]
        {
            let is = |row: &usize| {
                rows.get(*row, y).number().is_some_and(|x| x == special || x.is_nan() && special.is_nan())
            };
            for of_format in format.map_or(Vec::new(), |format| rows.groups(&group, &[format])) {
                let where_it_is: Vec<usize> = of_format.into_iter().filter(is).collect();
                let Some(nearest) = extreme(rows, &where_it_is, index, true) else { continue };
                let name = format.map_or(String::new(), |format| rows.get(nearest, format).short(6));
                sentence.extend([
                    text("; "),
                    Piece::Strong(name),
                    text(format!(" {said} from {index_name} ")),
                ]);
                sentence.push(figure(rows.get(nearest, index)));
                sentence.push(text(" down"));
            }
        }
        sentence.push(text("."));
        out.push(sentence);
    }
    out
}

/// The least and the greatest value for each way to compute, or each format.
fn extremes(rows: &Rows, grid: &Grid, y: usize) -> Vec<Sentence> {
    let name = rows.columns[y].name.as_str();
    let of = match is_horizon(name) {
        true => grid.event_dependence(rows, y),
        false => grid.dependence(rows, y, false),
    };
    let (last, at) = last_rows(rows, &of);
    // Names say more of what they name than numbers do.
    let is_number = |axis: &usize| rows.distinct(&of.rows, *axis).iter().all(|value| value.is_number());
    let named: Vec<usize> = of.axes.iter().copied().filter(|axis| !is_number(axis)).collect();
    let axis = method_axis(rows, &of.axes).or(series_axis(rows, &last, &named, 12));
    let Some(axis) = axis.or(series_axis(rows, &last, &of.axes, 8)) else {
        return Vec::new();
    };
    // Of an error only the worst counts.
    let is_error =
        ["ulp", "wrong", "drift", "error", "rounded", "destroyed"].iter().any(|word| name.contains(word));
    let is_log2 = is_magnitude(name);
    let value_of = |row: usize| Piece::Figure { value: rows.get(row, y).clone(), power: is_log2 };
    let mut sentence = vec![text(heading(&words(name)))];
    sentence.extend(is_error.then(|| text(", at worst")));
    sentence.extend(at);
    sentence.push(text(": "));
    let groups = rows.groups(&last, &[axis]);
    for (i, group) in groups.iter().enumerate() {
        let (Some(least), Some(most)) = (extreme(rows, group, y, false), extreme(rows, group, y, true))
        else {
            continue;
        };
        if i > 0 {
            sentence.push(text("; "));
        }
        sentence.push(Piece::Strong(rows.get(group[0], axis).short(6)));
        sentence.push(text(" "));
        if !is_error && rows.get(least, y) != rows.get(most, y) {
            sentence.push(value_of(least));
            sentence.push(text(" to "));
        }
        sentence.push(value_of(most));
        if rows.get(least, y) != rows.get(most, y) {
            sentence.push(in_brackets(condition(rows, grid, most, &of, &[axis])));
        }
    }
    sentence.push(text("."));
    let mut out = vec![sentence];
    out.extend(agreement(rows, &of, y));
    out
}

/// In how many rows a prediction lies within two standard errors of y.
fn agreement(rows: &Rows, of: &Dependence, y: usize) -> Option<Sentence> {
    let (theory, stderr) = Companions::of(rows, y, Axis::Linear).own_theory(rows)?;
    let number = |row: usize, column: usize| rows.get(row, column).number().filter(|x| x.is_finite());
    let with_both =
        of.rows.iter().filter_map(|&row| Some((number(row, y)?, number(row, theory)?, number(row, stderr)?)));
    let all: Vec<bool> = with_both.map(|(y, theory, error)| (y - theory).abs() <= 2.0 * error).collect();
    let within = all.iter().filter(|within| **within).count();
    (!all.is_empty()).then(|| {
        vec![text(format!(
            "{} lies within two standard errors of what was measured in {within} of {} rows.",
            rows.columns[theory].name,
            all.len()
        ))]
    })
}

/// A sentence in HTML: figures are `<data>` with all digits.
pub(crate) fn html(sentence: &Sentence) -> String {
    use crate::svg::escape;
    let piece = |piece: &Piece| match piece {
        Piece::Text(content) => escape(content),
        Piece::Strong(content) => format!("<b>{}</b>", escape(content)),
        Piece::Figure { value, power } => {
            let short = escape(&value.short(3));
            let shown = match (power, value.number()) {
                (true, Some(x)) if x.is_finite() => format!("2<sup>{short}</sup>"),
                (true, Some(f64::NEG_INFINITY)) => "0".to_owned(),
                _ => short,
            };
            format!("<data value=\"{}\">{shown}</data>", escape(&value.full()))
        }
    };
    sentence.iter().map(piece).collect()
}

/// A sentence in Markdown.
pub(crate) fn markdown(sentence: &Sentence) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(content) => crate::markdown::escape(content),
        Piece::Strong(content) if content.is_empty() => String::new(),
        Piece::Strong(content) => format!("**{}**", crate::markdown::escape(content)),
        Piece::Figure { value, power: true } => format!("2^{}", value.short(3)),
        Piece::Figure { value, power: false } => value.short(3),
    };
    sentence.iter().map(piece).collect()
}
