//! Properties of every clip over random gradients of every magnitude, count and format.

use gradchain_arith::{Isa, Native, bf16, f16};
use gradchain_gradients::{
    Adaptive, Clipping, Measured, NonFinite, Order, Outcome, Units, clip_adaptively, clip_by_norm,
    clip_by_range, clip_by_rms, clip_by_tensor_norm, clipped, norm, normalise, root_mean_square,
};

/// Drawn from a fixed seed.
struct Draws(u64);

impl Draws {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % below
    }

    fn unit(&mut self) -> f64 {
        self.next(1 << 30) as f64 / f64::powi(2.0, 30)
    }

    /// A number of the format: of any binade, near one binade, or special.
    fn number<T: Measured>(&mut self, centre: i32, finite: bool) -> T {
        let (low, high) = (T::FORMAT.min_exponent(), T::FORMAT.emax());
        let exponent = match self.next(4) {
            0 => low + self.next((high - low + 1) as u64) as i32,
            _ => (centre + self.next(9) as i32 - 4).clamp(low, high),
        };
        let sign = if self.next(2) == 0 { 1.0 } else { -1.0 };
        let size = (1.0 + self.unit()) / 2.0;
        // In two steps: 2^-1074 alone is below what powi takes.
        let power = f64::powi(2.0, exponent / 2) * f64::powi(2.0, exponent - exponent / 2);
        match self.next(40) {
            0 => T::round_from(sign * 0.0),
            1 if !finite => T::round_from(sign * f64::INFINITY),
            2 if !finite => T::round_from(f64::NAN),
            3 => T::round_from(sign * T::FORMAT.max()),
            4 => T::round_from(sign * T::FORMAT.min_subnormal()),
            _ => T::round_from(sign * (size * 2.0 * power).min(T::FORMAT.max())),
        }
    }

    /// Up to five tensors, some of them empty.
    fn tensors<T: Measured>(&mut self, finite: bool) -> Vec<Vec<T>> {
        let (low, high) = (T::FORMAT.min_exponent(), T::FORMAT.emax());
        let centre = low + self.next((high - low + 1) as u64) as i32;
        (0..self.next(6))
            .map(|_| {
                let length = [0, 1, 2, 3, 17, 40][self.next(6) as usize];
                (0..length).map(|_| self.number(centre, finite)).collect()
            })
            .collect()
    }

    /// A limit: 0, infinite, of the size of the norm or of any size.
    fn limit<T: Measured>(&mut self, norm: f64) -> f64 {
        match self.next(8) {
            0 => 0.0,
            1 => f64::INFINITY,
            2 => norm,
            3 => norm * (1.0 + 2.0 * f64::EPSILON),
            4 => T::FORMAT.min_subnormal() * (1.0 + self.unit()),
            _ => norm * (1e-6_f64.max(self.unit())),
        }
    }
}

fn bits<T: Measured>(tensors: &[Vec<T>]) -> Vec<Vec<u64>> {
    let bits = |x: &T| if x.value().is_nan() { u64::MAX } else { x.value().to_bits() };
    tensors.iter().map(|tensor| tensor.iter().map(bits).collect()).collect()
}

fn slices<T>(tensors: &[Vec<T>]) -> Vec<&[T]> {
    tensors.iter().map(Vec::as_slice).collect()
}

/// The bound on the norm after clipping: limit (1 + u) (1 + 2^-51) + n^(1/p) η / 2, with 2^-49 for the orders that are not exact.
fn bound<T: Measured>(order: Order, limit: f64, n: usize) -> f64 {
    let share = libm::pow(n as f64, 1.0 / order.p());
    let factor = if Order::EXACT.contains(&order) { -51 } else { -49 };
    let relative = limit * (1.0 + T::FORMAT.unit_roundoff()) * (1.0 + f64::powi(2.0, factor));
    // Half of the least f64 is no number: the bound is taken with one more.
    let absolute = (share * T::FORMAT.min_subnormal() / 2.0).max(f64::from_bits(1));
    (relative + absolute) * (1.0 + f64::EPSILON)
}

/// Each number is the exact one within half an ulp, the factor's 2^-52 and what rounding this check costs: the direction is kept, number by number.
fn direction_kept<T: Measured>(before: &[Vec<T>], after: &[Vec<T>], report: &Clipping) {
    // A factor below f64's range, in steps that stay inside it.
    let (mantissa, exponent) = (report.coefficient.mantissa(), report.coefficient.exponent() as i32 + 1);
    let times_factor =
        |x: f64| (0..4).fold(x * (0.5 * mantissa), |x, i| x * f64::powi(2.0, (exponent + i) >> 2));
    for (&b, &a) in before.iter().flatten().zip(after.iter().flatten()) {
        let (b, a) = (b.value(), a.value());
        let exact = times_factor(b);
        let tolerance = exact.abs() * (T::FORMAT.unit_roundoff() + f64::powi(2.0, -51))
            + T::FORMAT.min_subnormal() / 2.0
            + f64::from_bits(1);
        assert!((a - exact).abs() <= tolerance, "{}: {b:e} became {a:e}, not {exact:e}", T::NAME);
        assert_eq!(a.is_sign_negative(), b.is_sign_negative());
    }
}

