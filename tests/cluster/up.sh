#!/usr/bin/env bash
# Starts Kubernetes with one node, a real kubelet and without Docker, in its own namespaces. It does not change the host's
# network. The API server listens on 127.0.0.1:$HOST_PORT. The start takes about ten seconds, or none if the cluster is
# already running. Requires root. PROXY_MODE=nftables selects kube-proxy's other mode.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"

network() {
  if ! ip netns list | grep -qw "$NETNS"; then ip netns add "$NETNS"; fi
  ip -n "$NETNS" link set lo up
  ip -n "$NETNS" link show node0 >/dev/null 2>&1 && return 0
  # A veth pair with both ends inside replaces a dummy device, which not every kernel supports. The route sends packets
  # for Services through it, so that they pass kube-proxy's rules.
  ip -n "$NETNS" link add node0 type veth peer name node1
  ip -n "$NETNS" link set node0 up
  ip -n "$NETNS" link set node1 up
  ip -n "$NETNS" addr add "$NODE_IP/24" dev node0
  ip -n "$NETNS" route add "$SERVICE_CIDR" dev node0
  ip -n "$NETNS" addr add "$DNS_IP/32" dev node0
}

cgroups() {
  local controller folder file
  : >"$RUN/cgroups"
  for controller in $CONTROLLERS; do
    folder="$(own_cgroup "$controller")"
    folder="/sys/fs/cgroup/$controller${folder%/}/$CGROUP"
    mkdir -p "$folder"
    echo "$folder" >>"$RUN/cgroups"
    [ "$controller" = cpuset ] || continue
    for file in cpuset.cpus cpuset.mems; do cat "$(dirname "$folder")/$file" >"$folder/$file"; done
  done
}

first_process() {
  local pid
  pid="$(tr -d ' ' <"/proc/$(cat "$RUN/unshare.pid")/task/$(cat "$RUN/unshare.pid")/children")"
  [ -n "$pid" ] && grep -q images/pause "/proc/$pid/cmdline" && echo "$pid" >"$RUN/init.pid"
}

namespaces() {
  alive init && return 0
  cgroups
  (
    join_cgroups
    exec nsenter --net="/run/netns/$NETNS" setsid unshare --mount --pid --fork --cgroup --uts --ipc --kill-child \
      "$HERE/node-init.sh" >"$RUN/init.log" 2>&1 </dev/null 9>&-
  ) &
  echo $! >"$RUN/unshare.pid"
  disown
  wait_for 10 first_process
}

# kubeconfig <name> <token> <server>
kubeconfig() {
  put "$CONF/$1.kubeconfig" <<K
apiVersion: v1
kind: Config
current-context: it
clusters: [{name: it, cluster: {server: "$3", certificate-authority: "$RUN/certs/apiserver.crt"}}]
users: [{name: it, user: {token: "$2"}}]
contexts: [{name: it, context: {cluster: it, user: it}}]
K
}

credentials() {
  local file user group token
  [ -f "$CONF/sa.key" ] || openssl genrsa -out "$CONF/sa.key" 2048 2>/dev/null
  [ -f "$CONF/tokens.csv" ] && return 0
  while IFS='|' read -r file user group; do
    token="$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')"
    echo "$token,$user,$file,\"$group\"" >>"$CONF/tokens.new"
    kubeconfig "$file" "$token" "https://$NODE_IP:6443"
    if [ "$file" = admin ]; then kubeconfig host "$token" "https://localhost:$HOST_PORT"; fi
  done <<'USERS'
admin|admin|system:masters
kubelet|system:node:kube|system:nodes
controllers|system:kube-controller-manager|
scheduler|system:kube-scheduler|
proxy|system:kube-proxy|
dns|system:kube-dns-host|system:masters
USERS
  mv "$CONF/tokens.new" "$CONF/tokens.csv"
}

