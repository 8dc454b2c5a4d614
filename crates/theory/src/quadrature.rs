//! Means over a normal distribution, by composite Gauss-Legendre quadrature cut at the kinks of the integrand.
//!
//! Gauss-Hermite quadrature converges slowly for functions with kinks, and for every function of small width once the variance is large. Here
//! panels are at most 1 wide in units of the standard deviation and, in the argument itself, at most 0.5 or a quarter of its magnitude, so that the
//! integrand is resolved at any variance.

use crate::special::normal_density;

/// Positive nodes and their weights on [-1, 1], 16 points: exact for polynomials up to degree 31.
const NODES: [(f64, f64); 8] = [
    (0.095_012_509_837_637_44, 0.189_450_610_455_068_5),
    (0.281_603_550_779_258_9, 0.182_603_415_044_923_6),
    (0.458_016_777_657_227_4, 0.169_156_519_395_002_54),
    (0.617_876_244_402_643_7, 0.149_595_988_816_576_73),
    (0.755_404_408_355_003, 0.124_628_971_255_533_87),
    (0.865_631_202_387_831_7, 0.095_158_511_682_492_78),
    (0.944_575_023_073_232_6, 0.062_253_523_938_647_89),
    (0.989_400_934_991_649_9, 0.027_152_459_411_754_095),
];

/// Width of panels near 0.
const PANEL: f64 = 0.5;

/// Panels grow with the distance from 0, to this part of it.
const GROWTH: f64 = 0.25;

/// From here on panels are as wide as the deviation: every activation is a straight line there, but for less than e^-40.
const STRAIGHT: f64 = 40.0;

/// The normal density beyond this is 2e-32 of its height.
const CUT: f64 = 12.0;

/// Largest variance of [`gaussian_mean`]: beyond it squares of arguments overflow.
pub const MAX_VARIANCE: f64 = 1e300;

/// `∫ f` from `low` to `high` by 16 nodes, for several functions at once.
pub(crate) fn panel<const N: usize>(low: f64, high: f64, mut f: impl FnMut(f64) -> [f64; N]) -> [f64; N] {
    let (centre, half) = (0.5 * (low + high), 0.5 * (high - low));
    let mut sums = [0.0; N];
    for (node, weight) in NODES {
        let (left, right) = (f(centre - half * node), f(centre + half * node));
        for ((sum, l), r) in sums.iter_mut().zip(left).zip(right) {
            *sum += weight * (l + r);
        }
    }
    sums.map(|sum| sum * half)
}

/// `E f(√variance · z)` with z standard normal, for several functions at once.
///
/// - `kinks` are the arguments at which f or a derivative of it jumps, in any order.
/// - At variance 0 the result is the limit of small variances, the mean of f on both sides of 0.
///
/// What it assumes: between kinks f continues analytically to a distance of about 1 + |x|/4 from the real line where |x| < 40, and is there a
/// polynomial on each side. Then the error is below `1e-13 · E|f|` (rounding; truncation is below 1e-15), as the tests check for every
/// activation against other methods. A variance that is NaN, negative or above [`MAX_VARIANCE`] gives NaN.
pub fn gaussian_mean<const N: usize>(
    variance: f64,
    kinks: &[f64],
    mut f: impl FnMut(f64) -> [f64; N],
) -> [f64; N] {
    if variance.is_nan() || !(0.0..=MAX_VARIANCE).contains(&variance) {
        return [f64::NAN; N];
    }
    let deviation = variance.sqrt();
    // Squares of such arguments vanish beside anything, and their signs tell the sides of 0.
    const SIDE: f64 = 1e-200;
    if deviation <= SIDE {
        let (left, right) = (f(-SIDE), f(SIDE));
        return std::array::from_fn(|i| 0.5 * (left[i] + right[i]));
    }
    let mut means = [0.0; N];
    for sign in [-1.0, 1.0] {
        let mut from = 0.0;
        while from < CUT * deviation {
            let narrow = if from < STRAIGHT { PANEL.max(GROWTH * from).min(deviation) } else { deviation };
            let mut to = from + narrow;
            for &kink in kinks {
                let at = sign * kink;
                if at > from && at < to {
                    to = at;
                }
            }
            // In units of the deviation, so that nothing underflows at small variances.
            let sums = panel(from / deviation, to / deviation, |z| {
                let density = normal_density(z);
                f(sign * deviation * z).map(|value| value * density)
            });
            for (mean, sum) in means.iter_mut().zip(sums) {
                *mean += sum;
            }
            from = to;
        }
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_for_polynomials_of_degree_31() {
        for degree in 0..32 {
            let [sum] = panel(0.0, 1.0, |x| [libm::pow(x, f64::from(degree))]);
            assert!((sum * f64::from(degree + 1) - 1.0).abs() < 1e-14, "{degree}: {sum}");
        }
        let [sum] = panel(-1.0, 1.0, |x| [libm::pow(x, 32.0)]);
        assert!((sum * 33.0 / 2.0 - 1.0).abs() > 1e-12, "degree 32 is not exact");
    }

    /// Moments of the normal distribution, half of it, and the cosine, whose mean is `e^(-q/2)`.
    #[test]
    fn known_means() {
        for q in [1e-250, 1e-6, 0.01, 0.7, 1.0, 13.0, 1e4, 1e60] {
            let [one, square, fourth, half] = gaussian_mean(q, &[0.0], |x| {
                [1.0, x * x, x * x * x * x / q, if x > 0.0 { x * x } else { 0.0 }]
            });
            assert!((one - 1.0).abs() < 1e-14, "{q}: {one}");
            assert!((square / q - 1.0).abs() < 1e-14, "{q}: {square}");
            if q > 1e-100 {
                assert!((fourth / q / 3.0 - 1.0).abs() < 1e-14, "{q}: {fourth}");
            }
            assert!((half / q - 0.5).abs() < 1e-14, "{q}: {half}");
        }
        for q in [0.01, 1.0, 9.0] {
            let [cosine] = gaussian_mean(q, &[], |x| [libm::cos(x)]);
            assert!((cosine - libm::exp(-q / 2.0)).abs() < 1e-14, "{q}");
        }
    }

    #[test]
    fn kinks_anywhere() {
        // E max(x - a, 0) = √q φ(a/√q) - a Φ(-a/√q).
        for (q, a) in [(1.0, 0.3), (4.0, -1.234), (0.01, 0.05), (1e4, 77.7)] {
            let s = f64::sqrt(q);
            let [mean] = gaussian_mean(q, &[a], |x| [(x - a).max(0.0)]);
            let exact = s * normal_density(a / s) - a * crate::special::normal_distribution(-a / s);
            assert!((mean - exact).abs() < 1e-13 * exact, "{q} {a}: {mean} {exact}");
        }
    }

    #[test]
    fn bad_variances_and_none() {
        for q in [f64::NAN, -1.0, f64::INFINITY, 1e301] {
            assert!(gaussian_mean(q, &[], |x| [x])[0].is_nan());
        }
        assert_eq!(gaussian_mean(0.0, &[0.0], |x| [if x > 0.0 { 1.0 } else { 0.0 }])[0], 0.5);
    }
}
