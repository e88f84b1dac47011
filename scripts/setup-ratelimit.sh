#!/usr/bin/env bash
# setup-ratelimit.sh: builds envoyproxy/ratelimit, pinned in tests/engine/ratelimit, into the cache, and prints its path; where
# there is no Go, it prints nothing and says so.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

version=$(awk '$1 == "github.com/envoyproxy/ratelimit" || $2 == "github.com/envoyproxy/ratelimit" { print $NF }' \
  "$ROOT/tests/engine/ratelimit/go.mod")
binary=$CACHE/tools/ratelimit-$version/ratelimit
if [[ ! -x $binary ]]; then
  go=$(command -v go || true)
  [[ -n $go || ! -x /usr/local/go/bin/go ]] || go=/usr/local/go/bin/go
  if [[ -z $go ]]; then
    say "SKIPPED: envoyproxy/ratelimit is a Go program, and there is no Go here"
    exit 0
  fi
  mkdir -p "$(dirname "$binary")"
  step "build envoyproxy/ratelimit $version (some 3 minutes)" \
    env -C "$ROOT/tests/engine/ratelimit" "$go" build -mod=readonly -p 2 -o "$binary.tmp" github.com/envoyproxy/ratelimit/src/service_cmd >&2
  mv "$binary.tmp" "$binary"
fi
printf '%s\n' "$binary"
