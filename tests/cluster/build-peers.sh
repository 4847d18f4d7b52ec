#!/usr/bin/env bash
# build-peers.sh: JobSet and Kubeflow Trainer, which benchmarks compare with, from the Go modules pinned in go-peers/:
# images and manifests in $PEERS (see lib.sh). Skips what is there. Called by build.sh, whose kubectl it needs.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ ! -e "$PEERS/.complete" ] || exit 0

use_pinned_go
work=$PEERS/making
rm -rf "$work"
mkdir -p "$work" "$PEERS/images"

# image NAME PACKAGE: longstride.test/NAME:1, whose program is /manager as in the peers' own images
image() {
  mkdir -p "$work/$1-root"
  (cd "$CLUSTER/go-peers" && go build -ldflags '-s -w' -o "$work/$1-root/manager" "$2")
  python3 "$CLUSTER/../../images/archive.py" "$PEERS/images/$1.tar" "longstride.test/$1:1" "$work/$1-root" \
    --entrypoint /manager --user 65532:65532
}

# manifest NAME MODULE FOLDER: the module's own kustomization, with our image
manifest() {
  local from
  from=$(cd "$CLUSTER/go-peers" && go list -m -f '{{.Dir}}' "$2")
  cp -r "$from" "$work/$1-source"
  chmod -R u+w "$work/$1-source"
  # JobSet, which this line would fetch, is installed by itself.
  sed -i '/third-party\/jobset/d' "$work/$1-source/$3/kustomization.yaml"
  kubectl kustomize "$work/$1-source/$3" 2>"$work/$1-warnings" |
    sed -E "s|^( *(- )?image: )[^ ]+\$|\1longstride.test/$1:1|" >"$work/$1.yaml"
  mv "$work/$1.yaml" "$PEERS/$1.yaml"
}

echo "-- JobSet, Kubeflow Trainer -> $PEERS (minutes)"
image jobset sigs.k8s.io/jobset
image trainer github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager
manifest jobset sigs.k8s.io/jobset config/default
manifest trainer github.com/kubeflow/trainer/v2 manifests/overlays/manager
rm -rf "$work"
touch "$PEERS/.complete"
