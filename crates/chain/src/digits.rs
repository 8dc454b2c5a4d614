//! Real data to train on: handwritten digits of 8 x 8 pixels. `data/README.md` says where they come from and under which licence.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::SafeTensors;
use std::sync::LazyLock;

/// Samples with their classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Digits {
    /// Row-major `count · PIXELS`, from 0 to 1 in sixteenths: exact in every format with at least 5 bits.
    pub pixels: Vec<f64>,
    /// The digit that each sample shows.
    pub labels: Vec<usize>,
}

static DIGITS: LazyLock<Digits> = LazyLock::new(|| {
    let built_in = "the built-in digits are a well-formed file";
    let file = SafeTensors::deserialize(include_bytes!("../data/digits.safetensors")).expect(built_in);
    let bytes = |name| file.tensor(name).expect(built_in).data();
    Digits {
        pixels: bytes("x").iter().map(|&x| f64::from(x) / 16.0).collect(),
        labels: bytes("label").iter().map(|&label| usize::from(label)).collect(),
    }
});

impl Digits {
    /// Pixels of a digit.
    pub const PIXELS: usize = 64;
    /// Kinds of digit.
    pub const CLASSES: usize = 10;

    /// The 512 digits that are built in.
    pub fn built_in() -> &'static Digits {
        &DIGITS
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// The digits with these numbers, in this order. None if one of them does not exist.
    pub fn select(&self, numbers: &[usize]) -> Option<Digits> {
        let mut chosen =
            Digits { pixels: Vec::with_capacity(numbers.len() * Digits::PIXELS), labels: Vec::new() };
        for &number in numbers {
            chosen.labels.push(*self.labels.get(number)?);
            chosen.pixels.extend_from_slice(&self.pixels[number * Digits::PIXELS..][..Digits::PIXELS]);
        }
        Some(chosen)
    }
}

/// Endless batches of `size` of the numbers below `count`: all of them in a random order (Fisher and Yates), then all of them in another one, cut
/// into batches. What an order leaves over, being less than a batch, is left out, as PyTorch's `drop_last` does.
///
/// The orders are a function of the seed, which is a stream of its own beside the draws of networks with the same seed.
///
/// # Panics
/// If `size` is not between 1 and `count`.
pub fn batches(seed: u64, count: usize, size: usize) -> impl Iterator<Item = Vec<usize>> {
    assert!(0 < size && size <= count, "batches of {size}; allowed: 1 to {count}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Draw number k of a network has the streams 3k to 3k + 2.
    rng.set_stream(u64::MAX);
    let mut order: Vec<usize> = (0..count).collect();
    let mut next = count;
    std::iter::from_fn(move || {
        if next + size > count {
            for last in (1..count).rev() {
                order.swap(last, rng.random_range(0..=last));
            }
            next = 0;
        }
        let batch = order[next..][..size].to_vec();
        next += size;
        Some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many samples of each digit as the file has: counted by a program that shares no code with this one.
    #[test]
    fn the_digits() {
        let digits = Digits::built_in();
        assert_eq!((digits.count(), digits.pixels.len()), (512, 512 * 64));
        let mut counts = [0; Digits::CLASSES];
        digits.labels.iter().for_each(|&label| counts[label] += 1);
        assert_eq!(counts, [53, 47, 50, 46, 52, 52, 58, 53, 40, 61]);
        assert!(digits.pixels.iter().all(|x| (0.0..=1.0).contains(x) && (x * 16.0).fract() == 0.0));
        let two = digits.select(&[7, 3]).unwrap();
        assert_eq!(two.labels, [digits.labels[7], digits.labels[3]]);
        assert_eq!(two.pixels[64..], digits.pixels[3 * 64..4 * 64]);
        assert_eq!(digits.select(&[512]), None);
    }

    #[test]
    fn batches_go_through_all_samples() {
        let epoch = |seed, skip| {
            let mut numbers: Vec<usize> = batches(seed, 10, 3).skip(skip).take(3).flatten().collect();
            let order = numbers.clone();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), 9, "{order:?}");
            order
        };
        assert_eq!(epoch(1, 3), epoch(1, 3));
        assert!(epoch(1, 0) != epoch(1, 3) && epoch(1, 0) != epoch(2, 0));
        assert_eq!(batches(1, 1, 1).nth(5), Some(vec![0]));
    }
}
