#!/usr/bin/env bash
# e2e.sh [--if-possible] [-k WORD]...: everything from nothing: binaries, images, cluster, scenarios (run.py gets the
# arguments), and nothing left of it but caches, however this ends. Needs root. With --if-possible a machine that cannot
# hold the cluster is no failure: it is said, and no scenario is run.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh

if_possible=false
[ "${1-}" != --if-possible ] || { if_possible=true; shift; }

mkdir -p "$CACHE"
exec 9>"$CACHE/cluster.lock" # one cluster per machine; a second run waits for the first
flock 9

# Each step is a process group of its own, so that an interrupt reaches all of it, and us at once.
groups=()
in_background() {
  setsid "$@" &
  groups+=($!)
}
step() {
  in_background "$@"
  wait $!
}
# What depends on the machine.
try() {
  "$@" && return
  $if_possible || exit 1
  echo "e2e: NO SCENARIO WAS RUN, as this machine cannot hold the cluster: '$*' failed, see above" >&2
  exit 0
}
finish() {
  trap '' INT TERM
  for group in "${groups[@]}"; do kill -- "-$group" 2>/dev/null || true; done
  tests/cluster/down.sh
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

try step scripts/install-deps.sh cluster
in_background tests/cluster/build.sh
kit=$!
kit_is_built() { wait "$kit"; }
step scripts/build.sh release longstride longstride-worker longstride-controller kubectl-longstride
step images/build.sh
try kit_is_built
step tests/cluster/down.sh # one that was left, with what was done to it
try step tests/cluster/up.sh
step tests/cluster/load.sh build/images/{controller,worker,worker-fashion-mnist}.tar
step tests/cluster/run.py "$@"
