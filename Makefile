# make demo: set up, train a network on real images, audit it.  make test: set up, then every check and test.
# make quick: lint, types and a core of the tests, while you work.  make test-all: the slow tests too.
# make test-oldest, make test-notebook: the suite in an environment of its own, with the versions in constraints/.
# make dist: wheel and source distribution, checked.  make docs: the documentation as pages.
# make gpu: the tests that need a GPU, and the benchmarks on it, into docs/speed.md.  make speed: those of the processor.
# make paper: every table and figure of the docs, in hours (it goes on where it stopped).  make paper-quick: all, small.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
NEWEST := constraints/newest.txt

PYTEST := $(BIN)/python -m pytest -n 2

.PHONY: demo test test-all test-oldest test-notebook quick lint dist fuzz docs gpu speed paper paper-quick clean

demo: $(INSTALLED)
	$(BIN)/nfa demo --out runs/demo

test: $(INSTALLED)
	$(MAKE) -j 2 lint dist paper-quick
	$(PYTEST) $(COVERAGE)

test-all: $(INSTALLED)
	$(MAKE) -j 2 lint dist paper-quick
	$(PYTEST) -m ""

quick: lint
	$(PYTEST) -m core

lint: $(INSTALLED)
	$(BIN)/ruff check nfa tests analyses figures docs/building
	$(BIN)/ruff format --check nfa tests analyses figures docs/building
	$(BIN)/mypy

# The versions in constraints/SET.txt, but torch by those in TORCH: make test-oldest TORCH=constraints/newest.txt TESTS='-m core'
TORCH = constraints/$(SET).txt
TESTS =
test-oldest: SET := oldest
test-notebook: SET := notebook
test-notebook: PYTHON := python3.13
test-oldest test-notebook:
	$(PYTHON) -m venv $(VENV)-$(SET)
	{ grep -v '^torch' constraints/$(SET).txt; grep '^torch' $(TORCH); } > $(VENV)-$(SET)/constraints.txt
	$(VENV)-$(SET)/bin/pip install --quiet -c $(VENV)-$(SET)/constraints.txt torch
	$(VENV)-$(SET)/bin/pip install --quiet -c $(VENV)-$(SET)/constraints.txt -e '.[test]'
	$(VENV)-$(SET)/bin/python -m pytest -n 2 $(TESTS)

dist: $(INSTALLED)
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*

# Random networks, machines and files against independent oracles: make fuzz MINUTES=30
MINUTES ?= 30
fuzz: $(INSTALLED)
	PYTHONPATH=tests:tests/random:. $(BIN)/python tests/random/fuzz.py --minutes $(MINUTES)

# The documentation, as pages in site/; a broken link fails.
docs: $(INSTALLED)
	$(BIN)/pip install --quiet -c $(NEWEST) -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

gpu: $(INSTALLED)
	$(BIN)/python -m pytest -m gpu
	$(BIN)/pip install --quiet -c $(NEWEST) -e '.[analyses]'
	$(BIN)/python -m analyses.fill docs/speed.md --only "--device cuda"

# For hours, on a machine that does nothing else.
speed: $(INSTALLED)
	$(BIN)/pip install --quiet -c $(NEWEST) -e '.[analyses]'
	$(BIN)/python -m analyses speed
	$(BIN)/python -m figures speed
	$(BIN)/python -m analyses.fill docs/speed.md --without cuda

paper: $(INSTALLED)
	$(BIN)/pip install --quiet -c $(NEWEST) -e '.[analyses]'
	$(BIN)/python -m analyses all
	$(BIN)/python -m figures all

paper-quick: $(INSTALLED)
	rm -rf runs/quick
	$(BIN)/python -m analyses all --quick
	$(BIN)/python -m figures all --quick

$(INSTALLED): pyproject.toml $(NEWEST)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c $(NEWEST) torch
	$(BIN)/pip install --quiet -c $(NEWEST) -e '.[test,lint]'
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-oldest $(VENV)-notebook runs/demo runs/quick build dist *.egg-info
