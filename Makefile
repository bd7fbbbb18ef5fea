# `make help` lists the targets. Recipes are silent, so that `make demo ARGS="--json"` prints JSON only.
SHELL := /bin/bash
.SILENT:
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help setup system system-test check test demo up bench soak audit docs shots lock clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# More pip arguments, e.g. --extra-index-url of PyTorch's CPU wheels, which are far smaller.
PIP_ARGS ?=
# Test files at a time; they wait more than they work.
WORKERS ?= 3

help: ## this list
	grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## the virtual environment .venv with every pinned package

$(STAMP): requirements.lock pyproject.toml
	deploy/python-check.sh $(PYTHON) >&2
	echo "setting up $(VENV) (a few minutes the first time)" >&2
	$(PYTHON) -m venv $(VENV) >&2
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -r requirements.lock >&2
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e . >&2
	touch $@

system: ## the Debian packages that the demo needs, where they are missing
	deploy/system-packages.sh apt.txt >&2

system-test: ## the same for the tests, with a browser
	deploy/system-packages.sh apt.txt apt-test.txt >&2

check: setup ## formatting, lint, types, layers
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup system-test ## every test; says what it skipped and why
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

demo: setup system ## watch a registry die and be healed; ARGS="--yes --json"
	$(BIN)/seawall demo $(ARGS)

up: setup ## serve; ARGS="--config seawall.yaml"
	$(BIN)/seawall up $(ARGS)

bench: setup system ## the figures of docs/benchmarks.md
	$(BIN)/python -m benchmarks $(ARGS)

soak: setup system-test ## the long forms of the failure tests
	SEAWALL_SOAK=1 $(BIN)/python -m pytest -m soak --timeout 7200 $(ARGS)

audit: setup ## known vulnerabilities of the pinned packages (asks an advisory service)
	$(PYTHON) -m venv $(VENV)/audit && $(VENV)/audit/bin/pip install --quiet pip-audit==2.9.0
	$(VENV)/audit/bin/pip-audit --no-deps --disable-pip -r requirements.lock

docs: setup ## every key, verb and signal is documented, every link leads somewhere
	$(BIN)/python -m pytest -q tests/unit/test_docs.py tests/unit/test_docs_site.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet && echo "the site: build/site/index.html"

shots: setup system-test ## the pictures of the pages, from a real demo; look at them
	$(BIN)/python -m docs.make.shots

lock: ## pin what is installed now
	(head -1 requirements.lock; $(BIN)/pip freeze --exclude-editable | sed 's/+cpu//') > requirements.lock.new
	mv requirements.lock.new requirements.lock

clean: ## the virtual environment and caches
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
