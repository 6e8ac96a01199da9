#!/usr/bin/env bash
# Runs the tests of the first tagged version beside the present one: `make test-versions`.
#
#     run.sh [--if-possible]
#
# --if-possible: where the history lacks the first version, says so loudly and counts it as no failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

built=0
tests/versions/build.sh || built=$?
if [ "$built" = 3 ] && [ "${1:-}" = --if-possible ]; then
  rule="$(printf '=%.0s' {1..110})"
  printf '%s\nNOT RUN: the tests of two versions beside each other on one store. Fetch the whole history to run them.\n%s\n' \
    "$rule" "$rule" >&2
  exit 0
fi
[ "$built" = 0 ] || exit "$built"
"${CARGO:-cargo}" test --locked --test integration -- --ignored versions::
