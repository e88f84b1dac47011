#!/usr/bin/env bash
# e2e.sh [VERSION|all] [CARGO TEST ARGUMENTS]: the end-to-end tests in the real Envoy, on that version or on all supported ones.
# They need dist/weir.wasm and dist/weir (`make build`).
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

supported=(1.40.0 1.37.0)
versions=("${supported[@]}")
[[ ${1:-all} == all ]] || versions=("$1")
[[ $# == 0 ]] || shift
[[ -f dist/weir.wasm && -x dist/weir ]] || fail "dist/weir.wasm and dist/weir are missing: run \`make build\`"

WEIR_E2E_PYTHON=$("$ROOT/scripts/setup-python.sh")
WEIR_E2E_TABLES_PYTHON=$("$ROOT/scripts/setup-python.sh" "$ROOT/tests/tables/requirements.txt")
WEIR_E2E_CHROMIUM=$("$ROOT/scripts/setup-chromium.sh")
export WEIR_E2E_PYTHON WEIR_E2E_TABLES_PYTHON WEIR_E2E_CHROMIUM
"$ROOT/scripts/setup-limitador.sh" >/dev/null
failed=0
for version in "${versions[@]}"; do
  WEIR_E2E_ENVOY_BINARY=$("$ROOT/scripts/setup-envoy.sh" "$version")
  export WEIR_E2E_ENVOY=$version WEIR_E2E_ENVOY_BINARY
  # Two at a time: each test starts an Envoy, mocks and a collector of its own.
  step "end-to-end tests on Envoy $version (some minutes)" \
    cargo test --locked --no-fail-fast -p weir-e2e "$@" -- --test-threads="${WEIR_E2E_THREADS:-2}" || failed=1
done
exit "$failed"
