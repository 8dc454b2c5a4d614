//! Prints how near our kernels come to the ceilings of this machine, and how they compare with other crates: Markdown tables.
//!
//! ```text
//! cargo run --release -p gradchain-peers --bin ratios [-- WORD... --rounds N]
//! ```
//!
//! Everybody is timed in bursts of a few milliseconds in turn, and figures are medians over the rounds. One-thread works count the
//! processor time of their thread, two-thread works the time that passes. `GRADCHAIN_ISA` chooses the instruction set of ours and of the ceilings.

mod activations;
mod remedies;
mod table;

use anyhow::Context;
use clap::Parser;
use gradchain_arith::Isa;
use gradchain_peers::works::{
    BATCHES, CACHED_WIDTHS, DIRECTIONS, Direction, FORMATS, PRODUCT_WIDTHS, Place, Rule, SIXTEEN_BIT_FORMATS,
    STREAMED_WIDTHS, Size, THREADED_WIDTHS, Work, contest,
};
use gradchain_peers::{Clock, Contest, Entrant, Limit, Role, Unit, measure, pool, reference};
use rayon::ThreadPool;
use table::{heading, median, number, row};

/// Width of the reference's layer, and of the layers with subnormal numbers.
const SMALL_WIDTH: usize = 256;
/// Width of the layers that two threads stream.
const LARGE_WIDTH: usize = 4096;
/// The least product in the table; the benches have smaller ones too.
const LEAST_PRODUCT: usize = 256;

/// How near gradchain's kernels come to the ceilings of this machine, and how they compare with other crates
#[derive(Parser)]
struct Args {
    /// Only works that have all these words in their names: step, batch8, batch32, product, reference; backward, forward; dram, cached;
    /// strict, dot; threads, cost, subnormal; f16, bf16, f32, f64; a width; or activations, the name of one, value, derivative, gradient;
    /// or remedies, norm1, norm100, clip-kept, clip-scaled, clip-value, scale, normalise, layer-forward, layer-backward
    words: Vec<String>,
    /// Bursts behind each figure
    #[arg(long, default_value_t = 9)]
    rounds: usize,
}

/// A line of a table: one work at several widths, in one format.
struct Line {
    format: &'static str,
    works: Vec<Work>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    anyhow::ensure!(args.rounds > 0, "--rounds: a median needs at least one");
    let isa = Isa::choose().context("cannot choose an instruction set")?;
    println!(
        "Instruction set of ours and of the ceilings: {isa}. Medians of {} interleaved bursts.",
        args.rounds
    );
    let one = pool(1);
    kernels(isa, &args, &one);
    strictness(isa, &args, &one);
    subnormals(isa, &args, &one);
    threads(isa, &args, [&one, &pool(2)]);
    activations::table(isa, &args, &one);
    remedies::table(isa, &args, &one);
    Ok(())
}

/// The lines of a table whose works have all the words that were asked for.
fn admitted(args: &Args, table: &str, lines: Vec<Line>) -> Vec<Line> {
    let admits = |format: &str, work: &Work| {
        let name = format!("{table}_{}", work.id(format));
        args.words.iter().all(|word| name.split(['_', '-']).any(|part| part == word))
    };
    let lines = lines.into_iter().map(|mut line| {
        line.works.retain(|work| admits(line.format, work));
        line
    });
    lines.filter(|line| !line.works.is_empty()).collect()
}

fn line(format: &'static str, widths: &[usize], work: impl Fn(usize) -> Work) -> Line {
    Line { format, works: widths.iter().map(|&n| work(n)).collect() }
}

