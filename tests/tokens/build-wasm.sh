#!/usr/bin/env bash
# build-wasm.sh FOLDER: the counters as filters for Envoy, one wasm each, built and optimized as Weir's own.
set -euo pipefail
crate=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$crate/../../scripts/lib.sh"
folder=$1
mkdir -p "$folder"
toolchain=$("$ROOT/scripts/setup-wasm.sh" wasm32-wasip1)
export CARGO_TARGET_DIR=$ROOT/target/tokens

build() {
  local cargo=(cargo) more=() flags=("-Ctarget-feature=+simd128")
  if [[ $toolchain == debian ]]; then
    cargo=(debian_cargo)
    more=("-Zbuild-std=std,panic_abort")
    flags+=("-Lnative=/usr/lib/wasm32-wasi")
    export CARGO_TARGET_WASM32_WASIP1_LINKER=wasm-ld-22
  fi
  CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${flags[*]}") "${cargo[@]}" build --manifest-path "$crate/Cargo.toml" \
    --locked --profile wasm -p weir-tokens-wasm --features "$1" --target wasm32-wasip1 "${more[@]}" >&2
  cp "$CARGO_TARGET_DIR/wasm32-wasip1/wasm/counter.wasm" "$folder/$1.wasm"
}

for way in weir tiktoken bpe-openai; do
  step "build the counter $way as wasm (up to 3 minutes)" build "$way"
  say "$way.wasm: $(stat -c %s "$folder/$way.wasm") bytes"
done
