PYTHON ?= python3
VENV   ?= .venv
PIP    := $(VENV)/bin/python -m pip --disable-pip-version-check -q install
SUM     = $(shell cat $(1) pyproject.toml | cksum | cut -d' ' -f1)
CORE   := $(VENV)/.core-$(call SUM,requirements.lock)
DEV    := $(VENV)/.dev-$(call SUM,requirements-dev.lock)
LOCKED := --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-header --no-emit-index-url --no-emit-find-links --no-config

.DEFAULT_GOAL := help
.PHONY: help run test slow bench lint pictures lock clean
help:          ## list these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## */\t/' | expand -t 10
$(CORE):
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.core-* && touch $@
$(DEV): $(CORE)
	$(PIP) --require-hashes -r requirements-dev.lock
	@rm -f $(VENV)/.dev-* && touch $@
run: $(CORE)   ## simulate the base scenario and write its report
	$(VENV)/bin/meterhouse run luoyang --out results/luoyang
test: $(DEV)   ## run the test suite
	$(VENV)/bin/python -m pytest -n 2
slow: $(DEV)   ## run the tests that take minutes
	$(VENV)/bin/python -m pytest -m slow
bench: $(DEV)  ## time the allocation routines
	$(VENV)/bin/python -m pytest benchmarks --benchmark-enable --benchmark-only
lint: $(DEV)   ## ruff, mypy and the import map
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy && $(VENV)/bin/lint-imports
pictures: $(DEV) ## draw the pictures of the documentation
	$(VENV)/bin/python docs/make_pictures.py
lock: $(CORE)  ## resolve the locks again
	$(PIP) uv
	$(VENV)/bin/uv pip compile -q $(LOCKED) --group build -o requirements.lock pyproject.toml
	$(VENV)/bin/uv pip compile -q $(LOCKED) --group build --group dev --all-extras -c requirements.lock -o requirements-dev.lock pyproject.toml
	! grep -nE 'https?://|file:|--index|--find' requirements.lock requirements-dev.lock
clean:         ## remove the environment
	rm -rf $(VENV)
