#!/usr/bin/env bash
# build-cli.sh: builds the `weir` binary for this machine to dist/weir (WEIR_CLI_OUT: another folder). WEIR_CLI_PROFILE=dev: not
# optimized, which spares a second build of all of Delta Lake's libraries where the tests have made one.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

need cargo "https://rustup.rs"
need cc "apt-get install gcc"
profile=${WEIR_CLI_PROFILE:-release}
folder=$profile
build=(cargo build --locked --profile "$profile" -p weir-cli)
if [[ $profile == dev ]]; then
  folder=debug
  # As the tests build it: its own tests need it as a program.
  build=(cargo test --locked "${host_packages[@]}" --no-run --test check)
fi
step "build weir, $profile (some 5 minutes the first time: Delta Lake's libraries)" env -C "$ROOT" "${build[@]}"
out=$ROOT/${WEIR_CLI_OUT:-dist}
mkdir -p "$out"
cp "${CARGO_TARGET_DIR:-$ROOT/target}/$folder/weir" "$out/weir.tmp"
mv "$out/weir.tmp" "$out/weir"
