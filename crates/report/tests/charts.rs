//! Which chart which rows have, and that what it draws is what the rows say.

use gradchain_report::{Column, Report, Source, page, read};

fn report_of(study: &str, rows: &str) -> Report {
    let columns = [Column { name: "max_ulp".into(), unit: "ulps".into(), ..Column::default() }];
    read(&Source { name: "test", study, rows }, &columns).unwrap()
}

/// The drawings of a page whose title starts so.
fn drawings<'a>(page: &'a str, title: &str) -> Vec<&'a str> {
    let all = page.split("<svg ").skip(1).map(|svg| svg.split("</svg>").next().unwrap());
    all.filter(|svg| svg.split_once("-t\">").is_some_and(|(_, rest)| rest.starts_with(title))).collect()
}

/// The number in the attribute after the first `start`.
fn number(text: &str, start: &str) -> f64 {
    let rest = text.split_once(start).unwrap_or_else(|| panic!("{start} in {text}")).1;
    rest.split('"').next().unwrap().parse().unwrap()
}

fn line(cell: usize, fields: &str) -> String {
    format!(
        "{{\"schema_version\":1,\"cell\":\"{cell}\",{fields},\"provenance\":{{\"version\":\"0\",\"seed\":1}}}}\n"
    )
}

#[test]
fn events_are_drawn_where_the_rows_have_them() {
    let rows = include_str!("data/scalar.jsonl");
    let page = page(&report_of(include_str!("data/scalar.toml"), rows), None);
    // Gain 1.5: 1.5^28 = 85222 is the first power beyond 65504.
    let [lanes] = drawings(&page, "What happens at which layer, gain 1.5")[..] else { panic!("{page}") };
    for figure in ["\u{221e} at 28", "\u{221e} at 220", "NaN at 16"] {
        assert!(lanes.contains(&format!(">{figure}</text>")), "{figure} in {lanes}");
    }
    // On an axis of logarithms the marks stand as log2 of the layers do.
    let mark = |format: &str| {
        let of = |line: &str| {
            line.contains(&format!("\"format\":\"{format}\"")) && line.contains("\"gain\":\"1.5\"")
        };
        let row = rows.lines().position(of).unwrap();
        let mark = lanes.split("<use ").find(|mark| mark.contains(&format!("data-r=\"{row}\""))).unwrap();
        number(mark, "x=\"")
    };
    let (f16, bf16, e4m3) = (mark("f16"), mark("bf16"), mark("e4m3"));
    let (log28, log220, log16) = (4.807_354_922, 7.781_359_714, 4.0);
    let ratio = (log220 - log28) / (log28 - log16);
    assert!(((bf16 - f16) / (f16 - e4m3) - ratio).abs() < 0.03, "{f16} {bf16} {e4m3}");

    // Gain 0.8 sticks: a line at the value that stays, 2^-23 for f16, from layer 71 on.
    let [stuck] = drawings(&page, "Magnitude of the gradient, gain 0.8")[..] else { panic!("{page}") };
    assert!(
        stuck.contains("f16 sticks at 2^-23 from layer 71") && stuck.contains(">f16 71</text>"),
        "{stuck}"
    );
    // Gain 0.25 reaches zero: a mark in the gutter of zero for every format.
    let [zero] = drawings(&page, "Magnitude of the gradient, gain 0.25")[..] else { panic!("{page}") };
    assert_eq!(zero.matches("#k-zero").count(), 3);
    assert!(page.contains("zero from layer <data value=\"13\">13</data>"), "{page}");
    // What befalls one format alone is said too.
    assert!(page.contains("NaN from layer <data value=\"16\">16</data>"), "{page}");
}

#[test]
fn two_lists_of_names_are_a_heat_map() {
    let rows = include_str!("data/derivative.jsonl");
    let page = page(&report_of(include_str!("data/derivative.toml"), rows), None);
    let maps = drawings(&page, "Largest error in ulps");
    let cells: usize = maps.iter().map(|map| map.matches("<rect ").count()).sum();
    assert_eq!(cells, rows.lines().count());
    let mut levels: Vec<(f64, String)> = Vec::new();
    for (i, line) in rows.lines().enumerate() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let (before, after) = maps
            .iter()
            .find_map(|map| map.split_once(&format!("data-r=\"{i}\"")))
            .unwrap_or_else(|| panic!("{line}"));
        let class = before.rsplit("<rect class=\"").next().unwrap()[..2].to_owned();
        let shown = after.split('>').nth(2).unwrap().split('<').next().unwrap();
        match row["max_ulp"].as_f64() {
            None => assert_eq!((shown, class.as_str()), ("inf", "hx"), "{line}"),
            Some(full) => {
                let shown: f64 = shown.parse().unwrap();
                assert!((shown - full).abs() <= 5.1e-3 * full, "{shown} {full}");
                levels.push((full, class));
            }
        }
    }
    // A larger error is never lighter, and the levels differ.
    levels.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(levels.windows(2).all(|w| w[0].1 <= w[1].1), "{levels:?}");
    assert!(levels[0].1 == "h1" && levels[levels.len() - 1].1 == "h6", "{levels:?}");
}

#[test]
fn a_prediction_is_dashed_and_an_error_is_a_band() {
    let row = |(i, width): (usize, u32)| {
        let rate = -1.0 - 1.0 / f64::from(width);
        // The last prediction is off by ten standard errors.
        let theory = if width == 64 { rate + 0.1 } else { rate + 0.015 };
        let results = format!("\"rate_log2\":{rate},\"stderr\":0.01,\"theory_rate\":{theory}");
        line(i, &format!("\"width\":{width},\"draws\":9,{results}"))
    };
    let rows: String = [8, 16, 32, 64].into_iter().enumerate().map(row).collect();
    let page = page(&report_of("question = 'q'\nmeasure = 'growth'\n", &rows), None);
    let drawn = drawings(&page, "Growth per layer, log2");
    assert_eq!(drawn.len(), 2);
    assert!(drawn.iter().all(|svg| svg.contains("class=\"theory ") && svg.contains("class=\"range\"")));
    assert!(
        page.contains("theory_rate lies within two standard errors of what was measured in 3 of 4 rows."),
        "{page}"
    );
}

#[test]
fn names_are_colours_of_a_heat_map() {
    let row = |i: usize| {
        let outcome = ["stalls", "converges", "diverges"][i % 3];
        let (format, rate) = (16 * (1 + i / 3), i % 3 + 1);
        line(
            i,
            &format!(
                "\"format\":\"f{format}\",\"learning_rate\":{rate},\"draws\":1,\"outcome\":\"{outcome}\""
            ),
        )
    };
    let rows: String = (0..6)
        .map(row)
        .chain([line(6, "\"format\":\"f32\",\"learning_rate\":4,\"draws\":1,\"outcome\":\"stalls\"")])
        .collect();
    // The second format stalls once more, so that the outcome depends on both.
    let page = page(&report_of("question = 'q'\nmeasure = 'training'\n", &rows), None);
    assert!(page.contains("</svg>converges</li>"), "{page}");
    let cells: usize =
        drawings(&page, "Outcome").iter().map(|map| map.matches("<rect class=\"q c").count()).sum();
    assert!(cells >= 4, "{page}");
}
