#!/usr/bin/env bash
# The faults that token keeping has to bear, in full size: real instances on PostgreSQL, killed,
# frozen, cut off and lied to by their clocks. Takes about an hour; ends with a table, and with code 1
# if anything was violated.
#
#   scripts/soak.sh [letters]   only these trials, for instance `cd`
#
# PostgreSQL is the one of LINGPAI_TEST_POSTGRES_URL, or a private one.
# shellcheck source=scripts/house.sh
source "$(dirname "${BASH_SOURCE[0]}")/house.sh"

need_toolchain
need_python
LINGPAI_TEST_FAKETIME="$(scripts/faketime.sh)"
export LINGPAI_TEST_FAKETIME

say "Building, optimized (the first time this takes several minutes)"
cargo build --locked --release -p lingpai-server -p lingpai-tests --bins

if [ -z "${LINGPAI_TEST_POSTGRES_URL:-}" ]; then
  private_postgres soak
fi

say "Soaking"
"$target/release/soak" "${1:-abcdefghi}"
