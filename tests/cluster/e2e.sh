#!/usr/bin/env bash
# e2e.sh [-k WORD]...: everything from nothing: binaries, images, cluster, scenarios (run.py gets the arguments),
# and nothing left of it but caches, however this ends. Needs root.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh

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
finish() {
  trap '' INT TERM
  for group in "${groups[@]}"; do kill -- "-$group" 2>/dev/null || true; done
  tests/cluster/down.sh
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step scripts/install-deps.sh cluster
in_background tests/cluster/build.sh
kit=$!
step scripts/build.sh release longstride longstride-worker longstride-controller kubectl-longstride
step images/build.sh
wait "$kit"
step tests/cluster/down.sh # one that was left, with what was done to it
step tests/cluster/up.sh
step tests/cluster/load.sh build/images/{controller,worker,worker-fashion-mnist}.tar
step tests/cluster/run.py "$@"
