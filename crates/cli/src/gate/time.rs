//! `gradchain gate time`.

use crate::Verdict;
use crate::gate::outputs::{OutputArgs, Outputs, this_run};
use crate::gate::programs::Pair;
use crate::gate::server::{Server, processors};
use crate::gate::session::{Programs, Session, State};
use crate::run::progress;
use anyhow::{Result, bail};
use gradchain_gate::time::{
    Clock, Effort, Inventory, Judged, Kind, Limits, Listed, Series, Test, decide, inventory,
};
use gradchain_gate::{Effect, Figure, Finding, Gate, GateReport, Level, Verdict as Judgement};
use std::path::Path;
use std::time::{Duration, Instant};

/// How much wider the limits are where processes cannot be bound to a processor.
pub(crate) const UNBOUND: f64 = 2.0;
/// How much wider they are for several threads: by processor time, and by the time that passes, which others on the machine lengthen.
const THREADED: [f64; 2] = [2.0, 10.0];

#[derive(Debug, clap::Args)]
pub(crate) struct TimeArgs {
    /// What is compared with: a revision, or the file of a program
    #[arg(long, value_name = "REV|BINARY")]
    base: String,
    /// What is judged: a revision, the file of a program, or `.` for the files as they are
    #[arg(long, value_name = "REV|BINARY|.", default_value = ".")]
    head: String,
    /// Build each revision with its own Cargo.lock, and not both with the head's
    #[arg(long)]
    own_locks: bool,
    #[command(flatten)]
    pub(crate) measure: MeasureArgs,
    #[command(flatten)]
    outputs: OutputArgs,
}

/// How to measure.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct MeasureArgs {
    /// Only works whose ids contain one of these words
    #[arg(long, value_name = "FILTER", value_delimiter = ',')]
    pub(crate) ids: Vec<String>,
    /// Seconds of measuring, at most; builds come on top
    #[arg(long, value_name = "SECONDS", default_value_t = 240, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) time_budget: u32,
    /// Slowdowns beyond this fail
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0 * Limits::PINNED.threshold, value_parser = percent)]
    pub(crate) threshold: f64,
    /// Seconds without an answer after which a process counts as hung
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) timeout: u32,
    /// Seed of the orders in which everything is measured
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(x) if (0.1..=100.0).contains(&x) => Ok(x),
        _ => Err("allowed are 0.1 to 100".to_owned()),
    }
}

pub(crate) fn time(args: &TimeArgs) -> Result<Verdict> {
    let outputs = Outputs::open(&args.outputs)?;
    let report =
        Pair::find(&args.base, &args.head, args.own_locks).and_then(|pair| report(&pair, &args.measure));
    outputs.finish(Gate::Time, report)
}

/// The tests of a run: which work, by which clock, and what was measured.
pub(crate) struct Measured {
    pub(crate) states: Vec<State>,
    pub(crate) tests: Vec<Test>,
    /// The work and the clock of each test.
    pub(crate) of: Vec<(usize, Clock)>,
    pub(crate) judged: Vec<Judged>,
    pub(crate) notes: Vec<String>,
}

/// Measures and judges a pair.
pub(crate) fn report(pair: &Pair, args: &MeasureArgs) -> Result<GateReport> {
    let found = lists(&pair.programs, &args.ids, Duration::from_secs(args.timeout.into()))?;
    let mut report = GateReport {
        gate: Gate::Time,
        run: this_run(Path::new(".")),
        findings: Vec::new(),
        notes: Vec::new(),
    };
    report.notes.push(format!("base: {}; head: {}", pair.names[0], pair.names[1]));
    inventory_findings(&found, &mut report.findings);
    if pair.same_bytes {
        report
            .notes
            .push("base and head are the same program, byte for byte: nothing was measured".to_owned());
        report
            .findings
            .extend(found.common.iter().map(|work| finding(&work.id, Judgement::Same, String::new())));
        return Ok(report);
    }
    let measured = measure(&pair.programs, found.common, args);
    report.notes.extend(measured.notes.iter().cloned());
    let differ: Vec<&str> = measured
        .states
        .iter()
        .filter(|state| state.same_result() == Some(false))
        .map(|state| state.work.id.as_str())
        .collect();
    if let Some(first) = differ.first() {
        report.notes.push(format!(
            "base and head give different results in {} works, first in {first}: `gate drift` tells which are better",
            differ.len()
        ));
    }
    findings(&measured, &mut report.findings);
    Ok(report)
}

