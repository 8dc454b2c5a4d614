//! `gradchain gate time` against programs that speak its protocol and measure nothing: shell scripts with times of their own choice. Every fault of a
//! program or a machine ends in the right exit code and one clear sentence.
#![cfg(target_os = "linux")]

#[expect(dead_code, reason = "the time gate knows no studies")]
mod common;

use common::{Said, directory, gradchain, said};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A program whose works `a/x` and `b/y` take `ns` nanoseconds a call, with a little noise by a fixed sequence. `special` is shell text that is run for each
/// request, before it is answered; `$1 $2 $3` are the words of the request.
fn fake(folder: &Path, name: &str, ns: u32, special: &str) -> PathBuf {
    program(folder, name, ns, "echo work a/x pinned 10; echo work b/y pinned 20; echo end", special)
}

fn program(folder: &Path, name: &str, ns: u32, list: &str, special: &str) -> PathBuf {
    let text = format!(
        "#!/bin/sh\n\
         echo gradchain-serve 1\n\
         n=7\n\
         while read -r line; do\n\
           set -- $line\n\
           {special}\n\
           case $1 in\n\
             list) {list};;\n\
             run) n=$(( (n * 75 + 74) % 65537 )); t=$(( $3 * {ns} + n % 41 )); echo took $t $t 00ab;;\n\
             *) exit 0;;\n\
           esac\n\
         done\n"
    );
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn time(base: &Path, head: &Path, more: &[&str]) -> Said {
    let (base, head) = (base.to_str().unwrap(), head.to_str().unwrap());
    said(gradchain().args(["gate", "time", "--base", base, "--head", head]).args(more))
}

/// What was said everywhere.
fn all(said: &Said) -> String {
    format!("{}{}", said.stdout, said.stderr)
}

fn expect(said: &Said, code: i32, words: &[&str]) {
    let text = all(said);
    assert_eq!(said.code, Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}

/// A base of 2 microseconds a call, and a head made by `head`.
fn against(name: &str, head: impl Fn(&Path) -> PathBuf, more: &[&str]) -> Said {
    let folder = directory(name);
    let base = fake(&folder, "base", 2000, "");
    time(&base, &head(&folder), more)
}

#[test]
fn equal_times_pass() {
    expect(&against("time_equal", |at| fake(at, "head", 2000, ": another program"), &[]), 0, &[]);
}

#[test]
fn a_slowdown_fails_and_is_named() {
    // 60 000 ns a burst, and noise of up to 40 ns in it: 3 % stands far beyond it.
    let said = against("time_slow", |at| fake(at, "head", 2060, ""), &[]);
    expect(&said, 1, &["a/x", "b/y", "slower"]);
}

#[test]
fn a_slowdown_below_the_threshold_passes() {
    expect(&against("time_small", |at| fake(at, "head", 2060, ""), &["--threshold", "4"]), 0, &[]);
}

#[test]
fn a_speedup_passes() {
    expect(&against("time_fast", |at| fake(at, "head", 1900, ""), &[]), 0, &[]);
}

#[test]
fn filters_leave_works_out() {
    let slow = |at: &Path| fake(at, "head", 2000, "[ \"$2\" = a/x ] && set -- run a/x 99");
    expect(&against("time_filter", slow, &["--ids", "b/"]), 0, &[]);
    expect(
        &against("time_no_id", slow, &["--ids", "q/,r/"]),
        2,
        &["no work has an id that contains q/ or r/"],
    );
}

#[test]
fn ids_that_vanish_appear_or_change_fail() {
    let listing = |list: &'static str| move |at: &Path| program(at, "head", 2000, list, "");
    let gone = against("time_gone", listing("echo work a/x pinned 10; echo end"), &[]);
    expect(&gone, 1, &["b/y", "the base has it, and the head has not"]);
    let new = "echo work a/x pinned 10; echo work b/y pinned 20; echo work c/z pinned 1; echo end";
    expect(&against("time_new", listing(new), &[]), 1, &["c/z", "the head has it, and the base has not"]);
    let renamed =
        against("time_renamed", listing("echo work a/x pinned 10; echo work b/Y pinned 20; echo end"), &[]);
    expect(&renamed, 1, &["b/y", "b/Y"]);
    let units = "echo work a/x pinned 10; echo work b/y pinned 20000; echo end";
    expect(&against("time_units", listing(units), &[]), 1, &["b/y", "one name for two works", "20000"]);
    let twice = "echo work a/x pinned 10; echo work b/y pinned 20; echo work b/y pinned 20; echo end";
    expect(&against("time_twice", listing(twice), &[]), 1, &["b/y", "lists it twice"]);
    let nothing = against("time_nothing", listing("echo end"), &[]);
    expect(&nothing, 1, &["a/x", "b/y", "the head has not"]);
}

/// Each fault of the head at `a/x` leaves `b/y` measured.
fn fault(name: &str, special: &str, words: &[&str]) {
    let special = format!("[ \"$2\" = a/x ] && {{ {special}; }}");
    let said = against(name, |at| fake(at, "head", 2000, &special), &["--timeout", "5"]);
    expect(&said, 3, &[&["a/x", "head: "], words].concat());
    assert!(!all(&said).contains("b/y: "), "{}", all(&said));
}

#[test]
fn a_work_that_panics_is_not_measured() {
    fault("time_panic", "echo failed it panicked: no such thing; continue", &["it panicked: no such thing"]);
}

#[test]
fn a_process_that_dies_is_not_measured() {
    fault("time_died", "echo out of luck >&2; exit 7", &["its process died", "7", "out of luck"]);
    fault("time_killed", "kill -9 $$", &["its process died", "signal: 9"]);
}

#[test]
fn a_work_that_hangs_is_killed() {
    fault("time_hang", "exec sleep 1000", &["it hung: no answer in 5 s, and was killed"]);
}

#[test]
fn a_clock_that_goes_backwards_is_no_clock() {
    fault(
        "time_backwards",
        "echo took -5 100 00ab; continue",
        &["its answer `took -5 100 00ab` is not understood"],
    );
    fault("time_standing", "echo took 0 100 00ab; continue", &["did not advance"]);
}

#[test]
fn nonsense_is_no_answer() {
    fault("time_nonsense", "echo took nan nan nan; continue", &["is not understood"]);
    fault("time_bytes", "printf '\\377\\376\\n'; continue", &["is not text"]);
}

#[test]
fn results_that_waver_are_no_measurement() {
    fault(
        "time_waver",
        "n=$((n + 1)); echo took 60000 60000 $n; continue",
        &["its result differs from burst to burst"],
    );
}

#[test]
fn another_result_is_said_and_judged_elsewhere() {
    let said = against(
        "time_bits",
        |at| {
            fake(
                at,
                "head",
                2000,
                "[ $1 = run ] && { t=$(($3 * 2000 + n % 7)); echo took $t $t 00ac; continue; }",
            )
        },
        &[],
    );
    expect(&said, 0, &["different results"]);
}

/// The base and its copy differ by 10 %, so the machine makes such differences, and nothing can be told.
#[test]
fn a_null_beyond_its_limit_is_inconclusive() {
    let folder = directory("time_null");
    let base =
        fake(&folder, "base", 2000, "case $0 in *copy) set -- $1 $2 $(( ${3:-0} * 110 / 100 ));; esac");
    let head = fake(&folder, "head", 2000, "");
    expect(&time(&base, &head, &[]), 3, &["differs from its own copy", "not calm enough"]);
}

/// Every start of a program has a luck of its own, a factor between 0.5 and 1.5.
#[test]
fn noise_that_hides_everything_is_inconclusive() {
    let folder = directory("time_noise");
    let luck = |factor: u32| {
        format!(
            "[ -n \"$s\" ] || {{ echo >> $0.starts; s=$(wc -l < $0.starts); }}; \
             [ $1 = run ] && set -- run $2 $(( $3 * (50 + s * {factor} % 101) / 100 ))"
        )
    };
    let (base, head) = (fake(&folder, "base", 2000, &luck(37)), fake(&folder, "head", 2000, &luck(61)));
    expect(&time(&base, &head, &[]), 3, &[]);
}

#[test]
fn time_that_runs_out_is_said() {
    // A second is enough for a few respawns, not for the 12 and 24 of both stages.
    let slow = |at: &Path| fake(at, "head", 2100, "[ $1 = run ] && sleep 0.05");
    expect(&against("time_budget", slow, &["--time-budget", "2"]), 3, &[]);
}

#[test]
fn the_same_program_twice_is_a_mistake() {
    let folder = directory("time_same");
    let base = fake(&folder, "base", 2000, "");
    let copy = folder.join("copy");
    fs::copy(&base, &copy).unwrap();
    for head in [&base, &copy] {
        expect(&time(&base, head, &[]), 2, &["are the same program, byte for byte"]);
    }
}

#[test]
fn what_is_no_program_is_refused() {
    let folder = directory("time_no_program");
    let base = fake(&folder, "base", 2000, "");
    let text = folder.join("text");
    fs::write(&text, "words\n").unwrap();
    expect(&time(&base, &text, &[]), 2, &["the head: it cannot be measured"]);
    expect(
        &time(Path::new("/bin/true"), &base, &[]),
        2,
        &["the base: it cannot be measured", "no gradchain with `gate serve`"],
    );
    expect(
        &time(Path::new("no-such-revision"), &base, &[]),
        2,
        &["--base: `no-such-revision` is neither a file nor a revision"],
    );
    let silent = folder.join("silent");
    fs::write(&silent, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    fs::set_permissions(&silent, fs::Permissions::from_mode(0o755)).unwrap();
    expect(&time(&base, &silent, &["--timeout", "1"]), 2, &["the head: it cannot be measured", "hung"]);
}

/// The real program: each work is ready, gives a time and the same result twice.
#[test]
fn every_work_can_be_run() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::Stdio;
    let mut child =
        gradchain().args(["gate", "serve"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, mut lines) =
        (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!(next(), "gradchain-serve 1");
    writeln!(input, "list").unwrap();
    let mut ids = Vec::new();
    loop {
        let line = next();
        if line == "end" {
            break;
        }
        ids.push(line.split(' ').nth(1).unwrap().to_owned());
    }
    assert!(ids.len() >= 100, "{} works", ids.len());
    for id in ids.iter().filter(|id| !id.starts_with("stream/")) {
        let mut run = |calls: u32| {
            writeln!(input, "run {id} {calls}").unwrap();
            let answer = next();
            let words: Vec<&str> = answer.split(' ').collect();
            assert_eq!(words[0], "took", "{id}: {answer}");
            assert!(words[1].parse::<u64>().unwrap() > 0, "{id}: {answer}");
            words[3].to_owned()
        };
        assert_eq!(run(1), run(3), "{id}: the result depends on the number of calls");
    }
    writeln!(input, "run no/such 1").unwrap();
    assert_eq!(next(), "failed there is no work `no/such`");
    writeln!(input, "quit").unwrap();
    assert!(child.wait().unwrap().success());
}

/// Criterion's folder: results count if they are listed, younger than the list, and numbers.
#[test]
fn stale_results_of_criterion_do_not_count() {
    let folder = directory("time_criterion");
    let results = folder.join("criterion");
    let result = |name: &str, median: &str| {
        for (at, median) in [("new", median), ("main", "2.5")] {
            let place = results.join(name).join(at);
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join("benchmark.json"), format!("{{\"full_id\":\"g/{name}\"}}")).unwrap();
            let estimates = format!("{{\"median\":{{\"point_estimate\":{median}}}}}");
            fs::write(place.join("estimates.json"), estimates).unwrap();
        }
    };
    let list = folder.join("list");
    let judged = |listed: &str| {
        // An hour, so that the coarsest clock of a file system tells old from new.
        let now = std::time::SystemTime::now();
        fs::write(&list, listed).unwrap();
        let hour = std::time::Duration::from_secs(3600);
        fs::File::options().write(true).open(&list).unwrap().set_modified(now - hour).unwrap();
        let args =
            ["--baseline", "main", "--list", list.to_str().unwrap(), "--results", results.to_str().unwrap()];
        said(gradchain().args(["gate", "criterion"]).args(args))
    };
    result("a", "3.5");
    expect(&judged("g/a: benchmark\n"), 0, &[]);
    expect(&judged("g/a: benchmark\ng/b: benchmark\n"), 3, &["g/b", "criterion left no result"]);
    result("b", "0");
    expect(&judged("g/a: benchmark\ng/b: benchmark\n"), 1, &["g/b", "no positive number"]);
    expect(&judged("g/a: benchmark\n"), 0, &["1 results", "in no list"]);
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    let estimates = results.join("a/new/estimates.json");
    fs::File::options().write(true).open(&estimates).unwrap().set_modified(old).unwrap();
    expect(&judged("g/a: benchmark\n"), 3, &["g/a", "older than the list"]);
    fs::write(&estimates, "{\"median\":").unwrap();
    expect(&judged("g/a: benchmark\n"), 2, &["estimates.json", "EOF"]);
    expect(&judged("running 0 tests\n"), 2, &["no line `ID: benchmark`"]);
}
