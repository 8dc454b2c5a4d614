//! Runs that are killed, that have no room, and that meet each other: nothing measured is lost but the cells under way.

#![cfg(unix)]

mod common;

use common::{SMALL, Said, directory, gradchain, run, said, study};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Cells that take a while together, and little each.
const LONG: &str =
    "question = 'Long?'\nmeasure = 'chain'\n[axes]\nweight_scale = '1..1500:+1'\nwidth = 4\ndepth = 60\n";

/// The first cell takes as long as many others.
const SLOW_FIRST: &str = "question = 'Slow?'\nmeasure = 'chain'\n[axes]\ndepth = 3000000\nwidth = 1\nupstream = 'ones'\ngain = 1\n\
                          [[extra]]\ndepth = '1..400:+1'\n";

fn start(args: &[&str]) -> Child {
    gradchain().args(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until the file has so many lines; the run must not end before.
fn wait_for_lines(rows: &Path, lines: usize, run: &mut Child) {
    let start = Instant::now();
    while fs::read(rows).map_or(0, |text| text.iter().filter(|&&byte| byte == b'\n').count()) < lines {
        assert!(run.try_wait().unwrap().is_none(), "the run has ended");
        assert!(start.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn signal(name: &str, run: &Child) {
    assert!(Command::new("kill").args([name, &run.id().to_string()]).status().unwrap().success());
}

fn ended(mut run: Child) -> Said {
    use std::io::Read;
    let mut stderr = String::new();
    run.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    Said { code: run.wait().unwrap().code(), stdout: String::new(), stderr }
}

#[test]
fn a_killed_run_goes_on_to_the_same_bytes() {
    let directory = directory("killed");
    let file = study(&directory, "long.toml", LONG);
    let whole = run(&["run", &file, "--format", "jsonl"]).stdout;
    let out = directory.join("out").to_str().unwrap().to_owned();
    let rows = directory.join("out/long/rows.jsonl");
    for lines in [1, 200, 700] {
        let mut child = start(&["run", &file, "--out", &out, "--resume", "--threads", "3"]);
        wait_for_lines(&rows, lines, &mut child);
        signal("-KILL", &child);
        child.wait().unwrap();
        let left = fs::read_to_string(&rows).unwrap();
        let kept: Vec<&str> = left.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect();
        assert!(kept.len() >= lines && kept.iter().all(|line| whole.contains(*line)));
        // Killed within a write: the last line loses its end.
        fs::write(&rows, &left[..left.len() - 40]).unwrap();
    }
    let kept = fs::read(&rows).unwrap().iter().filter(|&&byte| byte == b'\n').count();
    let said = run(&["run", &file, "--out", &out, "--resume", "--format", "jsonl"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains(&format!("{} cells measured, {kept} kept", 1500 - kept)), "{}", said.stderr);
    assert!(fs::read_to_string(&rows).unwrap() == whole && said.stdout == whole);
}

/// A cell that takes long does not hold back what others measure meanwhile.
#[test]
fn a_slow_cell_costs_no_other_when_the_run_is_killed() {
    let directory = directory("slow");
    let file = study(&directory, "slow.toml", SLOW_FIRST);
    let out = directory.join("out").to_str().unwrap().to_owned();
    let rows = directory.join("out/slow/rows.jsonl");
    let mut child = start(&["run", &file, "--out", &out, "--threads", "2"]);
    wait_for_lines(&rows, 50, &mut child);
    signal("-KILL", &child);
    child.wait().unwrap();
    let left = fs::read_to_string(&rows).unwrap();
    assert!(!left.contains("\"depth\":3000000"), "the slow cell was not slow");
    let kept = left.matches('\n').count();
    let said = run(&["run", &file, "--out", &out, "--resume", "--set", "depth=1..400:+1"]);
    assert!(said.code == Some(0) && said.stderr.contains(&format!("{kept} kept")), "{}", said.stderr);
}

#[test]
fn schedulers_may_ask_for_an_end() {
    let directory = directory("asked");
    let file = study(&directory, "long.toml", LONG);
    let out = directory.join("out").to_str().unwrap().to_owned();
    let rows = directory.join("out/long/rows-1-of-1.jsonl");
    let mut child = start(&["run", &file, "--out", &out, "--shard", "1/1", "--threads", "2"]);
    wait_for_lines(&rows, 20, &mut child);
    signal("-TERM", &child);
    let said = ended(child);
    assert!(said.code == Some(3) && said.stderr.contains("--resume goes on"), "{}", said.stderr);
    let left = fs::read_to_string(&rows).unwrap();
    for (i, line) in left.lines().enumerate() {
        assert!(line.contains(&format!(r#""weight_scale":{}.0,"#, i + 1)), "in order: {line}");
    }
    let status = run(&["status", "--out", &out]);
    assert!(
        status.code == Some(3) && status.stdout.contains("submit again: --array=1 "),
        "{}",
        status.stdout
    );
}

#[test]
fn two_runs_do_not_write_to_one_file() {
    let directory = directory("two");
    // Longer than the second run waits for the lock.
    let file = study(
        &directory,
        "long.toml",
        &LONG.replace("1..1500", "1..4000").replace("4\ndepth = 60", "64\ndepth = 300"),
    );
    let out = directory.join("out").to_str().unwrap().to_owned();
    let rows = directory.join("out/long/rows-1-of-2.jsonl");
    let args = ["run", &file, "--out", &out, "--shard", "1/2"];
    let mut child = start(&args);
    wait_for_lines(&rows, 5, &mut child);
    for options in [&[][..], &["--resume"]] {
        let said = said(gradchain().args(args).args(options));
        assert_eq!(said.code, Some(2));
        assert!(
            said.stderr.contains("rows-1-of-2.jsonl: another run is writing to this file"),
            "{}",
            said.stderr
        );
    }
    let status = run(&["status", "--out", &out]);
    assert!(status.code == Some(3) && status.stdout.contains(" running "), "{}", status.stdout);
    assert!(status.stdout.contains("submit again: --array=2 "), "{}", status.stdout);
    let merged = run(&["merge", &out, "-o", rows.to_str().unwrap()]);
    assert!(merged.code == Some(2) && merged.stderr.contains("would be replaced"), "{}", merged.stderr);
    signal("-INT", &child);
    assert_eq!(ended(child).code, Some(3));
    let left = fs::read_to_string(&rows).unwrap();
    assert!(left.lines().count() >= 5 && left.ends_with('\n'));
    let mut child = start(&[&args[..], &["--resume"]].concat());
    wait_for_lines(&rows, left.lines().count() + 1, &mut child);
    assert!(fs::read_to_string(&rows).unwrap().starts_with(&left), "the lock ends with its run");
    signal("-KILL", &child);
    child.wait().unwrap();
}

/// A limit on the size of files stands for a full disk: the write that reaches it is cut, and fails.
#[test]
fn a_full_disk_loses_nothing() {
    let directory = directory("full");
    let file = study(&directory, "small.toml", SMALL);
    let whole = run(&["run", &file, "--format", "jsonl"]).stdout;
    let out = directory.join("out").to_str().unwrap().to_owned();
    let rows = directory.join("out/small/rows.jsonl");
    let line = whole.lines().next().unwrap().len();
    let full = |blocks: usize, options: &[&str]| {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        let program = env!("CARGO_BIN_EXE_gradchain");
        let mut command = Command::new("sh");
        command
            .args(["-c", &script, "sh", program, "run", &file, "--out", &out])
            .args(options)
            .env_remove("GRADCHAIN_ISA");
        said(&mut command)
    };
    // Blocks of 512 bytes: two lines and a half, or a little more where a shell has blocks of 1024.
    let said = full(5 * line / 1024, &[]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.stderr.contains("rows.jsonl: cannot write; the cells measured so far are kept"),
        "{}",
        said.stderr
    );
    let left = fs::read_to_string(&rows).unwrap();
    assert!(left.ends_with('\n') && whole.starts_with(&left), "{left}");
    // Still full: nothing is lost.
    assert_eq!(full(5 * line / 1024, &["--resume"]).code, Some(2));
    assert_eq!(fs::read_to_string(&rows).unwrap(), left);
    assert_eq!(run(&["run", &file, "--out", &out, "--resume"]).code, Some(0));
    assert_eq!(fs::read_to_string(&rows).unwrap(), whole);
}

#[test]
fn places_that_are_none_are_named() {
    let directory = directory("places");
    let file = study(&directory, "small.toml", SMALL);
    let refused = |out: PathBuf, options: &[&str], part: &str| {
        let said = said(gradchain().args(["run", &file, "--out"]).arg(out).args(options));
        assert!(said.code == Some(2) && said.stderr.contains(part), "{part}: {}", said.stderr);
    };
    refused(directory.join("small.toml"), &[], "small.toml/small: Not a directory");
    fs::create_dir_all(directory.join("out/small/rows.jsonl")).unwrap();
    refused(directory.join("out"), &[], "rows.jsonl: Is a directory");
    fs::remove_dir(directory.join("out/small/rows.jsonl")).unwrap();
    std::os::unix::fs::symlink("/dev/null", directory.join("out/small/rows.jsonl")).unwrap();
    for options in [&[][..], &["--resume"]] {
        refused(directory.join("out"), options, "rows.jsonl: this is no regular file");
    }
    refused(PathBuf::from("/proc/gradchain"), &[], "/proc/gradchain/small: No such file");
}
