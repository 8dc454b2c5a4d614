//! Singular values and Lyapunov exponents of products: against roots of characteristic polynomials in 12 000 bits, and against what must hold
//! exactly. The package `gradchain-peers` has tests against faer.

mod common;

use common::{Big, shifted};
use dashu_float::FBig;
use gradchain_activations::Activation;
use gradchain_arith::Isa;
use gradchain_chain::{Draw, Init, draw_ends};
use gradchain_drift::{
    GradedProduct, Keep, LayerJacobian, LyapunovFrame, Scaled, Weights, reference_forward,
};

/// Numbers of splitmix64 (Steele, Lea and Flood 2014), summed to something like a normal distribution.
struct Draws(u64);

impl Draws {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn matrix(&mut self, rows: usize, columns: usize) -> Vec<f64> {
        (0..rows * columns).map(|_| (0..12).map(|_| self.unit()).sum::<f64>() - 6.0).collect()
    }
}

fn isa() -> Isa {
    Isa::choose().unwrap()
}

fn product(layers: &[LayerJacobian]) -> GradedProduct {
    let mut product = GradedProduct::identity(layers[0].columns);
    layers.iter().for_each(|layer| product.multiply(isa(), layer));
    product
}

/// Bits of the oracle: enough for squares of singular values that lie 2^2000 apart, with room to spare.
const BITS: usize = 12_000;

fn big(x: f64) -> Big {
    FBig::try_from(x).unwrap().with_precision(BITS).value()
}

/// The squared singular values of a product of 3 x 3 matrices, the largest first: the roots of `x³ - c_1 x² + c_2 x - c_3` for `Jᵀ J`. Newton's method comes to
/// the largest root from above, and to the smallest from below, without ever passing it.
fn exact_squares(layers: &[LayerJacobian]) -> [Big; 3] {
    let entry = |a: &[Big], i: usize, j: usize| a[3 * i + j].clone();
    let times = |a: &[Big], b: &[Big]| -> Vec<Big> {
        let cell = |i: usize, j: usize| (0..3).map(|k| entry(a, i, k) * entry(b, k, j)).sum::<Big>();
        (0..9).map(|x| cell(x / 3, x % 3)).collect()
    };
    let matrix = |layer: &LayerJacobian| -> Vec<Big> {
        layer.values.iter().map(|&x| shifted(big(x), layer.exponent)).collect()
    };
    let mut j = matrix(&layers[0]);
    for layer in &layers[1..] {
        j = times(&matrix(layer), &j);
    }
    let transposed: Vec<Big> = (0..9).map(|x| entry(&j, x % 3, x / 3)).collect();
    let g = times(&transposed, &j);
    let minor = |a: usize, b: usize| entry(&g, a, a) * entry(&g, b, b) - entry(&g, a, b) * entry(&g, b, a);
    let determinant = entry(&j, 0, 0)
        * (entry(&j, 1, 1) * entry(&j, 2, 2) - entry(&j, 1, 2) * entry(&j, 2, 1))
        - entry(&j, 0, 1) * (entry(&j, 1, 0) * entry(&j, 2, 2) - entry(&j, 1, 2) * entry(&j, 2, 0))
        + entry(&j, 0, 2) * (entry(&j, 1, 0) * entry(&j, 2, 1) - entry(&j, 1, 1) * entry(&j, 2, 0));
    let c1 = entry(&g, 0, 0) + entry(&g, 1, 1) + entry(&g, 2, 2);
    let c2 = minor(0, 1) + minor(0, 2) + minor(1, 2);
    let c3 = &determinant * &determinant;
    let newton = |mut x: Big| {
        for _ in 0..60 {
            let value = ((&x - &c1) * &x + &c2) * &x - &c3;
            let slope = (big(3.0) * &x - big(2.0) * &c1) * &x + &c2;
            x -= value / slope;
        }
        x
    };
    let (largest, smallest) = (newton(c1.clone()), newton(&c3 / &c2));
    let middle = &c3 / (&largest * &smallest);
    [largest, middle, smallest]
}

/// The largest relative error of the singular values, in units of 2^-53.
fn worst_error(got: &[Scaled], exact: &[Big]) -> f64 {
    assert_eq!(got.len(), exact.len());
    let error = |(got, exact): (&Scaled, &Big)| {
        let got = shifted(big(got.mantissa()), got.exponent());
        let ratio = &got * &got / exact - big(1.0);
        0.5 * ratio.to_f64().value().abs() / (f64::EPSILON / 2.0)
    };
    got.iter().zip(exact).map(error).fold(0.0, f64::max)
}

