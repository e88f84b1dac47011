#!/usr/bin/env bash
# setup-redis.sh: prints the path of redis-server, from the PATH or from Debian's package.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

command -v redis-server >/dev/null 2>&1 || step "install redis-server (some 20 s)" install_packages redis-server >&2
command -v redis-server
