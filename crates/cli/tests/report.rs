//! `gradchain report`: rows become pages, and what is wrong with them is one message.

mod common;

use common::{SMALL, directory, run, study};
use std::fs;

#[test]
fn pages_are_written_and_linked() {
    let reports = directory("report");
    fs::create_dir(reports.join("small")).unwrap();
    let file = study(&reports.join("small"), "study.toml", SMALL);
    let reports_text = reports.to_str().unwrap();

    // A study without rows has a page that says so.
    let said = run(&["report", "--reports", reports_text]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(fs::read_to_string(reports.join("small/index.html")).unwrap().contains("no rows yet"));

    assert_eq!(run(&["run", &file, "--out", reports_text]).code, Some(0));
    let said = run(&["report", "--reports", reports_text]);
    let paths: Vec<&str> = said.stdout.lines().collect();
    let (index, small) = (reports.join("index.html"), reports.join("small/index.html"));
    assert_eq!(paths, [index.to_str().unwrap(), small.to_str().unwrap()], "{}", said.stderr);
    let page = fs::read_to_string(&small).unwrap();
    assert!(page.contains("<a href=\"rows.jsonl\" download=\"\">") && page.contains("6 rows"), "{page}");
    // The columns have the meanings that `gradchain schema` gives them.
    assert!(
        page.contains("title=\"number of layers; null where a file gives the network [layers]\""),
        "{page}"
    );
    assert!(fs::read_to_string(&index).unwrap().contains("<a href=\"small/index.html\">"));

    // Elsewhere: the same bytes, and the rows go with them.
    let out = directory("report-elsewhere");
    assert_eq!(run(&["report", "--reports", reports_text, "--out", out.to_str().unwrap()]).code, Some(0));
    for name in ["index.html", "small/index.html", "small/rows.jsonl"] {
        assert_eq!(fs::read(out.join(name)).unwrap(), fs::read(reports.join(name)).unwrap(), "{name}");
    }
    let said = run(&["report", "--reports", reports_text, "--markdown"]);
    assert!(said.code == Some(0) && said.stdout.starts_with("## small\n\nSmall?\n"), "{}", said.stdout);
}

#[test]
fn what_is_no_row_is_named() {
    let reports = directory("report-bad");
    let said = run(&["report", "--reports", reports.to_str().unwrap()]);
    assert!(said.code == Some(2) && said.stderr.contains("no study.toml"), "{}", said.stderr);
    fs::create_dir(reports.join("small")).unwrap();
    study(&reports.join("small"), "study.toml", SMALL);
    fs::write(reports.join("small/rows.jsonl"), "{\n").unwrap();
    let said = run(&["report", "--reports", reports.to_str().unwrap()]);
    assert!(
        said.code == Some(2) && said.stderr.contains("small/rows.jsonl: line 1: no JSON"),
        "{}",
        said.stderr
    );
}
