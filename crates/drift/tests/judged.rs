//! The passes of `gradchain-chain` against exact results from elsewhere: deep networks no worse than PyTorch, chains of matrices within the
//! published bounds.

mod common;

use common::{cases, chain_network, floats, mlp_network, read};
use gradchain_activations::Path;
use gradchain_arith::{Isa, Native, Real, Summation, bf16, f16, wide_unit};
use gradchain_chain::{Rounded, Setting, backward, forward};
use gradchain_gradients::Remedy;
use gradchain_kernels::Kernels;
use safetensors::SafeTensors;
use serde_json::Value;

fn isa() -> Isa {
    Isa::choose().expect("an instruction set")
}

/// The worst layer's `max |g - exact| / max |exact|` of dL/dh, in one arithmetic.
fn worst_layer<K: Kernels>(arith: &K, file: &SafeTensors<'_>, case: &Value) -> f64 {
    let id = case["id"].as_str().expect("id");
    let tensor = |name: &str| floats(file, &format!("{id}/{name}"));
    let rounded = |name: &str| tensor(name).into_iter().map(|x| arith.round(x)).collect::<Vec<K::Number>>();
    let network = Rounded::of(arith, &mlp_network(file, case));
    let (batch, depth) = (case["batch"].as_u64().expect("batch") as usize, network.depth());
    let trace = forward(arith, &network, Summation::Wide, batch, &rounded("x"));
    let upstream: Vec<K::Number> =
        trace.post[depth].iter().zip(rounded("y")).map(|(&h, y)| arith.sub(h, y)).collect();
    let setting = Setting { summation: Summation::Wide, path: Path::Fused, remedy: Remedy::None };
    let mut worst = 0.0_f64;
    backward(arith, &network, setting, Some(&trace), batch, &upstream, |step| {
        let exact = tensor(&format!("exact/grad_h/{}", depth - step.passed));
        let size = exact.iter().fold(0.0_f64, |size, x| size.max(x.abs()));
        for (&got, exact) in step.gradient.iter().zip(&exact) {
            let error = (arith.value(got) - exact).abs() / size;
            worst = if error.is_nan() { f64::INFINITY } else { worst.max(error) };
        }
    })
    .expect("no remedy");
    worst
}

#[test]
fn deep_networks_are_no_worse_than_pytorch() {
    let (data, json) = read("mlp");
    let file = SafeTensors::deserialize(&data).expect("safetensors");
    for case in cases(&json) {
        let id = case["id"].as_str().expect("id");
        for (name, got) in [
            ("torch_f64", worst_layer(&Native::<f64>::new(isa()), &file, case)),
            ("torch_f32", worst_layer(&Native::<f32>::new(isa()), &file, case)),
        ] {
            let torch = case[name]["worst_layer_rel_err_of_grad_h"].as_f64();
            println!("{id}: {name} {torch:?}, here {got:.3e}");
            // Where torch has no figure its gradients are not finite.
            assert!(torch.is_none_or(|torch| got <= torch), "{id}: {name} {torch:?}, here {got:e}");
        }
    }
}

/// Every chain in the format of its case, with every summation: while nothing overflows,
/// `|computed - exact| <= ((1 + γ)^t - 1) |g| |M_1| .. |M_t| + U_t`, where `U_t = (1 + γ) |M_t|^T U_(t-1) + η` is what underflow can add.
#[test]
fn chains_stay_within_the_published_bounds() {
    let (data, json) = read("chain");
    let file = SafeTensors::deserialize(&data).expect("safetensors");
    let mut checked = 0;
    for case in cases(&json) {
        for summation in Summation::ALL {
            checked += match case["dtype"].as_str().expect("dtype") {
                "f16" => check_chain::<f16>(&file, case, summation),
                "bf16" => check_chain::<bf16>(&file, case, summation),
                "f32" => check_chain::<f32>(&file, case, summation),
                "f64" => check_chain::<f64>(&file, case, summation),
                other => panic!("{other}"),
            };
        }
    }
    println!("{checked} components within their bounds");
    assert!(checked > 20_000, "{checked}");
}

fn check_chain<T: Real>(file: &SafeTensors<'_>, case: &Value, summation: Summation) -> usize {
    if !summation.is_defined_for(T::FORMAT) {
        return 0;
    }
    let id = case["id"].as_str().expect("id");
    let n = case["n"].as_u64().expect("n") as usize;
    let tensor = |name: &str| floats(file, &format!("{id}/{name}"));
    let scaled = |name: &str| -> Vec<f64> {
        let (mantissas, exponents) = (tensor(&format!("{name}_mant")), tensor(&format!("{name}_exp")));
        mantissas.iter().zip(exponents).map(|(m, e)| libm::scalbn(*m, e as i32)).collect()
    };
    let (exact, sizes) = (scaled("exact_v"), scaled("abs_v"));
    let arith = Native::<T>::new(isa());
    let network = chain_network(file, case);
    let rounded = Rounded::of(&arith, &network);
    let g: Vec<T> = tensor("g").into_iter().map(T::round_from).collect();
    let gamma = summation.bound(n, T::FORMAT.unit_roundoff(), wide_unit(T::FORMAT));
    let lost = summation.underflow(n, T::FORMAT);
    let mut underflow = vec![0.0; n];
    let (mut checked, mut overflowed, mut growth) = (0, false, 1.0);
    let setting = Setting { summation, path: Path::Fused, remedy: Remedy::None };
    backward(&arith, &rounded, setting, None, 1, &g, |step| {
        if step.passed == 0 || overflowed {
            return;
        }
        let weights = &network.layers[network.layers.len() - step.passed].weights;
        growth *= 1.0 + gamma;
        underflow = (0..n)
            .map(|j| {
                lost + (1.0 + gamma) * (0..n).map(|i| weights[i * n + j].abs() * underflow[i]).sum::<f64>()
            })
            .collect();
        for (j, got) in step.gradient.iter().enumerate() {
            let at = (step.passed - 1) * n + j;
            if !got.value().is_finite() {
                assert!(
                    sizes[at] * growth > T::FORMAT.max() / 2.0,
                    "{id} {summation} layer {}: {got:?}",
                    step.passed
                );
                overflowed = true;
                return;
            }
            // The bound itself is computed in f64: a few roundings up to make it one from above.
            let bound = ((growth - 1.0) * sizes[at] + underflow[j]) * (1.0 + 1e-12);
            let error = (got.value() - exact[at]).abs();
            // The exact value is known to half an ulp of f64.
            let known = exact[at].abs() * f64::EPSILON;
            assert!(
                error <= bound + known,
                "{id} {summation} layer {} entry {j}: {error:e} > {bound:e}",
                step.passed
            );
            checked += 1;
        }
    })
    .expect("no remedy");
    checked
}
