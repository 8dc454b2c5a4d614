//! Rows: the same bytes for any number of threads, in shards, and after an interruption.

mod common;

use common::{SMALL, directory, gradchain, run, said, study};
use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Many cells that cost next to nothing each, so that a run can be interrupted.
const MANY: &str =
    "question = 'Many?'\nmeasure = 'chain'\n[axes]\nweight_scale = '1..60000:+1'\nwidth = 1\ndepth = 1\n";

#[test]
fn the_rows_do_not_depend_on_threads_or_instructions() {
    let file = study(&directory("threads"), "small.toml", SMALL);
    let rows = |threads: &str| run(&["run", &file, "--format", "jsonl", "--threads", threads]).stdout;
    let one = rows("1");
    assert_eq!(one.lines().count(), 6);
    assert_eq!((rows("2"), rows("7")), (one.clone(), one.clone()));
    for isa in
        run(&["info"]).stdout.split("available ").nth(1).unwrap().split(';').next().unwrap().split(", ")
    {
        let said = said(gradchain().args(["run", &file, "--format", "jsonl"]).env("GRADCHAIN_ISA", isa));
        assert_eq!(said.stdout, one, "{isa}");
    }
    let timed = run(&["run", &file, "--format", "jsonl", "--timing"]).stdout;
    assert!(timed.lines().all(|line| line.contains(r#","timing":{"seconds":"#)));
}

/// Rectangular chains in every order, with stochastic rounding, whose random bits go by products and not by threads.
#[test]
fn associations_do_not_depend_on_threads_or_instructions() {
    let text = "question = 'Order?'\nmeasure = 'association'\ndraws = 2\n[axes]\nrounding = ['nearest', 'stochastic']\n\
                association = ['vector-first', 'matrix-first', 'balanced', 'optimal']\nwidths = ['alternating:9,2', 'bottleneck:9,2']\n\
                format = 'bf16'\nbatch = 3\ndepth = 7\n";
    let file = study(&directory("orders"), "orders.toml", text);
    let rows = |threads: &str| run(&["run", &file, "--format", "jsonl", "--threads", threads]).stdout;
    let one = rows("1");
    assert_eq!(one.lines().count(), 16);
    assert_eq!((rows("2"), rows("7")), (one.clone(), one.clone()));
    let portable =
        said(gradchain().args(["run", &file, "--format", "jsonl"]).env("GRADCHAIN_ISA", "portable")).stdout;
    assert_eq!(portable, one);
    assert!(one.lines().all(|line| line.contains(r#","multiply_adds":"#)));
}

#[test]
fn every_format_prints_every_row() {
    let file = study(&directory("formats"), "small.toml", SMALL);
    for (format, lines) in [("jsonl", 6), ("csv", 7), ("md", 12)] {
        let said = run(&["run", &file, "--format", format]);
        assert_eq!((said.code, said.stdout.lines().count()), (Some(0), lines), "{}", said.stdout);
    }
    let table = run(&["run", &file]).stdout;
    assert!(table.starts_with("small: Small?\nin all rows: "), "{table}");
    assert!(table.contains("width 2") && table.contains(" f16 ") && !table.contains("first_nan"), "{table}");
    let csv = run(&["run", &file, "--format", "csv"]).stdout;
    assert!(csv.starts_with("study,cell,format,") && csv.ends_with("\r\n"));
}

#[test]
fn draws_seed_and_axes_can_be_set() {
    let file = study(&directory("set"), "small.toml", SMALL);
    let said = run(&[
        "run",
        &file,
        "--set",
        "depth=4",
        "--set",
        "format=f16,custom:5,-14,15",
        "--draws",
        "2",
        "--seed",
        "9",
        "--format",
        "jsonl",
    ]);
    assert_eq!(said.stdout.lines().count(), 2);
    assert!(said.stdout.contains(r#""format":"custom:5,-14,15""#));
    assert!(said.stdout.lines().all(|line| line.contains(r#""draws":2"#) && line.contains(r#""seed":9"#)));
}

#[test]
fn shards_divide_the_rows() {
    let directory = directory("shards");
    let file = study(&directory, "small.toml", SMALL);
    let out = directory.join("out");
    let whole = run(&["run", &file, "--format", "jsonl"]).stdout;
    let mut found: Vec<String> = Vec::new();
    for shard in ["1/4", "2/4", "3/4", "4/4"] {
        let said = run(&["run", &file, "--shard", shard, "--out", out.to_str().unwrap()]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(0), ""), "{}", said.stderr);
        let name = format!("small/rows-{}.jsonl", shard.replace('/', "-of-"));
        found.extend(fs::read_to_string(out.join(name)).unwrap().lines().map(str::to_owned));
    }
    let mut expected: Vec<&str> = whole.lines().collect();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn resume_completes_what_is_torn_or_has_gaps() {
    let directory = directory("resume");
    let file = study(&directory, "small.toml", SMALL);
    let out = directory.join("out").to_str().unwrap().to_owned();
    let rows = directory.join("out/small/rows.jsonl");
    assert_eq!(run(&["run", &file, "--out", &out]).code, Some(0));
    let whole = fs::read_to_string(&rows).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let torn = &whole[..whole.len() / 2];
    let gaps = [lines[4], lines[1]].concat();
    for left in [torn, &gaps, "", &whole, &whole[..whole.len() - 1]] {
        fs::write(&rows, left).unwrap();
        let said = run(&["run", &file, "--out", &out, "--resume", "--format", "jsonl"]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        assert_eq!(fs::read_to_string(&rows).unwrap(), whole);
        assert_eq!(said.stdout, whole);
    }
    fs::write(&rows, lines[0].replace("\"study\"", "study")).unwrap();
    let said = run(&["run", &file, "--out", &out, "--resume"]);
    assert!(said.code == Some(2) && said.stderr.contains("rows.jsonl: line 1: no JSON"), "{}", said.stderr);
    fs::write(&rows, &whole).unwrap();
    let said = run(&["run", &file, "--out", &out, "--resume", "--seed", "2"]);
    assert!(said.code == Some(2) && said.stderr.contains("is none of this study"), "{}", said.stderr);
    assert_eq!(fs::read_to_string(&rows).unwrap(), whole, "a refused resume changes nothing");
}

#[test]
fn a_closed_pipe_is_quiet() {
    let file = study(&directory("pipe"), "many.toml", MANY);
    for format in ["jsonl", "csv", "table"] {
        let args = if format == "table" { vec!["list"] } else { vec!["run", &file, "--format", format] };
        let mut child = gradchain().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        if format != "table" {
            stdout.read_exact(&mut [0; 100]).unwrap();
        }
        drop(stdout);
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""), "{format}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_keeps_a_prefix_and_what_was_there() {
    let directory = directory("interrupt");
    let file = study(&directory, "many.toml", MANY);
    let out = directory.join("out").to_str().unwrap().to_owned();
    let rows = directory.join("out/many/rows.jsonl");
    fs::create_dir_all(rows.parent().unwrap()).unwrap();
    fs::write(&rows, "what was there\n").unwrap();
    let mut child = gradchain().args(["run", &file, "--out", &out]).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while fs::read_to_string(&rows).is_ok_and(|text| text.starts_with("what"))
        || fs::metadata(&rows).map_or(0, |m| m.len()) == 0
    {
        assert!(start.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3), "{stderr}");
    assert!(stderr.contains("interrupted: many: ") && stderr.contains("--resume"), "{stderr}");
    let text = fs::read_to_string(&rows).unwrap();
    assert!(text.ends_with('\n'));
    let count = text.lines().count();
    assert!((1..60_000).contains(&count), "{count}");
    for (i, line) in text.lines().enumerate() {
        assert!(line.contains(&format!(r#""weight_scale":{}.0,"#, i + 1)), "{line}");
    }
    let old = rows.with_extension("jsonl.old");
    assert_eq!(fs::read_to_string(&old).unwrap(), "what was there\n");
    let said = run(&["run", &file, "--out", &out]);
    assert!(said.code == Some(2) && said.stderr.contains("rows.jsonl.old"), "{}", said.stderr);
    let said = run(&["run", &file, "--out", &out, "--resume"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains(&format!("{count} kept")), "{}", said.stderr);
    assert_eq!(fs::read_to_string(&rows).unwrap().lines().count(), 60_000);
    assert!(!old.exists());
}

#[test]
fn what_there_is() {
    let list = run(&["list"]);
    assert_eq!(list.code, Some(0));
    for name in [
        "scalar",
        "drift",
        "layers",
        "custom:p,emin,emax",
        "compensated",
        "symmetric",
        "sigmoid",
        "clip-norm:c",
        "matrix-first",
        "bottleneck:a,b",
        "portable",
    ] {
        assert!(list.stdout.contains(name), "{name}");
    }
    assert!(run(&["info"]).stdout.contains("2^-1074"));
    let schema = run(&["schema"]).stdout;
    for name in ["\"first_subnormal\"", "\"weight_scale\"", "\"theory_bound\"", "\"unit\""] {
        assert!(schema.contains(name), "{name}");
    }
    for args in [&["--help"][..], &["run", "--help"], &["--version"]] {
        assert_eq!((run(args).code, run(args).stderr.as_str()), (Some(0), ""));
    }
}
