# Everything here sets itself up in .venv; nothing else on the machine is touched.
#   make explore ARGS="--server.port 8600"
#   make test ARGS="-k stats"
#   make setup PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup explore test test-all check clean
.DELETE_ON_ERROR:

help:
	@echo "make explore   serve the explorer and print its address (works offline once set up)"
	@echo "make test      run the tests, of exhaustive walks a part"
	@echo "make test-all  run all of them, as CI does"
	@echo "make check     lint, formatting and types"
	@echo "make setup     only make the environment in $(VENV); the others do this by themselves"
	@echo "make clean     remove the environment and caches; runs/ and results/ stay"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sortscope needs Python 3.11 or newer, and $(PYTHON) is older: name another, as in: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.12")'
	@echo "making the environment in $(VENV): some minutes, once"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

explore: setup
	$(BIN)/python -m streamlit run app.py --server.headless true $(ARGS)

# Bytecode is kept, whatever the environment says: each worker and each command that a test starts
# would compile the same modules anew.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist worksteal

test: setup
	$(PYTEST) -m "not exhaustive" $(ARGS)

test-all: setup
	$(PYTEST) $(ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(wildcard interp training analyses benchmarks tests) -name __pycache__ -prune -exec rm -rf {} +
