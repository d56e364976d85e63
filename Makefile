# What can be done here; `make help` lists it. Needs Python 3.11 or newer, pip and make, nothing else.
# Another Python: make PYTHON=python3.12 …

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Or each of the many processes of the tests, and each command, would compile all that it loads anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
LOCKS := requirements.txt requirements-dev.txt
READY := .venv/.stamp

.PHONY: help setup demo up test lint check bench simulate simulate-payments format lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make the virtual environment .venv with the locked dependencies
	@echo "ready: .venv"

demo: $(READY) ## run the main job, from a log to verified receipts (DATA=path for a log of your own)
	@$(BIN)/python -m tallystick.demo $(if $(DATA),"$(DATA)")

up: $(READY) ## serve REST on 127.0.0.1 (Ctrl-C stops it)
	@exec $(BIN)/tallystick up

test: $(READY) ## pass the tests, on as many cores as there are
	@$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(READY) ## check style, format, types and layers
	@$(BIN)/ruff check --quiet --output-format concise
	@$(BIN)/ruff format --quiet --check || { echo "not formatted: make format" >&2; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo > .venv/layers.txt || { cat .venv/layers.txt; exit 1; }
	@echo "style, format, types and layers hold"

check: lint test ## all that CI checks: lint, then test

bench: $(READY) ## measure (ONLY=id,id for some, JSON=file for JSON lines)
	@$(BIN)/python -m bench $(if $(ONLY),--only "$(ONLY)") $(if $(JSON),--json "$(JSON)")

simulate: $(READY) ## hurt a running house and audit its books (SECONDS=600, SEED=n for one seed again)
	@$(BIN)/python -m tests.simulation --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))

simulate-payments: $(READY) ## have thousands pay while servers die and the provider misbehaves (PAYMENTS=10000, SEED=n)
	@$(BIN)/python -m tests.simulation.payments --payments $(or $(PAYMENTS),10000) $(if $(SEED),--seed $(SEED))

format: $(READY) ## put the source into the house's format
	@$(BIN)/ruff check --quiet --fix-only
	@$(BIN)/ruff format --quiet

lock: $(BIN)/uv ## pin the newest versions that pyproject.toml allows
	@$(call compile,requirements-bootstrap.txt,--group bootstrap)
	@$(call compile,requirements.txt,pyproject.toml)
	@$(call compile,requirements-dev.txt,pyproject.toml --group dev --constraint requirements.txt)

clean: ## remove what was made here: .venv and caches
	@rm -rf .venv demo-output .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	@find tallystick tests bench -name __pycache__ -prune -exec rm -rf {} +

# compile FILE, SOURCES: hashes for every platform and Python, and no address to download from.
compile = UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --no-config --upgrade --universal \
	--generate-hashes --no-emit-index-url --no-annotate --python-version 3.11 --output-file $(1) $(2)

# Without pip of its own, since Debian's Python brings none for that; the one that is there installs into it.
# The recipe's first step: a plain word beats a traceback from deep inside an install.
$(BIN)/uv: requirements-bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Tallystick needs Python 3.11 or newer as $(PYTHON); name another: make PYTHON=python3.12 …" >&2; exit 1; }
	@echo "making .venv"
	@$(PYTHON) -m venv --clear --without-pip .venv
	@$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

$(READY): $(BIN)/uv pyproject.toml $(LOCKS)
	@$(BIN)/uv pip sync --quiet --no-config --python $(BIN)/python --require-hashes requirements-dev.txt
	@$(BIN)/uv pip install --quiet --no-config --python $(BIN)/python --no-deps --no-build-isolation --offline --editable .
	@touch $@
