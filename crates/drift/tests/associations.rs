//! Products of matrices in every order against the bound of [`ProductError`], where rounding decides and where underflow does.

use gradchain_activations::Activation;
use gradchain_arith::{Isa, Native, Real, Summation, bf16, f16, philox, wide_unit};
use gradchain_chain::{Layer, Network};
use gradchain_drift::{LayerError, ProductError, Scaled, ScaledVector, Weights, compare, reference_backward};
use gradchain_kernels::{Association, Operand, Plan, Stored, evaluate};

/// The exact `F_0 ··· F_d`, by the reference.
fn product(factors: &[Vec<f64>], p: &[usize]) -> ScaledVector {
    let layer = |k: usize| Layer {
        outputs: p[k],
        inputs: p[k + 1],
        weights: factors[k].clone(),
        weights_rest: None,
        bias: None,
    };
    let layers = (1..factors.len()).rev().map(layer).collect();
    let network = Network::plain(layers, Activation::Identity);
    let (isa, upstream) = (Isa::choose().unwrap(), ScaledVector::new(&factors[0]));
    let mut last = ScaledVector::default();
    reference_backward(isa, &network, Weights::Stored, None, p[0], &upstream, |step| {
        last.clone_from(step.gradient);
    });
    last
}

/// Measured drift and its bound.
fn measured<T: Stored>(
    factors: &[Vec<T>],
    p: &[usize],
    association: Association,
    summation: Summation,
) -> (f64, f64) {
    let plan = Plan::new(association, p).unwrap();
    let slices: Vec<&[T]> = factors.iter().map(Vec::as_slice).collect();
    let got = evaluate(&Native::<T>::new(Isa::choose().unwrap()), summation, &plan, &slices, |_| {});
    let got: Vec<f64> = got.into_iter().map(Real::value).collect();
    let values: Vec<Vec<f64>> = factors.iter().map(|f| f.iter().map(|x| x.value()).collect()).collect();
    let magnitudes: Vec<Vec<f64>> = values.iter().map(|f| f.iter().map(|x| x.abs()).collect()).collect();

    let of_factors: Vec<ProductError> =
        values.iter().zip(&p[1..]).map(|(f, &columns)| ProductError::exact(f, columns)).collect();
    let mut of_products: Vec<ProductError> = Vec::new();
    for made in plan.products() {
        let error = |operand| match operand {
            Operand::Factor(index) => of_factors[index],
            Operand::Product(index) => of_products[index],
        };
        let inner = made.shape.inner;
        let one = LayerError {
            gamma: summation.bound(inner, T::FORMAT.unit_roundoff(), wide_unit(T::FORMAT)),
            underflow: summation.underflow(inner, T::FORMAT),
        };
        let both = error(made.left).times(&error(made.right), made.shape.rows, made.shape.columns, one);
        of_products.push(both);
    }
    let exact = product(&values, p);
    let bound = of_products.last().unwrap_or(&of_factors[0]);
    let bound: Scaled = bound.relative(product(&magnitudes, p).norm(), exact.norm());
    (compare(&got, &exact, T::FORMAT).drift, bound.to_f64())
}

fn check<T: Stored>(scale: i32, sharpest: &mut f64) -> usize {
    let mut checked = 0;
    for (stream, p) in
        [vec![2, 5], vec![1, 7, 7, 7, 7, 7], vec![6, 9, 2, 9, 3], vec![1; 12]].iter().enumerate()
    {
        let number = |k: usize, entry: usize| {
            let [a, _] = philox(31, (100 * stream + k) as u64, entry as u64);
            let x = (a >> 12) as f64 * f64::EPSILON - 0.5;
            T::round_from(x * f64::powi(2.0, scale))
        };
        let factors: Vec<Vec<T>> = p
            .windows(2)
            .enumerate()
            .map(|(k, shape)| (0..shape[0] * shape[1]).map(|entry| number(k, entry)).collect())
            .collect();
        for summation in Summation::of(T::FORMAT) {
            for association in Association::ALL {
                let (drift, bound) = measured(&factors, p, association, summation);
                assert!(
                    drift <= bound,
                    "{} {summation} {association} {p:?} around 2^{scale}: {drift:e} > {bound:e}",
                    T::NAME
                );
                if bound > 0.0 {
                    *sharpest = sharpest.max(drift / bound);
                }
                checked += 1;
            }
        }
    }
    checked
}

#[test]
fn no_order_drifts_above_its_bound() {
    let mut sharpest = 0.0_f64;
    let mut checked = 0;
    // Around 1; where the products of f16 turn subnormal; and where most of them are lost altogether.
    for scale in [0, -4, -7] {
        checked += check::<f16>(scale, &mut sharpest)
            + check::<bf16>(scale, &mut sharpest)
            + check::<f32>(scale, &mut sharpest)
            + check::<f64>(scale, &mut sharpest);
    }
    // bf16 and f32 leave their range at the last of these, within the first product.
    for scale in [-60, -70] {
        checked += check::<bf16>(scale, &mut sharpest) + check::<f32>(scale, &mut sharpest);
    }
    println!("{checked} products, drift at most {sharpest:.3} of its bound");
    // A bound that nothing comes near to would not notice a term that is missing.
    assert!(checked > 1000 && sharpest > 0.2, "{sharpest}");
}
