# Every target makes .venv when it is missing or when its lock changed; otherwise it starts at once.
# `make` alone prints this list.

VENV   := .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.ready
# The first interpreter that is new enough; `make lab PYTHON=/path/to/python3.12` overrides the choice.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; done)
# Tests run in one process a core; each computes on one thread, so that they do not fight over the cores.
TEST_WORKERS ?= 2
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help lab test check build demo bench format lock clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

lab: $(READY) ## open the labs in JupyterLab
	$(VENV)/bin/jupyter lab --notebook-dir=labs $(ARGS)

test: check ## everything in `make check`, then all tests, then nbval over the rendered labs
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(TEST_WORKERS) --dist loadfile $(ARGS)
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(TEST_WORKERS) --dist loadfile --nbval --nbval-sanitize-with tests/nbval.cfg \
		solutions

check: $(READY) ## lint, formatting, types, and that generated notebooks are up to date
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(PY) -m cblab.lab.build --check

build: $(READY) ## regenerate every notebook and picture from solutions/*.py
	$(PY) -m cblab.lab.build

demo: $(READY) ## the bundled model answers several prompts at once
	$(PY) -m cblab.demos.streaming

bench: $(READY) ## run the benchmarks (no timing decides a test)
	$(PY) -m pytest tests/benchmarks -s -p no:xdist --override-ini python_files='bench_*.py' --override-ini python_functions='bench_*' $(ARGS)

format: $(READY) ## format and mend what ruff can mend
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

# torch pins its own CUDA packages exactly, and its CPU build has none: they stay out of the lock.
lock: ## renew requirements.lock from pyproject.toml (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/"; exit 2; }
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --no-header --no-annotate \
		--no-emit-package setuptools --quiet --output-file $(VENV).lock.tmp $(ARGS)
	grep -vE '^(nvidia-|cuda-|triton==)' $(VENV).lock.tmp > requirements.lock
	rm $(VENV).lock.tmp

clean: ## remove .venv and every cache
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "cblab needs Python 3.11 or newer, and none was found." \
		"Install one, or name it: make lab PYTHON=/path/to/python3.12"; exit 2; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version): a few minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@# Without it JupyterLab asks every student whether to fetch news, and does.
	$(VENV)/bin/jupyter labextension disable --level=sys_prefix "@jupyterlab/apputils-extension:announcements"
	@touch $@
