//! `gradchain gate drift`: committed rows against rows measured now, in every bit.

use super::baseline::{Baseline, baselines};
use super::outputs::{OutputArgs, Outputs, this_run};
use crate::Verdict;
use crate::args::{CheckArgs, threads};
use crate::run::stop_flag;
use anyhow::{Context, Result, bail};
use gradchain_arith::Isa;
use gradchain_gate::{self as gate, Finding, Gate, GateReport, WHOLE_FILE, judge};
use gradchain_study::Shard;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

#[derive(Debug, clap::Args)]
pub(crate) struct DriftArgs {
    /// Names of studies in the reports directory; all of them if absent
    #[arg(value_name = "STUDY")]
    pub(crate) studies: Vec<String>,
    /// The directory with STUDY/study.toml and STUDY/rows.jsonl, the baseline
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub(crate) reports: PathBuf,
    /// Judge the rows in DIR/STUDY/rows.jsonl (or all shards beside it) and measure nothing
    #[arg(long, value_name = "DIR", conflicts_with = "threads")]
    pub(crate) rows: Option<PathBuf>,
    /// Threads; all that the machine has if absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    #[command(flatten)]
    pub(crate) outputs: OutputArgs,
}

pub(crate) fn drift(args: &DriftArgs) -> Result<Verdict> {
    let outputs = Outputs::open(&args.outputs)?;
    outputs.finish(Gate::Drift, report(&args.studies, &args.reports, args.rows.as_deref(), args.threads))
}

/// `gradchain check`: the drift gate by its first name, for fingers and scripts that know it.
pub(crate) fn check(args: &CheckArgs) -> Result<Verdict> {
    let none = OutputArgs::default();
    let outputs = Outputs::open(&none)?;
    outputs.finish(Gate::Drift, report(&args.studies, &args.reports, None, args.threads))
}

fn report(
    studies: &[String],
    reports: &Path,
    rows: Option<&Path>,
    asked_threads: Option<u16>,
) -> Result<GateReport> {
    let isa = Isa::choose()?;
    let baselines = baselines(reports, studies)?;
    let mut findings = Vec::new();
    let mut notes = Vec::new();
    match rows {
        Some(rows) => {
            for baseline in &baselines {
                let (measured, place) = measured_elsewhere(baseline, rows)?;
                findings.extend(baseline.with_input(&measured, &place, judge));
            }
            if studies.is_empty() {
                findings.extend(unknown_studies(&baselines, reports, rows)?);
            }
        }
        None => {
            let stop = stop_flag()?;
            for baseline in &baselines {
                let measured = baseline.measure(isa, threads(asked_threads), stop)?;
                findings.extend(baseline.with_input(&measured, "the measurement", judge));
            }
            if stop.load(Ordering::Relaxed) {
                notes.push("the run was interrupted".to_owned());
            }
        }
    }
    Ok(GateReport { gate: Gate::Drift, run: this_run(reports), findings, notes })
}

/// The rows of a study in a directory that another run made: whole, or all of its shards. A study without rows there was not measured.
fn measured_elsewhere(baseline: &Baseline, rows: &Path) -> Result<(Vec<u8>, String)> {
    if !rows.is_dir() {
        bail!("{}: no such directory of rows", rows.display());
    }
    let directory = rows.join(&baseline.name);
    let whole = directory.join("rows.jsonl");
    if whole.is_file() {
        if let (Ok(a), Ok(b)) = (fs::canonicalize(&whole), fs::canonicalize(&baseline.rows_path))
            && a == b
        {
            bail!("{}: these are the committed rows themselves, which differ from nothing", whole.display());
        }
        let bytes = fs::read(&whole).with_context(|| whole.display().to_string())?;
        return Ok((bytes, whole.display().to_string()));
    }
    let mut shards: Vec<(Shard, PathBuf)> = Vec::new();
    if directory.is_dir() {
        for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let path = entry.with_context(|| directory.display().to_string())?.path();
            shards.extend(shard_of(&path).map(|shard| (shard, path)));
        }
    }
    shards.sort_by(|a, b| a.1.cmp(&b.1));
    let counts = shards.iter().map(|(shard, _)| shard.to_string());
    let mut counts: Vec<String> =
        counts.filter_map(|text| Some(text.split_once('/')?.1.to_owned())).collect();
    counts.dedup();
    if counts.len() > 1 {
        bail!("{}: shards of different divisions: of {}", directory.display(), counts.join(" and of "));
    }
    let mut bytes = Vec::new();
    for (_, path) in &shards {
        bytes.extend(fs::read(path).with_context(|| path.display().to_string())?);
    }
    Ok((bytes, directory.display().to_string()))
}

/// The shard whose rows a file holds, by its name.
fn shard_of(path: &Path) -> Option<Shard> {
    let name = path.file_name()?.to_str()?;
    let (number, of) = name.strip_prefix("rows-")?.strip_suffix(".jsonl")?.split_once("-of-")?;
    let shard: Shard = format!("{number}/{of}").parse().ok()?;
    (shard.file_name() == name).then_some(shard)
}

/// Measured studies that the baseline does not know: they must not go by in silence.
fn unknown_studies(baselines: &[Baseline], reports: &Path, rows: &Path) -> Result<Vec<Finding>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(rows).with_context(|| rows.display().to_string())? {
        let entry = entry.with_context(|| rows.display().to_string())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().join("rows.jsonl").is_file() && baselines.iter().all(|baseline| baseline.name != name)
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    let finding = |name: String| Finding {
        message: format!("it was measured, but {} has no such study", reports.display()),
        group: name,
        id: WHOLE_FILE.to_owned(),
        label: String::new(),
        verdict: gate::Verdict::New,
        place: None,
        figures: Vec::new(),
        level: None,
    };
    Ok(names.into_iter().map(finding).collect())
}
