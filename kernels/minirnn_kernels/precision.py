"""How exactly kernels multiply float32 numbers, where the hardware offers a choice.

| | products of float32 | relative error of a product |
|---|---|---|
| "strict" | float32, with fused multiply-adds | 2^-24 |
| "high" | on tensor cores, each factor split into two TF32 numbers: three products | about 2^-22 |
| "fast" | on tensor cores, factors rounded to TF32, of 10 bits | 2^-11 |

Sums are float32 in all three. An infinite factor gives NaN in "high": its parts are infinity and NaN. Other dtypes have
one way each: float64 throughout, and 16-bit numbers multiplied on tensor cores and summed in float32. Only CUDA kernels
have the choice; all others are strict.
"""

from contextvars import ContextVar

PRECISIONS = ("strict", "high", "fast")

_process = "strict"  # chosen by a call
_inside: ContextVar[str | None] = ContextVar("precision", default=None)  # chosen by a with block


class precision:
    """Choose: `precision("fast")` for the process, or `with precision("fast"):` for a block of one thread or task.

    A process that makes no choice is strict. A backward pass computes as its forward pass did.
    ValueError for a name that isn't one of "strict", "high", "fast".
    """

    def __init__(self, name: str) -> None:
        global _process
        if name not in PRECISIONS:
            raise ValueError(f"precision is {name!r}, expected one of {', '.join(map(repr, PRECISIONS))}")
        self._before, self._name = _process, name
        _process = name

    def __enter__(self) -> None:
        global _process
        _process = self._before
        self._token = _inside.set(self._name)

    def __exit__(self, *error: object) -> None:
        _inside.reset(self._token)


def current() -> str:
    """What has been chosen: "strict", "high" or "fast"."""
    return _inside.get() or _process
