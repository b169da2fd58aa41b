# Sets itself up in .venv; needs python3 >= 3.10 with venv, make and git. `make help` lists the targets.
.DEFAULT_GOAL := help
.PHONY: help install check test demo layer bench jaeger picture dashboards clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/.runs
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable

help:  ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  \1\t\2/' | expand -t 14

install: $(READY)  ## Set up .venv with coldspan and what developing it needs

$(RUNS): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "coldspan needs Python 3.10 or newer; this is %s. Name another one: make PYTHON=python3.13" % sys.version.split()[0])'
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) '.[lab]'
	@touch $(RUNS)

$(READY): $(RUNS)
	@echo "Setting up what tests and checks need ..."
	@$(PIP) '.[dev]'
	@touch $(READY)

check: install  ## Lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.11 backends

test: install  ## Run the whole test suite (ARGS="-k name" for a part)
	$(BIN)/python -Im pytest $(ARGS)

demo: $(RUNS)  ## Run a sample function under the local Lambda service and print its traces
	@$(BIN)/coldspan demo

layer: $(RUNS)  ## Build the layer for this Python into dist/coldspan.zip
	@mkdir -p dist
	$(BIN)/coldspan layer build --output dist/coldspan.zip

bench: install  ## Measure what the layer costs (ARGS="--list" names what, ARGS="--situation trivial" picks)
	$(BIN)/python -Im coldspan_bench $(ARGS)
	$(BIN)/python -I benchmarks/imports.py
	$(BIN)/python -I benchmarks/runtime.py

jaeger: install  ## Build the Jaeger that tests look for, once for this user (needs Go; some 4 minutes)
	@PYTHONPATH=tests/support $(BIN)/python -m coldspan_testing.jaeger

picture: install  ## Renew the picture of the demo's page in docs/images (needs chromium)
	@mkdir -p .cache
	$(BIN)/coldspan demo --html .cache/demo.html >/dev/null
	chromium --headless --no-sandbox --hide-scrollbars --window-size=1060,1330 \
		--screenshot=docs/images/trace-page.png file://$(CURDIR)/.cache/demo.html

dashboards: install  ## Write Grafana's dashboards anew (needs Python 3.11)
	$(BIN)/python -I backends/grafana/build_dashboards.py

clean:  ## Remove what the other targets made
	rm -rf $(VENV) .cache dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
