//! Activations as contests: values, derivatives and gradients of a vector, beside a copy of the same bytes and the loops (`loops.rs`) that
//! users write.

use crate::ceilings;
use crate::contest::{Contest, Entrant, Limit, Role, Unit};
use crate::data::{Aligned, numbers};
use crate::loops::{Element, Loop, competing};
use crate::works::FORMATS;
use gradchain_activations::{Activation, Path, apply, backpropagate_slice, derivative_slice};
use gradchain_arith::{Isa, Native, Real, bf16, f16};
use std::hint::black_box;
use std::sync::Arc;

/// Numbers in a vector: two vectors lie in the second cache in every format, and in no first one.
pub const ELEMENTS: usize = 1 << 14;
/// The functions that networks use most, which have criterion benches.
pub const MAIN_ACTIVATIONS: [Activation; 6] = [
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Relu,
    Activation::Gelu,
    Activation::Silu,
    Activation::Softplus,
];
/// What is computed.
pub const WHATS: [What; 3] = [What::Value, What::Derivative, What::Gradient];

/// The inputs are normal draws times this: some lie where the functions are flat.
const SPREAD: f64 = 3.0;

/// What is computed of an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// `f(x)`: reads x, writes the value.
    Value,
    /// `f'(x)`: reads x, writes the derivative.
    Derivative,
    /// `g · f'(x)`: reads g and x, writes over g.
    Gradient,
}

impl What {
    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            What::Value => "value",
            What::Derivative => "derivative",
            What::Gradient => "gradient",
        }
    }
}

/// The contest for `what` of an activation in the format of this name; everybody has been checked.
///
/// # Panics
/// If there is no such format, or a result is wrong.
pub fn contest(isa: Isa, activation: Activation, what: What, format: &str) -> Contest {
    match format {
        "f16" => contest_of::<f16>(isa, activation, what),
        "bf16" => contest_of::<bf16>(isa, activation, what),
        "f32" => contest_of::<f32>(isa, activation, what),
        "f64" => contest_of::<f64>(isa, activation, what),
        other => panic!("unknown format `{other}`; known: {}", FORMATS.join(", ")),
    }
}

/// What everybody reads.
struct Operands<T> {
    activation: Activation,
    what: What,
    x: Aligned<T>,
    /// The values at x, which our functions are given; on the fused path they do not look at them.
    y: Aligned<T>,
    gradient: Aligned<T>,
    /// What is to come out, by the loop over `libm` in f64.
    expected: Vec<f64>,
}

fn contest_of<T: Element>(isa: Isa, activation: Activation, what: What) -> Contest {
    let operands = Arc::new(operands::<T>(isa, activation, what));
    let ours = move |operands: &Operands<T>, out: &mut [T]| {
        let (arith, x, y) = (Native::<T>::new(isa), operands.x.as_slice(), operands.y.as_slice());
        match what {
            What::Value => apply(&arith, activation, x, out),
            What::Derivative => derivative_slice(&arith, activation, Path::Fused, x, y, out),
            What::Gradient => backpropagate_slice(&arith, activation, Path::Fused, out, x, y),
        }
    };
    let mut entrants = copies(isa, &operands);
    entrants.push(entrant(Role::Ours, "ours", &operands, ours));
    for ((name, by_loop), competes) in T::LOOPS.into_iter().zip(competing(activation, what)) {
        if competes {
            let peer = move |operands: &Operands<T>, out: &mut [T]| {
                by_loop(activation, what, operands.x.as_slice(), out);
            };
            entrants.push(entrant(Role::Peer, name, &operands, peer));
        }
    }
    let id = format!("activation_{activation}_{}_{}", what.name(), T::NAME);
    Contest { id, unit: Unit::Elements, amount: ELEMENTS as u64, entrants }
}

