//! The passes that multiply a tensor with one number, on vectors.
//!
//! The result of [`multiply`] is that of [`Scaling::scaled`], the exact product or quotient rounded once; vectors only decide it faster. First a product is
//! computed in the lanes with an error that is known, and moved up and down by more than that error: if both round to the same number of the format,
//! so does the exact product. If not, its rest decides ([`Multiplied::careful`]), which a factor such as 0.9 asks for in every tenth number. Only what is
//! undecided then, and products at the end of the format, go through the definition.
//!
//! [`multiply_by_power`] needs no proof: a product with a power of two is exact in the lanes, and the store rounds it.

use crate::clip::{Clipping, Scaling};
use crate::stored::{Bits, Measured};
use crate::threads::on_parts;
use gradchain_arith::{Isa, LANES, Native, Real, Simd, WithSimd, bf16, f16};

/// Numbers in a block: it stays in the first cache while it is multiplied and counted.
const BLOCK: usize = 64 * LANES;

/// A stored format with texts for a vector of products.
pub(crate) trait Multiplied: Bits {
    /// Multiplies the vector with the factor and says whether every lane is certain to be right. If not, `numbers` may hold anything.
    fn vector<S: Simd>(simd: S, factor: &Factor, numbers: &mut [Self; LANES]) -> bool;

    /// [`vector`](Multiplied::vector) for the few vectors that it is not certain of.
    fn careful<S: Simd>(simd: S, factor: &Factor, numbers: &mut [Self; LANES]) -> bool;

    /// Multiplies each number with `factor` in the format that is computed in, and rounds the product.
    fn product<S: Simd>(simd: S, factor: Self::Computed, numbers: &mut [Self; 2 * LANES]);
}

/// A factor as the lanes take it.
pub(crate) struct Factor {
    /// The factor to a relative error of 2^-53.
    high: f64,
    /// What is missing there, to a relative error of 2^-104 of the factor: 0 if nothing is.
    low: f64,
    /// The factor rounded to f32, if it is a normal number there with room around; else NaN, which is never certain.
    single: f32,
}

/// Multiplies `numbers` on the instruction set `isa`, long ones on the threads of the current rayon pool, and counts in `report` what became zero and subnormal.
pub(crate) fn multiply<T: Multiplied + Measured>(
    isa: Isa,
    scaling: &Scaling,
    numbers: &mut [T],
    report: &mut Clipping,
) {
    let work = |numbers: &mut [T]| multiply_part(isa, scaling, numbers);
    let (flushed, made_subnormal) = on_parts(numbers, BLOCK, &work, &|a, b| (a.0 + b.0, a.1 + b.1));
    report.flushed += flushed;
    report.made_subnormal += made_subnormal;
}

/// Multiplies `numbers`, and counts those that became zero and those that became subnormal.
fn multiply_part<T: Multiplied + Measured>(isa: Isa, scaling: &Scaling, numbers: &mut [T]) -> (usize, usize) {
    let arith = Native::<T>::new(isa);
    let factor = scaling.factor().map(|[high, low]| {
        let single = if (1e-30..=1e30).contains(&high) { high as f32 } else { f32::NAN };
        Factor { high, low, single }
    });
    let (mut flushed, mut made_subnormal) = (0, 0);
    let mut before = [T::default(); BLOCK];
    for block in numbers.chunks_mut(BLOCK) {
        let before = &mut before[..block.len()];
        before.copy_from_slice(block);
        match &factor {
            Some(factor) => isa.run(Block { arith, factor, scaling, numbers: &mut *block }),
            None => define(&arith, scaling, block),
        }
        let lost = isa.run(Lost { before, after: block });
        flushed += lost.0;
        made_subnormal += lost.1;
    }
    (flushed, made_subnormal)
}

struct Block<'a, T> {
    arith: Native<T>,
    factor: &'a Factor,
    scaling: &'a Scaling,
    numbers: &'a mut [T],
}

