#!/usr/bin/env bash
# check.sh: everything that a machine can say without running: format, clippy, file lengths, test aliases, names in documents.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

max_lines=400

# The filter is a wasm module: clippy reads it for the target on which it runs, where the cargo on the PATH has that.
clippy_filter() {
  local target=()
  compgen -G "$(rustc --print sysroot)/lib/rustlib/wasm32-wasip1/lib/libstd-*.rlib" >/dev/null && target=(--target wasm32-wasip1)
  cargo clippy --locked -p weir-filter "${target[@]}" -- -D warnings
}

file_lengths() {
  local long
  long=$(git ls-files --cached --others --exclude-standard '*.rs' | while read -r file; do
    [[ ! -f $file ]] || awk -v max="$max_lines" 'END { if (NR > max) print FILENAME ": " NR " lines" }' "$file"
  done)
  [[ -z $long ]] || {
    printf 'longer than %s lines: split it, or move its tests to a file of their own\n%s\n' "$max_lines" "$long" >&2
    return 1
  }
}

# A core test module without the alias runs natively alone, and nobody notices.
test_aliases() {
  local without
  without=$(git ls-files --cached --others --exclude-standard 'filter/core/*.rs' | while read -r file; do
    # A measurement that needs a clock says of itself that it is native.
    if grep -qE '^ *#\[test\]' "$file" && ! grep -qE 'wasm_bindgen_test as test|^#!\[cfg\(not\(target_arch = "wasm32"\)\)\]' "$file"; then printf '%s\n' "$file"; fi
  done)
  [[ -z $without ]] || {
    printf 'tests that would not run under node (alias wasm_bindgen_test as test, see CONTRIBUTING.md):\n%s\n' "$without" >&2
    return 1
  }
}

# shellcheck disable=SC2016
# Every path in backquotes in these pages must exist; it is read from the root, or from the page's folder.
document_names() {
  local page name missing=0
  for page in README.md ARCHITECTURE.md CONTRIBUTING.md; do
    [[ -f $page ]] || continue
    while read -r name; do
      [[ -e $name ]] || git ls-files --error-unmatch "*/$name" >/dev/null 2>&1 || {
        printf '%s names `%s`, which is not there\n' "$page" "$name" >&2
        missing=1
      }
    done < <(grep -oE '`[A-Za-z0-9_./-]+\.(rs|sh|md|toml|yaml|py)`' "$page" | tr -d '`' | sort -u)
  done
  return "$missing"
}

failed=0
step "rustfmt" cargo fmt --all --check || failed=1
step "clippy on core, cli and tests" cargo clippy --locked -p weir-core -p weir-cli -p weir-e2e --all-targets --all-features -- -D warnings || failed=1
step "clippy on the filter" clippy_filter || failed=1
# A workspace of its own: its lock must follow when core gets another dependency.
step "lock file of tests/tokens" cargo update --quiet --manifest-path tests/tokens/Cargo.toml --workspace --locked || failed=1
step "no file over $max_lines lines" file_lengths || failed=1
step "core tests run under node too" test_aliases || failed=1
step "names of files in the documents" document_names || failed=1
exit "$failed"
