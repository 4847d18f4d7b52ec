#!/usr/bin/env bash
# Line coverage of core, from the unit tests.
set -euo pipefail
cd "$(dirname "$0")/.."
export CCACHE_DISABLE=1
cmake -S . -B build/coverage -G Ninja -DLONGSTRIDE_RUNTIME=OFF -DCMAKE_BUILD_TYPE=Debug \
  -DCMAKE_CXX_FLAGS="-O0 --coverage" >/dev/null
cmake --build build/coverage --parallel "${JOBS:-$(nproc)}" --target core_{base,cpprest,protocol,schedule,spec}_test
ctest --test-dir build/coverage -R '^core' -LE long --output-on-failure | tail -4
gcovr -r . --object-directory build/coverage --filter 'core/' --exclude-unreachable-branches -s build/coverage
