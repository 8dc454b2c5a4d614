//! The kernels of stored formats do not allocate: what they need beside their operands is memory that the thread keeps.

use gradchain_arith::{Isa, Native, Summation, bf16, f16};
use gradchain_kernels::{Kernels, Shape, Stored};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn check<T: Stored>() {
    for (rows, inner, columns) in [(1, 300, 400), (8, 300, 200), (60, 70, 80), (1, 1, 1)] {
        let shape = Shape { rows, inner, columns };
        let (a, b) = (vec![T::round_from(1.5); rows * inner], vec![T::round_from(0.5); inner * columns]);
        let mut out = vec![T::default(); rows * columns];
        for isa in Isa::available() {
            let arith = Native::<T>::new(isa);
            for summation in Summation::of(T::FORMAT) {
                let mut all = || {
                    arith.times(summation, &a, &b, &mut out, shape);
                    arith.times_transposed(summation, &a, &b, &mut out, shape);
                    arith.transposed_times(summation, &a, &b, &mut out, shape);
                };
                // The first time the memory grows.
                all();
                let region = Region::new(ALLOCATOR);
                all();
                let change = region.change();
                assert_eq!(
                    change.allocations + change.reallocations,
                    0,
                    "{} {summation} {isa} {shape:?}",
                    T::NAME
                );
            }
        }
    }
}

/// A program without a test harness, whose own threads would allocate while this one counts.
fn main() {
    check::<f16>();
    check::<bf16>();
    check::<f32>();
    check::<f64>();
    println!("no kernel allocates: ok");
}
