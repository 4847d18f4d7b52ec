#!/usr/bin/env bash
# e2e.sh [--if-possible] [-k WORD]...: everything from nothing: binaries, images, cluster, scenarios (run.py gets the
# arguments), and nothing left of it but caches, however this ends. Needs root.
# --if-possible: where this machine cannot make or start the cluster, say so and succeed.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh

optional=
if [ "${1:-}" = --if-possible ]; then
  optional=1
  shift
fi
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

# Of the machine, not of the product.
impossible() {
  [ -n "$optional" ] || exit 1
  echo "e2e: NOT RUN: $1 (see above)"
  exit 0
}

step scripts/install-deps.sh cluster || impossible "what the cluster needs could not be installed"
in_background tests/cluster/build.sh
kit=$!
step scripts/build.sh release longstride longstride-worker longstride-controller kubectl-longstride
step images/build.sh
wait "$kit" || impossible "the cluster's programs could not be made"
step tests/cluster/up.sh || impossible "the cluster did not start"
step tests/cluster/load.sh build/images/{controller,worker,worker-fashion-mnist}.tar
step tests/cluster/run.py "$@"
