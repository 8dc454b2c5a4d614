//! Shards: the parts of a study that machines measure apart.
//!
//! Which cells a shard has follows from the cells, the number of shards and the [`Balance`] alone, so every machine that plans the same study
//! divides it in the same way.

use crate::cell::Cell;
use crate::cost::cost;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// One part of a study: shard `number` of `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    of: usize,
    number: usize,
}

/// The most shards of a study.
const MAX_SHARDS: usize = 1_000_000;

impl Shard {
    /// Shard `number` of `of`.
    ///
    /// # Errors
    /// Unless `1 <= number <= of <= 1000000`.
    pub fn new(number: usize, of: usize) -> Result<Shard, String> {
        match 1 <= number && number <= of && of <= MAX_SHARDS {
            true => Ok(Shard { of, number }),
            false => Err(no_shard(&format!("{number}/{of}"))),
        }
    }

    /// Which of the shards it is, from 1.
    pub fn number(self) -> usize {
        self.number
    }

    /// How many shards there are.
    pub fn of(self) -> usize {
        self.of
    }

    /// Name of its file of rows.
    pub fn file_name(self) -> String {
        format!("rows-{}-of-{}.jsonl", self.number, self.of)
    }

    /// The shard whose file of rows has this name.
    pub fn of_file_name(name: &str) -> Option<Shard> {
        let (number, of) = name.strip_prefix("rows-")?.strip_suffix(".jsonl")?.split_once("-of-")?;
        let shard = Shard::new(number.parse().ok()?, of.parse().ok()?).ok()?;
        // Only the name that is written: `rows-01-of-3.jsonl` would be a second file of the same shard.
        (shard.file_name() == name).then_some(shard)
    }
}

fn no_shard(text: &str) -> String {
    format!("`{text}` is no shard; allowed: K/N with 1 <= K <= N <= {MAX_SHARDS}")
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let numbers = text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
        numbers.and_then(|(number, of)| Shard::new(number, of).ok()).ok_or_else(|| no_shard(text))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// What shards share evenly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// The number of cells: shard K has every N-th cell, from the K-th on. Neighbours in the grid, which cost about the same, part company.
    #[default]
    Count,
    /// The estimated time: the dearest cells are dealt first, each to the shard that has least so far (Graham 1969, "Bounds on multiprocessing
    /// timing anomalies": the largest shard is at most 4/3 of the best possible).
    Cost,
}

impl Balance {
    /// Both by name.
    pub const NAMED: [(&'static str, Balance); 2] = [("count", Balance::Count), ("cost", Balance::Cost)];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Balance::Count => "count",
            Balance::Cost => "cost",
        }
    }
}

/// The number, from 1, of the shard that each of `cells` belongs to if there are `of`.
pub fn assign(cells: &[Cell], of: usize, balance: Balance) -> Vec<usize> {
    match balance {
        Balance::Count => (0..cells.len()).map(|index| index % of + 1).collect(),
        Balance::Cost => {
            let costs: Vec<f64> = cells.iter().map(|cell| cost(cell).seconds).collect();
            let mut order: Vec<usize> = (0..cells.len()).collect();
            order.sort_by(|&a, &b| costs[b].total_cmp(&costs[a]));
            // Costs are not negative, and such numbers stand in the order of their bits.
            let mut loads: BTreeSet<(u64, usize)> = (1..=of).map(|shard| (0, shard)).collect();
            let mut shards = vec![0; cells.len()];
            for index in order {
                if let Some((load, shard)) = loads.pop_first() {
                    shards[index] = shard;
                    loads.insert(((f64::from_bits(load) + costs[index]).to_bits(), shard));
                }
            }
            shards
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_have_names() {
        let shard: Shard = "2/3".parse().unwrap();
        assert_eq!((shard.number(), shard.of(), shard.to_string().as_str()), (2, 3, "2/3"));
        assert_eq!(shard.file_name(), "rows-2-of-3.jsonl");
        assert_eq!(Shard::of_file_name("rows-2-of-3.jsonl"), Some(shard));
        for bad in ["0/3", "4/3", "1", "1/0", "a/b", "-1/3", "1/3/5", "1/1000001"] {
            assert!(bad.parse::<Shard>().unwrap_err().contains(bad));
        }
        for other in ["rows.jsonl", "rows-02-of-3.jsonl", "rows-4-of-3.jsonl", "rows-2-of-3.jsonl.old"] {
            assert_eq!(Shard::of_file_name(other), None, "{other}");
        }
    }

    #[test]
    fn cells_are_counted_out_in_turn() {
        let cells = vec![Cell::default(); 7];
        assert_eq!(assign(&cells, 3, Balance::Count), [1, 2, 3, 1, 2, 3, 1]);
        assert_eq!(assign(&cells, 9, Balance::Count), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(assign(&[], 3, Balance::Count), [0; 0]);
    }

    /// A grid whose last axis doubles the work: in turn, one shard of two gets twice the work of the other.
    #[test]
    fn cells_are_dealt_by_cost() {
        let depths = [1000, 2000, 1000, 2000, 1000, 2000];
        let cells = depths.map(|depth| Cell { depth, width: 64, ..Cell::default() });
        let load = |balance, shard| {
            let shards = assign(&cells, 2, balance);
            let own = cells.iter().zip(shards).filter(|(_, of)| *of == shard);
            own.map(|(cell, _)| cost(cell).seconds).sum::<f64>()
        };
        assert!(load(Balance::Count, 2) > 1.9 * load(Balance::Count, 1));
        let (a, b) = (load(Balance::Cost, 1), load(Balance::Cost, 2));
        // 5000 against 4000 layers is the best that whole cells allow.
        assert!(a.max(b) < 1.3 * a.min(b), "{a} {b}");
        assert!(assign(&cells, 4, Balance::Cost).iter().all(|shard| (1..=4).contains(shard)));
    }
}
