#!/usr/bin/env bash
# Measures, optimized: ciphers and parsers in one process, then pushes, proxied calls and token reads
# over loopback with nginx, the databases and, where it is installed, Redis beside them; eight minutes
# after the build. Writes the tables of docs/benchmarks.md. Nothing else should run meanwhile.
#
#   scripts/bench.sh [rounds]          with fewer than five rounds the tables are only printed
#   scripts/bench.sh <rounds> pushes   pushes alone, which are printed; or token reads, with `tokens`
#
# PostgreSQL is the one of LINGPAI_TEST_POSTGRES_URL, or a private one.
# shellcheck source=scripts/house.sh
source "$(dirname "${BASH_SOURCE[0]}")/house.sh"

need_toolchain
need_python
have nginx || install_debian nginx-light
have wrk || install_debian wrk
folder="$target/bench"
mkdir -p "$folder"

say "Building, optimized (the first time this takes several minutes)"
cargo build --locked --release -p lingpai-server -p lingpai-emulator -p lingpai-tests --bins
if [ -z "${2:-}" ]; then
  cargo bench --locked --no-run -p lingpai-wechat
  say "In one process"
  cargo bench --locked --quiet -p lingpai-wechat --bench wire | tee "$folder/wire.txt"
fi

if [ "${2:-}" != tokens ] && [ -z "${LINGPAI_TEST_POSTGRES_URL:-}" ]; then
  say "Starting a private PostgreSQL"
  # A state folder of its own, so that a test run beside this keeps its databases; and the one
  # server only: the other is declared to be there already.
  private() { CARGO_TARGET_DIR="$folder" LINGPAI_TEST_MYSQL_URL=unused scripts/databases.sh "$@"; }
  trap 'private stop' EXIT
  started="$(private start)"
  eval "$started"
fi

say "Over loopback"
"$target/release/bench" "$folder" "$@"
