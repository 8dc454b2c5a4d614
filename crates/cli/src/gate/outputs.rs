//! Where the report of a gate goes: the terminal, and the files that were asked for.

use crate::Verdict;
use anyhow::{Context, Result, bail};
use gradchain_gate::{self as gate, Finding, Gate, GateReport, History, Outcome, Run};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

/// The outputs of every gate; flatten it into the arguments of a subcommand.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct OutputArgs {
    /// Write the report as JSON (see `gradchain gate schema`)
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the report as Markdown, for a pull request
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Write the report as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Print annotations for GitHub Actions after the table
    #[arg(long)]
    pub(crate) github: bool,
    /// Write the report as a page, complete in itself
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Append this run to FILE (JSON Lines); the page shows the runs in it
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,
}

/// Outputs that can be written. They are opened before anything is measured, so that no measurement is lost to a wrong path, and emptied, so that
/// nobody takes the report of an earlier run for this one's.
pub(crate) struct Outputs<'a> {
    args: &'a OutputArgs,
    history: History,
}

impl<'a> Outputs<'a> {
    /// Opens every file that was asked for, and reads the history.
    pub(crate) fn open(args: &'a OutputArgs) -> Result<Outputs<'a>> {
        let files = [&args.json, &args.markdown, &args.junit, &args.html];
        let files: Vec<&Path> = files.into_iter().flatten().map(PathBuf::as_path).collect();
        let all: Vec<&Path> = files.iter().copied().chain(args.history.as_deref()).collect();
        for (i, path) in all.iter().enumerate() {
            if all[..i].contains(path) {
                bail!("{}: two outputs cannot be one file", path.display());
            }
        }
        let mut history = History::default();
        if let Some(path) = &args.history {
            let place = || path.display().to_string();
            let text = match fs::read_to_string(path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
                text => text.with_context(place)?,
            };
            history = History::read(&text).map_err(anyhow::Error::msg).with_context(place)?;
            OpenOptions::new().append(true).create(true).open(path).with_context(place)?;
        }
        for path in files {
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(Outputs { args, history })
    }

    /// Tells the report everywhere, and gives the verdict of the program; an error if the input allowed none.
    pub(crate) fn tell(mut self, report: &GateReport) -> Result<Verdict> {
        self.write(report)?;
        let mut text = gate::terminal(report);
        if self.args.github {
            text += &gate::github(report);
        }
        say(&text)?;
        Ok(match report.outcome() {
            Outcome::Passed => Verdict::Passed,
            Outcome::Failed => Verdict::Failed,
            Outcome::Incomplete => Verdict::Incomplete,
            Outcome::Unusable => bail!("{}", first_unusable(report)),
        })
    }

    /// [`Outputs::tell`] for a report that may have failed: an error is told as a report that has no verdict, and is the error of the program, for what
    /// reads the files must not find nothing in them.
    pub(crate) fn finish(mut self, gate: Gate, report: Result<GateReport>) -> Result<Verdict> {
        let error = match report {
            Ok(report) => return self.tell(&report),
            Err(error) => error,
        };
        let report = unusable(gate, format!("{error:#}"));
        self.write(&report)?;
        if self.args.github {
            say(&gate::github(&report))?;
        }
        Err(error)
    }

    fn write(&mut self, report: &GateReport) -> Result<()> {
        let write = |path: &Option<PathBuf>, text: String| match path {
            Some(path) => fs::write(path, text).with_context(|| format!("cannot write {}", path.display())),
            None => Ok(()),
        };
        write(&self.args.json, gate::json(report))?;
        write(&self.args.markdown, gate::markdown(report))?;
        write(&self.args.junit, gate::junit(report))?;
        // A run without a verdict measured nothing that a history could follow.
        if report.outcome() != Outcome::Unusable {
            let line = self.history.append(report);
            if let Some(path) = &self.args.history {
                let place = || path.display().to_string();
                let mut file = OpenOptions::new().append(true).create(true).open(path).with_context(place)?;
                file.write_all(line.as_bytes()).with_context(place)?;
            }
        }
        if self.args.html.is_some() {
            write(&self.args.html, gate::page(report, &self.history))?;
        }
        Ok(())
    }
}

fn first_unusable(report: &GateReport) -> &str {
    let unusable = report.findings.iter().find(|finding| finding.verdict == gate::Verdict::Unusable);
    unusable.map_or("the input allows no verdict", |finding| &finding.message)
}

fn unusable(gate: Gate, message: String) -> GateReport {
    let finding = Finding {
        group: "gate".to_owned(),
        id: "input".to_owned(),
        label: String::new(),
        verdict: gate::Verdict::Unusable,
        message,
        place: None,
        figures: Vec::new(),
        level: None,
    };
    GateReport { gate, run: this_run(Path::new(".")), findings: vec![finding], notes: Vec::new() }
}

/// When and on what the gate runs; the revision is that of the repository in which `directory` lies, with a `+` where files differ from it.
pub(crate) fn this_run(directory: &Path) -> Run {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(directory).args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
        let output = command.output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let revision = git(&["rev-parse", "--short=12", "HEAD"]).filter(|revision| !revision.is_empty());
    let changed =
        || git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|files| !files.is_empty());
    Run {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: revision.map(|revision| if changed() { revision + "+" } else { revision }),
        at: Some(humantime::format_rfc3339_seconds(SystemTime::now()).to_string()),
    }
}

/// Prints text. A reader that has gone away must not change the verdict.
pub(crate) fn say(text: &str) -> Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("standard output"),
    }
}
