//! What is said between the gate and a program under measurement, a line at a time.
//!
//! ```text
//! program:  gradchain-serve 1
//! gate:     list
//! program:  work step/backward/f16/wide/128 pinned 16384
//! program:  end
//! gate:     run step/backward/f16/wide/128 25
//! program:  took 60123 60180 00000000deadbeef
//! program:  failed it panicked: index out of bounds
//! ```
//!
//! `took` gives nanoseconds of processor time, nanoseconds that passed, and a checksum of the result, which does not depend on the number of calls.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The first line of a program that can be measured.
pub const GREETING: &str = "gradchain-serve 1";

/// How a work is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On one processor.
    Pinned,
    /// On all processors, by processor time and by the time that passes.
    Threaded,
    /// On one processor and only for ratios: it needs too much memory and time to be repeated often.
    Streaming,
}

impl Kind {
    const NAMED: [(&'static str, Kind); 3] =
        [("pinned", Kind::Pinned), ("threaded", Kind::Threaded), ("streaming", Kind::Streaming)];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Kind::NAMED.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// A work that a program offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name, without spaces: `step/backward/f16/wide/128`.
    pub id: String,
    /// How it is measured.
    pub kind: Kind,
    /// Numbers that one call goes through, for speeds.
    pub elements: u64,
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "work {} {} {}", self.id, self.kind, self.elements)
    }
}

/// What a burst took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Took {
    /// Nanoseconds of processor time, of all threads of the process.
    pub cpu_ns: u64,
    /// Nanoseconds that passed.
    pub wall_ns: u64,
    /// A checksum of the result.
    pub checksum: u64,
}

/// What the gate asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Which works are there?
    List,
    /// Call a work so many times in one burst.
    Run {
        /// The work.
        id: String,
        /// Calls.
        calls: u32,
    },
    /// End.
    Quit,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::List => f.write_str("list"),
            Request::Run { id, calls } => write!(f, "run {id} {calls}"),
            Request::Quit => f.write_str("quit"),
        }
    }
}

/// The answer to `run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was measured.
    Took(Took),
    /// It was not, and why.
    Failed(String),
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Took(Took { cpu_ns, wall_ns, checksum }) => {
                write!(f, "took {cpu_ns} {wall_ns} {checksum:016x}")
            }
            // A message of several lines would be taken for several answers.
            Reply::Failed(why) => write!(f, "failed {}", why.replace(['\n', '\r'], " ")),
        }
    }
}

/// A line that is none of the protocol.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{line}` is not understood; expected {expected}")]
pub struct ProtocolError {
    /// The line, shortened.
    pub line: String,
    /// What would have been understood.
    pub expected: &'static str,
}

impl ProtocolError {
    fn new(line: &str, expected: &'static str) -> ProtocolError {
        const SHOWN: usize = 200;
        ProtocolError { line: line.chars().take(SHOWN).collect(), expected }
    }
}

impl FromStr for Request {
    type Err = ProtocolError;

    fn from_str(line: &str) -> Result<Request, ProtocolError> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["list"] => Some(Request::List),
            ["quit"] => Some(Request::Quit),
            ["run", id, calls] => calls
                .parse()
                .ok()
                .filter(|&calls| calls > 0)
                .map(|calls| Request::Run { id: id.to_owned(), calls }),
            _ => None,
        }
        .ok_or_else(|| ProtocolError::new(line, "`list`, `run ID CALLS` or `quit`"))
    }
}

impl FromStr for Reply {
    type Err = ProtocolError;

    fn from_str(line: &str) -> Result<Reply, ProtocolError> {
        if let Some(why) = line.strip_prefix("failed ") {
            return Ok(Reply::Failed(why.to_owned()));
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["took", cpu_ns, wall_ns, checksum] => {
                match (cpu_ns.parse(), wall_ns.parse(), u64::from_str_radix(checksum, 16)) {
                    (Ok(cpu_ns), Ok(wall_ns), Ok(checksum)) => {
                        Some(Reply::Took(Took { cpu_ns, wall_ns, checksum }))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
        .ok_or_else(|| ProtocolError::new(line, "`took CPU_NS WALL_NS CHECKSUM` or `failed WHY`"))
    }
}

/// One line of the answer to `list`: a work, or `None` for the end of the list.
///
/// # Errors
/// If the line is neither.
pub fn listing(line: &str) -> Result<Option<Listed>, ProtocolError> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["end"] => Some(None),
        ["work", id, kind, elements] => {
            let kind = Kind::NAMED.iter().find(|(name, _)| *name == kind).map(|&(_, kind)| kind);
            kind.zip(elements.parse().ok())
                .map(|(kind, elements)| Some(Listed { id: id.to_owned(), kind, elements }))
        }
        _ => None,
    }
    .ok_or_else(|| ProtocolError::new(line, "`work ID pinned|threaded|streaming ELEMENTS` or `end`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        for request in [Request::List, Request::Quit, Request::Run { id: "a/b".into(), calls: 7 }] {
            assert_eq!(request.to_string().parse(), Ok(request));
        }
        let took = Reply::Took(Took { cpu_ns: 1, wall_ns: u64::MAX, checksum: 0xfedc_ba98_7654_3210 });
        for reply in [took, Reply::Failed("it panicked: no".into())] {
            assert_eq!(reply.to_string().parse(), Ok(reply));
        }
        for (_, kind) in Kind::NAMED {
            let listed = Listed { id: "x".into(), kind, elements: 3 };
            assert_eq!(listing(&listed.to_string()), Ok(Some(listed)));
        }
        assert_eq!(listing("end"), Ok(None));
    }

    #[test]
    fn a_message_stays_one_line() {
        assert_eq!(Reply::Failed("a\nb\r\nc".into()).to_string(), "failed a b  c");
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for line in
            ["", "lists", "run", "run a", "run a 0", "run a -1", "run a b", "run a 1 2", "run a 5000000000"]
        {
            assert_eq!(line.parse::<Request>().unwrap_err().line, line);
        }
        // A clock that goes backwards would be a negative time.
        for line in [
            "",
            "took",
            "took 1 2",
            "took -1 2 3",
            "took 1.5 2 3",
            "took 1 2 xyz",
            "took 1 2 3 4",
            "took nan 1 1",
        ] {
            assert_eq!(line.parse::<Reply>().unwrap_err().line, line);
        }
        for line in ["", "work", "work a pinned", "work a sideways 1", "work a pinned -1", "end of list"] {
            assert_eq!(listing(line).unwrap_err().line, line);
        }
    }
}
