//! Measuring: processes are started, run in turn, and started again.

use crate::gate::server::{Program, Server, Trouble, copied};
use gradchain_gate::time::{Clock, Effort, Kind, Listed, Round, Schedule, Series, Took, median, medians};
use std::time::{Duration, Instant};

/// The length of a burst that is aimed at: long beside the clocks, and short beside what the machine does to a process meanwhile.
const BURST_NS: u64 = 60_000;
/// The most calls in a burst: a work that takes no time at all is a mistake, and not to be called for ever.
const MOST_CALLS: u64 = 1 << 20;

/// The three programs: the base, its copy, the head.
pub(crate) type Programs = [Program; 3];

/// How everything is measured.
pub(crate) struct Session<'a> {
    pub(crate) programs: &'a Programs,
    /// The processors to bind to, one a respawn in turn; none where binding is not permitted.
    pub(crate) processors: &'a [usize],
    /// The longest that a burst may take before its process is killed.
    pub(crate) timeout: Duration,
    /// When measuring ends, whatever is still to be done.
    pub(crate) deadline: Instant,
    pub(crate) seed: u64,
}

/// A work, and what is known of it.
pub(crate) struct State {
    pub(crate) work: Listed,
    /// Calls in a burst.
    calls: u32,
    /// Seconds that a round takes, with everything around it.
    round: f64,
    /// Why it was given up, and by which program.
    pub(crate) trouble: Option<(&'static str, Trouble)>,
    /// The checksums of the three programs.
    checksums: [Option<u64>; 3],
    /// Nanoseconds of processor time a call, of the base and of the head: the median of each respawn.
    ns: [Vec<f64>; 2],
}

impl State {
    pub(crate) fn new(work: Listed) -> State {
        State {
            work,
            calls: 1,
            round: 0.0,
            trouble: None,
            checksums: [None; 3],
            ns: [Vec::new(), Vec::new()],
        }
    }

    /// The clocks that it is judged by.
    pub(crate) fn clocks(&self) -> &'static [Clock] {
        match self.work.kind {
            Kind::Pinned | Kind::Streaming => &[Clock::Cpu],
            Kind::Threaded => &[Clock::Cpu, Clock::Wall],
        }
    }

    /// Whether base and head gave the same result; not known before both did.
    pub(crate) fn same_result(&self) -> Option<bool> {
        Some(self.checksums[0]? == self.checksums[2]?)
    }

    /// Nanoseconds a call, of the base and of the head.
    pub(crate) fn nanoseconds(&self) -> [Option<f64>; 2] {
        [median(&self.ns[0]), median(&self.ns[1])]
    }

    /// Remembers a checksum: the result of a program must be a function of the work alone.
    fn check(&mut self, program: usize, took: Took) -> Result<(), Trouble> {
        let before = self.checksums[program].replace(took.checksum);
        let [base, copy, _] = self.checksums;
        let differs = |a: Option<u64>, b: Option<u64>| a.is_some() && b.is_some() && a != b;
        if differs(before, Some(took.checksum)) || differs(base, copy) {
            let why = "its result differs from burst to burst: it is no function of the work";
            return Err(Trouble::Failed(why.to_owned()));
        }
        Ok(())
    }

    fn note(&mut self, rounds: &[Round]) {
        let calls = f64::from(self.calls);
        for (ns, took) in self.ns.iter_mut().zip([|round: &Round| round.base, |round: &Round| round.head]) {
            let times: Vec<f64> = rounds.iter().map(|round| took(round).cpu_ns as f64 / calls).collect();
            ns.extend(median(&times));
        }
    }
}

/// A set of processes that live and end together. Without an entry: they are to be started.
struct Respawn {
    cpu: Option<usize>,
    /// In which they are started: the first finds another memory than the last.
    order: [usize; 3],
    servers: Option<[Server; 3]>,
}

