//! Steps with subnormal weights, and with subnormal products of normal numbers, beside normal ones, by every summation. The loops in registers
//! work on numbers of the same size: what they lose, the core loses.

mod common;

use common::{bench, isa, short};
use criterion::{Criterion, criterion_group, criterion_main};
use gradchain_peers::pool;
use gradchain_peers::works::{Direction, FORMATS, Place, Rule, Size, Work, contest};

const WIDTH: usize = 256;
const SIZES: [Size; 3] = [Size::Normal, Size::SubnormalWeights, Size::SubnormalProducts];

fn all(c: &mut Criterion) {
    for format in FORMATS {
        for size in SIZES {
            let work = Work::step(Direction::Backward, Place::Cached, WIDTH);
            bench(c, &[pool(1)], contest(isa(), work.with_rule(Rule::All).with_size(size), format));
        }
    }
}

criterion_group! { name = benches; config = short(); targets = all }
criterion_main!(benches);
