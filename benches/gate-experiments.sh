#!/usr/bin/env bash
# Does `gradchain gate time` tell changes of code from changes of place? Makes commits that no branch knows, each with one change, and judges HEAD against them.
#
#   benches/gate-experiments.sh layout     unrelated code before everything else: 16, 32 and 48 bytes more of it; none of them may fail
#   benches/gate-experiments.sh kernel     a needless copy of the gradient in every 16th, 8th, 4th, 2nd layer of a backward pass
#
# Further words go to `gradchain gate time`. Needs a release build of the program, or builds it.
set -euo pipefail
cd "$(dirname "$0")/.."

gate() { cargo run --release --quiet --package gradchain-cli --bin gradchain -- gate "$@"; }

# commit NAME FILE SED: HEAD with the file as sed leaves it.
commit() {
  local index tree blob
  index=$(mktemp --dry-run)
  blob=$(git show "HEAD:$2" | sed "$3" | git hash-object -w --stdin)
  if [ "$blob" = "$(git rev-parse "HEAD:$2")" ]; then
    echo "$2: nothing to change for $1" >&2
    return 1
  fi
  GIT_INDEX_FILE=$index git read-tree HEAD
  GIT_INDEX_FILE=$index git update-index --cacheinfo "100644,$blob,$2"
  tree=$(GIT_INDEX_FILE=$index git write-tree)
  rm -f "$index"
  git commit-tree "$tree" -p HEAD -m "experiment: $1"
}

# judge NAME COMMIT: prints what the gate says, and how it ended.
judge() {
  local name=$1 head=$2 code=0
  shift 2
  printf '\n== %s\n' "$name"
  gate time --base HEAD --head "$head" "$@" || code=$?
  echo "exit code $code"
}

what=${1:-}
shift || true
case $what in
  layout)
    for bytes in 16 32 48; do
      # Each step is an addition of 8 bytes or a store: two of them are about 16 bytes of code.
      steps=$(printf 'x = std::hint::black_box(x);%.0s' $(seq $((bytes / 8))))
      change="s|^pub(crate) fn serve(args|#[inline(never)] fn padding(mut x: u64) -> u64 { $steps x }\n&|; s|^    let works = works(Isa::choose()?);|    padding(1);\n&|"
      head=$(commit "$bytes bytes" crates/cli/src/gate/serve.rs "$change")
      judge "$bytes bytes of unrelated code" "$head" "$@"
    done
    ;;
  kernel)
    for every in 16 8 4 2; do
      change="s|^    for (t, layer) in network.layers.iter().enumerate().rev() {|&\n        if t % $every == 0 { std::hint::black_box(gradient.to_vec()); }|"
      head=$(commit "copy in every ${every}th layer" crates/chain/src/pass.rs "$change")
      judge "a needless copy in every ${every}th layer" "$head" "$@"
    done
    ;;
  *)
    sed -n 's/^# \{0,1\}//p' "$0" | head -8 >&2
    exit 2
    ;;
esac