impl<T: Multiplied + Measured> WithSimd for Block<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Block { arith, factor, scaling, numbers } = self;
        let (vectors, rest) = numbers.as_chunks_mut::<LANES>();
        for vector in vectors {
            let mut product = *vector;
            if T::vector(simd, factor, &mut product) {
                *vector = product;
            } else {
                carefully(simd, &arith, factor, scaling, vector);
            }
        }
        if !rest.is_empty() {
            let mut last = [T::default(); LANES];
            last[..rest.len()].copy_from_slice(rest);
            carefully(simd, &arith, factor, scaling, &mut last);
            rest.copy_from_slice(&last[..rest.len()]);
        }
    }
}

/// What few vectors need, in a function of its own.
#[inline(always)]
fn carefully<T: Multiplied + Measured, S: Simd>(
    simd: S,
    arith: &Native<T>,
    factor: &Factor,
    scaling: &Scaling,
    vector: &mut [T; LANES],
) {
    simd.call(
        #[inline(always)]
        || {
            let mut product = *vector;
            if T::careful(simd, factor, &mut product) {
                *vector = product;
            } else {
                define(arith, scaling, vector);
            }
        },
    );
}

/// The exact product rounded once, for formats of at most 51 bits, unless it leaves the format or the factor is not exactly its first part: then no.
///
/// The f64 product p is right but where it lies in the middle between two numbers of the format, for these middles are f64 numbers themselves. With n the
/// `nearest` number, `n + 2 (p - n)` is a number of the format exactly there: the other neighbour. The rest `x f - p`, exact as well, says whether that is nearer.
/// Products so small that their rest is not exact are far below the least number's half.
#[inline(always)]
fn by_rest<T: Real, S: Simd>(
    simd: S,
    factor: &Factor,
    nearest: impl Fn(S::F64) -> S::F64,
    numbers: &mut [T; LANES],
) -> bool {
    let x = T::to_f64(simd, T::load(simd, numbers));
    let high = simd.splat_f64(factor.high);
    let product = simd.mul_f64(x, high);
    let rest = simd.mul_add_f64(x, high, simd.neg_f64(product));
    let near = nearest(product);
    let left = simd.sub_f64(product, near);
    let other = simd.mul_add_f64(simd.splat_f64(2.0), left, near);
    let there = nearest(other);
    let zero = simd.splat_f64(0.0);
    let outward = simd.mul_f64(simd.copysign_f64(simd.splat_f64(1.0), left), rest);
    let moved = simd.select_f64(simd.less_f64(zero, outward), there, near);
    let moved = simd.select_f64(simd.less_f64(there, other), near, moved);
    let moved = simd.select_f64(simd.less_f64(other, there), near, moved);
    T::store_f64(simd, moved, numbers);
    let magnitude = simd.abs_f64(product);
    let finite = simd.select_f64(simd.less_f64(magnitude, simd.splat_f64(f64::INFINITY)), magnitude, zero);
    factor.low == 0.0 && !simd.any(simd.less_f64(simd.splat_f64(T::FORMAT.max()), finite))
}

/// The definition, number by number.
#[inline(never)]
fn define<T: Measured>(arith: &Native<T>, scaling: &Scaling, numbers: &mut [T]) {
    numbers.iter_mut().for_each(|g| *g = scaling.scaled(arith, g.value()));
}

/// Counts numbers that became zero, and normal numbers that became subnormal.
pub(crate) struct Lost<'a, T: Bits> {
    pub(crate) before: &'a [T],
    pub(crate) after: &'a [T],
}

impl<T: Bits> WithSimd for Lost<'_, T> {
    type Output = (usize, usize);

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> (usize, usize) {
        let normal = T::least_normal();
        simd.call(
            #[inline(always)]
            || {
                // In most blocks nothing is that small.
                let least = self.after.iter().fold(T::LARGEST, |least, x| least.min(x.magnitude()));
                if least >= normal { (0, 0) } else { T::lost(self.before, self.after, normal) }
            },
        )
    }
}

/// The numbers just below and just above 1: they move an f64 product by more than its own error and that of the factor, half an ulp each, in either direction.
const AROUND_ONE: [f64; 2] = [1.0 - 2.0 * f64::EPSILON, 1.0 + 2.0 * f64::EPSILON];

