#!/usr/bin/env bash
# can-hold.sh: whether this machine can hold the cluster. Tries what up.sh and the nodes ask of the kernel, in namespaces
# that go with it, says everything that is refused, and fails if anything was. Needs what install-deps.sh cluster installs.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

refused=false
need() {
  local what=$1
  shift
  "$@" >/dev/null && return
  echo "can-hold: no $what, see above" >&2
  refused=true
}

inside() { unshare --net --pid --fork --mount --ipc --uts --propagation private bash -euc "$1"; }

make_cgroups() {
  local controller root
  if [ -e "$CGROUP2/cgroup.controllers" ]; then
    for controller in cpu cpuset memory pids io; do
      grep -w "$controller" "$CGROUP2/cgroup.controllers" || { echo "$CGROUP2 has no $controller" >&2; return 1; }
    done
    mkdir "$CGROUP2/lsc-probe" && rmdir "$CGROUP2/lsc-probe"
    return
  fi
  for controller in cpu cpuset memory pids devices; do
    root=/sys/fs/cgroup/$controller
    mkdir "$root/lsc-probe" && rmdir "$root/lsc-probe" || return 1
  done
}

stack_directories() {
  local at result
  at=$(mktemp -d "${STATE%/*}/lsc-probe.XXXXXX") || return 1
  mkdir "$at"/{lower,upper,work,merged}
  inside "mount -t overlay overlay -o lowerdir=$at/lower,upperdir=$at/upper,workdir=$at/work $at/merged"
  result=$?
  rm -rf "$at"
  return $result
}

need "root" test "$(id -u)" = 0
need "kernel log, which the kubelet reads" head -c 0 /dev/kmsg
need "namespaces with mounts of their own" inside \
  'mount --make-rshared /; mount -t proc proc /proc; mount -t tmpfs tmpfs /run; hostname probe'
need "files in the place of kernel settings" inside \
  'mount -t tmpfs tmpfs /run; echo 1 >/run/setting; mount --bind /run/setting /proc/sys/vm/overcommit_memory'
need "bridges and pairs of links" inside \
  'ip link add probe0 type bridge; ip link add probe1 type veth peer name probe2; ip link set probe1 master probe0 up'
modprobe br_netfilter 2>/dev/null # may be part of the kernel
need "forwarding, and filtering of what a bridge carries" inside \
  'sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1'
need "iptables with what kube-proxy writes" inside \
  'iptables -t nat -A OUTPUT -m comment --comment probe -m statistic --mode random --probability 0.5 \
     -j MARK --set-xmark 0x4000/0x4000
   iptables -t nat -A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE
   iptables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT'
need "overlays in ${STATE%/*}" stack_directories
need "cgroups for nodes" make_cgroups
! $refused
