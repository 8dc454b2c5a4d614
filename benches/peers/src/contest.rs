//! A contest: one piece of work, everybody who does it, and what of it the machine allows.

/// What bounds a work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// Reading the matrix.
    Read,
    /// Multiplying and adding in registers.
    MultiplyAdd,
    /// Reading and writing the same bytes.
    Copy,
}

/// The part that somebody plays in a contest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Does what the work cannot do without, and nothing else.
    Ceiling(Limit),
    /// A summation of ours.
    Ours,
    /// Another crate.
    Peer,
}

/// In what a speed is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// 10^9 bytes of the matrix a second.
    Bytes,
    /// 10^9 additions and multiplications a second.
    Operations,
    /// 10^9 rounded multiply-adds a second.
    MultiplyAdds,
    /// 10^9 elements of a vector a second.
    Elements,
    /// Nanoseconds a product: a time, so that less is better.
    Nanoseconds,
}

/// Somebody who does the work: `call` does it once.
pub struct Entrant {
    /// The part.
    pub role: Role,
    /// The name: of a summation, a crate, or a ceiling.
    pub name: String,
    /// Does the work once, on the threads of the pool that it is called in.
    pub call: Box<dyn FnMut() + Send>,
}

/// One piece of work and everybody who does it.
pub struct Contest {
    /// Names the work: kind, direction, place, shape, format; or activation, what of it, format.
    pub id: String,
    /// How speeds of this work are given.
    pub unit: Unit,
    /// Bytes read, multiply-adds done or elements written in one call.
    pub amount: u64,
    /// Everybody, ceilings first.
    pub entrants: Vec<Entrant>,
}

impl Unit {
    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Bytes => "GB/s",
            Unit::Operations => "GFLOP/s",
            Unit::MultiplyAdds => "Gmac/s",
            Unit::Elements => "Gelem/s",
            Unit::Nanoseconds => "ns/product",
        }
    }

    /// The figure for `amount` bytes, multiply-adds or elements in `seconds`.
    pub fn figure(self, amount: u64, seconds: f64) -> f64 {
        let nanoseconds = seconds * 1e9;
        match self {
            Unit::Bytes | Unit::MultiplyAdds | Unit::Elements => amount as f64 / nanoseconds,
            Unit::Operations => 2.0 * amount as f64 / nanoseconds,
            Unit::Nanoseconds => nanoseconds / amount as f64,
        }
    }
}

impl Contest {
    /// The least time that the ceilings allow, from the time of each entrant: of the limits the longest, and of several ways to reach a
    /// limit the shortest. None without ceilings.
    pub fn least_time(&self, times: &[f64]) -> Option<f64> {
        [Limit::Read, Limit::MultiplyAdd, Limit::Copy]
            .into_iter()
            .filter_map(|limit| self.best(times, |role| role == Role::Ceiling(limit)))
            .map(|(_, time)| time)
            .max_by(f64::total_cmp)
    }

    /// The name and time of the fastest of a role.
    pub fn best(&self, times: &[f64], role: impl Fn(Role) -> bool) -> Option<(&str, f64)> {
        let entrants = self.entrants.iter().zip(times).filter(|(entrant, _)| role(entrant.role));
        entrants.map(|(entrant, &time)| (entrant.name.as_str(), time)).min_by(|a, b| a.1.total_cmp(&b.1))
    }
}