/// The same layers, every number by one bit of its last place away, up or down.
fn shaken(draws: &mut Draws, layers: &[LayerJacobian]) -> Vec<LayerJacobian> {
    let mut shake =
        |x: &f64| f64::from_bits(if draws.unit() < 0.5 { x.to_bits() + 1 } else { x.to_bits() - 1 });
    let mut all = layers.to_vec();
    all.iter_mut().for_each(|layer| layer.values.iter_mut().for_each(|x| *x = shake(x)));
    all
}

/// How far the singular values of `layers` move, in units of 2^-53, when their numbers do in the last bit: the largest of five tries.
fn sensitivity(draws: &mut Draws, layers: &[LayerJacobian], exact: &[Big]) -> f64 {
    let try_once = |_| {
        let moved = exact_squares(&shaken(draws, layers));
        let ratio = |(a, b): (&Big, &Big)| (a / b - big(1.0)).to_f64().value().abs() / f64::EPSILON;
        moved.iter().zip(exact).map(ratio).fold(0.0, f64::max)
    };
    (0..5).map(try_once).fold(0.0, f64::max)
}

/// Singular values that end 2^1500 apart are wrong by what a change of the layers' numbers in their last bits would make of them, each of them: backward stability.
#[test]
fn graded_products_against_exact_ones() {
    for (depth, seed) in [(1, 1), (2, 2), (10, 3), (10, 4), (100, 5), (100, 8), (1000, 6), (1000, 7)] {
        let mut draws = Draws(seed);
        let layers: Vec<LayerJacobian> =
            (0..depth).map(|_| LayerJacobian::new(3, 3, draws.matrix(3, 3))).collect();
        let (got, exact) = (product(&layers).singular_values(isa()), exact_squares(&layers));
        let (apart, error) = (got[0].log2() - got[2].log2(), worst_error(&got, &exact));
        let moved = sensitivity(&mut draws, &layers, &exact);
        println!(
            "depth {depth}: 2^{apart:.1} apart, worst error {error:.1} u, one bit moves them by {moved:.1} u"
        );
        assert!(error <= 10.0 + 5.0 * moved && error < 1e5, "depth {depth}: {error} u");
    }
}

/// Slopes that differ by hundreds of powers of ten, in every order, cost no digits.
#[test]
fn graded_layers_against_exact_ones() {
    let mut draws = Draws(11);
    for slopes in
        [[0, -300, -600], [-600, -300, 0], [-300, 0, -600], [-40, 0, -40], [0, 0, -600], [-800, 0, -1]]
    {
        let layers: Vec<LayerJacobian> = (0..20)
            .map(|t| {
                let mut values = draws.matrix(3, 3);
                for (i, row) in values.chunks_exact_mut(3).enumerate() {
                    // Every third layer has the slopes, turned on.
                    let power = if t % 3 == 0 { slopes[(i + t) % 3] } else { 0 };
                    row.iter_mut().for_each(|x| *x *= f64::powi(2.0, power));
                }
                LayerJacobian::new(3, 3, values)
            })
            .collect();
        let (got, exact) = (product(&layers).singular_values(isa()), exact_squares(&layers));
        let error = worst_error(&got, &exact);
        let moved = sensitivity(&mut draws, &layers, &exact);
        println!(
            "slopes {slopes:?}: 2^{:.0} apart, {error:.1} u, moved by {moved:.1}",
            got[0].log2() - got[2].log2()
        );
        assert!(error <= 10.0 + 5.0 * moved && error < 1e4, "{slopes:?}: {error} u");
    }
}

/// Diagonal layers: exponents are logarithms, singular values products, far beyond the range of f64.
#[test]
fn any_exponent() {
    let layer = LayerJacobian::new(3, 3, vec![0.0, 1e-150, 0.0, 0.0, 0.0, 1.0, -1e150, 0.0, 0.0]);
    let mut product = GradedProduct::identity(3);
    (0..9999).for_each(|_| product.multiply(isa(), &layer));
    // Three layers make the identity times -1.
    let got = product.singular_values(isa());
    assert!(got.iter().all(|s| (s.log2()).abs() < 1e-10), "{got:?}");
    let growth = LayerJacobian::new(2, 2, vec![1e150, 0.0, 0.0, 1e-150]);
    let mut product = GradedProduct::identity(2);
    (0..10_000).for_each(|_| product.multiply(isa(), &growth));
    let got = product.singular_values(isa());
    let expected = 10_000.0 * libm::log2(1e150);
    assert!((got[0].log2() / expected - 1.0).abs() < 1e-15 && (got[1].log2() / expected + 1.0).abs() < 1e-15);
    let logarithms = LyapunovFrame::identity(2).pass(isa(), &growth);
    assert!(
        (logarithms[0] - 345.387_763_949_106_85).abs() < 1e-12
            && (logarithms[1] + 345.387_763_949_106_85).abs() < 1e-12
    );
}

