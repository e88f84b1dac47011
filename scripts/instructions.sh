#!/usr/bin/env bash
# instructions.sh [--update | --guard]: counts the instructions of whole exchanges in core under callgrind, without the fake
# host's, and fails where one is more than 3 % off the checked-in figure, in either direction. A figure belongs to one compiler.
# --guard, for `make test`: fails only where there are more, and does nothing where the compiler is another one.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

tolerance=3
figures=$ROOT/filter/core/benches/instructions.txt
folder=$ROOT/target/instructions
need rustc "https://rustup.rs"
compiler="# $(rustc --version)"
if [[ ${1:-} == --guard && $(head -n 1 "$figures") != "$compiler" ]]; then
  say "instructions are not compared: the figures are for \"$(head -n 1 "$figures")\", this is \"$compiler\""
  exit 0
fi

build() {
  CARGO_PROFILE_BENCH_STRIP=none CARGO_PROFILE_BENCH_DEBUG=line-tables-only CARGO_PROFILE_BENCH_LTO=true \
    CARGO_PROFILE_BENCH_CODEGEN_UNITS=1 cargo bench --manifest-path "$ROOT/Cargo.toml" --locked -p weir-core \
    --features fake-host --bench exchange --no-run --message-format=json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
}

# count BINARY CASE TIMES: instructions of one exchange.
count() {
  local out=$folder/$2.callgrind total
  valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*exchange::measured*' \
    --toggle-collect='*exchange::answered*' --callgrind-out-file="$out" "$1" "$2" "$3" >"$folder/$2.calls" 2>"$folder/$2.log" ||
    fail "callgrind failed on $2: $(tail -n 3 "$folder/$2.log")"
  total=$(awk '$1 == "summary:" || $1 == "totals:" { found = $2 } END { print found + 0 }' "$out")
  ((total > 0)) || fail "callgrind counted nothing in $2: see $folder/$2.log"
  printf '%s\n' $((total / $3))
}

need cargo "https://rustup.rs"
command -v valgrind >/dev/null 2>&1 || step "install valgrind (some 30 s)" install_packages valgrind
mkdir -p "$folder"
binary=$(step "build the exchange bench (up to a minute)" build | tail -n 1)
[[ -x $binary ]] || fail "cargo built no bench"

found="$compiler"
for case in plain-1k:200 plain-100k:20 stream-100:20 translated-1k:200 translated-100k:20 translated-stream-100:20 fallback:200 refused:200 outside:500 configure:500; do
  found+=$'\n'$(printf '%s %s' "${case%:*}" "$(count "$binary" "${case%:*}" "${case#*:}")")
done
if [[ ${1:-} == --update ]]; then
  printf '%s\n' "$found" >"$figures"
fi

status=0
awk -v tolerance="$tolerance" -v less_is_fine="$([[ ${1:-} == --guard ]] && printf 1 || printf 0)" '
  /^#/ { next }
  FNR == NR { expected[$1] = $2; next }
  {
    change = expected[$1] ? ($2 / expected[$1] - 1) * 100 : 100
    off = change > tolerance || change < -tolerance
    failed = failed || (off && !(less_is_fine && change < 0))
    printf "%-22s %10d instructions, %10d expected, %+6.2f %%%s\n", $1, $2, expected[$1], change, off ? "  OFF" : ""
  }
  END { exit failed }' "$figures" <(printf '%s\n' "$found") || status=$?
if ((status)) && [[ $(head -n 1 "$figures") != "$compiler" ]]; then
  say "not compared: the figures are for \"$(head -n 1 "$figures")\", this is \"$compiler\""
  exit 0
fi
((status == 0)) || fail "more than $tolerance % off: find out why (callgrind_annotate $folder/CASE.callgrind); if it is meant, run scripts/instructions.sh --update"
