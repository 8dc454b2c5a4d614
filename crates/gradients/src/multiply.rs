//! The pass that multiplies a tensor with one factor, on vectors.
//!
//! The result is that of [`Scaling::scaled`], the exact product rounded once; vectors only decide it faster. First a product is computed in the lanes with an error
//! that is known, and moved up and down by more than that error: if both round to the same number of the format, so does the exact product. If not, its
//! rest decides (`careful`), which a factor such as 0.9 asks for in every tenth number. Only products at the end of the format go through the definition.

use crate::clip::{Clipping, Scaling};
use crate::stored::{Bits, Measured};
use crate::threads::NUMBERS_FOR_A_THREAD;
use gradchain_arith::{Isa, LANES, Native, Real, Simd, WithSimd, bf16, f16};

/// Numbers in a block: it stays in the first cache while it is multiplied and counted.
const BLOCK: usize = 64 * LANES;

/// A stored format with a text for a vector of products.
pub(crate) trait Multiplied: Bits {
    /// Multiplies the vector with the factor and says whether every lane is certain to be right. If not, `numbers` may hold anything.
    fn vector<S: Simd>(simd: S, factor: &Factor, numbers: &mut [Self; LANES]) -> bool;
}

/// A factor as the lanes take it.
pub(crate) struct Factor {
    /// The factor.
    double: f64,
    /// The factor rounded to f32, if it is a normal number there with room below; else NaN, which is never certain.
    single: f32,
}

/// Multiplies `numbers` on the instruction set `isa`, long ones on the threads of the current rayon pool, and counts in `report` what became zero and subnormal.
pub(crate) fn multiply<T: Multiplied + Measured>(
    isa: Isa,
    scaling: &Scaling,
    numbers: &mut [T],
    report: &mut Clipping,
) {
    if numbers.len() >= 2 * NUMBERS_FOR_A_THREAD && rayon::current_num_threads() > 1 {
        let (first, second) = numbers.split_at_mut((numbers.len() / 2).next_multiple_of(BLOCK));
        let mut other = Clipping { flushed: 0, made_subnormal: 0, ..*report };
        rayon::join(|| multiply(isa, scaling, first, report), || multiply(isa, scaling, second, &mut other));
        report.flushed += other.flushed;
        report.made_subnormal += other.made_subnormal;
        return;
    }
    let arith = Native::<T>::new(isa);
    let Some(factor) = scaling.factor() else {
        // A factor that is no normal f64 number.
        for g in numbers {
            let before = g.value();
            *g = scaling.scaled(&arith, before);
            report.count(&arith, before, *g);
        }
        return;
    };
    let single = if (1e-30..=1.0).contains(&factor) { factor as f32 } else { f32::NAN };
    let factor = Factor { double: factor, single };
    let normal = T::least_normal();
    let mut before = [T::default(); BLOCK];
    for block in numbers.chunks_mut(BLOCK) {
        let before = &mut before[..block.len()];
        before.copy_from_slice(block);
        isa.run(Block { arith, factor: &factor, scaling, numbers: &mut *block });
        let (flushed, made_subnormal) = isa.run(Lost { before, after: block, normal });
        report.flushed += flushed;
        report.made_subnormal += made_subnormal;
    }
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
                define(&arith, scaling, vector);
            }
        }
        define(&arith, scaling, rest);
    }
}

/// The exact product rounded once, for formats of at most 51 bits, unless it leaves the format: then no.
///
/// The f64 product p is right but where it lies in the middle between two numbers of the format, for these middles are f64 numbers themselves. With n the
/// `nearest` number, `n + 2 (p - n)` is a number of the format exactly there: the other neighbour. The rest `x f - p`, exact as well, says whether that is nearer.
/// Products so small that their rest is not exact are far below the least number's half.
#[inline(always)]
fn careful<T: Real, S: Simd>(
    simd: S,
    factor: &Factor,
    nearest: impl Fn(S::F64) -> S::F64,
    numbers: &mut [T; LANES],
) -> bool {
    // A function of its own: few vectors come here.
    simd.call(
        #[inline(always)]
        || {
            let x = T::to_f64(simd, T::load(simd, numbers));
            let factor = simd.splat_f64(factor.double);
            let product = simd.mul_f64(x, factor);
            let rest = simd.mul_add_f64(x, factor, simd.neg_f64(product));
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
            let finite =
                simd.select_f64(simd.less_f64(magnitude, simd.splat_f64(f64::INFINITY)), magnitude, zero);
            !simd.any(simd.less_f64(simd.splat_f64(T::FORMAT.max()), finite))
        },
    )
}

