#!/usr/bin/env bash
# setup-wasm.sh [TARGET]: finds or installs a compiler for TARGET (default wasm32-wasip1) and prints which one it is:
# `rustup` (the cargo on the PATH has the target) or `debian` (/usr/bin/cargo, which builds std itself).
# WEIR_WASM=rustup|debian chooses by hand. Host code is never built with Debian's.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

target=${1:-wasm32-wasip1}
packages=(rustc-web cargo-web rust-web-src lld-22)
[[ $target == wasm32-wasip1 ]] && packages+=(wasi-libc)

on_path_has_target() {
  local libs
  libs=$(rustc --print sysroot)/lib/rustlib/$target/lib
  compgen -G "$libs/libstd-*.rlib" >/dev/null
}

add_by_rustup() {
  command -v rustup >/dev/null 2>&1 || return 1
  timeout 120 rustup target add "$target" >&2
}

answer() {
  printf '%s\n' "$1"
  exit 0
}

need rustc "https://rustup.rs, or your distribution's rustc and cargo of at least the rust-version in Cargo.toml"
case ${WEIR_WASM:-} in
  rustup) on_path_has_target || fail "WEIR_WASM=rustup, but the cargo on the PATH has no $target: run \`rustup target add $target\`"; answer rustup ;;
  debian | "") ;;
  *) fail "WEIR_WASM: expected rustup or debian, found \`$WEIR_WASM\`" ;;
esac

if [[ -z ${WEIR_WASM:-} ]]; then
  on_path_has_target && answer rustup
  has_packages "${packages[@]}" && answer debian
  step "rustup target add $target (some 10 s where rustup can download)" add_by_rustup && on_path_has_target && answer rustup
  say "rustup cannot give $target here; Debian's compiler can: ${packages[*]} (some 600 MB on disk)"
fi
step "install Debian's Rust for wasm (1 to 2 minutes)" install_packages "${packages[@]}"
answer debian
