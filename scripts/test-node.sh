#!/usr/bin/env bash
# Installs the pinned packages of tests/peers/package-lock.json and prints the folder they are in.
# What is there and current is left alone.
# shellcheck source=scripts/house.sh
source "$(dirname "${BASH_SOURCE[0]}")/house.sh"

folder="$target/test-node"
if ! have node || ! have npm; then
  install_debian nodejs npm
fi
wanted="$(node --version; cat tests/peers/package.json tests/peers/package-lock.json)"
if [ "$(cat "$folder/made-of" 2>/dev/null)" != "$wanted" ]; then
  note "installing the pinned packages of tests/peers from npm"
  rm -rf "$folder"
  mkdir -p "$folder"
  cp tests/peers/package.json tests/peers/package-lock.json "$folder/"
  # No package's own script runs: none of these needs one.
  if ! npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund \
    >"$target/npm.log" 2>&1 </dev/null; then
    tail -n 20 "$target/npm.log" >&2
    die "could not install the packages of tests/peers/package-lock.json"
  fi
  NODE_PATH="$folder/node_modules" node -e '
    for (const name of ["co-wechat", "co-wechat-api", "co-wechat-oauth", "koa", "svix", "wechat-api"]) require(name);'
  printf '%s\n' "$wanted" >"$folder/made-of"
fi
printf '%s\n' "$folder"
