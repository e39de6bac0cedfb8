#!/usr/bin/env bash
# Everything that has to hold before a change goes in, and the closing line that counts it.
#
#   scripts/test.sh        all of it: form, lints, documents, tests on three databases, deploy/
#   scripts/test.sh e2e    the end-to-end tests alone
#
# Installs what it misses (Debian, as root), or uses the database servers given by
# LINGPAI_TEST_POSTGRES_URL and LINGPAI_TEST_MYSQL_URL. A check that fails does not stop the others.
# shellcheck source=scripts/house.sh
source "$(dirname "${BASH_SOURCE[0]}")/house.sh"

what="${1:-all}"
case "$what" in all | e2e) ;; *) die "usage: scripts/test.sh [e2e]" ;; esac

passed=0
failed=0
faults=()
finished=no

finish() {
  local code=$?
  trap - EXIT INT TERM
  scripts/databases.sh stop 9>&- || true
  if [ "$finished" != yes ]; then
    failed=$((failed + 1))
    faults+=("the run itself, which ended early (code $code)")
  fi
  if [ "$failed" -gt 0 ]; then
    printf '\nFailed:\n'
    printf '  - %s\n' "${faults[@]}"
  fi
  printf '\n%s passed, %s failed\n' "$passed" "$failed"
  [ "$failed" -eq 0 ] || exit 1
  exit 0
}

# Adds up the numbers that stand before a word: `sum_of 'passed' FILE`.
sum_of() {
  { grep -oE "[0-9]+ $1" "$2" || true; } | awk '{ sum += $1 } END { print sum + 0 }'
}

# The numbers of one log, as "passed failed", whichever runner wrote it.
count() {
  local log="$1" lines="$1.counts"
  # nextest: `Summary [ 0.1s] 5/9 tests run: 4 passed (1 slow), 1 failed, 1 timed out, 0 skipped`
  if grep -qE '^ +Summary \[' "$log"; then
    grep -E '^ +Summary \[' "$log" | tail -n 1 | sed 's/([^)]*)//g' >"$lines"
  else # cargo test: `test result: ok. 4 passed; 0 failed; …`, once for each binary
    grep -E '^test result: ' "$log" >"$lines" || true
  fi
  echo "$(sum_of passed "$lines") $(sum_of '(failed|exec failed|timed out)' "$lines")"
}

# One check that holds or does not: `check NAME COMMAND…`.
check() {
  local name="$1" started=$SECONDS
  shift
  say "$name"
  if "$@" 9>&- </dev/null; then
    passed=$((passed + 1))
    note "holds ($((SECONDS - started)) s)"
  else
    failed=$((failed + 1))
    faults+=("$name")
    note "does NOT hold ($((SECONDS - started)) s)"
    return 1
  fi
}

# A command that runs many tests and says how many: `tests NAME COMMAND…`.
tests() {
  local name="$1" started=$SECONDS code=0 good bad log
  shift
  say "$name"
  log="$target/test-${name%% *}.log"
  "$@" 9>&- </dev/null 2>&1 | tee "$log" || code=$?
  read -r good bad <<<"$(count "$log")"
  passed=$((passed + good))
  failed=$((failed + bad))
  if [ "$bad" -gt 0 ]; then
    faults+=("$name: $bad, listed in $log")
  elif [ "$code" -ne 0 ] || [ "$good" -eq 0 ]; then
    failed=$((failed + 1))
    faults+=("$name: code $code after $good tests, see $log")
  fi
  note "$good passed, $bad failed ($((SECONDS - started)) s)"
}

shell_scripts() {
  local script
  for script in scripts/*.sh .ci/run deploy/*/*.sh; do
    bash -n "$script" || return 1
  done
  if have shellcheck; then
    shellcheck scripts/*.sh .ci/run deploy/*/*.sh
  else
    note "shellcheck is not installed: only the syntax was looked at"
  fi
}

documents() {
  RUSTDOCFLAGS="-D warnings" cargo doc --locked --quiet --workspace --no-deps
}

deny() {
  if cargo deny --version >/dev/null 2>&1; then
    check "deny: bans, licences, sources" cargo deny --locked --offline check bans licenses sources || true
  else
    say "deny: bans, licences, sources"
    note "skipped: cargo-deny is not installed, and building it takes longer than all the rest;"
    note "the architecture tests hold the dependencies to deny.toml in its place"
  fi
}

# The servers and programs that the tests ask for by environment.
surroundings() {
  local urls python node browser faketime
  urls="$(scripts/databases.sh start)" || return 1
  python="$(scripts/test-python.sh)" || return 1
  node="$(scripts/test-node.sh)" || return 1
  browser="$(scripts/test-browser.sh)" || return 1
  faketime="$(scripts/faketime.sh)" || return 1
  {
    printf '%s\n' "$urls"
    printf 'export LINGPAI_TEST_PYTHON=%q\n' "$python"
    printf 'export LINGPAI_TEST_NODE=%q\n' "$node"
    printf 'export LINGPAI_TEST_BROWSER=%q\n' "$browser"
    printf 'export LINGPAI_TEST_FAKETIME=%q\n' "$faketime"
  } >"$target/test-surroundings"
}

# Tests without the servers would pass by leaving two databases out; so nothing runs then.
with_surroundings() {
  check "databases, Python, Node.js packages and a browser for the tests" surroundings || return 0
  # shellcheck disable=SC1091
  source "$target/test-surroundings"
  "$@"
}

run_tests() {
  if cargo nextest --version >/dev/null 2>&1; then
    tests "tests" cargo nextest run --locked "${selection[@]}"
  else
    tests "tests" cargo test --locked --no-fail-fast "${selection[@]}"
  fi
}

everything() {
  check "shell scripts" shell_scripts || true
  check "format" cargo fmt --all --check || true
  check "clippy, no warnings" cargo clippy --locked --quiet --workspace --all-targets -- -D warnings || true
  check "the wire stands alone" cargo check --locked --quiet -p lingpai-wechat || true
  check "documents, no warnings" documents || true
  deny
  if check "programs and tests build" cargo build --locked "${selection[@]}"; then
    with_surroundings all_tests
  fi
}

all_tests() {
  run_tests
  tests "doctests" cargo test --locked --quiet --workspace --doc --no-fail-fast
  tests "deploy" scripts/check-deploy.sh
}

end_to_end() {
  if check "programs and tests build" cargo build --locked "${selection[@]}"; then
    with_surroundings run_tests
  fi
}

need_toolchain
exec 9>"$target/test.lock"
if have flock && ! flock --nonblock 9; then
  die "another run of the tests is going on in $target"
fi
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Only what this run sets reaches the tests; settings of a service nearby do not.
for name in $(compgen -e | grep '^LINGPAI_' | grep -v '^LINGPAI_TEST_' || true); do unset "$name"; done
export CARGO_TERM_COLOR=never
# One selection for building and running, so that nothing is built twice.
if [ "$what" = e2e ]; then
  selection=(--workspace --bins --test e2e)
  end_to_end
else
  selection=(--workspace --bins --tests)
  everything
fi
finished=yes
