//! `gradchain gate ratios`.

use crate::Verdict;
use anyhow::{Result, bail};

#[derive(Debug, clap::Args)]
pub(crate) struct RatiosArgs {}

pub(crate) fn ratios(_args: &RatiosArgs) -> Result<Verdict> {
    bail!("`gate ratios` is not built yet")
}
