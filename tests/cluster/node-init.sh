#!/usr/bin/env bash
# The first process of the cluster's pid, mount, cgroup, uts and ipc namespaces. Its mounts are not visible to the host.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"

mount --make-rprivate /
mount --make-rshared / # a peer group of our own: the kubelet's mounts reach containerd and the pods
mount -t proc proc /proc
umount -R -l /sys
mount -t sysfs sysfs /sys # with the network devices of our own namespace
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
for controller in cpu cpuacct cpuset memory devices freezer blkio pids; do
  mkdir "/sys/fs/cgroup/$controller"
  mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
done
mkdir /sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd

mount -t tmpfs -o mode=755 tmpfs /run # sockets of containerd's shims, namespaces of the pods, xtables.lock
mkdir -p /run/lock /run/netns
for folder in kubelet containerd cni; do
  mkdir -p "$RUN/var/$folder" "/var/lib/$folder"
  mount --bind "$RUN/var/$folder" "/var/lib/$folder"
done
for folder in pods containers; do
  mkdir -p "$RUN/log/$folder" "/var/log/$folder"
  mount --bind "$RUN/log/$folder" "/var/log/$folder"
done

# The kubelet requires these settings and would change them for the whole machine, so it sees files with the right values.
mkdir -p /run/sysctl
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
  kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  name="${setting%%=*}"
  file="/run/sysctl/${name//\//.}"
  echo "${setting#*=}" >"$file"
  mount --bind "$file" "/proc/sys/$name"
done
echo "nameserver $DNS_IP" >/run/resolv.conf
mount --bind /run/resolv.conf /etc/resolv.conf
printf '127.0.0.1 localhost\n%s kube\n' "$NODE_IP" >/run/hosts
mount --bind /run/hosts /etc/hosts
hostname kube
exec "$IMAGES/pause"
