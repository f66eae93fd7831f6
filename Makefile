PYTHON ?= python3
VENV   ?= .venv
PIP    := $(VENV)/bin/python -m pip --disable-pip-version-check -q install
SUM     = $(shell cat $(1) pyproject.toml | cksum | cut -d' ' -f1)
CORE   := $(VENV)/.core-$(call SUM,requirements.lock)
DEV    := $(VENV)/.dev-$(call SUM,requirements-dev.lock)
GENERATOR ?= .venv-generated
MAKER  := $(GENERATOR)/.maker-$(call SUM,requirements-generator.lock)
LOCKED := --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-header --no-emit-index-url --no-emit-find-links --no-config

.DEFAULT_GOAL := help
.PHONY: help run test slow bench lint statistics pictures examples generated-client lock clean
help:          ## list these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## */\t/' | expand -t 18
$(CORE):
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.core-* && touch $@
$(DEV): $(CORE)
	$(PIP) --require-hashes -r requirements-dev.lock
	@rm -f $(VENV)/.dev-* && touch $@
$(MAKER):
	$(PYTHON) -m venv $(GENERATOR)
	$(GENERATOR)/bin/python -m pip --disable-pip-version-check -q install --require-hashes -r requirements-generator.lock
	@rm -f $(GENERATOR)/.maker-* && touch $@
run: $(CORE)   ## simulate the base scenario and write its report
	$(VENV)/bin/meterhouse run luoyang --out results/luoyang
test: $(DEV)   ## run the test suite
	$(VENV)/bin/python -m pytest -n 2
slow: $(DEV)   ## run the tests that take minutes
	$(VENV)/bin/python -m pytest -m slow
bench: $(DEV)  ## measure everything beside its reference; ends with one table
	$(VENV)/bin/python -m pytest benchmarks -q --benchmark-enable --benchmark-only --benchmark-quiet --timeout=3600
lint: $(DEV)   ## ruff, mypy and the import map
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy && $(VENV)/bin/lint-imports
statistics: $(DEV) ## measure how often intervals hold and the best is selected
	$(VENV)/bin/python docs/make_statistics.py
pictures: $(DEV) ## draw the pictures of the documentation
	$(VENV)/bin/python docs/make_pictures.py
examples: $(CORE) ## collect the examples of the API from a real server
	$(VENV)/bin/python docs/make_examples.py
generated-client: $(CORE) $(MAKER) ## have a public generator make a client of the API, and use it
	$(GENERATOR)/bin/python docs/try_client.py $(VENV)/bin
lock: $(CORE)  ## resolve the locks again
	$(PIP) uv
	$(VENV)/bin/uv pip compile -q $(LOCKED) --group build -o requirements.lock pyproject.toml
	$(VENV)/bin/uv pip compile -q $(LOCKED) --group build --group dev --all-extras -c requirements.lock -o requirements-dev.lock pyproject.toml
	$(VENV)/bin/uv pip compile -q $(LOCKED) --group generator -o requirements-generator.lock
	! grep -nE 'https?://|file:|--index|--find' requirements.lock requirements-dev.lock requirements-generator.lock
clean:         ## remove the environments
	rm -rf $(VENV) $(GENERATOR)
