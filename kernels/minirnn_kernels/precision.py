"""The precision of float32 products, on hardware that offers a choice.

| | products of float32 | relative error of a product |
|---|---|---|
| "strict" | float32, with fused multiply-adds | 2^-24 |
| "high" | on tensor cores, each factor split into two TF32 numbers: three products | about 2^-22 |
| "fast" | on tensor cores, factors rounded to TF32, which stores 10 bits | 2^-11 |

Sums are float32 in all three. An infinite factor gives NaN with "high", because its parts are infinity and NaN. Other
dtypes have no choice: float64 is used throughout, and 16-bit numbers are multiplied on tensor cores and summed in
float32. Only CUDA kernels offer the choice; all others are strict.
"""

from contextvars import ContextVar

PRECISIONS = ("strict", "high", "fast")

_process = "strict"  # set by a call
_inside: ContextVar[str | None] = ContextVar("precision", default=None)  # set by a with block


class precision:
    """Set the precision: `precision("fast")` for the process, `with precision("fast"):` inside a block.

    A block affects only its own thread or asynchronous task. The default is "strict". A backward pass uses the
    precision of its forward pass.
    Raises ValueError for a name that isn't one of "strict", "high", "fast".
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
    """Return the current precision: "strict", "high" or "fast"."""
    return _inside.get() or _process
