//! Every instruction set of this CPU gives the bits of the portable instance, and the vector text of each summation gives what its scalar
//! definition in integer arithmetic gives.

use gradchain_arith::{
    Accumulator, Arithmetic, Compensated, Emulated, Format, Fused, ISA_NAMES, Interleaved, Isa, LANES,
    Pairwise, Real, Recursive, Rules, Simd, Subnormals, Summation, WithSimd, bf16, dot, f16, philox,
    round_f64,
};
use std::array::from_fn;

/// All instruction sets of this CPU, the portable one included; prints which ones it lacks.
fn isas_of_this_cpu() -> Vec<Isa> {
    let available = Isa::available();
    for name in ISA_NAMES {
        if !available.iter().any(|isa| isa.name() == name) {
            println!("skipped: {name} (this CPU lacks it)");
        }
    }
    available
}

/// Bits with every NaN made one.
fn bits32(x: f32) -> u32 {
    if x.is_nan() { 0x7fc0_0000 } else { x.to_bits() }
}

fn bits64(x: f64) -> u64 {
    if x.is_nan() { 0x7ff8 << 48 } else { x.to_bits() }
}

/// All operations of the trait on one set of operands, as bits.
struct AllOperations {
    a: [f32; LANES],
    b: [f32; LANES],
    c: [f32; LANES],
}

impl WithSimd for AllOperations {
    type Output = Vec<u64>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<u64> {
        let [a, b, c] = [&self.a, &self.b, &self.c].map(|x| simd.load_f32(x));
        let mut all = Vec::new();
        let mut lanes = [0.0; LANES];
        for x in [
            simd.add_f32(a, b),
            simd.sub_f32(a, b),
            simd.mul_f32(a, b),
            simd.mul_add_f32(a, b, c),
            simd.mul_add_odd(a, b, c),
            simd.where_finite_f32(a, b),
            simd.round_f16(a),
            simd.round_bf16(a),
            simd.splat_f32(self.a[0]),
            simd.narrow(simd.mul_f64(simd.widen(a), simd.widen(b))),
            simd.div_f32(a, b),
            simd.max_f32(a, b),
            simd.min_f32(a, b),
            simd.abs_f32(a),
            simd.copysign_f32(a, b),
            simd.select_f32(simd.less_f32(a, b), b, c),
            simd.last_bits_to_exponent_f32(c),
            simd.last_bits_to_exponent_f32(simd.add_f32(a, simd.splat_f32(12_583_039.0))),
            simd.add_sixteenths_to_exponent_f32(a, b),
            simd.add_sixteenths_to_exponent_f32(b, simd.add_f32(a, simd.splat_f32(12_582_912.0))),
            simd.lookup_f32(&from_fn(|i| i as f32), simd.binade_quarter_f32(a)),
            simd.lookup_f32(&from_fn(|i| i as f32), a),
        ] {
            simd.store_f32(x, &mut lanes);
            all.extend(lanes.map(|x| u64::from(bits32(x))));
        }
        let [a64, b64, c64] =
            [a, b, c].map(|x| simd.mul_f64(simd.widen(x), simd.splat_f64(1.0 + f64::EPSILON)));
        let mut lanes = [0.0; LANES];
        for x in [
            simd.add_f64(a64, b64),
            simd.sub_f64(a64, b64),
            simd.mul_f64(a64, b64),
            simd.mul_add_f64(a64, b64, c64),
            simd.where_finite_f64(a64, b64),
            simd.load_f64(&from_fn(|i| f64::from(self.a[i]))),
            simd.div_f64(a64, b64),
            simd.max_f64(a64, b64),
            simd.min_f64(a64, b64),
            simd.abs_f64(a64),
            simd.neg_f64(a64),
            simd.copysign_f64(a64, b64),
            simd.select_f64(simd.less_f64(a64, b64), b64, c64),
            simd.select_f64(simd.is_nan_f64(a64), b64, c64),
            simd.power_of_two_f64(c64),
            simd.power_of_two_f64(
                simd.load_f64(&from_fn(|i| f64::from((self.a[i].to_bits() % 2046) as i32 - 1022))),
            ),
            simd.lookup_f64(&from_fn(|i| i as f64), simd.binade_quarter_f64(a64)),
            simd.lookup_f64(&from_fn(|i| i as f64), a64),
        ] {
            simd.store_f64(x, &mut lanes);
            all.extend(lanes.map(bits64));
        }
        // Neighbours of f32 numbers and of their midpoints, also far outside of the range.
        let mut lanes = [0.0; LANES];
        for x in [a64, simd.mul_f64(a64, b64), simd.widen(a)] {
            simd.store_f32(simd.narrow_odd(x), &mut lanes);
            all.extend(lanes.map(|x| u64::from(bits32(x))));
        }
        all.push(u64::from(simd.any(simd.less_f64(a64, b64))));
        all.push(u64::from(simd.any(simd.less_f64(simd.abs_f64(a64), simd.abs_f64(a64)))));
        all.push(u64::from(simd.any_f32(simd.less_f32(a, b))));
        all.push(u64::from(simd.any_f32(simd.less_f32(simd.abs_f32(a), simd.abs_f32(a)))));
        all.push(u64::from(simd.any_differs_f32(a, a)));
        all.push(u64::from(simd.any_differs_f32(a, simd.round_f16(a))));
        let mut halves = [f16::ZERO; LANES];
        simd.store_f16(a, &mut halves);
        all.extend(halves.map(|x| if x.is_nan() { 0x7e00 } else { u64::from(x.to_bits()) }));
        let mut halves = [bf16::ZERO; LANES];
        simd.store_bf16(a, &mut halves);
        all.extend(halves.map(|x| if x.is_nan() { 0x7fc0 } else { u64::from(x.to_bits()) }));
        // Some lane is next to a midpoint in nearly every vector, but not where all lanes are the same. NaN is made a number: its bits say
        // nothing.
        let number = |x: f32| if x.is_nan() { 1.0 } else { x };
        for x in [simd.load_f32(&self.a.map(number)), simd.load_f32(&[number(self.a[0]); LANES])] {
            let (mut f16s, mut bf16s) = ([f16::ZERO; LANES], [bf16::ZERO; LANES]);
            let sure = [simd.store_sure_f16(x, &mut f16s), simd.store_sure_bf16(x, &mut bf16s)];
            all.extend(f16s.map(|x| if x.is_nan() { 0x7e00 } else { u64::from(x.to_bits()) }));
            all.extend(bf16s.map(|x| if x.is_nan() { 0x7fc0 } else { u64::from(x.to_bits()) }));
            all.extend(sure.map(u64::from));
        }
        all
    }
}

