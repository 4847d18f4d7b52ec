#!/usr/bin/env bash
# All tests: the release build with real processes, then the sanitizers. Prints ctest's closing lines.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
echo "== release"
ctest --test-dir build/release --output-on-failure -LE long || failed=1
echo "== address, leak and undefined-behaviour sanitizers"
scripts/test-asan.sh || failed=1
echo "== thread sanitizer"
scripts/test-tsan.sh || failed=1
exit $failed
