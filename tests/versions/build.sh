#!/usr/bin/env bash
# Builds the first tagged version (tests/versions/first has its tag and commit) for the tests that run it beside the present
# one: target/versions/TAG/vestibule. At once when it is there. It shares what is built of the dependencies.
#
# A checkout without that part of the history can't have it: says so loudly, leaves the reason in target/versions/TAG/missing,
# and fails nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

read -r tag commit <tests/versions/first
target="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")"
readonly tag commit target out="$target/versions/$tag" source="$target/versions/source"

[ -x "$out/vestibule" ] && [ "$(cat "$out/made-of")" = "$commit" ] && exit 0
rm -rf "$out" "$source"
mkdir -p "$out" "$source"

if ! git cat-file -e "$commit^{commit}" 2>/dev/null; then
  printf 'NOT RUN: the tests with %s beside the present version: its commit %s is not in this checkout'"'"'s history.\n' \
    "$tag" "$commit" | tee "$out/missing" >&2
  exit 0
fi
git archive "$commit" | tar -x -C "$source"
"${CARGO:-cargo}" build --locked --bin vestibule --manifest-path "$source/Cargo.toml" --target-dir "$target"
mv "$target/debug/vestibule" "$out/vestibule"
echo "$commit" >"$out/made-of"
rm -r "$source"