/// Operands with much interaction: random bits, near neighbours in exponent, ties of the 16-bit formats, and specials.
fn operand(stream: u64, k: u64) -> f32 {
    let [bits, choice] = philox(5, stream, k);
    match choice % 8 {
        0 => f32::from_bits(bits as u32),
        1 => [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, 1e-45, f32::MIN_POSITIVE]
            [bits as usize % 8],
        2 => f32::from_bits((bits as u32) & 0xffff_8000),
        3 => f32::from_bits(((bits as u32) & 0x8fff_f000) | 0x3000_0000),
        4 => f32::from_bits((bits as u32) & 0x80ff_ffff),
        _ => f32::from_bits(((bits as u32) & 0x87ff_ffff) | 0x3c00_0000),
    }
}

#[test]
fn every_operation_has_the_portable_bits() {
    for isa in isas_of_this_cpu() {
        for k in 0..20_000 {
            let lanes = |stream: u64| from_fn(|i| operand(stream, k * LANES as u64 + i as u64));
            let work = || AllOperations { a: lanes(0), b: lanes(1), c: lanes(2) };
            assert_eq!(
                isa.run(work()),
                Isa::PORTABLE.run(work()),
                "{isa}: a={:?} b={:?} c={:?}",
                lanes(0),
                lanes(1),
                lanes(2)
            );
        }
    }
}

/// The hardware's dot product of pairs, with its instruction where the CPU has it and in steps; and how factors become pairs.
struct Dots {
    a: [bf16; 2 * LANES],
    b: [bf16; 2 * LANES],
    sum: [f32; LANES],
}

