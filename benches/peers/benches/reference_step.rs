//! The step of the reference, in scaled double-double, beside a big-float crate at the same precision; elements are products.

mod common;

use common::{bench, isa, short};
use criterion::{Criterion, criterion_group, criterion_main};
use gradchain_peers::{pool, reference};

const WIDTHS: [usize; 3] = [64, 256, 1024];

fn all(c: &mut Criterion) {
    for n in WIDTHS {
        bench(c, &[pool(1)], reference(isa(), n));
    }
}

criterion_group! { name = benches; config = short(); targets = all }
criterion_main!(benches);
