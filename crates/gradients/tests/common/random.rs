//! Random numbers of given magnitudes, and the instruction sets that a test could not try.

use gradchain_arith::{ISA_NAMES, Isa, Real};

/// Knuth's generator of 64 bits.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 29
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 20) % n
    }

    /// A number of the format, of the binades `low .. low + span`.
    pub(crate) fn number<T: Real>(&mut self, low: i32, span: u64) -> T {
        let significand = 1.0 + (self.next() >> 12) as f64 / libm::exp2(52.0);
        let sign = if self.next() >> 40 & 1 == 0 { 1.0 } else { -1.0 };
        T::round_from(sign * libm::scalbn(significand, low + self.below(span) as i32))
    }
}

pub(crate) fn print_missing_isas() {
    let available = Isa::available();
    let missing: Vec<&str> =
        ISA_NAMES.into_iter().filter(|name| !available.iter().any(|isa| isa.name() == *name)).collect();
    println!("instruction sets not tested here: {missing:?}");
}
