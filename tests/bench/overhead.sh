#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")/../.."
scripts/build.sh release overhead_bare
python3 tests/bench/overhead/overhead.py "$@"
