//! The parts of which all charts are made, as text of SVG.
//!
//! A chart is complete without script: a `<title>`, a `<desc>`, everything drawn. Colours are classes `c0` to `c7` of the style sheet. A mark that stands
//! for a row carries the row's place in `data-r`, which the script of the page shows on hover.

use crate::scale::{Label, Scale, Tick};
use std::fmt::Write;

/// Width and height of a drawing in units of about one pixel on a phone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// One of many panels, and any panel on a phone.
pub(crate) const SMALL: Size = Size { width: 360.0, height: 260.0 };
/// A panel that has the width of the page to itself.
pub(crate) const LARGE: Size = Size { width: 920.0, height: 400.0 };

/// `text` as content of an element or of a quoted attribute, in HTML and XML. Control characters, which XML does not allow, become U+FFFD.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// [`escape`], with what stands between backticks as code.
pub(crate) fn prose(text: &str) -> String {
    let mut out = String::new();
    let parts: Vec<&str> = text.split('`').collect();
    for (i, part) in parts.iter().enumerate() {
        match i % 2 == 1 && i + 1 < parts.len() {
            true => out += &format!("<code>{}</code>", escape(part)),
            false if i % 2 == 1 => out += &format!("`{}", escape(part)),
            false => out += &escape(part),
        }
    }
    out
}

/// A coordinate with one digit after the point.
pub(crate) fn place(x: f64) -> String {
    let text = format!("{x:.1}");
    let text = text.strip_suffix(".0").map_or(text.clone(), str::to_owned);
    if text == "-0" { "0".to_owned() } else { text }
}

/// About how wide `text` is in the 11-pixel type of charts.
pub(crate) fn width_of(text: &str) -> f64 {
    6.6 * text.chars().count() as f64
}

/// A whole drawing. `id` must be unique in its page.
pub(crate) fn drawing(id: &str, size: Size, class: &str, title: &str, desc: &str, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart {class}\" viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
         <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>{body}</svg>\n",
        place(size.width),
        place(size.height),
        escape(title),
        escape(desc),
    )
}

/// Where text is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A line of text; `class` settles its colour.
pub(crate) fn text(x: f64, y: f64, anchor: Anchor, class: &str, content: &str) -> String {
    raw_text(x, y, anchor, class, &escape(content))
}

fn raw_text(x: f64, y: f64, anchor: Anchor, class: &str, content: &str) -> String {
    let anchor = match anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    format!("<text x=\"{}\" y=\"{}\"{anchor}{class}>{content}</text>", place(x), place(y))
}

/// A straight line.
pub(crate) fn line(from: (f64, f64), to: (f64, f64), class: &str) -> String {
    format!(
        "<path class=\"{class}\" d=\"M{} {}L{} {}\"/>",
        place(from.0),
        place(from.1),
        place(to.0),
        place(to.1)
    )
}

/// A line through points; nothing if there are fewer than two.
pub(crate) fn polyline(points: &[(f64, f64)], class: &str) -> String {
    if points.len() < 2 {
        return String::new();
    }
    let mut d = String::new();
    for (i, (x, y)) in points.iter().enumerate() {
        let _ = write!(d, "{}{} {}", if i == 0 { 'M' } else { 'L' }, place(*x), place(*y));
    }
    format!("<path class=\"{class}\" d=\"{d}\"/>")
}

/// A rectangle; negative heights are turned.
pub(crate) fn rectangle(from: (f64, f64), to: (f64, f64), class: &str) -> String {
    let (x, width) = (from.0.min(to.0), (to.0 - from.0).abs());
    let (y, height) = (from.1.min(to.1), (to.1 - from.1).abs());
    format!(
        "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
        place(x),
        place(y),
        place(width),
        place(height)
    )
}

/// What a mark looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One of eight shapes that go with the eight colours, for eyes that do not tell the colours apart.
    OfColour(usize),
    Infinity,
    Zero,
    Nan,
    /// It goes on.
    Lasts,
}

/// A mark; `row` is shown on hover. Its colour is that of the group in which it stands.
pub(crate) fn mark(x: f64, y: f64, shape: Shape, row: usize) -> String {
    let shape = match shape {
        Shape::OfColour(c) => format!("k{c}"),
        Shape::Infinity => "k-inf".to_owned(),
        Shape::Zero => "k-zero".to_owned(),
        Shape::Nan => "k-nan".to_owned(),
        Shape::Lasts => "k-lasts".to_owned(),
    };
    format!("<use href=\"#{shape}\" x=\"{}\" y=\"{}\" data-r=\"{row}\"/>", place(x), place(y))
}