containers() {
  # runc needs CAP_SYS_RESOURCE to lower an oom score, which not every root has.
  put "$CONF/containerd.toml" <<K
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "$RUN/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$RUN/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
K
  put "$RUN/net.d/10-bridge.conflist" <<K
{"cniVersion": "0.4.0", "name": "kube", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$POD_CIDR"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
K
  daemon containerd containerd --config "$CONF/containerd.toml"
}

api_server() {
  local etcd=http://127.0.0.1:2379
  daemon etcd "$BIN/etcd" --name it --data-dir "$RUN/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "$etcd" --advertise-client-urls "$etcd" --listen-peer-urls http://127.0.0.1:2380
  daemon kube-apiserver "$BIN/kube-apiserver" --etcd-servers "$etcd" --cert-dir "$RUN/certs" \
    --advertise-address "$NODE_IP" --bind-address 0.0.0.0 --secure-port 6443 --service-cluster-ip-range "$SERVICE_CIDR" \
    --service-account-issuer https://kubernetes.default.svc \
    --service-account-key-file "$CONF/sa.key" --service-account-signing-key-file "$CONF/sa.key" \
    --token-auth-file "$CONF/tokens.csv" --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
    --allow-privileged=true --kubelet-preferred-address-types InternalIP --profiling=false
}

images() {
  local ctr=(inside ctr --address "$RUN/containerd.sock" --namespace k8s.io)
  wait_for 30 "${ctr[@]}" version
  [ "$RUN/imported.pause" -nt "$IMAGES/pause.tar" ] && return 0
  # containerd's garbage collector can remove a blob between its import and its first use.
  wait_for 30 "${ctr[@]}" images import "$IMAGES/pause.tar"
  touch "$RUN/imported.pause"
}

controllers() {
  daemon kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig "$CONF/controllers.kubeconfig" \
    --use-service-account-credentials --service-account-private-key-file "$CONF/sa.key" \
    --root-ca-file "$RUN/certs/apiserver.crt" --leader-elect=false --bind-address 127.0.0.1 --cert-dir "$RUN/certs"
  daemon kube-scheduler "$BIN/kube-scheduler" --kubeconfig "$CONF/scheduler.kubeconfig" --leader-elect=false \
    --bind-address 127.0.0.1
}

node() {
  put "$CONF/kubelet.yaml" <<K
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
protectKernelDefaults: true
containerRuntimeEndpoint: unix://$RUN/containerd.sock
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
resolvConf: /run/resolv.conf
enforceNodeAllocatable: [pods]
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 0%, imagefs.inodesFree: 0%}
imageGCHighThresholdPercent: 100
address: $NODE_IP
healthzBindAddress: 127.0.0.1
readOnlyPort: 0
maxPods: 110
K
  daemon kubelet "$BIN/kubelet" --config "$CONF/kubelet.yaml" --kubeconfig "$CONF/kubelet.kubeconfig" \
    --hostname-override kube --node-ip "$NODE_IP" --root-dir /var/lib/kubelet --cert-dir "$RUN/certs/kubelet"
  put "$CONF/proxy.yaml" <<K
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ${PROXY_MODE:-iptables}
clientConnection: {kubeconfig: $CONF/proxy.kubeconfig}
hostnameOverride: kube
clusterCIDR: $POD_CIDR
conntrack: {maxPerCore: 0, min: 0}
iptables: {minSyncPeriod: 100ms}
nftables: {minSyncPeriod: 100ms}
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
K
  daemon kube-proxy "$BIN/kube-proxy" --config "$CONF/proxy.yaml"
}

# CoreDNS runs as a process of the node, on the Service's address.
names() {
  put "$CONF/Corefile" <<K
.:53 {
  bind $DNS_IP
  errors
  ready 127.0.0.1:8181
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $CONF/dns.kubeconfig it
    ttl 2
  }
}
K
  daemon coredns "$BIN/coredns" -conf "$CONF/Corefile"
}

# Forwards the host's loopback port through a socket that both sides can access.
way_in() {
  daemon api-in socat "UNIX-LISTEN:$RUN/api.sock,fork,mode=600" TCP:127.0.0.1:6443
  alive api-out && return 0
  setsid socat "TCP-LISTEN:$HOST_PORT,bind=127.0.0.1,fork,reuseaddr" "UNIX-CONNECT:$RUN/api.sock" \
    >"$RUN/api-out.log" 2>&1 </dev/null 9>&- &
  echo $! >"$RUN/api-out.pid"
  disown
}

[ "$(id -u)" = 0 ] || { say "root is required"; exit 1; }
mkdir -p "$CONF" "$RUN/certs" "$RUN/net.d"
exec 9>"$HOME_DIR/.up.lock"
if command -v flock >/dev/null; then flock 9; fi

kubectl=(inside "$BIN/kubectl" --kubeconfig "$CONF/admin.kubeconfig")
network
namespaces
credentials
containers
api_server
images
wait_for 60 "${kubectl[@]}" get --raw /readyz
controllers
node
names
way_in
wait_for 90 "${kubectl[@]}" wait --for=condition=Ready node/kube --timeout=1s
wait_for 30 "${kubectl[@]}" --namespace default get serviceaccount default
say "ready: KUBECONFIG=$CONF/host.kubeconfig, or '$HERE/in kubectl …'"
