//! `gradchain gate time`.

use crate::Verdict;
use anyhow::{Result, bail};

#[derive(Debug, clap::Args)]
pub(crate) struct TimeArgs {}

pub(crate) fn time(_args: &TimeArgs) -> Result<Verdict> {
    bail!("`gate time` is not built yet")
}
