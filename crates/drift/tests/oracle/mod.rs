//! Every activation and its derivative to 400 bits, from their definitions alone.

use super::common::{BITS, Big, big};
use gradchain_activations::Activation;

/// Bits of series that cancel: up to 100 of them are lost at [`SERIES_UP_TO`].
const GUARDED: usize = 700;

/// Up to here erfc comes from a series, beyond from a continued fraction.
pub(crate) const SERIES_UP_TO: f64 = 8.0;

/// `e^-q` beyond this counts as 0, as it does in the reference; its exponent would pass that of the oracle's numbers anyway.
pub(crate) const VANISHED: f64 = (1u64 << 40) as f64;

/// Numbers that many evaluations share.
pub(crate) struct Oracle {
    root_pi: Big,
    root_half: Big,
}

impl Oracle {
    pub(crate) fn new() -> Oracle {
        let arctan_of_inverse = |n: f64| {
            let (x, square) = (wide(1.0) / wide(n), wide(n * n));
            let (mut sum, mut power) = (wide(0.0), x);
            for k in 0..400 {
                let term = &power / wide(f64::from(2 * k + 1));
                sum = if k % 2 == 0 { sum + term } else { sum - term };
                power /= &square;
            }
            sum
        };
        // Machin's formula.
        let pi = wide(16.0) * arctan_of_inverse(5.0) - wide(4.0) * arctan_of_inverse(239.0);
        Oracle { root_pi: root(&pi), root_half: root(&wide(0.5)) }
    }

    /// f(x) and f'(x) for finite x other than 0.
    pub(crate) fn at(&self, activation: Activation, x: &Big) -> (Big, Big) {
        let (one, negative) = (big(1.0), *x < Big::ZERO);
        match activation {
            Activation::Identity => (x.clone(), one),
            Activation::Relu => {
                if negative {
                    (Big::ZERO, Big::ZERO)
                } else {
                    (x.clone(), one)
                }
            }
            Activation::LeakyRelu => {
                if negative {
                    (x * big(0.01), big(0.01))
                } else {
                    (x.clone(), one)
                }
            }
            Activation::HardTanh => {
                if negative && *x <= -&one {
                    (-one, Big::ZERO)
                } else if *x >= one {
                    (one, Big::ZERO)
                } else {
                    (x.clone(), one)
                }
            }
            Activation::Sigmoid => self.sigmoid(x),
            Activation::Tanh => {
                let (s, slope) = self.sigmoid(&(x * big(2.0)));
                let difference = expm1(&(if negative { x.clone() } else { -x } * big(2.0)));
                let value = difference * if negative { big(1.0) - s } else { s };
                (if negative { value } else { -value }, slope * big(4.0))
            }
            Activation::Elu => {
                if negative {
                    (expm1(x), decay(&-x))
                } else {
                    (x.clone(), one)
                }
            }
            Activation::Selu => {
                let scale = decimal("1.0507009873554804934193349852946");
                let below = decimal("1.6732632423543772848170429916717") * &scale;
                if negative { (expm1(x) * &below, decay(&-x) * below) } else { (x * &scale, scale) }
            }
            Activation::Gelu => {
                let half_square = x * x / big(2.0);
                let density = decay(&half_square) * &self.root_half / &self.root_pi;
                let size = if negative { -x } else { x.clone() };
                let small = decay(&half_square) * self.scaled_erfc(&(size * &self.root_half)) / big(2.0);
                let probability = if negative { small } else { one - small };
                let (value, bend) = (x * &probability, x * density);
                (narrow(&value), narrow(&(probability + bend)))
            }
            Activation::GeluTanh => {
                let rate = wide(2.0) * root(&wide(2.0)) / &self.root_pi;
                let cubic = decimal("0.044715");
                let v = &rate * (x + &cubic * x * x * x);
                let of_v = &rate * (big(1.0) + &cubic * big(3.0) * x * x);
                let (s, slope) = self.sigmoid(&narrow(&v));
                (x * &s, narrow(&(s + x * of_v * slope)))
            }
            Activation::Silu => {
                let (s, slope) = self.sigmoid(x);
                (x * &s, s + x * slope)
            }
            Activation::Softplus => {
                let e = decay(&if negative { -x } else { x.clone() });
                // Far below 1 the logarithm is its argument, to more than the oracle's bits.
                let bend = if e < big(1.0) >> 450 { e } else { e.ln_1p() };
                (if negative { bend } else { x + bend }, self.sigmoid(x).0)
            }
            Activation::Erf => {
                let square = x * x;
                let slope = decay(&square) * wide(2.0) / &self.root_pi;
                let size = if negative { -x } else { x.clone() };
                let value = if size < big(0.5) {
                    decay(&square) * self.series(&size)
                } else {
                    big(1.0) - decay(&square) * self.scaled_erfc(&size)
                };
                (narrow(&if negative { -value } else { value }), narrow(&slope))
            }
        }
    }

