//! Roots of functions of one number by bisection: slow, and sure.

/// The place between `low` and `high`, in any order, at which the sign of f changes, to the last bit; f has different signs at the ends.
///
/// An end at which f is 0 is the result. NaN counts as positive.
pub(crate) fn bisect(mut low: f64, mut high: f64, f: impl Fn(f64) -> f64) -> f64 {
    let at_low = f(low);
    if at_low == 0.0 {
        return low;
    }
    let below = at_low < 0.0;
    // 64 halvings of an interval whose ends share an exponent reach neighbours; the rest is for ends that do not.
    for _ in 0..2200 {
        let middle = 0.5 * low + 0.5 * high;
        if middle == low || middle == high {
            break;
        }
        let value = f(middle);
        if value == 0.0 {
            return middle;
        }
        match (value < 0.0) == below {
            true => low = middle,
            false => high = middle,
        }
    }
    high
}

/// The place between `low` and `high` where f is least, by golden sections (Kiefer 1953); f has one minimum there.
pub(crate) fn least(mut low: f64, mut high: f64, f: impl Fn(f64) -> f64) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let (mut left, mut right) = (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
    let (mut at_left, mut at_right) = (f(left), f(right));
    // 50 sections leave 4e-11 of the interval, finer than a minimum of f in f64 can be told.
    for _ in 0..50 {
        if at_left <= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - GOLDEN * (high - low);
            at_left = f(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + GOLDEN * (high - low);
            at_right = f(right);
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_and_minima() {
        assert_eq!(bisect(0.0, 4.0, |x| x * x - 9.0), 3.0);
        assert!((bisect(0.25, 4.0, |x| 2.0 - x * x) - 2.0_f64.sqrt()).abs() <= f64::EPSILON);
        assert_eq!(bisect(1.0, 2.0, |x| x - 1.0), 1.0);
        assert!((bisect(0.0, 1e300, |x| x - 1e-300) / 1e-300 - 1.0).abs() < 1e-15);
        assert!((least(0.0, 3.0, |x| (x - 1.3) * (x - 1.3)) - 1.3).abs() < 1e-8);
    }
}
