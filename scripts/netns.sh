#!/usr/bin/env bash
# N network namespaces on one bridge, with a rate limit on every link in both directions: a small cluster
# with slow links on one machine, for tests and benchmarks. Needs root, iproute2 and the tbf scheduler.
#
#   scripts/netns.sh up PREFIX N RATE_MBIT [OWNER_PID]   make nodes 0..N-1; RATE_MBIT 0 = no limit
#   scripts/netns.sh exec PREFIX NODE -- COMMAND...      run a command in a node (or in `gw`, the bridge)
#   scripts/netns.sh bytes PREFIX NODE                   "tx rx": bytes on the node's link since `up`
#   scripts/netns.sh address PREFIX NODE                 the node's IPv4 address
#   scripts/netns.sh down PREFIX                         remove everything of PREFIX; never fails
#
# Node i has 10.77.X.(i+1) and the bridge 10.77.X.254, X derived from PREFIX. The bridge lies in a
# namespace of its own, PREFIX-gw, reachable from every node: nothing touches the host's own network, and
# two callers cannot meet even if their X is the same. PREFIX: 1-8 of [a-z0-9]. The MTU is 1500.
#
# `down` belongs into the caller's `trap ... EXIT`. With OWNER_PID, a watcher also takes everything down
# once that process is gone, even by kill -9.
set -euo pipefail

fail() { echo "netns: $*" >&2; exit 2; }
usage() { sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }

[ $# -ge 2 ] || usage
readonly COMMAND=$1 PREFIX=$2
shift 2
[[ $PREFIX =~ ^[a-z0-9]{1,8}$ ]] || fail "PREFIX '$PREFIX' must be 1 to 8 of [a-z0-9]"
readonly NET=10.77.$(($(cksum <<<"$PREFIX" | cut -d' ' -f1) % 250 + 1))
readonly GW=$PREFIX-gw

namespace_of() { [ "$1" = gw ] && echo "$GW" || echo "$PREFIX-$1"; }
address_of() { [ "$1" = gw ] && echo "$NET.254" || echo "$NET.$(($1 + 1))"; }

# A bucket of 32 KiB hides at most 3 ms of a 100 Mbit/s link; 100 ms of queue keeps TCP from losses.
limit() { # namespace device rate
  [ "$3" = 0 ] && return
  ip netns exec "$1" tc qdisc add dev "$2" root tbf rate "${3}mbit" burst 32kb latency 100ms
}

down() {
  local name
  for name in $(ip netns list 2>/dev/null | awk '{print $1}' | grep -E "^$PREFIX-(gw|[0-9]+)$" || true); do
    ip netns delete "$name" 2>/dev/null || true
  done
}

up() {
  local count=$1 rate=$2 owner=${3:-} node
  [[ $count =~ ^[0-9]+$ && $count -ge 1 && $count -le 200 ]] || fail "N '$count' must be 1 to 200"
  [[ $rate =~ ^[0-9]+(\.[0-9]+)?$ ]] || fail "RATE_MBIT '$rate' must be a number"
  down
  trap down ERR
  ip netns add "$GW"
  ip -n "$GW" link set lo up
  ip -n "$GW" link add bridge type bridge
  ip -n "$GW" address add "$NET.254/24" dev bridge
  ip -n "$GW" link set bridge up mtu 1500
  for ((node = 0; node < count; node++)); do
    local ns=$PREFIX-$node
    ip netns add "$ns"
    ip -n "$ns" link set lo up
    ip -n "$GW" link add "port$node" mtu 1500 type veth peer name eth0 mtu 1500 netns "$ns"
    ip -n "$GW" link set "port$node" master bridge up
    ip -n "$ns" address add "$NET.$((node + 1))/24" dev eth0
    ip -n "$ns" link set eth0 up
    limit "$ns" eth0 "$rate"
    limit "$GW" "port$node" "$rate"
  done
  trap - ERR
  if [ -n "$owner" ]; then
    setsid "$0" watch "$PREFIX" "$owner" >/dev/null 2>&1 </dev/null &
  fi
}

# Takes down what this `up` made, and nothing that a later one made under the same prefix.
watch() {
  local owner=$1 mine
  mine=$(stat -c %i "/run/netns/$GW")
  while [ "$(stat -c %i "/run/netns/$GW" 2>/dev/null)" = "$mine" ]; do
    kill -0 "$owner" 2>/dev/null || { down; break; }
    sleep 0.5
  done
}

case "$COMMAND" in
  up) [ $# -ge 2 ] || usage; up "$@" ;;
  down) down ;;
  watch) watch "$@" ;;  # only `up` calls it
  exec)
    [ $# -ge 2 ] || usage
    ns=$(namespace_of "$1")
    shift
    [ "$1" = -- ] && shift
    exec ip netns exec "$ns" "$@"
    ;;
  bytes)
    [ $# -eq 1 ] || usage
    ip netns exec "$(namespace_of "$1")" sh -c \
      'd=$([ -e /sys/class/net/eth0 ] && echo eth0 || echo bridge); cd /sys/class/net/$d/statistics; echo $(cat tx_bytes rx_bytes)'
    ;;
  address) [ $# -eq 1 ] || usage; address_of "$1" ;;
  *) usage ;;
esac
