//! `gradchain gate drift`.

use crate::Verdict;
use anyhow::{Result, bail};

#[derive(Debug, clap::Args)]
pub(crate) struct DriftArgs {}

pub(crate) fn drift(_args: &DriftArgs) -> Result<Verdict> {
    bail!("`gate drift` is not built yet")
}