/// Every kernel on one thread, with the best of our fast summations, the best peer, and the ceiling.
fn kernels(isa: Isa, args: &Args, one: &ThreadPool) {
    let mut lines = Vec::new();
    for (place, widths) in [(Place::Streamed, STREAMED_WIDTHS.as_slice()), (Place::Cached, &CACHED_WIDTHS)] {
        for direction in DIRECTIONS {
            lines.extend(FORMATS.map(|format| line(format, widths, |n| Work::step(direction, place, n))));
        }
    }
    for rows in BATCHES {
        let work = |n| Work::batch(Direction::Backward, rows, n);
        lines.extend(FORMATS.map(|format| line(format, &STREAMED_WIDTHS, work)));
    }
    let widths: Vec<usize> = PRODUCT_WIDTHS.into_iter().filter(|&n| n >= LEAST_PRODUCT).collect();
    lines.extend(FORMATS.map(|format| line(format, &widths, Work::product)));
    lines.push(line("bf16", &widths, |n| Work::product(n).with_rule(Rule::Bf16Dot)));
    lines.extend(strict_lines());
    let lines = admitted(args, "kernels", lines);
    let with_reference = args.words.iter().all(|word| word == "reference");
    if lines.is_empty() && !with_reference {
        return;
    }
    heading(&[
        "work, 1 thread",
        "n",
        "unit",
        "ceiling",
        "ours",
        "of the ceiling",
        "best peer",
        "of the ceiling",
        "ours / best peer",
    ]);
    for Line { format, works } in &lines {
        let contests = works.iter().map(|&work| (work.n, contest(isa, work, format)));
        // A work for which we have no summation (yet) is no line.
        let ours = contests.filter(|(_, contest)| contest.entrants.iter().any(|e| e.role == Role::Ours));
        let cells: Vec<Vec<String>> = ours.map(|(n, contest)| kernel(contest, n, args, one)).collect();
        if !cells.is_empty() {
            row(&works[0].title(format), cells);
        }
    }
    if with_reference {
        row("reference backward", vec![kernel(reference(isa, SMALL_WIDTH), SMALL_WIDTH, args, one)]);
    }
}

fn strict_lines() -> Vec<Line> {
    let mut lines = Vec::new();
    for direction in DIRECTIONS {
        let work = |n| Work::step(direction, Place::Cached, n).with_rule(Rule::Strict);
        lines.extend(SIXTEEN_BIT_FORMATS.map(|format| line(format, &CACHED_WIDTHS, work)));
    }
    lines
}

fn kernel(mut contest: Contest, n: usize, args: &Args, one: &ThreadPool) -> Vec<String> {
    let seconds = measure(&mut contest.entrants, &[one], Clock::ThreadTime, args.rounds);
    let times: Vec<f64> = seconds[0].iter().map(|rounds| median(rounds)).collect();
    let figure = |time| number(contest.unit.figure(contest.amount, time));
    let ceiling = contest.least_time(&times);
    let fraction = |time| ceiling.map_or("-".to_owned(), |ceiling| number(ceiling / time));
    let mut cells =
        vec![n.to_string(), contest.unit.name().to_owned(), ceiling.map_or("-".to_owned(), figure)];
    let [ours, peer] = [Role::Ours, Role::Peer].map(|role| contest.best(&times, |r| r == role));
    for best in [ours, peer] {
        cells.push(best.map_or("-".to_owned(), |(name, time)| format!("{name} {}", figure(time))));
        cells.push(best.map_or("-".to_owned(), |(_, time)| fraction(time)));
    }
    cells.push(ours.zip(peer).map_or("-".to_owned(), |((_, ours), (_, peer))| number(peer / ours)));
    cells
}

/// What strict 16-bit arithmetic costs beside the wide summation.
fn strictness(isa: Isa, args: &Args, one: &ThreadPool) {
    let lines = admitted(args, "cost", strict_lines());
    if lines.is_empty() {
        return;
    }
    heading(&["cost of strict 16 bits, 1 thread", "n", "wide, Gmac/s", "strict, Gmac/s", "strict / wide"]);
    for Line { format, works } in &lines {
        let cells = works.iter().map(|&work| {
            let contests = [Rule::Fast, Rule::Strict].map(|rule| contest(isa, work.with_rule(rule), format));
            let times = times_of(contests, |role| role == Role::Ours, args, one);
            let [wide, strict] = [0, 1].map(|rule| times[rule].first().map_or(f64::NAN, |(_, time)| *time));
            let products = (work.rows * work.n * work.n) as u64;
            let [wide_figure, strict_figure] =
                [wide, strict].map(|time| number(Unit::MultiplyAdds.figure(products, time)));
            vec![work.n.to_string(), wide_figure, strict_figure, number(strict / wide)]
        });
        row(&works[0].title(format), cells.collect());
    }
}

