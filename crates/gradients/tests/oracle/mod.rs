//! Normalisation layers in 1600 bits, from their definitions alone: gradients are differences of the loss, not formulas.

use crate::common::batch::Batch;
use dashu_float::FBig;
use dashu_float::ops::Abs;
use dashu_float::round::mode::HalfEven;
use gradchain_arith::Format;
use gradchain_gradients::layers::NormLayer;

pub(crate) type Big = FBig<HalfEven, 2>;

/// Bits that are computed with.
const BITS: usize = 1600;
/// Step of the differences, in units of the divisor: their error is about the square of it.
const STEP: isize = 300;

pub(crate) fn big(x: f64) -> Big {
    Big::try_from(x).expect("finite").with_precision(BITS).value()
}

/// Exact results, each with the magnitude that its error bound is relative to; none where there is nothing to divide by.
pub(crate) struct Exact {
    pub(crate) y: Vec<Option<(Big, Big)>>,
    pub(crate) dx: Vec<Option<(Big, Big)>>,
    pub(crate) weight_gradient: Vec<Option<(Big, Big)>>,
    pub(crate) bias_gradient: Vec<Big>,
    /// Mean, variance (mean square, sum of squares) and factor of each group.
    pub(crate) statistics: Vec<Option<[Big; 3]>>,
}

impl Batch {
    /// The places of the numbers that are normalised together.
    pub(crate) fn groups(&self) -> Vec<Vec<usize>> {
        let (rows, width) = (self.x.len() / self.width.max(1), self.width);
        if self.layer == NormLayer::BatchNorm {
            (0..width).map(|j| (0..rows).map(|i| i * width + j).collect()).collect()
        } else {
            (0..rows).map(|i| (0..width).map(|j| i * width + j).collect()).collect()
        }
    }

    /// x̂ of a group, the mean that was subtracted, and the divisor; none if that is zero.
    fn normalise(&self, x: &[Big]) -> Option<(Vec<Big>, [Big; 2])> {
        let n = big(x.len() as f64);
        let sum = |terms: &mut dyn Iterator<Item = Big>| terms.fold(big(0.0), |sum, x| sum + x);
        let square = |x: &Big| x * x;
        let (x, mean, divisor) = match self.layer {
            NormLayer::RmsNorm => {
                (x.to_vec(), big(0.0), (sum(&mut x.iter().map(square)) / n + big(self.eps)).sqrt())
            }
            NormLayer::LayerNorm | NormLayer::BatchNorm => {
                let mean = sum(&mut x.iter().cloned()) / &n;
                // Equal numbers have their own mean, whatever the rounding of the quotient.
                let equal = x.iter().all(|number| *number == x[0]);
                let deviations: Vec<Big> =
                    x.iter().map(|x| if equal { big(0.0) } else { x - &mean }).collect();
                let variance = sum(&mut deviations.iter().map(square)) / n;
                (deviations, mean, (variance + big(self.eps)).sqrt())
            }
            NormLayer::UnitNorm => {
                let norm = sum(&mut x.iter().map(square)).sqrt();
                (x.to_vec(), big(0.0), if norm < big(self.eps) { big(self.eps) } else { norm })
            }
        };
        (divisor != Big::ZERO).then(|| (x.iter().map(|x| x / &divisor).collect(), [mean, divisor]))
    }

    /// y and its magnitude alone, of a single row: no differences, so that it may be long.
    pub(crate) fn exact_row(&self) -> Vec<(Big, Big)> {
        let x: Vec<Big> = self.x.iter().map(|&x| big(x)).collect();
        let (normalised, _) = self.normalise(&x).expect("a divisor");
        normalised.iter().enumerate().map(|(j, normalised)| self.scaled(j, normalised)).collect()
    }

    /// `weight_j · x̂ + bias_j` and the sum of the magnitudes.
    fn scaled(&self, j: usize, normalised: &Big) -> (Big, Big) {
        let product = big(self.weight[j]) * normalised;
        let magnitude = product.clone().abs() + big(self.bias[j].abs());
        (product + big(self.bias[j]), magnitude)
    }

