//! Batches for the tests of the layers.

use gradchain_gradients::Gradients;
use gradchain_gradients::layers::{
    Affine, NormLayer, Statistics, backward, forward, parameter_gradients, statistics,
};

/// A batch and what goes through the layer; all numbers are numbers of the format.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) layer: NormLayer,
    pub(crate) eps: f64,
    pub(crate) width: usize,
    pub(crate) x: Vec<f64>,
    pub(crate) weight: Vec<f64>,
    pub(crate) bias: Vec<f64>,
    pub(crate) gradient: Vec<f64>,
}

/// What a layer makes of a batch.
pub(crate) struct Results {
    pub(crate) statistics: Statistics,
    pub(crate) y: Vec<f64>,
    pub(crate) dx: Vec<f64>,
    pub(crate) weight_gradient: Vec<f64>,
    pub(crate) bias_gradient: Vec<f64>,
}

pub(crate) fn run<A: Gradients>(arith: &A, batch: &Batch) -> Results {
    let numbers = |values: &[f64]| values.iter().map(|&x| arith.round(x)).collect::<Vec<_>>();
    let values = |numbers: &[A::Number]| numbers.iter().map(|&x| arith.value(x)).collect::<Vec<_>>();
    let zeros = |n: usize| vec![arith.round(0.0); n];
    let [x, weight, bias, gradient] =
        [&batch.x, &batch.weight, &batch.bias, &batch.gradient].map(|values| numbers(values));
    let statistics = statistics(arith, batch.layer, batch.eps, batch.width, &x).unwrap();
    let (mut y, mut dx) = (zeros(x.len()), zeros(x.len()));
    let affine = Affine { weight: Some(&weight[..]), bias: Some(&bias[..]) };
    forward(arith, &statistics, &x, affine, &mut y).unwrap();
    backward(arith, &statistics, &x, Some(&weight), &gradient, &mut dx).unwrap();
    let (mut weights, mut biases) = (zeros(batch.width), zeros(batch.width));
    parameter_gradients(arith, &statistics, &x, &gradient, &mut weights, &mut biases).unwrap();
    Results {
        statistics,
        y: values(&y),
        dx: values(&dx),
        weight_gradient: values(&weights),
        bias_gradient: values(&biases),
    }
}

/// A batch without weight and bias: 1 and -0.
pub(crate) fn plain(layer: NormLayer, eps: f64, width: usize, x: &[f64], gradient: &[f64]) -> Batch {
    let (weight, bias) = (vec![1.0; width], vec![-0.0; width]);
    Batch { layer, eps, width, x: x.to_vec(), weight, bias, gradient: gradient.to_vec() }
}
