#!/usr/bin/env bash
# Makes the secrets of postgres.yml in ./secrets beside this file. What is there is never replaced:
# without its master key a database is worth nothing. Keep a copy elsewhere.
set -euo pipefail
folder="$(dirname "$0")/secrets"
umask 077
mkdir -p "$folder"

# Containers read the files as user 65532 and not as whoever made them; the folder keeps others out.
keep() {
  chmod 0444 "$1"
  printf 'made %s\n' "$1"
}

if [ ! -e "$folder/postgres_password" ]; then
  password="$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')"
  printf '%s' "$password" >"$folder/postgres_password"
  keep "$folder/postgres_password"
  rm -f "$folder/database_url"
fi
if [ ! -e "$folder/database_url" ]; then
  printf 'postgres://lingpai:%s@postgres/lingpai' "$(cat "$folder/postgres_password")" >"$folder/database_url"
  keep "$folder/database_url"
fi
if [ ! -e "$folder/master_key" ]; then
  head -c 32 /dev/urandom | base64 >"$folder/master_key"
  keep "$folder/master_key"
fi
