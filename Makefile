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
# Benchmarks are no tests: no timing decides anything, and none runs into a time limit.
BENCH := $(PY) -m pytest -s -p no:xdist -o timeout=0 -o python_files='bench_*.py' -o python_functions='bench_*'
PEERS := .bench-venv
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help lab test check build demo site bench bench-full bench-gpu format lock clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# Threads that spin while they wait would take the cores away from the browser.
lab: $(READY) ## open the labs in JupyterLab
	OMP_WAIT_POLICY=passive $(VENV)/bin/jupyter lab --notebook-dir=labs --LabApp.default_url=/lab/tree/README.md $(ARGS)

test: check ## everything in `make check`, then all tests, then nbval over the rendered labs
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)
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

site: $(READY) ## the guides, rendered labs and API reference as static pages in site/ (ARGS=--solutions: with answers)
	$(PY) -m cblab.lab.site $(ARGS)

bench: $(READY) ## this machine's limits, then every path beside transformers (under 10 minutes)
	$(BENCH) tests/benchmarks --ignore tests/benchmarks/gpu $(ARGS)

bench-full: $(READY) $(PEERS)/.ready ## and OpenVINO GenAI, llama.cpp, sweeps, long random tests
	$(BENCH) tests/benchmarks --ignore tests/benchmarks/gpu --full --peers $(PEERS)/bin/python $(ARGS)

bench-gpu: $(READY) ## tests and benchmarks of the GPU's kernels; says so where there is no GPU
	$(PY) -m pytest -p no:xdist tests/gpu tests/attention/test_triton_attention.py \
		tests/attention/test_triton_write.py tests/model/test_triton_ops.py tests/core/test_cuda_graphs.py
	$(BENCH) tests/benchmarks/gpu $(ARGS)

format: $(READY) ## format and mend what ruff can mend
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

# torch pins its own CUDA packages exactly, and its CPU build has none: they stay out of the lock. Triton stays in:
# its kernels are tested in its interpreter, which needs no GPU.
lock: ## renew requirements.lock from pyproject.toml (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/"; exit 2; }
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --no-header --no-annotate \
		--no-emit-package setuptools --quiet --output-file $(VENV).lock.tmp $(ARGS)
	grep -vE '^(nvidia-|cuda-)' $(VENV).lock.tmp > requirements.lock
	rm $(VENV).lock.tmp

$(PEERS)/.ready: tests/benchmarks/peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@# Nothing here needs it, and PyPI's does not go with torch's CPU build.
	$(PEERS)/bin/python -m pip uninstall --quiet --yes torchvision
	@touch $@

clean: ## remove .venv and every cache
	rm -rf $(VENV) $(PEERS) build site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
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
	@# The guide is to be read, not edited.
	@mkdir -p $(VENV)/share/jupyter/lab/settings
	@cp cblab/assets/jupyterlab/overrides.json $(VENV)/share/jupyter/lab/settings/
	@echo "Compiling the kernels for this machine: half a minute, once."
	$(PY) -c 'from cblab import LLM; LLM("story-4m").engine.warmup()'
	@touch $@
