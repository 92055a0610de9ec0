"""Proves a record of kernels right: every function against a plain loop over the gates, in float64.

    prove(minirnn_kernels.get("numpy"))

proves its gates (`proof/gates.py`), then runs each cell through the cases of `CASES` in each dtype the record
accepts, and raises an AssertionError that names the cell, the dtype, the case, the result and its worst entry. The
reference is deliberately slow and plain: no buffers, no products over several steps, and a batch with lengths is, by
definition, its sequences run one by one. What 16-bit storage and TF32 products may round on top is in `rounding.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn_kernels.contract import Kernels
from minirnn_kernels.gates import (
    gru_gates,
    gru_gates_backward,
    lstm_gates,
    lstm_gates_backward,
    rnn_gates,
    rnn_gates_backward,
)
from minirnn_kernels.proof.comparison import Device, compare, compare_overall
from minirnn_kernels.proof.gates import prove_gates, prove_gates_case
from minirnn_kernels.proof.rounding import MANY, Exact, Limits, dtypes, epsilon, limits, rounding_of

__all__ = ["CASES", "CELLS", "Case", "Cell", "prove", "prove_case", "prove_gates", "prove_gates_case", "reference"]

Array = npt.NDArray[Any]
Arrays = dict[str, Array]


@dataclass(frozen=True)
class Cell:
    """What the kit has to know about a cell. `forward` and `backward` are its gates in one common form."""

    name: str
    gates: int
    states: tuple[str, ...]
    biases: tuple[str, ...]
    # (a_ih, a_hh, *states) -> the next states, cache
    forward: Callable[..., tuple[list[Array], Any]]
    # (the next h as it was stored, cache, *gradients into the next states)
    # -> da_ih, da_hh, gradients into the states past the products
    backward: Callable[..., tuple[Array, Array, list[Array]]]
    options: tuple[tuple[str, str], ...] = ()

    @property
    def function(self) -> str:
        """The first part of its functions' names in a record."""
        return self.name.split("-")[0]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The arguments that have gradients, in the contract's order."""
        return ("x", *(f"{s}0" for s in self.states), "W_ih", "W_hh", *self.biases)

    @property
    def results(self) -> tuple[str, ...]:
        """What a forward returns, without the cache."""
        return ("out", *(f"{s}_n" for s in self.states))


def _rnn(nonlinearity: str) -> Cell:
    def forward(a_ih: Array, a_hh: Array, h: Array) -> tuple[list[Array], Any]:
        return [rnn_gates(a_ih + a_hh, nonlinearity)], None

    def backward(h: Array, cache: Any, dh: Array) -> tuple[Array, Array, list[Array]]:
        da = rnn_gates_backward(dh, h, nonlinearity)
        return da, da, [np.zeros_like(dh)]

    return Cell(f"rnn-{nonlinearity}", 1, ("h",), ("b",), forward, backward, (("nonlinearity", nonlinearity),))


def _lstm_forward(a_ih: Array, a_hh: Array, h: Array, c: Array) -> tuple[list[Array], Any]:
    h, c, cache = lstm_gates(a_ih + a_hh, c)
    return [h, c], cache


def _lstm_backward(h: Array, cache: Any, dh: Array, dc: Array) -> tuple[Array, Array, list[Array]]:
    da, dc = lstm_gates_backward(dh, dc, cache)
    return da, da, [np.zeros_like(dh), dc]


def _gru_forward(a_ih: Array, a_hh: Array, h: Array) -> tuple[list[Array], Any]:
    h, cache = gru_gates(a_ih, a_hh, h)
    return [h], cache


def _gru_backward(h: Array, cache: Any, dh: Array) -> tuple[Array, Array, list[Array]]:
    da_ih, da_hh, dh = gru_gates_backward(dh, cache)
    return da_ih, da_hh, [dh]


