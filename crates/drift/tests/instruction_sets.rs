//! The steps of the reference are the stated sums in double-double, with the same bits on every instruction set that this machine has.

mod common;

use common::linear;
use gradchain_activations::Activation;
use gradchain_arith::Isa;
use gradchain_chain::{Layer, Network};
use gradchain_drift::{DoubleDouble, Keep, ScaledVector, Weights, reference_backward, reference_forward};

/// Rows and columns of a layer around the blocks of 16 and 32 that the kernels take, and far from square.
const SHAPES: [(usize, usize); 20] = [
    (0, 3),
    (3, 0),
    (1, 1),
    (1, 100),
    (100, 1),
    (2, 33),
    (7, 15),
    (15, 16),
    (16, 17),
    (17, 7),
    (31, 32),
    (32, 31),
    (33, 65),
    (65, 33),
    (16, 64),
    (48, 128),
    (129, 31),
    (100, 100),
    (5, 300),
    (300, 5),
];

/// Numbers of splitmix64 (Steele, Lea and Flood 2014).
struct Draws(u64);

impl Draws {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// In [-1, 1).
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// What the weights of a network are.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Ordinary,
    /// Weights of every exponent, subnormal ones and zeros included.
    AnyExponent,
    /// All of them subnormal: the products are taken twice.
    Subnormal,
    /// Sums of them overflow.
    Huge,
    /// An infinity or a NaN here and there.
    Special,
}

impl Kind {
    fn draw(self, draws: &mut Draws) -> f64 {
        let x = draws.unit();
        let bits = draws.bits();
        match self {
            Kind::Ordinary => x,
            Kind::AnyExponent => {
                let any = f64::from_bits(bits);
                if any.is_finite() { any } else { 0.0 * any.signum() }
            }
            Kind::Subnormal => f64::from_bits(bits & !(0x7ff << 52)),
            Kind::Huge => x * f64::MAX,
            Kind::Special => match bits % 50 {
                0 => f64::INFINITY,
                1 => f64::NEG_INFINITY,
                2 => f64::NAN,
                3 => -0.0,
                _ => x,
            },
        }
    }
}

/// Bits of a vector, with one NaN.
fn bits(x: &ScaledVector) -> (Vec<(u64, u64)>, i64) {
    let of = |x: f64| if x.is_nan() { u64::MAX } else { x.to_bits() };
    let of_components = (0..x.len()).map(|i| x.mantissa(i)).map(|x| (of(x.hi), of(x.lo)));
    (of_components.collect(), x.exponent())
}

#[test]
fn same_bits() {
    let isas = Isa::available();
    println!("instruction sets: {}", isas.iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", "));
    let mut draws = Draws(3);
    for kind in [Kind::Ordinary, Kind::AnyExponent, Kind::Subnormal, Kind::Huge, Kind::Special] {
        for (rows, columns) in SHAPES {
            for batch in [1, 3] {
                let mut draw = |n: usize| (0..n).map(|_| kind.draw(&mut draws)).collect::<Vec<_>>();
                let (first, second) = (draw(rows * columns), draw(rows * columns));
                let (input, upstream) = (draw(batch * columns), draw(batch * columns));
                let rest = first.iter().map(|w| w * 1e-17).collect();
                // Down and up again: each direction meets both shapes.
                let layers = vec![
                    Layer { weights_rest: Some(rest), ..linear(rows, columns, first) },
                    linear(columns, rows, second),
                ];
                let network = Network::plain(layers, Activation::Identity);
                let results = isas.iter().map(|&isa| {
                    [Weights::Stored, Weights::Unrounded].map(|weights| {
                        let trace = reference_forward(isa, &network, weights, batch, &input, Keep::Values);
                        let mut all: Vec<_> = trace.values.iter().chain([&trace.output]).map(bits).collect();
                        let upstream = ScaledVector::new(&upstream);
                        reference_backward(isa, &network, weights, Some(&trace), batch, &upstream, |step| {
                            all.push(bits(step.gradient));
                        });
                        all
                    })
                });
                let results: Vec<_> = results.collect();
                for (isa, result) in isas.iter().zip(&results) {
                    assert!(
                        *result == results[0],
                        "{isa} and {}: {kind:?} weights, {rows} x {columns}, batch {batch}",
                        isas[0]
                    );
                }
            }
        }
    }
}

