#!/usr/bin/env bash
# The tests and the benchmark that need a GPU, with an installed Python and its packages:
#
#     bash benchmarks/gpu.sh tests [arguments of pytest]   the tests of tests/gpu
#     bash benchmarks/gpu.sh speed [arguments of gpu.py]   the benchmark: --part, --quick, --minutes, --out
#     bash benchmarks/gpu.sh all                           both, the benchmark only if the tests pass
#
# PYTHON is the Python to use (default: python3). Missing packages are reported. Without a GPU the tests are skipped, with
# the reason; with MINIRNN_REQUIRE_GPU=1 they fail.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
export PYTHONPATH=.:kernels${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1}

has() { "$python" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$1') is None)"; }

# need NAME USER: exit if a package is missing. want NAME CONSEQUENCE: report a missing package.
need() { has "$1" || { echo "gpu.sh: $python has no package $1, which $2 need" >&2; exit 3; }; }
want() { has "$1" || echo "gpu.sh: $python has no package $1: $2" >&2; }

# Print the reason why the kernels can't run on this machine, or nothing.
reason() { "$python" -c "import minirnn_kernels; print(minirnn_kernels.available()['cupy'] or '')"; }

tests() {
    need numpy "the kernels"
    need pytest "the tests"
    need hypothesis "the tests"
    want cupy "the tests will be skipped"
    want ml_dtypes "no bfloat16"
    want torch "no comparison with cuDNN"
    want safetensors "the tests of checkpoints will fail"
    if [[ -n ${MINIRNN_REQUIRE_GPU:-} && -n $(reason) ]]; then
        echo "gpu.sh: MINIRNN_REQUIRE_GPU is set, and the kernels can't run: $(reason)" >&2
        exit 3
    fi
    # one worker for every two cores, at most 8: the compiler and the reference take most of a test's time
    local workers=()
    if has xdist; then
        local count=$(($(getconf _NPROCESSORS_ONLN) / 2))
        workers=(-n "$((count < 1 ? 1 : count > 8 ? 8 : count))")
    fi
    "$python" -m pytest -m gpu -rs -p no:cacheprovider "${workers[@]}" tests/gpu "$@"
}

speed() {
    need numpy "the kernels"
    need rich "the tables"
    want torch "no comparison with PyTorch, and only small rows can be checked"
    want jax "no comparison with JAX"
    want ml_dtypes "no bfloat16"
    "$python" benchmarks/gpu.py "$@"
}

case "${1:-}" in
tests | speed) "$@" ;;
all) tests && speed ;;
*) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
