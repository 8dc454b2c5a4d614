//! Values, derivatives and gradients of the activations that networks use most, beside a copy of the same bytes and the loops over `std`,
//! `libm` and `half`.

mod common;

use common::{bench, isa, short};
use criterion::{Criterion, criterion_group, criterion_main};
use gradchain_peers::elementwise::{MAIN_ACTIVATIONS, WHATS, contest};
use gradchain_peers::pool;
use gradchain_peers::works::FORMATS;

fn all(c: &mut Criterion) {
    for activation in MAIN_ACTIVATIONS {
        for what in WHATS {
            for format in FORMATS {
                bench(c, &[pool(1)], contest(isa(), activation, what, format));
            }
        }
    }
}

criterion_group! { name = benches; config = short(); targets = all }
criterion_main!(benches);
