//! The formats that the machine's instructions compute in, and the memory that each thread keeps for kernels.

use crate::real::Real;
use crate::simd::{LANES, Simd};
use std::cell::Cell;
use std::thread::LocalKey;

/// A format that the machine's instructions compute in, f32 or f64. Each thread keeps memory of it that kernels take instead of
/// allocating.
pub trait Computed: Real<Computed = Self> {
    /// Runs `work` on `len` numbers of memory that begins at a cache line. What they hold is left over from earlier work.
    fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [Self]) -> R) -> R;
    /// Lane i is the sum of the lanes of `vectors[i]`: [`Simd::sum_lanes_f32`].
    fn sum_lanes<S: Simd>(simd: S, vectors: &[Self::Vector<S>; LANES]) -> Self::Vector<S>;
}

/// [`Computed::with_scratch`] in `memory`, which grows where it is too short.
fn lend<T: Copy + Default, R>(
    memory: &'static LocalKey<Cell<Vec<T>>>,
    len: usize,
    work: impl FnOnce(&mut [T]) -> R,
) -> R {
    // Work that is started inside of `work` finds no memory here and makes its own.
    let mut numbers = memory.take();
    let per_line = CACHE_LINE / size_of::<T>();
    if numbers.len() < len + per_line {
        numbers.resize(len + per_line, T::default());
    }
    let start = numbers.as_ptr().align_offset(CACHE_LINE).min(per_line);
    let result = work(&mut numbers[start..start + len]);
    memory.set(numbers);
    result
}

/// Bytes of a cache line.
const CACHE_LINE: usize = 64;

thread_local! {
    static SCRATCH_F32: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    static SCRATCH_F64: Cell<Vec<f64>> = const { Cell::new(Vec::new()) };
}

impl Computed for f32 {
    fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
        lend(&SCRATCH_F32, len, work)
    }

    #[inline(always)]
    fn sum_lanes<S: Simd>(simd: S, vectors: &[S::F32; LANES]) -> S::F32 {
        simd.sum_lanes_f32(vectors)
    }
}

impl Computed for f64 {
    fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [f64]) -> R) -> R {
        lend(&SCRATCH_F64, len, work)
    }

    #[inline(always)]
    fn sum_lanes<S: Simd>(simd: S, vectors: &[S::F64; LANES]) -> S::F64 {
        simd.sum_lanes_f64(vectors)
    }
}
