"""The proof of a whole record: every function against the plain loop of `loop.py`, in float64.

`prove` first proves the gates of the record (`proof/gates.py`), then runs each cell through `CASES` and `STEP_CASES`
in each dtype that the record accepts. `rounding.py` derives the errors allowed for 16-bit storage and TF32 products.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from minirnn_kernels.contract import CellKernels, Kernels
from minirnn_kernels.proof.cases import CASES, STEP_CASES, SequenceCase, draw
from minirnn_kernels.proof.comparison import Array, Arrays, Transfer, compare, compare_overall
from minirnn_kernels.proof.gates import prove_gates
from minirnn_kernels.proof.loop import VARIANTS, CellVariant, one_step, reference
from minirnn_kernels.proof.rounding import MANY, Exact, Limits, dtypes, epsilon, limits, rounding_of

__all__ = ["prove", "prove_case"]


def prove(
    record: Kernels,
    seed: int = 0,
    *,
    rounding: str = "strict",
    only_dtypes: Sequence[Any] | None = None,
    only_cells: Sequence[str] | None = None,
    transfer: Transfer = Transfer(),  # noqa: B008 (it is immutable)
) -> None:
    """Raise AssertionError unless `record` fulfils the contract in every case, for each dtype that it accepts.

    rounding: the precision allowed for products of float32 arrays: "strict", "high" (3xTF32) or "fast" (TF32).
    only_dtypes, only_cells: limit the proof to these dtypes and to these names of `VARIANTS`.
    transfer: how arrays reach the device of the record; the lengths stay NumPy arrays.
    """
    found = [d for d in dtypes() if record.accepts(transfer.to_device(np.zeros(1, d)))]
    found = [d for d in found if only_dtypes is None or d in only_dtypes]
    assert found, f"{record.name}: accepts arrays of none of the dtypes, so there is nothing to prove"
    prove_gates(record.gates, seed, tuple(d for d in found if d in (np.float64, np.float32)), transfer)
    for variant in VARIANTS.values():
        for dtype in found if only_cells is None or variant.name in only_cells else ():
            for case in (*CASES, *STEP_CASES):
                _prove(record, _Setting(variant, case, dtype, seed, rounding), transfer)


def prove_case(
    record: Kernels,
    cell: str,
    case: SequenceCase,
    *,
    seed: int = 0,
    dtype: Any = np.float64,
    rounding: str = "strict",
    transfer: Transfer = Transfer(),  # noqa: B008 (it is immutable)
) -> None:
    """Raise AssertionError unless one cell is correct in one case; for tests that draw sizes.

    cell: a name of `VARIANTS`: "rnn-tanh", "rnn-relu", "lstm" or "gru". The other arguments are those of `prove`.
    """
    sizes = f"T={case.T}, B={case.B}, I={case.I}, H={case.H}{', lengths' if case.ragged else ''}, seed {seed}"
    named = replace(case, name=case.name or sizes)
    _prove(record, _Setting(VARIANTS[cell], named, dtype, seed, rounding), transfer)


@dataclass(frozen=True)
class _Setting:
    """One cell in one case. These values determine the arguments and the expected results."""

    variant: CellVariant
    case: SequenceCase
    dtype: Any
    seed: int
    rounding: str  # the precision allowed for products of float32

    def __str__(self) -> str:
        rounded = f" {self.rounding}" if self.dtype == np.float32 and self.rounding != "strict" else ""
        return f"{self.variant.name}, {np.dtype(self.dtype).name}{rounded}, case {self.case.name!r}"

    def draw(self) -> tuple[Arrays, Arrays, Array | None]:
        return draw(self.variant.cell, self.case, self.dtype, np.random.default_rng(self.seed))


class _Result(NamedTuple):
    """A result of a record: its name, the function that returned it, and the array."""

    name: str
    function: str
    array: Any

    def __str__(self) -> str:
        return f"{self.name} of {self.function}"


@lru_cache(maxsize=256)  # a record is proven in the same cases several times: for each level, and for each team
def _expected(setting: _Setting) -> tuple[Arrays, dict[str, Limits]]:
    """Return the values of each result, and the errors that roundings may cause in it."""
    case, variant = setting.case, setting.variant
    inputs, upstream, lengths = setting.draw()
    inputs = {name: a.astype(np.float64) for name, a in inputs.items()}
    upstream = {
        name: np.zeros(a.shape) if name in case.without else a.astype(np.float64) for name, a in upstream.items()
    }

    def right(rounds: Exact) -> Arrays:
        return one_step(variant, inputs, rounds) if case.step else reference(variant, inputs, upstream, lengths, rounds)

    runs = 12 if variant.nonlinearity == "relu" or case.T * case.B * case.H < MANY else 4
    return right(Exact()), limits(rounding_of(setting.dtype, setting.rounding), right, setting.seed, runs)


def _prove(record: Kernels, setting: _Setting, transfer: Transfer) -> None:
    where = f"{record.name}, {setting}"
    try:
        _prove_calls(record, setting, transfer, where)
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error


def _prove_calls(record: Kernels, setting: _Setting, transfer: Transfer, where: str) -> None:
    """Call the functions of the record twice; compare the results, then their bits, the arguments and the memory."""
    case, variant = setting.case, setting.variant
    functions = record.of(variant.cell.name)
    inputs, upstream, lengths = setting.draw()
    before = {name: a.copy() for name, a in (inputs | upstream).items()}
    here = {name: transfer.placed(a) for name, a in (inputs | upstream).items()}

    def call() -> list[_Result]:
        arguments = [here[name] for name in variant.cell.inputs]
        if case.step:
            return _step(functions, variant, arguments, where)
        given = [None if name in case.without else here[name] for name in upstream]
        return _sequence(functions, variant, (*arguments, lengths), given, case.keep, where)

    runs = call(), call()
    first, second = ([transfer.fetched(r.array, here["x"], f"{where}, {r}") for r in run] for run in runs)
    for result, got in zip(runs[0], first, strict=True):
        _compare(got, result.name, setting, f"{where}, {result}")
    for result, got, again in zip(runs[0], first, second, strict=True):
        assert got.tobytes() == again.tobytes(), f"{where}, {result}: two equal calls, different bits"
        if lengths is not None and result.name in ("out", "dx"):
            past = np.arange(case.T)[:, None] >= lengths
            assert not got[past].any(), f"{where}, {result}: not exactly zero past the sequences' ends"
    for name, a in here.items():
        kept = np.array_equal(transfer.to_host(a), before[name], equal_nan=True)
        assert kept, f"{where}: the argument {name} was changed"
    _prove_ownership([*runs[0], *(runs[1] if case.step else [])], list(here.values()), where)


def _sequence(
    functions: CellKernels, variant: CellVariant, arguments: tuple[Any, ...], given: list[Any], keep: bool, where: str
) -> list[_Result]:
    """Return every result of forward, backward (called twice if `keep`) and inference."""
    cell = variant.cell
    *results, cache = _several(
        "forward", functions.forward(*arguments, **variant.options), len(cell.results) + 1, where
    )
    named = [_Result(name, "forward", a) for name, a in zip(cell.results, results, strict=True)]
    gradients = [f"d{name}" for name in cell.inputs]
    for keep_cache in (True, False) if keep else (False,):
        made = _several("backward", functions.backward(*given, cache, keep_cache=keep_cache), len(gradients), where)
        after = "backward" if keep_cache or not keep else "backward after one with keep_cache"
        named += [_Result(name, after, a) for name, a in zip(gradients, made, strict=True)]
    made = _several("inference", functions.inference(*arguments, **variant.options), len(cell.results), where)
    named += [_Result(name, "inference", a) for name, a in zip(cell.results, made, strict=True)]
    try:
        functions.backward(*given, cache)
    except RuntimeError:
        return named
    raise AssertionError(f"{where}: a consumed cache was accepted by a second backward without a RuntimeError")


def _step(functions: CellKernels, variant: CellVariant, arguments: list[Any], where: str) -> list[_Result]:
    """Return the states that a step returns."""
    made, states = functions.step(*arguments, **variant.options), variant.cell.states
    made = _several("step", made, len(states), where) if len(states) > 1 else (made,)
    return [_Result(f"{name}'", "step", a) for name, a in zip(states, made, strict=True)]


def _several(function: str, results: Any, count: int, where: str) -> tuple[Any, ...]:
    assert isinstance(results, tuple), f"{where}: {function} returned a {type(results).__name__}, expected a tuple"
    assert len(results) == count, f"{where}: {function} returned {len(results)} results, expected {count}"
    return results


def _compare(got: Array, name: str, setting: _Setting, what: str) -> None:
    expected, bounds = _expected(setting)
    values, limit = expected[name], bounds[name]
    largest = max(1.0, float(np.max(np.abs(values), initial=0, where=~np.isnan(values))))
    terms, eps = _terms(setting.case), epsilon(setting.dtype)
    compare(got, values, eps * terms * largest + limit.entry, setting.dtype, what)
    if limit.overall and values.size >= MANY:
        compare_overall(got, values, eps * terms**0.5 * largest + limit.overall, what)


def _terms(case: SequenceCase) -> int:
    """Return how many roundings of float32 or float64, each of a number of order 1, can affect an entry.

    A pre-activation sums I + H + 1 terms, and the gates add some twenty roundings; errors propagate through T steps,
    forward and back; a weight's gradient then sums T * B terms. In the worst case a single entry is wrong by all of
    them. They are independent, so the error of a whole result grows with the square root of their number
    (`proof/rounding.py`).
    """
    return 2 * case.T * (case.I + case.H + 20) + case.T * case.B


def _prove_ownership(results: list[_Result], arguments: list[Any], where: str) -> None:
    for k, result in enumerate(results):
        for other in arguments:
            assert not np.shares_memory(result.array, other), f"{where}: {result} shares memory with an argument"
        for earlier in results[:k]:
            assert not np.shares_memory(result.array, earlier.array), f"{where}: {result} shares memory with {earlier}"
