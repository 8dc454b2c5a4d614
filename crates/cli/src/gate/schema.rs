//! `gradchain gate schema`.

use crate::Verdict;
use anyhow::Result;
use std::io::{self, Write};

pub(crate) fn schema() -> Result<Verdict> {
    io::stdout().write_all(gradchain_gate::SCHEMA.as_bytes())?;
    Ok(Verdict::Passed)
}
