//! Decisions on simulated noise.

use super::*;
use crate::time::schedule::Effort;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Heavy-tailed noise of about the given deviation: a difference of exponentials, and one value in twenty ten times as far.
fn noise(rng: &mut ChaCha8Rng, deviation: f64) -> f64 {
    let exponential =
        |rng: &mut ChaCha8Rng| -libm::log(1.0 - (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64);
    let wild = if rng.next_u64().is_multiple_of(20) { 10.0 } else { 1.0 };
    (exponential(rng) - exponential(rng)) / 2.0_f64.sqrt() * deviation * wild
}

fn series(rng: &mut ChaCha8Rng, respawns: usize, slower: f64, deviation: f64) -> Series {
    let mut series = Series::default();
    for _ in 0..respawns {
        series.push(ln(slower) + noise(rng, deviation), noise(rng, deviation));
    }
    series
}

/// Both stages of a run of works that are all slower by `slower`.
fn run(rng: &mut ChaCha8Rng, works: usize, slower: f64, deviation: f64) -> Vec<Judged> {
    let limits = Limits::PINNED;
    let tests: Vec<Test> = (0..works)
        .map(|_| {
            let routing = series(rng, Effort::ROUTING.respawns, slower, deviation);
            let deciding =
                limits.routes(&routing).then(|| series(rng, Effort::DECIDING.respawns, slower, deviation));
            Test { limits, routing, deciding }
        })
        .collect();
    decide(&tests)
}

fn count(judged: &[Judged], verdict: Verdict) -> usize {
    judged.iter().filter(|judged| judged.verdict == verdict).count()
}

/// 200 runs of 100 works without any difference, with respawns that scatter by 0.6 %: more than was measured under load.
#[test]
fn nothing_changed_and_nothing_fails() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..200 {
        let judged = run(&mut rng, 100, 0.0, 0.006);
        assert_eq!(count(&judged, Verdict::Worse), 0);
        assert_eq!(count(&judged, Verdict::Better), 0);
        assert_eq!(count(&judged, Verdict::Inconclusive), 0);
    }
}

/// A machine so noisy that the gate can tell nothing says so. A false alarm has probability at most 1 % a run and side: of 200 runs with both
/// sides at most 4 on average, and more than 13 once in ten thousand such tests (Poisson).
#[test]
fn chaos_is_inconclusive() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut alarms = 0;
    for _ in 0..200 {
        let judged = run(&mut rng, 100, 0.0, 0.3);
        alarms += usize::from(count(&judged, Verdict::Worse) + count(&judged, Verdict::Better) > 0);
        assert!(count(&judged, Verdict::Same) < 20, "{} passed", count(&judged, Verdict::Same));
    }
    assert!(alarms <= 13, "{alarms} of 200 runs");
}

/// The found fraction of slowdowns among 1000 works, with respawns that scatter by 0.6 %. The limits are the goals of the project; the share that is
/// expected is higher, see `docs/time-gate.md`.
#[test]
fn slowdowns_are_found() {
    for (slower, goal) in [(0.02, 0.80), (0.03, 0.95), (0.05, 0.99), (0.10, 0.999)] {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let found: usize = (0..10).map(|_| count(&run(&mut rng, 100, slower, 0.006), Verdict::Worse)).sum();
        assert!(found as f64 >= goal * 1000.0, "{slower}: {found} of 1000");
    }
}

#[test]
fn speedups_pass_as_such() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let judged = run(&mut rng, 100, -0.05, 0.006);
    assert_eq!(count(&judged, Verdict::Better), 100);
    assert!(judged[0].slower < -0.04 && judged[0].message.ends_with(" less time"), "{judged:?}");
}

fn flat(head: f64, null: f64, respawns: usize) -> Series {
    Series { head: vec![ln(head); respawns], null: vec![ln(null); respawns] }
}

fn verdict(routing: Series, deciding: Option<Series>) -> (Verdict, String) {
    let judged = decide(&[Test { limits: Limits::PINNED, routing, deciding }]).remove(0);
    (judged.verdict, judged.message)
}

