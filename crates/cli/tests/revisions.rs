//! `gradchain gate time` on revisions: a small git checkout, and a cargo that copies a script instead of compiling.
#![cfg(target_os = "linux")]

#[expect(dead_code, reason = "the time gate knows no studies")]
mod common;

use common::{Said, directory, gradchain, said};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that takes `NS` nanoseconds a call.
const PROGRAM: &str = "#!/bin/sh
echo gradchain-serve 1
n=7
while read -r line; do
  set -- $line
  case $1 in
    list) echo work a/x pinned 10; echo end;;
    run) n=$(( (n * 75 + 74) % 65537 )); t=$(( $3 * NS + n % 41 )); echo took $t $t 00ab;;
    *) exit 0;;
  esac
done
";

/// A cargo that demands what the gate promises, writes down which lock file it saw, and copies the program. A source with the word BROKEN does not build.
const CARGO: &str = "#!/bin/sh
case \"$RUSTFLAGS\" in *-align-all-functions=6*-align-loops=64*) ;; *) echo no flags >&2; exit 1;; esac
[ \"$*\" = 'build --release --locked --package gradchain-cli --bin gradchain' ] || { echo \"$*\" >&2; exit 1; }
if grep -q BROKEN program; then exit 101; fi
cat Cargo.lock >> ../locks
mkdir -p $CARGO_TARGET_DIR/release
cp program $CARGO_TARGET_DIR/release/gradchain
chmod +x $CARGO_TARGET_DIR/release/gradchain
";

/// A checkout with a first commit, on the branch `first`.
struct Checkout {
    root: PathBuf,
    cargo: PathBuf,
}

impl Checkout {
    fn new(name: &str) -> Checkout {
        let folder = directory(name);
        let (root, cargo) = (folder.join("checkout"), folder.join("cargo"));
        fs::create_dir(&root).unwrap();
        fs::write(&cargo, CARGO).unwrap();
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
        let checkout = Checkout { root, cargo };
        checkout.git(&["init", "--quiet", "--initial-branch", "first"]);
        checkout.write(".gitignore", "/target\n");
        checkout.write("Cargo.lock", "lock 1\n");
        checkout.program(2000);
        checkout.commit();
        checkout
    }

    fn git(&self, args: &[&str]) {
        let identity = ["-c", "user.name=test", "-c", "user.email=test"];
        let status =
            Command::new("git").arg("-C").arg(&self.root).args(identity).args(args).status().unwrap();
        assert!(status.success(), "git {args:?}");
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.root.join(name), text).unwrap();
    }

    fn program(&self, ns: u32) {
        self.write("program", &PROGRAM.replace("NS", &ns.to_string()));
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "a change"]);
    }

    fn time(&self, args: &[&str]) -> Said {
        let mut command = gradchain();
        said(command.current_dir(&self.root).env("CARGO", &self.cargo).args(["gate", "time"]).args(args))
    }

    fn locks(&self) -> String {
        fs::read_to_string(self.root.join("target/gate/locks")).unwrap()
    }
}

fn expect(said: &Said, code: i32, words: &[&str]) {
    let text = format!("{}{}", said.stdout, said.stderr);
    assert_eq!(said.code, Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}

#[test]
fn files_as_they_are_are_judged_against_a_revision() {
    let checkout = Checkout::new("revisions_dot");
    expect(&checkout.time(&["--base", "first"]), 2, &["base (first) and head (.) have the same files"]);
    // A change that is in no commit, and a file that git does not know yet.
    checkout.program(2100);
    checkout.write("untracked", "words\n");
    let staged = || {
        let git =
            Command::new("git").arg("-C").arg(&checkout.root).args(["diff", "--cached"]).output().unwrap();
        assert!(git.status.success() && git.stdout.is_empty(), "the index of the user is touched: {git:?}");
    };
    expect(&checkout.time(&["--base", "first"]), 1, &["a/x", "slower"]);
    staged();
    // Nothing is built again.
    let locks = checkout.locks();
    expect(&checkout.time(&["--base", "first"]), 1, &["a/x", "slower"]);
    assert_eq!(locks, checkout.locks());
    assert_eq!(locks, "lock 1\n".repeat(2));
}

#[test]
fn both_are_built_with_the_lock_file_of_the_head() {
    let checkout = Checkout::new("revisions_lock");
    checkout.program(1900);
    checkout.write("Cargo.lock", "lock 2\n");
    checkout.commit();
    expect(&checkout.time(&["--base", "HEAD~1", "--head", "HEAD"]), 0, &[]);
    assert_eq!(checkout.locks(), "lock 2\n".repeat(2));
    expect(&checkout.time(&["--base", "HEAD~1", "--head", "HEAD", "--own-locks"]), 0, &[]);
    assert_eq!(checkout.locks(), "lock 2\nlock 2\nlock 1\nlock 2\n");
}

#[test]
fn a_change_that_leaves_the_program_alone_passes() {
    let checkout = Checkout::new("revisions_words");
    checkout.write("README", "words\n");
    checkout.commit();
    expect(&checkout.time(&["--base", "HEAD~1", "--head", "HEAD"]), 0, &["same program, byte for byte"]);
}

#[test]
fn what_does_not_build_or_does_not_exist_is_refused() {
    let checkout = Checkout::new("revisions_broken");
    checkout.write("program", "BROKEN\n");
    expect(&checkout.time(&["--base", "first"]), 2, &["the head", "does not build", "--own-locks"]);
    let base = Path::new("nowhere").to_str().unwrap();
    expect(
        &checkout.time(&["--base", base]),
        2,
        &["--base: `nowhere` is neither a file nor a revision", "shallow"],
    );
    let option = checkout.time(&["--base=--output=x"]);
    expect(&option, 2, &["is neither a file nor a revision"]);
}
