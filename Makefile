# One command each, from a clean clone: python3 with venv, make and a way to PyPI are all that is needed.

# Which Python makes the environment; default: one that is new enough (scripts/find-python).
PYTHON :=
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready

TASKS_PYTHON := $(PY)
include make/tasks.mk

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-team test test-slow test-long test-team test-verbose test-coverage test-single a-test-is-named lint format types imports check check-all try-wheel matrix acceptance taskmaster phoenix bench bench-quick build docs docs-serve pictures clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '  make %-15s %s\n' "$$name" "$$text"; done

setup: $(READY) ## make .venv with all that development needs

$(READY): pyproject.toml
	@python=$$(sh scripts/find-python $(PYTHON)) && \
		echo "setting up $(VENV) with $$python ($$("$$python" --version 2>&1))" && \
		{ $(PY) -c '' 2>/dev/null || "$$python" -m venv --clear $(VENV); } && \
		$(PY) -m pip install -qq --disable-pip-version-check --editable '.[dev]' && \
		touch $@

demo: $(READY) ## a real suite and a real build, reporting to a live receiver
	@$(PY) -m scripts.demo

demo-team: $(READY) ## twelve machines and two servers on PostgreSQL, some killed meanwhile: nothing is lost
	@$(PY) -m scripts.demo_team

test: $(READY) ## the test suite, but for its slow and long tests
	@$(call task-run,make_test,$(PY) -m pytest -n auto --dist worksteal -m "not slow and not long")

test-slow: $(READY) ## the slow tests: whole workflows, hundreds of processes, a real browser
	@$(call task-run,make_test_slow,$(PY) -m pytest -n auto --dist worksteal -m "slow and not long")

test-long: $(READY) ## the tests of the long check: the history on PostgreSQL 15 and 18, chaos, further CI services
	@$(call task-run,make_test_long,$(PY) -m pytest -n auto --dist worksteal -m long)

test-team: $(READY) ## the tests of reports once more: their commands ask real servers on SQLite and on PostgreSQL
	@for engine in sqlite 18; do \
		SWARMTASK_TEST_SERVER=$$engine $(PY) -m pytest -n auto --dist worksteal -m "not local" tests/report --ignore tests/report/live || exit 1; \
	done

test-verbose: $(READY) ## all tests, one by one
	@$(call task-run,make_test_verbose,$(PY) -m pytest --verbose -m "not long")

test-coverage: $(READY) ## all tests, with branch coverage
	@rm -f .coverage .coverage.*
	@$(call task-run,make_test_coverage,$(PY) -m coverage run -m pytest -n auto --dist worksteal -m "not long")
	@$(PY) -m coverage combine --quiet && $(PY) -m coverage report

test-single: a-test-is-named $(READY) ## one file or test: make test-single TEST=tests/make/test_task_event.py
	@$(call task-run,make_test_single,$(PY) -m pytest "$(TEST)")

a-test-is-named:
	@$(if $(TEST),,$(error which test? Say for example: make test-single TEST=tests/make/test_task_event.py, or TEST=FILE::NAME)):

lint: $(READY) ## ruff: rules and format
	@$(PY) -m ruff check && $(PY) -m ruff format --check

format: $(READY) ## fix what ruff can fix
	@$(PY) -m ruff check --fix; $(PY) -m ruff format

types: $(READY) ## mypy, strict
	@$(PY) -m mypy

imports: $(READY) ## the import contracts
	@$(VENV)/bin/lint-imports

check: lint types imports test test-slow ## what every change has to pass

check-all: ## the long check: all of it, in one to two hours
	@bash scripts/check-all

build: $(READY) ## sdist and wheel in dist/
	@$(call build-run,make_build,rm -rf dist && $(PY) -m build)

try-wheel: build ## what a new user does first, with the wheel in a clean environment
	@$(PY) -m scripts.try_wheel

matrix: build ## the suite on every supported Python and pytest that can be had
	@$(PY) -m scripts.matrix $(MATRIX)

acceptance: build ## suites of other projects, with and without the plugin
	@$(PY) -m scripts.acceptance

taskmaster: $(READY) ## the real Task Master, from npm, beside ours
	@$(PY) -m scripts.taskmaster

phoenix: $(READY) ## spans of a real suite in a real tracing backend, Phoenix from PyPI
	@$(PY) -m scripts.phoenix

docs: $(READY) ## the documentation site, in site/; a broken link is an error
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet

pictures: $(READY) ## the pictures of the report in docs/images, made anew by Chromium
	@$(PY) -m scripts.pictures

docs-serve: $(READY) ## the documentation site while you write it, on 127.0.0.1:8000
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs serve

bench: $(READY) ## what it costs, beside its peers (20 minutes): make bench, or make bench SECTION="tests relay"
	@$(PY) -m benchmarks $(SECTION)

bench-quick: $(READY) ## a look at it (4 minutes), beside the ratios that were kept
	@$(PY) -m benchmarks --quick $(SECTION)

clean: ## take away all that was made (but not the journal)
	@rm -rf $(VENV) .cache build dist site htmlcov .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