impl WithSimd for Dots {
    type Output = [[u32; LANES]; 4];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [[u32; LANES]; 4] {
        let (a, b) = (simd.load_bf16_pairs(&self.a), simd.load_bf16_pairs(&self.b));
        let dots = simd.dot_bf16(a, b, simd.load_f32(&self.sum));
        let [a_halves, b_halves] = [&self.a, &self.b].map(|x| x.as_chunks::<LANES>().0);
        let pairs = simd.pair_bf16(&a_halves[0], &b_halves[0]);
        let mut out = [[0.0; LANES]; 2];
        simd.store_f32(dots, &mut out[0]);
        simd.store_f32(pairs, &mut out[1]);
        // Both ways to take twice as many numbers, and back: sums of pairs (a, 0) and (1, 0) are the numbers themselves.
        let ones = [bf16::ONE; 2 * LANES];
        let (pairs, ones) = (
            simd.pair_two_bf16(&self.a, &[bf16::ZERO; 2 * LANES]),
            simd.pair_two_bf16(&ones, &[bf16::ZERO; 2 * LANES]),
        );
        let zero = simd.splat_f32(0.0);
        let mut back = [[bf16::ZERO; 2 * LANES]; 2];
        let sums = [simd.dot_bf16(pairs[0], ones[0], zero), simd.dot_bf16(pairs[1], ones[1], zero)];
        simd.store_two_bf16(sums, &mut back[0]);
        simd.store_even_odd_bf16(simd.load_even_odd_bf16(&self.a), &mut back[1]);
        let joined = |x: [bf16; 2 * LANES]| -> [u32; LANES] {
            from_fn(|i| {
                let bits = |x: bf16| if x.is_nan() { 0x7fc0 } else { u32::from(x.to_bits()) };
                bits(x[2 * i]) | bits(x[2 * i + 1]) << 16
            })
        };
        [out[0].map(bits32), out[1].map(f32::to_bits), joined(back[0]), joined(back[1])]
    }
}

/// Operands of every size, and ones whose sums lie around the least normal number, where the instruction decides what to flush.
#[test]
fn the_bf16_dot_has_the_bits_of_its_definition() {
    let rules = Rules { subnormals: Subnormals::Flush, ..Rules::default() };
    let [operand, sum] = [Format::BF16, Format::F32].map(|format| Emulated::new(format, rules, 0));
    let with_instruction = isas_of_this_cpu().iter().filter(|isa| isa.has_bf16_dot()).count();
    if with_instruction == 0 {
        println!("skipped: the instruction VDPBF16PS (this CPU lacks it); its definition was checked");
    }
    for k in 0..60_000 {
        let [spread, at] = philox(6, 99, k);
        // All exponents; sums around one; products around the least normal number.
        let exponent = |bits: u64| match spread % 3 {
            0 => bits >> 40 & 0xff,
            1 => 120 + (bits >> 40) % 12,
            _ => 60 + (bits >> 40) % 8,
        };
        let number = |stream: u64, i: usize| {
            let [bits, _] = philox(6, stream, k * 64 + i as u64);
            bf16::from_bits(((bits & 0x807f) | exponent(bits) << 7) as u16)
        };
        let sum_at = |i: usize| {
            let [bits, _] = philox(6, 3, k * 64 + i as u64);
            let exponent = if spread % 3 == 2 { (bits >> 40) % 4 } else { exponent(bits) };
            f32::from_bits(((bits & 0x807f_ffff) | exponent << 23) as u32)
        };
        let dots =
            || Dots { a: from_fn(|i| number(1, i)), b: from_fn(|i| number(2, i)), sum: from_fn(sum_at) };
        let expected: [u32; LANES] = from_fn(|i| {
            let Dots { a, b, sum: start } = dots();
            let value = |x: bf16| operand.round(f64::from(x.to_f32()));
            let start = sum.round(f64::from(start[i]));
            let second = sum.mul_add(value(a[2 * i + 1]), value(b[2 * i + 1]), start);
            bits32(sum.mul_add(value(a[2 * i]), value(b[2 * i]), second) as f32)
        });
        let portable = Isa::PORTABLE.run(dots());
        assert_eq!(portable[0], expected, "{at}: {:?} {:?} {:?}", dots().a, dots().b, dots().sum);
        for isa in Isa::available() {
            assert_eq!(isa.run(dots()), portable, "{isa} in steps");
            assert_eq!(isa.run_bf16_dot(dots()), portable, "{isa}");
        }
        let kept = dots().a.map(|x| if x.is_nan() { 0x7fc0 } else { x.to_bits() });
        let joined: [u32; LANES] = from_fn(|i| u32::from(kept[2 * i]) | u32::from(kept[2 * i + 1]) << 16);
        assert_eq!(portable[3], joined);
    }
}

