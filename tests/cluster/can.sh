#!/usr/bin/env bash
# Whether up.sh can bring up a cluster here: says why not, and fails.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"

[ "$(id -u)" = 0 ] || { say "needs root"; exit 1; }
[ "$(uname -s)" = Linux ] || { say "needs Linux"; exit 1; }
for controller in $CONTROLLERS; do
  folder="/sys/fs/cgroup/$controller$(own_cgroup "$controller")"
  # A folder of its own, as up.sh makes one.
  probe="${folder%/}/$CGROUP-probe-$$"
  mkdir "$probe" 2>/dev/null || { say "needs cgroups of version 1 that may be written, and has no $folder"; exit 1; }
  rmdir "$probe"
done
unshare --mount --pid --fork --cgroup --uts --ipc --net true 2>/dev/null || { say "may not make namespaces"; exit 1; }
unshare --mount sh -c 'mount -t tmpfs tmpfs /mnt' 2>/dev/null || { say "may not mount"; exit 1; }
