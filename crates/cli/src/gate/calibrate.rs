//! `gradchain gate calibrate`: this program against itself.

use crate::Verdict;
use crate::gate::programs::Pair;
use crate::gate::server::{Server, processors};
use crate::gate::session::{Session, State};
use crate::gate::time::{MeasureArgs, UNBOUND, limits};
use crate::run::progress;
use crate::table::STYLE;
use anyhow::{Context, Result, bail};
use comfy_table::{CellAlignment, Table};
use gradchain_gate::time::{Effort, Floor, Kind, floor, inventory, median};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub(crate) struct CalibrateArgs {
    /// The program that is measured against itself; this one if absent
    #[arg(long, value_name = "BINARY")]
    program: Option<PathBuf>,
    #[command(flatten)]
    measure: MeasureArgs,
}

/// Respawns, each with as many rounds as a run of the gate has.
const EFFORT: Effort = Effort { respawns: 24, rounds: 24 };

pub(crate) fn calibrate(args: &CalibrateArgs) -> Result<Verdict> {
    let program = match &args.program {
        Some(program) => program.clone(),
        None => std::env::current_exe().context("the file of this program")?,
    };
    let args = &args.measure;
    let name = program.display().to_string();
    let pair = Pair::of_files(&program, &program, [name.clone(), name])?;
    let timeout = Duration::from_secs(args.timeout.into());
    let works = Server::start(&pair.programs[0], None, timeout).and_then(|mut server| server.list());
    let mut works = works.map_err(|trouble| anyhow::anyhow!("{trouble}"))?;
    works.retain(|work| work.kind != Kind::Streaming);
    let works = inventory(&works, &works, &args.ids).common;
    if works.is_empty() {
        bail!("no work has an id that contains {}", args.ids.join(" or "));
    }
    let cpus = processors().unwrap_or_else(|why| {
        let _ = writeln!(
            io::stderr(),
            "gradchain: {why}: processes wander, and all limits are {UNBOUND} times wider"
        );
        Vec::new()
    });
    let budget = Duration::from_secs(args.time_budget.into());
    let session = Session {
        programs: &pair.programs,
        processors: &cpus,
        timeout,
        deadline: Instant::now() + budget,
        seed: args.seed,
    };
    let mut states: Vec<State> = works.into_iter().map(State::new).collect();
    let bar = progress("gate calibrate", EFFORT.respawns, true);
    session.prepare(&mut states);
    let all: Vec<usize> = (0..states.len()).collect();
    let measured = session.stage(1, &mut states, &all, EFFORT, budget, &|| bar.inc(1));
    bar.finish_and_clear();

    let mut table = Table::new();
    let head = ["work", "clock", "ns a call", "noise of a respawn", "of the estimate", "found from"];
    table.load_style(STYLE).set_header(head);
    let family: usize = states.iter().map(|state| state.clocks().len()).sum();
    let mut floors: Vec<Floor> = Vec::new();
    let mut complete = true;
    for (state, series) in states.iter().zip(&measured) {
        for (&clock, series) in state.clocks().iter().zip(series) {
            let limits = limits(state.work.kind, clock, cpus.is_empty(), args);
            let efforts = [Effort::ROUTING, Effort::DECIDING];
            let floor = floor(series, limits, family, efforts, args.seed)
                .filter(|_| state.trouble.is_none() && series.head.len() == EFFORT.respawns);
            let percent = |x: f64| format!("{:.2} %", 100.0 * x);
            let cells = match floor {
                Some(floor) => {
                    floors.push(floor);
                    [
                        percent(floor.respawn),
                        percent(floor.estimate),
                        floor.found.map_or("nothing up to 50 %".to_owned(), percent),
                    ]
                }
                None => {
                    complete = false;
                    let why = match &state.trouble {
                        Some((role, trouble)) => format!("{role}: {trouble}"),
                        None => format!("{} respawns in the given time", series.head.len()),
                    };
                    ["-".to_owned(), "-".to_owned(), why]
                }
            };
            let ns = state.nanoseconds()[0].map_or_else(String::new, |ns| format!("{ns:.1}"));
            table.add_row([&[state.work.id.clone(), clock.to_string(), ns], &cells[..]].concat());
        }
    }
    for column in 2..head.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    writeln!(io::stdout(), "{}\n{}", table.trim_fmt(), summary(&floors, family))?;
    Ok(if complete { Verdict::Passed } else { Verdict::Incomplete })
}

fn summary(floors: &[Floor], family: usize) -> String {
    let estimates: Vec<f64> = floors.iter().map(|floor| 100.0 * floor.estimate).collect();
    let found: Vec<f64> = floors.iter().map(|floor| 100.0 * floor.found.unwrap_or(f64::INFINITY)).collect();
    let worst = |x: &[f64]| x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (Some(middle), Some(middle_found)) = (median(&estimates), median(&found)) else {
        return "nothing was measured".to_owned();
    };
    format!(
        "{family} tests: the estimate of the first stage has a standard deviation of {middle:.2} % in the median and {:.2} % at worst; \
         `gate time` finds slowdowns from {middle_found:.1} % in the median test and {:.1} % in the worst, 19 times of 20",
        worst(&estimates),
        worst(&found),
    )
}