/// Asks base and head for their works; those that are for ratios are not compared.
pub(crate) fn lists(programs: &Programs, ids: &[String], timeout: Duration) -> Result<Inventory> {
    let list = |at: usize| -> Result<Vec<Listed>> {
        let program = &programs[at];
        let works = Server::start(program, None, timeout).and_then(|mut server| server.list());
        let mut works = works.map_err(|trouble| anyhow::anyhow!("the {}: {trouble}", program.role))?;
        works.retain(|work| work.kind != Kind::Streaming);
        Ok(works)
    };
    let found = inventory(&list(0)?, &list(2)?, ids);
    if found == Inventory::default() {
        bail!("no work has an id that contains {}", ids.join(" or "));
    }
    Ok(found)
}

/// Both stages.
pub(crate) fn measure(programs: &Programs, works: Vec<Listed>, args: &MeasureArgs) -> Measured {
    let began = Instant::now();
    let budget = Duration::from_secs(args.time_budget.into());
    let mut notes = Vec::new();
    let cpus = processors().unwrap_or_else(|why| {
        notes.push(format!("{why}: processes wander, and all limits are {UNBOUND} times wider"));
        Vec::new()
    });
    let session = Session {
        programs,
        processors: &cpus,
        timeout: Duration::from_secs(args.timeout.into()),
        deadline: began + budget,
        seed: args.seed,
    };
    let mut states: Vec<State> = works.into_iter().map(State::new).collect();
    let bar = progress("gate time", Effort::ROUTING.respawns + Effort::DECIDING.respawns, true);
    session.prepare(&mut states);
    let all: Vec<usize> = (0..states.len()).collect();
    let routing = session.stage(1, &mut states, &all, Effort::ROUTING, budget / 2, &|| bar.inc(1));
    let (mut of, mut tests) = (Vec::new(), Vec::new());
    for (i, series) in routing.into_iter().enumerate() {
        for (&clock, routing) in states[i].clocks().iter().zip(series) {
            let limits = limits(states[i].work.kind, clock, cpus.is_empty(), args);
            of.push((i, clock));
            tests.push(Test { limits, routing, deciding: None });
        }
    }
    // A work is measured again for all its clocks if one of them stood out.
    let mut again: Vec<usize> = Vec::new();
    for (test, &(i, _)) in tests.iter().zip(&of) {
        if states[i].trouble.is_none() && test.limits.routes(&test.routing) && again.last() != Some(&i) {
            again.push(i);
        }
    }
    let stage_one = began.elapsed();
    let routed = again.len();
    let mut judged = Vec::new();
    for look in 1..=Limits::LOOKS {
        if again.is_empty() || Instant::now() >= session.deadline {
            break;
        }
        bar.set_length((Effort::ROUTING.respawns + look * Effort::DECIDING.respawns) as u64);
        let left = budget.saturating_sub(began.elapsed());
        let deciding =
            session.stage(1 + look as u64, &mut states, &again, Effort::DECIDING, left, &|| bar.inc(1));
        for (&i, series) in again.iter().zip(deciding) {
            let tests = tests.iter_mut().zip(&of).filter(|(_, of)| of.0 == i);
            for ((test, _), series) in tests.zip(series) {
                // Without a respawn it has not been measured again.
                if !series.head.is_empty() {
                    test.deciding.get_or_insert_default().extend(series);
                }
            }
        }
        judged = decide(&tests);
        let unclear = judged.iter().zip(&of).filter(|(judged, _)| judged.verdict == Judgement::Inconclusive);
        again = unclear.map(|(_, &(i, _))| i).filter(|&i| states[i].trouble.is_none()).collect();
        again.dedup();
    }
    if judged.is_empty() {
        judged = decide(&tests);
    }
    bar.finish_and_clear();
    notes.push(format!(
        "{} works in {:.0} s, of which {} stood out and were measured again in {:.0} s",
        states.len(),
        began.elapsed().as_secs_f64(),
        routed,
        began.elapsed().saturating_sub(stage_one).as_secs_f64(),
    ));
    Measured { states, tests, of, judged, notes }
}

