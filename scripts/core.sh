#!/usr/bin/env bash
# core.sh: the core's and the cli's tests natively, then the core's under node. Runs both even when the first fails.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

failed=0
mapfile -t tests < <(tests_in filter/core/tests && tests_in cli/tests)
step "tests of core and cli, natively" cargo test --locked --no-fail-fast "${host_packages[@]}" --lib --bins "${tests[@]}" || failed=1
"$ROOT/scripts/test-wasm.sh" || failed=1
exit "$failed"
