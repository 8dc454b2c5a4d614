//! `gradchain gate ratios`: claims about speeds, held against one run in which both sides take turns.

use crate::Verdict;
use crate::gate::outputs::{OutputArgs, Outputs, this_run};
use crate::gate::server::{Program, Server, Trouble, processors};
use crate::gate::session::calls;
use crate::run::progress;
use anyhow::{Context, Result, bail};
use gradchain_arith::{ISA_NAMES, Isa};
use gradchain_gate::time::{Claim, Claims, Listed, Schedule, judge_claim, median};
use gradchain_gate::{Effect, Figure, Finding, Gate, GateReport, Level, Place, Verdict as Judgement};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct RatiosArgs {
    /// The claims: `[[claim]]` with name, fast, slow, at_least, and if need be at_most and instruction_sets
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Seconds without an answer after which a process counts as hung
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    timeout: u32,
    /// Seed of the orders in which everything is measured
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    outputs: OutputArgs,
}

/// Processes, each of which gives one ratio of each claim: enough for an interval that holds for a dozen claims together.
const RESPAWNS: usize = 21;
/// Rounds in each.
const ROUNDS: usize = 9;

pub(crate) fn ratios(args: &RatiosArgs) -> Result<Verdict> {
    let outputs = Outputs::open(&args.outputs)?;
    outputs.finish(Gate::Ratios, report(args))
}

fn report(args: &RatiosArgs) -> Result<GateReport> {
    let place = args.file.display().to_string();
    let text = fs::read_to_string(&args.file).with_context(|| place.clone())?;
    let claims = Claims::parse(&text).with_context(|| place.clone())?.claims;
    let own = std::env::current_exe().context("the file of this program")?;
    let program = Program { role: "program", source: own.clone(), path: own, arguments: Vec::new() };
    let timeout = Duration::from_secs(args.timeout.into());
    let works = Server::start(&program, None, timeout).and_then(|mut server| server.list());
    let works = works.map_err(|trouble| anyhow::anyhow!("{trouble}"))?;
    for claim in &claims {
        for id in [&claim.fast, &claim.slow] {
            if !works.iter().any(|work| work.id == *id) {
                bail!("{place}: claim `{}`: there is no work `{id}`", claim.name);
            }
        }
        if let Some(name) = claim.instruction_sets.iter().find(|name| !ISA_NAMES.contains(&name.as_str())) {
            bail!(
                "{place}: claim `{}`: unknown instruction set `{name}`; known: {}",
                claim.name,
                ISA_NAMES.join(", ")
            );
        }
    }
    let isa = Isa::choose()?.name();
    let run = this_run(Path::new("."));
    let mut report = GateReport { gate: Gate::Ratios, run, findings: Vec::new(), notes: Vec::new() };
    report.notes.push(format!("instruction set {isa}"));
    let made_for = |claim: &&Claim| {
        claim.instruction_sets.is_empty() || claim.instruction_sets.iter().any(|name| name == isa)
    };
    let (of_isa, others): (Vec<&Claim>, Vec<&Claim>) = claims.iter().partition(made_for);
    if !others.is_empty() {
        report.notes.push(format!("{} claims are made for other instruction sets", others.len()));
    }
    let cpus = processors().unwrap_or_else(|why| {
        report.notes.push(format!("{why}: processes wander"));
        Vec::new()
    });
    let measured = measure(&program, &of_isa, &works, &cpus, args)?;
    for (claim, measured) in of_isa.iter().zip(measured) {
        let line = text.lines().position(|line| line.contains(claim.name.as_str())).map(|at| at + 1);
        report.findings.push(finding(claim, measured, of_isa.len(), Place { file: place.clone(), line }));
    }
    Ok(report)
}

