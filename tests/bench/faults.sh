#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")/../.."
trap 'scripts/netns.sh down lsf 2>/dev/null || true' EXIT
python3 tests/bench/faults.py "$@"
