# One entry point for people and for CI. `make` alone lists the targets.

VENV      ?= .venv
PYTHON    ?= python3
ARGS      ?=
TOOLS     := .venv-tools
BIN       := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SPANS     := wire facts spans span identity tree trace steps assemble
LOOPS     := src/immune/detection/compiled.py $(SPANS:%=src/immune/intake/otlp/%.py) $(wildcard src/immune/intake/otlp/*.pxd)
# npm's own stamp; where the machine has no npm, the one from PyPI in the environment serves
MODULES   := node_modules/.package-lock.json
WITH_NODE := PATH="$$PATH:$(abspath $(BIN))"

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help env demo test crash fuzz soak lint format lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(INSTALLED) ## make the virtual environment (VENV=PATH for another place)

demo: $(INSTALLED) ## run the demo (ARGS="--help" shows its options)
	$(BIN)/immune demo $(ARGS)

test: lint ## lint, then run the tests (ARGS go to pytest)
	$(BIN)/pytest -q -n auto $(ARGS)

crash: $(INSTALLED) ## kill servers, let their stores fail: the long runs (ARGS="--kills 30 --outage 5")
	$(BIN)/python -m tests.crash $(ARGS)

fuzz: $(INSTALLED) ## mutate requests against the decoders for 10 minutes (ARGS="--seconds 60")
	$(BIN)/python -m tests.fuzz $(ARGS)

soak: $(INSTALLED) ## two hours of load and a virtual week: no memory leaks (ARGS="--minutes 5 --days .2")
	$(BIN)/python -m tests.soak $(ARGS)

lint: $(INSTALLED) $(MODULES) ## ruff, mypy, the import contracts and the page's types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(WITH_NODE) node_modules/.bin/tsc -p tsconfig.json

format: $(INSTALLED) ## sort imports and format the code in place
	$(BIN)/ruff check --select I --fix .
	$(BIN)/ruff format .

lock: $(TOOLS)/bin/uv ## re-make requirements.lock (ARGS=--upgrade moves the pins)
	$(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	    --generate-hashes --no-header --no-annotate --extra server --extra dev \
	    $(ARGS) --output-file requirements.lock pyproject.toml

clean: ## remove what the targets above have made
	rm -rf $(VENV) $(TOOLS) node_modules build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache \
	    .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment is whole only when its stamp stands: an install that broke off is made again.
$(INSTALLED): requirements.lock pyproject.toml hatch_build.py $(LOOPS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(MODULES): package.json package-lock.json | $(INSTALLED)
	$(WITH_NODE) npm ci --silent
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo 'immune needs Python 3.11 or newer with its venv module. On Debian or Ubuntu:' >&2; \
	    echo '    sudo apt install python3 python3-venv make' >&2; \
	    echo 'With another interpreter: make env PYTHON=/path/to/python3.12' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(TOOLS)/bin/uv:
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet 'uv>=0.9,<1'
