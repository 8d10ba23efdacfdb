# Everything runs in .venv, made on the first call with the versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_OUT ?= demo-out
PIP := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
INSTALL := $(BIN)/python $(PIP) --editable
TRAIN := .venv-train

.DEFAULT_GOAL := help
.PHONY: help demo test test-train lint bench docs notebook clean

help:  ## say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 16

demo: $(VENV)/core  ## find and locate real earthquakes, and write a report to open
	$(BIN)/kaname demo --out $(DEMO_OUT)
	@echo "open $(DEMO_OUT)/report.html"

test: lint  ## check the code and run all tests
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

test-train: $(TRAIN)/full  ## check training and networks, with torch in an environment of its own
	$(TRAIN)/bin/python -m pytest tests/learn tests/reference/test_engine_seisbench.py

lint: $(VENV)/full  ## check style, types and the rules between rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(VENV)/full  ## measure speed beside the peers
	@for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

docs: $(VENV)/full  ## build the pages into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

notebook: $(VENV)/full  ## write examples/quickstart.ipynb from examples/quickstart.py
	$(BIN)/jupytext --to ipynb examples/quickstart.py

clean:  ## remove the environment and everything that was built
	rm -rf $(VENV) $(TRAIN) $(DEMO_OUT) build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Kaname needs Python 3.11 or later; found $$($(PYTHON) -V). Say make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(TRAIN)/bin/python:
	$(PYTHON) -m venv $(TRAIN)

# The stamps are written last, so that an interrupted installation is taken up again.
$(VENV)/core: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) .
	@touch $@

$(VENV)/full: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) '.[test,docs]'
	@touch $@ $(VENV)/core

$(TRAIN)/full: pyproject.toml constraints.txt constraints-train.txt | $(TRAIN)/bin/python
	$(TRAIN)/bin/python $(PIP) --constraint constraints-train.txt --editable '.[train,test]'
	@touch $@