CELLS = (
    _rnn("tanh"),
    _rnn("relu"),
    Cell("lstm", 4, ("h", "c"), ("b",), _lstm_forward, _lstm_backward),
    Cell("gru", 3, ("h",), ("b_ih", "b_hh"), _gru_forward, _gru_backward),
)


# ---- the reference -------------------------------------------------------------------------------------------------


def reference(
    cell: Cell, inputs: Arrays, upstream: Arrays, lengths: Array | None = None, rounds: Exact | None = None
) -> Arrays:
    """All results and gradients of a sequence: {"out", "h_n", ..., "dx", "dh0", ..., "db"}, computed step by step.

    `inputs` has the arrays of `cell.inputs`, `upstream` the gradients "dout", "dh_n", ... into `cell.results`; `rounds`
    says what is rounded on the way, nothing if it is None.
    """
    rounds = rounds or Exact()
    if lengths is None:
        return _loop(cell, inputs, upstream, rounds)
    total = {f"d{name}": np.zeros_like(inputs[name]) for name in cell.inputs}
    total |= {name: np.zeros_like(upstream[f"d{name}"]) for name in cell.results}
    for b, length in enumerate(lengths):
        here: dict[str, Any] = {"x": np.s_[:length, b : b + 1], "out": np.s_[:length, b : b + 1]}
        here |= {name: np.s_[b : b + 1] for s in cell.states for name in (f"{s}0", f"{s}_n")}
        one = _loop(
            cell,
            {name: a[here.get(name, ...)] for name, a in inputs.items()},
            {name: a[here[name[1:]]] for name, a in upstream.items()},
            rounds,
        )
        for name, a in one.items():
            total[name][here.get(name.removeprefix("d"), ...)] += a
    return total


def _loop(cell: Cell, inputs: Arrays, upstream: Arrays, rounds: Exact) -> Arrays:
    x, W_ih, W_hh = (rounds.factor(inputs[name]) for name in ("x", "W_ih", "W_hh"))
    b_ih = inputs[cell.biases[0]]
    b_hh = inputs["b_hh"] if "b_hh" in cell.biases else np.zeros_like(b_ih)
    states = [inputs[f"{s}0"] for s in cell.states]
    steps, out = [], []
    for x_t in x:
        h = rounds.factor(states[0])
        states, cache = cell.forward(x_t @ W_ih.T + b_ih, h @ W_hh.T + b_hh, *states)
        states[0] = rounds.stored(states[0])
        steps.append((x_t, h, cache))
        out.append(states[0])

    dstates = [upstream[f"d{s}_n"] for s in cell.states]
    dx: list[Array] = []
    dW_ih, dW_hh, db_ih, db_hh = (np.zeros_like(p) for p in (W_ih, W_hh, b_ih, b_hh))
    for (x_t, h, cache), h_next, dout_t in zip(reversed(steps), reversed(out), upstream["dout"][::-1], strict=True):
        dstates[0] = dstates[0] + dout_t
        da_ih, da_hh, past_the_products = cell.backward(h_next, cache, *dstates)
        da_ih, da_hh = rounds.stored(da_ih), rounds.stored(da_hh)
        db_ih, db_hh = db_ih + da_ih.sum(axis=0), db_hh + da_hh.sum(axis=0)
        da_ih, da_hh = rounds.factor(da_ih), rounds.factor(da_hh)
        dstates = [past_the_products[0] + da_hh @ W_hh, *past_the_products[1:]]
        dx.insert(0, da_ih @ W_ih)
        dW_ih, dW_hh = dW_ih + da_ih.T @ x_t, dW_hh + da_hh.T @ h

    results = {"dx": np.stack(dx), "dW_ih": dW_ih, "dW_hh": dW_hh}
    results |= {f"d{s}0": a for s, a in zip(cell.states, dstates, strict=True)}
    results |= {f"d{name}": db for name, db in zip(cell.biases, (db_ih, db_hh), strict=False)}
    results |= {f"{s}_n": a for s, a in zip(cell.states[1:], states[1:], strict=True)}
    return {name: rounds.stored(a) for name, a in results.items()} | {"out": np.stack(out), "h_n": states[0]}


