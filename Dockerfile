# syntax=docker/dockerfile:1
# The image contains one binary on distroless, without a shell, and does not run as root.
#
#     docker build --tag registry.example.com/vestibule:0.2.0 .

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc g++ make cmake perl && rm -rf /var/lib/apt/lists/*

# The dependencies are a separate layer, which is rebuilt only when they change. Empty sources take the place of the
# project's own, which are copied below.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches/figures \
 && echo 'fn main() {}' | tee src/main.rs benches/role_map.rs benches/figures/main.rs \
 && touch src/lib.rs \
 && cargo fetch --locked \
 && cargo build --profile dist --locked --offline --lib --bin vestibule

COPY src src
COPY templates templates
COPY deploy/nginx/vestibule.conf.template deploy/nginx/
# Cargo compares file times, and the copied files may be older than the layer.
RUN find src templates deploy -type f -exec touch {} + \
 && cargo build --profile dist --locked --offline --bin vestibule \
 && ./target/dist/vestibule --version

FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="Vestibule" \
      org.opencontainers.image.description="Forward-auth and single sign-on (SSO) service for LLM proxies" \
      org.opencontainers.image.source="https://github.com/vestibule-proxy/vestibule" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.2.0"
COPY --from=build /build/target/dist/vestibule /usr/bin/vestibule
COPY LICENSE /usr/share/doc/vestibule/LICENSE
# A number, because Kubernetes cannot verify that a user name is not root.
USER 65532:65532
EXPOSE 4180 4181 4182
ENTRYPOINT ["/usr/bin/vestibule"]
