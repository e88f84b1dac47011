#!/usr/bin/env bash
# build.sh: all that `make bench` runs: dist/weir.wasm, dist/weir, the do-nothing filter, the paced load, wrk and Envoy.
# The last line of standard output is Envoy's path.
set -euo pipefail
source "$(dirname "$0")/../../scripts/lib.sh"

noop() {
  local toolchain cargo=(cargo) more=() flags=()
  toolchain=$("$ROOT/scripts/setup-wasm.sh" wasm32-wasip1)
  if [[ $toolchain == debian ]]; then
    cargo=(debian_cargo)
    more=("-Zbuild-std=std,panic_abort")
    flags=("-Lnative=/usr/lib/wasm32-wasi")
    export CARGO_TARGET_WASM32_WASIP1_LINKER=wasm-ld-22
  fi
  # The same folder as the filter's, so that the standard library is built once.
  CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "--remap-path-prefix=$ROOT=."$'\x1f'"--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=registry"${flags:+$'\x1f'"${flags[*]}"}) \
    CARGO_TARGET_DIR=$ROOT/target/wasm "${cargo[@]}" build --manifest-path "$ROOT/Cargo.toml" --locked --profile wasm \
    -p weir-bench-noop --target wasm32-wasip1 "${more[@]}" >&2
  cp "$ROOT/target/wasm/wasm32-wasip1/wasm/noop.wasm" "$ROOT/target/bench/noop.wasm"
}

pace() {
  cargo build --manifest-path "$ROOT/Cargo.toml" --locked --release -p weir-bench-pace >&2
  cp "${CARGO_TARGET_DIR:-$ROOT/target}/release/weir-bench-pace" "$ROOT/target/bench/pace"
}

mkdir -p "$ROOT/target/bench"
"$ROOT/scripts/build-wasm.sh" >&2
"$ROOT/scripts/build-cli.sh" >&2
step "build the do-nothing filter (some 30 s the first time)" noop
step "build the paced load (some 30 s the first time)" pace
command -v wrk >/dev/null 2>&1 || step "install wrk" install_packages wrk
"$ROOT/scripts/setup-envoy.sh" "${1:-1.40.0}"
