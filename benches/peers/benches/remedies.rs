//! Norms and clippings of ten million numbers, beside reads and copies of the same bytes, plain loops and ndarray.

mod common;

use common::{bench, isa, short};
use criterion::{Criterion, criterion_group, criterion_main};
use gradchain_peers::pool;
use gradchain_peers::remedies::{REMEDIES, contest};
use gradchain_peers::works::FORMATS;

fn all(c: &mut Criterion) {
    for what in REMEDIES {
        for format in FORMATS {
            bench(c, &[pool(1)], contest(isa(), what, format));
        }
    }
}

criterion_group! { name = benches; config = short(); targets = all }
criterion_main!(benches);
