# What the scripts beside this one share. Sourced by them, never run.
# shellcheck shell=bash
# Every script runs at the project's root, wherever it was called from.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Where cargo puts what it builds. CARGO_TARGET_DIR wins, as it does for cargo itself.
target="${CARGO_TARGET_DIR:-target}"
mkdir -p "$target"
target="$(cd "$target" && pwd)"
export CARGO_TARGET_DIR="$target"

say() { printf '\n== %s\n' "$*" >&2; }
note() { printf '   %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# Installs Debian packages, or says which ones a person has to install.
install_debian() {
  if ! have apt-get || [ "$(id -u)" -ne 0 ]; then
    die "missing here: $*. Install it (on Debian: apt-get install $*) and run this again"
  fi
  note "installing from Debian: $*"
  export DEBIAN_FRONTEND=noninteractive
  local log="$target/apt.log"
  if ! { apt-get -o DPkg::Lock::Timeout=300 update -qq &&
    apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@"; } \
    >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    die "could not install $* (all of it in $log)"
  fi
}

# What a build needs beside Rust itself: ring and SQLite are compiled from C.
need_toolchain() {
  have cargo || die "cargo is missing: install Rust by rustup; the version is in rust-toolchain.toml"
  have cc || install_debian gcc libc6-dev
}

# A python3 that can make virtual environments.
need_python() {
  have python3 || install_debian python3 python3-venv
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_debian python3-venv
}

# Prints a TCP port on loopback that was free a moment ago.
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Starts a PostgreSQL for this run alone, with its state under the name given and with the options
# behind it; it ends with the shell.
# A test run beside it keeps its own databases, and no other server is started.
private_postgres() {
  say "Starting a private PostgreSQL"
  private_state="$target/$1"
  mkdir -p "$private_state"
  private_databases() {
    CARGO_TARGET_DIR="$private_state" LINGPAI_TEST_MYSQL_URL=unused scripts/databases.sh "$@"
  }
  trap 'private_databases stop' EXIT
  local started
  started="$(private_databases start "${@:2}")"
  eval "$started"
}
