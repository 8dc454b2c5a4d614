//! Norms and clippings of a long gradient as contests: beside reading and copying the same bytes, plain loops, and ndarray.

use crate::ceilings;
use crate::contest::{Contest, Entrant, Limit, Role, Unit};
use crate::data::{Aligned, numbers};
use crate::works::FORMATS;
use gradchain_arith::{Isa, Native, bf16, f16};
use gradchain_gradients::layers::{Affine, NormLayer, backward, forward, statistics};
use gradchain_gradients::{
    Measured, NonFinite, Order, clip_by_norm, clip_by_value, norm, normalise, normalise_rms, scale,
};
use ndarray::ArrayView1;
use std::hint::black_box;
use std::sync::Arc;

/// Numbers of the gradient: larger than every cache but that of f16 and bf16 on large machines.
pub const NUMBERS: usize = 10_000_000;
/// What is done.
pub const REMEDIES: [Remedied; 9] = [
    Remedied::Norm { tensors: 1 },
    Remedied::Norm { tensors: 100 },
    Remedied::ClipKept,
    Remedied::ClipScaled,
    Remedied::ClipValue,
    Remedied::Scale,
    Remedied::Normalise,
    Remedied::LayerForward,
    Remedied::LayerBackward,
];
/// Numbers of a row of the layers.
const WIDTH: usize = 1000;
/// The ε of the layers.
const EPSILON: f64 = 1e-5;

/// What is done with the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedied {
    /// The two norm, of one tensor or of as many.
    Norm {
        /// Parts of the gradient.
        tensors: usize,
    },
    /// Clipping by a norm that is not exceeded: the norm, and nothing written.
    ClipKept,
    /// Clipping by a norm that is: the norm, and every number multiplied.
    ClipScaled,
    /// Clipping by value, with some numbers outside in every block.
    ClipValue,
    /// Multiplication with a power of two.
    Scale,
    /// Division by the largest magnitude and by the root mean square in turn.
    Normalise,
    /// LayerNorm of rows: statistics, and x̂.
    LayerForward,
    /// LayerNorm of rows: statistics, and dL/dx.
    LayerBackward,
}

impl Remedied {
    /// The name.
    pub fn name(self) -> String {
        match self {
            Remedied::Norm { tensors } => format!("norm{tensors}"),
            Remedied::ClipKept => "clip-kept".to_owned(),
            Remedied::ClipScaled => "clip-scaled".to_owned(),
            Remedied::ClipValue => "clip-value".to_owned(),
            Remedied::Scale => "scale".to_owned(),
            Remedied::Normalise => "normalise".to_owned(),
            Remedied::LayerForward => "layer-forward".to_owned(),
            Remedied::LayerBackward => "layer-backward".to_owned(),
        }
    }
}

/// The contest for `what` in the format of this name; everybody has been checked.
///
/// # Panics
/// If there is no such format, or a result is wrong.
pub fn contest(isa: Isa, what: Remedied, format: &str) -> Contest {
    match format {
        "f16" => contest_of::<f16>(isa, what),
        "bf16" => contest_of::<bf16>(isa, what),
        "f32" => contest_of::<f32>(isa, what),
        "f64" => contest_of::<f64>(isa, what),
        other => panic!("unknown format `{other}`; known: {}", FORMATS.join(", ")),
    }
}

/// A format with the loops that its users write.
trait Looped: Measured + bytemuck::Pod {
    /// The name of the loop.
    const LOOP: &'static str;
    /// The two norm, in the format that is computed in.
    fn norm(numbers: &[Self]) -> f64;
    /// Every number times the factor.
    fn scale(numbers: &mut [Self], factor: f64);
    /// Every number limited to a magnitude.
    fn clamp(numbers: &mut [Self], limit: f64);
    /// x̂ of LayerNorm, of one row.
    fn layer_forward(x: &[Self], out: &mut [Self]);
    /// dL/dx of LayerNorm, of one row.
    fn layer_backward(x: &[Self], gradient: &[Self], out: &mut [Self]);
    /// The two norm by ndarray's dot product, where that is not slower than the loop by orders of magnitude.
    fn dot(_numbers: &[Self]) -> Option<f64> {
        None
    }
}