fn operands<T: Element>(isa: Isa, activation: Activation, what: What) -> Operands<T> {
    let x = numbers::<T>(ELEMENTS, 1, SPREAD);
    let gradient = numbers::<T>(ELEMENTS, 2, 1.0);
    let mut y = Aligned::zeros(ELEMENTS);
    apply(&Native::<T>::new(isa), activation, x.as_slice(), y.as_mut_slice());
    let exact = |numbers: &Aligned<T>| numbers.as_slice().iter().map(|x| x.value()).collect::<Vec<f64>>();
    let mut expected = exact(&gradient);
    let [_, (_, libm)]: [(&str, Loop<f64>); 2] = f64::LOOPS;
    libm(activation, what, &exact(&x), &mut expected);
    Operands { activation, what, x, y, gradient, expected }
}

/// A function that reads the operands and writes `out`, as an entrant, once its result has been checked.
///
/// A gradient is multiplied in place, and again at every call, so that soon it would be subnormal, and slow for that: it is timed on a
/// gradient of zeros, which stays what it is. Nobody here has a branch that looks at it.
fn entrant<T: Element>(
    role: Role,
    name: &str,
    operands: &Arc<Operands<T>>,
    function: impl Fn(&Operands<T>, &mut [T]) + Send + 'static,
) -> Entrant {
    let operands = Arc::clone(operands);
    let mut out = Aligned::zeros(ELEMENTS);
    out.as_mut_slice().copy_from_slice(operands.gradient.as_slice());
    function(&operands, out.as_mut_slice());
    check(name, &operands, out.as_slice());
    out.as_mut_slice().fill(T::default());
    let call = move || function(black_box(&operands), black_box(out.as_mut_slice()));
    Entrant { role, name: name.to_owned(), call: Box::new(call) }
}

/// Demands that results are those of the function, up to some roundings of numbers as large as the upstream gradient, 1 and x: the formulas
/// of the loops cancel, and how accurate ours are is tested where they are.
fn check<T: Real>(name: &str, operands: &Operands<T>, out: &[T]) {
    let Operands { activation, what, x, gradient, expected, .. } = operands;
    let inputs = x.as_slice().iter().zip(gradient.as_slice());
    for ((out, expected), (x, g)) in out.iter().zip(expected).zip(inputs) {
        let factor = if *what == What::Gradient { g.value().abs() } else { 1.0 };
        let tolerance = 8.0 * T::FORMAT.unit_roundoff() * factor * (1.0 + x.value().abs());
        assert!(
            (out.value() - expected).abs() <= tolerance + T::FORMAT.min_subnormal(),
            "{activation}, {} in {}: {name} at {x:?}, {g:?}: {out:?}, expected {expected:e}",
            what.name(),
            T::NAME
        );
    }
}

/// Copies of the same bytes: by the system's function and by vectors, which reads and writes as much, and for gradients a loop that reads
/// both vectors and writes one of them.
fn copies<T: Element>(isa: Isa, operands: &Arc<Operands<T>>) -> Vec<Entrant> {
    let copy = |name: &str, function: fn(Isa, &[T], &mut [T])| {
        let operands = Arc::clone(operands);
        let mut out = Aligned::zeros(ELEMENTS);
        let call = move || function(isa, black_box(operands.x.as_slice()), black_box(out.as_mut_slice()));
        let role = Role::Ceiling(Limit::Copy);
        Entrant { role, name: format!("ceiling: {name}"), call: Box::new(call) }
    };
    match operands.what {
        What::Value | What::Derivative => vec![
            copy("copy_from_slice", |_, x, out| out.copy_from_slice(x)),
            copy("copy by vectors", |isa, x, out| {
                ceilings::copy(isa, bytemuck::cast_slice(x), bytemuck::cast_slice_mut(out));
            }),
        ],
        What::Gradient => vec![copy("exclusive or", |isa, x, out| {
            ceilings::exclusive_or(isa, bytemuck::cast_slice(x), bytemuck::cast_slice_mut(out));
        })],
    }
}
