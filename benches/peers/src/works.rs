//! The works, and the contest for each: data, ceilings, our summations, peers, all checked.

use crate::ceilings;
use crate::contest::{Contest, Entrant, Limit, Role, Unit};
use crate::data::{Aligned, Rotation, numbers};
use crate::peers::{Pace, Peers};
use gradchain_arith::{Isa, Native, Real, Summation, bf16, f16};
use gradchain_kernels::{Kernels, Shape};
use std::hint::black_box;
use std::sync::Arc;

/// The formats by name.
pub const FORMATS: [&str; 4] = ["f16", "bf16", "f32", "f64"];
/// The formats of 16 bits, for which strict arithmetic is a work of its own.
pub const SIXTEEN_BIT_FORMATS: [&str; 2] = ["f16", "bf16"];
/// Both directions.
pub const DIRECTIONS: [Direction; 2] = [Direction::Backward, Direction::Forward];
/// Widths of layers that are streamed from memory.
pub const STREAMED_WIDTHS: [usize; 3] = [256, 1024, 4096];
/// Widths of layers that lie in a cache: the second for most formats, and the third.
pub const CACHED_WIDTHS: [usize; 2] = [256, 1024];
/// Rows of a batch.
pub const BATCHES: [usize; 2] = [8, 32];
/// Widths of square products.
pub const PRODUCT_WIDTHS: [usize; 5] = [64, 256, 512, 1024, 2048];
/// Widths of square products that are worth two threads.
pub const THREADED_WIDTHS: [usize; 2] = [512, 1024];

/// Bytes of the matrices that a streamed work takes in turn: eight times the last cache of most machines.
const STREAMED_BYTES: usize = 256 << 20;
/// Multiply-adds beyond which peers of [`Pace::Scalar`] are left out: there they take a tenth of a second a call.
const SCALAR_LIMIT: u64 = 1 << 24;

/// The way through a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `G · W`, that is W^T g for each row g.
    Backward,
    /// `H · W^T`, that is W h for each row h.
    Forward,
}

/// Where W comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// One matrix, again and again.
    Cached,
    /// Matrices in turn that are together larger than every cache.
    Streamed,
}

/// Whose arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The fast summations of a format: wide for 16 bits, fused and interleaved for f32 and f64.
    Fast,
    /// Every summation that the format has.
    All,
    /// Each product and each sum rounded.
    Strict,
    /// Pairs of bf16 by the hardware's instruction.
    Bf16Dot,
}

/// How large the operands are, beside the least normal number of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Everything is normal.
    Normal,
    /// The weights are subnormal, and so are products and sums.
    SubnormalWeights,
    /// The operands are normal, products and sums subnormal.
    SubnormalProducts,
}

/// A piece of work: `rows` rows through a square layer of width `n`.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// The way.
    pub direction: Direction,
    /// 1 for a step, more for a batch, `n` for a product of matrices.
    pub rows: usize,
    /// The width.
    pub n: usize,
    /// Where W comes from.
    pub place: Place,
    /// Whose arithmetic.
    pub rule: Rule,
    /// How large the operands are.
    pub size: Size,
}

impl Work {
    /// A step of one vector.
    pub const fn step(direction: Direction, place: Place, n: usize) -> Work {
        Work { direction, rows: 1, n, place, rule: Rule::Fast, size: Size::Normal }
    }

    /// A streamed step of `rows` vectors.
    pub const fn batch(direction: Direction, rows: usize, n: usize) -> Work {
        Work { direction, rows, n, place: Place::Streamed, rule: Rule::Fast, size: Size::Normal }
    }

    /// A product of two square matrices.
    pub const fn product(n: usize) -> Work {
        Work {
            direction: Direction::Backward,
            rows: n,
            n,
            place: Place::Cached,
            rule: Rule::Fast,
            size: Size::Normal,
        }
    }

    /// The same by another arithmetic.
    pub const fn with_rule(self, rule: Rule) -> Work {
        Work { rule, ..self }
    }

    /// The same on operands of another size.
    pub const fn with_size(self, size: Size) -> Work {
        Work { size, ..self }
    }

    /// Its name in bench ids, in the format of this name.
    pub fn id(self, format: &str) -> String {
        let n = self.n;
        format!(
            "{}_{}_{}_{n}_{format}{}",
            self.what(),
            self.direction.name(),
            self.place.name(),
            self.variant()
        )
    }

    /// Its name in tables, which give the width elsewhere.
    pub fn title(self, format: &str) -> String {
        let (place, direction) = (self.place.name(), self.direction.name());
        format!("{} {direction} {place} {format}{}", self.what(), self.variant().replace('_', " "))
    }

    fn what(self) -> String {
        match self.rows {
            1 => "step".to_owned(),
            rows if rows == self.n => "product".to_owned(),
            rows => format!("batch{rows}"),
        }
    }