/// The loops over the rows of LayerNorm, in the format that is computed in.
macro_rules! layer_loops {
    ($computed:ident, $to:expr, $from:expr) => {
        fn layer_forward(x: &[Self], out: &mut [Self]) {
            let n = x.len() as $computed;
            let mean = x.iter().map($to).sum::<$computed>() / n;
            let squares: $computed = x.iter().map(|x| ($to(x) - mean) * ($to(x) - mean)).sum();
            let factor = 1.0 / (squares / n + EPSILON as $computed).sqrt();
            out.iter_mut().zip(x).for_each(|(out, x)| *out = $from(($to(x) - mean) * factor));
        }

        fn layer_backward(x: &[Self], gradient: &[Self], out: &mut [Self]) {
            let n = x.len() as $computed;
            let mean = x.iter().map($to).sum::<$computed>() / n;
            let squares: $computed = x.iter().map(|x| ($to(x) - mean) * ($to(x) - mean)).sum();
            let factor = 1.0 / (squares / n + EPSILON as $computed).sqrt();
            let shift = gradient.iter().map($to).sum::<$computed>() / n;
            let terms = x.iter().zip(gradient).map(|(x, g)| ($to(x) - mean) * factor * $to(g));
            let slope = terms.sum::<$computed>() / n;
            for ((out, x), g) in out.iter_mut().zip(x).zip(gradient) {
                *out = $from(factor * ($to(g) - shift - ($to(x) - mean) * factor * slope));
            }
        }
    };
}

macro_rules! half_loops {
    ($($format:ident),*) => {$(
        impl Looped for $format {
            const LOOP: &'static str = "loop over half, f32";

            fn norm(numbers: &[$format]) -> f64 {
                f64::from(numbers.iter().map(|x| x.to_f32() * x.to_f32()).sum::<f32>().sqrt())
            }

            fn scale(numbers: &mut [$format], factor: f64) {
                numbers.iter_mut().for_each(|x| *x = $format::from_f32(x.to_f32() * factor as f32));
            }

            fn clamp(numbers: &mut [$format], limit: f64) {
                let limit = limit as f32;
                numbers.iter_mut().for_each(|x| *x = $format::from_f32(x.to_f32().clamp(-limit, limit)));
            }

            layer_loops!(f32, |x: &$format| x.to_f32(), $format::from_f32);
        }
    )*};
}

macro_rules! float_loops {
    ($($format:ident),*) => {$(
        impl Looped for $format {
            const LOOP: &'static str = "loop";

            fn norm(numbers: &[$format]) -> f64 {
                f64::from(numbers.iter().map(|x| x * x).sum::<$format>().sqrt())
            }

            fn scale(numbers: &mut [$format], factor: f64) {
                numbers.iter_mut().for_each(|x| *x *= factor as $format);
            }

            fn clamp(numbers: &mut [$format], limit: f64) {
                let limit = limit as $format;
                numbers.iter_mut().for_each(|x| *x = x.clamp(-limit, limit));
            }

            layer_loops!($format, |x: &$format| *x, $format::from);

            fn dot(numbers: &[$format]) -> Option<f64> {
                let view = ArrayView1::from(numbers);
                Some(f64::from(view.dot(&view).sqrt()))
            }
        }
    )*};
}

half_loops!(f16, bf16);
float_loops!(f32, f64);

/// A gradient like that of a trained network: its norm is 31.6.
const SPREAD: f64 = 0.01;

fn contest_of<T: Looped>(isa: Isa, what: Remedied) -> Contest {
    let gradient = Arc::new(numbers::<T>(NUMBERS, 1, SPREAD));
    let bytes = size_of_val(gradient.as_slice()) as u64;
    let id = format!("remedies_{}_{}", what.name(), T::NAME);
    let entrants = match what {
        Remedied::Norm { tensors } => norms(isa, &gradient, tensors),
        Remedied::ClipKept => clips(isa, &gradient, 2.0),
        Remedied::ClipScaled => clips(isa, &gradient, 0.9999),
        Remedied::ClipValue | Remedied::Scale | Remedied::Normalise => changes(isa, &gradient, what),
        Remedied::LayerForward | Remedied::LayerBackward => layers(isa, &gradient, what),
    };
    Contest { id, unit: Unit::Bytes, amount: bytes, entrants }
}

/// A way to the norm.
type BoxedNorm<T> = Box<dyn Fn(&[T]) -> f64 + Send>;

