#!/usr/bin/env bash
# Checks deploy/ as far as this machine allows, without a container engine:
#
#   - Dockerfile, compose files, unit and nginx.conf fit together and name what is there
#   - systemd accepts the unit, nginx its configuration, the service the example settings
#   - the service runs as the image runs it: unnamed user, no rights, read-only file system
#   - two instances on PostgreSQL answer behind nginx (with LINGPAI_TEST_POSTGRES_URL)
#
# Wants the debug build of `lingpai`. Ends with a line of numbers in the words of `cargo test`.
# shellcheck source=scripts/house.sh
source "$(dirname "${BASH_SOURCE[0]}")/house.sh"

binary="$target/debug/lingpai"
[ -x "$binary" ] || die "there is no $binary: cargo build --bin lingpai"
need_python
python="${LINGPAI_TEST_PYTHON:-$(scripts/test-python.sh)}"
# The unnamed user of the image must be able to enter it, wherever the clone lies.
scratch="$(mktemp -d /tmp/lingpai-deploy.XXXXXX)"
chmod 755 "$scratch"
passed=0
failed=0
skipped=0
started=()

clean_up() {
  local pid
  for pid in "${started[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  rm -rf "$scratch"
}
trap clean_up EXIT

ok() {
  passed=$((passed + 1))
  printf 'ok - %s\n' "$1"
}
not_ok() {
  failed=$((failed + 1))
  printf 'not ok - %s\n' "$1"
  [ -z "${2:-}" ] || tail -n 15 "$2" | sed 's/^/    /'
}
skip() {
  skipped=$((skipped + 1))
  printf 'skipped - %s: %s\n' "$1" "$2"
}
# A command that holds or does not: `holds NAME COMMAND…`.
holds() {
  local name="$1"
  shift
  if "$@" >"$scratch/said" 2>&1 </dev/null; then ok "$name"; else not_ok "$name" "$scratch/said"; fi
}

# The status that a path answers with on a port.
status_of() {
  "$python" - "$1" "$2" <<'PY'
import sys, urllib.request, urllib.error
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    print(opener.open(f"http://127.0.0.1:{sys.argv[1]}{sys.argv[2]}", timeout=3).status)
except urllib.error.HTTPError as error:
    print(error.code)
except OSError as error:
    print(error)
PY
}
# Waits until a path answers 200: `ready PORT PATH PID`.
ready() {
  for _ in $(seq 1 120); do
    [ "$(status_of "$1" "$2")" != 200 ] || return 0
    kill -0 "$3" 2>/dev/null || return 1
    sleep 0.25
  done
  return 1
}

files() {
  local line
  while read -r line; do
    case "$line" in
      "ok - "*) ok "${line#ok - }" ;;
      "not ok - "*) not_ok "${line#not ok - }" ;;
      *) not_ok "check_deploy_files.py: $line" ;;
    esac
  done < <("$python" scripts/check_deploy_files.py 2>&1)
}

