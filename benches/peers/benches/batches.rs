//! Steps of 8 and 32 vectors, streamed from memory. The ceiling is the slower of reading W and of the multiply-adds in registers.

mod common;

use common::{bench, isa, short};
use criterion::{Criterion, criterion_group, criterion_main};
use gradchain_peers::pool;
use gradchain_peers::works::{BATCHES, Direction, FORMATS, STREAMED_WIDTHS, Work, contest};

/// The width at which the forward direction is timed too.
const FORWARD_WIDTH: usize = 1024;

fn all(c: &mut Criterion) {
    for rows in BATCHES {
        for format in FORMATS {
            for n in STREAMED_WIDTHS {
                bench(c, &[pool(1)], contest(isa(), Work::batch(Direction::Backward, rows, n), format));
            }
            bench(
                c,
                &[pool(1)],
                contest(isa(), Work::batch(Direction::Forward, rows, FORWARD_WIDTH), format),
            );
        }
    }
}

criterion_group! { name = benches; config = short(); targets = all }
criterion_main!(benches);
