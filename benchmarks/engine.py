"""Microseconds per operation, forward and backward, of a chain of 150 small operations (8×8, float64).

    python benchmarks/engine.py

minirnn, HIPS autograd and PyTorch (one thread) run the same chain alternately in one process. The table has the median
and the minimum over the rounds. The chain repeats five operations: a matrix product, the addition of a bias
(broadcast), tanh, an elementwise product and a subtraction (broadcast). It ends in a sum. All three leaves get
gradients.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

OPERATIONS = 150
ROUNDS = 60


def chain(tanh: Callable[[Any], Any], x: Any, w: Any, b: Any) -> Any:
    """Return the result of the chain on the arrays of one library. x, w: (8, 8), b: (8,)."""
    h = x
    for _ in range(OPERATIONS // 5):
        h = tanh(h @ w + b) * x - b
    return h.sum()


def minirnn_run(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Callable[[], list[Any]]:
    """Return a function that runs the chain forward and backward with minirnn and returns the gradients."""
    from minirnn import Tensor

    leaves = [Tensor(a, requires_grad=True) for a in (x, w, b)]

    def run() -> list[Any]:
        for t in leaves:
            t.grad = None
        chain(np.tanh, *leaves).backward()
        return [t.grad for t in leaves]

    return run


def hips_run(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Callable[[], list[Any]]:
    """Return a function that runs the chain forward and backward with HIPS autograd and returns the gradients."""
    import autograd
    import autograd.numpy as anp

    gradient = autograd.grad(lambda leaves: chain(anp.tanh, *leaves))
    return lambda: gradient((x, w, b))


def torch_run(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Callable[[], list[Any]]:
    """Return a function that runs the chain forward and backward with PyTorch and returns the gradients."""
    import torch

    torch.set_num_threads(1)
    leaves = [torch.tensor(a, requires_grad=True) for a in (x, w, b)]

    def run() -> list[Any]:
        for t in leaves:
            t.grad = None
        chain(torch.tanh, *leaves).backward()
        return [t.grad.numpy() for t in leaves]

    return run


def main() -> None:
    rng = np.random.default_rng(0)
    arrays = rng.standard_normal((8, 8)), 0.1 * rng.standard_normal((8, 8)), rng.standard_normal(8)
    runs = {}
    for name, make in (("minirnn", minirnn_run), ("HIPS autograd", hips_run), ("PyTorch", torch_run)):
        try:
            runs[name] = make(*arrays)
        except ImportError as missing:
            print(f"{name}: skipped, {missing}")
    reference = runs["minirnn"]()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for name, run in runs.items():
        for got, expected in zip(run(), reference, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-10, err_msg=name)
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - start) / OPERATIONS * 1e6)
    ours = statistics.median(times["minirnn"])
    print(f"{'':15}{'µs per operation':>17}{'fastest':>9}{'ratio to minirnn':>18}")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:15}{median:17.2f}{min(values):9.2f}{median / ours:18.2f}")


if __name__ == "__main__":
    main()
