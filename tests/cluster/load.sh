#!/usr/bin/env bash
# load.sh [--node N] ARCHIVE...: imports image archives into the nodes' containerd; skips what it has imported.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
if [ "${1:-}" = --node ]; then
  NODES=("$2")
  shift 2
fi

load() {
  local n=$1 archive mark stamp
  shift
  mkdir -p "$STATE/node$n/imported"
  wait_until 30 "containerd of node$n" on_node "$n" ctr version
  for archive in "$@"; do
    archive=$(realpath "$archive") # nsenter goes to the root directory
    # By name alone: another archive of that name holds another image of the same tag.
    mark=$STATE/node$n/imported/${archive##*/}
    stamp=$(stat -c '%n %Y %s' "$archive")
    [ "$(cat "$mark" 2>/dev/null)" = "$stamp" ] && continue
    on_node "$n" ctr --namespace k8s.io images import "$archive" >>"$STATE/log/node$n-images.log" 2>&1
    echo "$stamp" >"$mark"
  done
}

loads=()
for n in "${NODES[@]}"; do
  load "$n" "$@" &
  loads+=($!)
done
for pid in "${loads[@]}"; do wait "$pid"; done
