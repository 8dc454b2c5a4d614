//! The report in each form: parsed by what others read it with, with hostile text in every field.

use gradchain_gate::{
    Blessing, Effect, Figure, Finding, Gate, GateReport, History, Level, Place, Run, SCHEMA, Verdict, github,
    json, junit, markdown, page, terminal,
};
use roxmltree::Document;
use serde_json::Value as Json;

const HOSTILE: &str = "</title><b a='x'>&\"|`*\u{1b}[31m\n::error::";

fn finding(group: &str, id: &str, verdict: Verdict) -> Finding {
    let same = verdict == Verdict::Same;
    Finding {
        group: group.to_owned(),
        id: id.to_owned(),
        label: "format f16, depth 3".to_owned(),
        verdict,
        message: if same { String::new() } else { format!("it is {}", verdict.name()) },
        place: Some(Place { file: "reports/s/rows.jsonl".to_owned(), line: Some(7) }),
        figures: if same {
            Vec::new()
        } else {
            vec![Figure {
                name: "drift".to_owned(),
                row: 1,
                unit: "1".to_owned(),
                base: Some("0.1234567890123".to_owned()),
                head: None,
                effect: Effect::Worse,
            }]
        },
        level: Some(Level { name: "bits_left".to_owned(), value: 3.5 }),
    }
}

fn report(findings: Vec<Finding>) -> GateReport {
    let run = Run {
        version: "0.1.0".to_owned(),
        revision: Some("0123456789ab".to_owned()),
        at: Some("2026-01-02T03:04:05Z".to_owned()),
    };
    GateReport { gate: Gate::Drift, run, findings, notes: vec!["a note".to_owned()] }
}

fn all_verdicts() -> GateReport {
    report(
        Verdict::ALL
            .iter()
            .enumerate()
            .map(|(i, v)| finding(if i % 2 == 0 { "a" } else { "b" }, v.name(), *v))
            .collect(),
    )
}

fn hostile() -> GateReport {
    let mut report = report(vec![finding(HOSTILE, HOSTILE, Verdict::Worse)]);
    let finding = &mut report.findings[0];
    finding.label = HOSTILE.to_owned();
    finding.message = HOSTILE.to_owned();
    finding.place = Some(Place { file: HOSTILE.to_owned(), line: None });
    finding.figures[0].name = HOSTILE.to_owned();
    finding.figures[0].base = Some(HOSTILE.to_owned());
    report.notes = vec![HOSTILE.to_owned()];
    report.run.revision = Some(HOSTILE.to_owned());
    report
}

