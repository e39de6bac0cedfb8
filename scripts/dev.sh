#!/usr/bin/env bash
# Service and emulator for development: SQLite below ./data/dev, readable logs, the emulator's
# component registered. Ctrl-C ends both. The data stays; remove ./data/dev to begin anew.
# shellcheck source=scripts/house.sh
source "$(dirname "${BASH_SOURCE[0]}")/house.sh"

service=http://127.0.0.1:8080
emulator=http://127.0.0.1:8190
data="$PWD/data/dev"
key="$data/operator-key"

need_toolchain
need_python
say "Building"
cargo build --locked -p lingpai-server -p lingpai-emulator --bins
mkdir -p "$data"
started=()
trap 'kill "${started[@]}" 2>/dev/null || true; wait' EXIT

export LINGPAI_SERVER__LISTEN=127.0.0.1:8080
export LINGPAI_SERVER__PUBLIC_URL=$service
export LINGPAI_DATABASE__URL="sqlite://$data/lingpai.db"
export LINGPAI_WECHAT__API_URL=$emulator LINGPAI_WECHAT__OPEN_URL=$emulator LINGPAI_WECHAT__MP_URL=$emulator
export LINGPAI_LOG__FORMAT="${LINGPAI_LOG__FORMAT:-text}"

if [ ! -s "$key" ]; then
  (umask 077 && "$target/debug/lingpai" operator-key create dev >"$key")
fi
"$target/debug/lingpai" serve &
started+=("$!")
for _ in $(seq 1 100); do
  deploy/container/healthcheck.sh 8080 2>/dev/null && break
  kill -0 "${started[0]}" 2>/dev/null || die "the service did not start"
  sleep 0.1
done

# Registers the component that the emulator plays, and prints its appid.
appid="$("$target/debug/lingpai-emulator" --print-config | KEY_FILE="$key" SERVICE="$service" python3 -c '
import json, os, sys, urllib.error, urllib.request
component = json.load(sys.stdin)["component"]
names = ("appid", "appsecret", "push_token", "encoding_aes_key")
body = {"name": "Emulator", **{name: component[name] for name in names}}
request = urllib.request.Request(
    os.environ["SERVICE"] + "/admin/v1/components",
    json.dumps(body).encode(),
    {"Authorization": "Bearer " + open(os.environ["KEY_FILE"]).read().strip(), "Content-Type": "application/json"},
)
try:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10)
except urllib.error.HTTPError as error:
    if error.code != 409:  # registered before
        sys.exit(f"the component was not registered: {error.code} {error.read().decode()}")
print(component["appid"])
')"
events="$service/wechat/components/$appid"
# $APPID$ is WeChat's placeholder for the account.
"$target/debug/lingpai-emulator" --listen 127.0.0.1:8190 --events-url "$events/events" \
  --messages-url "$events/authorizers/\$APPID\$/events" &
started+=("$!")

say "Service   $service (documents at /docs)"
note "Emulator  $emulator"
note "Component $appid, operator key in $key"
wait -n "${started[@]}"
