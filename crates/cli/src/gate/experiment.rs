//! `gradchain gate experiment`: does the time gate cry wolf, and does it see the wolf? What `docs/time-gate.md` reports, anyone can print.

use crate::Verdict;
use crate::gate::programs::Pair;
use crate::gate::time::{MeasureArgs, Measured, judged_series, lists, measure};
use anyhow::{Context, Result};
use gradchain_gate::Verdict as Judgement;
use gradchain_gate::time::{Clock, median};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub(crate) struct ExperimentArgs {
    /// Whole runs of the gate
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Slow the head down by so many per cent; without it, base and head are the same
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=100))]
    slow: Option<u32>,
    /// Busy processes beside the gate
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=64))]
    load: u32,
    /// The program that is measured; this one if absent
    #[arg(long, value_name = "BINARY")]
    program: Option<PathBuf>,
    /// The head, if it is another program: with the same code in another place, for instance
    #[arg(long, value_name = "BINARY")]
    head: Option<PathBuf>,
    #[command(flatten)]
    measure: MeasureArgs,
}

/// What all runs together say of one test.
#[derive(Default)]
struct Tally {
    /// How much slower the head was in the first stage, and its null, in each run.
    slower: Vec<f64>,
    null: Vec<f64>,
    verdicts: BTreeMap<Judgement, u32>,
}

pub(crate) fn experiment(args: &ExperimentArgs) -> Result<Verdict> {
    let program = match &args.program {
        Some(program) => program.clone(),
        None => std::env::current_exe().context("the file of this program")?,
    };
    let head = args.head.as_ref().unwrap_or(&program);
    let load: Vec<Busy> = (0..args.load).map(|_| Busy::start()).collect::<Result<_>>()?;
    let mut tallies: BTreeMap<(String, Clock), Tally> = BTreeMap::new();
    let (mut failed, mut incomplete) = (0, 0);
    let began = Instant::now();
    for run in 0..args.runs {
        // Each run has files, pages and orders of its own.
        let mut pair = Pair::of_files(&program, head, [String::new(), String::new()])?;
        if let Some(slow) = args.slow {
            pair.programs[2].arguments = vec!["--slow".to_owned(), slow.to_string()];
        }
        let measure_args = MeasureArgs { seed: args.measure.seed + u64::from(run), ..args.measure.clone() };
        let timeout = Duration::from_secs(args.measure.timeout.into());
        let found = lists(&pair.programs, &args.measure.ids, timeout)?;
        let took = Instant::now();
        let measured = measure(&pair.programs, found.common, &measure_args);
        let verdicts = tally(&measured, &mut tallies);
        let of = |verdict| verdicts.iter().filter(|(_, found)| *found == verdict).count();
        let (worse, better) = (of(Judgement::Worse), of(Judgement::Better));
        let (unclear, unmeasured) = (of(Judgement::Inconclusive), of(Judgement::NotMeasured));
        failed += u32::from(worse > 0);
        incomplete += u32::from(worse == 0 && unclear + unmeasured > 0);
        let again = measured.tests.iter().filter(|test| test.deciding.is_some()).count();
        writeln!(
            io::stdout(),
            "run {}: {} tests in {:.1} s, {again} of them twice: {worse} worse, {better} better, {unclear} inconclusive, {unmeasured} not measured",
            run + 1,
            verdicts.len(),
            took.elapsed().as_secs_f64(),
        )?;
        for (id, verdict) in
            verdicts.iter().filter(|(_, verdict)| args.slow.is_none() && *verdict != Judgement::Same)
        {
            writeln!(io::stdout(), "  {id}: {}", verdict.name())?;
        }
        io::stdout().flush()?;
    }
    drop(load);
    for ((id, clock), tally) in &tallies {
        let percent = |x: &[f64]| 100.0 * standard_deviation(x);
        let verdicts: Vec<String> =
            tally.verdicts.iter().map(|(verdict, n)| format!("{n} {}", verdict.name())).collect();
        writeln!(
            io::stdout(),
            "{id} {clock}: median {:+.2} %, deviation {:.2} %, of the null {:.2} %; {}",
            100.0 * median(&tally.slower).unwrap_or(f64::NAN),
            percent(&tally.slower),
            percent(&tally.null),
            verdicts.join(", "),
        )?;
    }
    summary(args, &tallies, [failed, incomplete], began.elapsed())?;
    Ok(Verdict::Passed)
}

