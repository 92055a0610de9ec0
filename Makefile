# make demo    the main job: check the gradients, train an LSTM on real text, sample from it
# make test    lint, types, architecture, language, and the tests (2 cores: 8 to 10 minutes)
# make test-all also runs the long proofs
# make test-gpu tests the CUDA kernels on a GPU; with NO_VENV=1 it uses the packages of PYTHON and installs nothing
# Each target makes .venv when it needs it, and changes nothing else.

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
	@$(BIN)/python docs/check_language.py

types: .venv/dev
	@$(BIN)/mypy

unit: .venv/dev
	@$(ONE_THREAD) $(BIN)/python -m pytest -n auto --dist loadgroup -m "not slow and not gpu"

test-all: lint types
	@$(ONE_THREAD) HYPOTHESIS_PROFILE=minirnn-all $(BIN)/python -m pytest -n auto --dist loadgroup
	@$(MAKE) --no-print-directory plant plant-cuda

# Without a GPU, the tests are skipped with a reason. ARGS="-k stress" passes options to pytest.
test-gpu: $(if $(NO_VENV),,.venv/gpu)
	@PYTHON=$(if $(NO_VENV),$(PYTHON),$(BIN)/python) bash benchmarks/gpu.sh tests $(ARGS)

# Replace each derivative by a wrong one, one at a time: the tests must fail each time.
plant: .venv/dev
	@$(ONE_THREAD) $(BIN)/python tests/autograd/plant_derivatives.py

# Plant mistakes in the CUDA sources, one at a time, and run them on the CPU (g++): the proof must fail each time.
plant-cuda: .venv/dev
	@$(ONE_THREAD) $(BIN)/python tests/kernels/cuda/plant.py

# Score the shipped chatbot on 500 held-out conversations.
chatbot-score: .venv/demo
	@$(BIN)/minirnn chatbot-score

# Run every experiment of the course and write docs/gallery.md from the results: about half an hour.
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
