#!/usr/bin/env bash
# scripts/build.sh PRESET [TARGET...]: configure if needed and build.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
jobs=${JOBS:-$(nproc)}
export CCACHE_DIR=${CCACHE_DIR:-${LONGSTRIDE_CACHE:-$HOME/.cache/longstride}/ccache}
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
[ -e "build/$preset/build.ninja" ] || cmake --preset "$preset" >"/tmp/longstride-cmake.$$" 2>&1 || {
  cat "/tmp/longstride-cmake.$$" >&2
  exit 1
}
rm -f "/tmp/longstride-cmake.$$"
targets=()
for t in "$@"; do targets+=(--target "$t"); done
cmake --build "build/$preset" --parallel "$jobs" "${targets[@]}"
