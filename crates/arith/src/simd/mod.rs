//! SIMD tokens: one vector trait, an instance for each instruction set, and the choice between them at run time.
//!
//! A vector always has [`LANES`] numbers, whatever the registers of the machine hold, so that an algorithm written over [`Simd`] does the
//! same operations in the same order on every instruction set. Lanes are independent results: no arithmetic here mixes them, and
//! what moves numbers between lanes changes none.
//!
//! NaN is one value: its sign and payload are not specified, and hashes take every NaN for the same.

// The one place with `unsafe`: calls of instructions whose presence a token proves.
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "intrinsics; a token that only detection can make proves that the CPU has them"
)]
mod avx2;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "intrinsics; only detection makes the token")]
mod avx2_single;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "intrinsics; its functions can be called by the instance alone")]
mod avx2_steps;
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "intrinsics; a token that only detection can make proves that the CPU has them"
)]
mod avx512;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "intrinsics; only detection makes the token")]
mod avx512_single;
#[cfg(target_arch = "x86_64")]
mod avx512_steps;
pub(crate) mod portable;
mod single;

pub use single::Singles;

use half::{bf16, f16};
use std::fmt;

/// Numbers in a vector.
pub const LANES: usize = 16;

/// Operations on vectors of [`LANES`] numbers of f32 and f64. A value of the implementing type is the proof that the CPU has the
/// instructions.
///
/// Every operation is IEEE 754's on each lane, rounded to nearest, with gradual underflow.
pub trait Simd: Singles + Send + Sync + 'static {
    /// Name of the instruction set.
    const NAME: &'static str;
    /// How many vectors of f32 its registers hold.
    const REGISTERS: usize;
    /// [`LANES`] numbers of f64.
    type F64: Copy;
    /// A yes or no for each lane of [`F64`](Simd::F64).
    type Mask: Copy;

    /// Runs `work` compiled for the instruction set.
    fn vectorize<W: WithSimd>(self, work: W) -> W::Output;

    /// Runs a closure compiled for the instruction set, in a function of its own. Mark the closure `#[inline(always)]`.
    fn call<R>(self, work: impl FnOnce() -> R) -> R;

    /// All lanes `x`.
    fn splat_f32(self, x: f32) -> Self::F32;
    /// Lane i is `x[i]`.
    fn load_f32(self, x: &[f32; LANES]) -> Self::F32;
    /// `out[i]` is lane i.
    fn store_f32(self, x: Self::F32, out: &mut [f32; LANES]);
    /// `a + b`.
    fn add_f32(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a - b`.
    fn sub_f32(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a · b`.
    fn mul_f32(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a · b + c`, rounded once.
    fn mul_add_f32(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// `a · b + c` rounded to odd: toward zero, and where that is inexact the last bit is set. Rounded once more, to a precision of at most
    /// 22 bits, it gives the correctly rounded result (Boldo and Melquiond 2008, theorem 1).
    fn mul_add_odd(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// `corrected` where `sum` is finite, `sum` elsewhere.
    fn where_finite_f32(self, sum: Self::F32, corrected: Self::F32) -> Self::F32;

    /// All lanes `x`.
    fn splat_f64(self, x: f64) -> Self::F64;
    /// Lane i is `x[i]`.
    fn load_f64(self, x: &[f64; LANES]) -> Self::F64;
    /// `out[i]` is lane i.
    fn store_f64(self, x: Self::F64, out: &mut [f64; LANES]);
    /// `a + b`.
    fn add_f64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// `a - b`.
    fn sub_f64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// `a · b`.
    fn mul_f64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// `a · b + c`, rounded once.
    fn mul_add_f64(self, a: Self::F64, b: Self::F64, c: Self::F64) -> Self::F64;
    /// `corrected` where `sum` is finite, `sum` elsewhere.
    fn where_finite_f64(self, sum: Self::F64, corrected: Self::F64) -> Self::F64;

    /// `a / b`.
    fn div_f64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// `a` where `a > b`, else `b`: also where one is NaN or both are zeros.
    fn max_f64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// `a` where `a < b`, else `b`: also where one is NaN or both are zeros.
    fn min_f64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// `x` without its sign bit.
    fn abs_f64(self, x: Self::F64) -> Self::F64;
    /// `x` with its sign bit turned.
    fn neg_f64(self, x: Self::F64) -> Self::F64;
    /// `magnitude` with the sign bit of `sign`.
    fn copysign_f64(self, magnitude: Self::F64, sign: Self::F64) -> Self::F64;
    /// `a < b`; no where one is NaN.
    fn less_f64(self, a: Self::F64, b: Self::F64) -> Self::Mask;
    /// Whether `x` is NaN.
    fn is_nan_f64(self, x: Self::F64) -> Self::Mask;
    /// `yes` where the mask says so, else `no`.
    fn select_f64(self, mask: Self::Mask, yes: Self::F64, no: Self::F64) -> Self::F64;
    /// Whether the mask says yes anywhere.
    fn any(self, mask: Self::Mask) -> bool;
    /// 2^k for whole k from -1022 to 1023; for others the bits of `k + 1.5 · 2^52 + 1023`, shifted left by 52.
    fn power_of_two_f64(self, k: Self::F64) -> Self::F64;
    /// The bits of `x` shifted right by 50, no number: the exponent field and the first two bits of the significand, so that the
    /// last four bits tell sixteen neighbouring quarters of binades apart: an index for [`lookup_f64`](Simd::lookup_f64).
    fn binade_quarter_f64(self, x: Self::F64) -> Self::F64;
    /// The number of `table` at the last four bits of each lane of `index`.
    fn lookup_f64(self, table: &[f64; LANES], index: Self::F64) -> Self::F64;
    /// f64 to f32, rounded to odd: toward zero, and where that is inexact the last bit is set. Beyond the largest f32 this is the largest
    /// f32. Rounded once more, to a precision of at most 22 bits, it gives what one rounding would have given.
    fn narrow_odd(self, x: Self::F64) -> Self::F32;
    /// Whether `a < b` or `a > b` in any lane.
    fn any_differs_f32(self, a: Self::F32, b: Self::F32) -> bool;

    /// f32 to f64; exact.
    fn widen(self, x: Self::F32) -> Self::F64;
    /// f64 to f32, rounded to nearest.
    fn narrow(self, x: Self::F64) -> Self::F32;

    /// The nearest f16 number, held as f32.
    fn round_f16(self, x: Self::F32) -> Self::F32;
    /// The nearest bf16 number, held as f32.
    fn round_bf16(self, x: Self::F32) -> Self::F32;
    /// f16 to f32; exact.
    fn load_f16(self, x: &[f16; LANES]) -> Self::F32;
    /// f32 to f16, rounded to nearest.
    fn store_f16(self, x: Self::F32, out: &mut [f16; LANES]);
    /// bf16 to f32; exact.
    fn load_bf16(self, x: &[bf16; LANES]) -> Self::F32;
    /// f32 to bf16, rounded to nearest.
    fn store_bf16(self, x: Self::F32, out: &mut [bf16; LANES]);

    /// bf16 to f32, exact: lane i of the first vector is `x[2 i]`, that of the second `x[2 i + 1]`.
    fn load_even_odd_bf16(self, x: &[bf16; 2 * LANES]) -> [Self::F32; 2];
    /// f32 to bf16, rounded to nearest, in the order of [`load_even_odd_bf16`](Simd::load_even_odd_bf16).
    fn store_even_odd_bf16(self, x: [Self::F32; 2], out: &mut [bf16; 2 * LANES]);

    /// Turns a square of numbers: lane j of `rows[i]` becomes lane i of `rows[j]`.
    fn transpose_f32(self, rows: &mut [Self::F32; LANES]);
    /// Turns a square of numbers: lane j of `rows[i]` becomes lane i of `rows[j]`.
    fn transpose_f64(self, rows: &mut [Self::F64; LANES]);
    /// Lane i is the sum of the lanes of `vectors[i]`, halved: lane j takes lane j + 8, then lane j + 4, then j + 2, then j + 1.
    fn sum_lanes_f32(self, vectors: &[Self::F32; LANES]) -> Self::F32;
    /// Lane i is the sum of the lanes of `vectors[i]`, in the order of [`sum_lanes_f32`](Simd::sum_lanes_f32).
    fn sum_lanes_f64(self, vectors: &[Self::F64; LANES]) -> Self::F64;

    /// Lane i holds the bits of `first[i]` in its lower half and those of `second[i]` in its upper half: a pair of factors for
    /// [`dot_bf16`](Simd::dot_bf16), no number of f32.
    fn pair_bf16(self, first: &[bf16; LANES], second: &[bf16; LANES]) -> Self::F32;
    /// [`pair_bf16`](Simd::pair_bf16) of twice as many numbers, the lanes in an order of the instruction set's own.
    fn pair_two_bf16(self, first: &[bf16; 2 * LANES], second: &[bf16; 2 * LANES]) -> [Self::F32; 2];
    /// f32 to bf16, rounded to nearest, the lanes in the order of [`pair_two_bf16`](Simd::pair_two_bf16).
    fn store_two_bf16(self, x: [Self::F32; 2], out: &mut [bf16; 2 * LANES]);
    /// [`pair_bf16`](Simd::pair_bf16) of neighbours: lane i holds `x[2 i]` and `x[2 i + 1]`.
    fn load_bf16_pairs(self, x: &[bf16; 2 * LANES]) -> Self::F32;
    /// `sum + a · b` over the two bf16 numbers of each pair, as the instruction VDPBF16PS does it: the product of the second (upper) numbers
    /// is added first, then that of the first ones, each addition with its product rounded once to f32; subnormal operands, sums and
    /// results are taken for zeros of their sign.
    fn dot_bf16(self, a: Self::F32, b: Self::F32, sum: Self::F32) -> Self::F32;
}

/// [`Simd::dot_bf16`] where the CPU has no instruction for it, from the parts of the pairs. `zero_below(x, y, limit)` is x, and zeros of its
/// sign where `|y| < limit`.
///
/// Whether a result is subnormal is decided as x86 does it, after rounding to 24 bits with an exponent that has no limit: the same sum,
/// scaled by 2^64, shows that. Where the scaling overflows, the result is zero or far above 2^-126.
#[inline(always)]
fn dot_bf16_in_steps<S: Simd>(
    simd: S,
    [a_first, a_second]: [S::F32; 2],
    [b_first, b_second]: [S::F32; 2],
    sum: S::F32,
    zero_below: impl Fn(S::F32, S::F32, f32) -> S::F32,
) -> S::F32 {
    let flush = |x| zero_below(x, x, f32::MIN_POSITIVE);
    let scale = simd.splat_f32(18_446_744_073_709_551_616.0);
    let step = |a, b, sum| {
        let (a, b) = (flush(a), flush(b));
        let scaled = simd.mul_add_f32(simd.mul_f32(a, scale), b, simd.mul_f32(sum, scale));
        zero_below(simd.mul_add_f32(a, b, sum), scaled, f32::MIN_POSITIVE * 18_446_744_073_709_551_616.0)
    };
    step(a_first, b_first, step(a_second, b_second, flush(sum)))
}

/// Work that is written once over [`Simd`]. Implement `run` with `#[inline(always)]`, and so every function that it calls with the token:
/// what is not inlined is compiled without the instruction set.
pub trait WithSimd {
    /// What the work returns.
    type Output;

    /// The work.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// An instruction set that this CPU has. Only detection makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Token);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Portable(portable::Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512<false>),
}

/// Names of all instruction sets, the plainest first.
pub const ISA_NAMES: [&str; 3] = ["portable", "avx2", "avx512"];

/// The environment variable that forces one instruction set.
pub const ISA_VARIABLE: &str = "GRADCHAIN_ISA";

impl Isa {
    /// The instance without special instructions: present everywhere.
    pub const PORTABLE: Isa = Isa(Token::Portable(portable::Portable));

    /// All instruction sets that this CPU has, the plainest first.
    pub fn available() -> Vec<Isa> {
        #[cfg_attr(
            not(target_arch = "x86_64"),
            expect(unused_mut, reason = "other machines have the one instance so far")
        )]
        let mut found = vec![Isa::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            found.extend(avx2::Avx2::detect().map(|token| Isa(Token::Avx2(token))));
            found.extend(avx512::Avx512::<false>::detect().map(|token| Isa(Token::Avx512(token))));
        }
        found
    }

    /// The instruction set of this name.
    ///
    /// # Errors
    /// If there is none of this name, or the CPU does not have it.
    pub fn named(name: &str) -> Result<Isa, IsaError> {
        let available = Isa::available();
        available.iter().copied().find(|isa| isa.name() == name).ok_or_else(|| IsaError {
            name: name.to_owned(),
            available: available.into_iter().map(Isa::name).collect(),
        })
    }

    /// The best one that the CPU has, or the one that the variable [`ISA_VARIABLE`] names.
    ///
    /// # Errors
    /// If the variable names one that does not exist or that the CPU does not have.
    pub fn choose() -> Result<Isa, IsaError> {
        match std::env::var_os(ISA_VARIABLE) {
            Some(name) => Isa::named(&name.to_string_lossy()),
            None => Ok(Isa::available().pop().unwrap_or(Isa::PORTABLE)),
        }
    }

    /// The name, one of [`ISA_NAMES`].
    pub fn name(self) -> &'static str {
        match self.0 {
            Token::Portable(_) => portable::Portable::NAME,
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => avx2::Avx2::NAME,
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(_) => avx512::Avx512::<false>::NAME,
        }
    }

    /// Whether the CPU has an instruction for [`Simd::dot_bf16`] that [`run_bf16_dot`](Isa::run_bf16_dot) takes.
    pub fn has_bf16_dot(self) -> bool {
        match self.0 {
            Token::Portable(_) => false,
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => false,
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(token) => token.with_bf16_dot().is_some(),
        }
    }

    /// [`run`](Isa::run) for work that lives from [`Simd::dot_bf16`]: with the instruction where the CPU has it, which changes no bit.
    pub fn run_bf16_dot<W: WithSimd>(self, work: W) -> W::Output {
        match self.0 {
            Token::Portable(token) => token.vectorize(work),
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(token) => token.vectorize(work),
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(token) => match token.with_bf16_dot() {
                Some(token) => token.vectorize(work),
                None => token.vectorize(work),
            },
        }
    }

    /// Runs `work` with this instruction set. Call it outside loops.
    pub fn run<W: WithSimd>(self, work: W) -> W::Output {
        match self.0 {
            Token::Portable(token) => token.vectorize(work),
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(token) => token.vectorize(work),
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(token) => token.vectorize(work),
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name of an instruction set that cannot be used here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsaError {
    name: String,
    available: Vec<&'static str>,
}

impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IsaError { name, available } = self;
        let reason = if ISA_NAMES.contains(&name.as_str()) { "this CPU lacks it" } else { "it is unknown" };
        write!(
            f,
            "instruction set `{name}` ({ISA_VARIABLE}): {reason}; available here: {}",
            available.join(", ")
        )
    }
}

impl std::error::Error for IsaError {}
