#!/usr/bin/env bash
# Makes the secrets of the compose files; what is there is left as it is. Twilio's token is put in by hand.
#   deploy/compose-secrets.sh [FOLDER]        (deploy/secrets)
# Compose mounts the files as they are, and the servers run as another user: the files are readable, the folder is not.
# The token's file is made empty with the right mode, which an editor or `echo` keeps whatever your umask is.
set -euo pipefail
umask 022
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/secrets}
mkdir -p "$folder"
chmod 700 "$folder"

random() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }
hash() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }
keep() { cat >"$folder/.new" && mv "$folder/.new" "$folder/$1"; }
make() { if [ ! -e "$folder/$1" ]; then printf '%s\n' "$2" | keep "$1"; fi; }

make api-keys "$(random)"
make webhook-secret "whsec_$(head -c 32 /dev/urandom | base64 | tr -d '\n')"
make grafana-admin "$(random)"
make redis-url "redis://transcriber:$(random)@redis:6379/0"
password=$(random)
make redis-monitoring.json "{\"redis://monitoring@redis:6379\": \"$password\", \"redis://redis:6379\": \"$password\"}"
if [ ! -e "$folder/redis-users.acl" ]; then
  server=$(sed -nE 's|^redis://transcriber:([^@]+)@.*|\1|p' "$folder/redis-url")
  monitoring=$(sed -nE 's|.*"redis://redis:6379": "([^"]+)".*|\1|p' "$folder/redis-monitoring.json")
  [ -n "$server" ] && [ -n "$monitoring" ] || { echo "no password in $folder/redis-url or redis-monitoring.json" >&2; exit 1; }
  # Users that get no password here cannot log in: nobody knows one with the hash that stands in the file.
  sed -E -e "/^user transcriber /s/#0{64}/#$(hash "$server")/" -e "/^user monitoring /s/#0{64}/#$(hash "$monitoring")/" \
    "$here/redis/users.acl" | keep redis-users.acl
fi
[ -e "$folder/twilio-auth-token" ] || : >"$folder/twilio-auth-token"
[ -s "$folder/twilio-auth-token" ] || echo "now put your account's auth token into $folder/twilio-auth-token" >&2
