//! `gradchain gate drift` and `gate bless`: faults are put in on purpose, and each ends in its exit code and one clear sentence.

mod common;

use common::{SMALL, Said, directory, gradchain, run, said, study};
use gradchain_gate::DIRECTIONS;
use gradchain_study::{COLUMNS, Kind};
use std::fs;
use std::path::{Path, PathBuf};

/// A reports directory with the study `small` and its rows, and a directory of the same rows measured elsewhere.
struct Desk {
    base: PathBuf,
    rows: String,
}

impl Desk {
    fn new(name: &str) -> Desk {
        let base = directory(&format!("gate-{name}"));
        for part in ["reports/small", "elsewhere/small"] {
            fs::create_dir_all(base.join(part)).unwrap();
        }
        let file = study(&base.join("reports/small"), "study.toml", SMALL);
        assert_eq!(run(&["run", &file, "--out", base.join("reports").to_str().unwrap()]).code, Some(0));
        let rows = fs::read_to_string(base.join("reports/small/rows.jsonl")).unwrap();
        let desk = Desk { base, rows };
        desk.write("elsewhere/small/rows.jsonl", &desk.rows);
        desk
    }

    fn path(&self, path: &str) -> String {
        self.base.join(path).to_str().unwrap().to_owned()
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.base.join(path), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.base.join(path)).unwrap()
    }

    /// The gate on the rows measured elsewhere.
    fn gate(&self, more: &[&str]) -> Said {
        let (reports, rows) = (self.path("reports"), self.path("elsewhere"));
        run(&[&["gate", "drift", "--reports", &reports, "--rows", &rows], more].concat())
    }

    fn bless(&self, more: &[&str]) -> Said {
        run(&[&["gate", "bless", "--reports", &self.path("reports")], more].concat())
    }

    /// Puts `committed` and `measured` in place, and asks for the exit code and the sentence.
    fn fault(&self, committed: &str, measured: &str, code: i32, sentence: &str) {
        self.write("reports/small/rows.jsonl", committed);
        self.write("elsewhere/small/rows.jsonl", measured);
        expect(&self.gate(&[]), code, sentence);
        self.write("reports/small/rows.jsonl", &self.rows);
        self.write("elsewhere/small/rows.jsonl", &self.rows);
    }
}

fn expect(said: &Said, code: i32, sentence: &str) {
    let all = format!("{}{}", said.stdout, said.stderr);
    assert_eq!(said.code, Some(code), "{sentence}: {all}");
    assert!(all.lines().any(|line| line.contains(sentence)), "no line says `{sentence}`: {all}");
}

/// `text` with the value of the field `name` in line `line` (from 0) replaced.
fn with(text: &str, line: usize, name: &str, value: &str) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let key = format!("\"{name}\":");
    let start = lines[line].find(&key).unwrap() + key.len();
    let end = start + lines[line][start..].find([',', '}']).unwrap();
    lines[line].replace_range(start..end, value);
    lines.concat()
}

