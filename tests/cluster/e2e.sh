#!/usr/bin/env bash
# e2e.sh [--if-possible] [ARGUMENT]...: everything from nothing: binaries, images, cluster, scenarios (run.py gets the
# arguments), and nothing left of it but caches, however this ends. Needs root. With --if-possible it is no failure when
# this machine cannot hold the cluster (can-hold.sh), or when what the cluster is made of cannot be fetched: that is said,
# and no scenario is run. Everything else that fails is a failure.
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
# impossible WHY: what depends on the machine and its network, and not on this repository
impossible() {
  $if_possible || exit 1
  echo "e2e: NO SCENARIO WAS RUN, as $1, see above" >&2
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

step scripts/install-deps.sh cluster || impossible "packages cannot be installed"
step tests/cluster/can-hold.sh || impossible "this machine cannot hold the cluster"
in_background tests/cluster/build.sh
kit=$!
step scripts/build.sh release longstride longstride-worker longstride-controller kubectl-longstride
step images/build.sh
built=0
wait "$kit" || built=$?
[ "$built" != "$CANNOT_FETCH" ] || impossible "Go modules cannot be fetched"
[ "$built" = 0 ] || exit "$built"
step tests/cluster/down.sh # one that was left, with what was done to it
if [ -e "$CGROUP2/cgroup.controllers" ]; then # not tried yet (README.md), so it may be the machine
  step tests/cluster/up.sh || impossible "the cluster did not start under cgroup version 2"
else
  step tests/cluster/up.sh
fi
step tests/cluster/load.sh build/images/{controller,worker,worker-fashion-mnist}.tar
step tests/cluster/run.py "$@"