/// Steps on subnormal operands and with subnormal results beside normal ones.
fn subnormals(isa: Isa, args: &Args, one: &ThreadPool) {
    let work = |n| Work::step(Direction::Backward, Place::Cached, n).with_rule(Rule::All);
    let lines = admitted(args, "subnormal", FORMATS.map(|format| line(format, &[SMALL_WIDTH], work)).into());
    if lines.is_empty() {
        return;
    }
    heading(&[
        "subnormal numbers, 1 thread",
        "who",
        "normal, Gmac/s",
        "time with subnormal weights / normal",
        "time with subnormal products / normal",
    ]);
    for Line { format, works } in &lines {
        let work = works[0];
        let sizes = [Size::Normal, Size::SubnormalWeights, Size::SubnormalProducts];
        let contests = sizes.map(|size| contest(isa, work.with_size(size), format));
        // The loops in registers show what the core itself loses.
        let wanted = |role| matches!(role, Role::Ours | Role::Ceiling(Limit::MultiplyAdd));
        let times = times_of(contests, wanted, args, one);
        for (i, (name, normal)) in times[0].iter().enumerate() {
            let figure = number(Unit::MultiplyAdds.figure((work.n * work.n) as u64, *normal));
            let ratio = |size: usize| number(times[size][i].1 / normal);
            row(
                &work.with_rule(Rule::Fast).title(format),
                vec![vec![name.clone(), figure, ratio(1), ratio(2)]],
            );
        }
    }
}

/// Names and times of those of the wanted roles in several contests, all interleaved.
fn times_of<const N: usize>(
    contests: [Contest; N],
    wanted: fn(Role) -> bool,
    args: &Args,
    one: &ThreadPool,
) -> [Vec<(String, f64)>; N] {
    let mut entrants: Vec<Entrant> = Vec::new();
    let ends = contests.map(|contest| {
        entrants.extend(contest.entrants.into_iter().filter(|entrant| wanted(entrant.role)));
        entrants.len()
    });
    let seconds = measure(&mut entrants, &[one], Clock::ThreadTime, args.rounds).remove(0);
    let mut start = 0;
    ends.map(|end| {
        let range = start..end;
        start = end;
        range.map(|i| (entrants[i].name.clone(), median(&seconds[i]))).collect()
    })
}

/// Two threads beside one.
fn threads(isa: Isa, args: &Args, pools: [&ThreadPool; 2]) {
    let mut lines: Vec<Line> = FORMATS.map(|format| line(format, &THREADED_WIDTHS, Work::product)).into();
    for (place, n) in [(Place::Cached, CACHED_WIDTHS[1]), (Place::Streamed, LARGE_WIDTH)] {
        let work = |n| Work::step(Direction::Backward, place, n);
        lines.extend(FORMATS.map(|format| line(format, &[n], work)));
    }
    let lines = admitted(args, "threads", lines);
    if lines.is_empty() {
        return;
    }
    heading(&[
        "work, 2 threads",
        "n",
        "unit",
        "ceiling",
        "times 1 thread",
        "ours",
        "times 1 thread",
        "of the ceiling",
        "best peer",
        "times 1 thread",
        "ours / best peer",
    ]);
    for Line { format, works } in &lines {
        let cells = works.iter().map(|&work| two_threads(contest(isa, work, format), work.n, args, pools));
        row(&works[0].title(format), cells.collect());
    }
}

fn two_threads(mut contest: Contest, n: usize, args: &Args, pools: [&ThreadPool; 2]) -> Vec<String> {
    let seconds = measure(&mut contest.entrants, &pools, Clock::Wall, args.rounds);
    let [one, two] =
        [0, 1].map(|pool: usize| -> Vec<f64> { seconds[pool].iter().map(|r| median(r)).collect() });
    let figure = |time| number(contest.unit.figure(contest.amount, time));
    let mut cells = vec![n.to_string(), contest.unit.name().to_owned()];
    let ceilings = contest.least_time(&one).zip(contest.least_time(&two));
    cells.push(ceilings.map_or("-".to_owned(), |(_, two)| figure(two)));
    cells.push(ceilings.map_or("-".to_owned(), |(one, two)| number(one / two)));
    let mut best = [f64::NAN; 2];
    for (role, best) in [Role::Ours, Role::Peer].into_iter().zip(&mut best) {
        // The fastest on one thread need not be the fastest on two.
        let [first, second] = [&one, &two].map(|times| contest.best(times, |r| r == role));
        cells.push(second.map_or("-".to_owned(), |(name, time)| format!("{name} {}", figure(time))));
        cells.push(first.zip(second).map_or("-".to_owned(), |((_, one), (_, two))| number(one / two)));
        *best = second.map_or(f64::NAN, |(_, time)| time);
        if role == Role::Ours {
            cells.push(ceilings.map_or("-".to_owned(), |(_, ceiling)| number(ceiling / *best)));
        }
    }
    cells.push(number(best[1] / best[0]));
    cells
}