/// The page without its style sheet, which is no XML.
fn parsed(page: &str, look: impl FnOnce(&Document<'_>)) {
    let body = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
    let (before, after) = body.split_once("<style>").unwrap();
    let (_, after) = after.split_once("</style>").unwrap();
    let text = format!("{before}{after}");
    look(&Document::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}")));
}

#[test]
fn the_terminal_shows_what_differs_and_counts_the_rest() {
    let mut findings = vec![
        finding("a", "one", Verdict::Same),
        finding("a", "two", Verdict::Same),
        finding("b", "three", Verdict::Same),
    ];
    assert_eq!(
        terminal(&report(findings.clone())),
        "a: 2 cells: the same\nb: 1 cell: the same\nnote: a note\ndrift gate: passed: 3 cells, all the same\n"
    );
    findings[1] = finding("a", "two", Verdict::Better);
    findings.push(finding("a", "four", Verdict::Worse));
    assert_eq!(
        terminal(&report(findings)),
        "a: 1 of 3 cells the same\n  worse        four (format f16, depth 3)\n               it is worse\n  better       two (format f16, depth 3)\n               it is better\n\
         b: 1 cell: the same\nnote: a note\ndrift gate: FAILED: 1 worse, 1 better of 4 cells\n"
    );
    let many = (0..100).map(|i| finding("a", &i.to_string(), Verdict::New)).collect();
    let text = terminal(&report(many));
    assert!(text.contains("  and 80 more\n") && text.lines().count() == 1 + 2 * 20 + 1 + 1 + 1, "{text}");
    assert_eq!(terminal(&report(Vec::new())), "note: a note\ndrift gate: INCOMPLETE: nothing was measured\n");
    assert!(!terminal(&hostile()).contains('\u{1b}') && !terminal(&hostile()).contains("\n::error"));
}

#[test]
fn junit_has_every_id_as_a_case() {
    let text = junit(&all_verdicts());
    let document = Document::parse(&text).unwrap();
    let root = document.root_element();
    let count = |name: &str| document.descendants().filter(|node| node.has_tag_name(name)).count();
    assert_eq!((count("testcase"), count("failure"), count("error"), count("testsuite")), (12, 8, 3, 2));
    assert_eq!(["tests", "failures", "errors"].map(|name| root.attribute(name).unwrap()), ["12", "8", "3"]);
    for suite in root.children().filter(|node| node.has_tag_name("testsuite")) {
        for (attribute, element) in [("tests", "testcase"), ("failures", "failure"), ("errors", "error")] {
            let found = suite.descendants().filter(|node| node.has_tag_name(element)).count();
            assert_eq!(suite.attribute(attribute).unwrap(), found.to_string());
        }
    }
    let text = junit(&hostile());
    let document = Document::parse(&text).unwrap();
    let failure = document.descendants().find(|node| node.has_tag_name("failure")).unwrap();
    assert_eq!(
        failure.attribute("message").unwrap(),
        HOSTILE.replace('\n', " ").replace('\u{1b}', "\u{fffd}")
    );
    let empty = junit(&report(Vec::new()));
    assert_eq!(Document::parse(&empty).unwrap().root_element().attribute("errors"), Some("1"));
}

#[test]
fn annotations_are_ten_of_a_kind_and_one_line_each() {
    let text = github(&all_verdicts());
    let errors = text
        .lines()
        .filter(|line| line.starts_with("::error file=reports/s/rows.jsonl,line=7,title=drift gate%3A "));
    assert_eq!((errors.count(), text.lines().filter(|line| line.starts_with("::warning ")).count()), (9, 2));
    assert!(text.starts_with("::error file=reports/s/rows.jsonl,line=7,title=drift gate%3A unusable%3A b::unusable (format f16, depth 3): it is unusable\n"));
    let many = github(&report((0..30).map(|i| finding("a", &i.to_string(), Verdict::New)).collect()));
    assert_eq!(many.lines().count(), 10);
    assert!(many.ends_with("::error title=drift gate::and 21 more; the report has all\n"));
    assert_eq!(github(&hostile()).lines().count(), 1);
    assert_eq!(github(&report(vec![finding("a", "x", Verdict::Same)])), "");
    assert_eq!(github(&report(Vec::new())).lines().count(), 1);
}

#[test]
fn markdown_is_a_table_whose_cells_are_text() {
    let text = markdown(&all_verdicts());
    assert!(
        text.starts_with("### \u{26d4} The drift gate has no verdict\n\n1 unusable, 1 over-budget, "),
        "{text}"
    );
    assert_eq!(text.lines().filter(|line| line.starts_with("| ")).count(), 2 + 11);
    assert!(
        text.contains("\nThe same: a 1.\n")
            && text.contains("<sub>gradchain 0.1.0, revision 0123456789ab, 2026-01-02T03:04:05Z</sub>")
    );
    let text = markdown(&hostile());
    let row = text.lines().find(|line| line.starts_with("| worse")).unwrap();
    // Bars that separate cells are those without a backslash: four for three cells.
    assert_eq!(row.replace("\\|", "").matches('|').count(), 4, "{row}");
    assert!(!text.contains("<b") && !text.contains('\u{1b}'));
    let many = markdown(&report((0..5000).map(|i| finding("a", &i.to_string(), Verdict::New)).collect()));
    assert!(many.len() < 65_536 && many.contains("And 4950 more."));
}

#[test]
fn pages_are_well_formed_and_load_nothing() {
    let mut history = History::default();
    for (level, verdict) in [(3.5, Verdict::Same), (3.0, Verdict::Worse), (3.25, Verdict::Worse)] {
        let mut run = all_verdicts();
        run.findings[0].level = Some(Level { name: "bits_left".to_owned(), value: level });
        run.findings[1].verdict = verdict;
        history.append(&run);
    }
    let text = page(&all_verdicts(), &history);
    parsed(&text, |document| {
        let count = |name: &str| document.descendants().filter(|node| node.tag_name().name() == name).count();
        // Eleven that differ and the one that moved, each with its sparkline; the bar of runs has no caption.
        assert_eq!((count("figure"), count("details"), count("rect")), (12, 11, 3));
        let moved = document
            .descendants()
            .find(|n| n.attribute("aria-label").is_some_and(|l| l.contains("3 to 3.5")));
        let path = moved.unwrap().children().find(|n| n.tag_name().name() == "path").unwrap();
        // 3.5, 3.0, 3.25: top, bottom, middle.
        assert_eq!(path.attribute("d"), Some("M4.0 4.0L66.0 26.0L128.0 15.0"));
    });
    assert_eq!(text, page(&all_verdicts(), &history), "the same bytes");
    for text in [&text, &page(&hostile(), &History::default())] {
        assert!(
            !text.contains("http://")
                && !text.contains("https://")
                && !text.contains("<script")
                && !text.contains("src=")
        );
        parsed(text, |document| {
            assert!(
                document
                    .descendants()
                    .all(|node| !["b", "img"].contains(&node.tag_name().name())
                        || node.attributes().len() == 0)
            );
        });
    }
}

/// Everything that is written keeps the schema, and the schema knows nothing that is not written.
#[test]
fn json_keeps_the_schema() {
    let schema: Json = serde_json::from_str(SCHEMA).unwrap();
    let check = |name: &str, text: &str| {
        let json: Json = serde_json::from_str(text).unwrap();
        breach(&schema, &schema["$defs"][name], &json)
            .map_or(Ok(()), Err)
            .unwrap_or_else(|e| panic!("{name}: {e}\n{text}"));
        json
    };
    for report in [all_verdicts(), hostile(), report(Vec::new())] {
        let written = check("report", &json(&report));
        assert_eq!(written["exit_code"], report.outcome().exit_code());
        assert_eq!(written["findings"].as_array().unwrap().len(), report.findings.len());
        check("history", &History::default().append(&report));
    }
    let hash = "0".repeat(64);
    let blessing = Blessing {
        reason: "why".to_owned(),
        run: Run::default(),
        counts: vec![(Verdict::Worse, 2)],
        before: None,
        blessed: hash.clone(),
    };
    check("blessing", &blessing.to_line());
    assert_eq!(Blessing::last(&blessing.to_line()), Ok(Some(hash)));
    let whole = json(&all_verdicts());
    for (from, to, reason) in [
        ("\"drift\"", "\"drip\"", "not in the enum"),
        ("\"exit_code\": 2", "\"exit_code\": 5", "not in the enum"),
        ("\"row\": 1", "\"row\": 0", "below 1"),
        ("\"summary\"", "\"sumary\"", "summary"),
        ("\"at\": ", "\"at\": 3, \"x\": ", "not of type"),
    ] {
        assert!(whole.contains(from), "{from}");
        let bad: Json = serde_json::from_str(&whole.replacen(from, to, 1)).unwrap();
        let told = breach(&schema, &schema["$defs"]["report"], &bad);
        assert!(told.as_ref().is_some_and(|told| told.contains(reason)), "{told:?}");
    }
}

/// Where `json` breaks `part` of a schema: the keywords of JSON Schema that ours uses, and no other.
fn breach(whole: &Json, part: &Json, json: &Json) -> Option<String> {
    let kind = |name: &str| match name {
        "object" => json.is_object(),
        "array" => json.is_array(),
        "string" => json.is_string(),
        "integer" => json.is_u64() || json.is_i64(),
        "number" => json.is_number(),
        "null" => json.is_null(),
        other => panic!("unknown type {other}"),
    };
    let is_one_of = |names: &Json| match names.as_array() {
        Some(names) => names.iter().any(|name| kind(name.as_str().unwrap())),
        None => kind(names.as_str().unwrap()),
    };
    let known = ["additionalProperties", "description", "properties"];
    part.as_object()
        .unwrap()
        .iter()
        .find_map(|(keyword, value)| match keyword.as_str() {
            "$ref" => {
                let target = whole.pointer(value.as_str().unwrap().strip_prefix('#').unwrap()).unwrap();
                breach(whole, target, json)
            }
            "type" => (!is_one_of(value)).then(|| format!("{json} is not of type {value}")),
            "const" => (json != value).then(|| format!("{json} is not {value}")),
            "enum" => {
                (!value.as_array().unwrap().contains(json)).then(|| format!("{json} is not in the enum"))
            }
            "minimum" => json
                .as_f64()
                .filter(|x| *x < value.as_f64().unwrap())
                .map(|x| format!("{x} is below {value}")),
            "minLength" => json.as_str().filter(|s| s.is_empty()).map(|_| "empty".to_owned()),
            "pattern" => {
                assert_eq!(value, "^[0-9a-f]{64}$");
                let hash = json.as_str().unwrap();
                (hash.len() != 64).then(|| format!("{hash} is no hash"))
            }
            "required" => {
                let missing = |name: &&Json| json.get(name.as_str().unwrap()).is_none();
                value.as_array().unwrap().iter().find(missing).map(|name| format!("{name} is missing"))
            }
            "items" => json.as_array()?.iter().find_map(|item| breach(whole, value, item)),
            "oneOf" => {
                let fits = value
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|option| breach(whole, option, json).is_none())
                    .count();
                (fits != 1).then(|| format!("{json} fits {fits} of the options"))
            }
            "propertyNames" => {
                json.as_object()?.keys().find_map(|name| breach(whole, value, &Json::from(name.as_str())))
            }
            known_keyword if known.contains(&known_keyword) => None,
            other => panic!("unknown keyword {other}"),
        })
        .or_else(|| {
            let empty = serde_json::Map::new();
            let properties = part.get("properties").and_then(Json::as_object).unwrap_or(&empty);
            json.as_object()?.iter().find_map(|(name, value)| {
                match (properties.get(name), part.get("additionalProperties")) {
                    (Some(property), _) => breach(whole, property, value),
                    (None, Some(Json::Bool(false))) => Some(format!("{name} is not in the schema")),
                    (None, Some(other)) => breach(whole, other, value),
                    (None, None) => None,
                }
            })
        })
}
