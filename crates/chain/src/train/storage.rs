//! Slices of numbers to f64 and back: what training does to every parameter in every step.

use gradchain_arith::{Arithmetic, Emulated, LANES, Native, Real, Rounding, Rules, Simd, WithSimd};
use gradchain_gradients::{Gradients, Measured};

/// An arithmetic that parameters are stored in.
pub trait Storage: Gradients {
    /// `numbers[i]` becomes `values[i]` rounded in stream i, after as many roundings there as `before` says.
    ///
    /// # Panics
    /// If the lengths differ.
    fn round_all(&self, before: usize, values: &[f64], numbers: &mut [Self::Number]);

    /// `values[i]` becomes the value of `numbers[i]`; exact.
    ///
    /// # Panics
    /// If the lengths differ.
    fn values(&self, numbers: &[Self::Number], values: &mut [f64]);
}

impl<T: Measured> Storage for Native<T> {
    fn round_all(&self, _before: usize, values: &[f64], numbers: &mut [T]) {
        assert_eq!(values.len(), numbers.len(), "a number for each value");
        self.isa().run(Round { values, numbers });
    }

    fn values(&self, numbers: &[T], values: &mut [f64]) {
        assert_eq!(values.len(), numbers.len(), "a value for each number");
        self.isa().run(Widen { numbers, values });
    }
}

impl Storage for Emulated {
    fn round_all(&self, before: usize, values: &[f64], numbers: &mut [f64]) {
        assert_eq!(values.len(), numbers.len(), "a number for each value");
        let draws = self.rules().rounding == Rounding::Stochastic;
        let nearest = Emulated::new(self.format(), Rules { rounding: Rounding::Nearest, ..self.rules() }, 0);
        for (i, (number, &value)) in numbers.iter_mut().zip(values).enumerate() {
            if !draws {
                *number = self.round(value);
                continue;
            }
            // What needs no rounding needs no random bits, which cost most of the time.
            *number = nearest.round(value);
            if number.to_bits() != value.to_bits() {
                let stream = self.stream(i as u64);
                (0..before).for_each(|_| {
                    stream.round(0.0);
                });
                *number = stream.round(value);
            }
        }
    }

    fn values(&self, numbers: &[f64], values: &mut [f64]) {
        values.copy_from_slice(numbers);
    }
}

struct Round<'a, T> {
    values: &'a [f64],
    numbers: &'a mut [T],
}

impl<T: Real> WithSimd for Round<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (values, rest) = self.values.as_chunks::<LANES>();
        let (vectors, last) = self.numbers.as_chunks_mut::<LANES>();
        for (value, number) in values.iter().zip(vectors) {
            T::store_f64(simd, simd.load_f64(value), number);
        }
        let (mut value, mut number) = ([0.0; LANES], [T::default(); LANES]);
        value[..rest.len()].copy_from_slice(rest);
        T::store_f64(simd, simd.load_f64(&value), &mut number);
        last.copy_from_slice(&number[..rest.len()]);
    }
}

struct Widen<'a, T> {
    numbers: &'a [T],
    values: &'a mut [f64],
}

impl<T: Real> WithSimd for Widen<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (numbers, rest) = self.numbers.as_chunks::<LANES>();
        let (values, last) = self.values.as_chunks_mut::<LANES>();
        for (number, value) in numbers.iter().zip(values) {
            simd.store_f64(T::to_f64(simd, T::load(simd, number)), value);
        }
        let (mut number, mut value) = ([T::default(); LANES], [0.0; LANES]);
        number[..rest.len()].copy_from_slice(rest);
        simd.store_f64(T::to_f64(simd, T::load(simd, &number)), &mut value);
        last.copy_from_slice(&value[..rest.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradchain_arith::{Format, Isa, bf16, f16};

    /// f64 numbers of all sizes: every sign, exponent and leading 7 bits, each with tails that lie on, above and below midpoints.
    fn samples() -> Vec<f64> {
        let heads = (0..=u64::from(u16::MAX)).step_by(3);
        let tails = [0, 1, 1 << 41, (1 << 41) + 1, (1 << 44) - 1, 1 << 44, 1 << 28];
        heads.flat_map(|head| tails.map(|tail| f64::from_bits(head << 48 | tail))).collect()
    }

    fn check<T: Measured>(values: &[f64]) {
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        for isa in Isa::available() {
            let native = Native::<T>::new(isa);
            for slice in [values, &values[..15], &values[7..40], &[]] {
                let mut numbers = vec![T::default(); slice.len()];
                native.round_all(0, slice, &mut numbers);
                let mut back = vec![1.0; slice.len()];
                native.values(&numbers, &mut back);
                for ((&x, &number), &value) in slice.iter().zip(&numbers).zip(&back) {
                    let expected = T::round_from(x).value();
                    assert!(
                        same(number.value(), expected) && same(value, expected),
                        "{} {isa} {x:e}",
                        T::NAME
                    );
                }
            }
        }
    }

    /// Slices are rounded and read as numbers are.
    #[test]
    fn vectors_are_the_definition() {
        let values = samples();
        check::<f16>(&values);
        check::<bf16>(&values);
        check::<f32>(&values);
        check::<f64>(&values);
    }

    /// The k-th rounding of a slice is the k-th of each number's stream.
    #[test]
    fn stochastic_rounding_draws_by_number_and_turn() {
        let rules = Rules { rounding: Rounding::Stochastic, ..Rules::default() };
        let arith = Emulated::new(Format::BF16, rules, 7);
        let values: Vec<f64> = (0..200).map(|i| 1.0 + f64::from(i) / 51_200.0).collect();
        let mut rounded = [vec![0.0; 200], vec![0.0; 200]];
        for (before, numbers) in rounded.iter_mut().enumerate() {
            arith.round_all(before, &values, numbers);
        }
        for (i, &value) in values.iter().enumerate() {
            let stream = arith.stream(i as u64);
            assert_eq!([rounded[0][i], rounded[1][i]], [stream.round(value), stream.round(value)]);
        }
        assert_ne!(rounded[0], rounded[1]);
    }
}
