#!/usr/bin/env bash
# Measures, optimized: ciphers and parsers in one process, then pushes and proxied calls over
# loopback with nginx beside them. Nothing else should run meanwhile.
# shellcheck source=scripts/house.sh
source "$(dirname "${BASH_SOURCE[0]}")/house.sh"

need_toolchain
have nginx || install_debian nginx-light
say "Building, optimized (the first time this takes several minutes)"
cargo build --locked --release -p lingpai-server -p lingpai-emulator -p lingpai-tests --bins
say "In one process"
cargo bench --locked -p lingpai-wechat
say "Over loopback"
export LINGPAI_TEST_BIN_DIR="$target/release"
exec "$target/release/bench" "$@"
