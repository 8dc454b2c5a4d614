//! `gradchain check`: a changed bit is found and named.

mod common;

use common::{SMALL, directory, gradchain, run, study};
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
    let at = lines[0].len() + lines[1].find("\"depth\":2").unwrap() + 8;
    for (bit, expected) in
        [(0, "column depth: committed 3, recomputed 2"), (6, "differs first in column depth")]
    {
        let mut flipped = whole.clone().into_bytes();
        flipped[at] ^= 1 << bit;
        fs::write(&rows, flipped).unwrap();
        let said = check();
        assert_eq!(said.code, Some(1));
        let named = format!("cell {id} (format f16, depth 2)");
        let told = said
            .stdout
            .lines()
            .find(|line| line.contains(&named))
            .unwrap_or_else(|| panic!("{}", said.stdout));
        assert!(told.contains("small: ") && told.contains(expected), "{told}");
        assert!(bit == 0 || told.contains("line 2: no JSON"), "{told}");
    }
    // A flip in each part of the row, in another bit each time: the program names study, cell and column together.
    for (turn, at) in (0..lines[1].len()).step_by(7).enumerate() {
        let mut flipped = whole.clone().into_bytes();
        flipped[lines[0].len() + at] ^= 1 << (turn % 8);
        fs::write(&rows, flipped).unwrap();
        let said = check();
        let named = |line: &str| {
            line.starts_with("  small: ") && line.contains(&format!("cell {id} ")) && line.contains("column ")
        };
        assert!(said.code == Some(1) && said.stdout.lines().any(named), "byte {at}: {}", said.stdout);
    }
    let mut child =
        gradchain().args(["check", "--reports", reports_text]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1), "a closed pipe does not hide a failed check");

    fs::write(&rows, lines[1..].concat() + "\n").unwrap();
    let said = check();
    assert!(
        said.code == Some(1)
            && said.stdout.contains("(format f16, depth 1): missing from the committed rows"),
        "{}",
        said.stdout
    );
}
