#!/usr/bin/env bash
# Everything that needs a GPU, with the Python at hand and the packages that it has:
#
#     bash benchmarks/gpu.sh tests [pytest's arguments]    the proofs of tests/gpu
#     bash benchmarks/gpu.sh speed [gpu.py's arguments]    the benchmark: --part, --quick, --minutes, --out
#     bash benchmarks/gpu.sh all                           both, the benchmark only if the proofs succeed
#
# PYTHON is the Python to use (python3). What is missing is said. Without a GPU the tests are skipped, with the reason;
# MINIRNN_REQUIRE_GPU=1 makes that a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
export PYTHONPATH=.:kernels${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1}

has() { "$python" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$1') is None)"; }

# need NAME WHAT-FOR: end if a package is missing. want: say what will be left out.
need() { has "$1" || { echo "gpu.sh: $python has no package $1, which $2 need" >&2; exit 3; }; }
want() { has "$1" || echo "gpu.sh: $python has no package $1: $2" >&2; }

# The reason why the kernels can't run here, or nothing.
reason() { "$python" -c "import minirnn_kernels; print(minirnn_kernels.available()['cupy'] or '')"; }

tests() {
    need numpy "the kernels"
    need pytest "the tests"
    need hypothesis "the tests"
    want cupy "the tests will be skipped"
    want ml_dtypes "no bfloat16"
    want torch "no comparison with cuDNN"
    want safetensors "no checkpoints, whose tests will fail"
    if [[ -n ${MINIRNN_REQUIRE_GPU:-} && -n $(reason) ]]; then
        echo "gpu.sh: MINIRNN_REQUIRE_GPU is set, and the kernels can't run: $(reason)" >&2
        exit 3
    fi
    # a worker for every two cores, 8 at most: most of a test's time is the compiler's and the reference's
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
    want torch "nothing to be faster than, and only small rows can be proven"
    want jax "no comparison with JAX"
    want ml_dtypes "no bfloat16"
    "$python" benchmarks/gpu.py "$@"
}

case "${1:-}" in
tests | speed) "$@" ;;
all) tests && speed ;;
*) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
