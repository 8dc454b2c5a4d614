//! Means over binomial and Poisson counts.

/// Terms below this part of the largest one are left out; all together they are below 1e-17.
const NEGLIGIBLE: f64 = 1e-22;

/// `Σ p_k f(k) / Σ p_k` and the variance of f over `k = first..=last`, given a mode of the weights and their ratios: `up(k) = p_(k+1) / p_k`.
fn mean_and_variance(
    first: usize,
    last: usize,
    mode: usize,
    up: impl Fn(usize) -> f64,
    f: impl Fn(usize) -> f64,
) -> (f64, f64) {
    let mode = mode.clamp(first, last);
    let mut weights = vec![(mode, 1.0)];
    let mut weight = 1.0;
    for k in (first..mode).rev() {
        weight /= up(k);
        if weight < NEGLIGIBLE {
            break;
        }
        weights.push((k, weight));
    }
    weight = 1.0;
    for k in mode..last {
        weight *= up(k);
        if weight < NEGLIGIBLE {
            break;
        }
        weights.push((k + 1, weight));
    }
    let values: Vec<f64> = weights.iter().map(|&(k, _)| f(k)).collect();
    let total: f64 = weights.iter().map(|&(_, p)| p).sum();
    let mean = weights.iter().zip(&values).map(|(&(_, p), value)| p * value).sum::<f64>() / total;
    let variance =
        weights.iter().zip(&values).map(|(&(_, p), value)| p * (value - mean) * (value - mean)).sum::<f64>()
            / total;
    (mean, variance)
}

/// Mean and variance of `f(K)` with K binomial of n trials with probability 1/2, given `K >= least`.
pub(crate) fn half_binomial(n: usize, least: usize, f: impl Fn(usize) -> f64) -> (f64, f64) {
    mean_and_variance(least, n, n / 2, |k| (n - k) as f64 / (k + 1) as f64, f)
}

/// Mean and variance of `f(J)` with J a Poisson count of mean `rate`.
pub(crate) fn poisson(rate: f64, f: impl Fn(usize) -> f64) -> (f64, f64) {
    mean_and_variance(0, usize::MAX, rate as usize, |k| rate / (k + 1) as f64, f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_counts() {
        for n in [1, 2, 7, 100, 12_345] {
            let (mean, variance) = half_binomial(n, 0, |k| k as f64);
            assert!((mean / (n as f64 / 2.0) - 1.0).abs() < 1e-13, "{n}: {mean}");
            assert!((variance / (n as f64 / 4.0) - 1.0).abs() < 1e-12, "{n}: {variance}");
        }
        // Given K >= 1 the mean is (n/2) / (1 - 2^-n).
        let (mean, _) = half_binomial(3, 1, |k| k as f64);
        assert!((mean - 1.5 / 0.875).abs() < 1e-15);
        assert_eq!(half_binomial(1, 1, |k| k as f64), (1.0, 0.0));
        for rate in [1e-9, 0.3, 5.5, 4096.0, 1e6] {
            let (mean, variance) = poisson(rate, |k| k as f64);
            assert!((mean / rate - 1.0).abs() < 1e-12, "{rate}: {mean}");
            assert!((variance / rate - 1.0).abs() < 1e-11, "{rate}: {variance}");
        }
    }
}
