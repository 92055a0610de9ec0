"""The proof of a record's gates: each function against the equations of `gates.py`, in float64.

    prove_gates(minirnn_kernels.get("numpy").gates)

The arrays of a call are surrounded by guard entries. They are contiguous or views with gaps, and their addresses are
not multiples of the size of a vector.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn_kernels.cell import GRU, LSTM, RNN
from minirnn_kernels.contract import Gates
from minirnn_kernels.gates import (
    gru_gates,
    gru_gates_backward,
    lstm_gates,
    lstm_gates_backward,
    rnn_gates,
    rnn_gates_backward,
)
from minirnn_kernels.proof.comparison import Array, Arrays, Transfer, compare

Bounded = dict[str, tuple[Array, Any]]  # a result -> its value and the allowed error (0: none at all)

# ---- values and allowed errors -------------------------------------------------------------------------------------
#
# An activation may be wrong by ACTIVATION_ULPS roundings of its value. Every sum and every product adds one rounding of
# the size of its terms. For 1 - y^2 and y (1 - y), in any form, the terms are 1 and y^2, or y and y^2; the error bound
# is therefore a rounding of the largest term, not of the difference. `eps` is one rounding.

ACTIVATION_ULPS = 4  # units in the last place: the best vectorised exponentials achieve this over the whole range


def _flat(blocks: Array) -> Array:
    """Return (n, B, H) as (B, n*H), the form of `gates.py`."""
    return np.concatenate(list(blocks), axis=-1)


def _by_name(names: tuple[str, ...], flat: Array, H: int) -> Arrays:
    return {name: flat[:, k * H : (k + 1) * H] for k, name in enumerate(names)}


def _steepest(a: Array, error: Array) -> Array:
    """Return the largest slope of tanh within `error` of a."""
    nearest = np.tanh(np.maximum(np.abs(a) - error, 0))
    return 1 - nearest * nearest


def _rnn(v: Arrays, eps: float, nonlinearity: str) -> Bounded:
    h = rnn_gates(v["a"], nonlinearity)
    return {"h": (h, ACTIVATION_ULPS * eps * np.abs(h) if nonlinearity == "tanh" else 0)}


def _rnn_backward(v: Arrays, eps: float, nonlinearity: str) -> Bounded:
    da = rnn_gates_backward(v["dh"], v["h"], nonlinearity)
    return {"da": (da, 4 * eps * np.abs(v["dh"]) if nonlinearity == "tanh" else 0)}


def _lstm(v: Arrays, eps: float) -> Bounded:
    h, c, (i, f, g, o, c_prev, _) = lstm_gates(_flat(v["gates"]), v["c_prev"])
    error_c = (2 * ACTIVATION_ULPS + 2) * eps * (np.abs(f * c_prev) + np.abs(i * g))
    error_h = (2 * ACTIVATION_ULPS + 1) * eps * np.abs(h) + o * _steepest(c, error_c) * error_c
    named = {name: (y, ACTIVATION_ULPS * eps * np.abs(y)) for name, y in zip(LSTM.gates, (i, f, g, o), strict=True)}
    return named | {"c": (c, error_c), "h": (h, error_h)}


def _lstm_backward(v: Arrays, eps: float) -> Bounded:
    (i, f, g, o), c_prev, dh = v["gates"], v["c_prev"], v["dh"]
    tanh_c = np.tanh(v["c"])
    da, dc_prev = lstm_gates_backward(dh, v["dc"], (i, f, g, o, c_prev, tanh_c))
    # dc = dc + dh o (1 - tanh(c)^2): the square is wrong by 2 ACTIVATION_ULPS roundings; six more follow up to da
    error_dc = (2 * ACTIVATION_ULPS + 12) * eps * (np.abs(v["dc"]) + np.abs(dh * o))
    error = {
        "da_i": np.abs(i * g) * error_dc,
        "da_f": np.abs(f * c_prev) * error_dc,
        "da_g": np.abs(i) * error_dc,
        "da_o": (ACTIVATION_ULPS + 6) * eps * np.abs(o * dh * tanh_c),
    }
    named = _by_name(tuple(error), da, dh.shape[1])
    return {name: (named[name], error[name]) for name in error} | {"dc_prev": (dc_prev, np.abs(f) * error_dc)}


def _gru(v: Arrays, eps: float) -> Bounded:
    (a_n, a_r, a_z, q), h_prev = v["gates"], v["h_prev"]
    zero = np.zeros_like(q)
    h, (r, z, n, _, _) = gru_gates(_flat(np.stack([a_r, a_z, a_n])), _flat(np.stack([zero, zero, q])), h_prev)
    terms = np.abs(a_n) + np.abs(r * q)
    error_a = (ACTIVATION_ULPS + 3) * eps * np.where(np.isinf(terms), 0, terms)
    error_n = ACTIVATION_ULPS * eps * np.abs(n) + _steepest(a_n + r * q, error_a) * error_a
    error_h = error_n + (ACTIVATION_ULPS + 4) * eps * (np.abs(n) + z * (np.abs(h_prev) + np.abs(n)))
    error_rz = [ACTIVATION_ULPS * eps * y for y in (r, z)]
    return {"n": (n, error_n), "r": (r, error_rz[0]), "z": (z, error_rz[1]), "q": (q, 0), "h": (h, error_h)}


def _gru_backward(v: Arrays, eps: float) -> Bounded:
    (n, r, z, q), h_prev, dh = v["gates"], v["h_prev"], v["dh"]
    da_ih, da_hh, dh_past = gru_gates_backward(dh, (r, z, n, q, h_prev))
    named = _by_name(("da_r", "da_z", "da_n"), da_ih, dh.shape[1])
    error_n = 6 * eps * np.abs(dh * (1 - z))
    return {
        "da_n": (named["da_n"], error_n),
        "da_r": (named["da_r"], 2 * np.abs(r * q) * error_n),
        "da_z": (named["da_z"], 6 * eps * np.abs(z * dh) * (np.abs(h_prev) + np.abs(n))),
        "dq": (da_hh[:, -dh.shape[1] :], 2 * np.abs(r) * error_n),
        "z * dh": (dh_past, eps * np.abs(dh_past)),
    }


@dataclass(frozen=True)
class GatesFunction:
    """One function of a record of gates, as the proof calls it and checks it."""

    name: str  # in messages
    arguments: tuple[str, ...]
    results: dict[str, tuple[str, ...]]  # the arguments that are changed or filled, and the values they hold afterwards
    expected: Callable[..., Bounded]
    filled: tuple[str, ...] = ()  # the arguments that are not read
    options: tuple[str, ...] = ()

    @property
    def cell(self) -> str:
        """The name of the cell."""
        return self.name.partition("-")[0].partition("_")[0]

    def of(self, gates: Gates) -> Callable[..., None]:
        """Return this function of a record."""
        functions = gates.of(self.cell)
        return functions.backward if "_backward" in self.name else functions.forward

    @property
    def inputs(self) -> tuple[str, ...]:
        """The arguments that are read."""
        return tuple(a for a in self.arguments if a not in self.filled)


BLOCKED = ("gates", "da")  # the arguments (n, B, H)
BLOCKS = 4  # n, for both cells that have blocks
GRU_BLOCKS = ("n", "r", "z", "q")  # the order of the kernels, which makes both gradients column ranges; not `GRU.gates`

_FUNCTIONS = (
    *(GatesFunction(f"{RNN.name}-{kind}", ("a",), {"a": ("h",)}, _rnn, (), (kind,)) for kind in RNN.nonlinearities),
    *(
        GatesFunction(f"{RNN.name}_backward-{kind}", ("h", "dh"), {"dh": ("da",)}, _rnn_backward, (), (kind,))
        for kind in RNN.nonlinearities
    ),
    GatesFunction(
        LSTM.name,
        ("gates", "c_prev", "c", "h"),
        {"gates": LSTM.gates, "c": ("c",), "h": ("h",)},
        _lstm,
        filled=("c", "h"),
    ),
    GatesFunction(
        f"{LSTM.name}_backward",
        ("gates", "c_prev", "c", "dh", "dc", "da"),
        {"da": tuple(f"da_{gate}" for gate in LSTM.gates), "dc": ("dc_prev",)},
        _lstm_backward,
        filled=("da",),
    ),
    GatesFunction(GRU.name, ("gates", "h_prev", "h"), {"gates": GRU_BLOCKS, "h": ("h",)}, _gru, filled=("h",)),
    GatesFunction(
        f"{GRU.name}_backward",
        ("gates", "h_prev", "dh", "da"),
        {"da": ("da_n", "da_r", "da_z", "dq"), "dh": ("z * dh",)},
        _gru_backward,
        filled=("da",),
    ),
)

FUNCTIONS = {function.name: function for function in _FUNCTIONS}

# ---- the cases -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GatesCase:
    """The sizes, memory layout and values of one test of a function."""

    B: int = 3
    H: int = 17
    strided: bool = False  # blocks are views of rows (B, n*H) with gaps between the rows; states have gaps too
    extreme: bool = False  # some pre-activations are 0, +-100, +-10,000 or infinite
    nan: tuple[str, int] | None = None  # an argument, and the block of it that has one NaN
    shared: bool = False  # the LSTM's c is the array c_prev

    def __str__(self) -> str:
        traits = [f"B={self.B}, H={self.H}", "strided" if self.strided else "contiguous"]
        traits += ["extreme values"] if self.extreme else []
        traits += [f"a NaN in {self.nan[0]}, block {self.nan[1]}"] if self.nan else []
        traits += ["c is c_prev"] if self.shared else []
        return ", ".join(traits)


# (B, H): one unit; units around the length of one vector and of two; several vectors with and without a tail; no rows.
GATES_SIZES = ((1, 1), (2, 15), (3, 16), (1, 17), (4, 33), (3, 64), (2, 67), (5, 130), (0, 16))
EXTREME = (0.0, -0.0, 100.0, -100.0, 1e4, -1e4, np.inf, -np.inf)


def cases(function: GatesFunction) -> list[GatesCase]:
    """Return all cases of a function."""
    found = []
    for strided in (False, True):
        found += [GatesCase(B, H, strided) for B, H in GATES_SIZES]
        found += [GatesCase(4, 67, strided, extreme=True)]
        for name in function.inputs:
            found += [GatesCase(strided=strided, nan=(name, k)) for k in range(BLOCKS if name in BLOCKED else 1)]
        if function.name == "lstm":
            found += [GatesCase(B, H, strided, shared=True) for B, H in ((3, 16), (2, 33))]
    return found


def _draw(function: GatesFunction, case: GatesCase, dtype: Any, rng: np.random.Generator) -> Arrays:
    """Return the inputs: pre-activations and states of order 1; for a backward function, results of a forward pass."""

    def normal(name: str) -> Array:
        shape = (BLOCKS, case.B, case.H) if name in BLOCKED else (case.B, case.H)
        a = 2 * rng.standard_normal(shape)
        if case.extreme and name in ("a", "gates"):
            at = rng.random(shape) < 0.6
            a[at] = rng.choice(EXTREME, size=int(at.sum()))
        return a

    made = FUNCTIONS[function.name.replace("_backward", "")]
    drawn = {name: normal(name) for name in made.inputs}
    if made.name == GRU.name:
        drawn["gates"][3] = np.clip(drawn["gates"][3], -1e4, 1e4)  # r q is undefined where r is 0 and q infinite
    if made is not function:
        values = {name: value for name, (value, _) in made.expected(drawn, 0.0, *made.options).items()}
        blocks = made.results.get("gates")
        drawn |= {"gates": np.stack([values[name] for name in blocks])} if blocks else {}
        drawn |= {name: values.get(name, normal(name)) for name in function.inputs if name not in drawn}
    drawn = {name: np.array(drawn[name], dtype) for name in function.inputs}
    if case.nan:
        name, block = case.nan
        spot = (rng.integers(case.B), rng.integers(case.H))
        drawn[name][(block, *spot) if name in BLOCKED else spot] = np.nan
    return drawn


GUARD = 12345.0
MARGIN = 5  # guard entries; an odd number, so that no array is aligned to a vector by chance


def _placed(values: Array, strided: bool, transfer: Transfer) -> tuple[Any, Any]:
    """Return an array with these values in one of the layouts that the contract allows, and the memory around it."""
    *n, B, H = values.shape
    if not strided:
        memory = transfer.to_device(np.full(values.size + 2 * MARGIN, GUARD, values.dtype))
        view = memory[MARGIN : MARGIN + values.size].reshape(values.shape)
    else:
        blocks = n[0] if n else 1
        memory = transfer.to_device(np.full((B, blocks * H + 2 * MARGIN), GUARD, values.dtype))
        rows = memory[:, MARGIN : MARGIN + blocks * H].reshape(B, blocks, H)
        view = rows.swapaxes(0, 1) if n else rows[:, 0]
    view[...] = transfer.to_device(values)
    assert np.shares_memory(view, memory) or not values.size
    return view, memory


# ---- the proof -----------------------------------------------------------------------------------------------------


def prove_gates(
    gates: Gates,
    seed: int = 0,
    dtypes: tuple[Any, ...] = (np.float64, np.float32),
    transfer: Transfer = Transfer(),  # noqa: B008 (it is immutable)
) -> None:
    """Raise AssertionError unless `gates` keeps the pointwise level of the contract, for each of its cells and dtypes.

    transfer: how arrays reach the device of the record.
    """
    functions = [function for function in FUNCTIONS.values() if function.cell in gates.cells]
    unproven = gates.cells.keys() - {function.cell for function in functions}
    assert not unproven, f"{gates.name} gates: the proof has no case for {', '.join(unproven)}"
    for function in functions:
        for dtype in dtypes:
            for case in cases(function):
                _prove(gates, function, case, dtype, seed, transfer)


def prove_gates_case(
    gates: Gates, function: str, *, B: int, H: int, strided: bool = False, seed: int = 0, dtype: Any = np.float64
) -> None:
    """Raise AssertionError unless one function is correct in one case; for tests that draw sizes.

    function: a name in FUNCTIONS, such as "lstm_backward" or "rnn-tanh".
    """
    _prove(gates, FUNCTIONS[function], GatesCase(B, H, strided), dtype, seed, Transfer())


def _prove(gates: Gates, function: GatesFunction, case: GatesCase, dtype: Any, seed: int, transfer: Transfer) -> None:
    where = f"{gates.name} gates, {function.name}, {np.dtype(dtype).name}, case '{case}'"
    inputs = _draw(function, case, dtype, np.random.default_rng(seed))
    runs = [_run(gates, function, case, inputs, transfer, where) for _ in range(2)]

    # in float64 the expected value has roundings too, so twice as many are allowed
    eps = float(np.finfo(dtype).eps) * (2 if dtype == np.float64 else 1)
    exact = {name: a.astype(np.float64) for name, a in inputs.items()}
    expected = function.expected(exact, eps, *function.options)
    # a subnormal intermediate result may be flushed to zero, and is then multiplied with the inputs
    largest = max(float(np.max(np.abs(a), initial=1, where=np.isfinite(a))) for a in inputs.values())
    floor = 4 * float(np.finfo(dtype).tiny) * largest
    for name, (value, allowed) in expected.items():
        allowed = allowed if isinstance(allowed, int) else allowed + floor
        compare(runs[0][name], value, allowed, dtype, f"{where}, {name}")
        assert runs[0][name].tobytes() == runs[1][name].tobytes(), f"{where}, {name}: two equal calls, different bits"


def _run(
    gates: Gates, function: GatesFunction, case: GatesCase, inputs: Arrays, transfer: Transfer, where: str
) -> Arrays:
    """Call the function on guarded arrays, check that nothing else was changed, and return the results by name."""
    views, memories = {}, {}
    for name in function.arguments:
        shape = (BLOCKS, case.B, case.H) if name in BLOCKED else (case.B, case.H)
        given = inputs.get(name, np.full(shape, np.nan, next(iter(inputs.values())).dtype))
        views[name], memories[name] = _placed(given, case.strided, transfer)
    if case.shared:
        views["c"] = views["c_prev"]
    try:
        function.of(gates)(*views.values(), *function.options)
    except Exception as error:
        raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error

    results: Arrays = {}
    for name, parts in function.results.items():
        got = transfer.to_host(views[name]).copy()
        results |= dict(zip(parts, got, strict=True)) if name in BLOCKED else {parts[0]: got}
    for name, given in inputs.items():
        if name not in function.results and not (case.shared and name == "c_prev"):
            kept = np.array_equal(transfer.to_host(views[name]), given, equal_nan=True)
            assert kept, f"{where}: the argument {name} was changed"
    for name, memory in memories.items():
        views[name][...] = GUARD
        assert case.shared or np.all(transfer.to_host(memory) == GUARD), (
            f"{where}: memory outside {name} was overwritten"
        )
    return results
