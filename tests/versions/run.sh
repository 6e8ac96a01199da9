#!/usr/bin/env bash
# Runs the tests of the first tagged version beside the current one: `make test-versions`.
#
#     run.sh [--if-possible]
#
# --if-possible: if the history lacks the first version, prints a warning and succeeds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

built=0
tests/versions/build.sh || built=$?
if [ "$built" = 3 ] && [ "${1:-}" = --if-possible ]; then
  rule="$(printf '=%.0s' {1..110})"
  printf '%s\nNOT RUN: the tests of two versions on one store. Fetch the complete history to run them.\n%s\n' \
    "$rule" "$rule" >&2
  exit 0
fi
[ "$built" = 0 ] || exit "$built"
"${CARGO:-cargo}" test --locked --test integration -- --ignored versions::
