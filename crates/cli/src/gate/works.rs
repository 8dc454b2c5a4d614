//! The works that `gate time` compares: small pieces of every kind of arithmetic that a chain is made of.
//!
//! An id is a name for what is computed, and stays what it is when the code changes: kind, direction, format, rule, size. Operands come from a fixed
//! sequence, begin at a cache line, and fit with those of two more processes into the second cache, streamed works excepted. A call leaves its
//! result in a buffer that it overwrites whole, so the checksum does not depend on how often it was called.

use gradchain_activations::{Activation, Activations, Path, apply, backpropagate_slice};
use gradchain_arith::{Arithmetic, Emulated, Format, Isa, Native, Real, Rules, Summation, bf16, f16};
use gradchain_chain::{ChainArithmetic, Draw, Init, Rounded, Setting, backward, forward};
use gradchain_gate::time::{Kind, Listed};
use gradchain_gradients::{Gradients, Order, Remedy, norm};
use gradchain_kernels::{Kernels, Shape};
use std::hint::black_box;

/// Width of the layers: 128 KB of weights in f64, and below what the kernels give to a second thread.
const WIDTH: usize = 128;
/// Rows of a batch.
const BATCH: usize = 8;
/// Numbers of a gradient, or of what an activation is applied to.
const ELEMENTS: usize = 8192;
/// Depth and width of the whole chains.
const CHAIN: (usize, usize) = (16, 32);
/// Width of the products that are worth several threads.
const THREADED: usize = 256;
/// Rows and columns of a matrix that no cache holds: 64 MB in 16 bits.
const STREAMED: (usize, usize) = (8192, 4096);

/// A work that is ready to be called.
pub(crate) trait Prepared {
    /// Calls it so many times.
    fn call(&mut self, calls: u32);
    /// A checksum of what the last call left.
    fn checksum(&self) -> u64;
}

/// Makes the operands of a work.
type Prepare = Box<dyn Fn() -> Box<dyn Prepared>>;

/// A work: its name, and how it is made ready.
pub(crate) struct Work {
    pub(crate) listed: Listed,
    pub(crate) prepare: Prepare,
}

/// Every work.
pub(crate) fn works(isa: Isa) -> Vec<Work> {
    let mut works = Works(Vec::new());
    of_format::<f16>(&mut works, isa);
    of_format::<bf16>(&mut works, isa);
    of_format::<f32>(&mut works, isa);
    of_format::<f64>(&mut works, isa);
    for name in ["e4m3", "tf32"] {
        let format: Format = name.parse().expect("a named format");
        emulated(&mut works, name, &Emulated::new(format, Rules::default(), 1));
    }
    works.0
}

struct Works(Vec<Work>);

impl Works {
    /// Adds a work whose call is `step`, once it has been made by `make`.
    fn add<T: Real, F: FnMut(&mut [T]) + 'static>(
        &mut self,
        id: String,
        kind: Kind,
        elements: usize,
        size: usize,
        make: impl Fn() -> F + 'static,
    ) {
        let prepare =
            move || -> Box<dyn Prepared> { Box::new(Job { out: Aligned::zeros(size), step: make() }) };
        let listed = Listed { id, kind, elements: elements as u64 };
        self.0.push(Work { listed, prepare: Box::new(prepare) });
    }
}

/// A buffer and what overwrites it.
struct Job<T, F> {
    out: Aligned<T>,
    step: F,
}

impl<T: Real, F: FnMut(&mut [T])> Prepared for Job<T, F> {
    fn call(&mut self, calls: u32) {
        for _ in 0..calls {
            (self.step)(black_box(self.out.as_mut_slice()));
        }
    }

    /// Over the values as f64, of which NaN is one: rotated, mixed and multiplied, a word at a time, so that it costs little beside a burst.
    fn checksum(&self) -> u64 {
        self.out.as_slice().iter().fold(0, |hash: u64, x| {
            let value = x.value();
            let bits = if value.is_nan() { u64::MAX } else { value.to_bits() };
            (hash.rotate_left(5) ^ bits).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        })
    }
}