/// The definition, number by number.
#[inline(never)]
fn define<T: Measured>(arith: &Native<T>, scaling: &Scaling, numbers: &mut [T]) {
    numbers.iter_mut().for_each(|g| *g = scaling.scaled(arith, g.value()));
}

/// Counts numbers that became zero, and normal numbers that became subnormal.
struct Lost<'a, T: Bits> {
    before: &'a [T],
    after: &'a [T],
    normal: T::Magnitude,
}

impl<T: Bits> WithSimd for Lost<'_, T> {
    type Output = (usize, usize);

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> (usize, usize) {
        simd.call(
            #[inline(always)]
            || T::lost(self.before, self.after, self.normal),
        )
    }
}

/// The numbers just below and just above 1: they move an f64 product by at least its own error, half an ulp, in either direction.
const AROUND_ONE: [f64; 2] = [1.0 - f64::EPSILON, 1.0 + f64::EPSILON];

/// The 16-bit formats try f32 first; its error, two roundings, is within what `store_sure` allows for.
macro_rules! short {
    ($format:ident, $load:ident, $store_sure:ident) => {
        impl Multiplied for $format {
            #[inline(always)]
            fn vector<S: Simd>(simd: S, factor: &Factor, numbers: &mut [$format; LANES]) -> bool {
                let x = simd.$load(numbers);
                let product = simd.mul_f32(x, simd.splat_f32(factor.single));
                let mut out = [$format::ZERO; LANES];
                if factor.single.is_finite() && simd.$store_sure(product, &mut out) {
                    *numbers = out;
                    return true;
                }
                let product = simd.mul_f64(simd.widen(x), simd.splat_f64(factor.double));
                let mut moved = [[$format::ZERO; LANES]; 2];
                for (out, by) in moved.iter_mut().zip(AROUND_ONE) {
                    <$format as Real>::store_f64(simd, simd.mul_f64(product, simd.splat_f64(by)), out);
                }
                if moved[0].map($format::to_bits) == moved[1].map($format::to_bits) {
                    *numbers = moved[0];
                    return true;
                }
                careful(
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
        }
    };
}

short!(f16, load_f16, store_sure_f16);
short!(bf16, load_bf16, store_sure_bf16);

impl Multiplied for f32 {
    #[inline(always)]
    fn vector<S: Simd>(simd: S, factor: &Factor, numbers: &mut [f32; LANES]) -> bool {
        let product = simd.mul_f64(simd.widen(simd.load_f32(numbers)), simd.splat_f64(factor.double));
        let low = simd.narrow(simd.mul_f64(product, simd.splat_f64(AROUND_ONE[0])));
        let high = simd.narrow(simd.mul_f64(product, simd.splat_f64(AROUND_ONE[1])));
        if simd.any_differs_f32(low, high) {
            return careful(
                simd,
                factor,
                #[inline(always)]
                |x| simd.widen(simd.narrow(x)),
                numbers,
            );
        }
        simd.store_f32(low, numbers);
        true
    }
}

impl Multiplied for f64 {
    /// The product of two f64 numbers is rounded once already.
    #[inline(always)]
    fn vector<S: Simd>(simd: S, factor: &Factor, numbers: &mut [f64; LANES]) -> bool {
        let product = simd.mul_f64(simd.load_f64(numbers), simd.splat_f64(factor.double));
        simd.store_f64(product, numbers);
        true
    }
}