impl Session<'_> {
    /// Starts the three programs, in the given order.
    fn spawn(&self, cpu: Option<usize>, order: [usize; 3]) -> Result<[Server; 3], (&'static str, Trouble)> {
        let start = |program: &Program| {
            // Where the pages of a file lie in memory is luck, too, and lasts as long as the file.
            copied(&program.source, &program.path)
                .map_err(|e| Trouble::NoServer(format!("{}: {e}", program.path.display())))
                .and_then(|()| Server::start(program, cpu, self.timeout))
                .map_err(|trouble| (program.role, trouble))
        };
        let mut servers = [None, None, None];
        for at in order {
            servers[at] = Some(start(&self.programs[at])?);
        }
        let [Some(base), Some(copy), Some(head)] = servers else { unreachable!("an order has all three") };
        Ok([base, copy, head])
    }

    fn processor(&self, kind: Kind, respawn: usize) -> Option<usize> {
        match kind {
            Kind::Pinned | Kind::Streaming if !self.processors.is_empty() => {
                Some(self.processors[respawn % self.processors.len()])
            }
            Kind::Pinned | Kind::Streaming | Kind::Threaded => None,
        }
    }

    /// Finds out how many calls make a burst, and how long a round takes. Works that cannot be measured are given up here.
    pub(crate) fn prepare(&self, states: &mut [State]) {
        for kind in [Kind::Pinned, Kind::Threaded, Kind::Streaming] {
            let mut respawn = Respawn { cpu: self.processor(kind, 0), order: [0, 1, 2], servers: None };
            for state in states.iter_mut().filter(|state| state.work.kind == kind) {
                self.attempt(&mut respawn, state, |servers, state| {
                    state.calls = calls(&mut servers[0], &state.work.id).map_err(|trouble| (0, trouble))?;
                    // The median: a process that is made to wait once must not cost its work most of its rounds.
                    let mut seconds = [0.0; 3];
                    for seconds in &mut seconds {
                        let began = Instant::now();
                        round(servers, state, [0, 1, 2])?;
                        *seconds = began.elapsed().as_secs_f64();
                    }
                    state.round = median(&seconds).unwrap_or(0.0);
                    Ok(())
                });
            }
        }
    }

    /// One stage: respawn after respawn, each work of `which` in so many rounds. Gives the series of each clock of each of them, shorter than `effort` says
    /// where time ran out, or empty where the work was given up. `step` is called after each respawn.
    pub(crate) fn stage(
        &self,
        number: u64,
        states: &mut [State],
        which: &[usize],
        effort: Effort,
        budget: Duration,
        step: &dyn Fn(),
    ) -> Vec<Vec<Series>> {
        let mut schedule = Schedule::new(self.seed, number);
        let mut series: Vec<Vec<Series>> =
            which.iter().map(|&i| vec![Series::default(); states[i].clocks().len()]).collect();
        let share = budget.as_secs_f64() / which.len().max(1) as f64;
        for number in 0..effort.respawns {
            for kind in [Kind::Pinned, Kind::Threaded, Kind::Streaming] {
                let mut order: Vec<usize> =
                    (0..which.len()).filter(|&at| states[which[at]].work.kind == kind).collect();
                schedule.shuffle(&mut order);
                let mut starts = [0, 1, 2];
                schedule.shuffle(&mut starts);
                let mut respawn = Respawn { cpu: self.processor(kind, number), order: starts, servers: None };
                for at in order {
                    if Instant::now() >= self.deadline {
                        return series;
                    }
                    let state = &mut states[which[at]];
                    let rounds = effort.within(share, state.round).rounds;
                    let mut measured = Vec::with_capacity(rounds);
                    self.attempt(&mut respawn, state, |servers, state| {
                        for _ in 0..rounds {
                            let mut order = [0, 1, 2];
                            schedule.shuffle(&mut order);
                            measured.push(round(servers, state, order)?);
                        }
                        Ok(())
                    });
                    if state.trouble.is_some() {
                        continue;
                    }
                    state.note(&measured);
                    for (series, &clock) in series[at].iter_mut().zip(state.clocks()) {
                        match medians(&measured, clock) {
                            Ok((head, null)) => series.push(head, null),
                            Err(e) => state.trouble = Some(("clock", Trouble::Failed(e.to_string()))),
                        }
                    }
                }
            }
            step();
        }
        series
    }

    /// Does `what` with the processes of a respawn, which it starts if there are none. What goes wrong is the work's end, and that of the processes if one of
    /// them can no longer be relied on.
    fn attempt(
        &self,
        respawn: &mut Respawn,
        state: &mut State,
        what: impl FnOnce(&mut [Server; 3], &mut State) -> Result<(), (usize, Trouble)>,
    ) {
        if state.trouble.is_some() {
            return;
        }
        if respawn.servers.is_none() {
            match self.spawn(respawn.cpu, respawn.order) {
                Ok(servers) => respawn.servers = Some(servers),
                Err(trouble) => {
                    state.trouble = Some(trouble);
                    return;
                }
            }
        }
        let Some(servers) = &mut respawn.servers else { return };
        if let Err((program, trouble)) = what(servers, state) {
            if !matches!(trouble, Trouble::Failed(_)) {
                respawn.servers = None;
            }
            state.trouble = Some((self.programs[program].role, trouble));
        }
    }
}

/// How many calls of a work make a burst.
pub(crate) fn calls(server: &mut Server, id: &str) -> Result<u32, Trouble> {
    let mut calls = 1;
    // A single call is timed with the cost of the clocks; the second look is at a burst.
    for _ in 0..2 {
        let ns = server.run(id, calls)?.cpu_ns.max(1);
        calls = (u64::from(calls) * BURST_NS / ns).clamp(1, MOST_CALLS) as u32;
    }
    Ok(calls)
}

/// One burst of each program, in the given order.
fn round(servers: &mut [Server; 3], state: &mut State, order: [usize; 3]) -> Result<Round, (usize, Trouble)> {
    let mut took = [Took { cpu_ns: 0, wall_ns: 0, checksum: 0 }; 3];
    for program in order {
        let burst =
            servers[program].run(&state.work.id, state.calls).map_err(|trouble| (program, trouble))?;
        state.check(program, burst).map_err(|trouble| (program, trouble))?;
        took[program] = burst;
    }
    let [base, copy, head] = took;
    Ok(Round { base, copy, head })
}