#[test]
fn faults_in_the_measured_rows() {
    let desk = Desk::new("measured");
    let rows = desk.rows.clone();
    let lines: Vec<&str> = rows.split_inclusive('\n').collect();
    let id = lines[2].split("\"cell\":\"").nth(1).unwrap()[..16].to_owned();
    let fault = |measured: &str, code, sentence: &str| desk.fault(&rows, measured, code, sentence);
    fault(&rows, 0, "drift gate: passed: 6 cells, all the same");
    // A deleted id, a renamed id, a truncated file, a file that is gone.
    fault(&[lines[0], lines[1], &lines[3..].concat()].concat(), 3, &format!("cell {id} was not measured"));
    fault(&rows.replace(&id, "0123456789abcdef"), 2, "cell 0123456789abcdef, which is not in the study");
    fault(&rows[..rows.len() - 300], 3, "ends inside line 6");
    fault("", 3, "6 not-measured of 6 cells");
    fs::remove_file(desk.path("elsewhere/small/rows.jsonl")).unwrap();
    expect(&desk.gate(&[]), 3, "6 not-measured of 6 cells");
    fs::remove_dir_all(desk.path("elsewhere/small")).unwrap();
    expect(&desk.gate(&[]), 3, "6 not-measured of 6 cells");
    fs::create_dir(desk.path("elsewhere/small")).unwrap();
    // Zero, NaN, an infinity, another unit, the smallest step, another sign of progress.
    fault(&with(&rows, 2, "drift", "0.0"), 1, "(-100.0 %)");
    fault(&with(&rows, 2, "drift", "\"nan\""), 1, "is above theory_bound");
    fault(&with(&rows, 2, "log2_norm", "\"nan\""), 1, "to nan");
    fault(&with(&rows, 2, "log2_norm", "\"inf\""), 1, "log2_norm changed from");
    let drift: f64 = lines[2].split("\"drift\":").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    fault(&with(&rows, 2, "drift", &(drift * 100.0).to_string()), 1, "is above theory_bound");
    fault(&with(&rows, 2, "bits_left", "1238"), 1, "which rule bits-are-of-drift forbids");
    let up = f64::from_bits(drift.to_bits() + 1).to_string();
    fault(&with(&rows, 2, "drift", &up), 1, "drift rose from");
    let down = f64::from_bits(drift.to_bits() - 1).to_string();
    fault(&with(&rows, 2, "drift", &down), 1, "1 better of 6 cells");
    // Rows that stand twice, another schema, another study, a line torn in the middle.
    fault(&(rows.clone() + lines[2]), 2, "lines 3 and 7 are the same row of cell");
    fault(
        &rows.replace("\"schema_version\":1", "\"schema_version\":2"),
        2,
        "schema_version is 2; this program reads 1",
    );
    fault(
        &rows.replace("\"study\":\"small\"", "\"study\":\"large\""),
        2,
        "is a row of study large, not of small",
    );
    fault(&[&lines[0][..80], "\n", &lines[1..].concat()].concat(), 2, "line 1 is no row: no JSON");
    // Rows in the order of another machine's shards are the same rows.
    fault(&lines.iter().rev().copied().collect::<String>(), 0, "all the same");
}

#[test]
fn faults_in_the_baseline() {
    let desk = Desk::new("baseline");
    let rows = desk.rows.clone();
    let lines: Vec<&str> = rows.split_inclusive('\n').collect();
    let id = lines[2].split("\"cell\":\"").nth(1).unwrap()[..16].to_owned();
    let fault = |committed: &str, code, sentence: &str| desk.fault(committed, &rows, code, sentence);
    fault("", 1, "has no rows yet: bless them");
    fault(&[lines[0], lines[1], &lines[3..].concat()].concat(), 1, "it has no committed rows");
    fault(
        &rows.replace(&id, "0123456789abcdef"),
        1,
        "in its place, line 3, stands by column cell 0123456789abcdef",
    );
    fault(&rows[..rows.len() - 300], 1, "line 6 is no row (no JSON");
    fault(&(rows.clone() + lines[2]), 1, "its row stands twice, in lines 3 and 7");
    fault(&[lines[1], lines[0], &lines[2..].concat()].concat(), 1, "the rows stand in another order");
    fault(&rows.replace('\n', "\r\n"), 1, "equal values in other bytes");
    fault(
        &rows.replace("\"schema_version\":1", "\"schema_version\":2"),
        2,
        "no line is a row of this version",
    );
    fault(
        &rows.replace("\"study\":\"small\"", "\"study\":\"large\""),
        2,
        "these are rows of study large, not of small: the wrong baseline",
    );
    fs::remove_file(desk.path("reports/small/rows.jsonl")).unwrap();
    expect(&desk.gate(&[]), 1, "6 new of 6 cells");
    desk.write("reports/small/rows.jsonl", &rows);
    // Another plan: the study asks for other draws than the committed and measured rows have.
    desk.write("reports/small/study.toml", &SMALL.replace("[axes]", "draws = 2\n[axes]"));
    expect(&desk.gate(&[]), 2, "it was measured with another study file, seed or number of draws");
    desk.write("elsewhere/small/rows.jsonl", "");
    expect(&desk.gate(&[]), 1, "6 missing, 6 not-measured of 12 cells");
    // A cell that the study lost.
    desk.write("reports/small/study.toml", &SMALL.replace("[1, 2, 3]", "[1, 2]"));
    let kept: String = lines.iter().filter(|line| !line.contains("\"depth\":3")).copied().collect();
    desk.write("elsewhere/small/rows.jsonl", &kept);
    expect(&desk.gate(&[]), 1, "the study has no such cell any more");
    // Rows without a study.
    fs::create_dir(desk.path("reports/gone")).unwrap();
    desk.write("reports/gone/rows.jsonl", &rows);
    expect(&desk.gate(&[]), 2, "rows without a study: study.toml is gone");
}