/// Parts of a drawing in one colour.
pub(crate) fn group(colour: usize, body: &str) -> String {
    format!("<g class=\"c{colour}\">{body}</g>")
}

/// The shapes of marks, once a page.
pub(crate) const SHAPES: &str = concat!(
    "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"shapes\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>",
    "<path id=\"k0\" d=\"M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0\"/>",
    "<path id=\"k1\" d=\"M-2.8-2.8h5.6v5.6h-5.6z\"/>",
    "<path id=\"k2\" d=\"M0-3.8L3.6 2.6h-7.2z\"/>",
    "<path id=\"k3\" d=\"M0-4L4 0L0 4L-4 0z\"/>",
    "<path id=\"k4\" d=\"M0 3.8L3.6-2.6h-7.2z\"/>",
    "<path id=\"k5\" d=\"M-1.2-3.6h2.4v2.4h2.4v2.4h-2.4v2.4h-2.4v-2.4h-2.4v-2.4h2.4z\"/>",
    "<path id=\"k6\" d=\"M-3.2-1.6L0-3.8L3.2-1.6L2-0v3h-4v-3z\"/>",
    "<path id=\"k7\" d=\"M-3.6-1.4h7.2v2.8h-7.2z\"/>",
    "<path id=\"k-inf\" d=\"M0-4.2L3.8 2.6h-7.6z\"/>",
    "<path id=\"k-zero\" d=\"M-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0-7.2 0M-1.9 0a1.9 1.9 0 1 1 3.8 0a1.9 1.9 0 1 1-3.8 0\"/>",
    "<path id=\"k-nan\" d=\"M-3.7-2.6L-2.6-3.7L0-1.1L2.6-3.7L3.7-2.6L1.1 0L3.7 2.6L2.6 3.7L0 1.1L-2.6 3.7L-3.7 2.6L-1.1 0z\"/>",
    "<path id=\"k-lasts\" d=\"M-2-4.5L5 0L-2 4.5z\"/>",
    "</defs></svg>\n"
);

/// The frame of a chart with two axes: grid lines, labels of ticks, names of axes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
}

impl Frame {
    /// Grid and labels for the ticks of y.
    pub(crate) fn y_axis(&self, scale: &Scale, ticks: &[Tick]) -> String {
        let mut out = String::new();
        for (at, label) in ticks.iter().filter(|(at, _)| scale.holds(*at)) {
            let y = scale.at(*at);
            out += &line((self.left, y), (self.right, y), "grid");
            out += &tick(self.left - 6.0, y + 3.8, Anchor::End, label);
        }
        out
    }

    /// Labels for the ticks of x below the frame, and the name of the axis. Labels that would touch are left out.
    pub(crate) fn x_axis(&self, scale: &Scale, ticks: &[Tick], name: &str) -> String {
        let mut out = line((self.left, self.bottom), (self.right, self.bottom), "axis");
        let mut free = f64::NEG_INFINITY;
        for (at, label) in ticks.iter().filter(|(at, _)| scale.holds(*at)) {
            let x = scale.at(*at);
            let half = match label {
                Label::Plain(text) => width_of(text) / 2.0,
                Label::Power(..) => 13.0,
            };
            out += &line((x, self.bottom), (x, self.bottom + 4.0), "axis");
            if x - half > free {
                out += &tick(x, self.bottom + 16.0, Anchor::Middle, label);
                free = x + half + 4.0;
            }
        }
        out + &text((self.left + self.right) / 2.0, self.bottom + 31.0, Anchor::Middle, "name", name)
    }
}

fn tick(x: f64, y: f64, anchor: Anchor, label: &Label) -> String {
    match label {
        Label::Plain(content) => text(x, y, anchor, "tick", content),
        Label::Power(base, exponent) => {
            let exponent = exponent.to_string().replace('-', "\u{2212}");
            raw_text(x, y, anchor, "tick", &format!("{base}<tspan class=\"up\" dy=\"-4\">{exponent}</tspan>"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_escaped() {
        assert_eq!(
            escape("</script><b a='x' c=\"&\">\u{0}\u{1b}\n"),
            "&lt;/script&gt;&lt;b a=&#39;x&#39; c=&quot;&amp;&quot;&gt;\u{fffd}\u{fffd} "
        );
    }

    #[test]
    fn backticks_are_code() {
        assert_eq!(prose("a `b<` c"), "a <code>b&lt;</code> c");
        assert_eq!(prose("a `b"), "a `b");
    }

    #[test]
    fn coordinates_are_short() {
        assert_eq!((place(1.0), place(-0.04), place(12.345)), ("1".into(), "0".into(), "12.3".into()));
    }
}