fn clips_keep_their_promises<T: Measured>() {
    let arith = Native::<T>::new(Isa::PORTABLE);
    let mut draws = Draws(20_260_915);
    let orders = [1.0, 2.0, f64::INFINITY, 1.5, 3.0].map(|p| Order::of(p).unwrap());
    let (mut scaled, mut kept, mut idempotent) = (0, 0, 0);
    for _ in 0..4000 {
        let tensors = draws.tensors::<T>(true);
        let order = orders[draws.next(5) as usize];
        let n = tensors.iter().map(Vec::len).sum();
        let limit = draws.limit::<T>(norm(&arith, order, &slices(&tensors)).to_f64());
        let clip =
            |g: &[&[T]]| clipped(g, |g| clip_by_norm(&arith, order, limit, NonFinite::Error, g)).unwrap();
        let (after, report) = clip(&slices(&tensors));
        let norm_after = norm(&arith, order, &slices(&after));
        assert!(norm_after.to_f64() <= bound::<T>(order, limit, n), "{}: {limit:e}, {tensors:?}", T::NAME);
        if report.outcome == Outcome::Kept {
            assert_eq!(bits(&after), bits(&tensors));
            assert!(report.norm.to_f64() <= limit && report.flushed + report.made_subnormal == 0);
            kept += 1;
        } else {
            assert_eq!(report.outcome, Outcome::Scaled);
            assert!(report.norm.exceeds(limit) && report.coefficient.to_f64() < 1.0);
            direction_kept(&tensors, &after, &report);
            scaled += 1;
            let zeros = |tensors: &[Vec<T>]| tensors.iter().flatten().filter(|x| x.value() == 0.0).count();
            assert_eq!(zeros(&after), zeros(&tensors) + report.flushed);
            // Again: the norm is at most the bound, so a second clip changes a number by its own rounding and the excess, if at all.
            let (again, second) = clip(&slices(&after));
            idempotent += usize::from(second.outcome == Outcome::Kept);
            // Not where the format's least number is no small part of the limit: there the excess is not small.
            if limit >= T::FORMAT.min_normal() * 100.0 {
                for (a, b) in after.iter().flatten().zip(again.iter().flatten()) {
                    let (a, b) = (a.value(), b.value());
                    let tolerance = (2.0 * T::FORMAT.unit_roundoff() + f64::powi(2.0, -50)) * a.abs()
                        + a.abs() * (n as f64 * T::FORMAT.min_subnormal() / limit)
                        + T::FORMAT.min_subnormal();
                    assert!((a - b).abs() <= tolerance, "{}: {a:e} became {b:e}", T::NAME);
                }
            }
        }
        // One tensor, or one number a tensor.
        let flat = [tensors.concat()];
        let (whole, other) = clip(&slices(&flat));
        assert!(bits(&whole) == [bits(&after).concat()] && other == report);
        let (single, other) = clip(&flat[0].chunks(1).collect::<Vec<_>>());
        assert!(bits(&single).concat() == bits(&whole)[0] && other == report);
        // Each tensor by itself, and the root mean square.
        let (each, reports) =
            clipped(&slices(&tensors), |g| clip_by_tensor_norm(&arith, order, limit, NonFinite::Error, g))
                .unwrap();
        assert_eq!(reports.len(), tensors.len());
        for ((each, before), report) in each.iter().zip(&tensors).zip(reports) {
            let (alone, other) = clip(&[before]);
            assert!(bits(&alone)[0] == bits(std::slice::from_ref(each))[0] && other == report);
        }
        let (_, reports) =
            clipped(&slices(&tensors), |g| clip_by_rms(&arith, limit, NonFinite::Error, g)).unwrap();
        for (report, tensor) in reports.iter().zip(&tensors) {
            assert_eq!(report.norm, root_mean_square(&arith, &[tensor]));
            assert_eq!(report.outcome == Outcome::Scaled, report.norm.exceeds(limit));
        }
    }
    println!("{}: {scaled} scaled, {kept} kept; {idempotent} kept by a second clip", T::NAME);
    assert!(scaled > 800 && kept > 800);
}

#[test]
fn promises_f16() {
    clips_keep_their_promises::<f16>();
}

#[test]
fn promises_bf16() {
    clips_keep_their_promises::<bf16>();
}