/// The native works of a format.
fn of_format<T>(works: &mut Works, isa: Isa)
where
    T: Real,
    Native<T>: ChainArithmetic<Number = T>,
{
    let arith = Native::<T>::new(isa);
    let format = T::NAME;
    for summation in Summation::of(T::FORMAT) {
        // Without its instruction the hardware's sum takes a millisecond, and is no one's fast path.
        if summation != Summation::Bf16Dot {
            steps(works, arith, summation, WIDTH);
        }
    }
    let fast = if T::FORMAT.precision() <= 11 { Summation::Wide } else { Summation::Fused };
    works.add(
        format!("batch/backward/{format}/{fast}/{BATCH}x{WIDTH}"),
        Kind::Pinned,
        BATCH * WIDTH * WIDTH,
        BATCH * WIDTH,
        move || {
            let (g, weights) = (numbers::<T>(BATCH * WIDTH, 1), numbers::<T>(WIDTH * WIDTH, 2));
            let shape = Shape { rows: BATCH, inner: WIDTH, columns: WIDTH };
            move |out: &mut [T]| {
                arith.times(fast, black_box(g.as_slice()), black_box(weights.as_slice()), out, shape)
            }
        },
    );
    // Half as wide: the result is as large as the weights.
    let n = WIDTH / 2;
    works.add(
        format!("weights/{format}/{fast}/{BATCH}x{n}"),
        Kind::Pinned,
        BATCH * n * n,
        n * n,
        move || {
            let (g, h) = (numbers::<T>(BATCH * n, 3), numbers::<T>(BATCH * n, 4));
            let shape = Shape { rows: n, inner: BATCH, columns: n };
            move |out: &mut [T]| {
                arith.transposed_times(fast, black_box(g.as_slice()), black_box(h.as_slice()), out, shape)
            }
        },
    );
    for activation in [Activation::Sigmoid, Activation::Tanh, Activation::Gelu, Activation::Relu] {
        activations(works, arith, activation);
    }
    remedies(works, arith);
    chains(works, arith);
    let n = THREADED;
    works.add(format!("threads/product/{format}/{fast}/{n}"), Kind::Threaded, n * n * n, n * n, move || {
        let (a, b) = (numbers::<T>(n * n, 1), numbers::<T>(n * n, 2));
        let shape = Shape { rows: n, inner: n, columns: n };
        move |out: &mut [T]| arith.times(fast, black_box(a.as_slice()), black_box(b.as_slice()), out, shape)
    });
    let (rows, columns) = STREAMED;
    works.add(
        format!("stream/backward/{format}/{fast}/{rows}x{columns}"),
        Kind::Streaming,
        rows * columns,
        columns,
        move || {
            let (g, weights) = (numbers::<T>(rows, 1), numbers::<T>(rows * columns, 2));
            let shape = Shape { rows: 1, inner: rows, columns };
            move |out: &mut [T]| {
                arith.times(fast, black_box(g.as_slice()), black_box(weights.as_slice()), out, shape)
            }
        },
    );
}

/// Steps through one layer, both ways.
fn steps<K>(works: &mut Works, arith: K, summation: Summation, n: usize)
where
    K: Kernels<Number: Real> + Copy + 'static,
{
    let format = <K::Number as Real>::NAME;
    let shape = Shape { rows: 1, inner: n, columns: n };
    works.add(format!("step/backward/{format}/{summation}/{n}"), Kind::Pinned, n * n, n, move || {
        let (g, weights) = (numbers::<K::Number>(n, 1), numbers::<K::Number>(n * n, 2));
        move |out: &mut [K::Number]| {
            arith.times(summation, black_box(g.as_slice()), black_box(weights.as_slice()), out, shape);
        }
    });
    works.add(format!("step/forward/{format}/{summation}/{n}"), Kind::Pinned, n * n, n, move || {
        let (h, weights) = (numbers::<K::Number>(n, 1), numbers::<K::Number>(n * n, 2));
        move |out: &mut [K::Number]| {
            arith.times_transposed(
                summation,
                black_box(h.as_slice()),
                black_box(weights.as_slice()),
                out,
                shape,
            );
        }
    });
}

/// Values, and gradients by the fused path; for the sigmoid by the path that the output takes, too.
fn activations<A>(works: &mut Works, arith: A, activation: Activation)
where
    A: Activations<Number: Real> + Copy + 'static,
{
    let format = <A::Number as Real>::NAME;
    works.add(
        format!("activation/{activation}/value/{format}"),
        Kind::Pinned,
        ELEMENTS,
        ELEMENTS,
        move || {
            let x = inputs::<A::Number>(ELEMENTS, 5);
            move |out: &mut [A::Number]| apply(&arith, activation, black_box(x.as_slice()), out)
        },
    );
    let paths: &[Path] =
        if activation == Activation::Sigmoid { &[Path::Fused, Path::Output] } else { &[Path::Fused] };
    for &path in paths {
        let n = if path == Path::Output { ELEMENTS / 8 } else { ELEMENTS };
        works.add(
            format!("activation/{activation}/gradient-{path}/{format}"),
            Kind::Pinned,
            n,
            n,
            move || {
                let (g, x) = (numbers::<A::Number>(n, 6), inputs::<A::Number>(n, 5));
                let mut y = Aligned::zeros(n);
                apply(&arith, activation, x.as_slice(), y.as_mut_slice());
                move |out: &mut [A::Number]| {
                    out.copy_from_slice(black_box(g.as_slice()));
                    backpropagate_slice(
                        &arith,
                        activation,
                        path,
                        out,
                        black_box(x.as_slice()),
                        black_box(y.as_slice()),
                    );
                }
            },
        );
    }
}

