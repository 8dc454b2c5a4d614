//! Trajectories: the magnitude of a chain of width 1 with a constant gain, layer by layer, and where each format leaves it.
//!
//! The gradient after n layers is gain^n, so that its log2 is a straight line from the upstream gradient of 1 to the reference of the deepest chain. A format
//! follows it, up to its own rounding, until an event; the events are in the rows.

use crate::chart::{Chart, Key, Look, MAX_PANELS, Panel};
use crate::formats::{Limits, colour, limits};
use crate::grid::Grid;
use crate::rows::Rows;
use crate::scale::{Scale, linear_ticks, log2_ticks, spread};
use crate::svg::{
    Anchor, Frame, LARGE, SMALL, Shape, Size, drawing, group, line, mark, rectangle, text, width_of,
};
use crate::value::{Value, short_number};

/// Where a format leaves the exact value.
struct Exit {
    name: String,
    colour: usize,
    row: usize,
    layers: f64,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Infinite,
    Nan,
    Zero,
    /// Keeps a value: its log2.
    Stuck(f64),
}

/// The chart, if the rows are of such chains.
pub(crate) fn plan(rows: &Rows, grid: &Grid, id: &str) -> Option<Chart> {
    let column = |name: &str| rows.column(name);
    let (gain, format, depth) = (column("gain")?, column("format")?, column("depth")?);
    let reference = column("log2_norm_reference")?;
    let fits = |&row: &usize| {
        rows.named(row, "width").number() == Some(1.0)
            && *rows.named(row, "upstream") == Value::Text("ones".to_owned())
            && *rows.named(row, "activation") == Value::Text("identity".to_owned())
            && *rows.named(row, "remedy") == Value::Text("none".to_owned())
            // A list of gains has no straight line.
            && !rows.get(row, gain).full().contains(':')
    };
    let mut part = grid.deepest(rows);
    part.rows.retain(fits);
    // Of the other axes one value is enough: the first that the study names.
    let others: Vec<usize> =
        part.axes.iter().copied().filter(|axis| ![gain, format, depth].contains(axis)).collect();
    for axis in &others {
        let first = rows.get(*part.rows.first()?, *axis).clone();
        part.rows.retain(|&row| *rows.get(row, *axis) == first);
    }
    let drawn = part.rows.clone();
    let names: Vec<String> = rows.distinct(&drawn, format).iter().map(|value| value.full()).collect();
    let mut panels = Vec::new();
    for facet in rows.groups(&drawn, &[gain]) {
        let slope = facet.iter().find_map(|&row| {
            let end = rows.get(row, reference).number().filter(|x| x.is_finite())?;
            Some(end / rows.get(row, depth).number().filter(|d| *d > 0.0)?)
        });
        let exits: Vec<Exit> = facet.iter().filter_map(|&row| exit(rows, row, format, &names)).collect();
        let Some(slope) = slope.filter(|_| !exits.is_empty()) else { continue };
        // As far as the wide formats go would squeeze the narrow ones: up to the last exit of a format with fewer than 64 bits.
        let narrow = exits.iter().filter(|exit| exit.name != "f64").map(|exit| exit.layers);
        let depths = facet.iter().filter_map(|&row| rows.get(row, depth).number());
        let end = (narrow.fold(4.0, f64::max) * 1.25).min(depths.fold(1.0, f64::max));
        let title = grid.title(rows, &facet, &drawn, &[format]);
        let formats: Vec<(String, usize, Limits)> = names
            .iter()
            .enumerate()
            .filter_map(|(i, name)| Some((name.clone(), colour(name, i), limits(name)?)))
            .collect();
        panels.push((title, slope, end, exits, formats));
    }
    if panels.is_empty() {
        return None;
    }
    let single = panels.len() == 1;
    let left_out = panels.len().saturating_sub(MAX_PANELS);
    let kinds: Vec<Kind> =
        panels.iter().flat_map(|(.., exits, _)| exits.iter().map(|exit| exit.kind)).collect();
    let seen = |name: &str| {
        panels.iter().any(|(_, _, end, exits, _)| exits.iter().any(|e| e.name == name && e.layers <= *end))
    };
    let mut key: Vec<Key> = names
        .iter()
        .enumerate()
        .filter(|(_, name)| seen(name))
        .map(|(i, name)| Key::new(Look::Series(colour(name, i)), name.clone()))
        .collect();
    key.push(Key::new(Look::Dashed, "exact value"));
    key.push(Key::new(Look::Band, "subnormal numbers of the format; line: its largest number"));
    for (kind, look, what) in [
        (Kind::Infinite, Look::Infinity, "infinite"),
        (Kind::Zero, Look::Zero, "zero"),
        (Kind::Nan, Look::Nan, "NaN"),
    ] {
        if kinds.contains(&kind) {
            key.push(Key::new(look, what));
        }
    }
    let drawn_panels: Vec<Panel> = panels
        .into_iter()
        .take(MAX_PANELS)
        .enumerate()
        .map(|(n, (title, slope, end, exits, formats))| {
            let gain = title.iter().find(|(name, _)| name == "gain").map_or("", |(_, value)| value.as_str());
            let name = format!("Magnitude of the gradient, gain {gain}");
            let draw = |size, class, id: String| draw(slope, end, &exits, &formats, size, class, &name, &id);
            let large = single.then(|| draw(LARGE, "large", format!("{id}{n}l")));
            Panel { small: draw(SMALL, "small", format!("{id}{n}")), large, title: title.clone() }
        })
        .collect();
    let rest: Vec<String> = others
        .iter()
        .map(|axis| format!("{} {}", rows.columns[*axis].name, rows.get(drawn[0], *axis).short(6)))
        .collect();
    let rest = if rest.is_empty() { String::new() } else { format!(" Drawn for {}.", rest.join(", ")) };
    Some(Chart {
        heading: "Magnitude against depth".to_owned(),
        caption: format!(
            "The exact gradient is gain to the power of the layers passed: a straight line in log2. Each format follows it until it overflows, reaches zero or \
             sticks at a value that it never leaves; figures say from which layer on.{rest}"
        ),
        key,
        panels: drawn_panels,
        left_out,
    })
}

