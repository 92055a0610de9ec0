"""What a record may round beside its arithmetic, and how large an error that makes.

Three kinds of records round more than the type that they compute in: they store numbers in 16 bits, or they multiply
on tensor cores that keep 11 bits of each factor (TF32), or 22 (three TF32 products for one, "3xTF32"). Counting one
such rounding for every term of every sum would allow errors of the size of the values, and so prove nothing. What is
known is *where* these records round:

    factor   each factor of a product, before it is multiplied (TF32); sums stay in float32
    stored   h and da, once a step, and every result, once (float16, bfloat16); what has been stored is multiplied as
             it is, and c, the gates and all sums stay in float32

So the kit computes the reference a few times more and rounds there, in the most unlucky way: every rounding changes its
number by the full `u`, half a unit in the last place, up or down by the toss of a coin. Each of these roundings is at
least as large as what a record makes of the same number, whose error is spread over -u..u, in the root mean square
u / sqrt(3) and less. The errors of single roundings are independent and add up along the way linearly, since they are
small; so, entry by entry, a record's error has a smaller variance than the error of such a run. That gives two limits:

    entry    twice the largest error of any entry in any run: three standard deviations of a record's error and more,
             for the entry where that is largest; where only a few roundings matter, their worst sum
    overall  for results of many entries, twice the root mean square of the errors in the worst run: at least 3.5 times
             what is to be expected of a record, and much less than what one missing term of a sum does to the whole

To both comes what float32's own roundings may do. The record of `tests/kernels/proof/test_rounding.py`, which rounds to
the nearest, stayed below two thirds of these limits in all cases of the kit with eight seeds; with three bits less it
fails.

The relu's derivative jumps. Where a rounding puts h on the other side of the jump, the gradient is wrong by its own
size, as in the runs, of which there are more for this cell, since it must not happen to the record only. Where results
have few entries there are more runs too, so that none is right by chance in all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

MANY = 32  # entries, so that their root mean square is no matter of chance


@dataclass(frozen=True)
class Rounding:
    """Half a unit in the last place of a product's factors and of what is stored; 0 for no rounding."""

    factor: float = 0.0
    stored: float = 0.0


# For float32, by the name of the precision of products (`minirnn.precision`). TF32 has 11 significant bits. 3xTF32
# splits a factor into two of those, which leaves 2^-22 of it, and drops the product of the smaller parts: 2^-22 again.
PRODUCTS = {"strict": Rounding(), "high": Rounding(factor=2.0**-21), "fast": Rounding(factor=2.0**-11)}
STORAGE = {"float16": Rounding(stored=2.0**-11), "bfloat16": Rounding(stored=2.0**-8)}


def rounding_of(dtype: Any, products: str) -> Rounding:
    """What a record may round that computes with arrays of that dtype; `products` counts for float32."""
    if products not in PRODUCTS:
        raise ValueError(f"rounding is {products!r}, expected one of {', '.join(map(repr, PRODUCTS))}")
    name = np.dtype(dtype).name
    return PRODUCTS[products] if name == "float32" else STORAGE.get(name, Rounding())


def dtypes() -> tuple[Any, ...]:
    """Every dtype that a record can be proven for: bfloat16 is one where ml_dtypes is installed."""
    try:
        from ml_dtypes import bfloat16
    except ImportError:
        return np.float64, np.float32, np.float16
    return np.float64, np.float32, np.float16, bfloat16


def epsilon(dtype: Any) -> float:
    """The distance from 1 to the next number of the type that sums are computed in."""
    return float(np.finfo(np.float64 if dtype == np.float64 else np.float32).eps)


class Exact:
    """Rounds nothing."""

    def factor(self, a: Array) -> Array:
        return a

    def stored(self, a: Array) -> Array:
        return a


class Unlucky(Exact):
    """Changes every number by a whole rounding, up or down."""

    def __init__(self, rounding: Rounding, rng: np.random.Generator) -> None:
        self._rounding, self._rng = rounding, rng

    def factor(self, a: Array) -> Array:
        return self._changed(a, self._rounding.factor)

    def stored(self, a: Array) -> Array:
        return self._changed(a, self._rounding.stored)

    def _changed(self, a: Array, u: float) -> Array:
        return a * (1 + u * self._rng.choice((-1.0, 1.0), a.shape)) if u else a


@dataclass(frozen=True)
class Limits:
    """The errors that roundings may make in a result: in each entry, and in the root mean square over all."""

    entry: float = 0.0
    overall: float = 0.0


def limits(rounding: Rounding, reference: Callable[[Exact], Arrays], seed: int, runs: int = 4) -> dict[str, Limits]:
    """The limits of each result of `reference`, which computes all of them with the roundings that it is given."""
    exact = reference(Exact())
    if rounding == Rounding():
        return {name: Limits() for name in exact}
    found = {name: Limits() for name in exact}
    for k in range(runs):
        run = reference(Unlucky(rounding, np.random.default_rng((seed, k))))
        for name, right in exact.items():
            error = (run[name] - right)[~np.isnan(right)]
            if error.size:
                entry, overall = float(np.max(np.abs(error))), float(np.mean(np.square(error))) ** 0.5
                found[name] = Limits(max(found[name].entry, 2 * entry), max(found[name].overall, 2 * overall))
    return found
