//! A panel of lines: what it draws of its points, and where the names of the lines stand.

use crate::formats::Limits;
use crate::scale::{Scale, Tick, linear_ticks, log2_ticks, spread};
use crate::svg::{
    Anchor, Frame, Shape, Size, drawing, group, line, mark, place, polyline, rectangle, text, width_of,
};

/// How the values of a column become places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    /// As they are.
    Linear,
    /// They are logarithms: ticks are powers of two.
    IsLog2,
    /// Their log2 is taken.
    Log2,
}

/// Where a value stands: on the axis, or in a gutter of its own, never clipped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    At(f64),
    Zero,
    Infinite,
    Nan,
}

#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: Place,
    pub(crate) row: usize,
    pub(crate) range: Option<(f64, f64)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) label: String,
    pub(crate) colour: usize,
    pub(crate) points: Vec<Point>,
    /// Predictions and references, to be dashed.
    pub(crate) dashed: Vec<Vec<(f64, f64)>>,
}

/// What all panels of a chart share.
pub(crate) struct Style<'a> {
    pub(crate) x: (f64, f64),
    pub(crate) x_ticks: &'a dyn Fn(usize) -> Vec<Tick>,
    pub(crate) x_name: String,
    pub(crate) y: (f64, f64),
    pub(crate) axis: Axis,
    pub(crate) bands: Vec<(String, usize, Limits)>,
    pub(crate) title: &'a str,
}

/// Height of a row of marks in a gutter.
const GUTTER: f64 = 8.0;

/// The panel as a drawing. `id` must be unique in its page.
pub(crate) fn draw(series: &[Series], style: &Style<'_>, size: Size, class: &str, id: &str) -> String {
    let colours = |wanted: Place| -> Vec<usize> {
        let has = |series: &&Series| series.points.iter().any(|point| point.y == wanted);
        series.iter().filter(has).map(|series| series.colour).collect()
    };
    let (infinite, zero, nan) = (colours(Place::Infinite), colours(Place::Zero), colours(Place::Nan));
    let height =
        |rows: &[usize]| if rows.is_empty() { 0.0 } else { (rows.len() as f64 * GUTTER).max(14.0) + 4.0 };
    let labels_fit = series.len() <= 8 && series.iter().any(|series| !series.label.is_empty());
    let longest = series.iter().map(|series| width_of(&series.label)).fold(0.0, f64::max);
    let right = if labels_fit { (longest + 14.0).min(122.0) } else { 12.0 };
    let frame = Frame { left: 42.0, right: size.width - right, top: 10.0, bottom: size.height - 38.0 };
    let nan_at = frame.top;
    let infinite_at = nan_at + height(&nan);
    let top = infinite_at + height(&infinite) + 2.0;
    let zero_at = frame.bottom - height(&zero);
    let y = Scale::new(style.y, (zero_at - 4.0, top));
    let x = Scale::new(style.x, (frame.left + 8.0, frame.right - 8.0));
    let (x_count, y_count) = if size.width > 500.0 { (10, 7) } else { (6, 5) };
    let mut out = String::new();
    for (at, rows, name) in
        [(nan_at, &nan, "NaN"), (infinite_at, &infinite, "\u{221e}"), (zero_at, &zero, "0")]
    {
        if !rows.is_empty() {
            out += &rectangle((frame.left, at), (frame.right, at + height(rows) - 3.0), "gutter");
            out += &text(frame.left - 6.0, at + height(rows) / 2.0 + 2.5, Anchor::End, "tick", name);
        }
    }
    if style.axis == Axis::IsLog2 {
        out += &bands(&style.bands, &frame, &y);
    }
    let ticks = match style.axis {
        Axis::Linear => linear_ticks(y.domain(), y_count),
        Axis::IsLog2 | Axis::Log2 => log2_ticks(y.domain(), y_count),
    };
    out += &frame.y_axis(&y, &ticks);
    out += &frame.x_axis(&x, &(style.x_ticks)(x_count), &style.x_name);
    let mut dashed: Vec<Vec<(f64, f64)>> = Vec::new();
    for series in series {
        for line in &series.dashed {
            let line: Vec<(f64, f64)> = line.iter().map(|(a, b)| (x.at(*a), y.at(*b))).collect();
            // References that differ by the rounding of their inputs lie on one another: one of them is enough.
            let same = |other: &Vec<(f64, f64)>| {
                other.len() == line.len() && other.iter().zip(&line).all(|(a, b)| (a.1 - b.1).abs() < 1.2)
            };
            if !line.is_empty() && !dashed.iter().any(same) {
                out += &polyline(&line, &format!("theory c{}", series.colour));
                dashed.push(line);
            }
        }
    }
    let gutters = [
        (Place::Nan, nan_at, &nan),
        (Place::Infinite, infinite_at, &infinite),
        (Place::Zero, zero_at, &zero),
    ];
    // The first is on top: the narrowest format, as a rule, and the one to look at.
    for series in series.iter().rev() {
        out += &draw_series(series, &x, &y, &gutters);
    }
    if labels_fit {
        out += &end_labels(series, &frame, &x, &y, &gutters);
    }
    let desc = describe(series, style);
    drawing(id, size, class, style.title, &desc, &out)
}

/// The place of a point in a panel.
fn at(
    point: &Point,
    colour: usize,
    x: &Scale,
    y: &Scale,
    gutters: &[(Place, f64, &Vec<usize>)],
) -> (f64, f64) {
    let y = match point.y {
        Place::At(value) => y.at(value),
        special @ (Place::Zero | Place::Infinite | Place::Nan) => {
            gutters.iter().find(|(place, _, _)| *place == special).map_or(0.0, |(_, top, colours)| {
                let lane = colours.iter().position(|c| *c == colour).unwrap_or(0);
                let height = (colours.len() as f64 * GUTTER).max(14.0);
                top + height * (lane as f64 + 0.5) / colours.len() as f64
            })
        }
    };
    (x.at(point.x), y)
}

