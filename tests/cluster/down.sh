#!/usr/bin/env bash
# down.sh: ends what up.sh started and removes every trace of it; does nothing where nothing is.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

for name in controller-manager scheduler apiserver etcd; do kill9 "$name"; done
for n in "${NODES[@]}"; do remove_node "$n"; done
ip link del "$BRIDGE" 2>/dev/null || true
# A node's overlay mounts go with its mount namespace, a moment after its last process.
wait_until 10 "the mounts of dead nodes to go" rm -rf "$STATE"
rmdir --ignore-fail-on-non-empty /var/lib/{kubelet,containerd,cni} 2>/dev/null || true
