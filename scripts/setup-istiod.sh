#!/usr/bin/env bash
# setup-istiod.sh: builds Istio's control plane, pinned in tests/istio/pilot, into the cache, and prints its path; where it cannot be
# had (no Go, or CI, where it would take too long), it prints nothing and says so.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

module=$ROOT/tests/istio/pilot
version=$(grep -oE 'istio\.io/istio v[^ ]+' "$module/go.mod" | cut -d ' ' -f 2)
binary=$CACHE/tools/istiod-$version/istiod
if [[ ! -x $binary ]]; then
  go=$(command -v go || true)
  [[ -n $go || ! -x /usr/local/go/bin/go ]] || go=/usr/local/go/bin/go
  if [[ -z $go ]]; then
    say "SKIPPED: Istio's control plane is a Go program, and there is no Go here"
    exit 0
  fi
  if [[ -n ${CI:-} ]]; then
    say "SKIPPED: building Istio's control plane takes too long for CI"
    exit 0
  fi
  mkdir -p "$(dirname "$binary")"
  step "build Istio's control plane $version (8 minutes of CPU, once)" \
    nice -n 10 env -C "$module" "$go" build -mod=readonly -p 2 -tags=vtprotobuf,disable_pgv -ldflags='-s -w' \
    -o "$binary.tmp" . >&2
  mv "$binary.tmp" "$binary"
fi
printf '%s\n' "$binary"
