//! From the names in a cell to the arithmetic that computes it.

use crate::cell::Cell;
use gradchain_arith::{Arithmetic, Emulated, Format, Isa, Native, Rounding, Rules, bf16, f16};
use gradchain_chain::ChainArithmetic;

/// Work that is written once for every arithmetic.
pub(super) trait WithArithmetic {
    /// What the work returns.
    type Output;

    /// The work: computed by `arith`, from inputs that `inputs` rounds into the format. Inputs are rounded to nearest whatever the
    /// direction of the arithmetic, so that studies of the direction start from the same numbers.
    fn run<K: ChainArithmetic>(&self, arith: &K, inputs: &K) -> Self::Output;
}

/// Runs `work` in the format and under the rules of `cell`, for draw `number`: natively where the machine has the format and the rules are
/// IEEE's defaults, emulated elsewhere.
pub(super) fn with_arithmetic<W: WithArithmetic>(cell: &Cell, isa: Isa, number: u64, work: &W) -> W::Output {
    let rules = cell.rules();
    if rules == Rules::default() {
        match cell.format {
            Format::F16 => return native(Native::<f16>::new(isa), work),
            Format::BF16 => return native(Native::<bf16>::new(isa), work),
            Format::F32 => return native(Native::<f32>::new(isa), work),
            Format::F64 => return native(Native::<f64>::new(isa), work),
            _ => {}
        }
    }
    let arith = Emulated::new(cell.format, rules, cell.seed).stream(number);
    let inputs = Emulated::new(cell.format, Rules { rounding: Rounding::Nearest, ..rules }, 0);
    work.run(&arith, &inputs)
}

fn native<K: ChainArithmetic, W: WithArithmetic>(arith: K, work: &W) -> W::Output {
    work.run(&arith, &arith)
}
