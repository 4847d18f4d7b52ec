#!/usr/bin/env bash
# The controller against a fake API server, and on a real cluster beside Job, JobSet and Kubeflow Trainer. Needs root.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
out=build/bench/controller.json

mkdir -p build/bench "$CACHE"
exec 9>"$CACHE/cluster.lock" # one cluster per machine
flock 9
trap tests/cluster/down.sh EXIT

scripts/install-deps.sh cluster
tests/cluster/build.sh kwok peers
images/build.sh controller
build/release/bin/controller_load --controller build/release/bin/longstride-controller --out "$out" >/dev/null
tests/cluster/up.sh
tests/cluster/load.sh build/images/controller.tar
tests/bench/controller/submit.py --out "$out"
tests/cluster/down.sh
NODE_GRACE=40s tests/cluster/up.sh
tests/cluster/load.sh build/images/controller.tar
tests/bench/controller/scale.py --out "$out"
tests/bench/controller/table.py "$out"
