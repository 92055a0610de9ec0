"""Mistakes in a finished tensor: a factor, a transpose, blocks in another order, a missing sum.

An operation relates the tensor that a student's function returned to the expected tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations, permutations

import numpy as np

from minirnn.assignments.catalogue.passes import Array
from minirnn.assignments.diagnosis.probe_results import ProbeResult, close

Fits = Callable[[ProbeResult, int, Array], bool]


@dataclass(frozen=True)
class Operation:
    """One operation on a finished tensor.

    id: the mistake in the catalogue. text: completes "the tensor is ...". fits(result, k, expected): whether tensor k
    of the result is what this operation makes of the expected tensor.
    """

    id: str
    text: str
    fits: Fits


def _factor(factor: Callable[[int, int], float]) -> Fits:
    """`factor(N, T)` is the factor for N samples and T steps."""

    def fits(result: ProbeResult, k: int, expected: Array) -> bool:
        rho = factor(result.sizes.get("N", 1), result.sizes.get("T", 1))
        return close(result.seen[k], rho * expected, abs(rho) * result.scale(k, expected), result.precision.match)

    return fits


def _rearranged(rearrange: Callable[[Array, list[Array]], Array | None]) -> Fits:
    """`rearrange(expected, blocks)` is the rearranged tensor, or None if the tensor has the wrong shape for that."""

    def fits(result: ProbeResult, k: int, expected: Array) -> bool:
        has_blocks = result.task.has_blocks(result.names[k])
        blocks = np.split(expected, result.task.blocks, axis=-1) if has_blocks else []
        rearranged = rearrange(expected, blocks)
        return rearranged is not None and close(
            result.seen[k], rearranged, result.scale(k, expected), result.precision.match
        )

    return fits


def _square(a: Array) -> bool:
    return a.ndim == 2 and a.shape[0] == a.shape[1]


def _transposed(expected: Array, blocks: list[Array]) -> Array | None:
    return expected.T if expected.ndim == 2 else None


def _blocks_transposed(expected: Array, blocks: list[Array]) -> Array | None:
    return np.concatenate([block.T for block in blocks], axis=1) if blocks and _square(blocks[0]) else None


def _reordered(order: tuple[int, ...], expected: Array, blocks: list[Array]) -> Array | None:
    return np.concatenate([blocks[k] for k in order], axis=-1) if blocks else None


def _reshaped(expected: Array, blocks: list[Array]) -> Array | None:
    if expected.ndim < 2 or _square(expected):  # for a square matrix the reshape is a transpose
        return None
    return np.swapaxes(expected, 0, 1).reshape(expected.shape)


def _zero(result: ProbeResult, k: int, expected: Array) -> bool:
    seen = result.seen[k]
    return seen is None or (seen.shape == expected.shape and not np.any(seen) and bool(np.any(expected)))


def _summed(result: ProbeResult, k: int, expected: Array) -> bool:
    """Return whether the tensor has one or two extra axes, and the sum over them is the expected tensor."""
    seen = result.seen[k]
    if seen is None or not 1 <= seen.ndim - expected.ndim <= 2 or seen.dtype.kind not in "fiu":
        return False
    return any(
        close(seen.sum(axis=axes), expected, result.scale(k, expected), result.precision.match)
        for axes in combinations(range(seen.ndim), seen.ndim - expected.ndim)
    )


_FACTORS = (
    Operation("sign", "-1 times the right gradient", _factor(lambda N, T: -1.0)),
    Operation("batch-scale", "1/N of the right gradient", _factor(lambda N, T: 1 / N)),
    Operation("batch-scale", "N times the right gradient", _factor(lambda N, T: float(N))),
    Operation("time-scale", "1/T of the right gradient", _factor(lambda N, T: 1 / T)),
    Operation("time-scale", "T times the right gradient", _factor(lambda N, T: float(T))),
)
_FIXED = (
    *_FACTORS,
    Operation("initial-state-forgotten", "zero", _zero),
    Operation("dw-transposed", "the transpose of the right gradient", _rearranged(_transposed)),
    Operation("dw-transposed", "the right gradient, with each block transposed", _rearranged(_blocks_transposed)),
    Operation("reshape-for-transpose", "the right gradient, rearranged by a reshape", _rearranged(_reshaped)),
    Operation("bias-batch", "the mean over the batch instead of the sum", _factor(lambda N, T: 1 / N)),
    Operation("missing-reduction", "the right gradient, before a sum over an axis", _summed),
)  # fmt: skip
_TENSORS = {
    "initial-state-forgotten": ("dh0", "dprev_h", "dprev_c"),
    "bias-batch": ("db", "dbx", "dbh"),
    "dw-transposed": ("dWx", "dWh", "dW", "dx", "dquery"),
}  # mistake: the only tensors in which it can be made


def operations(result: ProbeResult, without: frozenset[str] = frozenset()) -> Iterator[Operation]:
    """Yield all operations for the task of a result, except those in `without`."""
    yield from (operation for operation in _FIXED if operation.id not in without)
    gates = result.task.gates
    if len(gates) > 1 and "gate-order" not in without:
        for order in list(permutations(range(len(gates))))[1:]:  # the first one is the right order
            text = f"blocks in the order {' '.join(gates[k] for k in order)} instead of {' '.join(gates)}"
            yield Operation("gate-order", text, _rearranged(partial(_reordered, order)))


def allowed(operation: Operation, tensor: str) -> bool:
    """Return whether the operation makes sense as a mistake in this tensor."""
    return tensor in _TENSORS.get(operation.id, (tensor,))


def factors(without: frozenset[str]) -> list[Operation]:
    """Return the factors, which can apply to every tensor at once, except those in `without`."""
    return [operation for operation in _FACTORS if operation.id not in without]