fn exit(rows: &Rows, row: usize, format: usize, names: &[String]) -> Option<Exit> {
    let name = rows.get(row, format).full();
    let number = |name: &str| rows.named(row, name).number();
    let stuck = || {
        let at = number("stuck_at").filter(|at| *at > 0.0)?;
        let value = rows.named(row, "stuck_value").log2().filter(|x| x.is_finite())?;
        Some((at, Kind::Stuck(value)))
    };
    let ends = [
        number("first_infinite").map(|at| (at, Kind::Infinite)),
        number("first_nan").map(|at| (at, Kind::Nan)),
        number("first_zero").map(|at| (at, Kind::Zero)),
        stuck(),
    ];
    let (layers, kind) = ends.into_iter().flatten().min_by(|a, b| a.0.total_cmp(&b.0))?;
    let index = names.iter().position(|known| *known == name).unwrap_or(0);
    Some(Exit { colour: colour(&name, index), name, row, layers, kind })
}

#[expect(clippy::too_many_arguments, reason = "one call; what a panel shows, and where it goes")]
fn draw(
    slope: f64,
    end: f64,
    exits: &[Exit],
    formats: &[(String, usize, Limits)],
    size: Size,
    class: &str,
    name: &str,
    id: &str,
) -> String {
    let in_sight = |exit: &&Exit| exit.layers <= end;
    let is_stuck = |exit: &&Exit| matches!(exit.kind, Kind::Stuck(_));
    let stuck: Vec<&Exit> = exits.iter().filter(in_sight).filter(is_stuck).collect();
    let label = |exit: &Exit| format!("{} {}", exit.name, short_number(exit.layers, 6));
    let longest = stuck.iter().map(|exit| width_of(&label(exit)) + 12.0).fold(12.0, f64::max);
    let (left, right) = (42.0, size.width - longest);
    let x = Scale::new((0.0, end), (left + 4.0, right - 4.0));
    let up = Gutter::new(
        exits.iter().filter(in_sight).filter(|e| matches!(e.kind, Kind::Infinite | Kind::Nan)),
        &x,
        right,
    );
    let down = Gutter::new(exits.iter().filter(in_sight).filter(|e| e.kind == Kind::Zero), &x, right);
    let frame = Frame { left, right, top: 10.0, bottom: size.height - 38.0 };
    let (top, bottom) = (frame.top + up.height(), frame.bottom - down.height());
    let values = stuck.iter().filter_map(|exit| match exit.kind {
        Kind::Stuck(value) => Some(value),
        Kind::Infinite | Kind::Nan | Kind::Zero => None,
    });
    let (low, high) =
        values.chain([slope * end]).fold((0.0f64, 0.0f64), |(low, high), y| (low.min(y), high.max(y)));
    let air = (high - low) * 0.06;
    let y = Scale::new((low - air, high + air), (bottom, top));
    let wide = size.width > 500.0;
    let mut out = String::new();
    let special = match up.exits.iter().any(|(exit, _)| exit.kind == Kind::Infinite) {
        true => "\u{221e}",
        false => "NaN",
    };
    out += &up.background(&frame, frame.top, special);
    out += &down.background(&frame, bottom + 4.0, "0");
    let (drawn, notes) = bands(formats, &frame, &y, &x, slope);
    out += &drawn;
    out += &frame.y_axis(&y, &log2_ticks(y.domain(), if wide { 8 } else { 5 }));
    out += &frame.x_axis(&x, &linear_ticks((0.0, end), if wide { 10 } else { 5 }), "layers passed");
    out += &line((x.at(0.0), y.at(0.0)), (x.at(end), y.at(slope * end)), "theory c0");
    let (low, high) = y.domain();
    for (gutter, from) in [(&up, frame.top), (&down, bottom + 4.0)] {
        for (exit, lane) in &gutter.exits {
            let (px, py) = (x.at(exit.layers), from + 8.0 + LINE * *lane as f64);
            let on_line = y.at((slope * exit.layers).clamp(low, high));
            let shape = match exit.kind {
                Kind::Infinite => Shape::Infinity,
                Kind::Nan => Shape::Nan,
                Kind::Zero => Shape::Zero,
                Kind::Stuck(_) => Shape::OfColour(exit.colour),
            };
            let (anchor, at) = match gutter.is_left(&x, right, exit) {
                false => (Anchor::Start, px + 6.0),
                true => (Anchor::End, px - 6.0),
            };
            let words = text(at, py + 3.6, anchor, &format!("note t{}", exit.colour), &label(exit));
            let leader = line((px, on_line), (px, py), "leader");
            out += &group(exit.colour, &(leader + &mark(px, py, shape, exit.row) + &words));
        }
    }
    let value = |exit: &&Exit| match exit.kind {
        Kind::Stuck(value) => y.at(value),
        Kind::Infinite | Kind::Nan | Kind::Zero => 0.0,
    };
    let wanted: Vec<f64> = stuck.iter().map(value).collect();
    for (exit, at) in stuck.iter().zip(spread(&wanted, 11.5, (frame.top + 4.0, frame.bottom - 3.0))) {
        let (px, py) = (x.at(exit.layers), value(exit));
        let mut drawn =
            line((px, py), (frame.right, py), "line") + &mark(px, py, Shape::OfColour(exit.colour), exit.row);
        if (at - py).abs() > 4.0 {
            drawn += &line((frame.right, py), (frame.right + 5.0, at), "leader");
        }
        out += &group(exit.colour, &drawn);
        out += &text(
            frame.right + 6.0,
            at + 3.6,
            Anchor::Start,
            &format!("note t{}", exit.colour),
            &label(exit),
        );
    }
    out += &notes;
    let said = exits.iter().map(|exit| {
        let what = match exit.kind {
            Kind::Infinite => "is infinite from".to_owned(),
            Kind::Nan => "is NaN from".to_owned(),
            Kind::Zero => "is zero from".to_owned(),
            Kind::Stuck(value) => format!("sticks at 2^{} from", short_number(value, 4)),
        };
        format!("{} {what} layer {}", exit.name, exit.layers)
    });
    let desc = format!("{}.", said.collect::<Vec<_>>().join("; "));
    drawing(id, size, class, name, &desc, &out)
}

