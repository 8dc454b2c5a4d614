//! What all benches of this package share: a contest is a criterion group, with everybody in it.

use criterion::{Criterion, PlottingBackend, Throughput};
use gradchain_arith::Isa;
use gradchain_peers::{Contest, Unit};
use rayon::ThreadPool;
use std::time::Duration;

/// The instruction set of ours and of the ceilings.
pub(crate) fn isa() -> Isa {
    Isa::choose().unwrap_or_else(|error| panic!("{error}"))
}

/// Times everybody in a contest on each of the pools; with several pools a name says how many threads it had. Throughput counts bytes of the
/// matrix where the work is a step, elements where it is an activation, and multiply-adds elsewhere.
pub(crate) fn bench(c: &mut Criterion, pools: &[ThreadPool], contest: Contest) {
    let Contest { id, unit, amount, entrants } = contest;
    let mut group = c.benchmark_group(format!("time_peers_{id}"));
    group.throughput(match unit {
        Unit::Bytes => Throughput::Bytes(amount),
        Unit::Operations | Unit::MultiplyAdds | Unit::Elements | Unit::Nanoseconds => {
            Throughput::Elements(amount)
        }
    });
    for mut entrant in entrants {
        for pool in pools {
            let name = match pools.len() {
                1 => entrant.name.clone(),
                _ => format!("{}, threads {}", entrant.name, pool.current_num_threads()),
            };
            let call = &mut entrant.call;
            group.bench_function(name, |b| pool.install(|| b.iter(&mut *call)));
        }
    }
    group.finish();
}

/// Short times and few resamples: the hundreds of ids of this package take twelve minutes.
pub(crate) fn short() -> Criterion {
    Criterion::default()
        .plotting_backend(PlottingBackend::Plotters)
        .warm_up_time(Duration::from_millis(60))
        .measurement_time(Duration::from_millis(300))
        .sample_size(10)
        .nresamples(1001)
}