#[test]
fn faults_of_usage() {
    let desk = Desk::new("usage");
    let reports = desk.path("reports");
    // Base and head by mistake the same files.
    expect(
        &run(&["gate", "drift", "--reports", &reports, "--rows", &reports]),
        2,
        "these are the committed rows themselves",
    );
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&reports, desk.base.join("link")).unwrap();
        let link = desk.path("link");
        expect(
            &run(&["gate", "drift", "--reports", &reports, "--rows", &link]),
            2,
            "these are the committed rows themselves",
        );
    }
    expect(&desk.gate(&["large"]), 2, "unknown study `large`; known in");
    expect(&desk.gate(&["small", "small"]), 2, "the study `small` is named twice");
    expect(
        &run(&["gate", "drift", "--reports", &reports, "--rows", &desk.path("nowhere")]),
        2,
        "nowhere: no such directory of rows",
    );
    expect(&run(&["gate", "drift", "--reports", &desk.path("nowhere")]), 2, "nowhere");
    // A measured study that the baseline does not have.
    fs::create_dir(desk.path("elsewhere/stray")).unwrap();
    desk.write("elsewhere/stray/rows.jsonl", &desk.rows);
    expect(&desk.gate(&[]), 1, "it was measured, but");
    expect(&desk.gate(&["small"]), 0, "all the same");
    fs::remove_dir_all(desk.path("elsewhere/stray")).unwrap();
    // Limits of a study: misspelt, then broken.
    let rule = "[[rule]]\nname = 'mine'\nwhy = 'because'\ncolumn = 'drift'\nat_most = 1e-9\n";
    desk.write("reports/small/budgets.toml", &rule.replace("'drift'", "'dirft'"));
    expect(&desk.gate(&[]), 2, "rule `mine` names the column `dirft`");
    desk.write("reports/small/budgets.toml", rule);
    expect(&desk.gate(&[]), 1, "which rule mine forbids: because");
}

#[test]
fn shards_are_judged_without_a_merge() {
    let desk = Desk::new("shards");
    fs::remove_file(desk.path("elsewhere/small/rows.jsonl")).unwrap();
    let file = desk.path("reports/small/study.toml");
    // The study is called as the file elsewhere, unless the file is called study.toml.
    for shard in ["1/2", "2/2"] {
        expect(&desk.gate(&[]), 3, "not-measured");
        assert_eq!(run(&["run", &file, "--shard", shard, "--out", &desk.path("elsewhere")]).code, Some(0));
    }
    expect(&desk.gate(&[]), 0, "all the same");
    assert_eq!(run(&["run", &file, "--shard", "1/3", "--out", &desk.path("elsewhere")]).code, Some(0));
    expect(&desk.gate(&[]), 2, "shards of different divisions");
}

