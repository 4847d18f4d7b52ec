#!/usr/bin/env bash
# Every program that needs no LibTorch, under the address, leak and undefined-behaviour sanitizers.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/build.sh asan
# Whole stacks of allocations, also through libraries without frame pointers: the suppressions need them.
ASAN_OPTIONS="fast_unwind_on_malloc=0" LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp:print_suppressions=0" \
  ctest --test-dir build/asan --output-on-failure -LE long -j "$(nproc)"
