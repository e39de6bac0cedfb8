#!/usr/bin/env bash
# Makes the virtual environment of scripts/test-python.txt and prints its interpreter.
# What is there and current is left alone.
# shellcheck source=scripts/house.sh
source "$(dirname "${BASH_SOURCE[0]}")/house.sh"

folder="$target/test-python"
need_python
wanted="$(python3 --version 2>&1; cat scripts/test-python.txt)"
if [ "$(cat "$folder/made-of" 2>/dev/null)" != "$wanted" ]; then
  note "installing the pinned packages of scripts/test-python.txt from PyPI"
  rm -rf "$folder"
  python3 -m venv "$folder"
  if ! "$folder/bin/pip" install --quiet --no-deps --disable-pip-version-check \
    --requirement scripts/test-python.txt >"$target/pip.log" 2>&1 </dev/null; then
    tail -n 20 "$target/pip.log" >&2
    die "could not install the packages of scripts/test-python.txt"
  fi
  "$folder/bin/python" -c 'import openapi_python_client, schemathesis.cli, wechatpy.component, yaml'
  printf '%s\n' "$wanted" >"$folder/made-of"
fi
printf '%s\n' "$folder/bin/python"