fn summary(
    args: &ExperimentArgs,
    tallies: &BTreeMap<(String, Clock), Tally>,
    [failed, incomplete]: [u32; 2],
    took: Duration,
) -> Result<()> {
    let mut out = io::stdout().lock();
    for clock in [Clock::Cpu, Clock::Wall] {
        let of_clock = || tallies.iter().filter(move |((_, of), _)| *of == clock).map(|(_, tally)| tally);
        let deviations: Vec<f64> =
            of_clock().map(|tally| 100.0 * standard_deviation(&tally.slower)).collect();
        let deviations: Vec<f64> = deviations.into_iter().filter(|x| x.is_finite()).collect();
        let Some(middle) = median(&deviations) else { continue };
        let worst = deviations.iter().copied().fold(0.0, f64::max);
        let count = |verdict| -> u32 { of_clock().filter_map(|tally| tally.verdicts.get(&verdict)).sum() };
        let all: u32 = of_clock().flat_map(|tally| tally.verdicts.values()).sum();
        writeln!(
            out,
            "{clock} time: {} of {all} tests worse, {} better, {} inconclusive; deviation of the first stage's estimate {middle:.2} % in the median, {worst:.2} % at worst",
            count(Judgement::Worse),
            count(Judgement::Better),
            count(Judgement::Inconclusive),
        )?;
    }
    // The largest probability of failing under which so few failures have a chance of 5 % (Clopper and Pearson 1934).
    let bound = upper_bound(failed, args.runs, 0.05);
    writeln!(
        out,
        "{} runs in {:.0} s beside {} busy processes: {failed} failed (with 95 % confidence at most {:.1} % of runs), {incomplete} inconclusive",
        args.runs,
        took.as_secs_f64(),
        args.load,
        100.0 * bound,
    )?;
    Ok(())
}

/// Adds the tests of a run, and gives the verdict of each.
fn tally(measured: &Measured, tallies: &mut BTreeMap<(String, Clock), Tally>) -> Vec<(String, Judgement)> {
    let mut verdicts = Vec::new();
    for ((&(i, clock), test), judged) in measured.of.iter().zip(&measured.tests).zip(&measured.judged) {
        let state = &measured.states[i];
        let id = state.work.id.clone();
        let verdict = if state.trouble.is_some() { Judgement::NotMeasured } else { judged.verdict };
        let tally = tallies.entry((id.clone(), clock)).or_default();
        tally.slower.extend(median(&test.routing.head));
        tally.null.extend(median(&test.routing.null));
        *tally.verdicts.entry(verdict).or_default() += 1;
        debug_assert!(
            !judged_series(test).head.is_empty() || verdict != Judgement::Same,
            "nothing measured passes"
        );
        verdicts.push((id, verdict));
    }
    verdicts
}

fn standard_deviation(x: &[f64]) -> f64 {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    (x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0)).sqrt()
}

/// The p at which at most `k` of `n` have probability `error`, by bisection.
fn upper_bound(k: u32, n: u32, error: f64) -> f64 {
    let at_most = |p: f64| -> f64 {
        let mut term = 1.0;
        for _ in 0..n {
            term *= 1.0 - p;
        }
        let mut sum = 0.0;
        for j in 0..=k {
            sum += term;
            term *= f64::from(n - j) / f64::from(j + 1) * p / (1.0 - p);
        }
        sum
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if k < n && at_most(middle) > error { low = middle } else { high = middle }
    }
    if k < n { high } else { 1.0 }
}

/// A process that does nothing, without pause.
struct Busy(Child);

impl Busy {
    fn start() -> Result<Busy> {
        let mut shell = Command::new("sh");
        shell.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
        Ok(Busy(shell.spawn().context("sh")?))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