/// Orthogonal layers keep every singular value at 1 to rounding, after a thousand layers too.
#[test]
fn orthogonal_layers() {
    for n in [1, 8, 33] {
        let network = Draw::square(Init::Orthogonal, n, 1000, Activation::Identity, 4).network();
        let mut product = GradedProduct::identity(n);
        let mut frame = LyapunovFrame::identity(n);
        let mut sums = vec![0.0; n];
        for (t, layer) in network.layers.iter().enumerate() {
            let jacobian = LayerJacobian::of_layer(layer, None, t);
            product.multiply(isa(), &jacobian);
            frame.pass(isa(), &jacobian).iter().zip(&mut sums).for_each(|(x, sum)| *sum += x);
        }
        let worst =
            product.singular_values(isa()).iter().map(|s| (s.to_f64() - 1.0).abs()).fold(0.0, f64::max);
        let drift = sums.iter().map(|x| x.abs()).fold(0.0, f64::max);
        println!("{n}: singular values {worst:.1e} from 1, logarithms {drift:.1e} from 0");
        // A logarithm is off by 4 u a layer at most, which may all have one sign; those of a thousand layers were 2.2e-13 off together.
        let u = f64::EPSILON / 2.0;
        assert!(worst < 2e-13 && drift < 4.0 * u * 1000.0, "{n}: {worst}, {drift}");
    }
}

/// Closed gates lose dimensions for good, and exactly.
#[test]
fn closed_gates_lower_the_rank() {
    let network = Draw::square(Init::He, 24, 12, Activation::Relu, 9).network();
    let input = draw_ends((24, 24), 1, gradchain_chain::Upstream::Normal, 9, 0).input;
    let trace = reference_forward(isa(), &network, Weights::Stored, 1, &input, Keep::Slopes);
    let (mut frame, mut product) = (LyapunovFrame::identity(24), GradedProduct::identity(24));
    let mut rank = 24;
    for (t, layer) in network.layers.iter().enumerate() {
        let open = trace.slopes(t).unwrap().iter().filter(|s| s.to_f64() != 0.0).count();
        rank = rank.min(open);
        let jacobian = LayerJacobian::of_layer(layer, Some(&trace), t);
        let logarithms = frame.pass(isa(), &jacobian);
        product.multiply(isa(), &jacobian);
        assert_eq!(logarithms.iter().filter(|x| x.is_finite()).count(), rank, "layer {t}");
        assert_eq!(product.rank(), rank, "layer {t}");
    }
    let values = product.singular_values(isa());
    assert!(rank < 24 && values.len() == 24);
    assert!(
        values[..rank].iter().all(|s| s.to_f64() > 0.0) && values[rank..].iter().all(|s| *s == Scaled::ZERO)
    );
    // A product that is all zero.
    product.multiply(isa(), &LayerJacobian::new(2, 24, vec![0.0; 48]));
    assert_eq!(product.singular_values(isa()), [Scaled::ZERO; 2]);
}

/// A layer that is not finite leaves nothing to say, whatever comes after it.
#[test]
fn infinities_and_nans() {
    for bad in [f64::INFINITY, f64::NAN] {
        let (mut frame, mut product) = (LyapunovFrame::identity(2), GradedProduct::identity(2));
        let layer = LayerJacobian::new(3, 2, vec![1.0, 2.0, bad, 0.5, 1.0, 0.0]);
        assert!(frame.pass(isa(), &layer).iter().all(|x| x.is_nan()));
        product.multiply(isa(), &layer);
        product.multiply(isa(), &LayerJacobian::new(3, 3, vec![1.0; 9]));
        assert!(product.singular_values(isa()).iter().all(|s| s.mantissa().is_nan()));
        assert_eq!(product.singular_values(isa()).len(), 2);
    }
}

/// The same bits on every instruction set.
#[test]
fn instruction_sets_agree() {
    let bits = |isa: Isa, n: usize| {
        let network = Draw::square(Init::Gaussian, n, 6, Activation::Tanh, 2).network();
        let input = draw_ends((n, n), 1, gradchain_chain::Upstream::Normal, 2, 0).input;
        let trace = reference_forward(isa, &network, Weights::Stored, 1, &input, Keep::Slopes);
        let (mut frame, mut product) = (LyapunovFrame::identity(n), GradedProduct::identity(n));
        let mut out = Vec::new();
        for (t, layer) in network.layers.iter().enumerate() {
            let jacobian = LayerJacobian::of_layer(layer, Some(&trace), t);
            out.extend(frame.pass(isa, &jacobian).iter().map(|x| x.to_bits()));
            product.multiply(isa, &jacobian);
        }
        out.extend(product.singular_values(isa).iter().map(|s| s.mantissa().to_bits()));
        out
    };
    for n in [1, 3, 15, 16, 17, 40] {
        let expected = bits(Isa::PORTABLE, n);
        for isa in Isa::available() {
            assert_eq!(bits(isa, n), expected, "{} at width {n}", isa.name());
        }
    }
}
