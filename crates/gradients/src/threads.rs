//! Long gradients on the threads of the current rayon pool, for results that do not depend on where they are cut.

/// Below as many numbers a second thread is not worth its start.
pub(crate) const NUMBERS_FOR_A_THREAD: usize = 1 << 18;
/// The same for powers, which cost as much as a hundred squares.
pub(crate) const NUMBERS_FOR_A_THREAD_OF_POWERS: usize = 1 << 12;

/// `work` on all numbers of `tensors`, or on parts of `grain` numbers or more at the same time, whose results are merged.
pub(crate) fn on_threads<T: Sync, R: Send>(
    tensors: &[&[T]],
    grain: usize,
    work: &(impl Fn(&[&[T]]) -> R + Sync),
    merge: &(impl Fn(R, R) -> R + Sync),
) -> R {
    let numbers: usize = tensors.iter().map(|tensor| tensor.len()).sum();
    if numbers < 2 * grain || rayon::current_num_threads() == 1 {
        return work(tensors);
    }
    let pieces: Vec<&[T]> = tensors.iter().flat_map(|tensor| tensor.chunks(grain)).collect();
    split(&pieces, numbers, grain, work, merge)
}

/// `pieces`, of so many numbers together, are halved until they are of about one grain.
fn split<T: Sync, R: Send>(
    pieces: &[&[T]],
    numbers: usize,
    grain: usize,
    work: &(impl Fn(&[&[T]]) -> R + Sync),
    merge: &(impl Fn(R, R) -> R + Sync),
) -> R {
    if numbers < 2 * grain || pieces.len() < 2 {
        return work(pieces);
    }
    // The pieces that end in the first half, but at least one and not all.
    let mut left = 0;
    let ends = pieces.iter().map(|piece| {
        left += piece.len();
        left
    });
    let middle = ends.take_while(|end| *end <= numbers / 2).count().clamp(1, pieces.len() - 1);
    let (first, second) = pieces.split_at(middle);
    let numbers_of = |pieces: &[&[T]]| pieces.iter().map(|piece| piece.len()).sum();
    let (first, second) = rayon::join(
        || split(first, numbers_of(first), grain, work, merge),
        || split(second, numbers_of(second), grain, work, merge),
    );
    merge(first, second)
}

/// `work` on all of `numbers`, or on parts of whole blocks at the same time where they are long; the results are merged.
pub(crate) fn on_parts<T: Send, R: Send>(
    numbers: &mut [T],
    block: usize,
    work: &(impl Fn(&mut [T]) -> R + Sync),
    merge: &(impl Fn(R, R) -> R + Sync),
) -> R {
    if numbers.len() < 2 * NUMBERS_FOR_A_THREAD || rayon::current_num_threads() == 1 {
        return work(numbers);
    }
    let (first, second) = numbers.split_at_mut((numbers.len() / 2).next_multiple_of(block));
    let (first, second) =
        rayon::join(|| on_parts(first, block, work, merge), || on_parts(second, block, work, merge));
    merge(first, second)
}