compose_accepts() {
  local file
  if ! docker compose version >/dev/null 2>&1; then
    skip "docker compose accepts the files" "docker compose is not installed"
    return
  fi
  for file in deploy/compose/*.yml; do
    holds "docker compose accepts $file" \
      env LINGPAI_PUBLIC_URL=https://lingpai.example docker compose --file "$file" config --quiet
  done
}

secrets_are_made_once() {
  cp deploy/compose/make-secrets.sh "$scratch/" &&
    "$scratch/make-secrets.sh" && cp -r "$scratch/secrets" "$scratch/before" &&
    "$scratch/make-secrets.sh" && diff -r "$scratch/before" "$scratch/secrets" &&
    [ "$(stat -c %a "$scratch/secrets")" = 700 ] &&
    [ "$(base64 -d "$scratch/secrets/master_key" | wc -c)" = 32 ]
}

unit() {
  if ! have systemd-analyze; then
    skip "systemd accepts the unit" "systemd-analyze is not installed"
    return
  fi
  # The unit as it is, but with the program where it lies here.
  sed "s#/usr/local/bin/lingpai #$scratch/lingpai #" deploy/systemd/lingpai.service >"$scratch/lingpai.service"
  holds "systemd accepts the unit" systemd-analyze verify "$scratch/lingpai.service"
  holds "systemd calls the unit's exposure low" \
    systemd-analyze security --offline=true --threshold=20 "$scratch/lingpai.service"
}

# nginx.conf for this machine: its own port and folder, and the two instances where they listen.
nginx_here() {
  sed -e "s#listen 8080;#listen 127.0.0.1:$1;#" \
    -e "s#lingpai-1:8080#127.0.0.1:$2#" -e "s#lingpai-2:8080#127.0.0.1:$3#" \
    -e "s#pid /run/nginx.pid;#pid $scratch/nginx.pid;#" \
    -e "s#access_log /dev/stdout#access_log $scratch/access.log#" \
    -e "s#error_log /dev/stderr#error_log $scratch/error.log#" \
    deploy/compose/nginx.conf >"$scratch/nginx.conf"
}

proxy() {
  if ! have nginx; then
    skip "nginx accepts its configuration" "nginx is not installed"
    return
  fi
  nginx_here 8080 8081 8082
  holds "nginx accepts its configuration" nginx -t -q -p "$scratch" -c "$scratch/nginx.conf"
}

settings() {
  holds "the service accepts the unit's settings" \
    env -i "$scratch/lingpai" config check --config deploy/systemd/lingpai.toml
}

# Runs a command as the image does: user 65532, no rights, and one folder that can be written to.
# Becomes that command, so that its process is the one that was started.
# shellcheck disable=SC2016
like_the_image='
  set -eu
  data="$1"; shift
  mount --make-rprivate /
  mount --bind "$data" "$data"
  while read -r _ point _; do
    case "$point" in "$data" | /proc | /proc/* | /sys | /sys/* | /dev | /dev/pts | /dev/mqueue) continue ;; esac
    mount -o remount,bind,ro "$point" 2>/dev/null || true
  done </proc/self/mounts
  if touch /tmp/lingpai-was-here 2>/dev/null; then echo "the file system is not read-only"; exit 97; fi
  cd "$data"
  exec setpriv --reuid=65532 --regid=65532 --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all "$@"
'

image_like_run() {
  local name="the service runs as an unnamed user on a read-only file system" data="$scratch/data" port pid code
  if [ "$(id -u)" -ne 0 ] || ! have setpriv || ! unshare --mount true 2>/dev/null; then
    skip "$name" "needs root, setpriv and mount namespaces"
    return
  fi
  install -d -o 65532 -g 65532 -m 0700 "$data"
  port="$(free_port)"
  unshare --mount bash -c "$like_the_image" like-the-image "$data" \
    env -i LINGPAI_SERVER__LISTEN="127.0.0.1:$port" LINGPAI_DATABASE__URL="sqlite://$data/lingpai.db" \
    "$scratch/lingpai" serve >"$scratch/service.log" 2>&1 </dev/null &
  pid=$!
  started+=("$pid")
  if ready "$port" /healthz "$pid"; then ok "$name"; else
    not_ok "$name" "$scratch/service.log"
    return
  fi
  holds "it is ready there, with its database" ready "$port" /readyz "$pid"
  holds "the image's health check sees it" deploy/container/healthcheck.sh "$port"
  if [ "$(stat -c '%a %u' "$data/master.key" 2>/dev/null)" = "600 65532" ]; then
    ok "its master key is for nobody else"
  else
    not_ok "its master key is for nobody else ($(stat -c '%a %u' "$data/master.key" 2>&1))"
  fi
  kill -TERM "$pid"
  code=0
  wait "$pid" || code=$?
  if [ "$code" -eq 0 ]; then ok "SIGTERM ends it in order"; else not_ok "SIGTERM ends it in order (code $code)" "$scratch/service.log"; fi
  if deploy/container/healthcheck.sh "$port" 2>/dev/null; then
    not_ok "the image's health check sees that it is gone"
  else
    ok "the image's health check sees that it is gone"
  fi
}

instance() {
  env -i LINGPAI_SERVER__LISTEN="127.0.0.1:$1" LINGPAI_SERVER__IDLE_TIMEOUT_SECS=75 \
    LINGPAI_SERVER__MAX_CONNECTIONS_PER_PEER=0 LINGPAI_DATABASE__URL_FILE="$scratch/database_url" \
    LINGPAI_SECRETS__MASTER_KEY_FILE="$scratch/secrets/master_key" \
    "$scratch/lingpai" serve >"$scratch/instance-$1.log" 2>&1 </dev/null &
  started+=("$!")
}

two_instances() {
  local name="two instances on one PostgreSQL answer behind nginx" database="lingpai_deploy_$$" one two front
  if [ -z "${LINGPAI_TEST_POSTGRES_URL:-}" ] || ! have nginx || ! have psql; then
    skip "$name" "needs LINGPAI_TEST_POSTGRES_URL, psql and nginx"
    return
  fi
  psql --quiet "$LINGPAI_TEST_POSTGRES_URL" --command "CREATE DATABASE $database" || {
    not_ok "$name: no database could be made"
    return
  }
  printf '%s' "$LINGPAI_TEST_POSTGRES_URL" | sed -E "s#/[^/?]*(\?.*)?\$#/$database\1#" >"$scratch/database_url"
  one="$(free_port)" && two="$(free_port)" && front="$(free_port)"
  nginx_here "$front" "$one" "$two"
  instance "$one"
  instance "$two" # both bring the schema up to date: one does, the other waits
  local first="${started[-2]}" second="${started[-1]}"
  nginx -p "$scratch" -c "$scratch/nginx.conf" -g 'daemon off;' >"$scratch/nginx.log" 2>&1 </dev/null &
  started+=("$!")
  if ready "$one" /readyz "$first" && ready "$two" /readyz "$second" && ready "$front" /readyz "${started[-1]}"; then
    ok "$name"
    kill -TERM "$first"
    wait "$first" || true
    holds "nginx goes on with the other when one ends" ready "$front" /readyz "$second"
  else
    cat "$scratch"/instance-*.log "$scratch/nginx.log" >"$scratch/all.log"
    not_ok "$name" "$scratch/all.log"
  fi
  kill -TERM "$second" "${started[-1]}" 2>/dev/null || true
  wait "$second" "${started[-1]}" 2>/dev/null || true
  psql --quiet "$LINGPAI_TEST_POSTGRES_URL" --command "DROP DATABASE $database WITH (FORCE)" || true
}

install -m 0755 "$binary" "$scratch/lingpai"
files
compose_accepts
holds "secrets are made once and never replaced" secrets_are_made_once
unit
proxy
settings
image_like_run
two_instances

verdict=ok
[ "$failed" -eq 0 ] || verdict=FAILED
printf 'test result: %s. %s passed; %s failed; %s ignored\n' "$verdict" "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