fn norms<T: Looped>(isa: Isa, gradient: &Arc<Aligned<T>>, tensors: usize) -> Vec<Entrant> {
    let mut entrants = reads(isa, gradient);
    let exact = norm(&Native::<T>::new(isa), Order::Two, &[gradient.as_slice()]).to_f64();
    let mut enter = |role, name: &str, tolerance: f64, function: BoxedNorm<T>| {
        let gradient = Arc::clone(gradient);
        let got = function(gradient.as_slice());
        assert!((got / exact - 1.0).abs() <= tolerance, "{} norm by {name}: {got}, exactly {exact}", T::NAME);
        let call = move || {
            black_box(function(black_box(gradient.as_slice())));
        };
        entrants.push(Entrant { role, name: name.to_owned(), call: Box::new(call) });
    };
    let ours = move |numbers: &[T]| {
        let parts: Vec<&[T]> = numbers.chunks(numbers.len().div_ceil(tensors)).collect();
        norm(&Native::<T>::new(isa), Order::Two, &parts).to_f64()
    };
    enter(Role::Ours, "ours", 0.0, Box::new(ours));
    // A sum of ten million squares in f32 is that wrong.
    enter(Role::Peer, T::LOOP, 0.1, Box::new(|numbers| T::norm(numbers)));
    if T::dot(gradient.as_slice()).is_some() {
        enter(Role::Peer, "ndarray", 0.1, Box::new(|numbers| T::dot(numbers).unwrap_or(f64::NAN)));
    }
    entrants
}

/// Clipping to `part` of the norm that the gradient has at the moment: were the limit fixed, only the first call would find something to do.
fn clips<T: Looped>(isa: Isa, gradient: &Arc<Aligned<T>>, part: f64) -> Vec<Entrant> {
    let mut entrants = if part < 1.0 { copies(isa, gradient) } else { reads(isa, gradient) };
    let own = || {
        let mut own = Aligned::zeros(NUMBERS);
        own.as_mut_slice().copy_from_slice(gradient.as_slice());
        own
    };
    let exact = norm(&Native::<T>::new(isa), Order::Two, &[gradient.as_slice()]).to_f64();
    let mut numbers = own();
    let mut limit = part * exact;
    let call = move || {
        let clipping = clip_by_norm(
            &Native::<T>::new(isa),
            Order::Two,
            limit,
            NonFinite::Propagate,
            &mut [black_box(numbers.as_mut_slice())],
        );
        let norm = clipping.expect("the limit is positive").norm.to_f64();
        limit = part * if part < 1.0 { norm.min(limit) } else { norm };
    };
    entrants.push(Entrant { role: Role::Ours, name: "ours".to_owned(), call: Box::new(call) });
    let mut numbers = own();
    let mut limit = part * exact;
    let call = move || {
        let norm = T::norm(black_box(numbers.as_slice()));
        if norm > limit {
            T::scale(black_box(numbers.as_mut_slice()), limit / norm);
        }
        limit = part * if part < 1.0 { norm.min(limit) } else { norm };
    };
    entrants.push(Entrant { role: Role::Peer, name: T::LOOP.to_owned(), call: Box::new(call) });
    entrants
}

/// What changes the numbers in place, call after call.
fn changes<T: Looped>(isa: Isa, gradient: &Arc<Aligned<T>>, what: Remedied) -> Vec<Entrant> {
    let mut entrants = copies(isa, gradient);
    let arith = Native::<T>::new(isa);
    for role in [Role::Ours, Role::Peer] {
        let mut numbers = Aligned::zeros(NUMBERS);
        numbers.as_mut_slice().copy_from_slice(gradient.as_slice());
        let mut calls = 0;
        let call = move || {
            let numbers = black_box(numbers.as_mut_slice());
            calls += 1;
            // A little less each time, so that there is something to clip.
            let limit = 2.0 * SPREAD * libm::exp2(-f64::from(calls) / 1024.0);
            let power = if calls % 2 == 0 { 2.0 } else { 0.5 };
            match (role, what) {
                (Role::Ours, Remedied::ClipValue) => {
                    black_box(clip_by_value(&arith, limit, numbers).expect("the limit is positive"));
                }
                (Role::Ours, Remedied::Scale) => scale(&arith, power, numbers).expect("a power of two"),
                (Role::Ours, _) if calls % 2 == 0 => {
                    let clipping = normalise(&arith, Order::Infinity, NonFinite::Error, &mut [numbers]);
                    black_box(clipping.expect("numbers are finite"));
                }
                (Role::Ours, _) => {
                    let clipping = normalise_rms(&arith, NonFinite::Error, &mut [numbers]);
                    black_box(clipping.expect("numbers are finite"));
                }
                (_, Remedied::ClipValue) => T::clamp(numbers, limit),
                (_, Remedied::Scale) => T::scale(numbers, power),
                (_, _) => {
                    // Either way a sum or a maximum, and a product.
                    let root = T::norm(numbers) / (NUMBERS as f64).sqrt();
                    T::scale(numbers, power / root);
                }
            }
        };
        let name = if role == Role::Ours { "ours" } else { T::LOOP };
        entrants.push(Entrant { role, name: name.to_owned(), call: Box::new(call) });
    }
    entrants
}

