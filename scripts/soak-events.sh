#!/usr/bin/env bash
# What events have to bear, in full size: 300 pushes a second while endpoints hang, drip and fail,
# kill -9 under pushes, and 40,000 copies of 10,000 pushes, on SQLite and on PostgreSQL, with real
# instances. Takes about a quarter of an hour; ends with a table, and with code 1 if anything was
# violated.
#
#   scripts/soak-events.sh [letters]   only these trials, for instance `k`
#
# PostgreSQL is the one of LINGPAI_TEST_POSTGRES_URL, or a private one.
# shellcheck source=scripts/house.sh
source "$(dirname "${BASH_SOURCE[0]}")/house.sh"

need_toolchain

say "Building, optimized (the first time this takes several minutes)"
cargo build --locked --release -p lingpai-server -p lingpai-tests --bins

if [ -z "${LINGPAI_TEST_POSTGRES_URL:-}" ]; then
  private_postgres soak
fi

say "Soaking"
"$target/release/soak" "${1:-jkl}"
