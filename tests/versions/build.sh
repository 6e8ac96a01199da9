#!/usr/bin/env bash
# Builds the first tagged version, which tests/versions/first names, for the tests that run it with the current one:
# target/versions/TAG/vestibule. Returns quickly if it is built. Both versions share the built dependencies.
#
# Exits with 3 if the checkout's history does not contain that commit, as in a shallow clone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

read -r tag commit <tests/versions/first
target="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")"
readonly tag commit target out="$target/versions/$tag" source="$target/versions/source"

[ -x "$out/vestibule" ] && [ "$(cat "$out/made-of")" = "$commit" ] && exit 0
if ! git cat-file -e "$commit^{commit}" 2>/dev/null; then
  echo "versions: $tag is commit $commit, which is not in this checkout's history" >&2
  exit 3
fi
rm -rf "$out" "$source"
mkdir -p "$out" "$source"
git archive "$commit" | tar -x -C "$source"
"${CARGO:-cargo}" build --locked --bin vestibule --manifest-path "$source/Cargo.toml" --target-dir "$target"
mv "$target/debug/vestibule" "$out/vestibule"
echo "$commit" >"$out/made-of"
rm -r "$source"
