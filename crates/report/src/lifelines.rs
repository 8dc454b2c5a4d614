//! Lifelines: one lane for each format (or another axis), along which a gradient passes layers until something happens to it.

use crate::chart::{Chart, Key, Look, MAX_PANELS, Panel};
use crate::formats::colour;
use crate::grid::Grid;
use crate::names::{series_axis, words};
use crate::rows::Rows;
use crate::scale::{Scale, plain_log2_ticks};
use crate::svg::{Anchor, Frame, LARGE, SMALL, Shape, Size, drawing, group, line, mark, text, width_of};
use crate::value::short_number;

/// What can befall a lane, with the layer.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    subnormal: Option<f64>,
    zero: Option<f64>,
    stuck: Option<f64>,
    infinite: Option<f64>,
    nan: Option<f64>,
    direction: Option<f64>,
}

struct Lane {
    label: String,
    colour: usize,
    row: usize,
    depth: f64,
    fate: Fate,
}

const LANE: f64 = 19.0;

/// The chart of the columns `events`; none if nothing happens, or if the panels would be too many to look at.
pub(crate) fn plan(rows: &Rows, grid: &Grid, events: &[usize], id: &str) -> Option<Chart> {
    let grid = grid.deepest(rows);
    let mut axes: Vec<usize> = Vec::new();
    for &event in events {
        let more = grid.dependence(rows, event, true).axes;
        axes.extend(more.into_iter().filter(|axis| !axes.contains(axis)).collect::<Vec<_>>());
    }
    axes.sort_by_key(|axis| grid.axes.iter().position(|a| a == axis));
    let of: Vec<usize> = rows.groups(&grid.rows, &axes).into_iter().map(|group| group[0]).collect();
    let lane_axis = series_axis(rows, &of, &axes, 12)?;
    let facet_axes: Vec<usize> = axes.iter().copied().filter(|axis| *axis != lane_axis).collect();
    let depth = rows.column("depth")?;
    let is_format = rows.columns[lane_axis].name == "format";
    let names: Vec<String> = rows.distinct(&of, lane_axis).iter().map(|value| value.short(6)).collect();
    let facets: Vec<(Vec<usize>, Vec<Lane>)> = rows
        .groups(&of, &facet_axes)
        .into_iter()
        .map(|facet| {
            let lanes = facet.iter().filter_map(|&row| {
                let label = rows.get(row, lane_axis).short(6);
                let i = names.iter().position(|name| *name == label).unwrap_or(0);
                let happened = |name: &str| {
                    let column = rows.column(name).filter(|column| events.contains(column))?;
                    rows.get(row, column).number()
                };
                Some(Lane {
                    colour: if is_format { colour(&label, i) } else { colour("", i) },
                    label,
                    row,
                    depth: rows.get(row, depth).number()?,
                    fate: Fate {
                        subnormal: happened("first_subnormal"),
                        zero: happened("first_zero"),
                        stuck: happened("stuck_at"),
                        infinite: happened("first_infinite"),
                        nan: happened("first_nan"),
                        direction: happened("direction_lost"),
                    },
                })
            });
            let lanes: Vec<Lane> = lanes.collect();
            (facet, lanes)
        })
        .filter(|(_, lanes)| lanes.iter().any(|lane| lane.happens()))
        .collect();
    let lanes = || facets.iter().flat_map(|(_, lanes)| lanes);
    let ends = lanes().filter(|lane| lane.end().is_some() || lane.stuck().is_some()).count();
    let few =
        facets.is_empty() || 4 * ends < lanes().count() || facets.iter().all(|(_, lanes)| lanes.len() < 2);
    if few || facets.len() > MAX_PANELS {
        return None;
    }
    let deepest = lanes().map(|lane| lane.depth).fold(1.0, f64::max);
    let drawn: Vec<usize> = facets.iter().flat_map(|(facet, _)| facet.iter().copied()).collect();
    let single = facets.len() == 1;
    let x_name = if rows.column("association").is_some() { "products made" } else { "layers passed" };
    let panels = facets
        .iter()
        .enumerate()
        .map(|(n, (facet, lanes))| {
            let title = grid.title(rows, facet, &drawn, &[lane_axis]);
            let mut name = "What happens at which layer".to_owned();
            title.iter().for_each(|(axis, value)| name += &format!(", {axis} {value}"));
            let draw = |size: Size, class: &str, id: String| {
                let size = Size { height: 46.0 + LANE * lanes.len() as f64, ..size };
                draw(lanes, deepest, x_name, size, class, &name, &id)
            };
            Panel {
                title: title.clone(),
                small: draw(SMALL, "small", format!("{id}{n}")),
                large: single.then(|| draw(LARGE, "large", format!("{id}{n}l"))),
            }
        })
        .collect();
    let mut key = vec![Key::new(Look::Alive, "normal numbers")];
    let any = |of: &dyn Fn(&Fate) -> bool| lanes().any(|lane| of(&lane.fate));
    for (there, look, what) in [
        (any(&|fate| fate.subnormal.is_some()), Look::Subnormal, "from the first subnormal on"),
        (any(&|fate| fate.stuck.is_some()), Look::Stuck, "stuck at one value for ever"),
        (any(&|fate| fate.infinite.is_some()), Look::Infinity, "infinite"),
        (any(&|fate| fate.nan.is_some()), Look::Nan, "NaN"),
        (any(&|fate| fate.zero.is_some()), Look::Zero, "zero"),
        (any(&|fate| fate.direction.is_some()), Look::DirectionLost, "direction lost"),
    ] {
        if there {
            key.push(Key::new(look, what));
        }
    }
    let lanes_are = rows.columns[lane_axis].name.replace('_', " ");
    Some(Chart {
        heading: format!("What happens at which layer, by {lanes_are}"),
        caption: format!(
            "Each lane is a gradient on its way down, in {x_name}, as far as the deepest chain goes. A figure says at which layer it ends; an arrow, that it lasts."
        ),
        key,
        panels,
        left_out: 0,
    })
}

