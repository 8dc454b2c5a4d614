//! Ceilings: loops that do what a work cannot do without, and nothing else, in the same instruction set and on the same threads.
//!
//! Each returns a number that depends on all that it did, so that the compiler cannot leave it out; callers give it to `black_box`. Those that
//! write have their slices from there.

use gradchain_arith::{Isa, LANES, Real, Simd, WithSimd};
use std::hint::black_box;

/// Registers of independent sums: 2 multiply-adds a cycle at a latency of 4 need 8, and AVX2 has 16 in all.
const REGISTERS: usize = 12;

/// Reads `data` by `streams` streams that go on side by side, each over its own part; 1 or 4.
///
/// # Panics
/// If `streams` is another number.
pub fn read(isa: Isa, data: &[f32], streams: usize) -> f32 {
    // A part for each thread, as a kernel that splits the rows.
    let part = data.len().div_ceil(rayon::current_num_threads());
    on_all_threads(&|thread| {
        let data = &data[(thread * part).min(data.len())..((thread + 1) * part).min(data.len())];
        match streams {
            1 => isa.run(Read::<1> { data }),
            4 => isa.run(Read::<4> { data }),
            other => panic!("{other} streams"),
        }
    })
}

/// `count` fused multiply-adds of f32 or f64, `x · factor + addend` on x of the size of `addend`.
pub fn multiply_add<T: Real>(isa: Isa, count: u64, factor: T, addend: T) -> f32 {
    on_all_threads(&|_| isa.run(MultiplyAdd::<T, false> { count: share(count), factor, addend }))
}

/// `count` products and sums of T, each rounded to T, `x · factor + addend` on x of the size of `addend`.
pub fn strict_multiply_add<T: Real>(isa: Isa, count: u64, factor: T, addend: T) -> f32 {
    on_all_threads(&|_| isa.run(MultiplyAdd::<T, true> { count: share(count), factor, addend }))
}

/// `count` multiply-adds of the hardware's dot product of pairs of bf16; nothing where `isa` has no instruction for it.
pub fn bf16_dot(isa: Isa, count: u64) -> Option<f32> {
    isa.has_bf16_dot().then(|| on_all_threads(&|_| isa.run_bf16_dot(Bf16Dot { count: share(count) })))
}

/// Copies `from` to `to` by vectors; on the calling thread.
pub fn copy(isa: Isa, from: &[u32], to: &mut [u32]) {
    isa.run(Combine::<true> { from, to });
}

/// Reads both, writes `to`, by the cheapest operation that needs both numbers; on the calling thread.
pub fn exclusive_or(isa: Isa, from: &[u32], to: &mut [u32]) {
    isa.run(Combine::<false> { from, to });
}

/// The part of `count` that falls to each thread of the pool.
fn share(count: u64) -> u64 {
    count.div_ceil(rayon::current_num_threads() as u64)
}

/// Runs `work` once on every thread of the pool, and directly where there is one.
fn on_all_threads(work: &(dyn Fn(usize) -> f32 + Sync)) -> f32 {
    if rayon::current_num_threads() == 1 {
        return work(0);
    }
    rayon::broadcast(|context| work(context.index())).into_iter().sum()
}

struct Read<'a, const STREAMS: usize> {
    data: &'a [f32],
}

impl<const STREAMS: usize> WithSimd for Read<'_, STREAMS> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        // Two lines of each stream a turn, and a sum for each.
        let (vectors, _) = self.data.as_chunks::<LANES>();
        let length = vectors.len() / STREAMS;
        let mut streams = [vectors; STREAMS];
        for (s, stream) in streams.iter_mut().enumerate() {
            *stream = &vectors[s * length..(s + 1) * length];
        }
        let zero = simd.splat_f32(0.0);
        let mut sums = [[zero; 2]; STREAMS];
        for turn in 0..length / 2 {
            for (sums, stream) in sums.iter_mut().zip(streams) {
                let [first, second] = [stream[2 * turn], stream[2 * turn + 1]];
                sums[0] = simd.add_f32(sums[0], simd.load_f32(&first));
                sums[1] = simd.add_f32(sums[1], simd.load_f32(&second));
            }
        }
        let mut total = zero;
        for sum in sums.as_flattened() {
            total = simd.add_f32(total, *sum);
        }
        let mut lanes = [0.0; LANES];
        simd.store_f32(total, &mut lanes);
        lanes.iter().sum()
    }
}

/// `to <- from` or `to <- to ^ from`: whole numbers of any bits, none of which is slower than others.
struct Combine<'a, const COPY: bool> {
    from: &'a [u32],
    to: &'a mut [u32],
}

impl<const COPY: bool> WithSimd for Combine<'_, COPY> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        // Zero, which the compiler does not know: it would take the loop for a call of the system's copy.
        let key = black_box(0);
        for (to, from) in self.to.iter_mut().zip(self.from) {
            *to = from ^ if COPY { key } else { *to };
        }
    }
}

/// `x <- x · factor + addend` on as many independent vectors as fill [`REGISTERS`]; with a factor below 1 x keeps the size of the addend. In one
/// rounding, or in two where `STRICT`.
struct MultiplyAdd<T, const STRICT: bool> {
    count: u64,
    factor: T,
    addend: T,
}

impl<T: Real, const STRICT: bool> MultiplyAdd<T, STRICT> {
    #[inline(always)]
    fn repeat<S: Simd, const N: usize>(self, simd: S) -> f32 {
        let factor = T::splat(simd, black_box(self.factor));
        let addend = T::splat(simd, black_box(self.addend));
        let mut x = [addend; N];
        for _ in 0..self.count.div_ceil((N * LANES) as u64) {
            for x in &mut x {
                *x = if STRICT {
                    T::add(simd, T::mul(simd, *x, factor), addend)
                } else {
                    T::fused(simd, *x, factor, addend)
                };
            }
        }
        let mut total = x[0];
        for x in &x[1..] {
            total = T::add(simd, total, *x);
        }
        let mut lanes = [T::default(); LANES];
        T::store(simd, total, &mut lanes);
        lanes.iter().map(|lane| lane.value() as f32).sum()
    }
}

impl<T: Real, const STRICT: bool> WithSimd for MultiplyAdd<T, STRICT> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let register = if S::NAME == "avx512" { 64 } else { 32 };
        match REGISTERS * register / size_of::<T::Vector<S>>() {
            12 => self.repeat::<S, 12>(simd),
            6 => self.repeat::<S, 6>(simd),
            _ => self.repeat::<S, 3>(simd),
        }
    }
}

/// Sums of products of pairs, each a power of two, on [`REGISTERS`] independent vectors.
struct Bf16Dot {
    count: u64,
}

impl WithSimd for Bf16Dot {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        // Both halves are 2^-10: the sums stay small.
        let pair = simd.splat_f32(black_box(f32::from_bits(0x3a80_3a80)));
        let mut sums = [simd.splat_f32(1.0); REGISTERS];
        for _ in 0..self.count.div_ceil((REGISTERS * 2 * LANES) as u64) {
            for sum in &mut sums {
                *sum = simd.dot_bf16(pair, pair, *sum);
            }
        }
        let mut total = sums[0];
        for sum in &sums[1..] {
            total = simd.add_f32(total, *sum);
        }
        let mut lanes = [0.0; LANES];
        simd.store_f32(total, &mut lanes);
        lanes.iter().sum()
    }
}