    pub(crate) fn exact(&self) -> Exact {
        let size = self.x.len();
        let (mut y, mut dx) = (vec![None; size], vec![None; size]);
        let mut weight_gradient = vec![Some((big(0.0), big(0.0))); self.width];
        let mut bias_gradient = vec![big(0.0); self.width];
        let mut statistics = Vec::new();
        for (g, j) in self.gradient.iter().zip((0..self.width).cycle()) {
            bias_gradient[j] += big(*g);
        }
        for group in self.groups() {
            let x: Vec<Big> = group.iter().map(|&at| big(self.x[at])).collect();
            let scaled: Vec<Big> =
                group.iter().map(|&at| big(self.gradient[at]) * big(self.weight[at % self.width])).collect();
            let Some((normalised, [mean, divisor])) = self.normalise(&x) else {
                group.iter().for_each(|at| weight_gradient[at % self.width] = None);
                statistics.push(None);
                continue;
            };
            for (&at, normalised) in group.iter().zip(&normalised) {
                let j = at % self.width;
                y[at] = Some(self.scaled(j, normalised));
                if let Some((sum, magnitude)) = &mut weight_gradient[j] {
                    let product = big(self.gradient[at]) * normalised;
                    *magnitude += product.clone().abs();
                    *sum += product;
                }
            }
            let squares = x.iter().map(|x| (x - &mean) * (x - &mean)).fold(big(0.0), |sum, x| sum + x);
            let n = if self.layer == NormLayer::UnitNorm { 1 } else { x.len() };
            statistics.push(Some([mean, squares / big(n as f64), big(1.0) / &divisor]));
            let loss = |x: &[Big]| {
                let (normalised, _) = self.normalise(x).expect("still a divisor");
                normalised.iter().zip(&scaled).fold(big(0.0), |sum, (x, g)| sum + x * g)
            };
            let step: Big = divisor.clone() >> STEP;
            let magnitudes = |terms: &mut dyn Iterator<Item = Big>| {
                let sum = terms.fold(big(0.0), |sum, x| sum + x.abs());
                if self.layer == NormLayer::UnitNorm { sum } else { sum / big(x.len() as f64) }
            };
            let scaled_mean = magnitudes(&mut scaled.iter().cloned());
            let slope = magnitudes(&mut normalised.iter().zip(&scaled).map(|(x, g)| x * g));
            for (k, &at) in group.iter().enumerate() {
                let moved = |by: &Big| {
                    let mut x = x.clone();
                    x[k] += by;
                    loss(&x)
                };
                let difference = moved(&step) - moved(&-step.clone());
                let terms = scaled[k].clone().abs() + &scaled_mean + normalised[k].clone().abs() * &slope;
                dx[at] = Some((difference / (step.clone() << 1), terms / &divisor));
            }
        }
        Exact { y, dx, weight_gradient, bias_gradient, statistics }
    }
}

/// The unit in the last place of `format` at `x`.
pub(crate) fn ulp(format: Format, x: &Big) -> Big {
    let repr = x.repr();
    let top = if *x == Big::ZERO { isize::MIN } else { repr.exponent() + repr.digits() as isize - 1 };
    let exponent = top.max(format.emin() as isize) - format.precision() as isize + 1;
    if exponent >= 0 { big(1.0) << exponent } else { big(1.0) >> -exponent }
}

/// The error of `got` in ulp of the exact result. It must be at most half an ulp and `slack`; an infinity must be what overflow makes of the
/// exact result.
pub(crate) fn error(format: Format, got: f64, exact: &Big, slack: &Big, what: &str) -> f64 {
    let ulp = ulp(format, exact);
    let half = ulp.clone() >> 1;
    if got.is_infinite() {
        let limit = big(format.max()) * (big(1.0) + big(format.unit_roundoff() / 2.0));
        let signed = if got > 0.0 { exact.clone() } else { -exact.clone() };
        assert!(signed + slack >= limit, "{what}: {got} for {:e}", exact.to_f64().value());
        return 0.5;
    }
    assert!(!got.is_nan(), "{what}: NaN for {}", exact.to_f64().value());
    let error = (big(got) - exact).abs();
    let ulps = (error.clone() / ulp).to_f64().value();
    assert!(error <= half + slack, "{what}: {got:e} for {:e}, {ulps} ulp", exact.to_f64().value());
    ulps
}
