//! `gradchain gate serve`: the program under measurement. `gradchain_gate::time` has the protocol.

use crate::Verdict;
use crate::gate::works::{Prepared, Work, works};
use anyhow::{Context, Result, bail};
use gradchain_arith::Isa;
use gradchain_gate::time::{GREETING, Kind, Reply, Request, Took};
use nix::time::{ClockId, clock_gettime};
use std::any::Any;
use std::collections::BTreeMap;
use std::hint::black_box;
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
    ready: BTreeMap<String, Ready>,
}

/// A work in several places of memory, each with a depth of the stack of its own. Where operands and stack lie decides about per cents, and a burst that
/// goes through several places depends less on the luck of each.
struct Ready {
    kind: Kind,
    places: Vec<Box<dyn Prepared>>,
    /// The place that the next burst begins with.
    next: usize,
}

impl Ready {
    /// Places of a work on one processor; on several, bursts are a call or two, and streamed works take too much memory.
    const PLACES: usize = 4;

    fn new(work: &Work) -> Ready {
        let kind = work.listed.kind;
        let places = if kind == Kind::Pinned { Ready::PLACES } else { 1 };
        Ready { kind, places: (0..places).map(|_| (work.prepare)()).collect(), next: 0 }
    }
}

impl Server<'_> {
    fn run(&mut self, id: &str, calls: u32) -> Reply {
        let Some(work) = self.works.iter().find(|work| work.listed.id == id) else {
            return Reply::Failed(format!("there is no work `{id}`"));
        };
        let slow = self.args.slow.filter(|_| self.args.only.as_deref().is_none_or(|word| id.contains(word)));
        let ready = &mut self.ready;
        let burst = catch_unwind(AssertUnwindSafe(|| {
            let ready = ready.entry(id.to_owned()).or_insert_with(|| Ready::new(work));
            burst(ready, calls, slow.unwrap_or(0))
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

/// One burst: `calls` calls by the clocks, shared out among the places of the work. In each place a call goes before that brings operands and code into
/// the caches, which other processes have used since.
fn burst(ready: &mut Ready, calls: u32, slow: u32) -> Result<Took, String> {
    let (mut cpu, mut wall) = (Duration::ZERO, Duration::ZERO);
    let mut checksum = 0;
    let parts = calls.min(ready.places.len() as u32);
    for part in 0..parts {
        let place = ready.next;
        ready.next = (place + 1) % ready.places.len();
        let job = ready.places[place].as_mut();
        if ready.kind != Kind::Streaming {
            job.call(1);
        }
        let (wall_before, before) = (Instant::now(), processor_time()?);
        let share = calls / parts + u32::from(part < calls % parts);
        match place {
            0 => deeper::<16>(job, share),
            1 => deeper::<32>(job, share),
            2 => deeper::<48>(job, share),
            _ => deeper::<64>(job, share),
        }
        cpu += since(before)?;
        wall += wall_before.elapsed();
        checksum = job.checksum();
    }
    if slow > 0 {
        let (wall_before, before) = (Instant::now(), processor_time()?);
        let longer = cpu * slow / 100;
        let mut waited = Duration::ZERO;
        while waited < longer {
            waited = since(before)?;
        }
        cpu += waited;
        wall += wall_before.elapsed();
    }
    let ns = |time: Duration| u64::try_from(time.as_nanos()).map_err(|_| "a burst of centuries".to_owned());
    Ok(Took { cpu_ns: ns(cpu)?, wall_ns: ns(wall)?, checksum })
}

/// Processor time since `before`.
fn since(before: Duration) -> Result<Duration, String> {
    processor_time()?.checked_sub(before).ok_or_else(|| "the clock of the process went backwards".to_owned())
}

/// A burst so many bytes further down the stack. A process begins its stack at any multiple of 16 bytes, and code whose vectors on the stack cross cache
/// lines is slower by a tenth: luck of the process, which all of its calls would share.
#[inline(never)]
fn deeper<const BYTES: usize>(job: &mut dyn Prepared, calls: u32) {
    let space = black_box([0_u8; BYTES]);
    gradchain_counted_burst(job, calls);
    black_box(&space);
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
