# One environment in .venv, made from requirements.lock. `make demo` and `make test` need only Python 3.11+, make and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-deps serve worker mlflow bench lint types format lock

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)
	@$(BIN)/prebill demo --dir demo $(if $(SEED),--seed $(SEED)) $(if $(CUSTOMERS),--customers $(CUSTOMERS))

test: $(STAMP)
	@$(BIN)/python -m pytest -n 3 --dist loadfile

# What the tests need beyond Python: PostgreSQL and Chromium, from Debian's packages.
test-deps: $(STAMP)
	@tests/install_dependencies.sh

serve: $(STAMP)
	@$(BIN)/prebill serve

worker: $(STAMP)
	@$(BIN)/prebill worker

# MLflow's own pages on the installation's runs (PREBILL_HOME, else the demo's), on loopback.
mlflow: $(STAMP)
	@PREBILL_HOME=$(or $(PREBILL_HOME),demo/home) $(BIN)/prebill models ui $(if $(PORT),--port $(PORT))

bench: $(STAMP)
	@$(BIN)/python -m tests.benchmarks

lint: $(STAMP)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: $(STAMP)
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

types: $(STAMP)
	@$(BIN)/mypy

# Resolve the dependencies of pyproject.toml anew: every version pinned, every file by its hash, no index named.
lock:
	@test -x .lock/bin/uv || { $(PYTHON) -m venv .lock && .lock/bin/pip install --quiet uv; }
	@.lock/bin/uv pip compile pyproject.toml --extra dev --python-version 3.11 --generate-hashes \
		--no-annotate --no-header --no-emit-index-url --no-emit-find-links --quiet --upgrade -o requirements.lock