impl Lane {
    fn happens(&self) -> bool {
        self.end().is_some()
            || self.fate.subnormal.is_some()
            || self.fate.direction.is_some()
            || self.stuck().is_some()
    }

    /// What ends the lane.
    fn end(&self) -> Option<(f64, Shape, &'static str)> {
        let fate = &self.fate;
        let ends = [
            (fate.infinite, Shape::Infinity, "first_infinite"),
            (fate.zero, Shape::Zero, "first_zero"),
            (fate.nan, Shape::Nan, "first_nan"),
        ];
        let ends = ends.into_iter().filter_map(|(at, shape, name)| Some((at?, shape, name)));
        ends.min_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// From where on it keeps a value, if that is worth a word: the value of the start, kept from the start, may be exact.
    fn stuck(&self) -> Option<f64> {
        self.fate.stuck.filter(|at| *at > 0.0)
    }
}

fn draw(lanes: &[Lane], deepest: f64, x_name: &str, size: Size, class: &str, name: &str, id: &str) -> String {
    let left = lanes.iter().map(|lane| width_of(&lane.label)).fold(20.0, f64::max) + 16.0;
    let frame =
        Frame { left: left.min(130.0), right: size.width - 6.0, top: 6.0, bottom: size.height - 38.0 };
    let x = Scale::new((0.0, libm::log2(deepest.max(2.0))), (frame.left + 4.0, frame.right - 62.0));
    let at = |layers: f64| x.at(libm::log2(layers.max(1.0)));
    let ticks = plain_log2_ticks(x.domain(), &[10.0], if size.width > 500.0 { 12 } else { 6 });
    let mut out = String::new();
    for (tick, _) in &ticks {
        out += &line((x.at(*tick), frame.top), (x.at(*tick), frame.bottom), "grid");
    }
    out += &frame.x_axis(&x, &ticks, x_name);
    for (i, lane) in lanes.iter().enumerate() {
        let y = frame.top + LANE * (i as f64 + 0.5);
        let c = lane.colour;
        out += &text(frame.left - 6.0, y + 3.8, Anchor::End, &format!("end t{c}"), &lane.label);
        let end = lane.end();
        let last = end.map_or(lane.depth, |(at, _, _)| at);
        let mut drawn = String::new();
        let stuck = lane.stuck().filter(|at| *at < last);
        let alive = [lane.fate.subnormal, stuck].into_iter().flatten().fold(last, f64::min);
        drawn += &segment(at(1.0), at(alive), y, "alive");
        if let Some(subnormal) = lane.fate.subnormal {
            drawn += &segment(at(subnormal), at(stuck.unwrap_or(last).max(subnormal)), y, "pale");
        }
        if let Some(stuck) = stuck {
            drawn += &segment(at(stuck), at(last), y, "stuck");
        }
        if let Some(lost) = lane.fate.direction.filter(|at| *at < last) {
            let x = at(lost);
            drawn += &line((x, y - 6.0), (x, y + 6.0), "lost");
        }
        let figure = |sign: &str, layers: f64| format!("{sign} at {}", short_number(layers, 6));
        match (end, stuck) {
            (Some((layers, shape, _)), _) => {
                drawn += &mark(at(layers), y, shape, lane.row);
                drawn +=
                    &text(at(layers) + 7.0, y + 3.8, Anchor::Start, "figure", &figure(sign(shape), layers));
            }
            (None, Some(stuck)) => {
                drawn += &mark(at(stuck), y, Shape::OfColour(c), lane.row);
                // Above the thin line, so that the figure does not lie on it.
                let figure = figure("stuck", stuck);
                let x = (at(stuck) + 6.0).min(size.width - 4.0 - width_of(&figure));
                drawn += &text(x, y - 3.0, Anchor::Start, "figure", &figure);
            }
            (None, None) => drawn += &mark(at(last), y, Shape::Lasts, lane.row),
        }
        out += &group(c, &drawn);
    }
    let desc = lanes.iter().map(describe).collect::<Vec<_>>().join("; ");
    drawing(id, size, class, name, &format!("{desc}."), &out)
}

fn sign(shape: Shape) -> &'static str {
    match shape {
        Shape::Infinity => "\u{221e}",
        Shape::Zero => "0",
        Shape::Nan => "NaN",
        Shape::OfColour(_) | Shape::Lasts => "",
    }
}

fn segment(from: f64, to: f64, y: f64, class: &str) -> String {
    if to - from < 0.05 { String::new() } else { line((from, y), (to, y), class) }
}

fn describe(lane: &Lane) -> String {
    let mut said = Vec::new();
    if let Some(at) = lane.fate.subnormal {
        said.push(format!("{} at {at}", words("first_subnormal")));
    }
    if let Some(at) = lane.stuck() {
        said.push(format!("{} {at}", words("stuck_at")));
    }
    if let Some((at, _, name)) = lane.end() {
        said.push(format!("{} at {at}", words(name)));
    }
    if said.is_empty() {
        said.push(format!("lasts {} layers", lane.depth));
    }
    format!("{}: {}", lane.label, said.join(", "))
}
