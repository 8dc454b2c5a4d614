//! Pages: well-formed, escaped, the same bytes for the same rows, and no figure that is not in the rows.

use gradchain_report::{Column, Report, Source, index, markdown, page, read};
use roxmltree::{Document, Node, ParsingOptions};
use std::collections::{BTreeMap, BTreeSet};

const STUDY: &str = include_str!("data/drift.toml");
const ROWS: &str = include_str!("data/drift.jsonl");

fn report_of(study: &str, rows: &str) -> Report {
    read(&Source { name: "test", study, rows }, &[]).unwrap()
}

/// The page as a tree: pages are written so that they are XML too, and a parser finds every tag that is not closed and every sign that is not escaped.
fn parse(page: &str) -> Document<'_> {
    let body = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
    Document::parse_with_options(body, ParsingOptions { allow_dtd: false, ..ParsingOptions::default() })
        .unwrap_or_else(|e| {
            let line = body.lines().nth(e.pos().row as usize - 1).unwrap_or_default();
            panic!("{e}: {}", &line[..line.len().min(300)])
        })
}

/// The script and the style sheet are no XML; what stands between their tags is left out.
fn without_script(page: &str) -> String {
    let mut out = String::new();
    let mut rest = page;
    for (open, close) in [("<style>\n", "</style>"), ("<script>\n", "</script>")] {
        let (before, after) = rest.split_once(open).unwrap();
        let (_, after) = after.split_once(close).unwrap();
        out += before;
        rest = after;
    }
    // Elements without content are closed for XML; `wbr` is the only one that the page leaves open.
    (out + rest).replace("<wbr>", "")
}

fn elements<'a>(document: &'a Document<'a>, name: &str) -> Vec<Node<'a, 'a>> {
    document.descendants().filter(|node| node.has_tag_name(name) || node.tag_name().name() == name).collect()
}

fn text_of(node: &Node<'_, '_>) -> String {
    node.descendants().filter_map(|n| n.text().filter(|_| n.is_text())).collect()
}

fn row(cell: &str, fields: &str) -> String {
    format!(
        "{{\"schema_version\":1,\"study\":\"test\",\"cell\":\"{cell}\",{fields},\"provenance\":{{\"version\":\"0.1.0\",\"seed\":7}}}}\n"
    )
}

const QUESTION: &str = "question = 'Well?'\nmeasure = 'chain'\n";

#[test]
fn a_page_is_well_formed_and_complete() {
    let page = page(&report_of(STUDY, ROWS), Some("rows.jsonl"));
    let bare = without_script(&page);
    let document = parse(&bare);
    let charts: Vec<Node<'_, '_>> =
        elements(&document, "svg").into_iter().filter(|svg| svg.attribute("role") == Some("img")).collect();
    assert!(charts.len() >= 6, "{}", charts.len());
    let mut ids = BTreeSet::new();
    for node in document.descendants() {
        if let Some(id) = node.attribute("id") {
            assert!(ids.insert(id), "id {id} twice");
        }
    }
    for chart in &charts {
        // Each names itself: title and description stand in it and are what it is labelled by.
        let labels: Vec<&str> = chart.attribute("aria-labelledby").unwrap().split(' ').collect();
        let named: Vec<&str> = chart
            .children()
            .filter(|node| ["title", "desc"].contains(&node.tag_name().name()))
            .filter(|node| node.text().is_some_and(|text| text.len() > 3))
            .filter_map(|node| node.attribute("id"))
            .collect();
        assert_eq!(labels, named);
        // No coordinate is lost: NaN or infinity in an attribute is a mark that nobody sees.
        for node in chart.descendants() {
            for attribute in
                node.attributes().filter(|a| ["d", "x", "y", "width", "height"].contains(&a.name()))
            {
                let value = attribute.value();
                assert!(!value.contains("NaN") && !value.contains("inf"), "{value}");
            }
        }
    }
    assert!(elements(&document, "th").iter().all(|th| th.attribute("scope") == Some("col")));
    let rows = elements(&document, "tr").len() - 1;
    assert_eq!(rows, ROWS.lines().count());
    // Every mark is that of a row.
    for mark in document.descendants().filter_map(|node| node.attribute("data-r")) {
        assert!(mark.parse::<usize>().unwrap() < rows);
    }
    // Nothing is loaded from anywhere.
    assert!(
        !page.contains("http://")
            || page.matches("http://").all(|_| page.contains("http://www.w3.org/2000/svg"))
    );
    assert_eq!(page.matches("://").count(), page.matches("http://www.w3.org/2000/svg\"").count());
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let make = || {
        let report = report_of(STUDY, ROWS);
        (page(&report, None), index(std::slice::from_ref(&report), None), markdown(&report))
    };
    assert_eq!(make(), make());
}

