# Everything a newcomer, a developer and the continuous integration call. `make help` prints the list.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WORKERS ?= auto

.PHONY: help
help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

.PHONY: install
install: $(INSTALLED) ## make .venv with exactly what requirements.lock names, and the program in it

$(INSTALLED): requirements.lock pyproject.toml scripts/install.sh
	@PYTHON="$(PYTHON)" bash scripts/install.sh "$(VENV)"
	@touch $@

.PHONY: run
run: install ## fill a demo store and serve it on http://127.0.0.1:8000
	@$(BIN)/carryout demo
	@exec $(BIN)/carryout serve

.PHONY: servers
servers: ## install the programs that tests start (PostgreSQL, Chromium, unzip, curl and the like)
	@bash scripts/install-servers.sh

.PHONY: test
test: install servers ## run the tests, on SQLite and PostgreSQL
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

.PHONY: test-large
test-large: install servers ## run the tests that take minutes
	$(BIN)/pytest -m large

.PHONY: check
check: install ## style, types, the direction of imports, the rules of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -q tests/test_house.py
	@$(BIN)/python scripts/longest.py

.PHONY: bench
bench: install ## measure the endpoint and the webhooks, as ratios
	@bash bench/run.sh

.PHONY: lock
lock: install ## write requirements.lock anew from pyproject.toml
	@bash scripts/lock.sh "$(BIN)/python"

.PHONY: clean
clean: ## remove .venv and every cache; data stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
