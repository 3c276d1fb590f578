# One way to run things. `make demo` and `make test` do all the set-up themselves.
#
#   make demo     a running gateway with a shop, a till and payments; ARGS="--rate 5 --port 8080"
#   make test     everything a change must pass (under 10 minutes); it is what .ci/run calls
#   make check    format, lint, types, import contracts, unit tests (under a minute)
#   make openapi  docs/openapi.json anew, after a change of the contract
#   make fmt      put the code in shape
#   make bench    the figures, each with its audit; ARGS="--json"
#   make prove    the long proofs: many kills, many seeds, millions of rows
#   make lock     pin all dependencies again; UPGRADE=1 for newer versions
#   make clean    remove what make and the tools made

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Some images forbid compiled modules: then each of our processes would compile the tests anew.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -q
# Each worker begins with tests that stand together, so that few of them start the same deployment;
# who is done first takes from the others.
SHARED_OUT := --dist worksteal
# Two at a time: the figure of the smallest machine we promise to work on. Tests of whole deployments
# mostly wait, for processes and clocks: more of them at a time.
JOBS ?= 2
WAITING_JOBS ?= 5
ARGS ?=
UPGRADE ?=

# Unit tests that take a minute of their own run with the rest: those that open sockets, of channels
# and of the bench, the command line's, searches and files of many thousand rows, those that start
# boxes or processes again after each of their crashes, and those that ask other programs' opinion.
LONGER := tests/unit/payments/channels tests/unit/load_tests \
	$(sort $(wildcard tests/unit/gateway/test_cli*.py)) \
	$(addprefix tests/unit/gateway/test_,doctor.py metrics.py openapi.py sandboxes.py triggers.py) \
	$(addprefix tests/unit/actors/,custody/test_crashes.py custody/test_lost_store.py \
		custody/test_orders.py test_merchant.py test_nursery.py test_repaying.py) \
	$(addprefix tests/unit/actors/home/test_,clearing_laws.py crashes.py papers.py party_days.py) \
	$(addprefix tests/unit/payments/,bills iso20022 reports settlement \
		splitting/test_money_laws.py test_lifecycle.py)
# What `make check` has already run, `make test` does not run again.
REST := $(filter-out tests/unit/,$(sort $(wildcard tests/*/))) $(LONGER)
# To collect all tests only to leave most of them out takes ten seconds for each of those at work.
ON_RAY = $(shell grep -lrE 'mark\.ray|ON_RAY_TOO' $(sort $(wildcard tests/*/)) --include='test_*.py')

.PHONY: help setup demo test check types fmt openapi bench prove lock clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -11

setup:
	@scripts/setup.sh dev

demo:
	@scripts/setup.sh run
	@$(BIN)/tillway demo $(ARGS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@# Tests are compiled once, beside mypy, rather than by each of those that run them.
	[[ -d tests/unit/__pycache__ ]] || $(PYTEST) --collect-only tests >/dev/null & \
	$(BIN)/mypy && wait
	$(BIN)/lint-imports
	$(PYTEST) -n $(JOBS) $(SHARED_OUT) -m "not slow" tests/unit tests/test_tidy.py $(LONGER:%=--ignore=%)

# Tests with Ray run two at a time, beside two deployments that most of them share.
test: check
	$(PYTEST) -n $(WAITING_JOBS) $(SHARED_OUT) -m "not ray and not slow" $(REST)
	$(PYTEST) -n $(JOBS) $(SHARED_OUT) -m "ray and not slow" $(ON_RAY)

prove: setup
	$(PYTEST) -m slow tests $(ARGS)
	HYPOTHESIS_PROFILE=prove $(PYTEST) -n $(JOBS) -m "not slow" --timeout 1200 tests/unit $(ARGS)

bench: setup
	@$(BIN)/tillway bench $(ARGS)

fmt: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

openapi: setup
	$(BIN)/tillway openapi --out docs/openapi.json

lock: setup
	scripts/lock.sh $(if $(UPGRADE),--upgrade,)

clean:
	rm -rf .venv build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
