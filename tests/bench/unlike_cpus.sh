#!/usr/bin/env bash
# unlike_cpus.sh INDEX COMMAND...: runs a worker as if its CPU were of another kind than its peers'.
set -euo pipefail
kinds=(default avx2 avx512)
export ATEN_CPU_CAPABILITY=${kinds[$(($1 % 3))]}
shift
exec "$@"
