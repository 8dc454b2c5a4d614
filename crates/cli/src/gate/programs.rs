//! The programs under measurement: built from revisions, or given.

use crate::gate::server::{Program, copied};
use crate::gate::session::Programs;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Flags of the compiler for base and head: functions and loops begin at cache lines, so that code that became longer does not move the code behind it
/// into or out of its line. Measured on kernels with 16 unrelated bytes before them: 10 % without, 0.1 % with.
const FLAGS: &str = "-C llvm-args=-align-all-functions=6 -C llvm-args=-align-loops=64";
/// The package and the program in it.
const BUILD: [&str; 7] =
    ["build", "--release", "--locked", "--package", "gradchain-cli", "--bin", "gradchain"];

/// What `--base` or `--head` names.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A program.
    Binary(PathBuf),
    /// A commit, and the tree of files in it.
    Revision { commit: String, tree: String },
}

/// The git checkout that the gate is used in.
pub(crate) struct Checkout {
    root: PathBuf,
    /// Where revisions are checked out and built: below the checkout's own target folder.
    place: PathBuf,
}

impl Checkout {
    /// The checkout around the current directory.
    fn find() -> Result<Checkout> {
        let root = said(Command::new("git").args(["rev-parse", "--show-toplevel"])).context(
            "revisions need a git checkout around the current directory; a program can be named by its file",
        )?;
        let root = PathBuf::from(root);
        let place = root.join("target").join("gate");
        fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
        Ok(Checkout { root, place })
    }

    fn git(&self) -> Command {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.root);
        git
    }

    /// The commit of a revision; of `.`, a commit of the files as they are, tracked and untracked, that no branch knows.
    fn revision(&self, name: &str) -> Result<Source> {
        let commit = if name == "." {
            self.snapshot().context("the files of the checkout")?
        } else {
            let commit = format!("{name}^{{commit}}");
            said(self.git().args(["rev-parse", "--verify", "--quiet", "--end-of-options", &commit])).map_err(|_| {
                anyhow::anyhow!(
                    "`{name}` is neither a file nor a revision of {}; a shallow clone lacks old revisions (`git fetch --unshallow`)",
                    self.root.display()
                )
            })?
        };
        let tree = said(self.git().args(["rev-parse", "--verify", &format!("{commit}^{{tree}}")]))?;
        Ok(Source::Revision { commit, tree })
    }

    fn snapshot(&self) -> Result<String> {
        let index = self.place.join("index");
        let git = || {
            let mut git = self.git();
            git.env("GIT_INDEX_FILE", &index);
            for who in ["AUTHOR", "COMMITTER"] {
                git.env(format!("GIT_{who}_NAME"), "gradchain gate").env(format!("GIT_{who}_EMAIL"), "-");
            }
            git
        };
        said(git().args(["read-tree", "HEAD"]))?;
        said(git().args(["add", "--all"]))?;
        let tree = said(git().arg("write-tree"))?;
        let head = said(git().args(["rev-parse", "HEAD"]))?;
        // Without a change it is the commit itself.
        if said(git().args(["rev-parse", "HEAD^{tree}"]))? == tree {
            return Ok(head);
        }
        said(git().args(["commit-tree", &tree, "-p", &head, "-m", "files as they are"]))
    }

    /// The program of a commit: built, or found as it was built before. All revisions are checked out into one folder in turn and built in one target folder, so
    /// that what has not changed between them is not compiled again, and is the same code.
    fn build(&self, commit: &str, tree: &str, lock: Option<&str>, role: &str) -> Result<PathBuf> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let compiler = said(Command::new("rustc").arg("-vV").current_dir(&self.root))?;
        let key = hash(&[FLAGS, &compiler, lock.unwrap_or("its own")]);
        let program = self.place.join("programs").join(format!("{}-{key:016x}", &tree[..tree.len().min(16)]));
        if program.is_file() {
            return Ok(program);
        }
        let source = self.place.join("source");
        said(self.git().args(["worktree", "prune"]))?;
        if !source.is_dir() {
            said(self.git().args(["worktree", "add", "--force", "--detach"]).arg(&source).arg(commit))?;
        }
        let at_source = |words: &[&str]| said(Command::new("git").arg("-C").arg(&source).args(words));
        at_source(&["checkout", "--quiet", "--force", "--detach", commit])?;
        at_source(&["clean", "--quiet", "--force", "-d", "-x"])?;
        if let Some(lock) = lock {
            let path = source.join("Cargo.lock");
            fs::write(&path, lock).with_context(|| path.display().to_string())?;
        }
        let mut build = Command::new(cargo);
        build.args(BUILD).current_dir(&source).env("CARGO_TARGET_DIR", self.place.join("build"));
        // Programs are copied often; the symbols stay, for `gate count`.
        build.env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
        build.env("RUSTFLAGS", FLAGS).env_remove("CARGO_ENCODED_RUSTFLAGS");
        // Its messages are the user's; standard output is the gate's.
        let status = build.stdin(Stdio::null()).stdout(Stdio::null()).status().context("cargo")?;
        if !status.success() {
            let lock =
                if lock.is_some() { "; with the head's Cargo.lock: --own-locks takes its own" } else { "" };
            bail!("the {role} ({commit}) does not build{lock}");
        }
        let built = self.place.join("build").join("release").join("gradchain");
        let folder = self.place.join("programs");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        copied(&built, &program).with_context(|| program.display().to_string())?;
        Ok(program)
    }
}