#[test]
fn outputs_tell_what_the_gate_found() {
    let desk = Desk::new("outputs");
    let files = ["json", "markdown", "junit", "html"].map(|kind| (format!("--{kind}"), desk.path(kind)));
    let mut options: Vec<&str> =
        files.iter().flat_map(|(option, file)| [option.as_str(), file.as_str()]).collect();
    let history = desk.path("history.jsonl");
    options.extend(["--history", &history, "--github"]);
    expect(&desk.gate(&options), 0, "all the same");
    let changed = with(&desk.rows, 2, "drift", "0.4");
    desk.write("elsewhere/small/rows.jsonl", &changed);
    let said = desk.gate(&options);
    expect(&said, 1, "::error file=");
    assert!(said.stdout.contains("reports/small/rows.jsonl,line=3,title=drift gate%3A "), "{}", said.stdout);
    let json: serde_json::Value = serde_json::from_str(&desk.read("json")).unwrap();
    assert_eq!((json["outcome"].as_str(), json["exit_code"].as_u64()), (Some("failed"), Some(1)));
    assert_eq!(json["findings"].as_array().unwrap().len(), 6);
    assert!(
        json["findings"][2]["figures"]
            .as_array()
            .unwrap()
            .iter()
            .any(|f| f["name"] == "drift" && f["head"] == "0.4")
    );
    assert!(desk.read("markdown").contains("The drift gate failed"));
    assert!(desk.read("junit").contains("failures=\"1\""));
    assert!(desk.read("html").contains("1 of the last 2 runs passed"));
    let lines = desk.read("history.jsonl");
    assert_eq!(lines.lines().count(), 2);
    // An error leaves no report of an earlier run, and the history as it was.
    expect(&desk.gate(&[&options[..], &["large"]].concat()), 2, "unknown study `large`");
    let json: serde_json::Value = serde_json::from_str(&desk.read("json")).unwrap();
    assert_eq!((json["outcome"].as_str(), json["exit_code"].as_u64()), (Some("unusable"), Some(2)));
    assert!(desk.read("junit").contains("errors=\"1\"") && desk.read("html").contains("has no verdict"));
    assert_eq!(desk.read("history.jsonl"), lines);
    // Outputs that cannot be written are told before anything is judged.
    for (option, file) in &files {
        let nowhere = desk.path("nowhere/file");
        let said = desk.gate(&[option.as_str(), &nowhere]);
        expect(&said, 2, "nowhere/file");
        assert_eq!(said.stdout, "", "nothing was judged");
        let below_a_file = format!("{file}/file");
        expect(&desk.gate(&[option.as_str(), &below_a_file]), 2, &below_a_file);
    }
    expect(
        &desk.gate(&["--json", &desk.path("one"), "--html", &desk.path("one")]),
        2,
        "two outputs cannot be one file",
    );
    desk.write("history.jsonl", &lines[..lines.len() - 1]);
    expect(&desk.gate(&options), 2, "line 2: the line is torn");
    let closed = {
        let (reports, rows) = (desk.path("reports"), desk.path("elsewhere"));
        let mut command = gradchain();
        command
            .args(["gate", "drift", "--reports", &reports, "--rows", &rows])
            .stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        child.wait().unwrap().code()
    };
    assert_eq!(closed, Some(1), "a closed pipe does not hide a failed gate");
}

#[test]
fn a_recomputation_gives_the_same_verdicts_and_check_is_its_first_name() {
    let desk = Desk::new("recompute");
    let reports = desk.path("reports");
    for command in [["gate", "drift"].as_slice(), &["check"]] {
        for threads in ["1", "2", "4"] {
            let said = run(&[command, &["--reports", &reports, "--threads", threads]].concat());
            assert_eq!(
                (said.code, said.stdout.as_str()),
                (Some(0), "small: 6 cells: the same\ndrift gate: passed: 6 cells, all the same\n")
            );
        }
        let mut portable = gradchain();
        portable.env("GRADCHAIN_ISA", "portable").args(command).args(["--reports", &reports]);
        expect(&said(&mut portable), 0, "all the same");
    }
    desk.write("reports/small/rows.jsonl", &with(&desk.rows, 0, "draws", "2"));
    let [a, b] =
        [["gate", "drift"].as_slice(), &["check"]].map(|c| run(&[c, &["--reports", &reports]].concat()));
    assert_eq!((a.code, &a.stdout), (b.code, &b.stdout));
    expect(&a, 1, "draws changed from 2 to 1");
}

