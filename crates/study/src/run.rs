//! Measures cells in parallel and hands out their records twice: as they are measured, and in the order of the cells.
//!
//! The threads take the next cell from one counter, so that rows finish nearly in order. What is shown leaves in order, each record when all before it have
//! left: the output is the same for any number of threads. What is kept leaves at once, so that a slow cell holds back nothing that could be lost.

use crate::cell::Cell;
use crate::measure::MeasureError;
use crate::record::{Record, Timing};
use crate::row::Row;
use rayon::{ThreadPoolBuildError, ThreadPoolBuilder};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;
use thiserror::Error;

/// What computes the rows of a cell.
pub type MeasureFn<'a> = dyn Fn(&Cell) -> Result<Vec<Row>, MeasureError> + Sync + 'a;

/// What a run tells while it goes on, always on the calling thread.
#[derive(Debug)]
pub enum Event<'a> {
    /// One more cell is measured; cells before it may still be under way.
    Measured {
        /// Index of the cell in the slice given to [`run`].
        index: usize,
        /// Its records.
        records: &'a [Record],
    },
    /// The records of the next cell in order.
    Records {
        /// Index of the cell in the slice given to [`run`].
        index: usize,
        /// Its records.
        records: Vec<Record>,
    },
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All cells are measured.
    Complete,
    /// The stop flag was set; the first `emitted` cells are measured.
    Stopped {
        /// Number of cells whose records have left.
        emitted: usize,
    },
}

/// Why a run failed. The records of all cells before the failing one have left in order, and those of all cells that are measured have left.
#[derive(Debug, Error)]
pub enum RunError<E> {
    /// The threads could not be started.
    #[error("cannot start {threads} threads: {source}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// Why.
        source: ThreadPoolBuildError,
    },
    /// A cell could not be measured.
    #[error("cell {id}: {source}")]
    Cell {
        /// Id of the cell.
        id: String,
        /// Why.
        source: MeasureError,
    },
    /// The receiver of the events refused one.
    #[error("{0}")]
    Sink(E),
}

/// Measures `cells` with `threads` threads and passes events to `sink`. When `stop` becomes true, the cells under way are finished, their
/// records leave, and the run ends. `isa`, the name of the instruction set, adds timing to the records.
///
/// The threads are a rayon pool of their own, which what is measured shares its own work among too: there are never more.
///
/// # Errors
/// If the threads cannot be started, a cell cannot be measured, or `sink` fails.
pub fn run<E>(
    cells: &[Cell],
    measure: &MeasureFn<'_>,
    threads: usize,
    isa: Option<&str>,
    stop: &AtomicBool,
    mut sink: impl FnMut(Event<'_>) -> Result<(), E>,
) -> Result<Outcome, RunError<E>> {
    let pool = ThreadPoolBuilder::new().num_threads(threads.max(1)).build();
    let pool = pool.map_err(|source| RunError::Threads { threads, source })?;
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let (sender, receiver) = mpsc::channel();
    let work = |sender: &mpsc::Sender<_>| {
        while !stop.load(Ordering::Relaxed) && !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(cell) = cells.get(index) else { break };
            let result = records(cell, measure, isa);
            if result.is_err() {
                failed.store(true, Ordering::Relaxed);
            }
            if sender.send((index, result)).is_err() {
                break;
            }
        }
    };
    pool.in_place_scope(|scope| {
        let work = &work;
        // On each thread once; the last one to end drops the sender, which ends the loop below.
        scope.spawn_broadcast(move |_, _| work(&sender));
        let mut waiting = BTreeMap::new();
        let mut emitted = 0;
        let mut failure: Option<(usize, MeasureError)> = None;
        for (index, result) in receiver {
            let fail = |e| {
                failed.store(true, Ordering::Relaxed);
                RunError::Sink(e)
            };
            match result {
                Ok(records) => {
                    sink(Event::Measured { index, records: &records }).map_err(fail)?;
                    waiting.insert(index, records);
                }
                // The cells under way are still measured and kept. Of several failures the first in order is told.
                Err(source) if failure.as_ref().is_none_or(|(first, _)| index < *first) => {
                    failure = Some((index, source));
                }
                Err(_) => {}
            }
            while let Some(records) = waiting.remove(&emitted) {
                sink(Event::Records { index: emitted, records }).map_err(fail)?;
                emitted += 1;
            }
        }
        if let Some((index, source)) = failure {
            return Err(RunError::Cell { id: cells[index].id(), source });
        }
        Ok(if emitted == cells.len() { Outcome::Complete } else { Outcome::Stopped { emitted } })
    })
}