/// Norms and clippings.
fn remedies<A>(works: &mut Works, arith: A)
where
    A: Gradients<Number: Real> + Copy + 'static,
{
    let format = <A::Number as Real>::NAME;
    works.add(format!("norm/two/{format}"), Kind::Pinned, ELEMENTS, 1, move || {
        let g = numbers::<A::Number>(ELEMENTS, 7);
        move |out: &mut [f64]| out[0] = norm(&arith, Order::Two, &[black_box(g.as_slice())]).to_f64()
    });
    for (name, remedy) in [("clip-norm", Remedy::ClipNorm(1.0)), ("clip-value", Remedy::ClipValue(0.03))] {
        works.add(format!("remedy/{name}/{format}"), Kind::Pinned, ELEMENTS, ELEMENTS, move || {
            let g = numbers::<A::Number>(ELEMENTS, 7);
            move |out: &mut [A::Number]| {
                out.copy_from_slice(black_box(g.as_slice()));
                remedy.apply(&arith, out).expect("the limits are allowed ones");
            }
        });
    }
}

/// A forward and a backward pass of whole chains.
fn chains<K>(works: &mut Works, arith: K)
where
    K: ChainArithmetic<Number: Real> + Copy + 'static,
{
    let format = <K::Number as Real>::NAME;
    let (depth, width) = CHAIN;
    let setting = Setting { summation: Summation::Wide, path: Path::Fused, remedy: Remedy::None };
    for activation in [Activation::Identity, Activation::Sigmoid] {
        let id = format!("chain/{activation}/{format}/wide/{depth}x{width}");
        works.add(id, Kind::Pinned, depth * width * width, width, move || {
            let network = Draw::square(Init::Xavier, width, depth, activation, 1).network();
            let network = Rounded::of(&arith, &network);
            let (input, upstream) = (numbers::<K::Number>(width, 8), numbers::<K::Number>(width, 9));
            move |out: &mut [K::Number]| {
                let trace = forward(&arith, &network, setting.summation, 1, black_box(input.as_slice()));
                let last = |step: gradchain_chain::Step<'_, K::Number>| {
                    if step.passed == depth {
                        out.copy_from_slice(step.gradient);
                    }
                };
                let pass = backward(
                    &arith,
                    &network,
                    setting,
                    Some(&trace),
                    1,
                    black_box(upstream.as_slice()),
                    last,
                );
                pass.expect("no remedy, so none that is set wrongly");
            }
        });
    }
}

/// A step in a format that is emulated: integer arithmetic, one rounding after the other.
fn emulated(works: &mut Works, name: &str, arith: &Emulated) {
    let n = WIDTH / 8;
    let arith = arith.clone();
    works.add(format!("emulated/step/{name}/recursive/{n}"), Kind::Pinned, n * n, n, move || {
        let rounded = |seed, len| -> Vec<f64> {
            numbers::<f64>(len, seed).as_slice().iter().map(|&x| arith.round(x)).collect()
        };
        let (g, weights) = (rounded(1, n), rounded(2, n * n));
        let arith = arith.clone();
        let shape = Shape { rows: 1, inner: n, columns: n };
        move |out: &mut [f64]| {
            arith.times(Summation::Recursive, black_box(&g), black_box(&weights), out, shape)
        }
    });
}

/// Multiples of 2^-14 between -1/16 and 1/16, by SplitMix64 (Steele, Lea and Flood 2014): their products with each other are normal numbers of f16, and
/// sums of a few hundred stay small. A few thousand are drawn, and then they repeat, with a period that no width divides.
fn numbers<T: Real>(len: usize, seed: u64) -> Aligned<T> {
    const DRAWN: usize = 4093;
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let integer = (z ^ (z >> 31)) % 2047;
        T::round_from((integer as f64 - 1023.0) / 16384.0)
    };
    let drawn: Vec<T> = (0..DRAWN.min(len)).map(|_| draw()).collect();
    Aligned::new(len, drawn.iter().copied().cycle())
}

/// [`numbers`] between -8 and 8, where activations are neither linear nor saturated.
fn inputs<T: Real>(len: usize, seed: u64) -> Aligned<T> {
    let numbers = numbers::<T>(len, seed);
    Aligned::new(len, numbers.as_slice().iter().map(|x| T::round_from(128.0 * x.value())))
}

/// Numbers that begin at a cache line: where an allocation begins in it is luck, and every vector loaded across two lines costs twice.
struct Aligned<T> {
    storage: Vec<T>,
    start: usize,
}

impl<T: Copy + Default> Aligned<T> {
    fn new(len: usize, numbers: impl Iterator<Item = T>) -> Aligned<T> {
        const LINE: usize = 64;
        let mut storage: Vec<T> = Vec::with_capacity(len + LINE);
        let start = storage.as_ptr().align_offset(LINE);
        storage.resize(start, T::default());
        storage.extend(numbers.take(len));
        Aligned { storage, start }
    }

    fn zeros(len: usize) -> Aligned<T> {
        Aligned::new(len, std::iter::repeat(T::default()))
    }

    fn as_slice(&self) -> &[T] {
        &self.storage[self.start..]
    }

    fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.storage[self.start..]
    }
}
