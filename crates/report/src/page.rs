//! The page of a study.

use crate::Report;
use crate::answer;
use crate::chart::{Chart, Key, Look, Panel, charts};
use crate::svg::{SHAPES, escape, prose};
use crate::table;
use crate::value::Value;

/// The style sheet and the script of all pages. The script's comments say what each part does.
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The page of a study in HTML, complete in itself. `rows` is where the file of rows lies, as seen from the page, if it lies anywhere.
pub fn page(report: &Report, rows_link: Option<&str>) -> String {
    let (rows, study) = (&report.rows, &report.study);
    let mut main = format!(
        "<header class=\"lead\"><p class=\"kind\">Study</p><h1>{}</h1><p class=\"question\">{}</p></header>\n",
        escape(&report.name),
        prose(&study.question)
    );
    if rows.rows.is_empty() {
        main += "<p class=\"answer\">There are no rows yet.</p>\n";
    } else {
        main += &answer_html(&report.answer);
        let charts = charts(rows, study, "c-");
        main += &contents(&charts);
        charts.iter().enumerate().for_each(|(n, chart)| main += &section(n, chart));
        let layout = table::layout(rows, study);
        main += &rows_section(report, &layout, rows_link);
        main += &format!(
            "<script type=\"application/json\" id=\"data\">{}</script>\n",
            table::data(rows, &layout)
        );
    }
    main += &provenance(report);
    document(&format!("{} \u{2013} gradchain", report.name), "../index.html", &main)
}

/// A whole document around `main`.
pub(crate) fn document(title: &str, home: &str, main: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         {SHAPES}<nav class=\"bar\"><a href=\"{}\">gradchain</a><button type=\"button\" id=\"theme\" hidden=\"\" aria-label=\"switch between light and dark\">\
         \u{25d0}</button></nav>\n<main>\n{main}</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        escape(title),
        escape(home)
    )
}

pub(crate) fn answer_html(sentences: &[answer::Sentence]) -> String {
    match sentences {
        [] => String::new(),
        [one] => format!("<p class=\"answer\">{}</p>\n", answer::html(one)),
        many => {
            let items: String = many.iter().map(|s| format!("<li>{}</li>", answer::html(s))).collect();
            format!("<ul class=\"answer\">{items}</ul>\n")
        }
    }
}

/// Links to the charts, where there are several.
fn contents(charts: &[Chart]) -> String {
    if charts.len() < 2 {
        return String::new();
    }
    let link = |(n, chart): (usize, &Chart)| format!("<a href=\"#chart-{n}\">{}</a>", escape(&chart.heading));
    let links: String = charts.iter().enumerate().map(link).collect();
    format!("<nav class=\"contents\" aria-label=\"Charts\">{links}<a href=\"#table\">Rows</a></nav>\n")
}

fn section(n: usize, chart: &Chart) -> String {
    let mut out = format!("<section id=\"chart-{n}\"><h2>{}</h2>\n", escape(&chart.heading));
    if !chart.caption.is_empty() {
        out += &format!("<p class=\"caption\">{}</p>\n", prose(&chart.caption));
    }
    out += &key(&chart.key);
    let single = if chart.panels.len() == 1 { " one" } else { "" };
    out += &format!("<div class=\"panels{single}\">\n");
    chart.panels.iter().for_each(|panel| out += &figure(panel));
    out += "</div>\n";
    if chart.left_out > 0 {
        out += &format!("<p class=\"caption\">{} more panels are left to the table.</p>\n", chart.left_out);
    }
    out + "</section>\n"
}

pub(crate) fn figure(panel: &Panel) -> String {
    let title: Vec<String> = panel
        .title
        .iter()
        .map(|(name, value)| format!("<span><i>{}</i> {}</span>", escape(name), escape(value)))
        .collect();
    let title = if title.is_empty() {
        String::new()
    } else {
        format!("<figcaption>{}</figcaption>", title.join(" "))
    };
    let large = panel.large.as_deref().unwrap_or_default();
    let class = if large.is_empty() { "" } else { " class=\"both\"" };
    format!("<figure{class}>{title}{}{large}</figure>\n", panel.small)
}

