# Each target makes what it needs: `make demo` and `make test` work in a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
CODE := worker_lib worker demo app.py examples tests tools
# Tests wait most of their time, so there are more workers than a small computer has cores.
WORKERS ?= 4
# The image that `make image` makes, and that machines of the demo run with RUNTIME=docker.
IMAGE ?= worker-lib-demo
BASE_IMAGE ?= python:3.11-slim-bookworm
# For any platform and any Python from 3.11 on.
COMPILE := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
  --generate-hashes --no-annotate --custom-compile-command "make lock"

# CPython's own tests of executors; left out where they cannot be had.
CPYTHON_TESTS := $(VENV)/cpython-tests/test_concurrent_futures.py

LINT := .style .mypy .pyright .layers

.DEFAULT_GOAL := help
.PHONY: help demo image wheels lock test test-image interop lint $(LINT) format bench burst ci clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 20

demo: $(VENV)/.demo$(if $(filter docker%,$(RUNTIME)),-docker)  ## Serve the demo at http://127.0.0.1:8080 (ONCE=1: drive it and check; RUNTIME=docker: machines are containers)
	@$(if $(RUNTIME),WORKER_LIB_RUNTIME=$(RUNTIME) WORKER_IMAGE=$${WORKER_IMAGE:-$(IMAGE)}) \
	  $(BIN)/python -m $(if $(ONCE),demo.drive,demo.serve)

# A remote's URL may hold a password, which is nobody's business.
image:  ## Build the image of app and machines (BASE_IMAGE=, IMAGE=, BUILD_ARGS=)
	@docker build --file worker/Dockerfile --tag $(IMAGE) \
	  --build-arg BASE_IMAGE=$(BASE_IMAGE) \
	  --build-arg VERSION="$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" \
	  --build-arg SOURCE="$$(git config --get remote.origin.url | sed 's|//[^/]*@|//|')" \
	  --build-arg REVISION="$$(git describe --always --dirty --abbrev=40 --exclude '*' 2>/dev/null)" \
	  $(BUILD_ARGS) .

# By the base's own Python, as what fits depends on version and platform.
wheels:  ## Fetch what the image installs, if its build has no network (BASE_IMAGE=, CA_CERT=)
	@rm -rf wheels && mkdir wheels
	@docker run --rm --network host --user "$$(id -u):$$(id -g)" --env HOME=/tmp \
	  --env PIP_INDEX_URL --env PIP_EXTRA_INDEX_URL \
	  $(if $(CA_CERT),--env PIP_CERT=/ca.crt --volume $(abspath $(CA_CERT)):/ca.crt:ro) \
	  --volume $(CURDIR):/src --workdir /src $(BASE_IMAGE) python3 -m pip download \
	    --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
	    --dest wheels -r worker/requirements.lock -r worker/build.lock

lock: $(VENV)/.lock  ## Pin anew what the image installs: versions and hashes
	@$(BIN)/python tools/requirements.py | $(COMPILE) --output-file worker/requirements.lock -
	@$(BIN)/python tools/requirements.py --build | $(COMPILE) --output-file worker/build.lock -

test: $(VENV)/.dev $(CPYTHON_TESTS)  ## Run all tests (RUNTIME=docker: with machines that are containers)
	@WORKER_LIB_TEST_RUNTIME=$(RUNTIME) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

test-image: $(VENV)/.dev  ## Test the image that make image made (IMAGE=)
	@WORKER_LIB_TEST_IMAGE=$(IMAGE) $(BIN)/python -m pytest tests/contract/test_image.py $(ARGS)

interop: $(VENV)/.interop  ## Drive the emulator with Fly clients that others wrote (needs npm)
	@$(BIN)/python -m pytest tests/interop $(ARGS)

lint: $(VENV)/.dev  ## Check style, types and import layers
	@$(MAKE) --no-print-directory --jobs $(LINT)

.style: $(VENV)/.dev
	@$(NICE) $(BIN)/ruff check $(CODE)
	@$(NICE) $(BIN)/ruff format --check --quiet $(CODE)
.mypy: $(VENV)/.dev
	@$(NICE) $(BIN)/mypy $(CODE)
.pyright: $(VENV)/.dev
	@$(NICE) $(BIN)/pyright --pythonpath $(BIN)/python
.layers: $(VENV)/.dev
	@$(NICE) $(BIN)/lint-imports --no-logo

format: $(VENV)/.dev  ## Rewrite the code in the house style
	@$(BIN)/ruff check --fix --quiet $(CODE)
	@$(BIN)/ruff format $(CODE)

bench: $(VENV)/.dev  ## Measure it (PEERS=huey,rq,celery,dramatiq,saq,arq: beside others; ARGS=--server: the cost to Redis)
	@$(BIN)/python -m tests.bench $(if $(PEERS),--peers $(PEERS)) $(ARGS)

# Tests have deadlines, so the checks beside them give way.
ci: $(VENV)/.dev  ## What CI runs
	@$(MAKE) --no-print-directory --jobs NICE=nice test $(LINT)

burst: $(VENV)/.dev  ## Play 10,000 calls at once under Fly's limits, on a virtual clock (ARGS=--help)
	@$(NICE) $(BIN)/python -m tests.burst $(ARGS)

clean:  ## Remove what the other targets made
	rm -rf $(VENV) dist wheels .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "worker_lib needs Python 3.11 or later: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	@echo "installing what the demo needs into $(VENV) (once)"
	@$(PIP) -e '.[demo-local]'
	@touch $@

$(VENV)/.demo-docker: $(VENV)/.demo
	@echo "installing Docker's SDK into $(VENV) (once)"
	@$(PIP) -e '.[demo-local,docker]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	@echo "installing what the tests need into $(VENV) (once)"
	@$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.demo

$(CPYTHON_TESTS): | $(VENV)/bin/python
	@$(BIN)/python tools/cpython_tests.py $(dir $@)

$(VENV)/.lock: | $(VENV)/bin/python
	@$(PIP) 'uv>=0.8'
	@touch $@

# Clients want different versions of what they share, so each has a folder of its own.
$(VENV)/.interop: tests/interop/package.json | $(VENV)/.dev
	@echo "installing other Fly clients into $(VENV)/interop (once)"
	@rm -rf $(VENV)/interop
	@$(PIP) --target $(VENV)/interop/fly-python-sdk fly-python-sdk==0.3.4
	@$(PIP) --target $(VENV)/interop/flaude flaude==0.6.1
	@$(PIP) --target $(VENV)/interop/hyperterse-sandboxer hyperterse-sandboxer==0.1.0
	@cp tests/interop/package.json $(VENV)/interop/
	@npm install --prefix $(VENV)/interop --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@
