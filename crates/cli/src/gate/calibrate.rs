//! `gradchain gate calibrate`.

use crate::Verdict;
use anyhow::{Result, bail};

#[derive(Debug, clap::Args)]
pub(crate) struct CalibrateArgs {}

pub(crate) fn calibrate(_args: &CalibrateArgs) -> Result<Verdict> {
    bail!("`gate calibrate` is not built yet")
}
