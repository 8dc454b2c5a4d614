//! Counter-based random bits: Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3").
//!
//! The bits are a function of (seed, stream, index) and of nothing else, so that stochastic rounding gives the same bits in
//! any order and on any number of threads.

/// The 128 random bits at `index` of `stream` under `seed`, as two words.
///
/// The seed is the key, low word first; the counter is (index low, index high, stream low, stream high).
pub fn philox(seed: u64, stream: u64, index: u64) -> [u64; 2] {
    let split = |x: u64| [x as u32, (x >> 32) as u32];
    let mut key = split(seed);
    let [c0, c1] = split(index);
    let [c2, c3] = split(stream);
    let mut c = [c0, c1, c2, c3];
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
        }
        let [low0, high0] = split(u64::from(c[0]) * 0xD251_1F53);
        let [low1, high1] = split(u64::from(c[2]) * 0xCD9E_8D57);
        c = [high1 ^ c[1] ^ key[0], low1, high0 ^ c[3] ^ key[1], low0];
    }
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    [join(c[0], c[1]), join(c[2], c[3])]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that the Random123 distribution publishes for philox4x32 with 10 rounds.
    #[test]
    fn known_answers() {
        let words = |[a, b]: [u64; 2]| [a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32];
        assert_eq!(words(philox(0, 0, 0)), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
        assert_eq!(
            words(philox(u64::MAX, u64::MAX, u64::MAX)),
            [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]
        );
        assert_eq!(
            words(philox(0x299f_31d0_a409_3822, 0x0370_7344_1319_8a2e, 0x85a3_08d3_243f_6a88)),
            [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]
        );
    }
}