/// The 16-bit formats try f32 first; its error, two roundings, is within what `store_sure` allows for.
macro_rules! short {
    ($format:ident, $load:ident, $store_sure:ident) => {
        impl Multiplied for $format {
            #[inline(always)]
            fn vector<S: Simd>(simd: S, factor: &Factor, numbers: &mut [$format; LANES]) -> bool {
                let product = simd.mul_f32(simd.$load(numbers), simd.splat_f32(factor.single));
                simd.$store_sure(product, numbers) && factor.single.is_finite()
            }

            #[inline(always)]
            fn careful<S: Simd>(simd: S, factor: &Factor, numbers: &mut [$format; LANES]) -> bool {
                let product = simd.mul_f64(simd.widen(simd.$load(numbers)), simd.splat_f64(factor.high));
                let mut moved = [[$format::ZERO; LANES]; 2];
                for (out, by) in moved.iter_mut().zip(AROUND_ONE) {
                    <$format as Real>::store_f64(simd, simd.mul_f64(product, simd.splat_f64(by)), out);
                }
                if moved[0].map($format::to_bits) == moved[1].map($format::to_bits) {
                    *numbers = moved[0];
                    return true;
                }
                by_rest(
                    simd,
                    factor,
                    #[inline(always)]
                    |x| {
                        let mut out = [$format::ZERO; LANES];
                        <$format as Real>::store_f64(simd, x, &mut out);
                        simd.widen(simd.$load(&out))
                    },
                    numbers,
                )
            }

            #[inline(always)]
            fn product<S: Simd>(simd: S, factor: f32, numbers: &mut [$format; 2 * LANES]) {
                let factor = simd.splat_f32(factor);
                let [a, b] = <$format as Real>::load_two(simd, numbers);
                // The store rounds.
                <$format as Real>::store_two(
                    simd,
                    [simd.mul_f32(a, factor), simd.mul_f32(b, factor)],
                    numbers,
                );
            }
        }
    };
}

short!(f16, load_f16, store_sure_f16);
short!(bf16, load_bf16, store_sure_bf16);

impl Multiplied for f32 {
    #[inline(always)]
    fn vector<S: Simd>(simd: S, factor: &Factor, numbers: &mut [f32; LANES]) -> bool {
        let product = simd.mul_f64(simd.widen(simd.load_f32(numbers)), simd.splat_f64(factor.high));
        let low = simd.narrow(simd.mul_f64(product, simd.splat_f64(AROUND_ONE[0])));
        let high = simd.narrow(simd.mul_f64(product, simd.splat_f64(AROUND_ONE[1])));
        simd.store_f32(low, numbers);
        !simd.any_differs_f32(low, high)
    }

    #[inline(always)]
    fn careful<S: Simd>(simd: S, factor: &Factor, numbers: &mut [f32; LANES]) -> bool {
        let mut product = *numbers;
        if f32::vector(simd, factor, &mut product) {
            *numbers = product;
            return true;
        }
        by_rest(
            simd,
            factor,
            #[inline(always)]
            |x| simd.widen(simd.narrow(x)),
            numbers,
        )
    }

    #[inline(always)]
    fn product<S: Simd>(simd: S, factor: f32, numbers: &mut [f32; 2 * LANES]) {
        let factor = simd.splat_f32(factor);
        let [a, b] = f32::load_two(simd, numbers);
        f32::store_two(simd, [simd.mul_f32(a, factor), simd.mul_f32(b, factor)], numbers);
    }
}

/// Beside a product of this magnitude its rest is a normal number: from 2^-900 to 2^900.
const WITH_REST: [f64; 2] = [f64::from_bits((1023 - 900) << 52), f64::from_bits((1023 + 900) << 52)];
/// What a product in two parts may miss, as a part of it: 2^-98. The factor misses 2^-104, and the sum of the rests two roundings.
const MISSING: f64 = f64::from_bits((1023 - 98) << 52);

