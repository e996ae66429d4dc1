# Each target makes what it needs: `make demo` and `make test` work in a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
CODE := worker_lib worker demo app.py examples tests

.DEFAULT_GOAL := help
.PHONY: help demo test interop lint format types bench ci clean

help:  ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  make \1\t/' | expand -t 16

demo: $(VENV)/.demo  ## Serve the demo at http://127.0.0.1:8080 (ONCE=1: drive it and check)
	@$(BIN)/python -m $(if $(ONCE),demo.drive,demo.serve)

test: $(VENV)/.dev  ## Run all tests
	@$(BIN)/python -m pytest -n 2 $(ARGS)

interop: $(VENV)/.interop  ## Drive the emulator with Fly clients that others wrote (needs npm)
	@$(BIN)/python -m pytest tests/interop $(ARGS)

lint: $(VENV)/.dev  ## Check style, types and import layers
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check --quiet $(CODE)
	@$(BIN)/mypy $(CODE)
	@$(BIN)/pyright --pythonpath $(BIN)/python
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/.dev  ## Rewrite the code in the house style
	@$(BIN)/ruff check --fix --quiet $(CODE)
	@$(BIN)/ruff format $(CODE)

bench: $(VENV)/.dev  ## Measure it, each figure beside the machine's own limit
	@$(BIN)/python -m tests.bench

ci: lint test  ## What CI runs

clean:  ## Remove what the other targets made
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "worker_lib needs Python 3.11 or later: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	@echo "installing what the demo needs into $(VENV) (once)"
	@$(PIP) -e '.[demo-local]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	@echo "installing what the tests need into $(VENV) (once)"
	@$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.demo

# Clients want different versions of what they share, so each has a folder of its own.
$(VENV)/.interop: tests/interop/package.json | $(VENV)/.dev
	@echo "installing other Fly clients into $(VENV)/interop (once)"
	@rm -rf $(VENV)/interop
	@$(PIP) --target $(VENV)/interop/fly-python-sdk fly-python-sdk==0.3.4
	@$(PIP) --target $(VENV)/interop/flaude flaude==0.6.1
	@cp tests/interop/package.json $(VENV)/interop/
	@npm install --prefix $(VENV)/interop --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@
