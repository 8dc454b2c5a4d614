//! The predictions that the literature prints as tables: χ_1 and critical lines, laws of products, singular values.
//!
//! `cargo run --package gradchain-theory --example tables`

use gradchain_theory::Activation::{
    self, Elu, Erf, Gelu, GeluTanh, HardTanh, Identity, Relu, Selu, Sigmoid, Silu, Softplus, Tanh,
};
use gradchain_theory::criticality::{critical_with_bias, half_stable};
use gradchain_theory::finite_width::log_variance_coefficient;
use gradchain_theory::mean_field::Limit;
use gradchain_theory::products::{Ensemble, square_chain};
use gradchain_theory::singular_values::{largest, second_moment};
use gradchain_theory::{MeanField, TheoryError};

/// Networks as (activation, σ_w, σ_b).
const NETWORKS: [(Activation, f64, f64); 24] = [
    (Identity, 1.1, 0.0),
    (Identity, 0.9, 0.0),
    (Relu, 1.5, 0.0),
    (Relu, 2.0, 0.0),
    (Tanh, 1.1, 0.0),
    (Tanh, 1.5, 0.0),
    (Tanh, 5.0 / 3.0, 0.0),
    (Tanh, 2.0, 0.0),
    (Tanh, 1.0, 0.3),
    (Tanh, 1.3, 0.3),
    (Tanh, 1.5, 0.3),
    (Tanh, 2.5, 0.3),
    (Sigmoid, 1.0, 0.0),
    (Sigmoid, 2.0, 0.0),
    (Sigmoid, 4.0, 0.0),
    (Erf, 1.0, 0.3),
    (Erf, 2.0, 0.0),
    (Gelu, 1.0, 0.3),
    (GeluTanh, 1.0, 0.3),
    (Silu, 1.0, 0.3),
    (Softplus, 1.0, 0.0),
    (Elu, 1.0, 0.3),
    (Selu, 1.0, 0.0),
    (HardTanh, 1.5, 0.0),
];

fn main() -> Result<(), TheoryError> {
    println!(
        "Growth in wide networks: q*, χ_1 on ‖g‖², log2 of the norm per layer, χ_q, and v: Var ln‖g‖² is about v d/n\n"
    );
    println!(
        "| activation | σ_w | σ_b | q* | χ_1 | log2 per layer | χ_q | v |\n|---|---|---|---|---|---|---|---|"
    );
    for (activation, weight_scale, bias_scale) in NETWORKS {
        let field = MeanField::new(activation, weight_scale, bias_scale)?;
        let growth = field.growth(1.0)?;
        let limit = match growth.limit {
            Limit::Reached(q) => format!("{q:.10}"),
            Limit::Kept => "kept".to_owned(),
            Limit::Diverges => "∞".to_owned(),
        };
        println!(
            "| {activation} | {weight_scale:.4} | {bias_scale} | {limit} | {:.10} | {:+.10} | {:.6} | {:.3} |",
            growth.gradient_factor,
            growth.rate_log2,
            growth.variance_factor,
            log_variance_coefficient(field, &growth)?,
        );
    }

    println!("\nCritical networks, χ_1 = 1\n\n| activation | σ_b | σ_w | q* | χ_q |\n|---|---|---|---|---|");
    for activation in [Tanh, Erf, HardTanh, Gelu, Silu] {
        for bias_scale in [0.05, 0.1, 0.3, 0.5] {
            for point in critical_with_bias(activation, bias_scale)? {
                let (weight_scale, q) = (point.weight_variance.sqrt(), point.variance);
                println!(
                    "| {activation} | {bias_scale} | {weight_scale:.11} | {q:.9} | {:.6} |",
                    point.variance_factor
                );
            }
        }
    }
    for activation in Activation::ALL {
        for point in half_stable(activation) {
            println!(
                "\nHalf-stable {activation}: q* = {:.10}, σ_w² = {:.11}, σ_b² = {:.12}",
                point.variance, point.weight_variance, point.bias_variance
            );
        }
    }

    println!(
        "\nProducts of square Gaussian layers that keep E‖g‖²: mean and variance of ln‖g‖², mean of log2‖g‖\n"
    );
    println!(
        "| n | d | linear: mean | variance | log2 | ReLU: mean | variance | log2 | dead |\n|---|---|---|---|---|---|---|---|---|"
    );
    for (n, depth) in [(16, 50), (32, 50), (64, 100), (100, 100), (128, 64), (256, 100), (1000, 100)] {
        let linear = square_chain(Ensemble::Gaussian, (1.0, 1.0), n, depth, 1.0)?;
        let relu = square_chain(Ensemble::Gaussian, (0.0, 1.0), n, depth, 2.0)?;
        println!(
            "| {n} | {depth} | {:.8} | {:.8} | {:.8} | {:.8} | {:.8} | {:.8} | {:.2e} |",
            linear.mean,
            linear.variance,
            linear.mean_log2_norm(),
            relu.mean,
            relu.variance,
            relu.mean_log2_norm(),
            relu.dead_probability(),
        );
    }

    println!(
        "\nLargest squared singular value at criticality, infinite width, and the second moment of a linear network at n = 128\n"
    );
    println!(
        "| L | linear Gaussian | ReLU Gaussian | ReLU orthogonal | second moment |\n|---|---|---|---|---|"
    );
    for depth in [2, 5, 10, 20, 50, 100] {
        println!(
            "| {depth} | {:.7} | {:.6} | {:.6} | {:.7} |",
            largest(Ensemble::Gaussian, depth, 1.0)?,
            largest(Ensemble::Gaussian, depth, 0.5)?,
            largest(Ensemble::Orthogonal, depth, 0.5)?,
            second_moment(128, depth, 1.0)?,
        );
    }
    Ok(())
}
