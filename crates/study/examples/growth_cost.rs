//! What the measure `growth` costs: seconds and peak memory against depth and width.
//!
//! `cargo run --release --package gradchain-study --example growth_cost [-- DRAWS]`
//!
//! Each cell, so many tanh networks in f32 (1 if no number is given), runs in a process of its own on one thread, three times; the table has the median of the seconds and the largest peak
//! of the resident memory (`VmHWM` of `/proc/self/status`; a dash where the system has none). The memory is that of one network, whose weights are f64 with a copy in the format,
//! and of what the passes keep: linear in depth, quadratic in width, as the time is. The last column says how near to linear in the number of weights the time is.

use gradchain_arith::Isa;
use gradchain_study::{Activation, Cell, Measure, measure};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// (width, depth): first along the depth, then along the width.
const CELLS: [(usize, usize); 14] = [
    (64, 10),
    (64, 30),
    (64, 100),
    (64, 300),
    (64, 1000),
    (64, 3000),
    (64, 10_000),
    (16, 64),
    (32, 64),
    (64, 64),
    (128, 64),
    (256, 64),
    (512, 64),
    (1024, 64),
];

const REPETITIONS: usize = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Option<Vec<usize>> =
        arguments.iter().map(|text| text.parse().ok().filter(|n| *n > 0)).collect();
    match numbers.as_deref() {
        Some([]) => table(1),
        Some([draws]) => table(*draws),
        // A process of the table.
        Some([width, depth, draws]) => one(*width, *depth, *draws),
        _ => {
            eprintln!("`{}` is not allowed; allowed: a number of networks from 1 on", arguments.join(" "));
            ExitCode::from(2)
        }
    }
}

fn table(draws: usize) -> ExitCode {
    println!("Networks a cell: {draws}, one thread.\n");
    println!("| width | depth | seconds | peak memory, MiB | ns per weight |\n|---|---|---|---|---|");
    for (width, depth) in CELLS {
        let runs: Option<Vec<(f64, Option<f64>)>> =
            (0..REPETITIONS).map(|_| run(width, depth, draws)).collect();
        let Some(runs) = runs else {
            eprintln!("the cell of width {width} and depth {depth} failed");
            return ExitCode::FAILURE;
        };
        let mut seconds: Vec<f64> = runs.iter().map(|(seconds, _)| *seconds).collect();
        seconds.sort_by(f64::total_cmp);
        let median = seconds[REPETITIONS / 2];
        let peak = runs.iter().map(|(_, peak)| *peak).collect::<Option<Vec<f64>>>();
        let peak =
            peak.map_or("-".to_owned(), |peaks| format!("{:.1}", peaks.into_iter().fold(0.0, f64::max)));
        let weights = (width * width * depth * draws) as f64;
        println!("| {width} | {depth} | {median:.4} | {peak} | {:.1} |", 1e9 * median / weights);
    }
    ExitCode::SUCCESS
}

/// Seconds and peak memory in MiB of one cell, in a process of its own.
fn run(width: usize, depth: usize, draws: usize) -> Option<(f64, Option<f64>)> {
    let arguments = [width, depth, draws].map(|n| n.to_string());
    // The draws of a cell are shared among the threads of the pool: one of them, so that the peak is that of one network.
    let output = Command::new(std::env::current_exe().ok()?)
        .args(arguments)
        .env("RAYON_NUM_THREADS", "1")
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut words = text.split_whitespace();
    let seconds = words.next()?.parse().ok()?;
    Some((seconds, words.next().and_then(|peak| peak.parse().ok())))
}

fn one(width: usize, depth: usize, draws: usize) -> ExitCode {
    let cell = Cell {
        measure: Measure::Growth,
        activation: Activation::Tanh,
        width,
        depth,
        draws: draws as u64,
        ..Cell::default()
    };
    let Ok(isa) = Isa::choose() else { return ExitCode::FAILURE };
    let start = Instant::now();
    let rows = measure(&cell, isa);
    let seconds = start.elapsed().as_secs_f64();
    if rows.is_err() {
        return ExitCode::FAILURE;
    }
    println!("{seconds} {}", peak_mib().map_or("-".to_owned(), |peak| peak.to_string()));
    ExitCode::SUCCESS
}

/// The most memory that the process has held, in MiB.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}
