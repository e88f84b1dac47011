#!/usr/bin/env bash
# test-wasm.sh [TEST ARGUMENTS]: runs weir-core's tests as WebAssembly under node (target wasm32-unknown-unknown).
# Fails when a test fails, and when none ran: a test module without the alias of CONTRIBUTING.md would be passed over in silence.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

need node "apt-get install nodejs"
toolchain=$("$ROOT/scripts/setup-wasm.sh" wasm32-unknown-unknown)
CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$("$ROOT/scripts/setup-bindgen.sh")
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER
export CARGO_TARGET_DIR=$ROOT/target/wasm-test
# A failed test is reported by node; a trace of the runner itself says nothing more.
export RUST_BACKTRACE=0
# Without optimization the property tests take minutes.
export CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=0

run() {
  local cargo=(cargo) more=()
  if [[ $toolchain == debian ]]; then
    cargo=(debian_cargo)
    more=("-Zbuild-std=std,panic_abort")
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-22
  fi
  "${cargo[@]}" test --manifest-path "$ROOT/Cargo.toml" --locked --no-fail-fast -p weir-core --lib --tests \
    --target wasm32-unknown-unknown "${more[@]}" -- "$@" 2>&1
}

log=$ROOT/target/test-wasm.log
mkdir -p "$ROOT/target"
step "weir-core's tests as WebAssembly under node, with $toolchain's compiler" run "$@" | tee "$log"
ran=$(awk '/^test result:/ { n += $4 } END { print n + 0 }' "$log")
((ran > 0)) || fail "no test ran under node: do the test modules alias wasm_bindgen_test as test?"
say "$ran tests passed under node"
