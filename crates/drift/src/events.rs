//! At which layer something happens to a gradient for the first time.
//!
//! k counts the layers that the gradient has passed: k = 0 is the upstream gradient itself, k = d the gradient at the input.

use gradchain_arith::{Counts, Format};

/// Below this cosine with the reference a gradient has lost its direction.
pub const DIRECTION_LOST_BELOW: f64 = 0.9;

/// Watches a gradient, layer by layer.
#[derive(Clone, Debug)]
pub struct Events {
    format: Format,
    next: usize,
    last: Vec<f64>,
    unchanged_since: usize,
    first_subnormal: Option<usize>,
    first_zero: Option<usize>,
    first_infinite: Option<usize>,
    first_nan: Option<usize>,
    direction_lost: Option<usize>,
}

/// What happened, and the k at which it happened first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EventReport {
    /// d, the layers that the gradient has passed in the end.
    pub depth: usize,
    /// A component is subnormal.
    pub first_subnormal: Option<usize>,
    /// All components are zero, and there are some.
    pub first_zero: Option<usize>,
    /// The least k <= d - 2 from which on the gradient does not change up to the end, where it is finite and not zero.
    pub stuck_at: Option<usize>,
    /// The component of largest magnitude of a gradient that is stuck, with its sign.
    pub stuck_value: Option<f64>,
    /// A component is infinite.
    pub first_infinite: Option<usize>,
    /// A component is NaN.
    pub first_nan: Option<usize>,
    /// The cosine with the reference is not [`DIRECTION_LOST_BELOW`] or more; a gradient that is not finite has no direction either.
    pub direction_lost: Option<usize>,
    /// The classes of the components at the end.
    pub counts: Counts,
}

impl Events {
    /// Nothing seen yet of a gradient in `format`.
    pub fn new(format: Format) -> Events {
        Events {
            format,
            next: 0,
            last: Vec::new(),
            unchanged_since: 0,
            first_subnormal: None,
            first_zero: None,
            first_infinite: None,
            first_nan: None,
            direction_lost: None,
        }
    }

    /// Takes the gradient after the next layer, the upstream gradient first, and its cosine with the reference.
    pub fn observe(&mut self, gradient: &[f64], cosine: f64) {
        let k = self.next;
        let counts = Counts::of(gradient.iter().copied(), self.format);
        let mark = |first: &mut Option<usize>, happened: bool| {
            if happened {
                first.get_or_insert(k);
            }
        };
        mark(&mut self.first_subnormal, counts.subnormal > 0);
        mark(&mut self.first_zero, counts.zero > 0 && counts.zero == counts.total());
        mark(&mut self.first_infinite, counts.infinite > 0);
        mark(&mut self.first_nan, counts.nan > 0);
        let direction_kept = cosine >= DIRECTION_LOST_BELOW;
        mark(&mut self.direction_lost, !direction_kept);
        if self.last != gradient {
            self.unchanged_since = k;
            self.last.clear();
            self.last.extend_from_slice(gradient);
        }
        self.next += 1;
    }

    /// The events up to the last gradient seen.
    pub fn report(&self) -> EventReport {
        let depth = self.next.saturating_sub(1);
        let counts = Counts::of(self.last.iter().copied(), self.format);
        let alive = counts.infinite + counts.nan == 0 && counts.subnormal + counts.normal > 0;
        let stuck = alive && self.unchanged_since + 2 <= depth;
        let largest = self.last.iter().copied().reduce(|a, b| if b.abs() > a.abs() { b } else { a });
        EventReport {
            depth,
            first_subnormal: self.first_subnormal,
            first_zero: self.first_zero,
            stuck_at: stuck.then_some(self.unchanged_since),
            stuck_value: largest.filter(|_| stuck),
            first_infinite: self.first_infinite,
            first_nan: self.first_nan,
            direction_lost: self.direction_lost,
            counts,
        }
    }
}