/// Squares of numbers that name their place.
struct Squares;

impl WithSimd for Squares {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        let mut rows = [simd.splat_f32(0.0); LANES];
        let mut wide_rows = [simd.splat_f64(0.0); LANES];
        for i in 0..LANES {
            rows[i] = simd.load_f32(&from_fn(|j| (100 * i + j) as f32));
            wide_rows[i] = simd.load_f64(&from_fn(|j| (100 * i + j) as f64));
        }
        simd.transpose_f32(&mut rows);
        simd.transpose_f64(&mut wide_rows);
        let mut right = true;
        for i in 0..LANES {
            let (mut row, mut wide_row) = ([0.0; LANES], [0.0; LANES]);
            simd.store_f32(rows[i], &mut row);
            simd.store_f64(wide_rows[i], &mut wide_row);
            right &=
                row == from_fn(|j| (100 * j + i) as f32) && wide_row == from_fn(|j| (100 * j + i) as f64);
        }
        right
    }
}

#[test]
fn squares_are_turned() {
    for isa in isas_of_this_cpu() {
        assert!(isa.run(Squares), "{isa}");
    }
}

/// The sums of the lanes of vectors whose numbers differ so much in size that every order of adding gives another sum.
struct LaneSums;

impl WithSimd for LaneSums {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        let number = |i: usize, j: usize| {
            let size = f64::powi(2.0, ((7 * i + 11 * j) % 40) as i32 - 20);
            (1.0 + ((31 * i + 17 * j) % 97) as f64 / 64.0) * if (i ^ j) & 1 == 0 { size } else { -size }
        };
        let mut vectors = [simd.splat_f32(0.0); LANES];
        let mut wide_vectors = [simd.splat_f64(0.0); LANES];
        for i in 0..LANES {
            vectors[i] = simd.load_f32(&from_fn(|j| number(i, j) as f32));
            wide_vectors[i] = simd.load_f64(&from_fn(|j| number(i, j) / 3.0));
        }
        let (mut sums, mut wide_sums) = ([0.0; LANES], [0.0; LANES]);
        simd.store_f32(simd.sum_lanes_f32(&vectors), &mut sums);
        simd.store_f64(simd.sum_lanes_f64(&wide_vectors), &mut wide_sums);
        let (mut expected, mut wide_expected) = ([0.0; LANES], [0.0; LANES]);
        for i in 0..LANES {
            let (mut x, mut wide): ([f32; LANES], [f64; LANES]) =
                (from_fn(|j| number(i, j) as f32), from_fn(|j| number(i, j) / 3.0));
            for left in [8, 4, 2, 1] {
                for j in 0..left {
                    x[j] += x[j + left];
                    wide[j] += wide[j + left];
                }
            }
            (expected[i], wide_expected[i]) = (x[0], wide[0]);
        }
        sums == expected && wide_sums == wide_expected
    }
}

#[test]
fn lanes_are_summed_by_halves() {
    for isa in isas_of_this_cpu() {
        assert!(isa.run(LaneSums), "{isa}");
    }
}

struct Halves {
    first: u16,
}

impl WithSimd for Halves {
    type Output = [[u32; LANES]; 4];

