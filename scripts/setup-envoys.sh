#!/usr/bin/env bash
# setup-envoys.sh: puts every supported Envoy into the cache.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

for version in $SUPPORTED_ENVOYS; do
  "$ROOT/scripts/setup-envoy.sh" "$version" >/dev/null
done
