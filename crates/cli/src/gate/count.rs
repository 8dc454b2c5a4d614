//! `gradchain gate count`: instructions, where valgrind is. They are the same in every run, so one run of each program is enough.

use crate::Verdict;
use crate::gate::outputs::{OutputArgs, Outputs, this_run};
use crate::gate::programs::Pair;
use crate::gate::time::{effect, finding, inventory_findings, lists};
use anyhow::{Context, Result, bail};
use gradchain_arith::ISA_VARIABLE;
use gradchain_gate::time::{GREETING, Kind, Listed, Reply, Request};
use gradchain_gate::{Figure, Gate, GateReport, Level, Verdict as Judgement};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct CountArgs {
    /// What is compared with: a revision, or the file of a program
    #[arg(long, value_name = "REV|BINARY")]
    base: String,
    /// What is judged: a revision, the file of a program, or `.` for the files as they are
    #[arg(long, value_name = "REV|BINARY|.", default_value = ".")]
    head: String,
    /// Build each revision with its own Cargo.lock, and not both with the head's
    #[arg(long)]
    own_locks: bool,
    /// Only works whose ids contain one of these words
    #[arg(long, value_name = "FILTER", value_delimiter = ',')]
    ids: Vec<String>,
    /// More instructions than this fail
    #[arg(long, value_name = "PERCENT", default_value_t = 0.5, value_parser = limit)]
    threshold: f64,
    #[command(flatten)]
    outputs: OutputArgs,
}

fn limit(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(x) if (0.0..=100.0).contains(&x) => Ok(x),
        _ => Err("allowed are 0 to 100".to_owned()),
    }
}

/// The instruction sets that valgrind knows: it hides AVX-512 from the programs that it runs.
const COUNTED: [&str; 2] = ["portable", "avx2"];
/// The function whose instructions count, in two spellings: valgrind keeps one setting for each pattern.
const BURST: [&str; 2] = ["*gradchain_counted_burst*", "*counted_burst*"];

pub(crate) fn count(args: &CountArgs) -> Result<Verdict> {
    let outputs = Outputs::open(&args.outputs)?;
    outputs.finish(Gate::Count, report(args))
}

fn report(args: &CountArgs) -> Result<GateReport> {
    let there =
        Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        bail!("instructions are counted by valgrind, which is not installed or does not run");
    }
    let pair = Pair::find(&args.base, &args.head, args.own_locks)?;
    let found = lists(&pair.programs, &args.ids, Duration::from_secs(60))?;
    let run = this_run(Path::new("."));
    let mut report = GateReport { gate: Gate::Count, run, findings: Vec::new(), notes: Vec::new() };
    report.notes.push(format!("base: {}; head: {}", pair.names[0], pair.names[1]));
    inventory_findings(&found, &mut report.findings);
    // Valgrind runs one thread at a time, in an order of its own.
    let works: Vec<&Listed> = found.common.iter().filter(|work| work.kind == Kind::Pinned).collect();
    if works.len() < found.common.len() {
        report
            .notes
            .push(format!("{} works on several threads are not counted", found.common.len() - works.len()));
    }
    for isa in COUNTED {
        let [base, head] = [0, 2].map(|program| instructions(&pair.programs[program].path, isa, &works));
        let (base, head) = (base.context("the base")?, head.context("the head")?);
        for ((work, base), head) in works.iter().zip(base).zip(head) {
            let id = format!("{} ({isa})", work.id);
            report.findings.push(match (base, head) {
                (Ok(base), Ok(head)) => judged(&id, base, head, args.threshold / 100.0),
                (Err(why), _) => finding(&id, Judgement::NotMeasured, format!("base: {why}")),
                (_, Err(why)) => finding(&id, Judgement::NotMeasured, format!("head: {why}")),
            });
        }
    }
    Ok(report)
}