    /// Decodes 16 patterns in both formats and stores them again.
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [[u32; LANES]; 4] {
        let patterns: [u16; LANES] = from_fn(|i| self.first + i as u16);
        let decoded =
            [simd.load_f16(&patterns.map(f16::from_bits)), simd.load_bf16(&patterns.map(bf16::from_bits))];
        let mut values = [[0.0; LANES]; 2];
        let (mut f16s, mut bf16s) = ([f16::ZERO; LANES], [bf16::ZERO; LANES]);
        for (x, out) in decoded.into_iter().zip(&mut values) {
            simd.store_f32(x, out);
        }
        simd.store_f16(decoded[0], &mut f16s);
        simd.store_bf16(decoded[1], &mut bf16s);
        let stored = [f16s.map(|x| u32::from(x.to_bits())), bf16s.map(|x| u32::from(x.to_bits()))];
        [values[0].map(f32::to_bits), values[1].map(f32::to_bits), stored[0], stored[1]]
    }
}

#[test]
fn all_65536_patterns_decode_exactly_and_survive_storing() {
    for isa in isas_of_this_cpu() {
        for first in (0..=u16::MAX).step_by(LANES) {
            let [f16_values, bf16_values, f16s, bf16s] = isa.run(Halves { first });
            for i in 0..LANES {
                let pattern = first + i as u16;
                let (h, b) = (f16::from_bits(pattern), bf16::from_bits(pattern));
                if h.is_nan() {
                    assert!(
                        f32::from_bits(f16_values[i]).is_nan() && f16::from_bits(f16s[i] as u16).is_nan()
                    );
                } else {
                    assert_eq!(
                        (f16_values[i], f16s[i]),
                        (h.to_f32().to_bits(), u32::from(pattern)),
                        "{isa} f16 {pattern:#06x}"
                    );
                }
                if b.is_nan() {
                    assert!(
                        f32::from_bits(bf16_values[i]).is_nan() && bf16::from_bits(bf16s[i] as u16).is_nan()
                    );
                } else {
                    assert_eq!(
                        (bf16_values[i], bf16s[i]),
                        (b.to_f32().to_bits(), u32::from(pattern)),
                        "{isa} bf16 {pattern:#06x}"
                    );
                }
            }
        }
    }
}

struct Round16 {
    first: u32,
}

impl WithSimd for Round16 {
    type Output = [[f32; LANES]; 2];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [[f32; LANES]; 2] {
        let x = simd.load_f32(&from_fn(|i| f32::from_bits(self.first.wrapping_add(i as u32))));
        let mut out = [[0.0; LANES]; 2];
        simd.store_f32(simd.round_f16(x), &mut out[0]);
        simd.store_f32(simd.round_bf16(x), &mut out[1]);
        out
    }
}

/// f32 to 16 bits, on 16 neighbours at every 4096th pattern of both signs: both sides of the ties of both formats, and NaN whose low bits alone
/// say so.
#[test]
fn rounding_to_16_bits_is_the_integer_rounding() {
    for isa in isas_of_this_cpu() {
        for first in (0..=u32::MAX).step_by(0x1000).map(|first| first.wrapping_sub(8)) {
            let [f16s, bf16s] = isa.run(Round16 { first });
            for i in 0..LANES {
                let x = f64::from(f32::from_bits(first.wrapping_add(i as u32)));
                for (got, format) in [(f16s[i], Format::F16), (bf16s[i], Format::BF16)] {
                    let expected = round_f64(x, format, Rules::default(), 0);
                    assert_eq!(bits64(f64::from(got)), bits64(expected), "{isa} {format} {x:e}");
                }
            }
        }
    }
}

/// 16 sums of `a[k] · b[k][lane]` by one accumulator.
struct Sums<'a, T> {
    summation: Summation,
    a: &'a [T],
    b: &'a [[T; LANES]],
}

impl<T: Real> Sums<'_, T> {
    #[inline(always)]
    fn by<S: Simd, A: Accumulator<T, S>>(self, simd: S) -> [T; LANES] {
        let mut sums = A::zero(simd);
        let zeros = [T::default(); LANES];
        for (a, b) in self.a.chunks(A::TERMS).zip(self.b.chunks(A::TERMS)) {
            let (second_a, second_b) = (a.get(1).copied().unwrap_or_default(), b.get(1).unwrap_or(&zeros));
            let (a, b) = (A::number(a[0], second_a), A::vector(simd, &b[0], second_b));
            sums.add_products(simd, A::splat(simd, a), b);
        }
        let mut out = [T::default(); LANES];
        T::store(simd, sums.finish(simd), &mut out);
        out
    }
}

