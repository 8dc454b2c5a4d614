//! `gradchain gate bless`.

use crate::Verdict;
use anyhow::{Result, bail};

#[derive(Debug, clap::Args)]
pub(crate) struct BlessArgs {}

pub(crate) fn bless(_args: &BlessArgs) -> Result<Verdict> {
    bail!("`gate bless` is not built yet")
}
