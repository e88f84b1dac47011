#!/usr/bin/env bash
# reproducible.sh: builds weir.wasm of what is committed in two other folders, from nothing, and compares them byte for byte.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for place in a some/where/else; do
  git clone --quiet "$ROOT" "$folder/$place"
  env -u CARGO_TARGET_DIR "$folder/$place/scripts/build-wasm.sh"
done
sha256sum "$folder/a/dist/weir.wasm" "$folder/some/where/else/dist/weir.wasm"
cmp "$folder/a/dist/weir.wasm" "$folder/some/where/else/dist/weir.wasm" || fail "the two builds differ"
say "both builds are the same file"