impl<T: Real> WithSimd for Sums<'_, T> {
    type Output = [T; LANES];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [T; LANES] {
        match self.summation {
            Summation::Recursive => self.by::<S, Recursive<T, S>>(simd),
            Summation::Fused => self.by::<S, Fused<T, S>>(simd),
            Summation::Interleaved => self.by::<S, Interleaved<T, S>>(simd),
            Summation::Pairwise => self.by::<S, Pairwise<T, S>>(simd),
            Summation::Compensated => self.by::<S, Compensated<T, S>>(simd),
            Summation::Wide => self.by::<S, T::WideAccumulator<S>>(simd),
            Summation::Bf16Dot => self.by::<S, T::Bf16DotAccumulator<S>>(simd),
        }
    }
}

/// Formats x summations x scales x lengths: subnormal products, normal ones, ones near overflow, and specials sprinkled in.
#[test]
fn summations_are_their_definitions_on_every_instruction_set() {
    fn check<T: Real>() -> usize {
        let format = T::FORMAT;
        let isas = isas_of_this_cpu();
        let definition = Emulated::new(format, Rules::default(), 0);
        // Products around these exponents: deep subnormal, subnormal, one, overflowing in the sum, overflowing at once.
        let scales = [format.min_exponent() - 2, format.emin(), 0, format.emax() - 3, format.emax() + 1];
        let mut sums = 0;
        for (round, scale) in scales.into_iter().enumerate() {
            for length in [0, 1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 64, 67, 129] {
                let draw = |stream: u64, k: usize| {
                    let [bits, choice] =
                        philox(9, stream * 1000 + round as u64 * 100 + length as u64, k as u64);
                    if choice % 97 == 0 && round == 2 && length > 8 {
                        return T::round_from(
                            [f64::INFINITY, f64::NAN, -0.0, f64::NEG_INFINITY][choice as usize / 97 % 4],
                        );
                    }
                    let half = if stream == 0 { scale / 2 } else { scale - scale / 2 };
                    let significand = 1.0 + (bits >> 12) as f64 * f64::EPSILON;
                    let x =
                        significand * f64::powi(2.0, half.clamp(-1000, 1000) + (choice >> 32) as i32 % 3 - 1);
                    T::round_from(if bits & 1 == 0 { x } else { -x })
                };
                let a: Vec<T> = (0..length).map(|k| draw(0, k)).collect();
                let b: Vec<[T; LANES]> =
                    (0..length).map(|k| from_fn(|lane| draw(1 + lane as u64, k))).collect();
                for summation in Summation::of(format) {
                    for &isa in &isas {
                        let work = Sums { summation, a: &a, b: &b };
                        let got = match summation == Summation::Bf16Dot {
                            true => isa.run_bf16_dot(work),
                            false => isa.run(work),
                        };
                        for (lane, got) in got.into_iter().enumerate() {
                            let terms = a.iter().zip(&b).map(|(a, b)| (a.value(), b[lane].value()));
                            let expected = dot(&definition, summation, terms);
                            assert_eq!(
                                bits64(got.value()),
                                bits64(expected),
                                "{format} {summation} {isa} scale 2^{scale} length {length} lane {lane}: {got:?}, {expected:e}"
                            );
                            sums += 1;
                        }
                    }
                }
            }
        }
        sums
    }
    println!("sums compared: {}", check::<f16>() + check::<bf16>() + check::<f32>() + check::<f64>());
}

#[test]
fn isas_are_named_and_refused() {
    assert_eq!(Isa::named("portable"), Ok(Isa::PORTABLE));
    let message = Isa::named("sse9").unwrap_err().to_string();
    assert!(
        message.contains("`sse9`") && message.contains("unknown") && message.contains("portable"),
        "{message}"
    );
}
