#!/usr/bin/env bash
# Builds the image of the Dockerfile as an archive, without a Docker engine:
#
#     deploy/image/build.sh [OUT.tar]        for `ctr images import` and `docker load`
#
# IMAGE is the image's name. IMAGE_PROFILE is the Cargo profile. The default is dist, the profile of releases, which takes
# minutes to build. The profile release builds faster.
# The C library and the CA certificates are copied from this machine instead of the distroless image.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly TARGET="${CARGO_TARGET_DIR:-target}"
readonly OUT="${1:-$TARGET/vestibule-image.tar}"
VERSION="$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)"
readonly IMAGE="${IMAGE:-localhost/vestibule:$VERSION}"
readonly PROFILE="${IMAGE_PROFILE:-dist}"
readonly CERTIFICATES=/etc/ssl/certs/ca-certificates.crt

[ -f "$CERTIFICATES" ] || { echo "image: $CERTIFICATES is missing; install ca-certificates" >&2; exit 1; }
"${CARGO:-cargo}" build --locked --profile "$PROFILE" --bin vestibule

labels=()
while IFS= read -r label; do labels+=(--label "$label"); done < <(
  sed -n 's/.*\(org\.opencontainers\.image\.[a-z]*\)="\([^"]*\)".*/\1=\2/p' Dockerfile
)
deploy/image/archive.py "$IMAGE" "$OUT" --libs --user 65532:65532 --port 4180 --port 4181 --port 4182 "${labels[@]}" \
  --env "SSL_CERT_FILE=$CERTIFICATES" \
  "$TARGET/$PROFILE/vestibule:/usr/bin/vestibule" LICENSE:/usr/share/doc/vestibule/LICENSE \
  "$CERTIFICATES:$CERTIFICATES" \
  -- /usr/bin/vestibule
echo "$IMAGE: $OUT, $(($(stat -c %s "$OUT") / 1000000)) MB"
