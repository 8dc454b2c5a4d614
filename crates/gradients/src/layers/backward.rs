//! The backward passes: to x, and to the weights and biases.

use super::check_length;
use super::quick::Pass;
use super::statistics::{Group, State, Statistics};
use crate::error::GradientError;
use crate::extended::Extended;
use crate::signed_sum::SignedSum;
use crate::stored::Gradients;

/// dL/dx of `gradient`, dL/dy, into `out`, each number rounded once; formulas and error are those of the [module](super).
///
/// `x` is what the statistics were taken of, and `weight` that of the forward pass. The number in row i, column j draws its random bits
/// from stream i, j.
///
/// # Errors
/// If a slice has another length than the statistics say. Nothing has been written then.
pub fn backward<A: Gradients>(
    arith: &A,
    statistics: &Statistics,
    x: &[A::Number],
    weight: Option<&[A::Number]>,
    gradient: &[A::Number],
    out: &mut [A::Number],
) -> Result<(), GradientError> {
    let width = statistics.width;
    for (what, found) in [("x", x.len()), ("gradient", gradient.len()), ("out", out.len())] {
        check_length(what, found, statistics.rows * width)?;
    }
    weight.map_or(Ok(()), |weight| check_length("weight", weight.len(), width))?;
    let factors = |(i, j): (usize, usize)| {
        (arith.value(gradient[i * width + j]), weight.map_or(1.0, |weight| arith.value(weight[j])))
    };
    let stream = |(i, j): (usize, usize)| arith.stream(i as u64).stream(j as u64);
    // γ and x̂ of the numbers of a group.
    let mut terms: Vec<(Extended, Extended)> = Vec::new();
    for index in arith.layer_pass(Pass::Backward { statistics, x, weight, gradient, out: &mut *out }.into()) {
        let group = statistics.defined(arith, index, x);
        let members = || statistics.members(index);
        let finite = group.state == State::Finite
            && members().map(factors).all(|(gradient, weight)| gradient.is_finite() && weight.is_finite());
        if !finite {
            members().for_each(|(i, j)| out[i * width + j] = stream((i, j)).round(f64::NAN));
            continue;
        }
        terms.clear();
        terms.extend(members().map(|(i, j)| {
            let (gradient, weight) = factors((i, j));
            (Extended::product(gradient, weight), group.normalised(arith.value(x[i * width + j])))
        }));
        let shift = if statistics.layer.is_centred() {
            terms.iter().fold(Extended::ZERO, |sum, &(scaled, _)| sum.plus(scaled))
        } else {
            Extended::ZERO
        };
        let slope = if group.varies {
            terms.iter().fold(Extended::ZERO, |sum, &(scaled, normalised)| sum.plus(scaled.times(normalised)))
        } else {
            Extended::ZERO
        };
        // The bracket of the formula comes n times too large, so that means need no division.
        let count = Extended::from_f64(group.count as f64);
        let factor = group.factor.divided_by(group.count);
        for ((i, j), &(scaled, normalised)) in members().zip(&terms) {
            let bracket = scaled.times(count).minus(shift).minus(normalised.times(slope));
            out[i * width + j] = bracket.times(factor).settled().round(&stream((i, j)));
        }
    }
    Ok(())
}

/// dL/dweight and dL/dbias of `gradient`, dL/dy, each number rounded once; formulas and error are those of the [module](super).
///
/// `x` is what the statistics were taken of; for a layer with one of the two, ignore the other. The numbers of column j draw their random bits from
/// streams 0, j and 1, j.
///
/// # Errors
/// If a slice has another length than the statistics say. Nothing has been written then.
pub fn parameter_gradients<A: Gradients>(
    arith: &A,
    statistics: &Statistics,
    x: &[A::Number],
    gradient: &[A::Number],
    weight_gradient: &mut [A::Number],
    bias_gradient: &mut [A::Number],
) -> Result<(), GradientError> {
    let (rows, width) = (statistics.rows, statistics.width);
    for (what, found) in [("x", x.len()), ("gradient", gradient.len())] {
        check_length(what, found, rows * width)?;
    }
    check_length("weight_gradient", weight_gradient.len(), width)?;
    check_length("bias_gradient", bias_gradient.len(), width)?;
    let pass = Pass::Parameters {
        statistics,
        x,
        gradient,
        weight_gradient: &mut *weight_gradient,
        bias_gradient: &mut *bias_gradient,
    };
    let (weights, biases): (Vec<usize>, Vec<usize>) =
        arith.layer_pass(pass.into()).into_iter().partition(|left| *left < width);
    let groups: Vec<Group> = match weights.is_empty() {
        true => Vec::new(),
        false => (0..statistics.len()).map(|index| statistics.defined(arith, index, x)).collect(),
    };
    let column = |j: usize| (0..rows).map(move |i| (i, arith.value(gradient[i * width + j])));
    for j in weights {
        let group_at = |i: usize| &groups[statistics.group_at(i, j)];
        let stream = arith.stream(0).stream(j as u64);
        let finite = column(j).all(|(i, g)| g.is_finite() && group_at(i).state == State::Finite);
        weight_gradient[j] = if finite {
            let terms = column(j).map(|(i, g)| {
                let normalised = group_at(i).normalised(arith.value(x[i * width + j]));
                normalised.times(Extended::from_f64(g))
            });
            terms.fold(Extended::ZERO, Extended::plus).round(&stream)
        } else {
            stream.round(f64::NAN)
        };
    }
    for j in biases.into_iter().map(|left| left - width) {
        let stream = arith.stream(1).stream(j as u64);
        let mut sum = SignedSum::of(column(j).map(|(_, g)| g));
        bias_gradient[j] = match sum.special() {
            Some(special) => stream.round(special),
            None => sum.leading().round(&stream),
        };
    }
    Ok(())
}
