#!/bin/sh
# Commands of a cluster node: `start`; `join`, the startup probe; `ready`, the readiness probe; `leave`, the preStop hook.
# It uses only built-in commands of the shell, redis-server and redis-cli, so the image needs no other programs.
#
# The StatefulSet sets POD_NAME, which ends in the node's number, POD_IP, HOST_NAME, which is announced to clients, and
# PEERS, the list of all nodes.
set -eu

readonly PORT=6379 PRIMARIES=3 SLOTS=16384
readonly HERE="${0%/*}" RUN="${RUN:-/run/redis}" DATA="${DATA:-/data}" SECRETS="${SECRETS:-/etc/redis-secrets}"
readonly NUMBER="${POD_NAME##*-}"
# The range of slots that belongs to this node or to its primary.
readonly PART=$((NUMBER % PRIMARIES))
readonly FIRST=$((SLOTS * PART / PRIMARIES)) LAST=$((SLOTS * (PART + 1) / PRIMARIES - 1))

say() { echo "node: $*" >&2; }

start() {
  umask 077
  nodes_passwords=$(passwords cluster-password)
  clients_passwords=$(passwords vestibule-password)
  {
    echo "include $HERE/redis.conf"
    echo "bind $POD_IP"
    echo "dir $DATA"
    echo "cluster-announce-ip $POD_IP"
    echo "cluster-announce-hostname $HOST_NAME"
    echo "user default off"
    echo "user cluster on$nodes_passwords -@all +ping +psync +replconf +info +role +cluster"
    echo "user vestibule on$clients_passwords ~vestibule:* &vestibule:* $(vestibule_commands)"
    echo "masteruser cluster"
    echo "masterauth $(password cluster-password)"
  } >"$RUN/redis.conf"
  exec redis-server "$RUN/redis.conf"
}

# docs/store.md lists the commands and their purposes.
vestibule_commands() {
  echo "-@all +hello +client|id +ping +info +role +get +set +del +exists +getrange +pexpire +pttl +persist" \
    "+zadd +zrem +zrangebylex +scan +incr +eval +evalsha +publish +subscribe +wait +config|get +cluster|info +cluster|slots"
}

# Prints all passwords of a file, one per line, in ACL syntax. The nodes use the first one.
passwords() {
  while read -r one || [ -n "$one" ]; do
    case $one in "" | *[!A-Za-z0-9_.~+/=-]*) say "$1: an empty line, or a character beyond A-Z a-z 0-9 _.~+/=-"; exit 1 ;; esac
    printf ' >%s' "$one"
  done <"$SECRETS/$1"
}

password() {
  read -r one <"$SECRETS/$1" || [ -n "$one" ]
  printf '%s' "$one"
}

# ask <host> <command...>
ask() {
  asked=$1
  shift
  redis-cli -e -h "$asked" -p "$PORT" --user cluster "$@"
}

# Some images do not have `sleep`.
pause() { ask "$POD_IP" -r 1 -i "$1" ping >/dev/null; }

# Every attempt of the probe repeats this until the node has slots or a primary. Each step is skipped if it is done.
join() {
  meet
  look "$POD_IP"
  [ -n "$slots_here" ] && return 0
  case $flags_here in *slave*) return 0 ;; esac
  if [ -n "$owner" ]; then
    case $owner_flags in *fail*) say "the owner of slot $FIRST is not available"; return 1 ;; esac
    say "is a replica of $owner"
    ask "$POD_IP" cluster replicate "$owner"
  elif [ "$NUMBER" -lt "$PRIMARIES" ] && nobody_has_my_part; then
    say "takes the slots from $FIRST to $LAST"
    ask "$POD_IP" cluster addslotsrange "$FIRST" "$LAST"
  else
    say "waits for the others"
    return 1
  fi
}

# Makes every node send a CLUSTER MEET to this node's current address. Both sides learn the other's new address, so a cluster
# recovers when all addresses have changed at once.
meet() {
  greetings=
  for peer in $PEERS; do
    [ "$peer" = "$HOST_NAME" ] && continue
    ask "$peer" cluster meet "$POD_IP" "$PORT" >/dev/null 2>&1 </dev/null &
    greetings="$greetings $!"
  done
  # A peer on a dead machine does not respond at all. It sends its own CLUSTER MEET when it is back.
  pause 1.5
  for greeting in $greetings; do kill "$greeting" 2>/dev/null || true; done
  wait
}

# A node that lost its volume must not take slots from a promoted replica, so all nodes are queried and all must answer.
nobody_has_my_part() {
  for peer in $PEERS; do
    look "$peer" 2>/dev/null || return 1
    [ "$connected" -ge "$((PRIMARIES * 2))" ] && [ -z "$owner" ] || return 1
  done
}

# Reads a node's view of the cluster: `connected` nodes, its own `flags_here` and `slots_here`, and the `owner` of this range.
look() {
  connected=0 flags_here='' slots_here='' owner='' owner_flags=''
  nodes=$(ask "$1" cluster nodes) || return 1
  while read -r id _ flags _ _ _ _ link slots; do
    case $flags in *handshake*) continue ;; esac
    [ "$link" = connected ] && connected=$((connected + 1))
    case $flags in *myself*) flags_here=$flags slots_here=$slots ;; esac
    if owns_first "$slots"; then owner=$id owner_flags=$flags; fi
  done <<NODES
$nodes
NODES
}

owns_first() {
  for range in $1; do
    # Brackets mark slots that are being migrated.
    case $range in \[*) continue ;; esac
    [ "${range%-*}" -le "$FIRST" ] && [ "$FIRST" -le "${range#*-}" ] && return 0
  done
  return 1
}

ready() {
  is_whole && return 0
  # A CLUSTER MEET may have been lost. Without it, nodes would keep connecting to outdated addresses.
  meet
  return 1
}

is_whole() {
  case $(ask "$POD_IP" cluster info) in *cluster_state:ok*) ;; *) return 1 ;; esac
  case $(ask "$POD_IP" info replication) in *role:master* | *master_link_status:up*) ;; *) return 1 ;; esac
}

# Fails over to a replica first, so that clients see no outage.
leave() {
  is_primary || return 0
  replica=$(a_replica)
  [ -n "$replica" ] || return 0
  ask "$replica" cluster failover
  tries=50
  while is_primary && [ "$tries" -gt 0 ]; do
    tries=$((tries - 1))
    pause 0.1
  done
}

is_primary() {
  case $(ask "$POD_IP" role) in master*) return 0 ;; *) return 1 ;; esac
}

# Prints the address of one replica.
a_replica() {
  myself=$(ask "$POD_IP" cluster myid)
  ask "$POD_IP" cluster nodes | while read -r _ address flags primary _ _ _ link _; do
    case $flags in *fail* | *handshake*) continue ;; esac
    [ "$primary" = "$myself" ] && [ "$link" = connected ] || continue
    address=${address%@*}
    echo "${address%:*}"
    break
  done
}

case ${1:-} in
  start) start ;;
  join | ready | leave)
    REDISCLI_AUTH=$(password cluster-password)
    export REDISCLI_AUTH
    "$1"
    ;;
  *) say "start, join, ready or leave?"; exit 2 ;;
esac
