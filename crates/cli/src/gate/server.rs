//! A process under measurement, from outside: started, asked, watched, ended.

use gradchain_gate::time::{GREETING, Listed, Reply, Request, Took, listing};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::fmt;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A program that can be measured.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// `base`, `copy` or `head`.
    pub(crate) role: &'static str,
    /// The program.
    pub(crate) source: PathBuf,
    /// The copy of it that is run.
    pub(crate) path: PathBuf,
    /// Arguments after `gate serve`: slowdowns of an experiment.
    pub(crate) arguments: Vec<String>,
}

/// Why a process gave no measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The process does not start, or is no `gate serve`.
    NoServer(String),
    /// No answer in this time: it was killed.
    Hung(Duration),
    /// The process ended by itself; how, and the last it said.
    Died(String),
    /// An answer that is none.
    Garbled(String),
    /// It said that it could not measure.
    Failed(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::NoServer(why) => write!(f, "it cannot be measured: {why}"),
            Trouble::Hung(after) => {
                write!(f, "it hung: no answer in {} s, and was killed", after.as_secs_f64())
            }
            Trouble::Died(how) => write!(f, "its process died: {how}"),
            Trouble::Garbled(why) => write!(f, "its answer {why}"),
            Trouble::Failed(why) => f.write_str(why),
        }
    }
}

/// A running program. It is killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    /// What has been read beyond the last line.
    pending: Vec<u8>,
    timeout: Duration,
}

impl Server {
    /// Starts a program, on one processor if that is asked for.
    pub(crate) fn start(program: &Program, cpu: Option<usize>, timeout: Duration) -> Result<Server, Trouble> {
        let no_server = |why: String| Trouble::NoServer(format!("{}: {why}", program.path.display()));
        let mut command = Command::new(&program.path);
        command.args(["gate", "serve"]).args(&program.arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| no_server(e.to_string()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("both are piped")
        };
        let mut server = Server { child, input, output, pending: Vec::new(), timeout };
        if let Some(cpu) = cpu {
            pin(server.child.id(), cpu).map_err(|e| no_server(format!("processor {cpu}: {e}")))?;
        }
        match server.line() {
            Ok(line) if line == GREETING => Ok(server),
            Ok(line) => Err(no_server(format!("it said `{line}` and not `{GREETING}`"))),
            Err(Trouble::Died(how)) => {
                Err(no_server(format!("it is no gradchain with `gate serve`, or an old one: {how}")))
            }
            Err(other) => Err(no_server(other.to_string())),
        }
    }

    /// The works that it offers.
    pub(crate) fn list(&mut self) -> Result<Vec<Listed>, Trouble> {
        self.ask(&Request::List)?;
        let mut works = Vec::new();
        loop {
            match listing(&self.line()?) {
                Ok(Some(work)) => works.push(work),
                Ok(None) => return Ok(works),
                Err(e) => return Err(Trouble::Garbled(e.to_string())),
            }
        }
    }

    /// One burst.
    pub(crate) fn run(&mut self, id: &str, calls: u32) -> Result<Took, Trouble> {
        self.ask(&Request::Run { id: id.to_owned(), calls })?;
        match self.line()?.parse() {
            Ok(Reply::Took(took)) => Ok(took),
            Ok(Reply::Failed(why)) => Err(Trouble::Failed(why)),
            Err(e) => Err(Trouble::Garbled(format!("{e}"))),
        }
    }

    fn ask(&mut self, request: &Request) -> Result<(), Trouble> {
        // One write, so that one read on the other side has all of it.
        let line = format!("{request}\n");
        match self.input.write_all(line.as_bytes()) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.died()),
        }
    }

    /// The next line that the process says.
    fn line(&mut self) -> Result<String, Trouble> {
        /// No line of the protocol comes near.
        const LONGEST: usize = 1 << 16;
        let deadline = Instant::now() + self.timeout;
        loop {
            if let Some(end) = self.pending.iter().position(|&byte| byte == b'\n') {
                let rest = self.pending.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.pending, rest);
                line.truncate(end);
                return String::from_utf8(line).map_err(|_| Trouble::Garbled("is not text".to_owned()));
            }
            if self.pending.len() > LONGEST {
                return Err(Trouble::Garbled(format!("is a line of more than {LONGEST} bytes")));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let wait = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.output.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, wait) {
                Ok(0) if left.is_zero() || Instant::now() >= deadline => {
                    let _ = self.child.kill();
                    return Err(Trouble::Hung(self.timeout));
                }
                Ok(0) | Err(nix::Error::EINTR) => continue,
                Ok(_) => {}
                Err(e) => return Err(Trouble::Died(format!("its output cannot be waited for: {e}"))),
            }
            let mut buffer = [0; 4096];
            match self.output.read(&mut buffer) {
                Ok(0) => return Err(self.died()),
                Ok(n) => self.pending.extend_from_slice(&buffer[..n]),
                Err(e) => return Err(Trouble::Died(format!("its output cannot be read: {e}"))),
            }
        }
    }

    /// How a process ended that is heard no more, with the last line of its standard error.
    fn died(&mut self) -> Trouble {
        let _ = self.child.kill();
        let how = self.child.wait().map_or_else(|e| e.to_string(), |status| status.to_string());
        // A grandchild may hold the other end open: what is there is read, and nothing is waited for.
        let mut said = Vec::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let mut buffer = [0; 4096];
            loop {
                let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLIN)];
                match poll(&mut fds, PollTimeout::ZERO) {
                    Ok(n) if n > 0 => {}
                    _ => break,
                }
                match stderr.read(&mut buffer) {
                    Ok(n) if n > 0 => said.extend_from_slice(&buffer[..n]),
                    _ => break,
                }
            }
        }
        let said = String::from_utf8_lossy(&said);
        match said.lines().rev().find(|line| !line.trim().is_empty()) {
            Some(last) => Trouble::Died(format!("{how}: {last}")),
            None => Trouble::Died(how),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Binds a process to a processor.
fn pin(process: u32, cpu: usize) -> nix::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(i32::try_from(process).map_err(|_| nix::Error::ESRCH)?), &set)
}

/// The processors that this process may use, if it can bind processes to each of them; otherwise why not.
pub(crate) fn processors() -> Result<Vec<usize>, String> {
    let own = Pid::from_raw(0);
    let allowed =
        sched_getaffinity(own).map_err(|e| format!("the processors of this process are not told: {e}"))?;
    let cpus: Vec<usize> = (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false)).collect();
    // Tried on this thread, and undone.
    for &cpu in &cpus {
        let mut one = CpuSet::new();
        let bound = one.set(cpu).and_then(|()| sched_setaffinity(own, &one));
        let undone = sched_setaffinity(own, &allowed);
        bound.and(undone).map_err(|e| format!("binding to processor {cpu} is not permitted: {e}"))?;
    }
    if cpus.is_empty() { Err("no processor is allowed to this process".to_owned()) } else { Ok(cpus) }
}

/// A copy of a program, in a new file, whose pages lie elsewhere in memory.
pub(crate) fn copied(program: &Path, to: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(to) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    // A hard link or a clone of the blocks would share what is to differ: the pages of the file in memory.
    let bytes = std::fs::read(program)?;
    std::fs::write(to, bytes)?;
    std::fs::set_permissions(to, std::fs::metadata(program)?.permissions())
}
