# Two commands do everything: `make run` and `make test`.  `make help` lists the rest.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
UV     := 0.13.9
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow lint type check calibrate chaos lock clean

help:            ## list the targets
	@grep -E '^[a-z-]+: .*##|^[a-z-]+:  *##' Makefile | sed 's/:.*## /\t/' | expand -t 14

setup: $(STAMP)  ## create .venv with everything pinned by requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "sefar-bench needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q bench methods sefar datasets  # else each start compiles, where Python may not
	@touch $@

run: setup       ## the main job: benchmark, statistics, reports/leaderboard.md
	$(BIN)/python -m bench run --suite fine_grained

test: setup      ## the fast tests (under 6 minutes on 2 cores)
	$(BIN)/python -m pytest -n auto --dist worksteal

test-slow: setup ## the longer ones: real Ray, kills, a wheel in a fresh environment
	$(BIN)/python -m pytest -m slow --timeout 1500

lint: setup      ## ruff: style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: setup      ## mypy --strict
	$(BIN)/mypy

check: lint type test ## what a contributor runs before a commit

calibrate: setup ## false marks and power of the tests into docs/statistics.md (long; resumable)
	$(BIN)/python benchmarks/calibrate.py --write docs/statistics.md

chaos: setup     ## random kills, full disks and damaged files; every table must come out the same (long; resumable)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/chaos.py --faults 160 --ray 40 --seed 1 --kept runs/chaos.jsonl --write docs/running.md

lock: setup      ## renew requirements.lock from pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --extra dev --no-annotate \
	  --no-emit-index-url --quiet --custom-compile-command "make lock" pyproject.toml -o requirements.lock

clean:           ## remove the environment and caches (never runs/ or reports/)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
