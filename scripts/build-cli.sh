#!/usr/bin/env bash
# build-cli.sh: builds the `weir` binary for this machine to dist/weir. WEIR_CLI_PROFILE=dev: not optimized, which spares a second
# build of all of Delta Lake's libraries where the tests have made one.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

need cargo "https://rustup.rs"
need cc "apt-get install gcc"
profile=${WEIR_CLI_PROFILE:-release}
step "build weir, $profile (some 5 minutes the first time: Delta Lake's libraries)" \
  cargo build --manifest-path "$ROOT/Cargo.toml" --locked --profile "$profile" -p weir-cli
folder=$profile
[[ $profile != dev ]] || folder=debug
mkdir -p "$ROOT/dist"
cp "${CARGO_TARGET_DIR:-$ROOT/target}/$folder/weir" "$ROOT/dist/weir.tmp"
mv "$ROOT/dist/weir.tmp" "$ROOT/dist/weir"