/// The natural logarithms of the ratio of each claim, one a respawn; or why there are none.
fn measure(
    program: &Program,
    claims: &[&Claim],
    works: &[Listed],
    cpus: &[usize],
    args: &RatiosArgs,
) -> Result<Vec<Result<Vec<f64>, Trouble>>> {
    let timeout = Duration::from_secs(args.timeout.into());
    let mut schedule = Schedule::new(args.seed, 0);
    let mut measured: Vec<Result<Vec<f64>, Trouble>> = claims.iter().map(|_| Ok(Vec::new())).collect();
    let bar = progress("gate ratios", RESPAWNS, true);
    for respawn in 0..RESPAWNS {
        let cpu = (!cpus.is_empty()).then(|| cpus[respawn % cpus.len()]);
        let mut order: Vec<usize> = (0..claims.len()).collect();
        schedule.shuffle(&mut order);
        let mut server = None;
        for at in order {
            let Ok(logarithms) = &mut measured[at] else { continue };
            let mut attempt = || -> Result<f64, Trouble> {
                let server = match &mut server {
                    Some(server) => server,
                    none => none.insert(Server::start(program, cpu, timeout)?),
                };
                ratio(server, claims[at], works, &mut schedule)
            };
            match attempt() {
                Ok(logarithm) => logarithms.push(logarithm),
                Err(trouble) => {
                    measured[at] = Err(trouble);
                    server = None;
                }
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(measured)
}

/// The logarithm of the ratio of a claim in one process: the median over rounds.
fn ratio(
    server: &mut Server,
    claim: &Claim,
    works: &[Listed],
    schedule: &mut Schedule,
) -> Result<f64, Trouble> {
    let ids = [&claim.fast, &claim.slow];
    let mut per_second = [(0.0, 1); 2];
    for (id, (elements, burst)) in ids.iter().zip(&mut per_second) {
        *elements = works.iter().find(|work| work.id == **id).map_or(f64::NAN, |work| work.elements as f64);
        *burst = calls(server, id)?;
    }
    let mut logarithms = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let mut order = [0, 1];
        schedule.shuffle(&mut order);
        let mut speed = [0.0; 2];
        for side in order {
            let (elements, calls) = per_second[side];
            let took = server.run(ids[side], calls)?;
            if took.cpu_ns == 0 {
                return Err(Trouble::Failed("the CPU clock did not advance during a burst".to_owned()));
            }
            speed[side] = elements * f64::from(calls) / took.cpu_ns as f64;
        }
        logarithms.push(libm::log(speed[0] / speed[1]));
    }
    median(&logarithms).ok_or_else(|| Trouble::Failed("no round was measured".to_owned()))
}

fn finding(claim: &Claim, measured: Result<Vec<f64>, Trouble>, family: usize, place: Place) -> Finding {
    let mut finding = Finding {
        group: "ratios".to_owned(),
        id: claim.name.clone(),
        label: format!("{} / {}", claim.fast, claim.slow),
        verdict: Judgement::NotMeasured,
        message: String::new(),
        place: Some(place),
        figures: Vec::new(),
        level: None,
    };
    match measured {
        Err(trouble) => finding.message = trouble.to_string(),
        Ok(logarithms) => {
            let judged = judge_claim(claim, &logarithms, family);
            let figure = |name: &str, base: Option<f64>, head: f64, effect| Figure {
                name: name.to_owned(),
                row: 1,
                unit: "1".to_owned(),
                base: base.map(|x| x.to_string()),
                head: Some(format!("{head:.3}")),
                effect,
            };
            let (low, high) = judged.between;
            let effect =
                if judged.verdict == Judgement::OverBudget { Effect::Worse } else { Effect::Neutral };
            finding.figures.push(figure("ratio", None, judged.ratio, effect));
            finding.figures.push(figure("at least", Some(claim.at_least), low, Effect::Neutral));
            let at_most = Some(claim.at_most).filter(|limit| limit.is_finite());
            finding.figures.push(figure("at most", at_most, high, Effect::Neutral));
            (finding.verdict, finding.message) = (judged.verdict, judged.message);
            finding.level = Some(judged.ratio)
                .filter(|x| x.is_finite())
                .map(|value| Level { name: "ratio".to_owned(), value });
        }
    }
    finding
}