fn key(entries: &[Key]) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let picture = |look: Look| {
        let (class, drawing) = match look {
            Look::Series(c) => {
                ("", format!("<path class=\"line c{c}\" d=\"M1 7H27\"/><use href=\"#k{c}\" x=\"14\" y=\"7\" class=\"c{c}\"/>"))
            }
            Look::Dashed => ("", "<path class=\"theory c0\" d=\"M1 7H27\"/>".to_owned()),
            Look::Band => (
                "",
                "<rect class=\"band c1\" x=\"1\" y=\"6\" width=\"26\" height=\"8\"/><path class=\"limit c1\" d=\"M1 2H27\"/>".to_owned(),
            ),
            Look::Range => ("", "<rect class=\"range c2\" x=\"1\" y=\"2\" width=\"26\" height=\"10\"/>".to_owned()),
            Look::Infinity => ("", "<use href=\"#k-inf\" x=\"14\" y=\"7\" class=\"c0\"/>".to_owned()),
            Look::Zero => ("", "<use href=\"#k-zero\" x=\"14\" y=\"7\" class=\"c0\"/>".to_owned()),
            Look::Nan => ("", "<use href=\"#k-nan\" x=\"14\" y=\"7\" class=\"c0\"/>".to_owned()),
            Look::Heat(level) => {
                (" heat", format!("<rect class=\"h{level}\" x=\"1\" y=\"0\" width=\"26\" height=\"14\" rx=\"2\"/>"))
            }
            Look::HeatSpecial => (" heat", "<rect class=\"hx\" x=\"1\" y=\"0\" width=\"26\" height=\"14\" rx=\"2\"/>".to_owned()),
            Look::Name(c) => (
                " heat",
                format!("<rect class=\"q c{c}\" x=\"1\" y=\"0\" width=\"26\" height=\"14\" rx=\"2\"/>"),
            ),
            Look::Alive => ("", "<path class=\"alive c0\" d=\"M1 7H27\"/>".to_owned()),
            Look::Subnormal => ("", "<path class=\"pale c0\" d=\"M1 7H27\"/>".to_owned()),
            Look::Stuck => ("", "<path class=\"stuck c0\" d=\"M1 7H27\"/>".to_owned()),
            Look::DirectionLost => ("", "<path class=\"lost c0\" d=\"M14 1V13\"/>".to_owned()),
        };
        format!(
            "<svg class=\"chart swatch{class}\" viewBox=\"0 0 28 14\" aria-hidden=\"true\">{drawing}</svg>"
        )
    };
    let entry = |key: &Key| format!("<li>{}{}</li>", picture(key.look), escape(&key.text));
    format!("<ul class=\"key\">{}</ul>\n", entries.iter().map(entry).collect::<String>())
}

fn rows_section(report: &Report, layout: &table::Layout, rows_link: Option<&str>) -> String {
    let count = report.rows.rows.len();
    let mut out =
        format!("<section id=\"table\"><h2>{count} {}</h2>\n", if count == 1 { "row" } else { "rows" });
    if !layout.constant.is_empty() {
        let all: Vec<String> = layout
            .constant
            .iter()
            .map(|(name, value)| format!("<span><i>{}</i> {}</span>", escape(name), escape(value)))
            .collect();
        out += &format!("<p class=\"constant\">In all rows: {}</p>\n", all.join(" "));
    }
    out +=
        "<p class=\"caption\">Point at a heading for its meaning. Five digits are shown; the files have all.";
    if layout.shown < count {
        out += &format!(" The first {} rows are shown.", layout.shown);
    }
    out += "</p>\n<div class=\"tools\"><label class=\"scripted\" hidden=\"\">Filter <input id=\"filter\" type=\"search\" placeholder=\"f16 wide\" autocomplete=\"off\"/></label>\
            <span id=\"count\" class=\"scripted\" hidden=\"\" aria-live=\"polite\"></span>\
            <button type=\"button\" id=\"csv\" class=\"scripted\" hidden=\"\">CSV of these rows</button>";
    if let Some(link) = rows_link {
        out += &format!("<a href=\"{}\" download=\"\">rows.jsonl</a>", escape(link));
    }
    out += "</div>\n";
    out += &table::html(&report.rows, layout);
    out + "</section>\n"
}

fn provenance(report: &Report) -> String {
    let join = |list: Vec<String>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    let seeds: Vec<String> = report.rows.seeds.iter().map(u64::to_string).collect();
    let all: Vec<usize> = (0..report.rows.rows.len()).collect();
    let draws = report.rows.column("draws").map_or(Vec::new(), |c| report.rows.distinct(&all, c));
    let draws: Vec<String> = draws.into_iter().map(Value::full).collect();
    let name = escape(&report.name);
    format!(
        "<section id=\"provenance\"><h2>Where this comes from</h2><dl>\
         <dt>rows</dt><dd><code>cargo gradchain run {name} --out reports</code></dd>\
         <dt>page</dt><dd><code>cargo gradchain report</code></dd>\
         <dt>measure</dt><dd>{}</dd><dt>gradchain</dt><dd>{}</dd><dt>seed</dt><dd>{}</dd><dt>draws</dt><dd>{}</dd></dl>\
         <p class=\"caption\">The same command gives the same rows on every machine, bit by bit; <code>cargo gradchain check {name}</code> demands it.</p></section>\n",
        escape(&report.study.measure),
        escape(&join(report.rows.versions.clone())),
        escape(&join(seeds)),
        escape(&join(draws)),
    )
}
