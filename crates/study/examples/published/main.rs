//! Published results beside what this program measures: the acceptance list P1 to P18.
//!
//! `cargo run --release --package gradchain-study --example published [-- --seed N]`
//!
//! Each item is measured anew: statistics from networks that the seed draws, with the tolerance that their standard error gives (four of them: a right program fails once in
//! sixteen thousand checks), exact cases one by one. Expected numbers are typed in from the literature, or from its formulas computed elsewhere to more digits; none is taken from this
//! workspace's theory. Prints one table; exit code 1 if an item fails, 2 for a bad argument. The seed 1 if none is named.

mod exact;
#[path = "../../tests/published_scalars/mod.rs"]
mod published_scalars;
mod statistics;
mod training;

use std::process::ExitCode;

/// One line of the table.
pub(crate) struct Item {
    pub(crate) id: &'static str,
    pub(crate) what: String,
    pub(crate) expected: f64,
    pub(crate) measured: f64,
    pub(crate) standard_error: Option<f64>,
    /// How far the two may lie apart.
    pub(crate) tolerance: f64,
    /// The command or the public functions that measure it.
    pub(crate) by: String,
}

impl Item {
    fn holds(&self) -> bool {
        (self.measured - self.expected).abs() <= self.tolerance
    }

    /// Exact cases, of which each must hold.
    pub(crate) fn cases(id: &'static str, what: &str, cases: &[bool], by: &str) -> Item {
        let holding = cases.iter().filter(|holds| **holds).count();
        Item {
            id,
            what: format!("{what}: cases that agree"),
            expected: cases.len() as f64,
            measured: holding as f64,
            standard_error: None,
            tolerance: 0.0,
            by: by.to_owned(),
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seed = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(1),
        ["--seed", seed] => seed
            .parse::<u64>()
            .map_err(|_| format!("--seed: `{seed}` is not allowed; allowed: integers from 0 on")),
        _ => Err(format!("`{}` is not allowed; allowed: --seed N", arguments.join(" "))),
    };
    let seed = match seed {
        Ok(seed) => seed,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let mut items = exact::items();
    items.extend(statistics::items(seed));
    items.extend(training::items(seed));
    items.sort_by_key(|item| item.id.trim_start_matches('P').parse::<u32>().unwrap_or(0));
    println!(
        "Seed {seed}.\n\n| item | what | expected | measured | standard error | tolerance | verdict | by |\n|---|---|---|---|---|---|---|---|"
    );
    for item in &items {
        let error = item.standard_error.map_or(String::new(), short);
        let verdict = if item.holds() { "holds" } else { "**fails**" };
        println!(
            "| {} | {} | {} | {} | {error} | {} | {verdict} | {} |",
            item.id,
            item.what,
            long(item.expected),
            long(item.measured),
            short(item.tolerance),
            item.by
        );
    }
    let failing = items.iter().filter(|item| !item.holds()).count();
    println!("\n{} of {} hold.", items.len() - failing, items.len());
    if failing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Six significant digits.
fn long(x: f64) -> String {
    digits(x, 5)
}

/// Two significant digits.
fn short(x: f64) -> String {
    digits(x, 1)
}

fn digits(x: f64, after_the_first: i32) -> String {
    if x == 0.0 || !x.is_finite() {
        return format!("{x}");
    }
    let magnitude = libm::floor(libm::log10(x.abs())) as i32;
    if x == x.round() && x.abs() < 1e6 {
        format!("{x}")
    } else if (-4..6).contains(&magnitude) {
        format!("{x:.*}", (after_the_first - magnitude).max(0) as usize)
    } else {
        format!("{x:.*e}", after_the_first as usize)
    }
}
