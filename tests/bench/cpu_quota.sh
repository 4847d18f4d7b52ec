#!/usr/bin/env bash
# CPU quotas for processes of one machine: a cgroup each, under the cpu controller of cgroup v1 or v2, whichever
# has it. Needs root.
#
#   tests/bench/cpu_quota.sh up PREFIX PERIOD_US PERCENT...    make groups 0, 1, ... with these quotas of one CPU
#   tests/bench/cpu_quota.sh exec PREFIX INDEX -- COMMAND...   become COMMAND, in group INDEX
#   tests/bench/cpu_quota.sh down PREFIX                       end what still runs in the groups, remove them
#
# PREFIX: 1-16 of [a-z0-9]; the groups lie in a group of that name. `down` belongs into the caller's
# `trap ... EXIT`; it fails if a group is still there after 10 s, and does nothing if there is none.
set -euo pipefail

fail() { echo "cpu_quota: $*" >&2; exit 2; }
usage() { sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }

[ $# -ge 2 ] || usage
readonly COMMAND=$1 PREFIX=$2
shift 2
[[ $PREFIX =~ ^[a-z0-9]{1,16}$ ]] || fail "PREFIX '$PREFIX' must be 1 to 16 of [a-z0-9]"

# Mount points of cgroup file systems of a type ("cgroup" with the cpu controller, or "cgroup2").
mounts() {
  awk -v type="$1" '{
    split($0, side, " - "); split(side[1], mount, " "); split(side[2], what, " ")
    if (what[1] == type && (type == "cgroup2" || "," what[3] "," ~ /,cpu,/)) print mount[5]
  }' /proc/self/mountinfo
}

# Sets VERSION and HOME_GROUP, the group that holds all of PREFIX.
locate() {
  local root
  for root in $(mounts cgroup); do
    VERSION=1 HOME_GROUP=$root/$PREFIX
    return
  done
  for root in $(mounts cgroup2); do
    grep -qw cpu "$root/cgroup.controllers" || continue
    VERSION=2 HOME_GROUP=$root/$PREFIX
    return
  done
  fail "no cgroup hierarchy with the cpu controller is mounted"
}

up() {
  local period=$1 index=0 percent quota group
  shift
  [[ $period =~ ^[0-9]+$ ]] || fail "PERIOD_US '$period' must be a number"
  for percent in "$@"; do
    [[ $percent =~ ^[0-9]+$ && $percent -ge 1 ]] || fail "PERCENT '$percent' must be a number of at least 1"
  done
  down
  trap down ERR
  mkdir "$HOME_GROUP"
  if [ "$VERSION" = 2 ]; then
    echo +cpu >"${HOME_GROUP%/*}/cgroup.subtree_control"
    echo +cpu >"$HOME_GROUP/cgroup.subtree_control"
  fi
  for percent in "$@"; do
    quota=$((period * percent / 100))
    group=$HOME_GROUP/$index
    mkdir "$group"
    if [ "$VERSION" = 2 ]; then
      echo "$quota $period" >"$group/cpu.max"
    else
      echo "$period" >"$group/cpu.cfs_period_us"
      echo "$quota" >"$group/cpu.cfs_quota_us"
    fi
    index=$((index + 1))
  done
  trap - ERR
}

# Whatever is in the groups was put there by `exec`.
down() {
  local group pid tries=0
  while [ -d "$HOME_GROUP" ]; do
    for group in "$HOME_GROUP"/*/ "$HOME_GROUP"; do
      [ -d "$group" ] || continue
      for pid in $(cat "$group/cgroup.procs" 2>/dev/null || true); do kill -9 "$pid" 2>/dev/null || true; done
      rmdir "$group" 2>/dev/null || true
    done
    [ -d "$HOME_GROUP" ] || break
    tries=$((tries + 1))
    [ "$tries" -le 100 ] || fail "cannot remove $HOME_GROUP"
    sleep 0.1
  done
}

locate
case "$COMMAND" in
  up) [ $# -ge 2 ] || usage; up "$@" ;;
  down) down ;;
  exec)
    [ $# -ge 2 ] || usage
    echo $$ >"$HOME_GROUP/$1/cgroup.procs"
    shift
    [ "$1" = -- ] && shift
    exec "$@"
    ;;
  *) usage ;;
esac
