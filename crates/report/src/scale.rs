//! Axes: from numbers to places, and where the ticks stand.
//!
//! A chart never maps raw magnitudes: 2^-7500 is no f64. What spans many powers of two comes as its log2, and the scale is linear in that.

use crate::value::short_number;

/// A linear map from an interval of numbers to an interval of places.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    from: (f64, f64),
    to: (f64, f64),
}

impl Scale {
    /// An interval without extent is widened, so that a single value stands in the middle.
    pub(crate) fn new((low, high): (f64, f64), to: (f64, f64)) -> Scale {
        let from = if high > low { (low, high) } else { (low - 0.5, low + 0.5) };
        Scale { from, to }
    }

    pub(crate) fn at(&self, x: f64) -> f64 {
        let share = (x - self.from.0) / (self.from.1 - self.from.0);
        self.to.0 + share * (self.to.1 - self.to.0)
    }

    pub(crate) fn holds(&self, x: f64) -> bool {
        (self.from.0..=self.from.1).contains(&x)
    }

    pub(crate) fn domain(&self) -> (f64, f64) {
        self.from
    }
}

/// What a tick says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Label {
    Plain(String),
    /// `base^exponent`.
    Power(u32, i64),
}

/// A tick: a number in the units of the scale, and what stands there.
pub(crate) type Tick = (f64, Label);

/// At most about `count` ticks at multiples of 1, 2 or 5 times a power of ten.
pub(crate) fn linear_ticks((low, high): (f64, f64), count: usize) -> Vec<Tick> {
    let step = nice_step((high - low) / count as f64, &[1.0, 2.0, 5.0]);
    multiples(low, high, step).into_iter().map(|x| (x, Label::Plain(short_number(x, 6)))).collect()
}

/// Ticks of an axis in log2 at whole powers of two.
pub(crate) fn log2_ticks((low, high): (f64, f64), count: usize) -> Vec<Tick> {
    let mut step = 1.0;
    while (high - low) / step > count as f64 {
        step *= 2.0;
    }
    let label = |k: f64| if k == 0.0 { Label::Plain("1".to_owned()) } else { Label::Power(2, k as i64) };
    multiples(low, high, step).into_iter().map(|k| (k, label(k))).collect()
}

/// Ticks of an axis in log2 whose numbers are read as they are, such as depths: powers of two if all of `values` are, else of ten.
pub(crate) fn plain_log2_ticks((low, high): (f64, f64), values: &[f64], count: usize) -> Vec<Tick> {
    let is_power = |x: &f64| *x >= 1.0 && libm::log2(*x).fract() == 0.0;
    if values.iter().all(is_power) {
        let step = ((high - low) / count as f64).ceil().max(1.0);
        return multiples(low, high, step)
            .into_iter()
            .map(|k| (k, Label::Plain(short_number(libm::exp2(k), 15))))
            .collect();
    }
    let decade = std::f64::consts::LOG2_10;
    let decades = (high - low) / decade;
    let factors: &[f64] = match decades {
        d if d > 3.2 => &[1.0],
        d if d > 1.6 => &[1.0, 3.0],
        _ => &[1.0, 2.0, 5.0],
    };
    let step = (decades / count as f64).ceil().max(1.0) as usize;
    let (first, last) = ((low / decade).floor() as i64, (high / decade).ceil() as i64);
    let mut ticks = Vec::new();
    for k in (first..=last).filter(|k| k.rem_euclid(step as i64) == 0) {
        for factor in factors {
            let at = k as f64 * decade + libm::log2(*factor);
            if (low - 1e-9..=high + 1e-9).contains(&at) {
                let label = match k {
                    -3..=4 => Label::Plain(short_number(factor * libm::pow(10.0, k as f64), 3)),
                    _ if *factor == 1.0 => Label::Power(10, k),
                    _ => continue,
                };
                ticks.push((at, label));
            }
        }
    }
    ticks
}

