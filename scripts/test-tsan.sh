#!/usr/bin/env bash
# The programs whose code runs on several threads and needs no LibTorch, under the thread sanitizer.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=(runtime_data runtime_checkpoint runtime_collective runtime_membership
          controller_http controller_kube controller_app cli_kubectl)
scripts/build.sh tsan "${programs[@]/%/_test}"
pattern=$(IFS='|'; echo "${programs[*]}")
TSAN_OPTIONS="halt_on_error=1 suppressions=$PWD/tests/tsan.supp" \
  ctest --test-dir build/tsan --output-on-failure -j "$(nproc)" -R "^($pattern)(\\.|\$)"
