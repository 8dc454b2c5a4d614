//! Strict 16-bit arithmetic, every product and every sum rounded, beside the wide summation and the operators of `half`; the ceiling rounds in registers.

mod common;

use common::{bench, isa, short};
use criterion::{Criterion, criterion_group, criterion_main};
use gradchain_peers::works::{CACHED_WIDTHS, DIRECTIONS, Place, Rule, SIXTEEN_BIT_FORMATS, Work, contest};
use gradchain_peers::{Role, pool};

/// Width of the strict product of matrices.
const PRODUCT_WIDTH: usize = 256;

fn all(c: &mut Criterion) {
    for format in SIXTEEN_BIT_FORMATS {
        let steps = DIRECTIONS.into_iter().flat_map(|direction| {
            CACHED_WIDTHS.into_iter().map(move |n| Work::step(direction, Place::Cached, n))
        });
        for work in steps.chain([Work::product(PRODUCT_WIDTH)]) {
            let mut strict = contest(isa(), work.with_rule(Rule::Strict), format);
            let wide = contest(isa(), work, format).entrants;
            strict.entrants.extend(wide.into_iter().filter(|entrant| entrant.role == Role::Ours));
            bench(c, &[pool(1)], strict);
        }
    }
}

criterion_group! { name = benches; config = short(); targets = all }
criterion_main!(benches);
