//! Large products on the threads of the current rayon pool: each thread computes whole entries, so that no sum knows how many there are.

use crate::native::{Out, Product};
use std::array::from_fn;

/// Products of numbers that are worth a thread: some ten microseconds.
const GRAIN: usize = 1 << 18;
/// The most rows whose columns are shared out; of more rows the rows are.
const MAX_PIECES: usize = 64;
/// Columns are shared out in whole cache lines and vectors.
const COLUMN_GRAIN: usize = 64;

/// Runs `work` on the product, or on parts of it at the same time.
pub(crate) fn on_threads<T: Copy + Send + Sync>(
    product: Product<'_, T>,
    work: impl Fn(Product<'_, T>) + Sync,
) {
    let size = product.rows.saturating_mul(product.columns).saturating_mul(product.inner.max(1));
    let parts = match size / GRAIN {
        0 | 1 => 1,
        worthwhile => worthwhile.min(rayon::current_num_threads()),
    };
    split(product, parts, &work);
}

fn split<T: Copy + Send + Sync>(
    product: Product<'_, T>,
    parts: usize,
    work: &(impl Fn(Product<'_, T>) + Sync),
) {
    let Product { left, right, out, rows, inner, columns } = product;
    let share =
        |whole: usize, grain: usize| (whole * (parts / 2)).div_ceil(parts).next_multiple_of(grain).min(whole);
    let by_rows = rows > MAX_PIECES;
    let at = if by_rows { share(rows, 1) } else { share(columns, COLUMN_GRAIN) };
    if parts == 1 || (!by_rows && at == columns) {
        return work(Product { left, right, out, rows, inner, columns });
    }
    let both = |first: Product<'_, T>, second: Product<'_, T>| {
        rayon::join(|| split(first, parts / 2, work), || split(second, parts - parts / 2, work));
    };
    if by_rows {
        let Out::Whole { values, stride } = out else {
            unreachable!("pieces are few rows, which are not shared out")
        };
        let (upper, lower) = values.split_at_mut(at * stride);
        let (upper, lower) = (Out::Whole { values: upper, stride }, Out::Whole { values: lower, stride });
        return both(
            Product { left, right, out: upper, rows: at, inner, columns },
            Product { left: left.skip(at), right, out: lower, rows: rows - at, inner, columns },
        );
    }
    let mut first: [&mut [T]; MAX_PIECES] = from_fn(|_| Default::default());
    let mut second: [&mut [T]; MAX_PIECES] = from_fn(|_| Default::default());
    let mut share_row = |i: usize, row| (first[i], second[i]) = <[T]>::split_at_mut(row, at);
    match out {
        Out::Whole { values, stride } => {
            values.chunks_mut(stride).enumerate().for_each(|(i, row)| share_row(i, row));
        }
        Out::Pieces(pieces) => {
            pieces.iter_mut().enumerate().for_each(|(i, row)| share_row(i, std::mem::take(row)));
        }
    }
    both(
        Product { left, right, out: Out::Pieces(&mut first[..rows]), rows, inner, columns: at },
        Product {
            left,
            right: right.skip(at),
            out: Out::Pieces(&mut second[..rows]),
            rows,
            inner,
            columns: columns - at,
        },
    );
}
