#!/usr/bin/env bash
# setup-chromium.sh: a Chromium for looking at the collector's page, Debian's where there is none. Prints its path.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

command -v chromium >/dev/null 2>&1 || step "install chromium (about a minute)" install_packages chromium
command -v chromium