pub(crate) fn limits(kind: Kind, clock: Clock, unbound: bool, args: &MeasureArgs) -> Limits {
    let asked = Limits::PINNED.widened(args.threshold / 100.0 / Limits::PINNED.threshold);
    match (kind, clock) {
        (Kind::Threaded, Clock::Cpu) => asked.widened(THREADED[0]),
        (Kind::Threaded, Clock::Wall) => asked.widened(THREADED[1]),
        (Kind::Pinned | Kind::Streaming, _) if unbound => asked.widened(UNBOUND),
        (Kind::Pinned | Kind::Streaming, _) => asked,
    }
}

pub(crate) fn finding(id: &str, verdict: Judgement, message: String) -> Finding {
    Finding {
        group: id.split('/').next().unwrap_or_default().to_owned(),
        id: id.to_owned(),
        label: String::new(),
        verdict,
        message,
        place: None,
        figures: Vec::new(),
        level: None,
    }
}

/// What a verdict on time or instructions says of the figure.
pub(crate) fn effect(verdict: Judgement) -> Effect {
    if verdict == Judgement::Worse {
        Effect::Worse
    } else if verdict == Judgement::Better {
        Effect::Better
    } else {
        Effect::Neutral
    }
}

pub(crate) fn inventory_findings(found: &Inventory, findings: &mut Vec<Finding>) {
    for id in &found.vanished {
        findings.push(finding(id, Judgement::Missing, "the base has it, and the head has not".to_owned()));
    }
    for id in &found.appeared {
        findings.push(finding(id, Judgement::New, "the head has it, and the base has not".to_owned()));
    }
    for (base, head) in &found.different {
        let message = format!(
            "one name for two works: {} with {} elements in the base, {} with {} in the head",
            base.kind, base.elements, head.kind, head.elements
        );
        findings.push(finding(&base.id, Judgement::Changed, message));
    }
    for id in &found.twice {
        findings.push(finding(id, Judgement::Malformed, "a program lists it twice".to_owned()));
    }
}

fn findings(measured: &Measured, findings: &mut Vec<Finding>) {
    for (i, state) in measured.states.iter().enumerate() {
        if let Some((role, trouble)) = &state.trouble {
            findings.push(finding(&state.work.id, Judgement::NotMeasured, format!("{role}: {trouble}")));
            continue;
        }
        for ((of, clock), judged) in measured.of.iter().zip(&measured.judged) {
            if *of == i {
                findings.push(judged_finding(state, *clock, judged));
            }
        }
    }
}

fn judged_finding(state: &State, clock: Clock, judged: &Judged) -> Finding {
    let id = match clock {
        Clock::Cpu => state.work.id.clone(),
        Clock::Wall => format!("{} (wall)", state.work.id),
    };
    let mut found = finding(&id, judged.verdict, judged.message.clone());
    let effect = effect(judged.verdict);
    let figure = |name: &str, unit: &str, base: Option<String>, head: Option<String>, effect| Figure {
        name: name.to_owned(),
        row: 1,
        unit: unit.to_owned(),
        base,
        head,
        effect,
    };
    let hundredths = |x: f64| Some(format!("{:.2}", 100.0 * x));
    // The base's own slowdown is what its copy shows.
    found.figures.push(figure("slower", "%", hundredths(judged.null), hundredths(judged.slower), effect));
    let (low, high) = judged.between;
    found.figures.push(figure("at least", "%", None, hundredths(low), Effect::Neutral));
    found.figures.push(figure("at most", "%", None, hundredths(high), Effect::Neutral));
    if clock == Clock::Cpu {
        let [base, head] = state.nanoseconds().map(|ns| ns.map(|ns| format!("{ns:.1}")));
        found.figures.push(figure("time", "ns a call", base, head, Effect::Neutral));
    }
    if state.same_result() == Some(false) {
        found.figures.push(figure("result", "", None, Some("differs".to_owned()), Effect::Neutral));
    }
    let ratio = 1.0 + judged.slower;
    found.level = ratio.is_finite().then(|| Level { name: "time, head/base".to_owned(), value: ratio });
    found
}

/// The series that was judged.
pub(crate) fn judged_series(test: &Test) -> &Series {
    test.deciding.as_ref().unwrap_or(&test.routing)
}