/// Height of a line of labels in a gutter.
const LINE: f64 = 12.0;

/// Exits that leave the axis, each on a line of its own where labels would touch.
struct Gutter<'a> {
    exits: Vec<(&'a Exit, usize)>,
    lines: usize,
}

impl<'a> Gutter<'a> {
    fn new(exits: impl Iterator<Item = &'a Exit>, x: &Scale, right: f64) -> Gutter<'a> {
        let mut sorted: Vec<&Exit> = exits.collect();
        sorted.sort_by(|a, b| a.layers.total_cmp(&b.layers));
        let mut gutter = Gutter { exits: Vec::new(), lines: 0 };
        // Where the labels of each line end; from the bottom line up, so that a leader passes no label.
        let mut ends: Vec<f64> = Vec::new();
        for exit in sorted {
            let at = x.at(exit.layers);
            let width = width_of(&exit.name) + width_of(&short_number(exit.layers, 6)) + 8.0;
            let (from, to) = if gutter.is_left(x, right, exit) {
                (at - 6.0 - width, at + 6.0)
            } else {
                (at - 6.0, at + width)
            };
            let line = ends.iter().position(|end| *end < from).unwrap_or(ends.len());
            if line == ends.len() {
                ends.push(to);
            } else {
                ends[line] = to;
            }
            gutter.exits.push((exit, line));
        }
        gutter.lines = ends.len();
        gutter
    }

    /// Whether the label of an exit has no room to the right of its mark.
    fn is_left(&self, x: &Scale, right: f64, exit: &Exit) -> bool {
        let width = width_of(&exit.name) + width_of(&short_number(exit.layers, 6)) + 8.0;
        x.at(exit.layers) + width > right
    }

    fn height(&self) -> f64 {
        if self.lines == 0 { 0.0 } else { LINE * self.lines as f64 + 8.0 }
    }

    fn background(&self, frame: &Frame, from: f64, label: &str) -> String {
        if self.lines == 0 {
            return String::new();
        }
        let to = from + self.height() - 4.0;
        rectangle((frame.left, from), (frame.right, to), "gutter")
            + &text(frame.left - 6.0, (from + to) / 2.0 + 4.0, Anchor::End, "tick", label)
    }
}

/// The subnormal numbers of each format as a band where the gradient shrinks, its largest number as a line where it grows; formats with the same
/// limits share them. Their labels come apart, to be drawn over all else: on the side where the exact line does not cross them.
fn bands(
    formats: &[(String, usize, Limits)],
    frame: &Frame,
    y: &Scale,
    x: &Scale,
    slope: f64,
) -> (String, String) {
    let (low, high) = y.domain();
    let mut out = String::new();
    let mut labels: Vec<(f64, bool, usize, String)> = Vec::new();
    let mut seen: Vec<i32> = Vec::new();
    let crossed_late = |at: f64| at / slope > 0.5 * x.domain().1;
    for (name, c, limits) in formats {
        let (from, to) = (f64::from(limits.subnormal).max(low), f64::from(limits.normal).min(high));
        if from < to && slope < 0.0 {
            out += &rectangle((frame.left, y.at(from)), (frame.right, y.at(to)), &format!("band c{c}"));
            if y.at(from) - y.at(to) > 13.0 {
                let middle = (from + to) / 2.0;
                labels.push((y.at(middle) + 3.6, crossed_late(middle), *c, format!("{name} subnormal")));
            }
        }
        let overflow = f64::from(limits.overflow);
        if slope > 0.0 && y.holds(overflow) && !seen.contains(&limits.overflow) {
            seen.push(limits.overflow);
            let at = y.at(overflow);
            out += &line((frame.left, at), (frame.right, at), &format!("limit c{c}"));
            let same = formats.iter().filter(|(_, _, other)| other.overflow == limits.overflow);
            let names = same.map(|(name, ..)| name.as_str()).collect::<Vec<_>>().join(", ");
            labels.push((at - 3.0, crossed_late(overflow), *c, format!("{names} overflow")));
        }
    }
    let mut notes = String::new();
    for on_left in [true, false] {
        let side: Vec<_> = labels.iter().filter(|label| label.1 == on_left).collect();
        let wanted: Vec<f64> = side.iter().map(|label| label.0).collect();
        let (at, anchor) = match on_left {
            true => (frame.left + 4.0, Anchor::Start),
            false => (frame.right - 3.0, Anchor::End),
        };
        for ((_, _, c, label), y) in
            side.into_iter().zip(spread(&wanted, 10.5, (frame.top + 9.0, frame.bottom - 3.0)))
        {
            notes += &text(at, y, anchor, &format!("note t{c}"), label);
        }
    }
    (out, notes)
}
