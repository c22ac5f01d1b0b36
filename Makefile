# make train   a PPO agent on real prices, from nothing to its report
# make test    every check: format, lint, types, layers, tests
# make gates   the long learning gates, and new examples for what must hold of all
# make bench   speed beside peers, one line of JSON each

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# Where to take torch from, for another build than the registry's own (see README).
TORCH_INDEX ?=
# Further options of `angle-domains train`.
ARGS ?=
# Processes that run tests.
WORKERS ?= 2

BIN := .venv/bin
# Twice quiet: errors alone.
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
INSTALL := $(PIP) install --constraint constraints.txt
export OMP_NUM_THREADS ?= 2

.PHONY: train test gates bench clean

train: .venv/installed
	$(BIN)/angle-domains train --feed market --agent ppo $(ARGS)

test: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist loadfile

gates: .venv/installed-dev
	SHAPES_UNCHECKED=1 $(BIN)/pytest -m gate
	NEW_EXAMPLES=1 $(BIN)/pytest -m hypothesis

bench: .venv/installed-dev
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with its venv module is needed, and none was found:" \
		"install it (on Debian: apt-get install python3 python3-venv)" \
		"or name one, as in: make train PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is older than Python 3.11, which is the oldest that works here"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing pinned dependencies into .venv: a few minutes the first time"
	$(if $(TORCH_INDEX),$(INSTALL) torch --index-url $(TORCH_INDEX))
	$(INSTALL) --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	$(INSTALL) --editable ".[dev]"
	@touch $@
