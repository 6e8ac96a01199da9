#!/usr/bin/env bash
# Builds the Kubernetes API server and its etcd from Go modules, for the tests of what is watched there.
# Minutes at the first time, at once when all is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly VERSION=1.34.4
readonly BIN="${CLUSTER_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/vestibule-cluster}/bin"

say() { echo "cluster: $*" >&2; }

# build <package> <binary> <linker flags>
build() {
  local out="$BIN/$2"
  # Its versions are those of go.sum.
  [ "$out" -nt kubernetes/go.sum ] && return 0
  command -v go >/dev/null || { say "needs Go 1.24 or later"; exit 1; }
  say "building $2, which takes minutes"
  # Under another name first: an interrupted build leaves nothing that looks finished.
  (cd kubernetes && go build -trimpath -ldflags "$3" -o "$out.new" "$1")
  mv "$out.new" "$out"
  touch "$out"
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

build go.etcd.io/etcd/server/v3 etcd "-s -w"
build k8s.io/kubernetes/cmd/kube-apiserver kube-apiserver "$STAMP"
