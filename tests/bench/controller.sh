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
ulimit -n "$(ulimit -Hn)" # 4,000 workers' connections
build/release/bin/controller_load --controller build/release/bin/longstride-controller --out "$out" >/dev/null
tests/cluster/down.sh # one that was left
tests/cluster/up.sh
tests/cluster/load.sh build/images/controller.tar
tests/bench/controller/submit.py --out "$out"
tests/cluster/down.sh
# With the limit on requests that the operator has by default: whoever makes the pods has as much to spend.
NODE_GRACE=40s REQUESTS_PER_SECOND=1000 tests/cluster/up.sh
tests/cluster/load.sh build/images/controller.tar
tests/bench/controller/scale.py --out "$out"
tests/bench/controller/table.py "$out"