#[test]
fn promises_f32() {
    clips_keep_their_promises::<f32>();
}

#[test]
fn promises_f64() {
    clips_keep_their_promises::<f64>();
}

/// NaN and infinities anywhere: no panic, and what each policy says, for every clip.
#[test]
fn not_finite() {
    fn check<T: Measured>() {
        let arith = Native::<T>::new(Isa::PORTABLE);
        let mut draws = Draws(7);
        for _ in 0..1500 {
            let tensors = draws.tensors::<T>(false);
            let spoiled = tensors.iter().flatten().any(|x| !x.value().is_finite());
            let limit = draws.limit::<T>(1.0);
            for (_, policy) in NonFinite::NAMED {
                let all = clipped(&slices(&tensors), |g| clip_by_norm(&arith, Order::Two, limit, policy, g));
                let each =
                    clipped(&slices(&tensors), |g| clip_by_tensor_norm(&arith, Order::Two, limit, policy, g));
                let unit = clipped(&slices(&tensors), |g| normalise(&arith, Order::Two, policy, g));
                let rms = clipped(&slices(&tensors), |g| clip_by_rms(&arith, limit, policy, g));
                let range = clipped(&slices(&tensors), |g| clip_by_range(&arith, -1.0, 1.0, policy, g));
                let failed = spoiled && policy == NonFinite::Error;
                assert_eq!([each.is_err(), unit.is_err(), rms.is_err(), range.is_err()], [failed; 4]);
                assert_eq!(all.is_err(), failed);
                let Ok((after, report)) = all else { continue };
                if !spoiled {
                    assert!(report.outcome == Outcome::Kept || report.outcome == Outcome::Scaled);
                    continue;
                }
                let numbers = after.iter().flatten().map(|x| x.value());
                match policy {
                    NonFinite::AllNan => assert!(numbers.clone().all(f64::is_nan)),
                    NonFinite::Zero => assert!(numbers.clone().all(|x| x.to_bits() == 0)),
                    NonFinite::Skip => assert_eq!(bits(&after), bits(&tensors)),
                    NonFinite::Propagate | NonFinite::Error => {
                        assert!(numbers.clone().all(|x| x == 0.0 || x.is_nan()));
                        assert!(numbers.clone().any(f64::is_nan));
                    }
                }
            }
        }
    }
    check::<f16>();
    check::<bf16>();
    check::<f32>();
    check::<f64>();
}

/// Units: rows and columns of random matrices, each as if it were alone.
#[test]
fn units_alone() {
    fn check<T: Measured>() {
        let arith = Native::<T>::new(Isa::PORTABLE);
        let mut draws = Draws(3);
        for _ in 0..600 {
            let (rows, width) = (draws.next(6) as usize, 1 + draws.next(6) as usize);
            let number = |draws: &mut Draws| draws.number::<T>(0, true);
            let weights: Vec<T> = (0..rows * width).map(|_| number(&mut draws)).collect();
            let g: Vec<T> = (0..rows * width).map(|_| number(&mut draws)).collect();
            let adaptive = Adaptive { clipping: draws.unit(), eps: draws.unit() * 1e-3 };
            let clip = |units, width, weights: &[T], g: &[T]| {
                clipped(&[g], |g| {
                    clip_adaptively(&arith, adaptive, units, width, NonFinite::Error, weights, g[0])
                })
                .unwrap()
            };
            let (by_row, reports) = clip(Units::Rows, width, &weights, &g);
            assert_eq!(reports.len(), rows);
            for i in 0..rows {
                let row = i * width..(i + 1) * width;
                let (alone, report) = clip(Units::Whole, 0, &weights[row.clone()], &g[row.clone()]);
                assert!(bits(&alone)[0] == bits(&by_row)[0][row] && report == reports[i..=i]);
                // Within the limit afterwards.
                let norms = [&alone[0][..], &weights[i * width..(i + 1) * width]]
                    .map(|x| norm(&arith, Order::Two, &[x]).to_f64());
                let limit = adaptive.clipping * norms[1].max(adaptive.eps);
                assert!(norms[0] <= bound::<T>(Order::Two, limit, width) * (1.0 + 1e-15));
            }
            let (by_column, reports) = clip(Units::Columns, width, &weights, &g);
            assert_eq!(reports.len(), width);
            for j in 0..width {
                let column = |x: &[T]| x[j.min(x.len())..].iter().step_by(width).copied().collect::<Vec<T>>();
                let (alone, report) = clip(Units::Whole, 0, &column(&weights), &column(&g));
                assert!(bits(&alone)[0] == bits(&[column(&by_column[0])])[0] && report == reports[j..=j]);
            }
        }
    }
    check::<f16>();
    check::<f32>();
    check::<f64>();
}
