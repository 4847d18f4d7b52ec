#!/usr/bin/env bash
# build.sh [kwok] [peers]: compiles what the test cluster runs into the kit (see lib.sh), and skips what is there.
# From nothing this takes 11 minutes of CPU; start it in the background while C++ compiles. Ends with $CANNOT_FETCH if
# packages or Go modules cannot be fetched.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
"$CLUSTER/../../scripts/install-deps.sh" cluster || exit "$CANNOT_FETCH"

use_pinned_go

# compile FOLDER PACKAGE...: into the kit's bin, whole or not at all
compile() {
  local folder=$1 out=$KIT/compiling
  shift
  # Loading packages fetches just the modules that they are in, so that a failure of that is told from one of compiling.
  (cd "$CLUSTER/$folder" && go list -deps "$@" >/dev/null) || exit "$CANNOT_FETCH"
  rm -rf "$out"
  mkdir -p "$out" "$BIN"
  (cd "$CLUSTER/$folder" && go build -ldflags "$LDFLAGS" -o "$out/" "$@")
  mv "$out"/* "$BIN/"
  rmdir "$out"
}

mkdir -p "$KIT"
exec 9>"$KIT/lock"
flock 9 # a second builder waits for the first and then finds all of it there
if [ ! -e "$BIN/.complete" ]; then
  echo "-- Kubernetes, etcd, CoreDNS, helm -> $KIT (minutes)"
  compile go ./kube ./coredns go.etcd.io/etcd/server/v3 helm.sh/helm/v3/cmd/helm
  mv "$BIN/server" "$BIN/etcd"
  for name in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
    ln -sf kube "$BIN/$name"
  done
  touch "$BIN/.complete"
fi
if [[ " $* " = *" kwok "* ]] && [ ! -e "$BIN/kwok" ]; then
  echo "-- kwok -> $KIT"
  compile go-kwok sigs.k8s.io/kwok/cmd/kwok
fi

# image NAME ENTRYPOINT COMMAND...: longstride.test/NAME:1 from the root that COMMAND fills
image() {
  local name=$1 entrypoint=$2 root
  shift 2
  [ ! -e "$KIT/images/$name.tar" ] || return 0
  root=$(mktemp -d)
  "$@" "$root"
  python3 "$CLUSTER/../../images/archive.py" "$KIT/images/$name.tar" "longstride.test/$name:1" "$root" \
    --entrypoint "$entrypoint"
  rm -r "$root"
}
fill_pause() { gcc -static -Os -o "$1/pause" "$CLUSTER/pause.c"; }
fill_coredns() { cp "$BIN/coredns" "$1/"; }
fill_tools() { # a shell and what belongs to it, for pods that tests write
  mkdir -p "$1/bin"
  mkdir -m 1777 "$1/tmp"
  cp /bin/busybox "$1/bin/"
  local applet
  for applet in $(/bin/busybox --list | grep -vx busybox); do ln -s busybox "$1/bin/$applet"; done
}
mkdir -p "$KIT/images"
image pause /pause fill_pause
image coredns /coredns fill_coredns
image tools /bin/sh fill_tools
[[ " $* " != *" peers "* ]] || "$CLUSTER/build-peers.sh"
