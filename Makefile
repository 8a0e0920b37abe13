# make demo: set up, train a network on real images, audit it.  make test: set up, then every check and test.
# make quick: lint, types and a core of the tests, while you work.  make test-all: the slow tests too.
# make paper: every table and figure of the docs, in hours (it goes on where it stopped).  make paper-quick: all, small.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

PYTEST := $(BIN)/python -m pytest -n 2

.PHONY: demo test test-all quick lint fuzz docs paper paper-quick clean

demo: $(INSTALLED)
	$(BIN)/nfa demo --out runs/demo

test: lint paper-quick
	$(PYTEST) $(COVERAGE)

test-all: lint paper-quick
	$(PYTEST) -m ""

quick: lint
	$(PYTEST) -m core

lint: $(INSTALLED)
	$(BIN)/ruff check nfa tests analyses figures docs/building
	$(BIN)/ruff format --check nfa tests analyses figures docs/building
	$(BIN)/mypy

# Random networks, machines and files against independent oracles: make fuzz MINUTES=30
MINUTES ?= 30
fuzz: $(INSTALLED)
	PYTHONPATH=tests:tests/random:. $(BIN)/python tests/random/fuzz.py --minutes $(MINUTES)

# The documentation, as pages in site/; a broken link fails.
docs: $(INSTALLED)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

paper: $(INSTALLED)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[analyses]'
	$(BIN)/python -m analyses all
	$(BIN)/python -m figures all

paper-quick: $(INSTALLED)
	rm -rf runs/quick
	$(BIN)/python -m analyses all --quick
	$(BIN)/python -m figures all --quick

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt torch
	$(BIN)/pip install --quiet -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) runs/demo runs/quick build *.egg-info
