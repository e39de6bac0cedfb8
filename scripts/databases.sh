#!/usr/bin/env bash
# Private PostgreSQL and MariaDB servers for the tests, on loopback and free ports.
#
#   scripts/databases.sh start [OPTION…]   starts them and prints the URLs as lines for `eval`;
#                                          PostgreSQL gets the options as well
#   scripts/databases.sh stop              stops them and removes their data
#
# A server whose URL is already in the environment (LINGPAI_TEST_POSTGRES_URL,
# LINGPAI_TEST_MYSQL_URL) is used as it is: nothing is installed, started or stopped for it.
# The servers run with the durability they have in production: the service refuses less.
# shellcheck source=scripts/house.sh
source "$(dirname "${BASH_SOURCE[0]}")/house.sh"

state="$target/test-databases"

# PostgreSQL refuses to run as root, so root runs it as the user its package made.
as_postgres() {
  if [ "$(id -u)" -eq 0 ]; then
    (cd / && runuser -u postgres -- "$@")
  else
    "$@"
  fi
}

# The folder of PostgreSQL's programs: Debian keeps them out of PATH, one folder per version.
postgres_programs() {
  local found
  found="$(find /usr/lib/postgresql -mindepth 3 -maxdepth 3 -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)"
  [ -n "$found" ] || found="$(command -v initdb || true)"
  [ -z "$found" ] || dirname "$found"
}

# The data folder: below target/, unless the user postgres may not enter there
# (a clone below somebody's home); then it is a temporary folder.
data_folder() {
  local name="$1" folder="$state/$1"
  mkdir -p "$folder"
  if [ "$(id -u)" -eq 0 ]; then
    chown postgres "$folder"
    if ! as_postgres test -w "$folder"; then
      rmdir "$folder"
      folder="$(mktemp -d "/tmp/lingpai-test-$name.XXXXXX")"
      chown postgres "$folder"
    fi
  fi
  chmod 700 "$folder"
  printf '%s\n' "$folder" >"$state/$name.folder"
  printf '%s\n' "$folder"
}

start_postgres() {
  local programs folder port attempt
  programs="$(postgres_programs)"
  if [ -z "$programs" ]; then
    install_debian postgresql
    programs="$(postgres_programs)"
  fi
  folder="$(data_folder postgres)"
  printf '%s\n' "$programs" >"$state/postgres.programs"
  as_postgres "$programs/initdb" --pgdata="$folder/data" --username=postgres --auth=trust \
    --encoding=UTF8 --locale=C >"$state/postgres.log" 2>&1
  for attempt in 1 2 3; do
    port="$(free_port)"
    # No socket file: its path would be as long as the clone's.
    if as_postgres "$programs/pg_ctl" --pgdata="$folder/data" --log="$folder/server.log" \
      --wait --timeout=60 \
      --options="-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=300 $*" \
      start >>"$state/postgres.log" 2>&1 </dev/null; then
      note "PostgreSQL $("$programs/postgres" --version | grep -oE '[0-9]+\.[0-9]+' | head -n 1) on port $port"
      printf 'postgres://postgres@127.0.0.1:%s/postgres\n' "$port" >"$state/postgres.url"
      return
    fi
    note "PostgreSQL did not start (attempt $attempt)"
  done
  tail -n 20 "$state/postgres.log" "$folder/server.log" >&2 || true
  die "PostgreSQL does not start"
}

start_mariadb() {
  local folder port attempt tries user
  if ! have mariadbd || ! have mariadb-install-db; then
    install_debian mariadb-server
  fi
  folder="$state/mariadb"
  mkdir -p "$folder"
  chmod 700 "$folder"
  user="$(id -un)"
  # No defaults: the server's character set is then latin1, a good test of our own collations.
  mariadb-install-db --no-defaults --user="$user" --datadir="$folder/data" \
    --auth-root-authentication-method=normal --skip-test-db >"$state/mariadb.log" 2>&1
  for attempt in 1 2 3; do
    port="$(free_port)"
    # The socket's name is relative to the data folder: its whole path could be too long.
    nohup mariadbd --no-defaults --user="$user" --datadir="$folder/data" --bind-address=127.0.0.1 \
      --port="$port" --socket=server.sock --pid-file="$folder/server.pid" --max-connections=300 \
      --skip-name-resolve >>"$state/mariadb.log" 2>&1 </dev/null &
    for tries in $(seq 1 120); do
      if mariadb-admin --no-defaults --protocol=tcp --host=127.0.0.1 --port="$port" --user=root \
        ping >/dev/null 2>&1; then
        note "MariaDB $(mariadbd --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1) on port $port"
        printf 'mysql://root@127.0.0.1:%s/mysql\n' "$port" >"$state/mariadb.url"
        return
      fi
      kill -0 "$!" 2>/dev/null || break
      sleep 0.5
    done
    note "MariaDB did not start (attempt $attempt, waited for $tries half seconds)"
    stop_mariadb
  done
  tail -n 20 "$state/mariadb.log" >&2
  die "MariaDB does not start"
}

stop_postgres() {
  [ -s "$state/postgres.folder" ] || return 0
  local folder programs
  folder="$(cat "$state/postgres.folder")"
  programs="$(cat "$state/postgres.programs")"
  if [ -f "$folder/data/postmaster.pid" ]; then
    as_postgres "$programs/pg_ctl" --pgdata="$folder/data" --mode=immediate --wait stop >/dev/null 2>&1 || true
  fi
  rm -rf "$folder"
}

stop_mariadb() {
  local pid
  [ -s "$state/mariadb/server.pid" ] || return 0
  pid="$(cat "$state/mariadb/server.pid")"
  # The number may be another program's by now.
  if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = mariadbd ]; then
    kill -9 "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
  fi
  rm -f "$state/mariadb/server.pid"
}

stop() {
  stop_postgres
  stop_mariadb
  rm -rf "$state"
}

start() {
  stop # what a killed run left behind
  mkdir -p "$state"
  if [ -z "${LINGPAI_TEST_POSTGRES_URL:-}" ] || [ -z "${LINGPAI_TEST_MYSQL_URL:-}" ]; then
    need_python
  fi
  if [ -n "${LINGPAI_TEST_POSTGRES_URL:-}" ]; then
    note "PostgreSQL: the one of LINGPAI_TEST_POSTGRES_URL"
    printf '%s\n' "$LINGPAI_TEST_POSTGRES_URL" >"$state/postgres.url"
  else
    start_postgres "$@"
  fi
  if [ -n "${LINGPAI_TEST_MYSQL_URL:-}" ]; then
    note "MySQL: the one of LINGPAI_TEST_MYSQL_URL"
    printf '%s\n' "$LINGPAI_TEST_MYSQL_URL" >"$state/mariadb.url"
  else
    start_mariadb
  fi
  printf 'export LINGPAI_TEST_POSTGRES_URL=%q\n' "$(cat "$state/postgres.url")"
  printf 'export LINGPAI_TEST_MYSQL_URL=%q\n' "$(cat "$state/mariadb.url")"
}

case "${1:-}" in
  start) start "${@:2}" ;;
  stop) stop ;;
  *) die "usage: scripts/databases.sh start [OPTION…] | stop" ;;
esac
