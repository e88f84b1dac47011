#!/usr/bin/env bash
# containers.sh: the images of `make image`, and docker-compose.yml for real in an engine of its own, which ends with the test.
# Where no engine can run (not root, no Debian, a container without the rights) it says so and skips.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

"$ROOT/scripts/image.sh"
python3 tests/compose/images.py dist
[[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || {
  say "SKIPPED: docker-compose.yml is run where root can install Debian's packages and start an engine"
  exit 0
}
dockerd=$("$ROOT/scripts/setup-docker.sh")
envoy=$("$ROOT/scripts/setup-envoy.sh" 1.40.0)
redis=$("$ROOT/scripts/setup-redis.sh")
ratelimit=$("$ROOT/scripts/setup-ratelimit.sh")
step "docker-compose.yml in an engine of its own (under 2 minutes)" \
  python3 tests/compose/run.py --dockerd "$dockerd" --envoy "$envoy" --redis "$redis" --ratelimit "$ratelimit"
