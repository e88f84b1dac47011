#!/usr/bin/env bash
# test.sh: every check and test there is; the last line says how many passed and failed, whatever happened before.
# A step that fails without a failed test of its own (a build, a lint) counts as one failure.
set -uo pipefail
source "$(dirname "$0")/lib.sh"
cd "$ROOT" || exit 1

passed=0 failed=0 begin=$SECONDS broken=()
logs=$ROOT/target/test-logs
mkdir -p "$logs"

# part name command...: runs it, shows and keeps what it prints, and adds up the results of its tests.
part() {
  local name=$1 status good bad
  shift
  "$@" 2>&1 | tee "$logs/$name.log"
  status=${PIPESTATUS[0]}
  read -r good bad < <(awk '/^test result: /{ p += $4; f += $6 } END { print p + 0, f + 0 }' "$logs/$name.log")
  ((status == 0 || bad > 0)) || bad=1
  passed=$((passed + good)) failed=$((failed + bad))
  ((bad == 0)) || broken+=("$name")
  say "$name: $good passed, $bad failed"
  return "$status"
}

# what_failed: of each part that did, the failed tests with the start of what they said; else its last words. Some readers of a
# run see its end alone.
what_failed() {
  local name
  for name in "${broken[@]}"; do
    say "failed in $name:"
    grep -E '^test .*(FAILED|failed)$|^---- |panicked at|^error' -A 6 "$logs/$name.log" | cut -c1-400 | tail -n 60 |
      grep . || tail -n 30 "$logs/$name.log" | cut -c1-400
  done
}

part check scripts/check.sh
# The tests of `weir render` try what it makes in each Envoy that is there.
part envoys scripts/setup-envoys.sh
part core scripts/core.sh
part instructions scripts/instructions.sh --guard
# The tests above have built what `weir` is made of: an optimized one would take as long as all of them.
if part build env WEIR_CLI_PROFILE=dev make --no-print-directory build; then
  part e2e scripts/e2e.sh ci
  part containers env WEIR_CLI_PROFILE=dev scripts/containers.sh
fi
what_failed
say "all of it took $((SECONDS - begin)) s; logs are in target/test-logs"
((passed > 0)) || failed=$((failed + 1))
printf '%s passed, %s failed\n' "$passed" "$failed"
((failed == 0))
