//! `gradchain gate criterion`: the fresh results of `cargo bench`, complete and told, not judged.

use crate::Verdict;
use crate::gate::outputs::{OutputArgs, Outputs, this_run};
use anyhow::{Context, Result, bail};
use gradchain_gate::time::criterion;
use gradchain_gate::{Gate, GateReport};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

#[derive(Debug, clap::Args)]
pub(crate) struct CriterionArgs {
    /// What `cargo bench -- --list` printed before the benches were run: results must be in it, and younger
    #[arg(long, value_name = "FILE")]
    list: PathBuf,
    /// The same of the base: ids that appear or vanish fail
    #[arg(long, value_name = "FILE")]
    base_list: Option<PathBuf>,
    /// The baseline (`--save-baseline NAME`) that is shown beside the new results
    #[arg(long, value_name = "NAME", default_value = "base")]
    baseline: String,
    /// The folder in which criterion keeps its results
    #[arg(long, value_name = "DIR", default_value = "target/criterion")]
    results: PathBuf,
    #[command(flatten)]
    outputs: OutputArgs,
}

pub(crate) fn criterion(args: &CriterionArgs) -> Result<Verdict> {
    let outputs = Outputs::open(&args.outputs)?;
    outputs.finish(Gate::Time, report(args))
}

fn report(args: &CriterionArgs) -> Result<GateReport> {
    let head = listed(&args.list)?;
    let base = args.base_list.as_deref().map(listed).transpose()?;
    let since = fs::metadata(&args.list).and_then(|file| file.modified());
    let since = since.with_context(|| args.list.display().to_string())?;
    let mut results = Vec::new();
    collect(&args.results, &args.baseline, since, &mut results)?;
    let unlisted = results.iter().filter(|result| !head.contains(&result.id)).count();
    let findings = criterion::judge(base.as_deref(), &head, &results);
    let mut notes = vec!["times are told and not judged: `gradchain gate time` judges".to_owned()];
    if unlisted > 0 {
        notes.push(format!(
            "{unlisted} results in {} are in no list, and were left alone",
            args.results.display()
        ));
    }
    Ok(GateReport { gate: Gate::Time, run: this_run(Path::new(".")), findings, notes })
}

fn listed(file: &Path) -> Result<Vec<String>> {
    let ids = criterion::listed(&read(file)?);
    if ids.is_empty() {
        bail!("{}: no line `ID: benchmark`; it is to be what `cargo bench -- --list` prints", file.display());
    }
    Ok(ids)
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| file.display().to_string())
}

/// The results in a folder and below, each in a folder `new`.
fn collect(
    folder: &Path,
    baseline: &str,
    since: SystemTime,
    results: &mut Vec<criterion::Result>,
) -> Result<()> {
    let place = || folder.display().to_string();
    let mut below: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).with_context(place)? {
        let path = entry.with_context(place)?.path();
        if path.is_dir() {
            below.push(path);
        }
    }
    below.sort_unstable();
    for path in below {
        let benchmark = path.join("benchmark.json");
        if !benchmark.is_file() {
            collect(&path, baseline, since, results)?;
        } else if path.ends_with("new") {
            let estimates = path.join("estimates.json");
            let modified = fs::metadata(&estimates).and_then(|file| file.modified());
            let median = |file: &Path| -> Result<f64> {
                Ok(criterion::median(&file.display().to_string(), &read(file)?)?)
            };
            let of_baseline = folder.join(baseline).join("estimates.json");
            results.push(criterion::Result {
                id: criterion::id(&benchmark.display().to_string(), &read(&benchmark)?)?,
                fresh: modified.with_context(|| estimates.display().to_string())? >= since,
                median: median(&estimates)?,
                baseline: of_baseline.is_file().then(|| median(&of_baseline)).transpose()?,
            });
        }
    }
    Ok(())
}