fn records(cell: &Cell, measure: &MeasureFn<'_>, isa: Option<&str>) -> Result<Vec<Record>, MeasureError> {
    let start = Instant::now();
    let rows = measure(cell)?;
    let timing = isa.map(|isa| Timing { seconds: start.elapsed().as_secs_f64(), isa: isa.to_owned() });
    Ok(rows.iter().map(|row| Record::new(cell, row, timing.clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn cells(count: usize) -> Vec<Cell> {
        (0..count).map(|depth| Cell { depth, ..Cell::default() }).collect()
    }

    /// Slower for earlier cells, so that results arrive out of order.
    fn slow(cell: &Cell) -> Result<Vec<Row>, MeasureError> {
        std::thread::sleep(Duration::from_micros(if cell.depth.is_multiple_of(3) { 900 } else { 10 }));
        Ok(vec![Row::new().with("layer", cell.depth); 1 + cell.depth % 2])
    }

    fn lines(threads: usize) -> String {
        let mut out = String::new();
        let sink = |event: Event<'_>| {
            if let Event::Records { records, .. } = event {
                records.iter().for_each(|record| out += &(record.to_json() + "\n"));
            }
            Ok::<(), ()>(())
        };
        assert_eq!(
            run(&cells(50), &slow, threads, None, &AtomicBool::new(false), sink).unwrap(),
            Outcome::Complete
        );
        out
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_threads() {
        let one = lines(1);
        assert_eq!(one.lines().count(), 75);
        for threads in [2, 3, 7, 100] {
            assert_eq!(lines(threads), one, "{threads} threads");
        }
    }

    /// What a cell does in parallel stays on the threads of the run.
    #[test]
    fn cells_share_the_threads() {
        for threads in [1, 3] {
            let measure = |_: &Cell| Ok(vec![Row::new().with("layer", rayon::current_num_threads())]);
            let mut lines = Vec::new();
            let outcome = run(&cells(5), &measure, threads, None, &AtomicBool::new(false), |event| {
                if let Event::Records { records, .. } = event {
                    lines.extend(records.iter().map(Record::to_json));
                }
                Ok::<(), ()>(())
            });
            assert_eq!(outcome.unwrap(), Outcome::Complete);
            assert!(
                lines.len() == 5 && lines.iter().all(|line| line.contains(&format!("\"layer\":{threads}")))
            );
        }
    }

    #[test]
    fn a_stop_keeps_a_prefix() {
        for threads in [1, 4] {
            let stop = AtomicBool::new(false);
            let mut indices = Vec::new();
            let outcome = run(&cells(1000), &slow, threads, None, &stop, |event| {
                if let Event::Records { index, .. } = event {
                    indices.push(index);
                    stop.store(indices.len() >= 5, Ordering::Relaxed);
                }
                Ok::<(), ()>(())
            });
            let Outcome::Stopped { emitted } = outcome.unwrap() else { panic!("not stopped") };
            assert!((5..1000).contains(&emitted));
            assert_eq!(indices, (0..emitted).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_failing_cell_lets_those_before_it_leave() {
        let measure = |cell: &Cell| {
            if cell.depth == 20 { Err(MeasureError::Network("torn".into())) } else { slow(cell) }
        };
        let mut count = 0;
        let result = run(&cells(1000), &measure, 4, None, &AtomicBool::new(false), |event| {
            count += usize::from(matches!(event, Event::Records { .. }));
            Ok::<(), ()>(())
        });
        assert!(matches!(result, Err(RunError::Cell { id, .. }) if id == cells(21)[20].id()));
        assert_eq!(count, 20);
    }

    /// The first cell is slow: what the other thread measures meanwhile is not held back, and nothing of it is lost when a cell fails.
    #[test]
    fn a_slow_cell_holds_back_nothing_that_is_kept() {
        let measured = AtomicUsize::new(0);
        let slow_first = |cell: &Cell| {
            match cell.depth {
                0 => {
                    while measured.load(Ordering::Relaxed) < 39 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                40 => return Err(MeasureError::Network("torn".into())),
                _ => _ = measured.fetch_add(1, Ordering::Relaxed),
            }
            Ok(vec![Row::new()])
        };
        let (mut kept, mut shown) = (Vec::new(), Vec::new());
        let result = run(&cells(60), &slow_first, 2, None, &AtomicBool::new(false), |event| {
            match event {
                Event::Measured { index, records } => kept.push((index, records.len())),
                Event::Records { index, .. } => shown.push(index),
            }
            Ok::<(), ()>(())
        });
        assert!(matches!(result, Err(RunError::Cell { id, .. }) if id == cells(60)[40].id()));
        let expected: Vec<_> = (1..40).chain([0]).map(|index| (index, 1)).collect();
        assert_eq!(kept, expected);
        assert_eq!(shown, (0..40).collect::<Vec<_>>());
    }

    #[test]
    fn a_failing_sink_ends_the_run() {
        let result = run(&cells(100_000), &slow, 4, None, &AtomicBool::new(false), |_| Err("full"));
        assert!(matches!(result, Err(RunError::Sink("full"))));
    }
}
