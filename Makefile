# Everything one does with respdyn. `make` alone tells what there is.
# Needs python3 (3.11 or newer), python3-venv and make; all else goes into .venv.

# Debian's own Python is built with profiles, a tenth faster than a plain build: taken where it can make environments
# and has its headers.
DEBIAN := /usr/bin/python3
CAN_COMPILE := import ensurepip, os, sys, sysconfig, venv; \
	sys.exit(sys.version_info < (3, 11) or not os.path.exists(sysconfig.get_path("include") + "/Python.h"))
PYTHON ?= $(shell $(DEBIAN) -c '$(CAN_COMPILE)' 2>/dev/null && echo $(DEBIAN) || echo python3)
PORT ?= 6379
DATA ?= ./data
SEEDS ?= 200
SEED ?=
TESTS ?=
FAULTS ?=
FUZZ ?=
PART ?=
FRESH := $(shell date +%s)

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# The compiled build is run where it is made of these very sources; else the sources are (docs/builds.md).
TREE := $(BIN)/python -m compiling.tree

.DEFAULT_GOAL := help
.PHONY: help run test fmt lint type sim faults fuzz bench compiled compat docker wheel check clean

help:  ## this list
	@awk -F ':.*##' '/^[a-z]+:.*##/ { printf "make %-7s%s\n", $$1, $$2 }' Makefile

run: .venv/installed  ## a three-node cluster in the foreground (PORT=6379 DATA=./data); Ctrl-C stops it
	@programs=$$($(TREE) start) && exec $$programs/respdyn cluster --nodes 3 --port $(PORT) --data-dir $(DATA)

test: lint type  ## all tests, as CI runs them (TESTS="tests/ring -k zone" for some)
	@$(BIN)/python -m $(if $(TESTS),pytest $(TESTS),tests.whole)

fmt: .venv/installed-test  ## sort imports and mend what can be mended without thinking
	@$(BIN)/ruff check --fix

lint: .venv/installed-test  ## ruff
	@$(BIN)/ruff check

type: .venv/installed-test  ## mypy --strict
	@$(BIN)/mypy --strict

sim: .venv/installed  ## simulated clusters under faults (SEEDS=200 for seeds 1 to 200, or SEED=42)
	@programs=$$($(TREE) which) && exec $$programs/respdyn sim $(if $(SEED),--seed $(SEED),--seeds 1..$(SEEDS))

faults: .venv/installed-test  ## real nodes in network namespaces under every fault; as root (FAULTS="--seeds 1..3")
	@$(BIN)/python -m tests.faults.course $(FAULTS)
	@$(BIN)/python -m tests.faults.stories
	@$(BIN)/python -m tests.faults.trials $(TRIALS)

fuzz: .venv/installed-test  ## nonsense for every surface, 10 minutes each (FUZZ="60 peers tokens" for less)
	@$(BIN)/python -m tests.fuzz.run $(FUZZ)

bench: .venv/installed  ## side by side with what else is installed
	@$(TREE) make || true
	@programs=$$($(TREE) which) && exec $$programs/respdyn bench

compiled: .venv/installed  ## compile now, what changed, and wait for it (needs gcc; docs/builds.md)
	@$(TREE) make

compat: .venv/installed-test  ## held against clients, their tests and Redis (PART=one for a part; docs/compat.md)
	@exec $(BIN)/python -m compat $(PART)

docker:  ## the image respdyn:latest (docs/docker.md)
	docker build --file docker/Dockerfile --tag respdyn .

wheel: .venv/installed  ## wheels in dist/: for this machine, compiled, and for any
	@$(PIP) wheel --no-deps --wheel-dir dist .
	@RESPDYN_BUILD=interpreted $(PIP) wheel --no-deps --wheel-dir dist .

check: lint type  ## before a commit: as test, with examples and seeds never tried before
	$(BIN)/python -m pytest --hypothesis-seed=$(FRESH)
	$(BIN)/respdyn sim --seeds $(FRESH)..$$(($(FRESH) + 49))

clean:  ## remove what make made, except data
	rm -rf .venv .compiled build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find respdyn tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: pip runs again only when pyproject.toml has changed.
.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("respdyn needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	@echo "setting up .venv (once; about a minute)"
	@which='import sys; print(sys.base_prefix, *sys.version_info[:3])'; \
		test "$$(.venv/bin/python -c "$$which" 2>&1)" = "$$($(PYTHON) -c "$$which")" || $(PYTHON) -m venv --clear .venv
	@RESPDYN_BUILD=interpreted $(PIP) install --editable .
	@touch $@

.venv/installed-test: .venv/installed
	@RESPDYN_BUILD=interpreted $(PIP) install --editable '.[test]'
	@touch $@
