#!/usr/bin/env bash
# tokens.sh tables|fit|errors|prove|fuzz SECONDS|bench [ROUNDS]: what the token counter is made of, and how it is held against others.
#   tables  makes the static tables anew of the official rank file, and the estimator's weights of the corpus
#   errors  prints the estimator's errors by language
#   prove   has Python's tiktoken count the corpus, 200,000 fuzz strings and all characters anew, and compares
#   fuzz    counts random strings, whole and in parts, and has bpe-openai count them too
#   bench   prints speed and memory natively and in Envoy, beside the crates tiktoken and bpe-openai
set -euo pipefail
source "$(dirname "$0")/lib.sh"

crate=$ROOT/tests/tokens
tables=$ROOT/filter/core/src/tokens
export CARGO_TARGET_DIR=$ROOT/target/tokens

build() { cargo build --manifest-path "$crate/Cargo.toml" --locked --release --bins; }

run() { "$CARGO_TARGET_DIR/release/$1" "${@:2}"; }

# The crate tiktoken-rs ships it; the programs check its SHA-256.
rank_file() {
  local manifest
  manifest=$(cargo metadata --manifest-path "$crate/Cargo.toml" --locked --format-version 1 |
    grep -o '"manifest_path":"[^"]*/tiktoken-rs-[0-9.]*/Cargo.toml"' | head -n 1 | cut -d '"' -f 4)
  [[ -n $manifest ]] || fail "cargo does not say where the crate tiktoken-rs lies: see \`cargo metadata --manifest-path tests/tokens/Cargo.toml\`"
  printf '%s/assets/o200k_base.tiktoken\n' "$(dirname "$manifest")"
}

fit() {
  run estimator fit >"$CARGO_TARGET_DIR/weights.rs"
  mv "$CARGO_TARGET_DIR/weights.rs" "$tables/weights.rs"
}

prove() {
  local python kind counts=$CARGO_TARGET_DIR/expected
  python=$("$ROOT/scripts/setup-python.sh" "$crate/requirements.txt")
  mkdir -p "$counts"
  for kind in corpus fuzz characters; do
    run texts "$kind" | step "tiktoken counts $kind (under a minute)" "$python" "$crate/reference.py" "$(rank_file)" "$counts/$kind.counts"
    cmp "$counts/$kind.counts" "$crate/expected/$kind.counts" ||
      fail "tiktoken's counts of $kind are not those of $crate/expected: put them there if the texts are meant to differ"
  done
  step "Weir's counts of all of them" cargo test --manifest-path "$crate/Cargo.toml" --locked --release --test reference
  step "Weir's counts of the corpus" cargo test --manifest-path "$ROOT/Cargo.toml" --locked --release -p weir-core --test tokens
}

need cargo "https://rustup.rs"
case ${1:-} in
tables)
  step "build (up to 5 minutes)" build
  run tables "$(rank_file)" "$tables/o200k"
  fit
  ;;
fit) step "build (up to 5 minutes)" build && fit ;;
errors) step "build (up to 5 minutes)" build && run estimator errors ;;
prove) step "build (up to 5 minutes)" build && prove ;;
fuzz) step "build (up to 5 minutes)" build && run fuzz "${2:?seconds}" ;;
bench)
  step "build (up to 5 minutes)" build
  "$crate/build-wasm.sh" "$CARGO_TARGET_DIR/envoy"
  python3 "$crate/bench.py" "${2:-7}" "$CARGO_TARGET_DIR/release/bench" "$("$ROOT/scripts/setup-envoy.sh" 1.40.0)" \
    "$CARGO_TARGET_DIR/envoy" "$crate/corpus"
  ;;
*) fail "usage: tokens.sh tables|fit|errors|prove|fuzz SECONDS|bench [ROUNDS]" ;;
esac
