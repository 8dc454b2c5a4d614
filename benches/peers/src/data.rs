//! Operands: numbers that begin at a cache line, and matrices taken in turn.

use gradchain_arith::Real;
use gradchain_chain::{Upstream, draw_ends};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of a cache line, and of the longest vector.
const LINE: usize = 64;
/// How many numbers are drawn; then they repeat. A prime, so that no two rows of a matrix are the same.
const DRAWN: usize = 65_521;

/// Numbers that begin at a cache line. An allocation begins anywhere in it, and every vector loaded across two lines costs twice: luck that
/// would go to one entrant and not to the next.
pub(crate) struct Aligned<T> {
    storage: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Copy + Default> Aligned<T> {
    /// The first `len` of `numbers`.
    pub(crate) fn new(len: usize, numbers: impl Iterator<Item = T>) -> Aligned<T> {
        let mut storage: Vec<T> = Vec::with_capacity(len + LINE);
        let start = storage.as_ptr().align_offset(LINE);
        storage.resize(start, T::default());
        storage.extend(numbers.take(len));
        assert_eq!(storage.len(), start + len, "too few numbers");
        Aligned { storage, start, len }
    }

    /// Zeros.
    pub(crate) fn zeros(len: usize) -> Aligned<T> {
        Aligned::new(len, std::iter::repeat(T::default()))
    }

    /// The numbers.
    pub(crate) fn as_slice(&self) -> &[T] {
        &self.storage[self.start..self.start + self.len]
    }

    /// The numbers.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.storage[self.start..self.start + self.len]
    }
}

/// `len` normal draws times `scale`.
pub(crate) fn numbers<T: Real>(len: usize, seed: u64, scale: f64) -> Aligned<T> {
    let drawn: Vec<T> = draw_ends((1, 1), DRAWN, Upstream::Normal, seed, 0)
        .upstream
        .into_iter()
        .map(|x| T::round_from(x * scale))
        .collect();
    Aligned::new(len, drawn.iter().copied().cycle())
}

/// Matrices of one size that are taken in turn by everybody: when one comes round again, all others have been read since.
pub(crate) struct Rotation<T> {
    matrices: Aligned<T>,
    size: usize,
    next: AtomicUsize,
}

impl<T: Copy + Default> Rotation<T> {
    /// `matrices` cut into matrices of `size` numbers.
    pub(crate) fn new(matrices: Aligned<T>, size: usize) -> Rotation<T> {
        Rotation { matrices, size, next: AtomicUsize::new(0) }
    }

    /// The next matrix.
    pub(crate) fn next(&self) -> &[T] {
        let start = self.next.fetch_add(self.size, Ordering::Relaxed) % self.matrices.len;
        &self.matrices.as_slice()[start..start + self.size]
    }

    /// The first matrix.
    pub(crate) fn first(&self) -> &[T] {
        &self.matrices.as_slice()[..self.size]
    }
}
