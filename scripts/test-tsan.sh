#!/usr/bin/env bash
# The tests labelled `threads`, under the thread sanitizer.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/build.sh tsan
TSAN_OPTIONS="halt_on_error=1 suppressions=$PWD/tests/tsan.supp" \
  ctest --test-dir build/tsan --output-on-failure -L threads
