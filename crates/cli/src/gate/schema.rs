//! `gradchain gate schema`.

use crate::Verdict;
use anyhow::{Result, bail};

pub(crate) fn schema() -> Result<Verdict> {
    bail!("`gate schema` is not built yet")
}