#[test]
fn limits_are_where_they_stand() {
    let second = |head, null| verdict(flat(0.5, 0.0, 12), Some(flat(head, null, 24)));
    assert_eq!(second(0.0149, 0.0).0, Verdict::Same);
    assert_eq!(second(0.0151, 0.0), (Verdict::Worse, "1.51 % slower, between 1.51 % and 1.51 %".into()));
    assert_eq!(second(-0.0147, 0.0).0, Verdict::Same);
    assert_eq!(second(-0.0149, 0.0).0, Verdict::Better, "1/1.015 is 1.48 % less");
    assert_eq!(second(0.0, 0.0099).0, Verdict::Same);
    let (verdict, message) = second(0.0, -0.0101);
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(message.starts_with("the base differs from its own copy by -1.01 %, beyond 1.00 %"), "{message}");
    // A null beyond its limit takes its own size from the slowdown.
    assert_eq!(second(0.03, 0.02).0, Verdict::Inconclusive);
    assert_eq!(second(0.04, 0.02).0, Verdict::Worse);
    assert_eq!(second(0.04, -0.02).0, Verdict::Worse);
}

#[test]
fn what_stands_out_is_routed() {
    let routes = |series: &Series| Limits::PINNED.routes(series);
    assert!(!routes(&flat(0.0099, 0.0099, 12)));
    assert!(routes(&flat(0.0101, 0.0, 12)));
    assert!(routes(&flat(-0.0102, 0.0, 12)));
    assert!(routes(&flat(0.0, 0.0101, 12)));
    assert!(routes(&flat(0.0, 0.0, 4)), "four respawns bound nothing");
    assert!(routes(&Series::default()));
    let mut noisy = flat(0.0, 0.0, 12);
    noisy.head[..3].fill(0.06);
    assert!(routes(&noisy), "three of twelve beyond the resolution");
    noisy.head[0] = 0.0;
    assert!(!routes(&noisy), "two of twelve are luck");
}

#[test]
fn too_little_is_inconclusive() {
    let inconclusive = |routing, deciding, words: &str| {
        let (verdict, message) = verdict(routing, deciding);
        assert_eq!(verdict, Verdict::Inconclusive, "{message}");
        assert!(message.contains(words), "{message}");
    };
    inconclusive(flat(0.5, 0.0, 12), None, "no time to measure it again");
    inconclusive(Series::default(), Some(Series::default()), "no respawn");
    inconclusive(flat(0.5, 0.0, 12), Some(flat(0.0, 0.0, 4)), "4 respawns are too few");
    // Fourteen of 24 are slower: p = 0.27.
    let mut split = flat(0.05, 0.0, 24);
    split.head[..10].fill(-0.05);
    inconclusive(flat(0.5, 0.0, 12), Some(split), "only 14 of 24 respawns");
    let mut noisy = flat(0.0, 0.0, 24);
    noisy.head[..9].fill(0.08);
    inconclusive(flat(0.5, 0.0, 12), Some(noisy), "too noisy");
}

/// Nine respawns can prove a slowdown of one work (p = 1/512, and a look has an error of 1/300), and not of one among a hundred; eight prove nothing.
#[test]
fn a_family_asks_for_more() {
    let slow =
        Test { limits: Limits::PINNED, routing: flat(0.5, 0.0, 12), deciding: Some(flat(0.5, 0.0, 9)) };
    let calm = Test { limits: Limits::PINNED, routing: flat(0.0, 0.0, 12), deciding: None };
    assert_eq!(decide(std::slice::from_ref(&slow))[0].verdict, Verdict::Worse);
    let eight = Test { deciding: Some(flat(0.5, 0.0, 8)), ..slow.clone() };
    assert_eq!(decide(&[eight])[0].verdict, Verdict::Inconclusive);
    let mut family = vec![slow];
    family.resize(100, calm);
    assert_eq!(decide(&family)[0].verdict, Verdict::Inconclusive);
    assert!((decide(&family)[0].p - 100.0 / 512.0).abs() < 1e-12);
}
