//! `gradchain gate`: verdicts with an exit code.
//!
//! Each subcommand has a file of its own, which measures or reads what `gradchain_gate` judges; [`outputs`] tells the verdicts.

mod baseline;
mod bless;
mod calibrate;
mod count;
mod criterion;
mod drift;
mod experiment;
mod outputs;
mod programs;
mod ratios;
mod schema;
mod serve;
mod server;
mod session;
mod time;
mod works;

pub(crate) use drift::check;

use crate::Verdict;
use anyhow::Result;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum GateCommand {
    /// Measure the committed studies again and judge every cell: exact
    Drift(drift::DriftArgs),
    /// Measure studies, make their rows the baseline, and keep the reason beside it
    Bless(bless::BlessArgs),
    /// Judge the time of two revisions, in pairs
    Time(time::TimeArgs),
    /// Tell the noise of this machine, and the slowdown that `gate time` finds on it
    Calibrate(calibrate::CalibrateArgs),
    /// Judge ratios within one run against stated ranges
    Ratios(ratios::RatiosArgs),
    /// Judge instructions of two revisions, where valgrind is
    Count(count::CountArgs),
    /// Tell the fresh results of `cargo bench`, and demand that none is missing or stale
    Criterion(criterion::CriterionArgs),
    /// Describe the files that the gates write, as a JSON schema
    Schema,
    /// Time benches on demand for `gate time`: requests on standard input, times on standard output
    #[command(hide = true)]
    Serve(serve::ServeArgs),
    /// Run the time gate many times, beside busy processes, on a program and itself, or itself slowed down
    #[command(hide = true)]
    Experiment(experiment::ExperimentArgs),
}

pub(crate) fn gate(command: &GateCommand) -> Result<Verdict> {
    match command {
        GateCommand::Drift(args) => drift::drift(args),
        GateCommand::Bless(args) => bless::bless(args),
        GateCommand::Time(args) => time::time(args),
        GateCommand::Calibrate(args) => calibrate::calibrate(args),
        GateCommand::Ratios(args) => ratios::ratios(args),
        GateCommand::Count(args) => count::count(args),
        GateCommand::Criterion(args) => criterion::criterion(args),
        GateCommand::Schema => schema::schema(),
        GateCommand::Serve(args) => serve::serve(args),
        GateCommand::Experiment(args) => experiment::experiment(args),
    }
}
