#!/usr/bin/env bash
# image.sh: dist/image/weir, a static binary, and three images of it and of dist/weir.wasm (scripts/image.py says which) in
# dist/image, without a registry and without docker. WEIR_CLI_PROFILE=dev: not optimized, as in build-cli.sh.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

need cargo "https://rustup.rs"
need cc "apt-get install gcc libc6-dev"
need python3 "apt-get install python3"
[[ -f dist/weir.wasm ]] || fail "dist/weir.wasm is missing: run \`make build\`"
# `dist/weir` is linked by the machine's own C library instead: a static one looks up names without what /etc/nsswitch.conf may ask
# for, which is right in an image from scratch and nowhere else.
RUSTC_WORKSPACE_WRAPPER=$ROOT/scripts/rustc-static.sh WEIR_CLI_OUT=dist/image "$ROOT/scripts/build-cli.sh"
# Of a static binary `ldd` says so, on either stream, and fails or not.
[[ $(ldd dist/image/weir 2>&1) == *statically* || $(ldd dist/image/weir 2>&1) == *"not a dynamic"* ]] ||
  fail "dist/image/weir is not static: the C library's static form is missing (Debian: libc6-dev)"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
step "images in dist/image" python3 scripts/image.py dist/weir.wasm dist/image/weir "$version" dist/image