/// `Σ x_j (weights_j + rest_j)` over (x, weight, rest), from `start` on and in this order.
fn sum_of(start: DoubleDouble, terms: &[(DoubleDouble, f64, Option<f64>)]) -> DoubleDouble {
    terms.iter().fold(start, |sum, &(x, weight, rest)| {
        sum.plus(match rest {
            None => x.times_f64(weight),
            Some(rest) => x.times(DoubleDouble::sum(weight, rest)),
        })
    })
}

/// The sum in the order of the step forward: 16 partial sums of whole blocks, halved, and then the remaining terms.
fn dot(terms: &[(DoubleDouble, f64, Option<f64>)]) -> DoubleDouble {
    let (blocks, tail) = terms.as_chunks::<16>();
    let mut partial: Vec<DoubleDouble> = (0..16)
        .map(|k| sum_of(DoubleDouble::default(), &blocks.iter().map(|block| block[k]).collect::<Vec<_>>()))
        .collect();
    while partial.len() > 1 {
        let upper = partial.split_off(partial.len() / 2);
        partial.iter_mut().zip(upper).for_each(|(sum, upper)| *sum = sum.plus(upper));
    }
    sum_of(partial[0], tail)
}

#[test]
fn the_stated_sums() {
    let mut draws = Draws(4);
    for (rows, columns) in SHAPES {
        let mut draw = |n: usize, size: f64| (0..n).map(|_| size * draws.unit()).collect::<Vec<_>>();
        let (weights, rest) = (draw(rows * columns, 1.0), draw(rows * columns, 1e-17));
        let batch = 2;
        // Vectors of 106 bits.
        let mut vector = |n: usize| {
            let (hi, lo) = (draw(n, 1.0), draw(n, 1e-17));
            let values: Vec<_> = hi.iter().zip(lo).map(|(&hi, lo)| DoubleDouble::sum(hi, lo)).collect();
            ScaledVector::with_exponent(&values, 0)
        };
        let (upstream, input) = (vector(batch * rows), draw(batch * columns, 1.0));
        let layer = Layer { weights_rest: Some(rest.clone()), ..linear(rows, columns, weights.clone()) };
        let network = Network::plain(vec![layer], Activation::Identity);
        for (kind, rest) in [(Weights::Stored, None), (Weights::Unrounded, Some(&rest))] {
            let term = |x: &ScaledVector, at: usize, i: usize, j: usize| {
                (x.mantissa(at), weights[i * columns + j], rest.map(|rest| rest[i * columns + j]))
            };
            let back = (0..batch * columns).map(|at| {
                let (b, j) = (at / columns, at % columns);
                let terms: Vec<_> = (0..rows).map(|i| term(&upstream, b * rows + i, i, j)).collect();
                sum_of(DoubleDouble::default(), &terms)
            });
            let back = ScaledVector::with_exponent(&back.collect::<Vec<_>>(), upstream.exponent());
            let x = ScaledVector::new(&input);
            let forward = (0..batch * rows).map(|at| {
                let (b, i) = (at / rows, at % rows);
                dot(&(0..columns).map(|j| term(&x, b * columns + j, i, j)).collect::<Vec<_>>())
            });
            let forward = ScaledVector::with_exponent(&forward.collect::<Vec<_>>(), x.exponent());
            for isa in Isa::available() {
                let output = reference_forward(isa, &network, kind, batch, &input, Keep::Slopes).output;
                assert!(bits(&output) == bits(&forward), "{isa}: {kind:?} {rows} x {columns} forward");
                reference_backward(isa, &network, kind, None, batch, &upstream, |step| {
                    let same = step.passed == 0 || bits(step.gradient) == bits(&back);
                    assert!(same, "{isa}: {kind:?} {rows} x {columns} back");
                });
            }
        }
    }
}
