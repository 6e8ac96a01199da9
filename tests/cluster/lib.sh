# shellcheck shell=bash
# Library of the other scripts: paths, and functions that start processes in the cluster's namespaces.

HERE="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
HOME_DIR="${CLUSTER_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/vestibule-cluster}"
BIN="$HOME_DIR/bin"         # programs that build.sh has built
IMAGES="$HOME_DIR/images"   # archives that up.sh imports
RUN="$HOME_DIR/run"         # state of the running cluster: logs, pids, data
CONF="$RUN/conf"

NETNS=vestibule
CGROUP=vestibule-cluster
NODE_IP=10.98.0.2
POD_CIDR=10.97.0.0/24
SERVICE_CIDR=10.96.0.0/16
DNS_IP=10.96.0.10
HOST_PORT="${HOST_PORT:-16443}"
CONTROLLERS="cpu cpuacct cpuset memory devices freezer blkio pids systemd"

say() { echo "cluster: $*" >&2; }

# own_cgroup <controller>: prints the caller's cgroup. The cluster's cgroup is its child, so the caller's limits still apply.
own_cgroup() {
  if [ "$1" = systemd ]; then
    awk -F: '$2 == "name=systemd" { print $3 }' /proc/self/cgroup
  else
    awk -F: -v controller="$1" '$2 == controller { print $3 }' /proc/self/cgroup
  fi
}

join_cgroups() {
  local folder
  while read -r folder; do echo "$BASHPID" >"$folder/cgroup.procs"; done <"$RUN/cgroups"
}

alive() { [ -s "$RUN/$1.pid" ] && kill -0 "$(cat "$RUN/$1.pid")" 2>/dev/null; }

# enter <command>...: executes the command in the cluster's cgroups and namespaces. DETACH=1 starts a new session.
enter() {
  join_cgroups
  exec ${DETACH:+setsid} nsenter --target "$(cat "$RUN/init.pid")" --mount --net --pid --cgroup --uts --ipc "$@"
}

# inside <command>...: runs a command in the cluster.
inside() {
  alive init || { say "the cluster is not running; run up.sh"; return 1; }
  (enter "$@")
}

# daemon <name> <command>...: starts a process of the node. nsenter forks to enter a pid namespace, so the process is
# its child.
daemon() {
  local name="$1" parent pid
  shift
  alive "$name" && return 0
  (DETACH=1 enter "$@" >"$RUN/$name.log" 2>&1 </dev/null 9>&-) &
  parent=$!
  for ((i = 0; i < 100; i++)); do
    pid="$(pgrep -P "$parent" -f "$1" || true)"
    if [ -n "$pid" ]; then
      echo "$pid" >"$RUN/$name.pid"
      disown "$parent"
      return 0
    fi
    sleep .05
  done
  say "$name did not start; see $RUN/$name.log"
  return 1
}

# wait_for <seconds> <command>...
wait_for() {
  local seconds="$1"
  shift
  for ((i = 0; i < seconds * 10; i++)); do
    "$@" >/dev/null 2>&1 && return 0
    sleep .1
  done
  say "timed out after $seconds s: $*"
  return 1
}

# put <file>: writes stdin to the file if it differs, because kube-proxy exits when its configuration is rewritten.
put() {
  local text
  text="$(cat)"
  [ -f "$1" ] && [ "$text" = "$(cat "$1")" ] || printf '%s\n' "$text" >"$1"
}
