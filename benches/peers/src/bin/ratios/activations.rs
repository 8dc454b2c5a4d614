//! The table of activations.

use super::Args;
use super::table::{heading, median, number, row};
use gradchain_activations::Activation;
use gradchain_arith::Isa;
use gradchain_peers::elementwise::{ELEMENTS, WHATS, What, contest};
use gradchain_peers::works::FORMATS;
use gradchain_peers::{Clock, Role, measure};
use rayon::ThreadPool;

/// Every activation but the identity, with a column for the speed of ours, its fraction of the copy, and the peers.
pub(crate) fn table(isa: Isa, args: &Args, one: &ThreadPool) {
    let mut lines = Vec::new();
    for activation in Activation::ALL.into_iter().filter(|&activation| activation != Activation::Identity) {
        for what in WHATS {
            let formats: Vec<&str> =
                FORMATS.into_iter().filter(|format| admits(args, activation, what, format)).collect();
            if !formats.is_empty() {
                lines.push((activation, what, formats));
            }
        }
    }
    if lines.is_empty() {
        return;
    }
    let title = format!("activation of {ELEMENTS} elements, 1 thread");
    heading(&[&title, "format", "ours, Gelem/s", "of the copy", "best peer, Gelem/s", "ours / best peer"]);
    for (activation, what, formats) in lines {
        let cells = formats.into_iter().map(|format| cells(isa, activation, what, format, args, one));
        row(&format!("{activation} {}", what.name()), cells.collect());
    }
}

/// Whether the work has all the words that were asked for. They are compared whole: `relu` is not `leaky-relu`.
fn admits(args: &Args, activation: Activation, what: What, format: &str) -> bool {
    let names = ["activations", activation.name(), what.name(), format];
    args.words.iter().all(|word| names.contains(&word.as_str()))
}

fn cells(
    isa: Isa,
    activation: Activation,
    what: What,
    format: &str,
    args: &Args,
    one: &ThreadPool,
) -> Vec<String> {
    let mut contest = contest(isa, activation, what, format);
    let seconds = measure(&mut contest.entrants, &[one], Clock::ThreadTime, args.rounds);
    let times: Vec<f64> = seconds[0].iter().map(|rounds| median(rounds)).collect();
    let [ours, peer] = [Role::Ours, Role::Peer].map(|role| contest.best(&times, |r| r == role));
    let time = |best: Option<(&str, f64)>| best.map_or(f64::NAN, |(_, time)| time);
    let figure = |time| number(contest.unit.figure(contest.amount, time));
    let copy = contest.least_time(&times).unwrap_or(f64::NAN);
    vec![
        format.to_owned(),
        figure(time(ours)),
        number(copy / time(ours)),
        peer.map_or("-".to_owned(), |(name, time)| format!("{name} {}", figure(time))),
        number(time(peer) / time(ours)),
    ]
}
