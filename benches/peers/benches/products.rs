//! Products of square matrices; the ceiling multiplies and adds in registers.

mod common;

use common::{bench, isa, short};
use criterion::{Criterion, criterion_group, criterion_main};
use gradchain_peers::pool;
use gradchain_peers::works::{FORMATS, PRODUCT_WIDTHS, Rule, Work, contest};

fn all(c: &mut Criterion) {
    for n in PRODUCT_WIDTHS {
        for format in FORMATS {
            let mut everybody = contest(isa(), Work::product(n), format);
            if format == "bf16" {
                // The hardware's dot of pairs belongs beside the wide summation, with a ceiling of its own.
                let dot = contest(isa(), Work::product(n).with_rule(Rule::Bf16Dot), format);
                let known: Vec<String> = everybody.entrants.iter().map(|e| e.name.clone()).collect();
                everybody.entrants.extend(dot.entrants.into_iter().filter(|e| !known.contains(&e.name)));
            }
            bench(c, &[pool(1)], everybody);
        }
    }
}

criterion_group! { name = benches; config = short(); targets = all }
criterion_main!(benches);
