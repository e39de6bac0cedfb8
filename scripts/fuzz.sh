#!/usr/bin/env bash
# Fuzzes what strangers' bytes reach: the targets of fuzz/, a minute each. Stable Rust, no sanitizer:
# nothing of ours is unsafe, and panics, hangs and memory are found without one. Installs cargo-fuzz
# if it is missing. Ends with a line of numbers; a finding ends it at once and says where its input is.
#
#   scripts/fuzz.sh [seconds] [target…]
#
# Builds into its own folder below the target folder: the instrumentation is of no use elsewhere.
# shellcheck source=scripts/house.sh
source "$(dirname "${BASH_SOURCE[0]}")/house.sh"

# The release that was tried with the pinned toolchain.
cargo_fuzz=0.13.2

seconds="${1:-60}"
[ "$#" -eq 0 ] || shift
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || targets=(envelope inner_xml inner_json frame reply mini_program)

need_toolchain
have c++ || install_debian g++
if ! cargo fuzz --version >/dev/null 2>&1; then
  say "Installing cargo-fuzz $cargo_fuzz"
  cargo install --locked --quiet "cargo-fuzz@$cargo_fuzz"
fi
export CARGO_TARGET_DIR="$target/fuzz"
mkdir -p "$CARGO_TARGET_DIR"

# Where a target's first inputs are, beside what earlier runs found worth keeping.
seeds() {
  case "$1" in
    inner_xml) echo crates/wechat/testdata/messages crates/wechat/testdata/pushes ;;
    frame) ;;
    *) echo "fuzz/seeds/$1" ;;
  esac
}

say "Building, optimized and instrumented"
# cargo-fuzz itself offers no `--locked`: metadata fails where the lock file no longer fits.
cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
cargo fuzz build --sanitizer none >&2
all=0
for name in "${targets[@]}"; do
  say "$name, $seconds s"
  mkdir -p "fuzz/corpus/$name"
  log="$CARGO_TARGET_DIR/$name.log"
  read -ra first <<<"$(seeds "$name")"
  if ! cargo fuzz run --sanitizer none "$name" "fuzz/corpus/$name" "${first[@]}" -- \
    -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -max_len=16384 \
    -dict=fuzz/words.dict -print_final_stats=1 >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    die "$name has a finding: its input is in fuzz/artifacts/$name (all of it in $log)"
  fi
  runs="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
  note "$runs runs without a finding"
  all=$((all + runs))
done
printf 'fuzz: %s targets, %s runs, 0 findings\n' "${#targets[@]}" "$all"
