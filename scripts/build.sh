#!/usr/bin/env bash
# scripts/build.sh PRESET [TARGET...]: configure if needed and build.
# LONGSTRIDE_WERROR=ON|OFF in the environment says whether warnings of the release build are errors; not set, the build
# tree stays as it is. Sanitizers bring warnings of the compiler's own making, so their builds take no part.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
jobs=${JOBS:-$(nproc)}
export CCACHE_DIR=${CCACHE_DIR:-${LONGSTRIDE_CACHE:-$HOME/.cache/longstride}/ccache}
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
options=()
[ "$preset" != release ] || [ -z "${LONGSTRIDE_WERROR:-}" ] || options=("-DLONGSTRIDE_WERROR=$LONGSTRIDE_WERROR")

configured() {
  [ -e "build/$preset/build.ninja" ] || return 1
  [ ${#options[@]} -eq 0 ] || grep -qx "LONGSTRIDE_WERROR:BOOL=$LONGSTRIDE_WERROR" "build/$preset/CMakeCache.txt"
}
configured || cmake --preset "$preset" "${options[@]}" >"/tmp/longstride-cmake.$$" 2>&1 || {
  cat "/tmp/longstride-cmake.$$" >&2
  exit 1
}
rm -f "/tmp/longstride-cmake.$$"
targets=()
for t in "$@"; do targets+=(--target "$t"); done
cmake --build "build/$preset" --parallel "$jobs" "${targets[@]}"