impl Multiplied for f64 {
    /// The product of two f64 numbers is rounded once already. One with two parts is certain where all that may be missing makes no difference.
    #[inline(always)]
    fn vector<S: Simd>(simd: S, factor: &Factor, numbers: &mut [f64; LANES]) -> bool {
        let x = simd.load_f64(numbers);
        let high = simd.splat_f64(factor.high);
        let product = simd.mul_f64(x, high);
        if factor.low == 0.0 {
            simd.store_f64(product, numbers);
            return true;
        }
        let rest = simd.mul_add_f64(x, high, simd.neg_f64(product));
        let rest = simd.mul_add_f64(x, simd.splat_f64(factor.low), rest);
        let size = simd.abs_f64(product);
        let missing = simd.mul_f64(size, simd.splat_f64(MISSING));
        let below = simd.add_f64(product, simd.sub_f64(rest, missing));
        let above = simd.add_f64(product, simd.add_f64(rest, missing));
        // Zeros keep their sign.
        simd.store_f64(simd.copysign_f64(below, x), numbers);
        let zero = simd.splat_f64(0.0);
        let (least, most) = (simd.splat_f64(WITH_REST[0]), simd.splat_f64(WITH_REST[1]));
        // Of a zero, the least size that is allowed.
        let size = simd.select_f64(simd.less_f64(zero, simd.abs_f64(x)), size, least);
        let outside = simd.sub_f64(size, simd.max_f64(least, simd.min_f64(most, size)));
        let differs = simd.add_f64(simd.abs_f64(outside), simd.sub_f64(above, below));
        !simd.any(simd.less_f64(zero, differs))
    }

    #[inline(always)]
    fn careful<S: Simd>(simd: S, factor: &Factor, numbers: &mut [f64; LANES]) -> bool {
        f64::vector(simd, factor, numbers)
    }

    #[inline(always)]
    fn product<S: Simd>(simd: S, factor: f64, numbers: &mut [f64; 2 * LANES]) {
        let factor = simd.splat_f64(factor);
        let [a, b] = f64::load_two(simd, numbers);
        f64::store_two(simd, [simd.mul_f64(a, factor), simd.mul_f64(b, factor)], numbers);
    }
}

/// Multiplies `numbers` with a power of two, each product rounded once, long ones on the threads of the current rayon pool.
pub(crate) fn multiply_by_power<T: Multiplied>(isa: Isa, power: f64, numbers: &mut [T]) {
    if power == 1.0 {
        return;
    }
    // A product with this power that f32 does not hold is so small that it becomes zero, or so large that it becomes infinite, in the 16-bit formats.
    let computed = T::Computed::round_from(power);
    let computed = (computed.value() == power).then_some(computed);
    let work = |numbers: &mut [T]| isa.run(ByPower { power, computed, numbers });
    on_parts(numbers, BLOCK, &work, &|(), ()| ());
}

struct ByPower<'a, T: Multiplied> {
    power: f64,
    /// The power where the format that is computed in has it.
    computed: Option<T::Computed>,
    numbers: &'a mut [T],
}

impl<T: Multiplied> WithSimd for ByPower<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let ByPower { power, computed, numbers } = self;
        let vectors = |numbers: &mut [[T; 2 * LANES]]| match computed {
            Some(computed) => simd.call(
                #[inline(always)]
                || numbers.iter_mut().for_each(|numbers| T::product(simd, computed, numbers)),
            ),
            None => simd.call(
                #[inline(always)]
                || {
                    for numbers in numbers.as_flattened_mut().as_chunks_mut::<LANES>().0 {
                        let x = T::to_f64(simd, T::load(simd, numbers));
                        T::store_f64(simd, simd.mul_f64(x, simd.splat_f64(power)), numbers);
                    }
                },
            ),
        };
        let (whole, rest) = numbers.as_chunks_mut();
        vectors(whole);
        if !rest.is_empty() {
            let mut last = [[T::default(); 2 * LANES]];
            last[0][..rest.len()].copy_from_slice(rest);
            vectors(&mut last);
            rest.copy_from_slice(&last[0][..rest.len()]);
        }
    }
}
