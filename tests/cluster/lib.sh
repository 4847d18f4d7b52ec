# shellcheck shell=bash disable=SC2034 # used by those who source it
# What the scripts beside this file share: names, places and addresses. Sourced, never run.
CLUSTER=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${LONGSTRIDE_CACHE:-$HOME/.cache/longstride}

# The kit is everything that takes minutes to make: the binaries of one set of versions and flags.
KUBERNETES=1.34.4
HELM=3.19.4
_version=k8s.io/component-base/version
LDFLAGS="-s -w -X $_version.gitVersion=v$KUBERNETES -X $_version.gitMajor=1 -X $_version.gitMinor=34
 -X $_version.gitCommit=0000000000000000000000000000000000000000 -X $_version.gitTreeState=clean
 -X $_version.buildDate=2026-01-01T00:00:00Z -X k8s.io/client-go/pkg/version.gitVersion=v$KUBERNETES
 -X helm.sh/helm/v3/internal/version.version=v$HELM"
_key=$( (cd "$CLUSTER" && cat go/go.{mod,sum} go/*/main.go go-kwok/go.* pause.c; echo "$LDFLAGS") |
  sha256sum | cut -c1-12)
KIT=$CACHE/cluster-$_key
# What benchmarks compare with, which changes for reasons of its own.
PEERS=$CACHE/cluster-peers-$(cat "$CLUSTER"/go-peers/go.* "$CLUSTER/build-peers.sh" | sha256sum | cut -c1-12)
BIN=$KIT/bin
GOROOT_PINNED=$CACHE/go-$(sed -n 's/^toolchain go//p' "$CLUSTER/go/go.mod")/go

# For those who compile: the Go that the kit is pinned to, and its caches.
use_pinned_go() {
  export PATH=$GOROOT_PINNED/bin:$PATH GOTOOLCHAIN=local CGO_ENABLED=0
  export GOFLAGS='-trimpath -buildvcs=false -modcacherw' GOMODCACHE=$CACHE/go-modules GOCACHE=$CACHE/go-build
}

readonly CANNOT_FETCH=75 # build.sh's exit code when a download fails

# What one run of the cluster leaves on disk; down.sh removes all of it.
STATE=/var/lib/longstride-cluster
PKI=$STATE/pki
export KUBECONFIG=$PKI/admin.kubeconfig
STORE=$STATE/store # every node sees it: a directory in it serves as a ReadWriteMany volume
NODES=(1 2)

# Nodes are network namespaces on a bridge of the host. Nothing is forwarded beyond it.
BRIDGE=lsc0
HOST_IP=172.31.213.1
ETCD=http://127.213.0.1:2379
CONTROL_IP=127.213.0.1 # a loopback address of our own, so that no port can be taken
SERVICES=10.214.0.0/16
DNS_IP=10.214.0.10
node_ip() { echo "172.31.213.1$1"; }
pod_range() { echo "10.213.$1.0/24"; }

# Cgroups of nodes, made by us because version 1 has a tree for each controller. Version 2 has one, for all.
readonly CGROUP2=/sys/fs/cgroup
readonly CGROUPS=(unified cpu cpuacct cpuset memory devices freezer blkio pids systemd)

# A pid alone may be another process's by now, and a dead process answers kill -0 until it is reaped:
# files in run/ hold the pid and the start time, and /proc tells the state.
start_time() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # shellcheck disable=SC2086 # fields
  set -- ${stat##*) }
  [[ $1 != [ZX] ]] && echo "${20}"
}

record() { echo "$2 $(start_time "$2")" >"$STATE/run/$1"; }

# running NAME: prints its pid, or fails
running() {
  local pid started
  read -r pid started 2>/dev/null <"$STATE/run/$1" || return 1
  [ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ] && echo "$pid"
}

# daemon NAME CMD...: in a session of its own, logging to log/NAME.log, holding no file (such as a lock) of ours
daemon() {
  local name=$1
  shift
  (
    exec >>"$STATE/log/$name.log" 2>&1 </dev/null
    for fd in "/proc/$BASHPID/fd"/*; do
      fd=${fd##*/}
      ((fd <= 2)) || exec {fd}>&-
    done
    exec setsid "$@"
  ) &
}

# start NAME CMD...: as a daemon, unless it runs already
start() {
  local name=$1
  shift
  running "$name" >/dev/null && return
  daemon "$name" "$@"
  record "$name" $!
}

# kill9 NAME: and wait until it is gone
kill9() {
  local pid
  pid=$(running "$1") || return 0
  kill -9 "$pid" 2>/dev/null || true
  wait_until 10 "the end of $1" not_running "$1"
}
not_running() { ! running "$1"; }

# on_node N CMD...: in the node's namespaces
on_node() {
  local pid
  pid=$(running "node$1") || { echo "node$1 is not running" >&2; return 1; }
  shift
  nsenter --target "$pid" --mount --net --pid --ipc --uts -- "$@"
}

# start_on N NAME CMD...: as a daemon of the node, which dies with it. nsenter forks to enter a pid
# namespace: its child is what runs.
start_on() {
  local node=$1 name=node$1-$2
  shift 2
  running "$name" >/dev/null && return
  daemon "$name" nsenter --target "$(running "node$node")" --mount --net --pid --ipc --uts -- "$@"
  record_child "$name" $!
}

# record_child NAME PID: NAME is the only child of PID
record_child() {
  wait_until 10 "$1" grep -q . "/proc/$2/task/$2/children"
  record "$1" "$(tr -d ' ' <"/proc/$2/task/$2/children")"
}

# wait_until SECONDS WHAT CMD...: polls; says what it waited for when time is up
wait_until() {
  local end=$((${EPOCHREALTIME/./} + $1 * 1000000)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((${EPOCHREALTIME/./} < end)) || { echo "cluster: waited in vain for $what" >&2; return 1; }
    sleep 0.05
  done
}

kubectl() { "$BIN/kubectl" "$@"; }

# remove_node N: a power cut, and all that a dead node leaves in the kernel. Its disk stays.
remove_node() {
  local n=$1
  # The kernel ends everything in a pid namespace with its PID 1; the rest is what a failed start left.
  kill9 "node$n"
  ip netns pids "lsc-node$n" 2>/dev/null | xargs --no-run-if-empty kill -9 2>/dev/null || true
  ip link del "lscv$n" 2>/dev/null || true
  ip netns del "lsc-node$n" 2>/dev/null || true
  wait_until 10 "the cgroups of node$n to empty" remove_cgroups "$n"
  rm -f "$STATE/run/node$n" "$STATE/run/node$n"-*
}

remove_cgroups() {
  local controller root
  for controller in . "${CGROUPS[@]}"; do
    root=/sys/fs/cgroup/$controller/lsc-node$1
    [ ! -d "$root" ] || find "$root" -depth -type d -exec rmdir {} + || return 1
  done
}
