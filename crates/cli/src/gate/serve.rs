//! `gradchain gate serve`: the program under measurement. `gradchain_gate::time` has the protocol.

use crate::Verdict;
use crate::gate::works::{Prepared, Work, works};
use anyhow::{Context, Result, bail};
use gradchain_arith::Isa;
use gradchain_gate::time::{GREETING, Kind, Reply, Request, Took};
use nix::time::{ClockId, clock_gettime};
use std::any::Any;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Be slower by so many per cent in works whose ids contain the filter, to see that the gate notices
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=100))]
    slow: Option<u32>,
    /// Which works `--slow` slows down; all of them if absent
    #[arg(long, value_name = "FILTER", requires = "slow")]
    only: Option<String>,
}

pub(crate) fn serve(args: &ServeArgs) -> Result<Verdict> {
    let works = works(Isa::choose()?);
    let mut server = Server { args, works, ready: BTreeMap::new() };
    let mut out = io::stdout().lock();
    writeln!(out, "{GREETING}").and_then(|()| out.flush()).context("standard output")?;
    for line in io::stdin().lock().lines() {
        match line.context("standard input")?.parse() {
            Ok(Request::List) => {
                for work in &server.works {
                    writeln!(out, "{}", work.listed)?;
                }
                writeln!(out, "end")?;
            }
            Ok(Request::Run { id, calls }) => writeln!(out, "{}", server.run(&id, calls))?,
            Ok(Request::Quit) => break,
            Err(e) => bail!("standard input: {e}"),
        }
        out.flush().context("standard output")?;
    }
    Ok(Verdict::Passed)
}

struct Server<'a> {
    args: &'a ServeArgs,
    works: Vec<Work>,
    /// Works that have been asked for, made ready once.
    ready: BTreeMap<String, (Kind, Box<dyn Prepared>)>,
}

impl Server<'_> {
    fn run(&mut self, id: &str, calls: u32) -> Reply {
        let Some(work) = self.works.iter().find(|work| work.listed.id == id) else {
            return Reply::Failed(format!("there is no work `{id}`"));
        };
        let slow = self.args.slow.filter(|_| self.args.only.as_deref().is_none_or(|word| id.contains(word)));
        let ready = &mut self.ready;
        let burst = catch_unwind(AssertUnwindSafe(|| {
            let (kind, job) =
                ready.entry(id.to_owned()).or_insert_with(|| (work.listed.kind, (work.prepare)()));
            burst(*kind, job.as_mut(), calls, slow.unwrap_or(0))
        }));
        match burst {
            Ok(Ok(took)) => Reply::Took(took),
            Ok(Err(why)) => Reply::Failed(why),
            Err(panic) => {
                // What a panic leaves behind is not to be measured.
                self.ready.remove(id);
                Reply::Failed(format!("it panicked: {}", message(panic.as_ref())))
            }
        }
    }
}

/// One burst: a call that brings operands and code into the caches, which other processes have used since, and then `calls` calls by the clocks.
fn burst(kind: Kind, job: &mut dyn Prepared, calls: u32, slow: u32) -> Result<Took, String> {
    if kind != Kind::Streaming {
        job.call(1);
    }
    let (wall_before, before) = (Instant::now(), processor_time()?);
    let since = |now: Duration| now.checked_sub(before).ok_or("the clock of the process went backwards");
    gradchain_counted_burst(job, calls);
    let mut cpu = since(processor_time()?)?;
    if slow > 0 {
        let long_enough = cpu + cpu * slow / 100;
        while cpu < long_enough {
            cpu = since(processor_time()?)?;
        }
    }
    let wall = wall_before.elapsed();
    let ns = |time: Duration| u64::try_from(time.as_nanos()).map_err(|_| "a burst of centuries".to_owned());
    Ok(Took { cpu_ns: ns(cpu)?, wall_ns: ns(wall)?, checksum: job.checksum() })
}

/// The calls of a burst: a function by itself, for the name by which `gate count` finds it.
#[inline(never)]
fn gradchain_counted_burst(job: &mut dyn Prepared, calls: u32) {
    job.call(calls);
}

/// Processor time of all threads of this process.
fn processor_time() -> Result<Duration, String> {
    let now = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID);
    now.map(Duration::from).map_err(|e| format!("the clock of the process: {e}"))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