/// The instructions of one call of each work, or why they were not counted. A work at which the program ends, such as one with an instruction that valgrind
/// does not know, is left out, and another process goes on behind it.
fn instructions(program: &Path, isa: &str, works: &[&Listed]) -> Result<Vec<Result<u64, String>>> {
    let mut counts = Vec::with_capacity(works.len());
    while counts.len() < works.len() {
        let dumps = program.with_extension(format!("counts-{isa}-{}", counts.len()));
        fs::create_dir_all(&dumps).with_context(|| dumps.display().to_string())?;
        let rest = &works[counts.len()..];
        let output = run(program, isa, rest, &dumps)?;
        let answers = String::from_utf8_lossy(&output.stdout);
        let mut answers = answers.lines().skip_while(|line| *line != GREETING).skip(1);
        // A work that panicked has no dump of its own.
        let mut dump = 0;
        for _ in rest {
            match answers.next().map(str::parse) {
                Some(Ok(Reply::Took(_))) => {
                    dump += 1;
                    counts.push(Ok(total(&dumps.join(format!("dump.{dump}")))?));
                }
                Some(Ok(Reply::Failed(why))) => counts.push(Err(why)),
                Some(Err(e)) => counts.push(Err(e.to_string())),
                None => {
                    counts.push(Err(format!("valgrind does not get through it: {}", output.status)));
                    break;
                }
            }
        }
    }
    Ok(counts)
}

/// Runs works under valgrind, one call of each.
fn run(program: &Path, isa: &str, works: &[&Listed], dumps: &Path) -> Result<Output> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--collect-atstart=no"]);
    valgrind.arg(format!("--toggle-collect={}", BURST[0])).arg(format!("--dump-after={}", BURST[1]));
    valgrind.arg(format!("--callgrind-out-file={}", dumps.join("dump").display()));
    valgrind.arg(program).args(["gate", "serve"]).env(ISA_VARIABLE, isa);
    valgrind.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = valgrind.spawn().context("valgrind")?;
    let Some(mut input) = child.stdin.take() else { unreachable!("it is piped") };
    let requests = works.iter().map(|work| Request::Run { id: work.id.clone(), calls: 1 });
    let requests: String = requests.chain([Request::Quit]).map(|request| format!("{request}\n")).collect();
    // From another thread: the answers would fill the pipe while the requests still fill theirs. A program that ends early reads no more of them.
    let writer = std::thread::spawn(move || input.write_all(requests.as_bytes()));
    let output = child.wait_with_output().context("valgrind")?;
    let _ = writer.join();
    Ok(output)
}

/// The instructions in a dump.
fn total(dump: &Path) -> Result<u64> {
    let text = fs::read_to_string(dump).with_context(|| dump.display().to_string())?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals:").or(line.strip_prefix("summary:")));
    let total = total.and_then(|words| words.trim().parse().ok());
    total.with_context(|| format!("{}: there is no total", dump.display()))
}

fn judged(id: &str, base: u64, head: u64, threshold: f64) -> gradchain_gate::Finding {
    let ratio = head as f64 / base as f64;
    let (verdict, message) = if base == 0 || head == 0 {
        (Judgement::NotMeasured, "no instruction was counted".to_owned())
    } else if ratio > 1.0 + threshold {
        (Judgement::Worse, format!("{:.2} % more instructions", 100.0 * (ratio - 1.0)))
    } else if ratio < 1.0 - threshold {
        (Judgement::Better, format!("{:.2} % fewer instructions", 100.0 * (1.0 - ratio)))
    } else {
        (Judgement::Same, String::new())
    };
    let mut found = finding(id, verdict, message);
    found.figures.push(Figure {
        name: "instructions".to_owned(),
        row: 1,
        unit: "a call".to_owned(),
        base: Some(base.to_string()),
        head: Some(head.to_string()),
        effect: effect(verdict),
    });
    found.level = Some(Level { name: "instructions".to_owned(), value: head as f64 });
    found
}
