//! `gradchain gate serve`.

use crate::Verdict;
use anyhow::{Result, bail};

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {}

pub(crate) fn serve(_args: &ServeArgs) -> Result<Verdict> {
    bail!("`gate serve` is not built yet")
}
