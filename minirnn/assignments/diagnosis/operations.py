"""What can be wrong with a finished tensor: a factor, a transpose, blocks in another order, a missing sum.

An operation relates what a student returned to what was expected, whatever made it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from minirnn.assignments.catalogue.passes import Array
from minirnn.assignments.diagnosis.cases import Case, close

Fit = Callable[[Any, Array, Case, int, float], bool]


@dataclass(frozen=True)
class Operation:
    """`fits(seen, expected, case, k, scale)`: whether tensor k, as seen, is this operation on what was expected."""

    id: str
    text: str
    fits: Fit


def _factor(factor: Callable[[dict[str, int]], float]) -> Fit:
    def fits(seen: Any, expected: Array, case: Case, k: int, scale: float) -> bool:
        rho = factor(case.sizes)
        return close(seen, rho * expected, abs(rho) * scale, case.precision.match)

    return fits


def _transposed(seen: Any, expected: Array, case: Case, k: int, scale: float) -> bool:
    return expected.ndim == 2 and close(seen, expected.T, scale, case.precision.match)


def _blocks(case: Case, k: int, expected: Array) -> list[Array]:
    return np.split(expected, case.task.blocks, axis=-1) if case.task.has_blocks(case.names[k]) else []


def _blocks_transposed(seen: Any, expected: Array, case: Case, k: int, scale: float) -> bool:
    parts = _blocks(case, k, expected)
    if len(parts) < 2 or expected.ndim != 2 or parts[0].shape[0] != parts[0].shape[1]:
        return False
    return close(seen, np.concatenate([part.T for part in parts], axis=1), scale, case.precision.match)


def _zero(seen: Any, expected: Array, case: Case, k: int, scale: float) -> bool:
    if seen is None:
        return True
    return seen.shape == expected.shape and not np.any(seen) and bool(np.any(expected))


def _reshaped(seen: Any, expected: Array, case: Case, k: int, scale: float) -> bool:
    square = expected.ndim == 2 and expected.shape[0] == expected.shape[1]  # there it is a transpose
    if seen is None or expected.ndim < 2 or square or seen.shape != expected.shape:
        return False
    turned = expected.T if expected.ndim == 2 else np.swapaxes(expected, 0, 1)
    return close(seen, turned.reshape(expected.shape), scale, case.precision.match)


def _summed(seen: Any, expected: Array, case: Case, k: int, scale: float) -> bool:
    """Extra axes; the sum over them is what was expected."""
    if seen is None or seen.ndim <= expected.ndim or seen.ndim > expected.ndim + 2 or seen.dtype.kind not in "fiu":
        return False
    extra = seen.ndim - expected.ndim
    return any(
        close(seen.sum(axis=axes), expected, scale, case.precision.match)
        for axes in permutations(range(seen.ndim), extra)
        if list(axes) == sorted(axes)
    )


def _permuted(order: tuple[int, ...]) -> Fit:
    def fits(seen: Any, expected: Array, case: Case, k: int, scale: float) -> bool:
        parts = _blocks(case, k, expected)
        if len(parts) != len(order):
            return False
        return close(seen, np.concatenate([parts[n] for n in order], axis=-1), scale, case.precision.match)

    return fits


_FIXED = (
    Operation("sign", "-1 times the right gradient", _factor(lambda s: -1.0)),
    Operation("batch-scale", "1/N of the right gradient", _factor(lambda s: 1 / s.get("N", 1))),
    Operation("batch-scale", "N times the right gradient", _factor(lambda s: float(s.get("N", 1)))),
    Operation("time-scale", "1/T of the right gradient", _factor(lambda s: 1 / s.get("T", 1))),
    Operation("time-scale", "T times the right gradient", _factor(lambda s: float(s.get("T", 1)))),
    Operation("initial-state-forgotten", "zero", _zero),
    Operation("dw-transposed", "the transpose of the right gradient", _transposed),
    Operation("dw-transposed", "each gate's block transposed", _blocks_transposed),
    Operation("reshape-for-transpose", "the right entries in wrong places, by a reshape", _reshaped),
    Operation("bias-batch", "the mean over the batch, not the sum", _factor(lambda s: 1 / s.get("N", 1))),
    Operation("missing-reduction", "an axis too many; summed over it, it is right", _summed),
)


def operations(case: Case, without: frozenset[str] = frozenset()) -> Iterator[Operation]:
    """All operations for a case's task."""
    yield from (operation for operation in _FIXED if operation.id not in without)
    n = case.task.blocks
    if n > 1 and "gate-order" not in without:
        gates = case.task.gates
        for order in permutations(range(n)):
            if order != tuple(range(n)):
                text = f"blocks in the order {' '.join(gates[k] for k in order)} instead of {' '.join(gates)}"
                yield Operation("gate-order", text, _permuted(order))


def allowed(operation: Operation, tensor: str) -> bool:
    """Whether the operation makes sense as a mistake in this tensor."""
    if operation.id == "initial-state-forgotten":
        return tensor in ("dh0", "dprev_h", "dprev_c")
    if operation.id == "bias-batch":
        return tensor in ("db", "dbx", "dbh")
    if operation.id == "dw-transposed":
        return tensor in ("dWx", "dWh", "dW", "dx", "dquery")
    return True


def factors(without: frozenset[str]) -> list[Operation]:
    """Those that can be on every tensor at once."""
    return [operation for operation in _FIXED[:5] if operation.id not in without]
