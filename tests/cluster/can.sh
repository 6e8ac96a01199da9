#!/usr/bin/env bash
# Checks that up.sh can start a cluster on this machine. Otherwise prints the reason and fails.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"

[ "$(id -u)" = 0 ] || { say "root is required"; exit 1; }
[ "$(uname -s)" = Linux ] || { say "Linux is required"; exit 1; }
for controller in $CONTROLLERS; do
  folder="/sys/fs/cgroup/$controller$(own_cgroup "$controller")"
  # A new folder, as up.sh creates one.
  probe="${folder%/}/$CGROUP-probe-$$"
  mkdir "$probe" 2>/dev/null || { say "writable cgroups of version 1 are required; cannot create $folder"; exit 1; }
  rmdir "$probe"
done
unshare --mount --pid --fork --cgroup --uts --ipc --net true 2>/dev/null || { say "not permitted to create namespaces"; exit 1; }
unshare --mount sh -c 'mount -t tmpfs tmpfs /mnt' 2>/dev/null || { say "not permitted to mount file systems"; exit 1; }
