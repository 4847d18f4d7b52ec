#!/usr/bin/env bash
# Every program that needs no LibTorch, under the address, leak and undefined-behaviour sanitizers.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/build.sh asan
failed=0
# These programs with cpprestsdk leave its thread pool behind. The suppressions for that need whole stacks of allocations, also
# through libraries without frame pointers, which makes every allocation slow: for these programs alone.
with_cpprest='^(controller_http|runtime_membership|cli|cli_kubectl)(\.|$)'
export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp:print_suppressions=0"
ASAN_OPTIONS="fast_unwind_on_malloc=0" ctest --test-dir build/asan --output-on-failure -LE long -j "$(nproc)" \
  -R "$with_cpprest" || failed=1
ctest --test-dir build/asan --output-on-failure -LE long -j "$(nproc)" -E "$with_cpprest" || failed=1
exit $failed
