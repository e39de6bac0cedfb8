#!/usr/bin/env bash
# Builds what the demo needs and starts it: emulator and service on SQLite below ./data/demo, the
# main job step by step, and then every URL and key to go on with. Ctrl-C ends it.
# shellcheck source=scripts/house.sh
source "$(dirname "${BASH_SOURCE[0]}")/house.sh"

need_toolchain
say "Building (the first time this takes a few minutes; nothing is optimized)"
cargo build --locked -p lingpai-server -p lingpai-emulator -p lingpai-tests --bins
exec "$target/debug/demo" "$@"
