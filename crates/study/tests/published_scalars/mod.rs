//! The published table of scalar chains: depths at which each format overflows, turns subnormal, sticks, or reaches zero. Two independent implementations in exact
//! arithmetic agree on it.

use Fate::{Never, Normal, Over, Stuck, Zero};
use gradchain_study::{Cell, Upstream};

/// What happens to `gain^k`, in the words of the table.
pub(crate) enum Fate {
    /// First infinite (NaN in a format without infinities) at this depth.
    Over(i64),
    /// First subnormal, then from the second depth on this multiple of the least subnormal.
    Stuck(i64, i64, f64),
    /// First subnormal, then zero.
    Zero(i64, i64),
    /// Stuck at a normal number.
    Normal(i64, f64),
    /// Neither: the values go round and round.
    Never,
}
/// The columns of the table.
pub(crate) const FORMATS: [&str; 6] = ["f16", "bf16", "f32", "f64", "e4m3", "e5m2"];

/// A rounded gain of 1 leaves the gradient where it was.
const ONE: Fate = Normal(0, 1.0);

/// Gains, and their fate in each format.
pub(crate) const TABLE: [(&str, [Fate; 6]); 12] = [
    ("1.5", [Over(28), Over(220), Over(219), Over(1751), Over(16), Over(32)]),
    ("2", [Over(16), Over(128), Over(128), Over(1024), Over(9), Over(16)]),
    ("1.1", [Over(117), Over(918), Over(931), Over(7448), Over(54), ONE]),
    (
        "0.8",
        [
            Stuck(44, 71, 2.0),
            Stuck(394, 412, 2.0),
            Stuck(392, 459, 2.0),
            Stuck(3175, 3332, 2.0),
            Stuck(22, 26, 2.0),
            Stuck(29, 30, 2.0),
        ],
    ),
    (
        "0.9",
        [
            Stuck(93, 142, 4.0),
            Stuck(819, 849, 4.0),
            Stuck(829, 964, 4.0),
            Stuck(6724, 7050, 5.0),
            Stuck(31, 34, 4.0),
            Normal(56, 6.103515625e-5),
        ],
    ),
    ("0.25", [Zero(8, 13), Zero(64, 67), Zero(64, 75), Zero(512, 538), Zero(4, 5), Zero(8, 9)]),
    ("0.5", [Zero(15, 25), Zero(127, 134), Zero(127, 150), Zero(1023, 1075), Zero(7, 10), Zero(15, 17)]),
    (
        "0.99",
        [
            Stuck(990, 1283, 51.0),
            Stuck(7182, 7267, 42.0),
            Stuck(8690, 9876, 50.0),
            Stuck(70485, 73671, 49.0),
            ONE,
            ONE,
        ],
    ),
    ("1.01", [Over(1143), Over(12288), Over(8917), Over(71333), ONE, ONE]),
    ("sqrt2", [Over(32), Over(256), Over(257), Over(2048), Over(19), Over(32)]),
    (
        "1/sqrt2",
        [
            Stuck(29, 47, 1.0),
            Stuck(253, 265, 1.0),
            Stuck(252, 297, 1.0),
            Stuck(2045, 2147, 1.0),
            Stuck(12, 16, 1.0),
            Stuck(29, 30, 2.0),
        ],
    ),
    ("alternating:1.5,0.8", [Over(119), Over(971), Over(971), Over(7783), Over(59), Never]),
];

/// A chain of width 1 with this gain in every layer, from an upstream gradient of 1.
pub(crate) fn cell(format: &str, gain: &str, depth: usize) -> Cell {
    Cell {
        format: format.parse().unwrap(),
        gain: Some(gain.parse().unwrap()),
        depth,
        width: 1,
        upstream: Upstream::Ones,
        ..Cell::default()
    }
}
