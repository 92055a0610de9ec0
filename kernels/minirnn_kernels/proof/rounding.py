"""The roundings that a record may make beyond float32 arithmetic, and how large an error they can cause.

Three kinds of records round more than the type they compute in: they store numbers in 16 bits, or they multiply on
tensor cores that keep 11 bits of each factor (TF32), or 22 bits (three TF32 products for one, "3xTF32"). Allowing one
such rounding for every term of every sum would permit errors as large as the values and prove nothing. But it is known
*where* these records round:

    factor   each factor of a product, before the multiplication (TF32); sums stay in float32
    stored   h and da once per step, and every result once (float16, bfloat16); products use the stored numbers, while
             c, the gates and all sums stay in float32

So the proof computes the reference several more times and rounds there in the worst way: every rounding changes its
number by the full `u`, half a unit in the last place, up or down at random. A record's rounding of the same number has
an error between -u and u, with a root mean square of at most u / sqrt(3). The errors of single roundings are
independent, and because they are small they add up linearly. Entry by entry, a record's error therefore has a smaller
variance than the error of such a run. That gives two limits:

    entry    twice the largest error of any entry in any run: at least three standard deviations of a record's error
             in the entry where it is largest; where only a few roundings matter, their worst sum
    overall  for results of many entries, twice the root mean square of the errors in the worst run: at least 3.5 times
             the expected error of a record, and much less than the effect of one missing term of a sum

The errors that float32's own roundings can cause are added to both. The record of
`tests/kernels/proof/test_rounding.py`, which rounds to the nearest, stayed below two thirds of these limits in all
cases with eight seeds; with three bits less it fails.

The derivative of relu jumps at 0. Where a rounding moves h across the jump, the gradient is wrong by its own size. The
runs have such entries too; this cell gets more runs, so that such entries do not occur only in the record. Results with
few entries also get more runs, so that no entry is accidentally correct in all runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn_kernels.proof.comparison import Array, Arrays

MANY = 32  # the number of entries from which their root mean square is meaningful


@dataclass(frozen=True)
class Rounding:
    """Half a unit in the last place of the factors of products and of stored numbers; 0 means no rounding."""

    factor: float = 0.0
    stored: float = 0.0


# For float32, by the precision of products (`minirnn_kernels.precision`). TF32 has 11 significant bits. 3xTF32 splits a
# factor into two TF32 numbers, with a remainder of 2^-22, and drops the product of the two smaller parts: 2^-22 again.
FLOAT32_PRODUCTS = {"strict": Rounding(), "high": Rounding(factor=2.0**-21), "fast": Rounding(factor=2.0**-11)}
SIXTEEN_BIT_STORAGE = {"float16": Rounding(stored=2.0**-11), "bfloat16": Rounding(stored=2.0**-8)}


def rounding_of(dtype: Any, products: str) -> Rounding:
    """Return the roundings allowed to a record for arrays of this dtype; `products` only matters for float32."""
    if products not in FLOAT32_PRODUCTS:
        raise ValueError(f"rounding is {products!r}, expected one of {', '.join(map(repr, FLOAT32_PRODUCTS))}")
    name = np.dtype(dtype).name
    return FLOAT32_PRODUCTS[products] if name == "float32" else SIXTEEN_BIT_STORAGE.get(name, Rounding())


def dtypes() -> tuple[Any, ...]:
    """Return every dtype that a record can be proven for; bfloat16 is included if ml_dtypes is installed."""
    try:
        from ml_dtypes import bfloat16
    except ImportError:
        return np.float64, np.float32, np.float16
    return np.float64, np.float32, np.float16, bfloat16


def epsilon(dtype: Any) -> float:
    """Return the distance from 1 to the next number, in the type that sums are computed in."""
    return float(np.finfo(np.float64 if dtype == np.float64 else np.float32).eps)


class Exact:
    """No rounding. A subclass rounds the factors of products, or stored numbers, or both."""

    def factor(self, a: Array) -> Array:
        return a

    def stored(self, a: Array) -> Array:
        return a


class Unlucky(Exact):
    """The worst possible roundings: every number changes by the largest rounding error, up or down at random."""

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
    """The errors that roundings may cause in a result: in each entry, and as root mean square over all entries."""

    entry: float = 0.0
    overall: float = 0.0


def limits(rounding: Rounding, reference: Callable[[Exact], Arrays], seed: int, runs: int = 4) -> dict[str, Limits]:
    """Return the limits of each result of `reference`, a function that computes all results with given roundings."""
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
