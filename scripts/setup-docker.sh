#!/usr/bin/env bash
# setup-docker.sh: installs a docker engine and docker-compose from Debian's packages where the engine is missing, and prints the
# engine's path. It starts nothing.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

for command in dockerd docker-compose iptables; do
  [[ -x /usr/bin/$command || -x /usr/sbin/$command ]] ||
    { step "install docker.io, docker-compose (some 20 s)" install_packages docker.io docker-compose iptables >&2 && break; }
done
command -v dockerd || printf '/usr/sbin/dockerd\n'
