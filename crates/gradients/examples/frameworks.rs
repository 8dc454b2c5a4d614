//! Documented cases of gradient clipping, as this crate, PyTorch, optax and burn clip them: a table in Markdown, computed here and now.
//!
//! `cargo run -p gradchain-gradients --example frameworks`

use gradchain_arith::{Isa, Native, Real, bf16, f16};
use gradchain_gradients::frameworks::optax::Leaf;
use gradchain_gradients::frameworks::{optax, torch};
use gradchain_gradients::{Measured, NonFinite, Order, clip_by_norm, clipped};

fn main() {
    println!("{}", table());
}

/// The table of docs/clipping.md.
pub(crate) fn table() -> String {
    [
        "| case | exact, rounded once | PyTorch | optax | burn-like |".to_owned(),
        "| --- | --- | --- | --- | --- |".to_owned(),
        row::<f16>("the square overflows", &[&[300.0]], 1.0),
        row::<f16>("the norm overflows", &[&[5e4, 5e4]], 1.0),
        row::<f32>("the square overflows", &[&[1e20, 1.0]], 1.0),
        row::<bf16>("the square overflows", &[&[3e38]], 1.0),
        row::<f64>("the square overflows", &[&[1e200, 1e200]], 1.0),
        row::<f16>("the square underflows", &[&[1e-4, 1e-4]], 1e-5),
        row::<f32>("the square underflows", &[&[1e-25, 1e-25]], 1e-26),
        row::<f32>("subnormal numbers", &[&[1e-40, 1e-40]], 5e-41),
        row::<f16>("subnormal numbers", &[&[1.2e-7]], 6e-8),
        row::<f64>("norm below the limit", &[&[5e-7]], 6e-7),
        row::<f64>("norm at the limit", &[&[1e-6]], 1e-6),
        row::<f64>("norm at the limit", &[&[3.0, -4.0]], 5.0),
        row::<f32>("norm at the limit", &[&[3.0, -4.0]], 5.0),
        row::<f64>("a small limit", &[&[0.011]], 0.01),
        row::<f32>("a small limit", &[&[1e-7, 1e-7]], 5e-8),
        row::<f32>("zeros, the limit 0", &[&[0.0, -0.0]], 0.0),
        row::<f16>("zeros, the limit 0", &[&[0.0, -0.0]], 0.0),
        row::<f32>("one infinity (here: propagate)", &[&[f64::INFINITY, 1.0, -2.0]], 1.0),
        row::<f32>("one NaN (here: propagate)", &[&[f64::NAN, 1.0]], 1.0),
        row::<f32>("a limit below 0", &[&[3.0, -4.0]], -1.0),
        row::<f64>("two tensors of norm 1", &[&[1.0], &[1.0]], 1.0),
        row::<f16>("numbers of many sizes", &[&[1e4, 1e-3, 5e-4, 1e-4]], 1.0),
    ]
    .join("\n")
}

/// One line: the format, the gradients, the limit, and what becomes of them.
fn row<T: Measured>(what: &str, gradients: &[&[f64]], limit: f64) -> String {
    let given: Vec<Vec<T>> =
        gradients.iter().map(|tensor| tensor.iter().map(|&x| T::round_from(x)).collect()).collect();
    let views: Vec<&[T]> = given.iter().map(Vec::as_slice).collect();
    let arith = Native::<T>::new(Isa::PORTABLE);
    let exact = clipped(&views, |g| clip_by_norm(&arith, Order::Two, limit, NonFinite::Propagate, g));
    let exact = exact.map_or_else(|error| format!("error: {error}"), |(after, _)| shown(&after));
    let torch = after(&given, |g| {
        let mut slices: Vec<&mut [T]> = g.iter_mut().map(Vec::as_mut_slice).collect();
        torch::clip_grad_norm(limit, 2.0, false, &mut slices).expect("the two norm raises nothing");
    });
    let optax = after(&given, |g| {
        let shapes: Vec<[usize; 1]> = g.iter().map(|tensor| [tensor.len()]).collect();
        let leaves = g.iter_mut().zip(&shapes).map(|(numbers, shape)| Leaf { shape, numbers });
        optax::clip_by_global_norm(limit, &mut leaves.collect::<Vec<_>>());
    });
    let burn = after(&given, |g| g.iter_mut().for_each(|tensor| clip_burn_like(limit, tensor)));
    let given = shown(&given);
    format!("| {}: {what}: {given}, limit {limit:?} | {exact} | {torch} | {optax} | {burn} |", T::NAME)
}

/// burn's `GradientClipping::Norm`: each tensor by its own norm, every operation stored in the format, the least normal number added to the norm.
fn clip_burn_like<T: Measured>(limit: f64, tensor: &mut [T]) {
    let stored = |x: f64| T::round_from(T::Computed::round_from(x).value()).value();
    let squares = tensor.iter().map(|g| stored(g.value() * g.value()));
    let sum = stored(squares.fold(0.0, |sum, square| T::Computed::round_from(sum + square).value()));
    let norm = stored(stored(sum.sqrt()) + T::FORMAT.min_normal());
    let factor = stored(stored(limit) / norm);
    // Clamping lets NaN through.
    let factor = if factor > 1.0 { 1.0 } else { factor };
    tensor.iter_mut().for_each(|g| *g = T::round_from(stored(g.value() * factor)));
}

fn after<T: Measured>(given: &[Vec<T>], clip: impl FnOnce(&mut [Vec<T>])) -> String {
    let mut copy = given.to_vec();
    clip(&mut copy);
    shown(&copy)
}

/// Nine digits; the tensors one after the other.
fn shown<T: Measured>(tensors: &[Vec<T>]) -> String {
    let tensor = |tensor: &Vec<T>| {
        let numbers: Vec<String> = tensor.iter().map(|x| short(x.value())).collect();
        format!("[{}]", numbers.join(", "))
    };
    tensors.iter().map(tensor).collect::<Vec<_>>().join(" ")
}

fn short(x: f64) -> String {
    let rounded: f64 = format!("{x:.8e}").parse().expect("a number as Rust writes it");
    format!("{rounded:?}")
}
