#!/usr/bin/env bash
# All tests: the release build with real processes, then the sanitizers. Prints ctest's closing lines, and at the end once
# more what failed.
set -euo pipefail
cd "$(dirname "$0")/.."

failures=build/test-failures.log
mkdir -p build
: >"$failures"

# The last 60 lines that each test that failed has printed; of a build that failed, its end.
failed_in() {
  local found
  found=$(awk '
    function tell() { for (i = n > 60 ? n - 60 : 0; i < n; ++i) print lines[i]; n = 0 }
    /^ *[0-9]+\/[0-9]+ Test|^ +Start |^[0-9]+% tests passed/ { tell(); failed = /\*\*\*/ && !/\*\*\*Skipped/; if (failed) print; next }
    failed { lines[n++] = $0 }
    END { tell() }' "$1")
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
