#!/usr/bin/env bash
# build-wasm.sh: builds the filter to dist/weir.wasm and prints its size. Paths of this machine are kept out of the file.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

toolchain=$("$ROOT/scripts/setup-wasm.sh" wasm32-wasip1)
registry=${CARGO_HOME:-$HOME/.cargo}/registry/src
# simd128: first-seen code is counted 15 % faster by it (`make bench-tokens`), and every V8 that Envoy has shipped since 1.36 has it.
flags=("--remap-path-prefix=$ROOT=." "--remap-path-prefix=$registry=registry" "-Ctarget-feature=+simd128")

build() {
  local cargo=(cargo) more=()
  if [[ $toolchain == debian ]]; then
    cargo=(debian_cargo)
    more=("-Zbuild-std=std,panic_abort")
    flags+=("-Lnative=/usr/lib/wasm32-wasi")
    export CARGO_TARGET_WASM32_WASIP1_LINKER=wasm-ld-22
  fi
  CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${flags[*]}")
  export CARGO_ENCODED_RUSTFLAGS
  CARGO_TARGET_DIR=$ROOT/target/wasm "${cargo[@]}" build --manifest-path "$ROOT/Cargo.toml" --locked --profile wasm \
    -p weir-filter --target wasm32-wasip1 "${more[@]}" >&2
}

# Old releases of binaryen do not know every feature that a new rustc names: what they refuse is shipped as it was built.
# Nothing is inlined beyond what rustc did: one function of 82 KB came of it, on which V8's compiler spent 25 MB that Envoy
# never gave back, and no request was faster for it.
optimize() {
  wasm-opt -O3 --partial-inlining-ifs 0 --always-inline-max-function-size 0 --flexible-inline-max-function-size 0 \
    --one-caller-inline-max-function-size 0 --enable-bulk-memory --enable-sign-ext --enable-mutable-globals --enable-nontrapping-float-to-int \
    --enable-multivalue --enable-simd --enable-reference-types "$1" -o "$2" 2>"$2.log" && rm -f "$2.log"
}

need python3 "apt-get install python3"
built=$ROOT/target/wasm/wasm32-wasip1/wasm/weir.wasm
lazy=$ROOT/target/wasm/weir-lazy-tables.wasm
wasm=$ROOT/dist/weir.wasm
mkdir -p "$ROOT/dist"
step "build weir.wasm with $toolchain's compiler (under a minute; the first time up to three)" build
"$ROOT/scripts/lazy-tables.py" "$built" "$lazy"
if ! command -v wasm-opt >/dev/null 2>&1; then
  say "no wasm-opt: weir.wasm stays as it was built (\`apt-get install binaryen\` makes it a little faster)"
  cp "$lazy" "$wasm.tmp"
elif ! step "wasm-opt -O3" optimize "$lazy" "$wasm.tmp"; then
  say "this wasm-opt ($(wasm-opt --version)) cannot read the file, which stays as it was built: $(tail -n 1 "$wasm.tmp.log")"
  rm -f "$wasm.tmp.log"
  cp "$lazy" "$wasm.tmp"
fi
mv "$wasm.tmp" "$wasm"
say "dist/weir.wasm: $(stat -c %s "$wasm") bytes"
