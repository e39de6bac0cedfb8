#!/usr/bin/env bash
# Prepares the browser test: Debian's Chromium with a Chinese font, and the pinned packages of
# tests/browser. Prints the folder that the tests want in LINGPAI_TEST_BROWSER.
# What is there and current is left alone.
# shellcheck source=scripts/house.sh
source "$(dirname "${BASH_SOURCE[0]}")/house.sh"

folder="$target/test-browser"
have chromium || install_debian chromium
# Without one the pages are empty boxes, which no test notices and every screenshot shows.
have fc-list || install_debian fontconfig
[ -n "$(fc-list :lang=zh family | head -n 1)" ] || install_debian fonts-wqy-zenhei
if ! have npm || ! node -e 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)'; then
  die "Node.js 20 or newer with npm is missing: install it (https://nodejs.org) and run this again"
fi

wanted="$(node --version; cat tests/browser/package.json tests/browser/package-lock.json)"
if [ "$(cat "$folder/made-of" 2>/dev/null)" != "$wanted" ]; then
  note "installing the pinned packages of tests/browser from npm"
  rm -rf "$folder"
  mkdir -p "$folder"
  cp tests/browser/package.json tests/browser/package-lock.json "$folder"
  if ! npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund \
    >"$target/npm.log" 2>&1 </dev/null; then
    tail -n 20 "$target/npm.log" >&2
    die "could not install the packages of tests/browser"
  fi
  ln -s "$(command -v chromium)" "$folder/chromium"
  printf '%s\n' "$wanted" >"$folder/made-of"
fi
printf '%s\n' "$folder"
