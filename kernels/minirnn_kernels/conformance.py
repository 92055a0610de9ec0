"""Proves a record of kernels right: every function against a plain loop over the gates, in float64.

    prove(minirnn_kernels.get("numpy"))

proves its gates (`gates_conformance.py`), then runs each cell through the cases of `CASES` in each dtype the record
accepts, and raises an AssertionError that names the cell, the dtype, the case, the result and its worst entry. The
reference is deliberately slow and plain: no buffers, no products over several steps, and a batch with lengths is, by
definition, its sequences run one by one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn_kernels.comparison import compare
from minirnn_kernels.contract import Kernels
from minirnn_kernels.gates import (
    gru_gates,
    gru_gates_backward,
    lstm_gates,
    lstm_gates_backward,
    rnn_gates,
    rnn_gates_backward,
)
from minirnn_kernels.gates_conformance import prove_gates, prove_gates_case

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
    # (cache, *gradients into the next states) -> da_ih, da_hh, gradients into the states past the products
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
        h = rnn_gates(a_ih + a_hh, nonlinearity)
        return [h], h

    def backward(cache: Any, dh: Array) -> tuple[Array, Array, list[Array]]:
        da = rnn_gates_backward(dh, cache, nonlinearity)
        return da, da, [np.zeros_like(dh)]

    return Cell(f"rnn-{nonlinearity}", 1, ("h",), ("b",), forward, backward, (("nonlinearity", nonlinearity),))


def _lstm_forward(a_ih: Array, a_hh: Array, h: Array, c: Array) -> tuple[list[Array], Any]:
    h, c, cache = lstm_gates(a_ih + a_hh, c)
    return [h, c], cache


def _lstm_backward(cache: Any, dh: Array, dc: Array) -> tuple[Array, Array, list[Array]]:
    da, dc = lstm_gates_backward(dh, dc, cache)
    return da, da, [np.zeros_like(dh), dc]


def _gru_forward(a_ih: Array, a_hh: Array, h: Array) -> tuple[list[Array], Any]:
    h, cache = gru_gates(a_ih, a_hh, h)
    return [h], cache


def _gru_backward(cache: Any, dh: Array) -> tuple[Array, Array, list[Array]]:
    da_ih, da_hh, dh = gru_gates_backward(dh, cache)
    return da_ih, da_hh, [dh]


CELLS = (
    _rnn("tanh"),
    _rnn("relu"),
    Cell("lstm", 4, ("h", "c"), ("b",), _lstm_forward, _lstm_backward),
    Cell("gru", 3, ("h",), ("b_ih", "b_hh"), _gru_forward, _gru_backward),
)


# ---- the reference -------------------------------------------------------------------------------------------------


def reference(cell: Cell, inputs: Arrays, upstream: Arrays, lengths: Array | None = None) -> Arrays:
    """All results and gradients of a sequence: {"out", "h_n", ..., "dx", "dh0", ..., "db"}, computed step by step.

    `inputs` has the arrays of `cell.inputs`, `upstream` the gradients "dout", "dh_n", ... into `cell.results`.
    """
    if lengths is None:
        return _loop(cell, inputs, upstream)
    total = {f"d{name}": np.zeros_like(inputs[name]) for name in cell.inputs}
    total |= {name: np.zeros_like(upstream[f"d{name}"]) for name in cell.results}
    for b, length in enumerate(lengths):
        here: dict[str, Any] = {"x": np.s_[:length, b : b + 1], "out": np.s_[:length, b : b + 1]}
        here |= {name: np.s_[b : b + 1] for s in cell.states for name in (f"{s}0", f"{s}_n")}
        one = _loop(
            cell,
            {name: a[here.get(name, ...)] for name, a in inputs.items()},
            {name: a[here[name[1:]]] for name, a in upstream.items()},
        )
        for name, a in one.items():
            total[name][here.get(name.removeprefix("d"), ...)] += a
    return total


def _loop(cell: Cell, inputs: Arrays, upstream: Arrays) -> Arrays:
    x, W_ih, W_hh = inputs["x"], inputs["W_ih"], inputs["W_hh"]
    b_ih = inputs[cell.biases[0]]
    b_hh = inputs["b_hh"] if "b_hh" in cell.biases else np.zeros_like(b_ih)
    states = [inputs[f"{s}0"] for s in cell.states]
    steps, out = [], []
    for x_t in x:
        h = states[0]
        states, cache = cell.forward(x_t @ W_ih.T + b_ih, h @ W_hh.T + b_hh, *states)
        steps.append((x_t, h, cache))
        out.append(states[0])

    dstates = [upstream[f"d{s}_n"] for s in cell.states]
    dx: list[Array] = []
    dW_ih, dW_hh, db_ih, db_hh = (np.zeros_like(p) for p in (W_ih, W_hh, b_ih, b_hh))
    for (x_t, h, cache), dout_t in zip(reversed(steps), upstream["dout"][::-1], strict=True):
        dstates[0] = dstates[0] + dout_t
        da_ih, da_hh, past_the_products = cell.backward(cache, *dstates)
        dstates = [past_the_products[0] + da_hh @ W_hh, *past_the_products[1:]]
        dx.insert(0, da_ih @ W_ih)
        dW_ih, dW_hh = dW_ih + da_ih.T @ x_t, dW_hh + da_hh.T @ h
        db_ih, db_hh = db_ih + da_ih.sum(axis=0), db_hh + da_hh.sum(axis=0)

    results = {"out": np.stack(out), "dx": np.stack(dx), "dW_ih": dW_ih, "dW_hh": dW_hh}
    results |= {f"{s}_n": a for s, a in zip(cell.states, states, strict=True)}
    results |= {f"d{s}0": a for s, a in zip(cell.states, dstates, strict=True)}
    return results | {f"d{name}": db for name, db in zip(cell.biases, (db_ih, db_hh), strict=False)}


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

# The cases of one step. Its x is the last of T = 2: there a NaN stands, and what isn't contiguous is so in two ways.
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
        inputs["x"][1, 0, 0] = np.nan
    inputs, upstream = ({k: a.astype(dtype) for k, a in d.items()} for d in (inputs, upstream))
    if case.strided:
        inputs, upstream = ({k: np.repeat(a, 2, axis=-1)[..., ::2] for k, a in d.items()} for d in (inputs, upstream))
    for array in (*inputs.values(), *upstream.values()):
        array.flags.writeable = False
    return inputs, upstream, lengths


# ---- the proof -----------------------------------------------------------------------------------------------------


def prove(record: Kernels, seed: int = 0) -> None:
    """Raise AssertionError unless `record` keeps the contract in every case, for each dtype that it accepts."""
    dtypes = tuple(d for d in (np.float64, np.float32) if record.accepts(np.zeros(1, d)))
    assert dtypes, f"{record.name}: accepts neither float64 nor float32 arrays, so there is nothing to prove"
    prove_gates(record.gates, seed, dtypes)
    for cell in CELLS:
        for dtype in dtypes:
            for case in CASES:
                _prove_case(_prove, record, cell, case, dtype, seed)
            for case in STEP_CASES:
                _prove_case(_prove_step, record, cell, case, dtype, seed)


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
) -> None:
    """The same for the sequences of one cell and sizes of your own, in particular for tests that draw them.

    cell: "rnn-tanh", "rnn-relu", "lstm" or "gru". ragged: with lengths from 1 to T - 1, which takes a T of at least 2.
    """
    (found,) = (c for c in CELLS if c.name == cell)
    name = f"T={T}, B={B}, I={I}, H={H}{', lengths' if ragged else ''}, seed {seed}"
    _prove_case(_prove, record, found, Case(name, T, B, I, H, ragged), dtype, seed)


def _prove_case(proof: Callable[..., None], record: Kernels, cell: Cell, case: Case, dtype: Any, seed: int) -> None:
    where = f"{record.name}, {cell.name}, {np.dtype(dtype).name}, case {case.name!r}"
    try:
        proof(record, cell, case, dtype, np.random.default_rng(seed), where)
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error


def _prove(record: Kernels, cell: Cell, case: Case, dtype: Any, rng: np.random.Generator, where: str) -> None:
    inputs, upstream, lengths = _draw(cell, case, dtype, rng)
    before = {name: a.copy() for name, a in (inputs | upstream).items()}

    exact_inputs = {name: a.astype(np.float64) for name, a in inputs.items()}
    exact_upstream = {
        name: np.zeros(a.shape) if name in case.without else a.astype(np.float64) for name, a in upstream.items()
    }
    expected = reference(cell, exact_inputs, exact_upstream, lengths)
    given = [None if name in case.without else a for name, a in upstream.items()]

    runs = [_run(record, cell, inputs, given, lengths, case.keep, where) for _ in range(2)]
    tolerance = _tolerance(case, dtype)
    for name, function, got in runs[0]:
        values = expected[name]
        compare(got, values, tolerance * _scale(values), dtype, f"{where}, {name} of {function}")
    for (name, function, first), (*_, second) in zip(*runs, strict=True):
        assert first.tobytes() == second.tobytes(), f"{where}, {name} of {function}: two equal calls, different bits"
    for name, a in (inputs | upstream).items():
        assert np.array_equal(a, before[name], equal_nan=True), f"{where}: the argument {name} was changed"
    if lengths is not None:
        past = np.arange(case.T)[:, None] >= lengths
        for name, function, got in runs[0]:
            if name in ("out", "dx"):
                assert not got[past].any(), f"{where}, {name} of {function}: not exactly zero past the sequences' ends"
    _prove_ownership(runs[0], [*inputs.values(), *upstream.values()], where)


def _run(
    record: Kernels, cell: Cell, inputs: Arrays, given: list[Any], lengths: Array | None, keep: bool, where: str
) -> list[tuple[str, str, Array]]:
    """Forward, backward (twice if keep) and inference: every result with its name and the function it came from."""
    options = dict(cell.options)
    arguments = [inputs[name] for name in cell.inputs]
    forward, backward, inference = (
        getattr(record, f"{cell.function}_{part}") for part in ("forward", "backward", "inference")
    )
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


def _prove_step(record: Kernels, cell: Cell, case: Case, dtype: Any, rng: np.random.Generator, where: str) -> None:
    """The step has the states of the loop in `_loop`, and the manners of all functions."""
    inputs, _, _ = _draw(cell, case, dtype, rng)
    inputs["x"] = inputs["x"][-1]
    if case.nan:
        inputs["W_ih"] = W_ih = inputs["W_ih"].copy()
        W_ih[1, -1] = np.nan  # what reads past the end of the row before, or takes a unit for another, finds it
    before = {name: a.copy() for name, a in inputs.items()}
    exact = {name: a.astype(np.float64) for name, a in inputs.items()}
    states = [exact[f"{s}0"] for s in cell.states]
    a_ih = exact["x"] @ exact["W_ih"].T + exact[cell.biases[0]]
    a_hh = states[0] @ exact["W_hh"].T + (exact["b_hh"] if "b_hh" in cell.biases else 0)
    expected, _ = cell.forward(a_ih, a_hh, *states)

    def step() -> list[tuple[str, str, Array]]:
        made = getattr(record, f"{cell.function}_step")(*(inputs[n] for n in cell.inputs), **dict(cell.options))
        made = _several("step", made, len(cell.states), where) if len(cell.states) > 1 else (made,)
        return [(f"{name}'", "step", a) for name, a in zip(cell.states, made, strict=True)]

    runs = step(), step()
    for (name, _, got), right, (*_, again) in zip(runs[0], expected, runs[1], strict=True):
        compare(got, right, _tolerance(case, dtype) * _scale(right), dtype, f"{where}, {name} of step")
        assert got.tobytes() == again.tobytes(), f"{where}, {name} of step: two equal calls, different bits"
    for name, a in inputs.items():
        assert np.array_equal(a, before[name], equal_nan=True), f"{where}: the argument {name} was changed"
    _prove_ownership([*runs[0], *runs[1]], list(inputs.values()), where)


def _several(function: str, results: Any, count: int, where: str) -> tuple[Any, ...]:
    assert isinstance(results, tuple), f"{where}: {function} returned a {type(results).__name__}, expected a tuple"
    assert len(results) == count, f"{where}: {function} returned {len(results)} results, expected {count}"
    return results


def _scale(values: Array) -> float:
    """The largest entry, or 1."""
    return max(1.0, float(np.max(np.abs(values), initial=0, where=~np.isnan(values))))


def _tolerance(case: Case, dtype: Any) -> float:
    """The error allowed where values are of order 1: one rounding for each term of the sums on the way to an entry.

    A pre-activation sums I + H + 1 terms and some twenty roundings happen in the gates; errors are handed on through
    T steps, forward and back; a weight's gradient then sums T * B terms.
    """
    on_the_way = 2 * case.T * (case.I + case.H + 20) + case.T * case.B
    return float(np.finfo(dtype).eps) * on_the_way


def _prove_ownership(named: list[tuple[str, str, Array]], arguments: list[Array], where: str) -> None:
    for k, (name, function, result) in enumerate(named):
        for other in arguments:
            assert not np.shares_memory(result, other), f"{where}: {name} of {function} shares memory with an argument"
        for other_name, its, other in named[:k]:
            assert not np.shares_memory(result, other), (
                f"{where}: {name} of {function} shares memory with {other_name} of {its}"
            )