fn draw_series(series: &Series, x: &Scale, y: &Scale, gutters: &[(Place, f64, &Vec<usize>)]) -> String {
    let c = series.colour;
    let mut out = String::new();
    let ranges: Vec<(f64, (f64, f64))> =
        series.points.iter().filter_map(|point| Some((x.at(point.x), point.range?))).collect();
    if ranges.len() > 1 && ranges.iter().any(|(_, (low, high))| high > low) {
        let upper = ranges.iter().map(|(x, (_, high))| format!("{} {}", place(*x), place(y.at(*high))));
        let lower = ranges.iter().rev().map(|(x, (low, _))| format!("{} {}", place(*x), place(y.at(*low))));
        let d = upper.chain(lower).collect::<Vec<_>>().join("L");
        out += &format!("<path class=\"range\" d=\"M{d}z\"/>");
    }
    let on_axis = |point: &&Point| matches!(point.y, Place::At(_));
    // A line breaks where its value leaves the axis.
    for run in series.points.chunk_by(|a, b| matches!((a.y, b.y), (Place::At(_), Place::At(_)))) {
        let run: Vec<(f64, f64)> =
            run.iter().filter(on_axis).map(|point| at(point, c, x, y, gutters)).collect();
        out += &polyline(&run, "line");
    }
    for point in &series.points {
        let (px, py) = at(point, c, x, y, gutters);
        let shape = match point.y {
            Place::At(_) => Shape::OfColour(c),
            Place::Zero => Shape::Zero,
            Place::Infinite => Shape::Infinity,
            Place::Nan => Shape::Nan,
        };
        out += &mark(px, py, shape, point.row);
    }
    group(c, &out)
}

/// The names of the lines at their ends, moved apart.
fn end_labels(
    series: &[Series],
    frame: &Frame,
    x: &Scale,
    y: &Scale,
    gutters: &[(Place, f64, &Vec<usize>)],
) -> String {
    let ends: Vec<(&Series, (f64, f64))> = series
        .iter()
        .filter_map(|series| Some((series, at(series.points.last()?, series.colour, x, y, gutters))))
        .collect();
    let wanted: Vec<f64> = ends.iter().map(|(_, (_, y))| *y).collect();
    let places = spread(&wanted, 12.0, (frame.top + 2.0, frame.bottom - 2.0));
    let mut out = String::new();
    for ((series, (px, py)), label_y) in ends.iter().zip(places) {
        if (label_y - py).abs() > 4.0 || frame.right - px > 14.0 {
            out +=
                &line((px + 4.0, *py), (frame.right + 2.0, label_y), &format!("leader c{}", series.colour));
        }
        let room = ((122.0 - 8.0) / 6.6) as usize;
        let label: String = match series.label.chars().count() > room {
            true => series.label.chars().take(room - 1).chain(['\u{2026}']).collect(),
            false => series.label.clone(),
        };
        out += &text(
            frame.right + 4.0,
            label_y + 3.8,
            Anchor::Start,
            &format!("end t{}", series.colour),
            &label,
        );
    }
    out
}

/// The subnormal numbers of each format as a band, its largest number as a line, where they are in sight.
fn bands(formats: &[(String, usize, Limits)], frame: &Frame, y: &Scale) -> String {
    let (low, high) = y.domain();
    let mut out = String::new();
    let mut labels: Vec<(f64, usize, String)> = Vec::new();
    for (name, colour, limits) in formats {
        let (bottom, top) = (f64::from(limits.subnormal).max(low), f64::from(limits.normal).min(high));
        if bottom < top {
            out +=
                &rectangle((frame.left, y.at(bottom)), (frame.right, y.at(top)), &format!("band c{colour}"));
            labels.push((y.at(top) + 10.0, *colour, format!("{name} subnormal")));
        }
        let overflow = f64::from(limits.overflow);
        if y.holds(overflow) {
            let at = y.at(overflow);
            out += &line((frame.left, at), (frame.right, at), &format!("limit c{colour}"));
            labels.push((at - 4.0, *colour, format!("{name} overflows")));
        }
    }
    let wanted: Vec<f64> = labels.iter().map(|(at, _, _)| *at).collect();
    let places = spread(&wanted, 11.0, (frame.top + 8.0, frame.bottom - 3.0));
    for ((_, colour, label), at) in labels.iter().zip(places) {
        out += &text(frame.left + 5.0, at, Anchor::Start, &format!("note t{colour}"), label);
    }
    out
}

/// The chart in a sentence for each line.
fn describe(series: &[Series], style: &Style<'_>) -> String {
    let ends = series.iter().filter_map(|series| {
        let (first, last) = (series.points.first()?, series.points.last()?);
        let say = |point: &Point| match (point.y, style.axis) {
            (Place::At(y), Axis::Linear) => crate::value::short_number(y, 3),
            (Place::At(y), Axis::IsLog2 | Axis::Log2) => format!("2^{}", crate::value::short_number(y, 3)),
            (Place::Zero, _) => "zero".to_owned(),
            (Place::Infinite, _) => "infinity".to_owned(),
            (Place::Nan, _) => "NaN".to_owned(),
        };
        let name = if series.label.is_empty() { "the line" } else { &series.label };
        Some(format!("{name} goes from {} to {}", say(first), say(last)))
    });
    format!("Against {}: {}.", style.x_name, ends.collect::<Vec<_>>().join("; "))
}
