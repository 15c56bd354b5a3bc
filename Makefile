# Everything that CI runs and a contributor needs. `make test` is what .ci/run calls.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
bin := .venv/bin
installed := .venv/.installed
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help env browser demo test test-long test-matrix test-lowest pip-audit coverage accuracy bench seeds overhead \
	new-check flavors docs site screenshots format lint types clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

env: $(installed) ## .venv with this package, TensorFlow for CPU and the tools of the tests

$(installed): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 env"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(call debian,python3-venv)
	test -x $(bin)/python || $(PYTHON) -m venv .venv
	$(bin)/python -m pip install --quiet --editable '.[tensorflow,dev]'
	@touch $@

# Installs a Debian package where that is possible, else says what is missing.
debian = { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && apt-get update --quiet=2 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 \
	  --no-install-recommends $(1) >/dev/null || echo "not installed: $(1) (as root: apt-get install $(1))"; }

browser: # the tests that look at a page in a browser skip where there is none
	@command -v chromium >/dev/null || $(call debian,chromium)

demo: env ## train a faulty network and its repaired twin, audit both
	$(bin)/python examples/demo.py

test: lint types browser ## lint, types and every test but the long ones
	$(bin)/python -m pytest -m 'not long' --numprocesses 2

test-long: env browser ## the tests that take minutes
	$(bin)/python -m pytest -m long --timeout 7200
	CLFAUDIT_FUZZ_CASES=20000 $(bin)/python -m pytest --timeout 7200 tests/hostile/test_fuzz.py

test-matrix: ## the main path with older MLflows, mlflow-skinny, PostgreSQL and S3, for docs/versions.md (minutes, gigabytes)
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || $(call debian,postgresql)
	$(PYTHON) -m tests.matrix

test-lowest: ## of these, the row with the lowest version of every dependency
	$(PYTHON) -m tests.matrix lowest

pip-audit: env ## known vulnerabilities of the installed packages, as osv.dev lists them
	$(bin)/python -m pip install --quiet pip-audit
	$(bin)/python -m pip_audit --vulnerability-service osv --skip-editable

# The checks and the ranking are what a verdict rests on: the fast tests reach every line and branch of them.
judgement_floor := 100
overall_floor := 95

coverage: env browser ## which lines and branches the tests reach; fails below the floors
	$(bin)/python -m pytest -m 'not long' --numprocesses 2 --cov --cov-report=
	$(bin)/python -m pytest -m long tests/test_repair*.py --numprocesses 2 --cov --cov-append --cov-report=
	$(bin)/python -m coverage report --skip-covered --fail-under $(overall_floor)
	$(bin)/python -m coverage report --include 'mlflow_clfaudit/checks/*,mlflow_clfaudit/rank.py,mlflow_clfaudit/causality.py' --skip-covered \
	  --fail-under $(judgement_floor)

accuracy: env ## measure the corpus of faulty and healthy runs
	$(bin)/python -m tests.corpus.accuracy

bench: env ## measure what an audit costs; python -m tests.benchmarks NAME measures one section anew
	$(bin)/python -m tests.benchmarks

seeds: env ## train and audit the programs that this project was made from, and write what the audit says
	$(bin)/python -m tests.seeds

overhead: env ## measure what the hook adds to a training
	$(bin)/python -m tests.overhead

# `make new-check area/name`: the word after the target is its argument, not a target.
ifeq ($(firstword $(MAKECMDGOALS)),new-check)
ifneq ($(word 2,$(MAKECMDGOALS)),)
name := $(word 2,$(MAKECMDGOALS))
$(eval $(name):;@:)
endif
endif

new-check: ## a check and its test to fill in: make new-check name=area/name
	@$(PYTHON) tools/new_check.py '$(name)'

flavors: env ## measure what each flavor's evidence allows, for docs/flavors.md
	$(bin)/python -m tests.flavors

docs: env ## write the pages that are generated from the code
	$(bin)/python docs/generate.py

site: env ## the pages of docs/ as a site, in site/
	$(bin)/python -m pip install --quiet --editable '.[docs]'
	$(bin)/python -m mkdocs build --strict

screenshots: env browser ## photograph MLflow's pages for docs/, with runs trained and audited for it
	$(bin)/python -m tests.browser.screenshots

format: env ## put the code into the one layout
	$(bin)/ruff check --fix --select I,F401 --quiet .
	$(bin)/ruff format .

lint: env ## ruff, and whether the layout is kept
	$(bin)/ruff check .
	$(bin)/ruff format --check .

types: env ## mypy, strict, on the package
	$(bin)/mypy

clean: ## what can be made again
	rm -rf .venv .matrix .demo .corpus dist build site .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