#[test]
fn blessings_move_the_baseline_with_a_reason() {
    let desk = Desk::new("bless");
    let old = with(&desk.rows, 2, "drift", "0.4");
    desk.write("reports/small/rows.jsonl", &old);
    for (options, sentence) in [
        (["--reason", ""].as_slice(), "the reason is empty"),
        (&["--reason", "  "], "the reason is empty"),
        (&[], "--reason"),
        (&["--reason", "why", "large"], "unknown study `large`"),
    ] {
        expect(&desk.bless(options), 2, sentence);
    }
    assert_eq!(desk.read("reports/small/rows.jsonl"), old);
    expect(&desk.bless(&["--reason", "a wider accumulator"]), 0, "small: blessed: 5 same, 1 better");
    assert_eq!(desk.read("reports/small/rows.jsonl"), desk.rows);
    let blessings = desk.read("reports/small/blessings.jsonl");
    assert!(
        blessings.lines().count() == 1 && blessings.contains("\"reason\":\"a wider accumulator\""),
        "{blessings}"
    );
    expect(&desk.gate(&[]), 0, "all the same");
    expect(&desk.bless(&["--reason", "again"]), 2, "nothing changed: there is nothing to bless");
    // Rows that became the baseline without a reason, though they are what the program measures.
    desk.write("reports/small/rows.jsonl", &old);
    desk.write("elsewhere/small/rows.jsonl", &old);
    expect(&desk.gate(&[]), 1, "is not what was last blessed");
    expect(&desk.bless(&["--reason", "back"]), 0, "blessed");
    let two = desk.read("reports/small/blessings.jsonl");
    assert!(two.starts_with(&blessings) && two.lines().count() == 2, "appended to, never rewritten");
    // A limit that no blessing can pass; the rows stay.
    desk.write("reports/small/rows.jsonl", &old);
    desk.write(
        "reports/small/budgets.toml",
        "[[rule]]\nname = 'mine'\nwhy = 'because'\ncolumn = 'drift'\nat_most = 1e-9\n",
    );
    expect(&desk.bless(&["--reason", "why"]), 1, "beyond limits that no blessing can pass; the first: cell");
    assert_eq!(
        (desk.read("reports/small/rows.jsonl"), desk.read("reports/small/blessings.jsonl")),
        (old.clone(), two.clone())
    );
    fs::remove_file(desk.path("reports/small/budgets.toml")).unwrap();
    desk.write("reports/small/blessings.jsonl", &two[..two.len() - 1]);
    expect(&desk.bless(&["--reason", "why"]), 2, "line 2: the line is torn");
    expect(&desk.gate(&[]), 2, "line 2: the line is torn");
    // A directory where the new rows would be written.
    desk.write("reports/small/blessings.jsonl", &two);
    fs::create_dir(desk.path("reports/small/rows.jsonl.new")).unwrap();
    expect(&desk.bless(&["--reason", "why"]), 2, "rows.jsonl.new");
    assert!(!Path::new(&desk.path("reports/small/rows.jsonl.new/x")).exists());
}

#[test]
fn the_schema_is_json() {
    let said = run(&["gate", "schema"]);
    let schema: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert!(said.code == Some(0) && schema["$defs"]["report"]["properties"]["findings"].is_object());
}

/// A new result column comes with a decision which way of it is better.
#[test]
fn every_result_column_has_a_direction() {
    let results = || COLUMNS.iter().filter(|column| column.kind == Kind::Result);
    for column in results() {
        assert!(DIRECTIONS.iter().any(|(name, _)| *name == column.name), "{} has no direction", column.name);
    }
    for (name, _) in DIRECTIONS {
        assert!(results().any(|column| column.name == name), "{name} is no result column");
    }
    for name in gradchain_gate::Budget::builtin().columns() {
        assert!(COLUMNS.iter().any(|column| column.name == name), "a limit names {name}, which is no column");
    }
}
