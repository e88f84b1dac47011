#!/usr/bin/env bash
# build-cli.sh: builds the `weir` binary for this machine to dist/weir.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

need cargo "https://rustup.rs"
need cc "apt-get install gcc"
step "build weir (some 5 minutes the first time: Delta Lake's libraries)" cargo build --manifest-path "$ROOT/Cargo.toml" --locked --release -p weir-cli
mkdir -p "$ROOT/dist"
cp "${CARGO_TARGET_DIR:-$ROOT/target}/release/weir" "$ROOT/dist/weir.tmp"
mv "$ROOT/dist/weir.tmp" "$ROOT/dist/weir"
