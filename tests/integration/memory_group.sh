#!/bin/sh
# memory_group.sh [--unseen] GROUP COMMAND...: runs COMMAND in the memory control group (v1) GROUP.
# --unseen: in a mount namespace without the memory controller's files, so that the limit cannot be read, as with a
# limit above a container's own group.
unseen=
if [ "$1" = --unseen ]; then
  unseen=1
  shift
fi
echo $$ >"/sys/fs/cgroup/memory/$1/cgroup.procs" || exit 2
shift
[ -n "$unseen" ] || exec "$@"
# shellcheck disable=SC2016  # expanded by the inner shell
exec unshare --mount sh -c 'umount --lazy /sys/fs/cgroup/memory && exec "$@"' memory_group.sh "$@"
