//! `gradchain gate count`.

use crate::Verdict;
use anyhow::{Result, bail};

#[derive(Debug, clap::Args)]
pub(crate) struct CountArgs {}

pub(crate) fn count(_args: &CountArgs) -> Result<Verdict> {
    bail!("`gate count` is not built yet")
}
