//! One and two threads: products of matrices, and steps cached and streamed. The peers use the threads of the pool as well, where they have any;
//! ceilings run on all of them.

mod common;

use common::{bench, isa, short};
use criterion::{Criterion, criterion_group, criterion_main};
use gradchain_peers::pool;
use gradchain_peers::works::{Direction, FORMATS, Place, THREADED_WIDTHS, Work, contest};

use rayon::ThreadPool;

/// Widths of the steps: in the last cache, and in memory.
const STEPS: [(Place, usize); 2] = [(Place::Cached, 1024), (Place::Streamed, 4096)];

fn all(c: &mut Criterion) {
    let pools = [pool(1), pool(2)];
    for format in FORMATS {
        for n in THREADED_WIDTHS {
            bench_threads(c, &pools, Work::product(n), format);
        }
        for (place, n) in STEPS {
            bench_threads(c, &pools, Work::step(Direction::Backward, place, n), format);
        }
    }
}

/// A group of its own beside the same work on one thread.
fn bench_threads(c: &mut Criterion, pools: &[ThreadPool], work: Work, format: &str) {
    let mut contest = contest(isa(), work, format);
    contest.id = format!("threads_{}", contest.id);
    bench(c, pools, contest);
}

criterion_group! { name = benches; config = short(); targets = all }
criterion_main!(benches);
