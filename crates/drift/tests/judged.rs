//! The passes of `gradchain-chain` against exact results from elsewhere: deep networks no worse than PyTorch, chains of matrices within the
//! published bounds.

mod common;

use common::{cases, chain_network, floats, mlp_network, read};
use gradchain_activations::{Path, Vectorized};
use gradchain_arith::{Format, Isa, Native, Summation, bf16, f16, wide_unit};
use gradchain_chain::{
    ChainArithmetic, Rounded, Setting, Step, Trace, backward, bias_gradient, forward, weight_gradient,
};
use gradchain_drift::{Scaled, norm};
use gradchain_gradients::{Measured, Remedy};
use gradchain_kernels::{Kernels, Shape, Stored};
use safetensors::SafeTensors;
use serde_json::Value;

fn isa() -> Isa {
    Isa::choose().expect("an instruction set")
}

/// Passes forward and backward through a network of `mlp`, and calls `visit` with each step, the t of its gradient `dL/dh_t`, and the values kept.
fn pass<K: ChainArithmetic>(
    arith: &K,
    summation: Summation,
    path: Path,
    file: &SafeTensors<'_>,
    case: &Value,
    mut visit: impl FnMut(usize, Step<'_, K::Number>, &Trace<K::Number>),
) {
    let id = case["id"].as_str().expect("id");
    let rounded = |name: &str| {
        floats(file, &format!("{id}/{name}")).into_iter().map(|x| arith.round(x)).collect::<Vec<K::Number>>()
    };
    let network = Rounded::of(arith, &mlp_network(file, case));
    let (batch, depth) = (case["batch"].as_u64().expect("batch") as usize, network.depth());
    let trace = forward(arith, &network, summation, batch, &rounded("x"));
    let upstream: Vec<K::Number> =
        trace.post[depth].iter().zip(rounded("y")).map(|(&h, y)| arith.sub(h, y)).collect();
    let setting = Setting { summation, path, remedy: Remedy::None };
    backward(arith, &network, setting, Some(&trace), batch, &upstream, |step| {
        visit(depth - step.passed, step, &trace);
    })
    .expect("no remedy");
}

/// The worst layer's `max |g - exact| / max |exact|` of dL/dh, in one arithmetic.
fn worst_layer<K: ChainArithmetic>(arith: &K, path: Path, file: &SafeTensors<'_>, case: &Value) -> f64 {
    let id = case["id"].as_str().expect("id");
    let mut worst = 0.0_f64;
    pass(arith, Summation::Wide, path, file, case, |t, step, _| {
        let exact = floats(file, &format!("{id}/exact/grad_h/{t}"));
        let size = exact.iter().fold(0.0_f64, |size, x| size.max(x.abs()));
        for (&got, exact) in step.gradient.iter().zip(&exact) {
            let error = (arith.value(got) - exact).abs() / size;
            worst = if error.is_nan() { f64::INFINITY } else { worst.max(error) };
        }
    });
    worst
}

/// The worst layer of each network beside PyTorch's, by the paths with two roundings and with one: no worse in all networks by the first, which rounds where
/// PyTorch does. One rounding fewer changes which way a chaotic network errs: by it a network may be worse by a tenth (one of 26 is, by 7 %), and all
/// together must not be.
#[test]
fn deep_networks_are_no_worse_than_pytorch() {
    let (data, json) = read("mlp");
    let file = SafeTensors::deserialize(&data).expect("safetensors");
    let (mut log2_ratios, mut checked) = (0.0, 0);
    for case in cases(&json) {
        let id = case["id"].as_str().expect("id");
        for (path, factor) in [(Path::Multiplied, 1.0), (Path::Fused, 1.1)] {
            for (name, got) in [
                ("torch_f64", worst_layer(&Native::<f64>::new(isa()), path, &file, case)),
                ("torch_f32", worst_layer(&Native::<f32>::new(isa()), path, &file, case)),
            ] {
                // Where torch has no figure its gradients are not finite.
                let Some(torch) = case[name]["worst_layer_rel_err_of_grad_h"].as_f64() else { continue };
                println!("{id} {path}: {name} {torch:.3e}, here {got:.3e}, {:.2}", got / torch);
                assert!(got <= factor * torch, "{id} {path}: {name} {torch:e}, here {got:e}");
                if path == Path::Fused {
                    log2_ratios += libm::log2(got / torch);
                    checked += 1;
                }
            }
        }
    }
    println!(
        "by the fused path 2^{:.2} of PyTorch's error in the mean of {checked}",
        log2_ratios / f64::from(checked)
    );
    assert!(checked >= 24 && log2_ratios < 0.0);
}

/// `||dL/dW||` and `||dL/db||` of each layer, in one arithmetic with one summation.
fn gradient_norms<K: ChainArithmetic>(
    arith: &K,
    summation: Summation,
    file: &SafeTensors<'_>,
    case: &Value,
) -> [Vec<f64>; 2] {
    let depth = case["depth"].as_u64().expect("depth") as usize;
    let norm_of =
        |numbers: &[K::Number]| norm(&numbers.iter().map(|&x| arith.value(x)).collect::<Vec<f64>>()).to_f64();
    let mut norms = [vec![f64::NAN; depth], vec![f64::NAN; depth]];
    pass(arith, summation, Path::Fused, file, case, |t, step, trace| {
        if let Some(delta) = step.delta {
            norms[0][t] = norm_of(&weight_gradient(arith, summation, trace.batch, delta, &trace.post[t]));
            norms[1][t] = norm_of(&bias_gradient(arith, summation, trace.batch, delta));
        }
    });
    norms
}

/// The worst relative error of a number; infinite where one is not finite.
fn worst_relative(got: &[f64], exact: &[f64]) -> f64 {
    assert_eq!(got.len(), exact.len());
    let errors = got.iter().zip(exact).map(|(got, exact)| (got / exact - 1.0).abs());
    errors.fold(0.0, |worst, error| if error.is_finite() { f64::max(worst, error) } else { f64::INFINITY })
}

/// Norms of the weight and the bias gradients, summed over the batch, at the worst layer of each network: with the wide summation no worse than PyTorch,
/// whose products are sums of several fused partial sums, and with the recursive one, whose errors grow faster with the width, no worse
/// than 4 times that (3.4 is seen, at width 48). 2^-52 is what rounding the exact and the computed norm to f64 leaves open.
#[test]
fn weight_gradients_are_no_worse_than_pytorch() {
    let (data, json) = read("mlp");
    let file = SafeTensors::deserialize(&data).expect("safetensors");
    let mut checked = 0;
    for case in cases(&json) {
        let id = case["id"].as_str().expect("id");
        for (summation, factor) in [(Summation::Wide, 1.0), (Summation::Recursive, 4.0)] {
            for (format, norms) in [
                ("torch_f64", gradient_norms(&Native::<f64>::new(isa()), summation, &file, case)),
                ("torch_f32", gradient_norms(&Native::<f32>::new(isa()), summation, &file, case)),
            ] {
                for (name, norms) in ["grad_w_norm", "grad_b_norm"].into_iter().zip(norms) {
                    let exact = floats(&file, &format!("{id}/exact/{name}"));
                    let torch = worst_relative(&floats(&file, &format!("{id}/{format}/{name}")), &exact);
                    let got = worst_relative(&norms, &exact);
                    println!("{id}: {name} {summation}: {format} {torch:.3e}, here {got:.3e}");
                    assert!(
                        got <= factor * torch.max(f64::EPSILON),
                        "{id}: {name} {summation}: {format} {torch:e}, here {got:e}"
                    );
                    checked += usize::from(torch.is_finite());
                }
            }
        }
    }
    // All but the norms of one exploding network in f32, which PyTorch has as infinities.
    assert_eq!(checked, 8 * cases(&json).len() - 4);
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

fn check_chain<T: Stored + Vectorized + Measured>(
    file: &SafeTensors<'_>,
    case: &Value,
    summation: Summation,
) -> usize {
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

/// The product of all matrices of a chain, from the left by [`Kernels::times`]: `P_1 = M_1`, `P_t = fl(P_(t-1) M_t)`. While nothing overflows,
/// `|P_d - exact| <= ((1 + γ)^(d-1) - 1) |M_1| .. |M_d| + U_d`, where `U_t = (1 + γ) U_(t-1) |M_t| + η` and `U_1 = 0`.
#[test]
fn jacobian_products_stay_within_the_published_bounds() {
    let (data, json) = read("chain");
    let file = SafeTensors::deserialize(&data).expect("safetensors");
    let with_product = |case: &&Value| case["has_matrix_product"] == true;
    for (format, check) in [
        (Format::F16, check_product::<f16> as fn(&SafeTensors<'_>, &Value, Summation) -> Option<f64>),
        (Format::BF16, check_product::<bf16>),
        (Format::F32, check_product::<f32>),
        (Format::F64, check_product::<f64>),
    ] {
        let dtype = format.to_string();
        for summation in Summation::of(format) {
            let of_format = cases(&json).iter().filter(with_product).filter(|case| case["dtype"] == *dtype);
            let shares: Vec<f64> = of_format.filter_map(|case| check(&file, case, summation)).collect();
            let worst = shares.iter().copied().fold(0.0, f64::max);
            println!("{dtype} {summation}: {} products, at most {worst:.2e} of the bound", shares.len());
            // Every format has at least two products that do not overflow, one of them of 4 x 4 matrices.
            assert!(shares.len() >= 2 && worst > 0.0, "{dtype} {summation}: {shares:?}");
        }
    }
}

/// The largest `error / bound` of an entry of the product of one case; none if the product overflows.
fn check_product<T: Stored>(file: &SafeTensors<'_>, case: &Value, summation: Summation) -> Option<f64> {
    let id = case["id"].as_str().expect("id");
    let n = case["n"].as_u64().expect("n") as usize;
    let tensor = |name: &str| floats(file, &format!("{id}/{name}"));
    let exact: Vec<f64> = tensor("exact_p_mant")
        .iter()
        .zip(tensor("exact_p_exp"))
        .map(|(m, e)| Scaled::new(*m, e as i64).to_f64())
        .collect();
    let m = tensor("m");
    let gamma = summation.bound(n, T::FORMAT.unit_roundoff(), wide_unit(T::FORMAT));
    let lost = summation.underflow(n, T::FORMAT);
    let arith = Native::<T>::new(isa());
    let absolute = |matrix: &[f64]| matrix.iter().map(|x| x.abs()).collect::<Vec<f64>>();
    let product = |a: &[f64], b: &[f64]| -> Vec<f64> {
        (0..n * n).map(|at| (0..n).map(|k| a[at / n * n + k] * b[k * n + at % n]).sum()).collect()
    };
    let mut matrices = m.chunks_exact(n * n);
    let first = matrices.next().expect("a matrix");
    let mut computed: Vec<T> = first.iter().map(|&x| T::round_from(x)).collect();
    let (mut sizes, mut underflow, mut growth) = (absolute(first), vec![0.0; n * n], 1.0);
    for matrix in matrices {
        let rounded: Vec<T> = matrix.iter().map(|&x| T::round_from(x)).collect();
        let mut next = vec![T::round_from(0.0); n * n];
        arith.times(summation, &computed, &rounded, &mut next, Shape { rows: n, inner: n, columns: n });
        computed = next;
        growth *= 1.0 + gamma;
        let matrix = absolute(matrix);
        sizes = product(&sizes, &matrix);
        underflow = product(&underflow, &matrix).iter().map(|u| lost + (1.0 + gamma) * u).collect();
        if let Some(at) = computed.iter().position(|x| !x.value().is_finite()) {
            assert!(
                sizes[at] * growth > T::FORMAT.max() / 2.0,
                "{id} {summation} entry {at}: {:?}",
                computed[at]
            );
            return None;
        }
    }
    let mut share = 0.0_f64;
    for (at, got) in computed.iter().enumerate() {
        // The bound is computed in f64, and the exact value known to half an ulp of it.
        let bound =
            ((growth - 1.0) * sizes[at] + underflow[at]) * (1.0 + 1e-12) + exact[at].abs() * f64::EPSILON;
        let error = (got.value() - exact[at]).abs();
        assert!(error <= bound && bound.is_finite(), "{id} {summation} entry {at}: {error:e} > {bound:e}");
        share = share.max(error / bound);
    }
    Some(share)
}
