//! Vector-first is the backward pass: the same bits, under every rule of rounding.

use gradchain_activations::{Activation, Path};
use gradchain_arith::{
    Arithmetic, Emulated, Format, Isa, Native, Rounding, Rules, Subnormals, Summation, bf16, f16,
};
use gradchain_chain::{
    ChainArithmetic, Draw, Init, Rounded, Setting, Upstream, backward, draw_ends, round_ends,
};
use gradchain_gradients::Remedy;
use gradchain_kernels::{Association, Plan, evaluate};

fn check<K: ChainArithmetic>(arith: &K, name: &str) {
    let batch = 3;
    let network = Draw::square(Init::Gaussian, 0, 6, Activation::Identity, 4)
        .network_of_widths(|t| [5, 4, 7, 1, 3, 6, 2][t]);
    assert_eq!((network.inputs(), network.outputs()), (5, 2));
    let ends = draw_ends((5, 2), batch, Upstream::Normal, 4, 0);
    let rounded = Rounded::of(arith, &network);
    let (_, upstream) = round_ends(arith, &ends);
    let mut factors = vec![upstream.as_slice()];
    factors.extend(rounded.weights_from_the_last());
    let plan = Plan::new(Association::VectorFirst, &[batch, 2, 6, 3, 1, 7, 4, 5]).unwrap();
    for summation in Summation::of(arith.format()) {
        let mut steps = Vec::new();
        let setting = Setting { summation, path: Path::Fused, remedy: Remedy::None };
        backward(arith, &rounded, setting, None, batch, &upstream, |step| steps.push(step.gradient.to_vec()))
            .unwrap();
        let mut products = vec![upstream.clone()];
        let last = evaluate(arith, summation, &plan, &factors, |product| products.push(product.to_vec()));
        assert_eq!(products, steps, "{name} {summation}");
        assert_eq!(Some(&last), steps.last(), "{name} {summation}");
    }
}

#[test]
fn vector_first_is_the_backward_pass() {
    let isa = Isa::choose().unwrap();
    check(&Native::<f16>::new(isa), "f16");
    check(&Native::<bf16>::new(isa), "bf16");
    check(&Native::<f32>::new(isa), "f32");
    check(&Native::<f64>::new(isa), "f64");
    for rounding in [Rounding::Nearest, Rounding::Stochastic, Rounding::Down] {
        let rules = Rules { rounding, subnormals: Subnormals::Flush, ..Rules::default() };
        check(&Emulated::new(Format::E5M2, rules, 8).stream(3), "e5m2");
    }
}