/// The base and the head, found or built, and copies of them to be measured, which go when this is dropped.
pub(crate) struct Pair {
    pub(crate) programs: Programs,
    /// What was compared, for people.
    pub(crate) names: [String; 2],
    /// Whether both are the same file, byte for byte.
    pub(crate) same_bytes: bool,
    folder: PathBuf,
}

impl Pair {
    /// Finds or builds both. With `own_locks` each revision is built with its own `Cargo.lock`; without, both with the head's, so that the code is
    /// compared and not its dependencies.
    pub(crate) fn find(base: &str, head: &str, own_locks: bool) -> Result<Pair> {
        let sources = [source(base).context("--base")?, source(head).context("--head")?];
        match &sources {
            [Source::Revision { tree: a, .. }, Source::Revision { tree: b, .. }] if a == b => {
                bail!("base ({base}) and head ({head}) have the same files: there is nothing to compare")
            }
            _ => {}
        }
        let lock = match &sources[1] {
            Source::Revision { commit, .. } if !own_locks => {
                let checkout = Checkout::find()?;
                let mut lock = said(checkout.git().args(["show", &format!("{commit}:Cargo.lock")]))?;
                lock.push('\n');
                Some(lock)
            }
            Source::Revision { .. } | Source::Binary(_) => None,
        };
        let mut files = Vec::new();
        for (source, role) in sources.iter().zip(["base", "head"]) {
            files.push(match source {
                Source::Binary(path) => path.clone(),
                Source::Revision { commit, tree } => {
                    Checkout::find()?.build(commit, tree, lock.as_deref(), role)?
                }
            });
        }
        let name = |given: &str, source: &Source| match source {
            Source::Binary(path) => path.display().to_string(),
            Source::Revision { commit, .. } => format!("{given} ({})", &commit[..commit.len().min(12)]),
        };
        let names = [name(base, &sources[0]), name(head, &sources[1])];
        let pair = Pair::of_files(&files[0], &files[1], names)?;
        let [Source::Binary(_), Source::Binary(_)] = &sources else { return Ok(pair) };
        if pair.same_bytes {
            bail!(
                "base ({base}) and head ({head}) are the same program, byte for byte: there is nothing to compare"
            );
        }
        Ok(pair)
    }

    /// Two files. The files that are measured are copies of one age under names of one length, in a folder of this process.
    pub(crate) fn of_files(base: &Path, head: &Path, names: [String; 2]) -> Result<Pair> {
        let read = |path: &Path| fs::read(path).with_context(|| path.display().to_string());
        let same_bytes = read(base)? == read(head)?;
        let folder = std::env::temp_dir().join(format!("gradchain-gate-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let program = |role: &'static str, source: &Path| Program {
            role,
            source: source.to_owned(),
            path: folder.join(role),
            arguments: Vec::new(),
        };
        let programs = [program("base", base), program("copy", base), program("head", head)];
        let pair = Pair { programs, names, same_bytes, folder: folder.clone() };
        for program in &pair.programs {
            copied(&program.source, &program.path).with_context(|| program.path.display().to_string())?;
        }
        Ok(pair)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn source(name: &str) -> Result<Source> {
    let path = Path::new(name);
    if path.is_file() {
        return Ok(Source::Binary(fs::canonicalize(path).with_context(|| name.to_owned())?));
    }
    Checkout::find()?.revision(name)
}

/// What a command says, without the newlines at the end.
fn said(command: &mut Command) -> Result<String> {
    let name = || format!("{} {}", command_name(command), arguments(command));
    let (name, output) = (name(), command.stdin(Stdio::null()).output());
    let output = output.with_context(|| name.clone())?;
    if !output.status.success() {
        bail!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8(output.stdout).with_context(|| name)?;
    Ok(text.trim_end_matches('\n').to_owned())
}

fn command_name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn arguments(command: &Command) -> String {
    command.get_args().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// FNV-1a, to tell builds apart that differ in what they were built with.
fn hash(texts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in texts.iter().flat_map(|text| text.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash
}
