#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")/../.."
trap 'tests/bench/cpu_quota.sh down lsr || true' EXIT
python3 tests/bench/rescale.py "$@"
