"""Microseconds per operation, forward and backward, of a chain of 150 small operations (8×8, float64).

    python benchmarks/engine.py

minirnn, HIPS autograd and PyTorch (one thread) run the same chain alternately in one process; the table shows the
median over the rounds for each. The chain repeats five operations: a matrix product, the addition of a bias
(broadcast), tanh, an elementwise product and a subtraction (broadcast); it ends in a sum. All three leaves receive
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


def chain(x: Any, w: Any, b: Any, tanh: Callable[[Any], Any]) -> Any:
    h = x
    for _ in range(OPERATIONS // 5):
        h = tanh(h @ w + b) * x - b
    return h.sum()


def minirnn_run(x: Any, w: Any, b: Any) -> Callable[[], Any]:
    from minirnn import Tensor

    x, w, b = leaves = [Tensor(a, requires_grad=True) for a in (x, w, b)]

    def run() -> Any:
        for t in leaves:
            t.grad = None
        chain(x, w, b, np.tanh).backward()
        return [t.grad for t in leaves]

    return run


def hips_run(x: Any, w: Any, b: Any) -> Callable[[], Any]:
    import autograd
    import autograd.numpy as anp

    gradient = autograd.grad(lambda leaves: chain(leaves[0], leaves[1], leaves[2], anp.tanh))
    return lambda: gradient((x, w, b))


def torch_run(x: Any, w: Any, b: Any) -> Callable[[], Any]:
    import torch

    torch.set_num_threads(1)
    x, w, b = leaves = [torch.tensor(a, requires_grad=True) for a in (x, w, b)]

    def run() -> Any:
        for t in leaves:
            t.grad = None
        chain(x, w, b, torch.tanh).backward()
        return [t.grad.numpy() for t in leaves]

    return run


def main() -> None:
    rng = np.random.default_rng(0)
    arrays = rng.standard_normal((8, 8)), 0.1 * rng.standard_normal((8, 8)), rng.standard_normal(8)
    makers = {"minirnn": minirnn_run, "HIPS autograd": hips_run, "PyTorch": torch_run}
    runs = {}
    for name, make in makers.items():
        try:
            runs[name] = make(*arrays)
        except ImportError as missing:
            print(f"{name}: left out, {missing}")
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
