//! `gradchain check`: a changed bit is found and named.

mod common;

use common::{SMALL, Said, directory, gradchain, run, study};
use std::fs;
use std::process::Stdio;

#[test]
fn committed_rows_are_compared_bit_by_bit() {
    let reports = directory("check");
    fs::create_dir(reports.join("small")).unwrap();
    let file = study(&reports.join("small"), "study.toml", SMALL);
    let reports_text = reports.to_str().unwrap();
    let check = || run(&["check", "--reports", reports_text]);
    let said = check();
    assert!(said.code == Some(1) && said.stdout.contains("has no rows yet: bless them"), "{}", said.stdout);

    // The study is called as its directory, so that its rows land beside it.
    assert_eq!(run(&["run", &file, "--out", reports_text]).code, Some(0));
    let said = check();
    assert_eq!(
        (said.code, said.stdout.as_str()),
        (Some(0), "small: 6 cells: the same\ndrift gate: passed: 6 cells, all the same\n")
    );
    assert_eq!(run(&["check", "small", "--reports", reports_text]).code, Some(0));
    let said = run(&["check", "large", "--reports", reports_text]);
    assert!(
        said.code == Some(2) && said.stderr.contains("unknown study `large`; known in"),
        "{}",
        said.stderr
    );

    let rows = reports.join("small/rows.jsonl");
    let whole = fs::read_to_string(&rows).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let id = lines[1].split("\"cell\":\"").nth(1).unwrap()[..16].to_owned();
    let named = format!(" {id} (format f16, depth 2)");
    // The line that names the cell, and the one below it that says what differs.
    let told = |said: &Said| {
        let mut lines = said.stdout.lines().skip_while(|line| !line.contains(&named));
        assert!(said.stdout.starts_with("small: "), "{}", said.stdout);
        lines.next().and_then(|_| lines.next()).unwrap_or_else(|| panic!("{}", said.stdout)).to_owned()
    };
    let at = lines[0].len() + lines[1].find("\"depth\":2").unwrap() + 8;
    for (bit, expected) in [
        (0, "depth changed from 3 to 2"),
        (6, "line 2 is no row (no JSON"),
        (6, "differs first in column depth"),
    ] {
        let mut flipped = whole.clone().into_bytes();
        flipped[at] ^= 1 << bit;
        fs::write(&rows, flipped).unwrap();
        let said = check();
        assert_eq!(said.code, Some(1));
        assert!(told(&said).contains(expected), "{}", said.stdout);
    }
    // A flip in each part of the row, in another bit each time: the program names study, cell and column together.
    let row: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
    let columns = row.as_object().unwrap().keys();
    let starts: Vec<(usize, &String)> =
        columns.map(|name| (lines[1].find(&format!("\"{name}\":")).unwrap(), name)).collect();
    for (turn, at) in (0..lines[1].len()).step_by(7).enumerate() {
        let mut flipped = whole.clone().into_bytes();
        flipped[lines[0].len() + at] ^= 1 << (turn % 8);
        fs::write(&rows, flipped).unwrap();
        let said = check();
        let column =
            starts.iter().rev().find(|(start, _)| *start <= at).map_or("schema_version", |(_, name)| name);
        assert_eq!(said.code, Some(1), "byte {at}");
        let told = told(&said);
        let names = |word: &str| word.split('.').next() == Some(column);
        assert!(told.split([' ', ':', ',', ';']).any(names), "byte {at}, {column}: {told}");
    }
    let mut child =
        gradchain().args(["check", "--reports", reports_text]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1), "a closed pipe does not hide a failed check");

    fs::write(&rows, lines[1..].concat() + "\n").unwrap();
    let said = check();
    assert!(said.code == Some(1) && said.stdout.contains("it has no committed rows"), "{}", said.stdout);
}