/// Every value of the rows as it is written with all digits.
fn values() -> BTreeSet<String> {
    let mut values = BTreeSet::new();
    for line in ROWS.lines() {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        for value in json.as_object().unwrap().values() {
            values.insert(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
    }
    values
}

#[test]
fn every_figure_of_the_answer_is_in_the_rows() {
    let page = page(&report_of(STUDY, ROWS), None);
    let bare = without_script(&page);
    let document = parse(&bare);
    let known = values();
    let figures = elements(&document, "data");
    // For each of three formats the best, the worst and the depth.
    assert!(figures.len() >= 9, "{}", figures.len());
    for figure in figures {
        let full = figure.attribute("value").unwrap();
        assert!(known.contains(full), "{full} is in no row");
        let shown = text_of(&figure);
        if let (Ok(full), Ok(shown)) = (full.parse::<f64>(), shown.parse::<f64>())
            && full.is_finite()
            && !figure.children().any(|node| node.has_tag_name("sup"))
        {
            assert!((full - shown).abs() <= full.abs() * 5.1e-3, "{full} is shown as {shown}");
        }
    }
}

#[test]
fn the_table_holds_the_rows() {
    let page = page(&report_of(STUDY, ROWS), None);
    let bare = without_script(&page);
    let document = parse(&bare);
    let heads: Vec<String> = elements(&document, "th").iter().map(text_of).collect();
    let (bits, format) = (place(&heads, "bits_left"), place(&heads, "format"));
    let rows = elements(&document, "tr");
    for (tr, line) in rows.iter().skip(1).zip(ROWS.lines()) {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        let cells: Vec<String> = tr.children().filter(Node::is_element).map(|td| text_of(&td)).collect();
        assert_eq!(cells[format], json["format"].as_str().unwrap());
        let (shown, full) = (cells[bits].parse::<f64>().unwrap(), json["bits_left"].as_f64().unwrap());
        assert!((shown - full).abs() <= 5.1e-5 * full.abs().max(1e-300), "{shown} {full}");
    }
    // The data of the script has all digits.
    let data = elements(&document, "script")
        .into_iter()
        .find(|script| script.attribute("type") == Some("application/json"))
        .and_then(|script| script.text().map(str::to_owned))
        .unwrap();
    let data: serde_json::Value = serde_json::from_str(&data).unwrap();
    let column = data["columns"].as_array().unwrap().iter().position(|name| name == "bits_left").unwrap();
    for (row, line) in data["rows"].as_array().unwrap().iter().zip(ROWS.lines()) {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(row[column].as_f64(), json["bits_left"].as_f64());
    }
}

fn place(heads: &[String], name: &str) -> usize {
    heads.iter().position(|head| head == name).unwrap_or_else(|| panic!("{name} in {heads:?}"))
}

/// Depths 1, 2, 4, 8 in one format, with these values of `log2_norm`.
fn norms(values: [&str; 4]) -> String {
    let line = |(i, value): (usize, &&str)| {
        let fields = format!("\"format\":\"f16\",\"depth\":{},\"draws\":1,\"log2_norm\":{value}", 1 << i);
        row(&format!("{i:016x}"), &fields)
    };
    values.iter().enumerate().map(line).collect()
}

#[test]
fn zero_infinity_and_nan_are_marks_of_their_own() {
    for (special, mark, gutter) in
        [("\"-inf\"", "k-zero", "0"), ("\"inf\"", "k-inf", "\u{221e}"), ("\"nan\"", "k-nan", "NaN")]
    {
        let page = page(&report_of(QUESTION, &norms(["1.0", "-3.5", "-9.0", special])), None);
        let bare = without_script(&page);
        let document = parse(&bare);
        let charts: Vec<Node<'_, '_>> = elements(&document, "svg")
            .into_iter()
            .filter(|svg| svg.attribute("role") == Some("img"))
            .collect();
        // One panel, drawn for phones and for desktops.
        assert_eq!(charts.len(), 2);
        for chart in charts {
            let uses: Vec<(&str, &str)> = chart
                .descendants()
                .filter(|node| node.tag_name().name() == "use")
                .map(|node| (node.attribute("href").unwrap(), node.attribute("data-r").unwrap()))
                .collect();
            let special: Vec<_> = uses.iter().filter(|(href, _)| *href == format!("#{mark}")).collect();
            assert_eq!(special, [&(format!("#{mark}").as_str(), "3")], "{uses:?}");
            assert_eq!(uses.len(), 4);
            let texts: Vec<String> =
                chart.descendants().filter(|n| n.tag_name().name() == "text").map(|n| text_of(&n)).collect();
            assert!(texts.iter().any(|text| text == gutter), "{texts:?}");
            // The line ends where the value leaves the axis.
            let line = chart.descendants().find(|n| n.attribute("class") == Some("line")).unwrap();
            assert_eq!(line.attribute("d").unwrap().matches('L').count(), 2);
        }
    }
}

#[test]
fn magnitudes_beyond_f64_stand_where_their_logarithm_says() {
    let line = |(i, exponent): (usize, i64)| {
        let value = format!("{{\"mantissa\":1.0,\"exp2\":{exponent}}}");
        row(&i.to_string(), &format!("\"depth\":{},\"draws\":1,\"size\":{value}", 10 * (i + 1)))
    };
    let rows: String = [-4000, -3000, -2000].into_iter().enumerate().map(line).collect();
    let page = page(&report_of(QUESTION, &rows), None);
    let bare = without_script(&page);
    let document = parse(&bare);
    let marks: Vec<f64> = document
        .descendants()
        .find(|node| node.attribute("role") == Some("img"))
        .unwrap()
        .descendants()
        .filter(|node| node.attribute("data-r").is_some())
        .map(|node| node.attribute("y").unwrap().parse().unwrap())
        .collect();
    let [a, b, c] = marks[..] else { panic!("{marks:?}") };
    assert!(a > b && ((a - b) - (b - c)).abs() < 0.3, "{marks:?}");
    // 2^-4000 = 7.58607870...e-1205.
    assert!(page.contains("<td>7.5861e-1205</td>"));
}

#[test]
fn hostile_text_stays_text() {
    let hostile = "</script><img src=x onerror=alert(1)>\\\"'&<!--\u{2028}";
    let rows = row("a\\\"><b", &format!("\"format\":\"{hostile}\",\"depth\":1,\"draws\":1,\"drift\":0.5"))
        + &row("b", "\"format\":\"f16\",\"depth\":2,\"draws\":1,\"drift\":0.25");
    let study = "question = '''<b>\"&' </title><script>x</script>'''\nmeasure = '<i>'\n";
    let columns = [Column { name: "drift".into(), meaning: "\"><script>".into(), ..Column::default() }];
    let name = "x\"><u>";
    let report = read(&Source { name, study, rows: &rows }, &columns).unwrap();
    for text in [page(&report, Some("\"><a")), index(std::slice::from_ref(&report), Some("\"><a"))] {
        let bare = without_script(&text);
        let document = parse(&bare);
        for tag in ["img", "b", "i", "u"] {
            let written_by_us = |node: &Node<'_, '_>| {
                node.ancestors().any(|a| a.has_tag_name("span") || a.attribute("class") == Some("answer"))
            };
            assert!(elements(&document, tag).iter().all(written_by_us), "<{tag}>");
        }
        // The data and the program; no third script.
        assert!(text.matches("<script").count() <= 2 && text.matches("</script").count() <= 2);
        assert!(
            !text.contains('\u{2028}')
                || !text.split("id=\"data\"").nth(1).unwrap_or("").contains('\u{2028}')
        );
    }
    let md = markdown(&report);
    assert!(!md.contains("<script") && md.lines().all(|line| !line.starts_with("</")), "{md}");
}

#[test]
fn few_rows_and_none() {
    let empty = page(&report_of(STUDY, ""), None);
    assert!(empty.contains("no rows yet") && !empty.contains("id=\"rows\""));
    parse(&without_script(&empty));
    assert!(markdown(&report_of(STUDY, "\n")).contains("No rows."));
    let one = page(&report_of(STUDY, ROWS.lines().next().unwrap()), None);
    assert!(one.contains("<h2>1 row</h2>") && !one.contains("class=\"panels"));
    parse(&without_script(&one));
    parse(&without_script(&index(&[], None)));
}

#[test]
fn columns_that_nobody_explained_have_a_chart() {
    let line = |i: u32| {
        let fields = format!(
            "\"colour\":\"c{}\",\"learning_rate\":{},\"draws\":1,\"loss<\":{}",
            i % 2,
            10f64.powi(i as i32 / 2 - 3),
            i * i
        );
        row(&i.to_string(), &fields)
    };
    let rows: String = (0..8).map(line).collect();
    let page = page(&report_of(QUESTION, &rows), None);
    assert!(page.contains("<h2>Loss&lt; by colour</h2>"), "{page}");
    assert!(page.contains("learning rate</text>"));
    parse(&without_script(&page));
}

#[test]
fn what_is_no_row_or_no_study_is_named() {
    let good = row("0", "\"depth\":1,\"draws\":1");
    for (bad, line, reason) in [
        ("{".to_owned(), 1, "no JSON"),
        (good.clone() + "[]", 2, "not a JSON object"),
        (good.clone() + "\n" + &good.replace("\"depth\":1", "\"depth\":[1]"), 3, "`depth` has the value [1]"),
        (good.replace(":1,\"study\"", ":2,\"study\""), 1, "schema_version is 2; a report reads 1"),
        (good.replace("\"seed\":7", "\"seed\":-1"), 1, "`provenance.seed`"),
        (good.replace("\"cell\":\"0\",", ""), 1, "`cell` is missing"),
    ] {
        let e = read(&Source { name: "s", study: QUESTION, rows: &bad }, &[]).unwrap_err();
        assert_eq!((e.line, e.place.as_str()), (Some(line), "s/rows.jsonl"), "{e}");
        assert!(
            e.to_string().starts_with(&format!("s/rows.jsonl: line {line}: ")) && e.message.contains(reason),
            "{e}"
        );
    }
    for (bad, reason) in [
        ("question = 1\nmeasure = 'x'", "`question`: expected a text, found integer"),
        ("measure = 'x'", "`question`: this key is missing"),
        ("question = 'x'\nmeasure = 'x'\ncolumns = [1]", "`columns`: expected names of columns"),
        ("question = 'x'\nmeasure = ", "line 2"),
    ] {
        let e = read(&Source { name: "s", study: bad, rows: "" }, &[]).unwrap_err().to_string();
        assert!(e.starts_with("s/study.toml: ") && e.contains(reason), "{e}");
    }
}

#[test]
fn permalinks_are_the_ids_of_cells() {
    let rows: String = (1..=3)
        .map(|layer| row("0a", &format!("\"depth\":3,\"draws\":1,\"layer\":{layer},\"drift\":0.{layer}")))
        .collect();
    let page = page(&report_of(QUESTION, &rows), None);
    for n in 1..=3 {
        assert!(page.contains(&format!("<tr id=\"row-0a.{n}\">")), "{page}");
    }
    // The layer tells the rows of the cell apart: it is the axis of the chart.
    assert!(page.contains("the gradient comes from the right"));
}

#[test]
fn labels_do_not_lie_on_one_another() {
    // Eight lines that end at the same place.
    let rows: String = (0..8)
        .flat_map(|s| (1..4).map(move |d| (s, d)))
        .map(|(s, d)| {
            row(
                &format!("{s}{d}"),
                &format!(
                    "\"summation\":\"s{s}\",\"depth\":{d},\"draws\":1,\"bits_left\":{}",
                    9 - 2 * d + (s % 2) * (3 - d)
                ),
            )
        })
        .collect();
    let page = page(&report_of(QUESTION, &rows), None);
    let bare = without_script(&page);
    let document = parse(&bare);
    let mut by_chart: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for text in elements(&document, "text") {
        if text.attribute("class").is_some_and(|class| class.starts_with("end")) {
            let chart = text.ancestors().find(|a| a.tag_name().name() == "svg").unwrap();
            let id = chart.attribute("aria-labelledby").unwrap().to_owned();
            by_chart.entry(id).or_default().push(text.attribute("y").unwrap().parse().unwrap());
        }
    }
    assert!(!by_chart.is_empty());
    for (id, mut at) in by_chart {
        assert_eq!(at.len(), 8, "{id}");
        at.sort_by(f64::total_cmp);
        assert!(at.windows(2).all(|w| w[1] - w[0] >= 11.8), "{at:?}");
    }
}
