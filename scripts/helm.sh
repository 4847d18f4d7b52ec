#!/usr/bin/env bash
# Prints where helm is: $HELM, the one in PATH, or the test cluster's (tests/cluster/build.sh). Fails if nowhere.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -n "${HELM:-}" ]; then
  echo "$HELM"
elif command -v helm; then
  :
elif [ -e tests/cluster/lib.sh ] && . tests/cluster/lib.sh && [ -x "$BIN/helm" ]; then
  echo "$BIN/helm"
else
  echo "helm.sh: no helm: set HELM, or make one with tests/cluster/build.sh" >&2
  exit 1
fi