    fn variant(self) -> String {
        let rule = match self.rule {
            Rule::Fast => "",
            Rule::All => "_all",
            Rule::Strict => "_strict",
            Rule::Bf16Dot => "_dot",
        };
        let size = match self.size {
            Size::Normal => "",
            Size::SubnormalWeights => "_subnormal-weights",
            Size::SubnormalProducts => "_subnormal-products",
        };
        format!("{rule}{size}")
    }
}

impl Direction {
    const fn name(self) -> &'static str {
        match self {
            Direction::Backward => "backward",
            Direction::Forward => "forward",
        }
    }
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Place::Cached => "cached",
            Place::Streamed => "dram",
        }
    }
}

/// The contest for a work in the format of this name; everybody has been checked.
///
/// # Panics
/// If there is no such format, or a result is wrong.
pub fn contest(isa: Isa, work: Work, format: &str) -> Contest {
    match format {
        "f16" => contest_of::<f16>(isa, work),
        "bf16" => contest_of::<bf16>(isa, work),
        "f32" => contest_of::<f32>(isa, work),
        "f64" => contest_of::<f64>(isa, work),
        other => panic!("unknown format `{other}`; known: {}", FORMATS.join(", ")),
    }
}

struct Operands<T> {
    left: Aligned<T>,
    right: Rotation<T>,
    work: Work,
    shape: Shape,
}

fn contest_of<T: Peers>(isa: Isa, work: Work) -> Contest {
    let operands = Arc::new(operands::<T>(work));
    let multiply_adds = (work.rows * work.n * work.n) as u64;
    let mut entrants = ceilings_of(isa, &operands, multiply_adds);
    for summation in summations::<T>(work.rule) {
        entrants.push(entrant(
            Role::Ours,
            summation.name(),
            &operands,
            move |a, b, out, shape, transposed| {
                let arith = Native::<T>::new(isa);
                if transposed {
                    arith.times_transposed(summation, a, b, out, shape);
                } else {
                    arith.times(summation, a, b, out, shape);
                }
            },
        ));
    }
    let competes = |pace| match (pace, work.rule) {
        // In 16 bits the slow peers are those that round every operation.
        (Pace::Vector, Rule::Strict) => false,
        (Pace::Vector, Rule::Fast | Rule::All | Rule::Bf16Dot) => true,
        (Pace::Scalar, _) => multiply_adds <= SCALAR_LIMIT,
    };
    for peer in T::PEERS.iter().filter(|peer| competes(peer.pace)) {
        entrants.push(entrant(Role::Peer, peer.name, &operands, peer.product));
    }
    let (unit, amount) = match (work.rows, work.rule) {
        (_, Rule::Strict) => (Unit::MultiplyAdds, multiply_adds),
        (1, Rule::Fast | Rule::All | Rule::Bf16Dot) => {
            (Unit::Bytes, (work.n * work.n * size_of::<T>()) as u64)
        }
        (_, Rule::Fast | Rule::All | Rule::Bf16Dot) => (Unit::Operations, multiply_adds),
    };
    Contest { id: work.id(T::NAME), unit, amount, entrants }
}

fn operands<T: Real>(work: Work) -> Operands<T> {
    let Work { rows, n, .. } = work;
    let count = match work.place {
        Place::Cached => 1,
        Place::Streamed => (STREAMED_BYTES / (n * n * size_of::<T>())).max(2),
    };
    let (left, right) = scales(work.size, T::FORMAT.emin());
    Operands {
        left: numbers(rows * n, 1, left),
        right: Rotation::new(numbers(count * n * n, 2, right), n * n),
        work,
        shape: Shape { rows, inner: n, columns: n },
    }
}

/// Our summations that a rule admits in the format.
fn summations<T: Real>(rule: Rule) -> impl Iterator<Item = Summation> {
    Summation::of(T::FORMAT).filter(move |summation| match (rule, summation) {
        (Rule::All, _) => true,
        (Rule::Fast, Summation::Wide) => size_of::<T>() == 2,
        (Rule::Fast, Summation::Fused) => size_of::<T>() > 2,
        (Rule::Fast, Summation::Interleaved) => true,
        (Rule::Strict, Summation::Recursive) => true,
        (Rule::Bf16Dot, Summation::Bf16Dot) => true,
        (
            Rule::Fast | Rule::Strict | Rule::Bf16Dot,
            Summation::Recursive
            | Summation::Fused
            | Summation::Interleaved
            | Summation::Pairwise
            | Summation::Compensated
            | Summation::Wide
            | Summation::Bf16Dot,
        ) => false,
    })
}

/// A product as an entrant, once its result has been checked.
fn entrant<T: Real>(
    role: Role,
    name: &str,
    operands: &Arc<Operands<T>>,
    product: impl Fn(&[T], &[T], &mut [T], Shape, bool) + Send + 'static,
) -> Entrant {
    let operands = Arc::clone(operands);
    let shape = operands.shape;
    let transposed = operands.work.direction == Direction::Forward;
    let mut out = Aligned::zeros(shape.rows * shape.columns);
    product(operands.left.as_slice(), operands.right.first(), out.as_mut_slice(), shape, transposed);
    check(name, &operands, out.as_slice());
    let call = move || {
        let (a, b) = (operands.left.as_slice(), operands.right.next());
        product(black_box(a), black_box(b), black_box(out.as_mut_slice()), shape, transposed);
    };
    Entrant { role, name: name.to_owned(), call: Box::new(call) }
}

