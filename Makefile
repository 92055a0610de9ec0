# make demo    the main job: check the gradients, train an LSTM on real text, sample from it
# make test    lint, types, architecture, and the tests (2 cores: 8 to 10 minutes)
# make test-all the long proofs too
# make test-gpu the CUDA kernels on a GPU; NO_VENV=1 with the packages that PYTHON has, nothing is installed
# Each makes its own .venv; nothing else is touched.

PYTHON ?= python3
BIN := .venv/bin
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: demo test test-all test-gpu lint types unit plant plant-cuda chatbot-score experiments clean

demo: .venv/demo
	@$(BIN)/minirnn demo

test: lint types unit

lint: .venv/dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@PYTHONPATH=.:kernels $(BIN)/lint-imports --no-cache

types: .venv/dev
	@$(BIN)/mypy

unit: .venv/dev
	@$(ONE_THREAD) $(BIN)/python -m pytest -n auto --dist loadgroup -m "not slow and not gpu"

test-all: lint types
	@$(ONE_THREAD) HYPOTHESIS_PROFILE=minirnn-all $(BIN)/python -m pytest -n auto --dist loadgroup
	@$(MAKE) --no-print-directory plant plant-cuda

# Skipped, with the reason, where there is no GPU. ARGS="-k stress" and the like go to pytest.
test-gpu: $(if $(NO_VENV),,.venv/gpu)
	@PYTHON=$(if $(NO_VENV),$(PYTHON),$(BIN)/python) bash benchmarks/gpu.sh tests $(ARGS)

# Every derivative replaced by a wrong one in turn: the tests must notice each.
plant: .venv/dev
	@$(ONE_THREAD) $(BIN)/python tests/autograd/plant_derivatives.py

# Mistakes in the CUDA sources in turn, on the CPU (g++): the proof must notice each.
plant-cuda: .venv/dev
	@$(ONE_THREAD) $(BIN)/python tests/kernels/cuda/plant.py

# The shipped chatbot in 500 conversations that it was not trained on.
chatbot-score: .venv/demo
	@$(BIN)/minirnn chatbot-score

# Every experiment of the course, and docs/gallery.md from their results: about half an hour.
experiments: .venv/dev
	@$(BIN)/python docs/make_gallery.py

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("minirnn needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	@echo "setting up .venv"
	@$(PYTHON) -m venv .venv

.venv/demo: .venv/bin/python pyproject.toml setup.py
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/dev: .venv/bin/python pyproject.toml setup.py
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,data,gpu-test]'
	@touch $@ .venv/demo

.venv/gpu: .venv/dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,data,gpu]'
	@touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
