#!/usr/bin/env bash
# Builds the image transcriber:VERSION; its name is the last line of the output.
#   BASE=…     another base image than the Dockerfile's (Python 3.11 or newer with venv, and apt)
#   BUILDER=…  docker or buildah; by default docker where its daemon answers, else buildah
#   IMAGE=…    another name for the image
# Arguments are passed on to the builder: --no-cache.
# Where the Dockerfile's base cannot be pulled, buildah gets a stand-in for it: Debian and its Python, from Debian's packages.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' transcriber/__init__.py)
image=${IMAGE:-transcriber:$version}
default_base=$(sed -n 's/^ARG BASE=//p' deploy/Dockerfile)
base=${BASE:-$default_base}
stand_in=localhost/transcriber-base:trixie
builder=${BUILDER:-$(docker version >/dev/null 2>&1 && echo docker || echo buildah)}

need() {
  command -v "$1" >/dev/null || { echo "$1 is not here: apt-get install $1" >&2; exit 1; }
}

make_stand_in() {
  need mmdebstrap
  local container
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    trixie "$folder/root.tar"
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$folder/root.tar" / >/dev/null
  buildah commit --quiet --rm "$container" "$stand_in" >/dev/null
}

choose_base() {
  if buildah inspect --type image "$base" >/dev/null 2>&1 || buildah pull --quiet "$base" >/dev/null; then return; fi
  [ "$base" = "$default_base" ] || { echo "$base cannot be pulled" >&2; exit 1; }
  echo "$base cannot be pulled: $stand_in, made of Debian's packages, stands in for it" >&2
  base=$stand_in
  buildah inspect --type image "$base" >/dev/null 2>&1 || make_stand_in
}

if [ "$builder" = buildah ]; then need buildah; choose_base; fi
revision=$(git describe --always --abbrev=40 --dirty --exclude '*' 2>/dev/null || echo unknown)
label=--label=org.opencontainers.image
arguments=(--file deploy/Dockerfile --tag "$image" --build-arg "BASE=$base"
  "$label.version=$version" "$label.revision=$revision" "$label.base.name=$base" "$@")
if [ "$builder" = docker ]; then
  docker build "${arguments[@]}" .
else
  # A machine that trusts certificates of its own has its steps trust them too.
  if [ -s "${SSL_CERT_FILE:-}" ]; then
    arguments+=(--volume "$(realpath "$SSL_CERT_FILE"):/etc/ssl/certs/ca-certificates.crt:ro")
  fi
  # HEALTHCHECK is in Docker's image format alone.
  buildah build --format docker --layers --isolation chroot --ignorefile deploy/Dockerfile.dockerignore "${arguments[@]}" . >&2
fi
echo "$image"
