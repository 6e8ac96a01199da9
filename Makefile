# Every command of the project. `make help` lists them.

.DEFAULT_GOAL := help
.PHONY: help peers cluster fmt lint test bench demo docs audit
CARGO ?= cargo

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

peers: ## install the real peers of tests and demo: Redis, Chromium, nginx, OpenID Providers
	@tests/peers/install.sh

cluster: ## build the Kubernetes API server of the tests from Go modules
	@tests/cluster/build.sh

fmt: ## format the code
	$(CARGO) fmt

lint: ## formatting and clippy, warnings denied
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings

test: peers cluster lint ## everything that must hold before a change lands
	$(CARGO) test --locked

bench: ## measure against baselines of the same run
	$(CARGO) bench --locked --bench role_map

demo: peers ## start an IdP, a Redis cluster, three pods, nginx and an upstream on loopback
	$(CARGO) build --locked --bin vestibule --example demo
	@exec "$${CARGO_TARGET_DIR:-target}/debug/examples/demo"

docs: ## rewrite the generated parts of docs/
	UPDATE_DOCS=1 $(CARGO) test --locked --lib -- the_reference_is the_documentation_lists

audit: ## advisories, licences and sources of the dependencies
	@command -v cargo-deny >/dev/null || { echo "audit: run 'cargo install --locked cargo-deny' first" >&2; exit 1; }
	$(CARGO) deny check
