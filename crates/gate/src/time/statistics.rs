//! Medians, the sign test, and what follows from it: nothing here assumes a distribution.

/// The median: the middle value, or the mean of the two middle ones. `None` for no values.
///
/// # Panics
/// If a value is NaN: none of the callers' can be.
pub fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The standard deviation that normal values with the same median distance from their median would have: `1.4826 · median |x - median x|`
/// (Hampel 1974). `None` for no values.
pub fn deviation(values: &[f64]) -> Option<f64> {
    let middle = median(values)?;
    let distances: Vec<f64> = values.iter().map(|x| (x - middle).abs()).collect();
    Some(1.482_602_218_505_602 * median(&distances)?)
}

/// The exact one-sided sign test: the probability that at least `above` of `of` fair coins fall on heads, `Σ_{k >= above} C(of, k) / 2^of`. The
/// relative error is at most `4 of` units of roundoff.
///
/// # Panics
/// If `of` is more than 1000, where 2^-of would be subnormal.
pub fn sign_test(above: usize, of: usize) -> f64 {
    assert!(of <= 1000, "a sign test of {of} values; at most 1000");
    let mut term = 1.0;
    for _ in 0..of {
        term *= 0.5;
    }
    // From C(of, of) downwards: C(of, k - 1) = C(of, k) · k / (of - k + 1).
    let mut sum = 0.0;
    for k in (above..=of).rev() {
        sum += term;
        term *= k as f64 / (of - k + 1) as f64;
    }
    f64::min(sum, 1.0)
}

/// The p values of a family of tests adjusted by Holm (1979): the probability of any false alarm in the family is at most the limit that the
/// adjusted values are compared with, whatever depends on what.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&i, &j| p[i].total_cmp(&p[j]));
    let mut adjusted = vec![1.0; p.len()];
    let mut largest = 0.0_f64;
    for (rank, &i) in order.iter().enumerate() {
        largest = largest.max((p[i] * (p.len() - rank) as f64).min(1.0));
        adjusted[i] = largest;
    }
    adjusted
}

/// Bounds on a true median, from order statistics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The true median is above it, with the asked confidence.
    pub lower: f64,
    /// The true median is below it, with the asked confidence.
    pub upper: f64,
}

/// Bounds on the median that `values` were drawn around, each of which is wrong with probability at most `error`: the largest k-th order statistic from
/// either end for which k - 1 or fewer of n coins have at most that probability (Conover 1999, section 3.2). `None` if there are too few values for any.
pub fn interval(values: &[f64], error: f64) -> Option<Interval> {
    let sorted = sorted(values);
    let n = sorted.len();
    // P(at most k - 1 of n) = P(at least n - k + 1 of n).
    let k = (1..=n.div_ceil(2)).take_while(|&k| sign_test(n - k + 1, n) <= error).last()?;
    Some(Interval { lower: sorted[k - 1], upper: sorted[n - k] })
}

fn sorted(values: &[f64]) -> Vec<f64> {
    assert!(values.iter().all(|x| !x.is_nan()), "a NaN has no place among ordered values");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_even_and_no_values() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[3.0, -1.0]), Some(1.0));
        assert_eq!(median(&[3.0, -1.0, 100.0]), Some(3.0));
        assert_eq!(deviation(&[1.0, 2.0, 3.0, 4.0, 1000.0]), Some(1.482_602_218_505_602));
    }

    /// Exact counts in integers, for every pair up to 60 coins.
    #[test]
    fn the_sign_test_is_exact() {
        for of in 0..=60_u32 {
            let mut binomial = vec![1_u128];
            for k in 0..of {
                binomial.push(binomial[k as usize] * u128::from(of - k) / u128::from(k + 1));
            }
            for above in 0..=of as usize {
                let exact: u128 = binomial[above..].iter().sum();
                let expected = exact as f64 / (1_u128 << of) as f64;
                let found = sign_test(above, of as usize);
                // Three roundings a term and one a sum.
                assert!((found - expected).abs() <= 4.0 * f64::from(of.max(1)) * f64::EPSILON * expected);
            }
            assert_eq!(sign_test(of as usize + 1, of as usize), 0.0);
        }
    }

    /// The worked example of Holm's procedure in Wright (1992), "Adjusted p-values for simultaneous inference", has p = .01, .04, .03, .005.
    #[test]
    fn holm_by_hand() {
        assert_eq!(holm(&[0.01, 0.04, 0.03, 0.005]), vec![0.03, 0.06, 0.06, 0.02]);
        assert_eq!(holm(&[]), Vec::<f64>::new());
        assert_eq!(holm(&[0.9, 0.8]), vec![1.0, 1.0]);
    }

    #[test]
    fn bounds_are_order_statistics() {
        let values: Vec<f64> = (1..=12).map(f64::from).collect();
        // P(at most 2 of 12) = 79/4096 = 0.019, P(at most 3 of 12) = 299/4096 = 0.073.
        assert_eq!(interval(&values, 0.05), Some(Interval { lower: 3.0, upper: 10.0 }));
        assert_eq!(interval(&values, 0.02), Some(Interval { lower: 3.0, upper: 10.0 }));
        assert_eq!(interval(&values, 0.019), Some(Interval { lower: 2.0, upper: 11.0 }));
        assert_eq!(interval(&values[..4], 0.05), None, "1/16 is more than 0.05");
        assert_eq!(interval(&values[..5], 0.05), Some(Interval { lower: 1.0, upper: 5.0 }));
        assert_eq!(interval(&[], 0.05), None);
    }
}