    /// `1 / (1 + e^-x)` and its derivative.
    fn sigmoid(&self, x: &Big) -> (Big, Big) {
        let one = big(1.0);
        let e = decay(&if *x < Big::ZERO { -x } else { x.clone() });
        let sum = &one + &e;
        let value = if *x < Big::ZERO { &e / &sum } else { &one / &sum };
        (value, e / (&sum * &sum))
    }

    /// `e^(s²) erf(s) = 2/√π Σ 2^n s^(2n+1) / (1 · 3 ⋯ (2n + 1))` (Abramowitz and Stegun 7.1.6).
    fn series(&self, s: &Big) -> Big {
        let s = s.clone().with_precision(GUARDED).value();
        let twice_square = &s * &s * wide(2.0);
        let (mut sum, mut term, mut n) = (s.clone(), s, 0.0);
        let negligible = sum.clone() >> GUARDED as isize;
        while term > negligible {
            n += 1.0;
            term = term * &twice_square / wide(2.0 * n + 1.0);
            sum += &term;
        }
        sum * wide(2.0) / &self.root_pi
    }

    /// `e^(s²) erfc(s)` for s > 0.
    pub(crate) fn scaled_erfc(&self, s: &Big) -> Big {
        if *s < big(SERIES_UP_TO) { self.scaled_erfc_by_series(s) } else { self.scaled_erfc_by_fraction(s) }
    }

    pub(crate) fn scaled_erfc_by_series(&self, s: &Big) -> Big {
        let wide_s = s.clone().with_precision(GUARDED).value();
        narrow(&((&wide_s * &wide_s).exp() - self.series(s)))
    }

    /// `1/√π · 1/(s + (1/2)/(s + 1/(s + (3/2)/(s + ⋯))))` (Abramowitz and Stegun 7.1.14).
    pub(crate) fn scaled_erfc_by_fraction(&self, s: &Big) -> Big {
        let mut below = s.clone();
        for k in (1..=400).rev() {
            below = s + big(f64::from(k) / 2.0) / below;
        }
        narrow(&(big(1.0) / (below * &self.root_pi)))
    }
}

/// `e^-q` for q >= 0.
fn decay(q: &Big) -> Big {
    if *q >= big(VANISHED) { Big::ZERO } else { (-q).exp() }
}

fn expm1(x: &Big) -> Big {
    if *x <= big(-1000.0) { decay(&-x) - big(1.0) } else { x.exp_m1() }
}

/// The square root by Newton's method from that of f64.
fn root(x: &Big) -> Big {
    let mut root = wide(x.to_f64().value().sqrt());
    for _ in 0..6 {
        root = (&root + x / &root) / wide(2.0);
    }
    root
}

/// `x`, exactly, with more bits to compute with.
fn wide(x: f64) -> Big {
    big(x).with_precision(GUARDED).value()
}

fn narrow(x: &Big) -> Big {
    x.clone().with_precision(BITS).value()
}

/// A decimal number, rounded to the oracle's bits.
fn decimal(digits: &str) -> Big {
    let (whole, fraction) = digits.split_once('.').expect("a point");
    let digit = |sum: Big, c: char| sum * big(10.0) + big(f64::from(c.to_digit(10).expect("a digit")));
    let numerator = whole.chars().chain(fraction.chars()).fold(big(0.0), digit);
    numerator / (0..fraction.len()).fold(big(1.0), |power, _| power * big(10.0))
}
