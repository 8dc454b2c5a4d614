//! The table of norms and clippings.

use super::Args;
use super::table::{heading, median, number, row};
use gradchain_arith::Isa;
use gradchain_peers::remedies::{NUMBERS, REMEDIES, Remedied, contest};
use gradchain_peers::works::FORMATS;
use gradchain_peers::{Clock, Role, measure};
use rayon::ThreadPool;

/// Norms, and clippings that keep and that scale, with the time of ours and its fraction of a read or a copy of the same bytes.
pub(crate) fn table(isa: Isa, args: &Args, one: &ThreadPool) {
    let mut lines = Vec::new();
    for what in REMEDIES {
        let formats: Vec<&str> = FORMATS.into_iter().filter(|format| admits(args, what, format)).collect();
        if !formats.is_empty() {
            lines.push((what, formats));
        }
    }
    if lines.is_empty() {
        return;
    }
    let title = format!("gradient of {NUMBERS} numbers, 1 thread");
    heading(&[
        &title,
        "format",
        "ours, ms",
        "ours, GB/s",
        "of the read or copy",
        "best peer, ms",
        "ours / best peer",
    ]);
    for (what, formats) in lines {
        let cells = formats.into_iter().map(|format| cells(isa, what, format, args, one));
        row(&what.name(), cells.collect());
    }
}

fn admits(args: &Args, what: Remedied, format: &str) -> bool {
    let name = what.name();
    let names = ["remedies", &name, format];
    args.words.iter().all(|word| names.contains(&word.as_str()))
}

fn cells(isa: Isa, what: Remedied, format: &str, args: &Args, one: &ThreadPool) -> Vec<String> {
    let mut contest = contest(isa, what, format);
    let seconds = measure(&mut contest.entrants, &[one], Clock::ThreadTime, args.rounds);
    let times: Vec<f64> = seconds[0].iter().map(|rounds| median(rounds)).collect();
    let [ours, peer] = [Role::Ours, Role::Peer].map(|role| contest.best(&times, |r| r == role));
    let time = |best: Option<(&str, f64)>| best.map_or(f64::NAN, |(_, time)| time);
    let ceiling = contest.least_time(&times).unwrap_or(f64::NAN);
    vec![
        format.to_owned(),
        number(1e3 * time(ours)),
        number(contest.unit.figure(contest.amount, time(ours))),
        number(ceiling / time(ours)),
        peer.map_or("-".to_owned(), |(name, time)| format!("{name} {}", number(1e3 * time))),
        number(time(peer) / time(ours)),
    ]
}
