# Keystead. `make help` lists what can be asked for.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# The suites start hundreds of processes; each would compile our modules anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.keystead-installed
LOCKS := requirements/build.txt requirements/dev.txt
TESTS ?=
# What runs in both modes; any other suite does too, given KEYSTEAD_ISOLATION=login and TESTS.
LOGIN_TESTS := tests/engine/tenancy/test_wall.py tests/engine/tenancy/test_routing.py tests/isolation/test_sql_attacks.py
WORKERS ?= 2
# Enough for the checks to import the settings; none of them connects to anything.
CHECK_ENV := KEYSTEAD_ENVIRONMENT=development KEYSTEAD_BASE_URL=http://localhost:8000 \
	KEYSTEAD_DATABASE_URL=postgresql://ks_app@127.0.0.1:1/none KEYSTEAD_REDIS_URL=redis://127.0.0.1:1/0 \
	KEYSTEAD_SECRET_KEY=only-for-checks-that-import-the-settings KEYSTEAD_KMS_URL=file:///nonexistent \
	KEYSTEAD_MATCHER_URL=http://127.0.0.1:1 KEYSTEAD_BLOB_URL=file:///nonexistent
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-emit-build-options --custom-compile-command "make lock"

.PHONY: help venv demo up test compat check bench chaos fmt migrations bake openapi permissions settings lock audit clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 14

venv: $(STAMP) ## .venv with every locked wheel and the project itself

$(STAMP): $(LOCKS) pyproject.toml requirements/install
	@requirements/install $(VENV)
	@touch $@

demo: venv ## the whole story on this machine, checked at each step
	@$(BIN)/keystead demo

up: venv ## everything running until Ctrl-C, with URLs and sign-ins
	@$(BIN)/keystead up

test: venv ## every suite, with the coverage gate (TESTS=path to narrow, without the gate)
ifeq ($(strip $(TESTS)),)
	@$(BIN)/coverage erase
	KEYSTEAD_ISOLATION=login $(BIN)/pytest -n $(WORKERS) --dist loadgroup $(LOGIN_TESTS)
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup --cov --cov-report=term:skip-covered
else
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup $(TESTS)
endif

compat: venv ## the previous release's tests on this tree's schema: make compat BASE=v1.2.3 (default: latest tag)
	@BASE="$(BASE)" TESTS="$(TESTS)" WORKERS="$(WORKERS)" $(BIN)/python -m tests.harness.compat

check: venv ## lint, types, import contracts, security, migrations, drift of generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint Dockerfile
	$(BIN)/lint-imports --no-cache
	$(BIN)/bandit --quiet --confidence-level medium --recursive --configfile pyproject.toml src tenants shared provisioning sdk
	@echo '$(BIN)/mypy'; $(CHECK_ENV) $(BIN)/mypy
	$(BIN)/keystead check
	$(BIN)/python -m tests.architecture.migrations
	$(BIN)/keystead bake --check
	@echo '$(BIN)/keystead openapi --check'; $(CHECK_ENV) $(BIN)/keystead openapi --check
	@echo '$(BIN)/keystead asyncapi --check'; $(CHECK_ENV) $(BIN)/keystead asyncapi --check
	@echo '$(BIN)/keystead permissions --check'; $(CHECK_ENV) $(BIN)/keystead permissions --check
	$(BIN)/keystead settings --check

bench: venv ## a benchmark by name: make bench NAME=routing
	@test -n "$(NAME)" || { echo 'Say which one: make bench NAME=routing (see tests/benchmarks/)'; exit 2; }
	@$(BIN)/python -m tests.benchmarks.$(NAME)

chaos: venv ## a crash suite by name at full size: make chaos NAME=checkout
	@test -n "$(NAME)" || { echo 'Say which one: make chaos NAME=checkout (see tests/chaos/)'; exit 2; }
	@$(BIN)/python -m tests.chaos.$(NAME)

fmt: venv ## format, and fix what can be fixed
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .

migrations: venv ## write what the models ask for: make migrations NAME=pre_add_colour
	@[[ "$(NAME)" =~ ^(pre|post)_[a-z0-9_]+$$ ]] || { \
		echo 'Say what it does and when it is safe: make migrations NAME=pre_add_colour (or post_drop_colour)'; exit 2; }
	@$(CHECK_ENV) DJANGO_SETTINGS_MODULE=config.settings \
		$(BIN)/python -W ignore::RuntimeWarning -m django makemigrations --name $(NAME)

bake: venv ## write the baked script of an organization's schema again
	$(BIN)/keystead bake

openapi: venv ## write docs/openapi.json, docs/openapi-platform.json, docs/asyncapi.json and docs/permissions.md again
	@$(CHECK_ENV) $(BIN)/keystead openapi
	@$(CHECK_ENV) $(BIN)/keystead asyncapi
	@$(CHECK_ENV) $(BIN)/keystead permissions

permissions: venv ## write docs/permissions.md again
	@$(CHECK_ENV) $(BIN)/keystead permissions

settings: venv ## write docs/settings.md again
	$(BIN)/keystead settings

lock: ## resolve requirements/*.in again (network)
	@test -x $(BIN)/uv || { echo 'No uv in $(VENV): run make venv first'; exit 2; }
	$(COMPILE) requirements/base.in -o requirements/base.txt
	$(COMPILE) -c requirements/base.txt requirements/dev.in -o requirements/dev.txt
	$(COMPILE) -c requirements/dev.txt requirements/build.in -o requirements/build.txt

audit: venv ## known vulnerabilities of what is locked (network, so no part of check)
	$(BIN)/pip-audit --disable-pip --requirement requirements/base.txt

clean: ## remove .venv, caches and local state (.keystead/)
	rm -rf $(VENV) .keystead .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis htmlcov build dist
	rm -f .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