/// Demands that results are within twice the bound of any order of summation in the format, and what underflow may add. Some entries
/// are looked at, spread over rows and columns.
fn check<T: Real>(name: &str, operands: &Operands<T>, out: &[T]) {
    const LOOKED_AT: usize = 256;
    let Shape { rows, inner, columns } = operands.shape;
    let (a, b) = (operands.left.as_slice(), operands.right.first());
    let factor = 2.0 * Summation::Recursive.bound(inner, T::FORMAT.unit_roundoff(), 0.0).min(1.0);
    // The hardware's dot takes subnormals for zeros.
    let lost =
        if name == "bf16-dot" { libm::exp2(f64::from(T::FORMAT.emin())) } else { T::FORMAT.min_subnormal() };
    for entry in 0..LOOKED_AT {
        let (i, j) = (entry * 7 % rows, entry * 31 % columns);
        let term = |k: usize| {
            let b = match operands.work.direction {
                Direction::Backward => b[k * columns + j],
                Direction::Forward => b[j * inner + k],
            };
            a[i * inner + k].value() * b.value()
        };
        let (sum, sizes) =
            (0..inner).map(term).fold((0.0, 0.0), |(sum, sizes), t| (sum + t, sizes + t.abs()));
        let out = out[i * columns + j];
        assert!(
            (out.value() - sum).abs() <= factor * sizes + 2.0 * inner as f64 * lost,
            "{}: {name}, entry ({i}, {j}): {out:?}, expected {sum:e}",
            operands.work.id(T::NAME)
        );
    }
}

/// What bounds the work: reading W where it serves few rows, multiplying and adding where it serves several.
fn ceilings_of<T: Peers>(isa: Isa, operands: &Arc<Operands<T>>, multiply_adds: u64) -> Vec<Entrant> {
    let Work { rows, n, rule, .. } = operands.work;
    let ceiling = |limit, name: &str, call: Box<dyn FnMut() + Send>| Entrant {
        role: Role::Ceiling(limit),
        name: format!("ceiling: {name}"),
        call,
    };
    let mut entrants = Vec::new();
    if rows < n {
        for streams in [1, 4] {
            let operands = Arc::clone(operands);
            let call = move || {
                black_box(ceilings::read(isa, bytemuck::cast_slice(operands.right.next()), streams));
            };
            let name = if streams == 1 { "read, 1 stream" } else { "read, 4 streams" };
            entrants.push(ceiling(Limit::Read, name, Box::new(call)));
        }
    }
    // Operands of the sizes of those of the work, with odd last bits: a product that underflows shall be inexact as well.
    let (left, right) = scales(operands.work.size, T::FORMAT.emin());
    let (factor, addend) = (0.65 * right, 1.2 * left);
    if matches!(rule, Rule::Strict | Rule::All) {
        let call = move || {
            black_box(ceilings::strict_multiply_add(
                isa,
                multiply_adds,
                T::round_from(factor),
                T::round_from(addend),
            ));
        };
        entrants.push(ceiling(Limit::MultiplyAdd, "strict multiply-add", Box::new(call)));
    }
    if rule == Rule::Bf16Dot && ceilings::bf16_dot(isa, 1).is_some() {
        let call = move || {
            black_box(ceilings::bf16_dot(isa, multiply_adds));
        };
        entrants.push(ceiling(Limit::MultiplyAdd, "bf16 dot", Box::new(call)));
    }
    if rule == Rule::All || rule == Rule::Fast && rows > 1 {
        let call: Box<dyn FnMut() + Send> = if T::NAME == "f64" {
            Box::new(move || {
                black_box(ceilings::multiply_add::<f64>(isa, multiply_adds, factor, addend));
            })
        } else {
            Box::new(move || {
                black_box(ceilings::multiply_add::<f32>(isa, multiply_adds, factor as f32, addend as f32));
            })
        };
        entrants.push(ceiling(Limit::MultiplyAdd, "multiply-add", call));
    }
    entrants
}

/// What the left and the right operands are multiplied by, in a format whose least normal number is `2^emin`.
fn scales(size: Size, emin: i32) -> (f64, f64) {
    // Far enough below the least normal number that sums of some hundred products are subnormal as well.
    let subnormal = libm::exp2(f64::from(emin - 6));
    // Two normal factors, but for a few of f16, whose range is narrow.
    let root = libm::exp2(f64::from((emin - 6) / 2));
    match size {
        Size::Normal => (1.0, 1.0),
        Size::SubnormalWeights => (1.0, subnormal),
        Size::SubnormalProducts => (subnormal / root, root),
    }
}
