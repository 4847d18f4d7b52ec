#!/usr/bin/env bash
# All tests: the release build with real processes, then the sanitizers. Prints ctest's closing lines, and at the end once
# more what failed.
set -euo pipefail
cd "$(dirname "$0")/.."

failures=build/test-failures.log
mkdir -p build
: >"$failures"

# What the tests that failed printed, at most 60 lines of each; of a build that failed, its end.
failed_in() {
  local found
  found=$(awk '/^ *[0-9]+\/[0-9]+ Test|^ +Start |^[0-9]+% tests passed/ { shown = /\*\*\*/ ? 60 : 0 } shown-- > 0' "$1")
  echo "${found:-$(tail -n 40 "$1")}"
}

stage() {
  local log
  log=$(mktemp)
  echo "== $1"
  if ! "${@:2}" 2>&1 | tee "$log"; then
    { echo "== FAILED: $1"; failed_in "$log"; } >>"$failures"
  fi
  rm -f "$log"
}

stage "release" ctest --test-dir build/release --output-on-failure -LE long
stage "address, leak and undefined-behaviour sanitizers" scripts/test-asan.sh
stage "thread sanitizer" scripts/test-tsan.sh

[[ ! -s $failures ]] || { cat "$failures"; exit 1; }
