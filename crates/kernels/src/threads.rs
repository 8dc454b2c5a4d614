//! Large products on the threads of the current rayon pool: each thread computes whole entries, so that no sum knows how many there are.

use crate::native::{MAX_PIECES, Out, Product};
use std::array::from_fn;

/// Products of numbers that are worth a thread: some ten microseconds.
const GRAIN: usize = 1 << 18;
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
    if parts == 1 {
        return work(product);
    }
    let share =
        |whole: usize, grain: usize| (whole * (parts / 2)).div_ceil(parts).next_multiple_of(grain).min(whole);
    let halves = if product.rows > MAX_PIECES {
        let rows = share(product.rows, 1);
        split_rows(product, rows)
    } else {
        let columns = share(product.columns, COLUMN_GRAIN);
        if columns == product.columns {
            return work(product);
        }
        split_columns(product, columns)
    };
    let [first, second] = halves;
    rayon::join(|| split(first, parts / 2, work), || split(second, parts - parts / 2, work));
}

fn split_rows<T: Copy>(product: Product<'_, T>, at: usize) -> [Product<'_, T>; 2] {
    let Product { left, right, out, rows, inner, columns } = product;
    let (upper, lower) = match out {
        Out::Whole { values, stride } => {
            let (upper, lower) = values.split_at_mut(at * stride);
            (Out::Whole { values: upper, stride }, Out::Whole { values: lower, stride })
        }
        Out::Pieces(_) => unreachable!("pieces are few rows, which are not split"),
    };
    let lower_left = left.skip(at);
    [
        Product { left, right, out: upper, rows: at, inner, columns },
        Product { left: lower_left, right, out: lower, rows: rows - at, inner, columns },
    ]
}

fn split_columns<T: Copy>(product: Product<'_, T>, at: usize) -> [Product<'_, T>; 2] {
    let Product { left, right, out, rows, inner, columns } = product;
    let mut pieces: [&mut [T]; MAX_PIECES] = match out {
        Out::Whole { values, stride } => {
            let mut of_rows = values.chunks_mut(stride);
            from_fn(|_| of_rows.next().unwrap_or_default())
        }
        Out::Pieces(pieces) => pieces,
    };
    let second = pieces.each_mut().map(|piece| {
        let whole = std::mem::take(piece);
        let (first, second) = whole.split_at_mut(at.min(whole.len()));
        *piece = first;
        second
    });
    let second_right = right.skip(at);
    [
        Product { left, right, out: Out::Pieces(pieces), rows, inner, columns: at },
        Product { left, right: second_right, out: Out::Pieces(second), rows, inner, columns: columns - at },
    ]
}
