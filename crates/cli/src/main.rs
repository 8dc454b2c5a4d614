//! The gradchain program: the only crate that touches files, arguments and the terminal.
//!
//! Exit codes: 0 all well; 1 a check failed; 2 usage or input error; 3 incomplete, resumable.

mod args;
mod gate;
mod list;
mod manual;
mod merge;
mod output;
mod parts;
mod plan;
mod printer;
mod report;
mod run;
mod sidecar;
mod slurm;
mod status;
mod studies;
mod table;

use args::{Args, Command};
use clap::Parser;
use std::io::{self, Write};
use std::process::ExitCode;

/// How a command that did its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    Incomplete,
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(e) if !e.use_stderr() => {
            // Help and version; a reader that has closed the pipe has seen enough.
            let _ = e.print();
            return ExitCode::SUCCESS;
        }
        Err(e) => {
            let _ = write!(io::stderr(), "gradchain: {e}");
            return ExitCode::from(2);
        }
    };
    let result = match &args.command {
        Command::Run(args) => run::run(args),
        Command::Plan(args) => plan::plan(args),
        Command::Status(args) => status::status(args),
        Command::Merge(args) => merge::merge(args),
        Command::List => list::list(),
        Command::Check(args) => gate::check(args),
        Command::Gate(command) => gate::gate(command),
        Command::Report(args) => report::report(args),
        Command::Info => list::info(),
        Command::Schema => list::schema(),
        Command::Completions(args) => manual::completions(args),
        Command::Man(args) => manual::man(args),
    };
    match result {
        Ok(Verdict::Passed) => ExitCode::SUCCESS,
        Ok(Verdict::Failed) => ExitCode::from(1),
        Ok(Verdict::Incomplete) => ExitCode::from(3),
        Err(e) if is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(io::stderr(), "gradchain: error: {e:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether the reader of the output has gone away: then nothing is left to say.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
