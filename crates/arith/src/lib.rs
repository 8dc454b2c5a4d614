//! Numbers: formats, correct rounding, summation, and the SIMD tokens.
//!
//! The invariant of this crate: **a result is a function of the format, the rules and the operands alone**. The instruction set may change
//! how long it takes, never a bit of it. It is the only crate of the workspace with `unsafe`, all of it in the instances of [`Simd`].
//!
//! - [`Format`]: precision, exponent range, specials. [`Rules`]: rounding direction, subnormals, overflow. [`round_f64`] joins them.
//! - [`Arithmetic`]: scalar operations rounded once; [`Native`] for the stored formats, [`Emulated`] for all formats and rules.
//! - [`Summation`]: how products are added, with its error bound; [`dot()`] defines each, [`Accumulator`] vectorises each.
//! - [`Isa`], [`Simd`], [`WithSimd`]: instruction sets, chosen once at run time.

mod accumulate;
mod arithmetic;
mod class;
mod computed;
mod dot;
mod exact;
mod format;
mod random;
mod real;
mod rounding;
mod simd;
mod summation;

pub use accumulate::{
    Accumulator, Bf16Dot, Compensated, Fused, Interleaved, Pairwise, Recursive, WideDoubleDouble, WideFused,
};
pub use arithmetic::{Arithmetic, Emulated, Native};
pub use class::{Class, Counts};
pub use computed::Computed;
pub use dot::dot;
pub use exact::Exact;
pub use format::{Format, FormatError, Specials};
pub use half::{bf16, f16};
pub use random::philox;
pub use real::Real;
pub use rounding::{Overflow, Rounding, Rules, Subnormals, round, round_f64};
pub use simd::{ISA_NAMES, ISA_VARIABLE, Isa, IsaError, LANES, Simd, Singles, WithSimd};
pub use summation::{INTERLEAVED, Summation, computed_format, gamma, wide_format, wide_unit};