def _one_step(cell: Cell, inputs: Arrays, rounds: Exact) -> Arrays:
    """{"h'", ...}: the states after one step, whose x is (B, I)."""
    states = [inputs[f"{s}0"] for s in cell.states]
    x, h, W_ih, W_hh = (rounds.factor(inputs[name]) for name in ("x", "h0", "W_ih", "W_hh"))
    a_hh = h @ W_hh.T + (inputs["b_hh"] if "b_hh" in cell.biases else 0)
    made, _ = cell.forward(x @ W_ih.T + inputs[cell.biases[0]], a_hh, *states)
    return {f"{s}'": rounds.stored(a) for s, a in zip(cell.states, made, strict=True)}


# ---- the cases -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One setting of shapes, lengths, upstream gradients and values."""

    name: str
    T: int = 5
    B: int = 3
    I: int = 4
    H: int = 6
    ragged: bool = False
    without: tuple[str, ...] = ()  # upstream gradients that are None
    saturated: bool = False  # biases of +-100, so that every gate is shut or open
    nan: bool = False  # a NaN in one row of x, from the second step on
    strided: bool = False  # inputs that are not contiguous
    keep: bool = False  # backward called twice, first with keep_cache=True


CASES = (
    Case("plain"),
    Case("B=0", B=0),
    Case("B=1", B=1),
    Case("T=1", T=1),
    Case("all sizes 1", T=1, B=1, I=1, H=1),
    Case("tails: sizes around a vector's", T=3, B=17, I=33, H=19),
    Case("tails in rows, though a step is whole vectors", T=3, B=8, I=5, H=7),
    Case("larger", T=24, B=9, I=16, H=32),
    Case("many terms in the weights' gradients", T=120, B=9, I=3, H=5),
    Case("lengths", T=7, B=5, ragged=True),
    Case("lengths, one row", T=4, B=1, ragged=True),
    Case("no upstream but dh_n", without=("dout", "dc_n")),
    Case("no upstream but dc_n", without=("dout", "dh_n")),
    Case("no upstream but dout", without=("dh_n", "dc_n")),
    Case("no upstream at all", without=("dout", "dh_n", "dc_n")),
    Case("lengths, no dout", T=7, B=5, ragged=True, without=("dout",)),
    Case("saturated", saturated=True),
    Case("NaN in one row", nan=True),
    Case("strided inputs", strided=True),
    Case("keep_cache", keep=True),
    Case("lengths, keep_cache", T=7, B=5, ragged=True, keep=True),
)

# The cases of one step. Its x is the last of T = 2: there a NaN stands, and another one in W_ih.
STEP_CASES = tuple(
    replace(case, name=f"one step, {case.name}", T=2)
    for case in (
        Case("plain"),
        Case("B=0", B=0),
        Case("B=1", B=1),
        Case("all sizes 1", B=1, I=1, H=1),
        Case("one row, whole vectors", B=1, I=64, H=128),
        Case("one row, tails", B=1, I=37, H=101),
        Case("tails: sizes around a vector's", B=17, I=33, H=19),
        Case("larger", B=5, I=150, H=67),
        Case("saturated", saturated=True),
        Case("NaN in one row and in one unit", H=21, nan=True),
        Case("strided inputs", strided=True),
    )
)


