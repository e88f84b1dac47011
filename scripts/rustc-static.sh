#!/usr/bin/env bash
# rustc-static.sh RUSTC ARGUMENTS: RUSTC, but that it links the program `weir` statically. Cargo's RUSTC_WORKSPACE_WRAPPER for image.sh:
# only the workspace's own crates go through it, so no library is built twice.
set -euo pipefail
case " $* " in
*" --crate-name weir "*" --crate-type bin "*) exec "$@" -C target-feature=+crt-static -C strip=symbols ;;
*) exec "$@" ;;
esac
