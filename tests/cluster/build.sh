#!/usr/bin/env bash
# Builds the parts of Kubernetes that the tests need from Go modules: etcd and the API server. The argument `helm` adds Helm
# and third-party CRDs for the chart's tests. The argument `node` adds all parts of a node and installs the Debian packages
# that it needs. Takes some minutes the first time and returns quickly if everything is built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly VERSION=1.34.4
readonly BIN="${CLUSTER_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/vestibule-cluster}/bin"

say() { echo "cluster: $*" >&2; }

# build <module> <package> <binary> <linker flags>
build() {
  local out="$BIN/$3" made_of
  made_of="$(cat "$1/go.mod" "$1/go.sum" - <<<"$4" | cksum)"
  [ -x "$out" ] && [ "$(cat "$out.made-of" 2>/dev/null)" = "$made_of" ] && return 0
  command -v go >/dev/null || { say "Go 1.26.7 or later is required"; exit 1; }
  say "building $3 (takes some minutes)"
  # Built under a temporary name first, so that an interrupted build leaves no incomplete program.
  (cd "$1" && go build -trimpath -ldflags "$4" -o "$out.new" "$2")
  mv "$out.new" "$out"
  echo "$made_of" >"$out.made-of"
}

# definitions <folder with go.mod> <file in a module...>: copies CRDs into the folder next to the binaries.
definitions() {
  local pins="$1" out="$BIN/../definitions" made_of file
  shift
  local mark="$out/.made-of-${pins//\//-}"
  made_of="$(cat "$pins/go.mod" "$pins/go.sum" - <<<"$*" | cksum)"
  [ "$(cat "$mark" 2>/dev/null)" = "$made_of" ] && return 0
  command -v go >/dev/null || { say "Go 1.26.7 or later is required"; exit 1; }
  (cd "$pins" && go mod download)
  mkdir -p "$out"
  for file in "$@"; do
    # Some files are templates of Helm with a condition around them.
    sed '/^{{.*}}$/d' "$(cd "$pins" && go list -m -f '{{.Dir}}' "${file%%:*}")/${file#*:}" >"$out/$(basename "$file")"
  done
  echo "$made_of" >"$mark"
}

mkdir -p "$BIN"
exec 9>"$BIN/.lock"
if command -v flock >/dev/null; then flock 9; fi

# Without a version, the server reports v0.0.0, which some clients do not support.
readonly STAMP="-s -w \
  -X k8s.io/component-base/version.gitVersion=v$VERSION \
  -X k8s.io/component-base/version.gitMajor=1 \
  -X k8s.io/component-base/version.gitMinor=34 \
  -X k8s.io/component-base/version.gitTreeState=clean"

build kubernetes go.etcd.io/etcd/server/v3 etcd "-s -w"
build kubernetes k8s.io/kubernetes/cmd/kube-apiserver kube-apiserver "$STAMP"

[ -n "${1:-}" ] || exit 0

# Without a cluster, Helm assumes Kubernetes 1.20 when it renders.
MINOR="${VERSION#*.}"
readonly MINOR="${MINOR%%.*}"
HELM_STAMP="-s -w"
for package in chartutil lint/rules; do
  HELM_STAMP+=" -X helm.sh/helm/v3/pkg/$package.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/$package.k8sVersionMinor=$MINOR"
done
build helm helm.sh/helm/v3/cmd/helm helm "$HELM_STAMP"

# The modules require different versions of each other, so each has a go.mod of its own.
readonly OPERATOR=github.com/prometheus-operator/prometheus-operator:example/prometheus-operator-crd/monitoring.coreos.com
definitions crds sigs.k8s.io/gateway-api:config/crd/experimental/gateway.networking.k8s.io_httproutes.yaml \
  sigs.k8s.io/gateway-api:config/crd/experimental/gateway.networking.k8s.io_referencegrants.yaml \
  "${OPERATOR}_servicemonitors.yaml" "${OPERATOR}_prometheusrules.yaml"
# Traefik's provider needs all of its CRDs.
TRAEFIK=()
for kinds in ingressroutes ingressroutetcps ingressrouteudps middlewares middlewaretcps serverstransports serverstransporttcps \
  tlsoptions tlsstores traefikservices; do
  TRAEFIK+=("github.com/traefik/traefik/v3:docs/content/reference/dynamic-configuration/traefik.io_$kinds.yaml")
done
definitions crds/traefik "${TRAEFIK[@]}"
readonly ENVOY=github.com/envoyproxy/gateway:charts/gateway-crds-helm/templates/generated/gateway.envoyproxy.io
definitions crds/envoy-gateway "${ENVOY}_securitypolicies.yaml" "${ENVOY}_httproutefilters.yaml"
definitions crds/istio istio.io/api:kubernetes/customresourcedefinitions.gen.yaml

[ "$1" = node ] || exit 0

for program in kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
  build kubernetes "k8s.io/kubernetes/cmd/$program" "$program" "$STAMP -X k8s.io/client-go/pkg/version.gitVersion=v$VERSION"
done
build coredns github.com/coredns/coredns coredns "-s -w"

readonly NEEDED="containerd runc containernetworking-plugins iptables nftables conntrack kmod ipset ethtool socat iproute2"
# shellcheck disable=SC2086 # word splitting is intended
if ! dpkg -s $NEEDED >/dev/null 2>&1; then
  command -v apt-get >/dev/null || { say "Debian packages are required: $NEEDED"; exit 1; }
  [ "$(id -u)" = 0 ] || { say "missing Debian packages; run: sudo apt-get install --no-install-recommends $NEEDED"; exit 1; }
  say "installing Debian packages"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $NEEDED >/dev/null
fi

# The pause container of pods. It is also pid 1 of the cluster's namespaces.
readonly IMAGES="$BIN/../images"
mkdir -p "$IMAGES"
if ! [ "$IMAGES/pause.tar" -nt images/pause.c ]; then
  gcc -Os -static -s -o "$IMAGES/pause" images/pause.c
  ../../deploy/image/archive.py localhost/pause:1 "$IMAGES/pause.tar" "$IMAGES/pause:/pause" -- /pause
fi
