#!/usr/bin/env bash
# node-init.sh NAME DIR: PID 1 of a node, in pid, mount, ipc, uts and network namespaces of its own. What
# the node's programs write to fixed places lands in DIR or in memory. When this ends, the node is gone.
set -euo pipefail
name=$1 dir=$2
hostname "$name"
mount --make-rshared /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
for d in kubelet containerd cni; do mount --bind "$dir/$d" "/var/lib/$d"; done

# The kubelet wants these of the kernel, for the whole machine. It gets to see them; the machine keeps its own.
while read -r setting value; do
  echo "$value" >"$dir/sysctl"
  mount --bind "$dir/sysctl" "/proc/sys/$setting" && rm "$dir/sysctl"
done <<'SETTINGS'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
SETTINGS

touch "$dir/ready"
trap 'exit 0' TERM
while :; do
  sleep infinity &
  wait
done
