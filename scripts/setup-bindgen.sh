#!/usr/bin/env bash
# setup-bindgen.sh: the wasm-bindgen-test-runner of the version that Cargo.lock names, built once into the cache. Prints its path.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

need cargo "https://rustup.rs"
version=$(locked_version wasm-bindgen)
[[ -n $version ]] || fail "Cargo.lock names no wasm-bindgen"
tools=$CACHE/tools/wasm-bindgen-$version
runner=$tools/bin/wasm-bindgen-test-runner

# Unoptimised: it is built in half the time, and it only passes a file on to node. Its own lock file first; where the
# registry at hand lacks a version named there, the newest that fit.
install() {
  local arguments=(--quiet --debug wasm-bindgen-cli --version "$version" --bin wasm-bindgen-test-runner --root "$tools")
  cd /
  cargo install --locked "${arguments[@]}" >&2 || cargo install "${arguments[@]}" >&2
}

[[ -x $runner ]] || step "build wasm-bindgen-test-runner $version (1 to 4 minutes, once)" install
printf '%s\n' "$runner"
