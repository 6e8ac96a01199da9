#!/usr/bin/env bash
# Stops everything that up.sh started and deletes its state. KEEP=1 keeps state and logs.
# Killing the first process of the pid namespace ends every daemon, shim and pod.
set -uo pipefail
# shellcheck source=lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"

end_namespaces() {
  alive init && grep -q images/pause "/proc/$(cat "$RUN/init.pid")/cmdline" || return 0
  kill -KILL "$(cat "$RUN/init.pid")"
  for ((i = 0; i < 100; i++)); do
    kill -0 "$(cat "$RUN/unshare.pid")" 2>/dev/null || return 0
    sleep .1
  done
}

# remove_cgroup <folder>: removes a tree of cgroups after its processes have ended.
remove_cgroup() {
  for ((i = 0; i < 50; i++)); do
    find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
    [ -d "$1" ] || return 0
    sleep .1
  done
  say "could not remove $1"
}

if alive api-out; then kill "$(cat "$RUN/api-out.pid")"; fi
end_namespaces
if ip netns list | grep -qw "$NETNS"; then ip netns del "$NETNS"; fi
if [ -f "$RUN/cgroups" ]; then
  while read -r folder; do remove_cgroup "$folder"; done <"$RUN/cgroups"
fi
rm -f "$RUN"/*.pid "$RUN"/*.sock "$RUN/cgroups"
[ -n "${KEEP:-}" ] || rm -rf "$RUN"
rmdir /var/lib/kubelet /var/lib/cni /var/log/pods /var/log/containers 2>/dev/null
if [ -d /run/netns ] && [ -z "$(ls /run/netns)" ]; then
  umount /run/netns 2>/dev/null
  rmdir /run/netns 2>/dev/null
fi
exit 0