/// LayerNorm over rows.
fn layers<T: Looped>(isa: Isa, gradient: &Arc<Aligned<T>>, what: Remedied) -> Vec<Entrant> {
    let mut entrants = copies(isa, gradient);
    let arith = Native::<T>::new(isa);
    let fits = "the gradient is whole rows";
    let x = Arc::new(numbers::<T>(NUMBERS, 2, 1.0));
    for role in [Role::Ours, Role::Peer] {
        let (x, gradient) = (Arc::clone(&x), Arc::clone(gradient));
        let mut out = Aligned::zeros(NUMBERS);
        let call = move || {
            let gradient = black_box(gradient.as_slice());
            let (x, out) = (black_box(x.as_slice()), black_box(out.as_mut_slice()));
            match (role, what) {
                (Role::Ours, _) => {
                    let statistics = statistics(&arith, NormLayer::LayerNorm, EPSILON, WIDTH, x).expect(fits);
                    if what == Remedied::LayerForward {
                        forward(&arith, &statistics, x, Affine::NONE, out).expect(fits);
                    } else {
                        backward(&arith, &statistics, x, None, gradient, out).expect(fits);
                    }
                }
                (_, Remedied::LayerForward) => {
                    let rows = x.chunks(WIDTH).zip(out.chunks_mut(WIDTH));
                    rows.for_each(|(x, out)| T::layer_forward(x, out));
                }
                (_, _) => {
                    let rows = x.chunks(WIDTH).zip(gradient.chunks(WIDTH)).zip(out.chunks_mut(WIDTH));
                    rows.for_each(|((x, gradient), out)| T::layer_backward(x, gradient, out));
                }
            }
        };
        let name = if role == Role::Ours { "ours" } else { T::LOOP };
        entrants.push(Entrant { role, name: name.to_owned(), call: Box::new(call) });
    }
    entrants
}

/// Reading the same bytes.
fn reads<T: Looped>(isa: Isa, gradient: &Arc<Aligned<T>>) -> Vec<Entrant> {
    [1, 4]
        .into_iter()
        .map(|streams| {
            let gradient = Arc::clone(gradient);
            let call = move || {
                black_box(ceilings::read(isa, bytemuck::cast_slice(black_box(gradient.as_slice())), streams));
            };
            Entrant {
                role: Role::Ceiling(Limit::Read),
                name: format!("ceiling: read, streams {streams}"),
                call: Box::new(call),
            }
        })
        .collect()
}

/// Copying the same bytes.
fn copies<T: Looped>(isa: Isa, gradient: &Arc<Aligned<T>>) -> Vec<Entrant> {
    let copy = |name: &str, function: fn(Isa, &[T], &mut [T])| {
        let gradient = Arc::clone(gradient);
        let mut out = Aligned::zeros(NUMBERS);
        let call = move || function(isa, black_box(gradient.as_slice()), black_box(out.as_mut_slice()));
        let role = Role::Ceiling(Limit::Copy);
        Entrant { role, name: format!("ceiling: {name}"), call: Box::new(call) }
    };
    vec![
        copy("copy_from_slice", |_, from, to| to.copy_from_slice(from)),
        copy("copy by vectors", |isa, from, to| {
            ceilings::copy(isa, bytemuck::cast_slice(from), bytemuck::cast_slice_mut(to));
        }),
    ]
}
