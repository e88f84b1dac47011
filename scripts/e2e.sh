#!/usr/bin/env bash
# e2e.sh [WHICH] [CARGO TEST ARGUMENTS]: the end-to-end tests in the real Envoy. WHICH is a version, as in 1.40.0; a version
# in the mode without allow_on_headers_stop_iteration, as in 1.40.0-unpaused; `all`: whole, on all supported ones and in both
# modes (hours); or `ci`: the newest one whole, the others with what their versions and modes are about.
# They need dist/weir.wasm and dist/weir (`make build`).
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

read -ra supported <<<"$SUPPORTED_ENVOYS"
# What differs by version or mode: routes, retries, bodies, streams, what is let through and what is not.
part=(--test routing --test scope --test merged --test access_log)
more=(--test bodies --test streaming --test limits_exact --test reload)
which=${1:-all}
[[ $# == 0 ]] || shift
[[ -f dist/weir.wasm && -x dist/weir ]] || fail "dist/weir.wasm and dist/weir are missing: run \`make build\`"

WEIR_E2E_PYTHON=$("$ROOT/scripts/setup-python.sh")
WEIR_E2E_TABLES_PYTHON=$("$ROOT/scripts/setup-python.sh" "$ROOT/tests/tables/requirements.txt")
WEIR_E2E_CHROMIUM=$("$ROOT/scripts/setup-chromium.sh")
export WEIR_E2E_PYTHON WEIR_E2E_TABLES_PYTHON WEIR_E2E_CHROMIUM
"$ROOT/scripts/setup-limitador.sh" >/dev/null
failed=0

# run VERSION[-unpaused] [CARGO TEST ARGUMENTS]
run() {
  local envoy=$1 version=${1%-unpaused}
  shift
  WEIR_E2E_UNPAUSED=
  [[ $envoy == "$version" ]] || WEIR_E2E_UNPAUSED=1
  WEIR_E2E_ENVOY_BINARY=$("$ROOT/scripts/setup-envoy.sh" "$version")
  export WEIR_E2E_ENVOY=$version WEIR_E2E_ENVOY_BINARY WEIR_E2E_UNPAUSED
  # Two at a time: each test starts an Envoy, mocks and a collector of its own.
  local tests=("$@")
  [[ $# != 0 ]] || mapfile -t tests < <(tests_in tests/tests)
  step "end-to-end tests on Envoy $envoy (some minutes)" \
    cargo test --locked --no-fail-fast "${host_packages[@]}" "${tests[@]}" -- --test-threads="${WEIR_E2E_THREADS:-2}" || failed=1
}

case $which in
all) for version in "${supported[@]}"; do run "$version" "$@" && run "$version-unpaused" "$@"; done ;;
ci)
  run 1.40.0 "$@"
  run 1.36.2 "${part[@]}" "${more[@]}"
  run 1.40.0-unpaused "${part[@]}" "${more[@]}"
  for envoy in 1.39.0 1.38.2 1.37.0 1.36.2-unpaused; do run "$envoy" "${part[@]}"; done
  ;;
*) run "$which" "$@" ;;
esac
exit "$failed"
