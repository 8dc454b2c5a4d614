//! The reference's step: a matrix-vector product in scaled double-double, beside a big-float crate at the same precision.

use crate::contest::{Contest, Entrant, Role, Unit};
use dashu_float::round::mode::HalfEven;
use dashu_float::{Context, FBig};
use gradchain_activations::Activation;
use gradchain_arith::Isa;
use gradchain_chain::{Draw, Init, Upstream, draw_ends};
use gradchain_drift::{ScaledVector, Weights, reference_backward};
use std::hint::black_box;

/// Bits of a double-double.
const PRECISION: usize = 106;

/// `W^T g` of one layer of width `n` by the reference; no ceiling, since what bounds it is the choice of its operations.
///
/// # Panics
/// If a draw is not finite.
pub fn reference(isa: Isa, n: usize) -> Contest {
    let network = Draw::square(Init::Orthogonal, n, 1, Activation::Identity, 1).network();
    let upstream = draw_ends((n, n), 1, Upstream::Normal, 1, 0).upstream;
    let exact = ScaledVector::new(&upstream);

    type Big = FBig<HalfEven, 2>;
    let context = Context::<HalfEven>::new(PRECISION);
    let big = |x: &f64| Big::try_from(*x).expect("draws are finite").with_precision(PRECISION).value();
    let weights: Vec<Big> = network.layers[0].weights.iter().map(big).collect();
    let gradient: Vec<Big> = upstream.iter().map(big).collect();

    let ours = move || {
        reference_backward(isa, black_box(&network), Weights::Stored, None, 1, &exact, |step| {
            black_box(step.gradient);
        });
    };
    let dashu = move || {
        let mut sums = vec![Big::ZERO; n];
        for (row, g) in weights.chunks_exact(n).zip(&gradient) {
            for (sum, w) in sums.iter_mut().zip(row) {
                let product = context.mul(w.repr(), g.repr()).expect("finite").value();
                *sum = context.add(sum.repr(), product.repr()).expect("finite").value();
            }
        }
        black_box(sums);
    };
    Contest {
        id: format!("reference_backward_{n}"),
        unit: Unit::Nanoseconds,
        amount: (n * n) as u64,
        entrants: vec![
            Entrant { role: Role::Ours, name: "double-double".to_owned(), call: Box::new(ours) },
            Entrant { role: Role::Peer, name: "dashu".to_owned(), call: Box::new(dashu) },
        ],
    }
}
