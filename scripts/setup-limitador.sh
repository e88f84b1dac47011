#!/usr/bin/env bash
# setup-limitador.sh: builds the tests' server of the rate limit protocol on the limitador crate, and prints its path.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

step "build weir-e2e-engine (the first time about a minute)" \
  cargo build --manifest-path "$ROOT/Cargo.toml" --locked -p weir-e2e-engine >&2
printf '%s\n' "${CARGO_TARGET_DIR:-$ROOT/target}/debug/weir-e2e-engine"
