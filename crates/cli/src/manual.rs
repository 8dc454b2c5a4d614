//! `gradchain completions` and `gradchain man`: made from the command line itself.

use crate::Verdict;
use crate::args::{Args, CompletionsArgs, ManArgs};
use anyhow::{Context, Result};
use clap::CommandFactory;
use std::fs;
use std::io::{self, Write};

pub(crate) fn completions(args: &CompletionsArgs) -> Result<Verdict> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "gradchain", &mut text);
    io::stdout().write_all(&text)?;
    Ok(Verdict::Passed)
}

pub(crate) fn man(args: &ManArgs) -> Result<Verdict> {
    match &args.out {
        Some(directory) => {
            let place = || directory.display().to_string();
            fs::create_dir_all(directory).with_context(place)?;
            clap_mangen::generate_to(Args::command(), directory).with_context(place)?;
        }
        None => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Args::command()).render(&mut text)?;
            io::stdout().write_all(&text)?;
        }
    }
    Ok(Verdict::Passed)
}
