//! Runs the program and keeps its files apart for each test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A small study: 2 formats x 3 depths.
pub(crate) const SMALL: &str =
    "question = 'Small?'\nmeasure = 'chain'\n[axes]\nformat = ['f16', 'f32']\ndepth = [1, 2, 3]\nwidth = 2\n";

/// What the program said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program, without the environment that changes what it does.
pub(crate) fn gradchain() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradchain"));
    command.env_remove("GRADCHAIN_ISA").stdin(Stdio::null());
    command
}

/// Runs it to its end; it must not panic, and an error is one message.
pub(crate) fn said(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let said = Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    if said.code == Some(2) {
        assert!(said.stderr.starts_with("gradchain: error: "), "{}", said.stderr);
        assert_eq!(said.stderr.matches("error:").count(), 1, "{}", said.stderr);
    }
    said
}

/// Runs it with arguments.
pub(crate) fn run(args: &[&str]) -> Said {
    said(gradchain().args(args))
}

/// An empty directory for the test `name`.
pub(crate) fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// A study file in `directory`.
pub(crate) fn study(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}
