#!/usr/bin/env bash
# setup-python.sh [REQUIREMENTS]: a virtual environment with exactly those packages (default tests/clients/requirements.txt),
# kept in the cache under the hash of the file. Prints the path of its Python.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

requirements=${1:-$ROOT/tests/clients/requirements.txt}
need python3 "apt-get install python3 python3-venv python3-pip"
key=$(sha256sum "$requirements" | cut -c 1-16)
venv=$CACHE/venv/$key

make() {
  local python
  rm -rf "$venv"
  mkdir -p "$CACHE/venv"
  # Debian's Python has no ensurepip unless python3-venv is there; then another Python's pip installs into the environment.
  if python3 -m venv "$venv" >/dev/null 2>&1; then
    "$venv/bin/python" -m pip install --quiet --no-deps --requirement "$requirements" >&2
  else
    python=$(python_with_pip)
    "$python" -m venv --clear --without-pip "$venv" &&
      "$python" -m pip --python "$venv/bin/python" install --quiet --no-deps --requirement "$requirements" >&2
  fi
}

if [[ ! -f $venv/complete ]]; then
  step "Python packages of ${requirements#"$ROOT"/} (1 to 2 minutes)" make || fail "pip could not install $requirements; see above"
  touch "$venv/complete"
fi
printf '%s\n' "$venv/bin/python"
