//! Steps of one vector, `W^T g` (backward) and `W x` (forward), streamed from memory and cached; the ceiling reads the same bytes.

mod common;

use common::{bench, isa, short};
use criterion::{Criterion, criterion_group, criterion_main};
use gradchain_peers::pool;
use gradchain_peers::works::{CACHED_WIDTHS, DIRECTIONS, FORMATS, Place, STREAMED_WIDTHS, Work, contest};

fn all(c: &mut Criterion) {
    for (place, widths) in [(Place::Streamed, STREAMED_WIDTHS.as_slice()), (Place::Cached, &CACHED_WIDTHS)] {
        for direction in DIRECTIONS {
            for &n in widths {
                for format in FORMATS {
                    bench(c, &[pool(1)], contest(isa(), Work::step(direction, place, n), format));
                }
            }
        }
    }
}

criterion_group! { name = benches; config = short(); targets = all }
criterion_main!(benches);
