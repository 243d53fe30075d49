# Everything one does with respdyn. `make` alone tells what there is.
# Needs python3 (3.11 or newer), python3-venv and make; all else goes into .venv.

PYTHON ?= python3
PORT ?= 6379
DATA ?= ./data
SEEDS ?= 200
SEED ?=
TESTS ?=
FAULTS ?=
PART ?=
FRESH := $(shell date +%s)

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# Once `make compiled` was called, what is compiled is used, and made again when a source has changed.
IS_COMPILED := $(wildcard .compiled/made)
BEST := $(if $(IS_COMPILED),.compiled/bin,$(BIN))
BUILT := $(if $(IS_COMPILED),.compiled/made,.venv/installed)
SOURCES := $(shell find respdyn -name '*.py')

.DEFAULT_GOAL := help
.PHONY: help run test fmt lint type sim faults bench compiled compat docker wheel check clean

help:  ## this list
	@awk -F ':.*##' '/^[a-z]+:.*##/ { printf "make %-7s%s\n", $$1, $$2 }' Makefile

run: $(BUILT)  ## a three-node cluster in the foreground (PORT=6379 DATA=./data); Ctrl-C stops it
	@exec $(BEST)/respdyn cluster --nodes 3 --port $(PORT) --data-dir $(DATA)

test: lint type  ## all tests, as CI runs them (TESTS="tests/ring -k zone" for some)
	@$(BIN)/python -m pytest $(TESTS)

fmt: .venv/installed-test  ## sort imports and mend what can be mended without thinking
	@$(BIN)/ruff check --fix

lint: .venv/installed-test  ## ruff
	@$(BIN)/ruff check

type: .venv/installed-test  ## mypy --strict
	@$(BIN)/mypy --strict

sim: $(BUILT)  ## simulated clusters under faults (SEEDS=200 for seeds 1 to 200, or SEED=42)
	@exec $(BEST)/respdyn sim $(if $(SEED),--seed $(SEED),--seeds 1..$(SEEDS))

faults: .venv/installed-test  ## real nodes in network namespaces under every fault; as root (FAULTS="--seeds 1..3")
	@$(BIN)/python -m tests.faults.course $(FAULTS)
	@$(BIN)/python -m tests.faults.stories
	@$(BIN)/python -m tests.faults.trials $(TRIALS)

bench: $(BUILT)  ## side by side with what else is installed
	@exec $(BEST)/respdyn bench

compiled: .compiled/made  ## the data path as machine code, in .compiled; run, sim and bench use it then (needs gcc)

compat: .venv/installed-test  ## held against clients, their tests and Redis (PART=one for a part; docs/compat.md)
	@exec $(BIN)/python -m compat $(PART)

docker:  ## the image respdyn:latest (docs/docker.md)
	docker build --file docker/Dockerfile --tag respdyn .

wheel: .venv/installed  ## a wheel in dist/
	@$(PIP) wheel --no-deps --wheel-dir dist .

check: lint type $(if $(IS_COMPILED),.compiled/made)  ## before a commit: as test, with examples and seeds never tried before, and what is compiled
	$(BIN)/python -m pytest --hypothesis-seed=$(FRESH)
	$(if $(IS_COMPILED),TRIED_PYTHON=$(CURDIR)/.compiled/bin/python $(BIN)/python -m pytest tests/server tests/cli)
	$(BIN)/respdyn sim --seeds $(FRESH)..$$(($(FRESH) + 49))

clean:  ## remove what make made, except data
	rm -rf .venv .compiled build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find respdyn tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: pip runs again only when pyproject.toml has changed.
.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("respdyn needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	@echo "setting up .venv (once; about a minute)"
	@$(PYTHON) -m venv .venv
	@$(PIP) install --editable .
	@touch $@

.venv/installed-test: .venv/installed
	@$(PIP) install --editable '.[test]'
	@touch $@

# From a copy, since what is compiled appears beside its source.
.compiled/made: pyproject.toml $(SOURCES)
	@command -v gcc cc >/dev/null || { echo "make compiled needs a C compiler and Python's headers (Debian: gcc python3-dev)"; exit 1; }
	@echo "compiling (a few minutes)"
	@rm -rf build/compiled .compiled && mkdir -p build/compiled
	@cp -r respdyn pyproject.toml README.md LICENSE build/compiled
	@$(PYTHON) -m venv .compiled
	@HATCH_BUILD_HOOK_ENABLE_MYPYC=true .compiled/bin/python -m pip --quiet --disable-pip-version-check install ./build/compiled
	@rm -rf build/compiled
	@touch $@
