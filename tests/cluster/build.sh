#!/usr/bin/env bash
# Builds the Kubernetes API server and its etcd from Go modules, for the tests of what is watched there; with the argument
# `helm` Helm too, for the chart's. Minutes at the first time, at once when all is there.
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
  command -v go >/dev/null || { say "needs Go 1.24 or later"; exit 1; }
  say "building $3, which takes minutes"
  # Under another name first: an interrupted build leaves nothing that looks finished.
  (cd "$1" && go build -trimpath -ldflags "$4" -o "$out.new" "$2")
  mv "$out.new" "$out"
  echo "$made_of" >"$out.made-of"
}

mkdir -p "$BIN"
exec 9>"$BIN/.lock"
if command -v flock >/dev/null; then flock 9; fi

# Without a version the server calls itself v0.0.0, and clients that look at it misbehave.
readonly STAMP="-s -w \
  -X k8s.io/component-base/version.gitVersion=v$VERSION \
  -X k8s.io/component-base/version.gitMajor=1 \
  -X k8s.io/component-base/version.gitMinor=34 \
  -X k8s.io/component-base/version.gitTreeState=clean"

build kubernetes go.etcd.io/etcd/server/v3 etcd "-s -w"
build kubernetes k8s.io/kubernetes/cmd/kube-apiserver kube-apiserver "$STAMP"

[ "${1:-}" = helm ] || exit 0

# Helm takes a cluster for 1.20 when it renders without one.
MINOR="${VERSION#*.}"
readonly MINOR="${MINOR%%.*}"
HELM_STAMP="-s -w"
for package in chartutil lint/rules; do
  HELM_STAMP+=" -X helm.sh/helm/v3/pkg/$package.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/$package.k8sVersionMinor=$MINOR"
done
build helm helm.sh/helm/v3/cmd/helm helm "$HELM_STAMP"