/// The least of `factors` times a power of ten that is at least `least`.
fn nice_step(least: f64, factors: &[f64]) -> f64 {
    if !(least > 0.0 && least.is_finite()) {
        return 1.0;
    }
    let power = libm::pow(10.0, libm::log10(least).floor());
    factors.iter().map(|f| f * power).find(|step| *step >= least * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

/// The multiples of `step` from `low` to `high`.
fn multiples(low: f64, high: f64, step: f64) -> Vec<f64> {
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last.min(first + 64)).map(|k| k as f64 * step).collect()
}

/// Moves `wanted` places apart so that neighbours are at least `gap` from one another and all lie in `within`, as near to where they belong as
/// merging of crowded neighbours gives. Returned in the order given.
pub(crate) fn spread(wanted: &[f64], gap: f64, within: (f64, f64)) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]).then(a.cmp(&b)));
    // Blocks of neighbours that touch: sum of the places their first member would like, and how many they are.
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for &i in &order {
        blocks.push((wanted[i], 1));
        while let [.., (before, m), (sum, n)] = blocks[..] {
            let (top, size) = (before / m as f64, m as f64 * gap);
            if top + size <= sum / n as f64 {
                break;
            }
            // The members of the later block like their place `size` further up, for a start of the joined block.
            blocks.truncate(blocks.len() - 2);
            blocks.push((before + sum - n as f64 * size, m + n));
        }
    }
    let mut places = vec![0.0; wanted.len()];
    let mut next = order.iter();
    let mut free = within.0;
    let mut left = wanted.len();
    for (sum, n) in blocks {
        let last = within.1 - (left - 1) as f64 * gap;
        let start = (sum / n as f64).min(last).max(free);
        for (k, &i) in next.by_ref().take(n).enumerate() {
            places[i] = start + k as f64 * gap;
        }
        free = start + n as f64 * gap;
        left -= n;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(ticks: &[Tick]) -> Vec<String> {
        ticks
            .iter()
            .map(|(_, label)| match label {
                Label::Plain(text) => text.clone(),
                Label::Power(base, exponent) => format!("{base}^{exponent}"),
            })
            .collect()
    }

    #[test]
    fn ticks() {
        assert_eq!(plain(&linear_ticks((0.0, 53.0), 5)), ["0", "20", "40"]);
        assert_eq!(plain(&linear_ticks((1.0, 24.0), 6)), ["5", "10", "15", "20"]);
        assert_eq!(plain(&log2_ticks((-30.0, 17.0), 6)), ["2^-24", "2^-16", "2^-8", "1", "2^8", "2^16"]);
        let powers: Vec<f64> = (0..11).map(|k| f64::powi(2.0, k)).collect();
        assert_eq!(plain(&plain_log2_ticks((0.0, 10.0), &powers, 6)), ["1", "4", "16", "64", "256", "1024"]);
        let deep = libm::log2(100_000.0);
        assert_eq!(
            plain(&plain_log2_ticks((0.0, deep), &[100.0], 6)),
            ["1", "10", "100", "1000", "10000", "10^5"]
        );
        assert_eq!(plain(&plain_log2_ticks((-1.0, 4.0), &[0.7], 6)), ["0.5", "1", "2", "5", "10"]);
    }

    #[test]
    fn labels_do_not_touch_and_stay_inside() {
        assert_eq!(spread(&[10.0, 50.0], 12.0, (0.0, 100.0)), [10.0, 50.0]);
        assert_eq!(spread(&[50.0, 50.0, 50.0], 12.0, (0.0, 100.0)), [38.0, 50.0, 62.0]);
        assert_eq!(spread(&[99.0, 98.0], 12.0, (0.0, 100.0)), [100.0, 88.0]);
        assert_eq!(spread(&[1.0, 0.0, 2.0], 12.0, (0.0, 100.0)), [12.0, 0.0, 24.0]);
        let mut places = spread(&[5.0, 6.0, 7.0, 90.0, 91.0], 12.0, (0.0, 100.0));
        assert!(places.iter().all(|p| (0.0..=100.0).contains(p)), "{places:?}");
        places.sort_by(f64::total_cmp);
        assert!(places.windows(2).all(|p| p[1] - p[0] >= 12.0 - 1e-9) && places.len() == 5, "{places:?}");
    }
}
