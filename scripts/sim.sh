#!/usr/bin/env bash
# A day of the token keeper with a million authorizers, on a clock that runs as fast as the work is
# done. Prints figures and draws docs/sim-tokens.svg.
#
#   scripts/sim.sh [--authorizers N] [--hours N] [--database postgres|sqlite] [--plot FILE]
#
# PostgreSQL is the one of LINGPAI_TEST_POSTGRES_URL, or a private one.
# shellcheck source=scripts/house.sh
source "$(dirname "${BASH_SOURCE[0]}")/house.sh"

need_toolchain
need_python
say "Building, optimized (the first time this takes several minutes)"
cargo build --locked --release -p lingpai-tests --bin sim

if [ -z "${LINGPAI_TEST_POSTGRES_URL:-}" ] && [[ " $* " != *" sqlite "* ]]; then
  # What anybody gives a database of this size: room for the rows in memory, and for half an hour of
  # changes between two checkpoints. Durability stays as it is.
  private_postgres sim -c shared_buffers=2GB -c max_wal_size=16GB -c checkpoint_timeout=30min \
    -c wal_compression=on
fi

say "Simulating"
"$target/release/sim" "$@"
