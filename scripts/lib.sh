# shellcheck shell=bash disable=SC2034
# Sourced by the other scripts: where things are, and how a step tells what it does and how long it took.
# Everything that a step says goes to standard error, so that a script can print its one result.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${WEIR_CACHE:-$HOME/.cache/weir}
# The newest first. `cli/src/render/version.rs` has the same.
SUPPORTED_ENVOYS="1.40.0 1.39.0 1.38.2 1.37.0 1.36.2"

say() { printf '==> %s\n' "$*" >&2; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# step "what" command...: says what it does, does it, says how long it took or that it failed.
step() {
  local what=$1 begin=$SECONDS status=0
  shift
  say "$what"
  "$@" || status=$?
  if ((status)); then
    say "FAILED after $((SECONDS - begin)) s (status $status): $what"
  else
    say "done in $((SECONDS - begin)) s: $what"
  fi
  return "$status"
}

# need command "how to install it"
need() {
  command -v "$1" >/dev/null 2>&1 || fail "\`$1\` is missing. Install it: $2"
}

# has_packages name...: whether Debian's packages are installed.
has_packages() {
  local package
  command -v dpkg-query >/dev/null 2>&1 || return 1
  for package in "$@"; do
    [[ $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) == *" installed" ]] || return 1
  done
}

# install_packages name...: as root with apt, else says which command to run.
install_packages() {
  # Where something else is being installed, apt waits for its end.
  local install="apt-get install --yes --no-install-recommends -o DPkg::Lock::Timeout=300 $*"
  has_packages "$@" && return
  command -v apt-get >/dev/null 2>&1 || fail "need Debian's packages ($*) or their equals on this system; there is no apt-get here"
  [[ $(id -u) == 0 ]] || fail "need Debian's packages: run \`sudo apt-get update && sudo $install\`, then try again"
  if ! apt-cache show --no-all-versions "$@" >/dev/null 2>&1; then
    step "apt-get update (some 10 s)" apt-get update -qq >&2
  fi
  # A list that is too old names files that are gone: then once more with a new one.
  DEBIAN_FRONTEND=noninteractive $install -qq >&2 || {
    step "apt-get update (some 10 s)" apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive $install -qq >&2 || fail "\`$install\` failed; see above"
  }
}

# The Debian compiler, for wasm alone: its cargo and rustc must win over rustup's for this one command.
debian_cargo() {
  env -u RUSTUP_TOOLCHAIN -u RUSTC_WRAPPER PATH="/usr/bin:$PATH" RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc \
    RUSTC_BOOTSTRAP=1 /usr/bin/cargo "$@"
}

# A Python that has pip.
python_with_pip() {
  local python
  for python in python3 /usr/bin/python3; do
    if command -v "$python" >/dev/null 2>&1 && "$python" -m pip --version >/dev/null 2>&1; then
      printf '%s\n' "$python"
      return
    fi
  done
  need python3 "apt-get install python3 python3-pip"
  step "install pip for Python (some 30 s)" install_packages python3-pip
  printf '/usr/bin/python3\n'
}

# locked_version crate: its version in Cargo.lock.
locked_version() {
  awk -v name="name = \"$1\"" '$0 == name { getline; gsub(/[^0-9.]/, ""); print; exit }' "$ROOT/Cargo.lock"
}

# What host builds and tests are made of: always all of them, and a choice of targets among them. Cargo builds a library anew for each
# set of features, and another choice of packages asks for other features of the same libraries: of all of Delta Lake's, too.
host_packages=(-p weir-core -p weir-cli -p weir-e2e -p weir-e2e-engine)

# tests_in FOLDER: cargo's choice of the tests in it, a line each.
tests_in() {
  local test
  for test in "$ROOT/$1"/*; do
    [[ ! -f $test && ! -f $test/main.rs ]] || printf -- '--test\n%s\n' "$(basename "$test" .rs)"
  done
}