def _draw(cell: Cell, case: Case, dtype: Any, rng: np.random.Generator) -> tuple[Arrays, Arrays, Array | None]:
    """inputs, upstream and lengths of a case, of values of order 1."""
    T, B, I, H = case.T, case.B, case.I, case.H
    K = cell.gates * H
    inputs = {
        "x": rng.standard_normal((T, B, I)),
        "W_ih": rng.uniform(-1, 1, (K, I)) / np.sqrt(I),
        "W_hh": rng.uniform(-1, 1, (K, H)) / np.sqrt(H),
    }
    inputs |= {f"{s}0": rng.uniform(-1, 1, (B, H)) for s in cell.states}
    inputs |= {name: rng.uniform(-0.3, 0.3, K) for name in cell.biases}
    if case.saturated:
        inputs |= {name: 100 * np.sign(inputs[name]) for name in cell.biases}
    upstream = {"dout": rng.standard_normal((T, B, H))}
    upstream |= {f"d{s}_n": rng.standard_normal((B, H)) for s in cell.states}
    lengths = None
    if case.ragged:
        lengths = rng.permutation(np.linspace(1, T - 1, B).astype(np.int64))
        padding = np.arange(T)[:, None] >= lengths
        inputs["x"][padding] = upstream["dout"][padding] = np.nan  # nobody may look there
    if case.nan:
        inputs["x"][1, B // 2, 0] = np.nan  # its row has neighbours on both sides
    if case in STEP_CASES:
        inputs["x"] = inputs["x"][-1]
        if case.nan:
            inputs["W_ih"][1, -1] = np.nan  # what reads past a row's end, or takes a unit for another, finds it
    inputs, upstream = ({k: a.astype(dtype) for k, a in d.items()} for d in (inputs, upstream))
    if case.strided:
        inputs, upstream = ({k: np.repeat(a, 2, axis=-1)[..., ::2] for k, a in d.items()} for d in (inputs, upstream))
    for array in (*inputs.values(), *upstream.values()):
        array.flags.writeable = False
    return inputs, upstream, lengths


# ---- the proof -----------------------------------------------------------------------------------------------------


def prove(
    record: Kernels,
    seed: int = 0,
    *,
    rounding: str = "strict",
    only_dtypes: Sequence[Any] | None = None,
    only_cells: Sequence[str] | None = None,
    to_device: Callable[[Array], Any] | None = None,
    to_host: Callable[[Any], Array] | None = None,
) -> None:
    """Raise AssertionError unless `record` keeps the contract in every case, for each dtype that it accepts.

    rounding: what products of float32 arrays may round, "strict", "high" (3xTF32) or "fast" (TF32).
    only_dtypes, only_cells: some of them, in place of all.
    to_device, to_host: for arrays of another device, for instance cupy.asarray and cupy.asnumpy; lengths stay NumPy's.
    """
    device = _device(to_device, to_host)
    found = [d for d in dtypes() if record.accepts(device.to_device(np.zeros(1, d)))]
    found = [d for d in found if only_dtypes is None or d in only_dtypes]
    assert found, f"{record.name}: accepts arrays of none of the dtypes, so there is nothing to prove"
    prove_gates(record.gates, seed, tuple(d for d in found if d in (np.float64, np.float32)), device)
    for cell in CELLS:
        for dtype in found if only_cells is None or cell.name in only_cells else ():
            for case in (*CASES, *STEP_CASES):
                _prove_case(record, cell, case, dtype, seed, rounding, device)


def prove_case(
    record: Kernels,
    cell: str,
    *,
    T: int,
    B: int,
    I: int,
    H: int,
    ragged: bool = False,
    seed: int = 0,
    dtype: Any = np.float64,
    rounding: str = "strict",
    to_device: Callable[[Array], Any] | None = None,
    to_host: Callable[[Any], Array] | None = None,
) -> None:
    """The same for the sequences of one cell and sizes of your own, in particular for tests that draw them.

    cell: "rnn-tanh", "rnn-relu", "lstm" or "gru". ragged: with lengths from 1 to T - 1, which takes a T of at least 2.
    """
    (found,) = (c for c in CELLS if c.name == cell)
    name = f"T={T}, B={B}, I={I}, H={H}{', lengths' if ragged else ''}, seed {seed}"
    case = Case(name, T, B, I, H, ragged)
    _prove_case(record, found, case, dtype, seed, rounding, _device(to_device, to_host))


def _device(to_device: Callable[[Array], Any] | None, to_host: Callable[[Any], Array] | None) -> Device:
    assert (to_device is None) == (to_host is None), "to_device and to_host come together"
    return Device() if to_device is None or to_host is None else Device(to_device, to_host)


def _prove_case(record: Kernels, cell: Cell, case: Case, dtype: Any, seed: int, rounding: str, device: Device) -> None:
    kind = np.dtype(dtype).name + (f" {rounding}" if dtype == np.float32 and rounding != "strict" else "")
    where = f"{record.name}, {cell.name}, {kind}, case {case.name!r}"
    proof = _prove_step if case in STEP_CASES else _prove
    try:
        proof(record, cell, case, dtype, seed, rounding, device, where)
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error


Expected = tuple[Arrays, dict[str, Limits]]  # by a result's name: its values, and the errors that roundings may make


@lru_cache(maxsize=256)  # a record is proven by the same cases several times: by level, and by team
def _expected(cell: Cell, case: Case, dtype: Any, seed: int, rounding: str) -> Expected:
    inputs, upstream, lengths = _draw(cell, case, dtype, np.random.default_rng(seed))
    inputs = {name: a.astype(np.float64) for name, a in inputs.items()}
    upstream = {
        name: np.zeros(a.shape) if name in case.without else a.astype(np.float64) for name, a in upstream.items()
    }

    def right(rounds: Exact) -> Arrays:
        if case in STEP_CASES:
            return _one_step(cell, inputs, rounds)
        return reference(cell, inputs, upstream, lengths, rounds)

    runs = 12 if cell.name == "rnn-relu" or case.T * case.B * case.H < MANY else 4
    return right(Exact()), limits(rounding_of(dtype, rounding), right, seed, runs)


def _compare(got: Array, name: str, expected: Expected, case: Case, dtype: Any, what: str) -> None:
    values, limit = expected[0][name], expected[1][name]
    scale, terms = _scale(values), _terms(case)
    compare(got, values, epsilon(dtype) * terms * scale + limit.entry, dtype, what)
    if limit.overall and values.size >= MANY:
        compare_overall(got, values, epsilon(dtype) * terms**0.5 * scale + limit.overall, what)


def _prove(
    record: Kernels, cell: Cell, case: Case, dtype: Any, seed: int, rounding: str, device: Device, where: str
) -> None:
    inputs, upstream, lengths = _draw(cell, case, dtype, np.random.default_rng(seed))
    before = {name: a.copy() for name, a in (inputs | upstream).items()}
    expected = _expected(cell, case, dtype, seed, rounding)
    here = {name: device.placed(a) for name, a in (inputs | upstream).items()}
    given = [None if name in case.without else here[name] for name in upstream]

    runs = [_run(record, cell, here, given, lengths, case.keep, where) for _ in range(2)]
    first, second = ([device.fetched(a, here["x"], f"{where}, {n} of {f}") for n, f, a in run] for run in runs)
    names = [(name, f"{where}, {name} of {function}") for name, function, _ in runs[0]]
    for (name, what), got in zip(names, first, strict=True):
        _compare(got, name, expected, case, dtype, what)
    for (name, what), got, again in zip(names, first, second, strict=True):
        assert got.tobytes() == again.tobytes(), f"{what}: two equal calls, different bits"
        if lengths is not None and name in ("out", "dx"):
            past = np.arange(case.T)[:, None] >= lengths
            assert not got[past].any(), f"{what}: not exactly zero past the sequences' ends"
    _prove_unchanged(here, before, device, where)
    _prove_ownership(runs[0], list(here.values()), where)


def _prove_unchanged(arguments: dict[str, Any], before: Arrays, device: Device, where: str) -> None:
    for name, a in arguments.items():
        kept = np.array_equal(device.to_host(a), before[name], equal_nan=True)
        assert kept, f"{where}: the argument {name} was changed"


def _run(
    record: Kernels,
    cell: Cell,
    inputs: dict[str, Any],
    given: list[Any],
    lengths: Array | None,
    keep: bool,
    where: str,
) -> list[tuple[str, str, Any]]:
    """Forward, backward (twice if keep) and inference: every result with its name and the function it came from."""
    options = dict(cell.options)
    arguments = [inputs[name] for name in cell.inputs]
    functions = record.of(cell.function)
    forward, backward, inference = functions.forward, functions.backward, functions.inference
    *results, cache = _several("forward", forward(*arguments, lengths, **options), len(cell.results) + 1, where)
    named = [(name, "forward", a) for name, a in zip(cell.results, results, strict=True)]
    gradients = [f"d{name}" for name in cell.inputs]
    for keep_cache in (True, False) if keep else (False,):
        made = _several("backward", backward(*given, cache, keep_cache=keep_cache), len(gradients), where)
        after = "backward" if keep_cache or not keep else "backward after one with keep_cache"
        named += [(name, after, a) for name, a in zip(gradients, made, strict=True)]
    made = _several("inference", inference(*arguments, lengths, **options), len(cell.results), where)
    named += [(name, "inference", a) for name, a in zip(cell.results, made, strict=True)]
    try:
        backward(*given, cache)
    except RuntimeError:
        return named
    raise AssertionError(f"{where}: a consumed cache was accepted by a second backward without a RuntimeError")


def _prove_step(
    record: Kernels, cell: Cell, case: Case, dtype: Any, seed: int, rounding: str, device: Device, where: str
) -> None:
    """The step has the states of the loop in `_loop`, and the manners of all functions."""
    inputs, _, _ = _draw(cell, case, dtype, np.random.default_rng(seed))
    before = {name: a.copy() for name, a in inputs.items()}
    expected = _expected(cell, case, dtype, seed, rounding)
    here = {name: device.placed(a) for name, a in inputs.items()}

    def step() -> list[tuple[str, str, Any]]:
        made = record.of(cell.function).step(*(here[n] for n in cell.inputs), **dict(cell.options))
        made = _several("step", made, len(cell.states), where) if len(cell.states) > 1 else (made,)
        return [(f"{name}'", "step", a) for name, a in zip(cell.states, made, strict=True)]

    runs = step(), step()
    first, second = ([device.fetched(a, here["x"], f"{where}, {n} of step") for n, _, a in run] for run in runs)
    for (name, *_), got, again in zip(runs[0], first, second, strict=True):
        _compare(got, name, expected, case, dtype, f"{where}, {name} of step")
        assert got.tobytes() == again.tobytes(), f"{where}, {name} of step: two equal calls, different bits"
    _prove_unchanged(here, before, device, where)
    _prove_ownership([*runs[0], *runs[1]], list(here.values()), where)


def _several(function: str, results: Any, count: int, where: str) -> tuple[Any, ...]:
    assert isinstance(results, tuple), f"{where}: {function} returned a {type(results).__name__}, expected a tuple"
    assert len(results) == count, f"{where}: {function} returned {len(results)} results, expected {count}"
    return results


def _scale(values: Array) -> float:
    """The largest entry, or 1."""
    return max(1.0, float(np.max(np.abs(values), initial=0, where=~np.isnan(values))))


def _terms(case: Case) -> int:
    """How many roundings of float32 or float64, each of a number of order 1, are on the way to an entry.

    A pre-activation sums I + H + 1 terms and some twenty roundings happen in the gates; errors are handed on through
    T steps, forward and back; a weight's gradient then sums T * B terms. An entry may be wrong by all of them at their
    worst; independent as they are, a whole result by the square root of their number (`proof/rounding.py`).
    """
    return 2 * case.T * (case.I + case.H + 20) + case.T * case.B


def _prove_ownership(named: list[tuple[str, str, Any]], arguments: list[Any], where: str) -> None:
    for k, (name, function, result) in enumerate(named):
        for other in arguments:
            assert not np.shares_memory(result, other), f"{where}: {name} of {function} shares memory with an argument"
        for other_name, its, other in named[:k]:
            assert not np.shares_memory(result, other), (
                f"{where}: {name} of {function} shares memory with {other_name} of {its}"
            )
