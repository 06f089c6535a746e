# Tollgate. `make` prints what there is. Every target is something a person could type.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
# gRPC's C core would mix its own lines with those of the tests.
export GRPC_VERBOSITY ?= NONE
# Behind a proxy that terminates TLS, the machine's own certificates are the ones to trust.
export UV_SYSTEM_CERTS ?= true
BIN := $(VENV)/bin
PACKAGES := protos libs/kit libs/tlog libs/dialects libs/operations libs/cli \
	services/authz services/budget services/router services/audit services/edge
SOURCES := protos libs services deploy tests
CONTRACTS := $(wildcard libs/*/.importlinter services/*/.importlinter .importlinter)

.PHONY: help
help: ## show this list
	@awk -F':.*## ' '/^[a-z_-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- set-up --------------------------------------------------------------------------------------

$(BIN)/uv: requirements/build.lock
	@echo "tollgate: making $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit("tollgate: Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "tollgate: this Python cannot make virtual environments; on Debian: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.lock
	@touch $(BIN)/uv

$(VENV)/.run: $(BIN)/uv requirements/run.lock protos/pyproject.toml $(wildcard protos/tollgate/*/v1/*.proto)
	@echo "tollgate: installing what it runs on"
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r requirements/run.lock
	@echo "tollgate: generating stubs, installing the packages"
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation $(addprefix -e ,$(PACKAGES))
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.lock
	@echo "tollgate: installing the checks and the tests"
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r requirements/dev.lock
	@touch $@

.PHONY: setup protos topology lock
setup: $(VENV)/.dev ## virtual environment with everything, stubs generated
protos: $(BIN)/uv ## generate the stubs again
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e protos
topology: $(VENV)/.run ## write what deploy/topology.toml decides into docker-compose.yml and deploy/
	@$(BIN)/python -m tollgate_cli.deployment.render
lock: $(BIN)/uv ## resolve the requirements/*.in into hash-pinned locks
	cd requirements && for f in dev run operator service build; do \
	  ../$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-annotate -q -c dev.lock $$f.in -o $$f.lock; done; \
	  for f in clients clients-instructor clients-llm go; do \
	  ../$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-annotate -q $$f.in -o $$f.lock; done

# ---- running -------------------------------------------------------------------------------------

.PHONY: run
run: $(VENV)/.run ## start the whole suite on this machine and print calls that work
	@$(BIN)/tollgate up

# ---- checking ------------------------------------------------------------------------------------

.PHONY: fmt lint types contracts dead buf check
fmt: $(VENV)/.dev ## format the code
	@$(BIN)/ruff format $(SOURCES) && $(BIN)/ruff check --fix $(SOURCES) && $(BIN)/buf format -w protos
lint: $(VENV)/.dev ## ruff: every rule but the explained ones
	@$(BIN)/ruff format --check $(SOURCES) && $(BIN)/ruff check $(SOURCES)
types: $(VENV)/.dev ## mypy --strict
	@$(BIN)/mypy libs/*/src services/*/src
contracts: $(VENV)/.dev ## import-linter: who may import whom
	@for c in $(CONTRACTS); do $(BIN)/lint-imports --no-cache --config $$c || exit 1; done
dead: $(VENV)/.dev ## vulture: code that nothing uses
	@$(BIN)/vulture
buf: $(VENV)/.dev ## protos: lint, format, no breaking change against protos/released.json
	@$(BIN)/buf lint protos && $(BIN)/buf format -d --exit-code protos && $(BIN)/buf breaking protos --against protos/released.json
check: lint types contracts dead buf ## everything that needs no running suite (< 3 min)
	@$(BIN)/pytest tests/unit

# ---- testing -------------------------------------------------------------------------------------

.PHONY: unit contract integration redlines chaos e2e test compose-test bench
unit: $(VENV)/.dev ## pure code: no I/O, no sleep
	@$(BIN)/pytest tests/unit
contract: $(VENV)/.dev ## each store seam x each implementation, real engines
	@$(BIN)/pytest tests/contract
integration: $(VENV)/.dev ## the services as real processes with mTLS
	@$(BIN)/pytest tests/integration
redlines: $(VENV)/.dev ## the five red lines, black-box
	@$(BIN)/pytest tests/red_lines
chaos: $(VENV)/.dev ## kill -9 under load, then invariants and verifier
	@$(BIN)/pytest tests/chaos
e2e: $(VENV)/.dev ## the official SDKs and other clients, unchanged
	@$(BIN)/pytest tests/e2e
test: $(VENV)/.dev ## all of the above, in one run
	@$(BIN)/pytest tests
compose-test: $(VENV)/.dev ## docker-compose.yml built, up, called and gone (release runs; root, Debian)
	@$(BIN)/python -m tests.compose.up
bench: $(VENV)/.dev ## the suite, a bare relay and nginx in one run; table for docs/performance.md
	@$(BIN)/python -m tests.bench.run
