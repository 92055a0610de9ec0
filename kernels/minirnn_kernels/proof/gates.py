"""Proves a record of gates right: each of its functions against the equations of `gates.py`, in float64.

    prove_gates(minirnn_kernels.get("numpy").gates)

raises an AssertionError that names the function, the dtype, the case, the result and its worst entry. Arrays stand
among guard entries, contiguous or as views with gaps, at addresses that are no multiple of a vector's size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn_kernels.contract import Gates
from minirnn_kernels.gates import (
    gru_gates,
    gru_gates_backward,
    lstm_gates,
    lstm_gates_backward,
    rnn_gates,
    rnn_gates_backward,
)
from minirnn_kernels.proof.comparison import Device, compare

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
Expected = dict[str, tuple[Array, Any]]  # a result -> its value, the error allowed (0: none at all)

# ---- values and the errors allowed ---------------------------------------------------------------------------------
#
# An activation may be wrong by ACTIVATION roundings of its value, and every sum and product by one more, of the size of
# its terms. Where 1 - y^2 or y (1 - y) is computed, in whatever form, the terms are 1 and y^2, or y and y^2, so that
# what is allowed is a rounding of the largest term, not of the difference. `eps` is one rounding.

ACTIVATION = 4  # units in the last place: what the best vectorised exponentials keep over the whole range


def _flat(blocks: Array) -> Array:
    """(n, B, H) -> (B, n*H), the form of `gates.py`."""
    return np.concatenate(list(blocks), axis=-1)


def _by_name(names: tuple[str, ...], flat: Array, H: int) -> Arrays:
    return {name: flat[:, k * H : (k + 1) * H] for k, name in enumerate(names)}


def _steepest(a: Array, error: Array) -> Array:
    """The largest slope of tanh within `error` of a."""
    nearest = np.tanh(np.maximum(np.abs(a) - error, 0))
    return 1 - nearest * nearest


def _rnn(v: Arrays, eps: float, nonlinearity: str) -> Expected:
    h = rnn_gates(v["a"], nonlinearity)
    return {"h": (h, ACTIVATION * eps * np.abs(h) if nonlinearity == "tanh" else 0)}


def _rnn_backward(v: Arrays, eps: float, nonlinearity: str) -> Expected:
    da = rnn_gates_backward(v["dh"], v["h"], nonlinearity)
    return {"da": (da, 4 * eps * np.abs(v["dh"]) if nonlinearity == "tanh" else 0)}


def _lstm(v: Arrays, eps: float) -> Expected:
    h, c, (i, f, g, o, c_prev, _) = lstm_gates(_flat(v["gates"]), v["c_prev"])
    error_c = (2 * ACTIVATION + 2) * eps * (np.abs(f * c_prev) + np.abs(i * g))
    error_h = (2 * ACTIVATION + 1) * eps * np.abs(h) + o * _steepest(c, error_c) * error_c
    named = {name: (y, ACTIVATION * eps * np.abs(y)) for name, y in zip("ifgo", (i, f, g, o), strict=True)}
    return named | {"c": (c, error_c), "h": (h, error_h)}


def _lstm_backward(v: Arrays, eps: float) -> Expected:
    (i, f, g, o), c_prev, dh = v["gates"], v["c_prev"], v["dh"]
    tanh_c = np.tanh(v["c"])
    da, dc_prev = lstm_gates_backward(dh, v["dc"], (i, f, g, o, c_prev, tanh_c))
    # dc = dc + dh o (1 - tanh(c)^2): the square is wrong by 2 ACTIVATION roundings, six follow until the da
    error_dc = (2 * ACTIVATION + 12) * eps * (np.abs(v["dc"]) + np.abs(dh * o))
    error = {
        "da_i": np.abs(i * g) * error_dc,
        "da_f": np.abs(f * c_prev) * error_dc,
        "da_g": np.abs(i) * error_dc,
        "da_o": (ACTIVATION + 6) * eps * np.abs(o * dh * tanh_c),
    }
    named = _by_name(tuple(error), da, dh.shape[1])
    return {name: (named[name], error[name]) for name in error} | {"dc_prev": (dc_prev, np.abs(f) * error_dc)}


def _gru(v: Arrays, eps: float) -> Expected:
    (a_n, a_r, a_z, q), h_prev = v["gates"], v["h_prev"]
    zero = np.zeros_like(q)
    h, (r, z, n, _, _) = gru_gates(_flat(np.stack([a_r, a_z, a_n])), _flat(np.stack([zero, zero, q])), h_prev)
    terms = np.abs(a_n) + np.abs(r * q)
    error_a = (ACTIVATION + 3) * eps * np.where(np.isinf(terms), 0, terms)
    error_n = ACTIVATION * eps * np.abs(n) + _steepest(a_n + r * q, error_a) * error_a
    error_h = error_n + (ACTIVATION + 4) * eps * (np.abs(n) + z * (np.abs(h_prev) + np.abs(n)))
    error_rz = [ACTIVATION * eps * y for y in (r, z)]
    return {"n": (n, error_n), "r": (r, error_rz[0]), "z": (z, error_rz[1]), "q": (q, 0), "h": (h, error_h)}


def _gru_backward(v: Arrays, eps: float) -> Expected:
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
class Function:
    """What the kit has to know about one function of a record."""

    name: str
    arguments: tuple[str, ...]
    results: dict[str, tuple[str, ...]]  # the arguments that are changed or filled, and what stands there then
    expected: Callable[..., Expected]
    options: tuple[str, ...] = ()

    def of(self, gates: Gates) -> Callable[..., None]:
        """Return this function of a record."""
        cell, _, part = self.name.split("-")[0].partition("_")
        return gates.of(cell).backward if part else gates.of(cell).forward

    @property
    def inputs(self) -> tuple[str, ...]:
        """The arguments that are read."""
        return tuple(a for a in self.arguments if a not in FILLED.get(self.name, ()))


FILLED = {"lstm": ("c", "h"), "lstm_backward": ("da",), "gru": ("h",), "gru_backward": ("da",)}
BLOCKS = ("gates", "da")

FUNCTIONS = (
    *(Function(f"rnn-{kind}", ("a",), {"a": ("h",)}, _rnn, (kind,)) for kind in ("tanh", "relu")),
    *(
        Function(f"rnn_backward-{kind}", ("h", "dh"), {"dh": ("da",)}, _rnn_backward, (kind,))
        for kind in ("tanh", "relu")
    ),
    Function("lstm", ("gates", "c_prev", "c", "h"), {"gates": ("i", "f", "g", "o"), "c": ("c",), "h": ("h",)}, _lstm),
    Function(
        "lstm_backward",
        ("gates", "c_prev", "c", "dh", "dc", "da"),
        {"da": ("da_i", "da_f", "da_g", "da_o"), "dc": ("dc_prev",)},
        _lstm_backward,
    ),
    Function("gru", ("gates", "h_prev", "h"), {"gates": ("n", "r", "z", "q"), "h": ("h",)}, _gru),
    Function(
        "gru_backward",
        ("gates", "h_prev", "dh", "da"),
        {"da": ("da_n", "da_r", "da_z", "dq"), "dh": ("z * dh",)},
        _gru_backward,
    ),
)

# ---- the cases -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One setting of sizes, memory layout and values."""

    B: int = 3
    H: int = 17
    strided: bool = False  # blocks as a view of rows (B, n*H) with gaps between them, states with gaps too
    extreme: bool = False  # pre-activations of 0, +-100, +-10,000 and infinity among the others
    nan: tuple[str, int] | None = None  # an argument and its block that has one NaN
    shared: bool = False  # the lstm's c is its c_prev

    def __str__(self) -> str:
        traits = [f"B={self.B}, H={self.H}", "strided" if self.strided else "contiguous"]
        traits += ["extreme values"] if self.extreme else []
        traits += [f"a NaN in {self.nan[0]}, block {self.nan[1]}"] if self.nan else []
        traits += ["c is c_prev"] if self.shared else []
        return ", ".join(traits)


# One, both sides of a vector's length and of two, some vectors with and without a tail, and none.
SIZES = ((1, 1), (2, 15), (3, 16), (1, 17), (4, 33), (3, 64), (2, 67), (5, 130), (0, 16))
EXTREME = (0.0, -0.0, 100.0, -100.0, 1e4, -1e4, np.inf, -np.inf)


def cases(function: Function) -> list[Case]:
    """All that a function is held to."""
    found = []
    for strided in (False, True):
        found += [Case(B, H, strided) for B, H in SIZES]
        found += [Case(4, 67, strided, extreme=True)]
        for name in function.inputs:
            found += [Case(strided=strided, nan=(name, k)) for k in range(4 if name in BLOCKS else 1)]
        if function.name == "lstm":
            found += [Case(B, H, strided, shared=True) for B, H in ((3, 16), (2, 33))]
    return found


def _draw(function: Function, case: Case, dtype: Any, rng: np.random.Generator) -> Arrays:
    """The inputs: pre-activations and states of order 1; for a backward, gates and states that belong together."""

    def normal(name: str) -> Array:
        shape = (4, case.B, case.H) if name in BLOCKS else (case.B, case.H)
        a = 2 * rng.standard_normal(shape)
        if case.extreme and name in ("a", "gates"):
            at = rng.random(shape) < 0.6
            a[at] = rng.choice(EXTREME, size=int(at.sum()))
        return a

    forward = function.name.replace("_backward", "")
    states = {"lstm": ("gates", "c_prev"), "gru": ("gates", "h_prev")}.get(forward, ("a",))
    drawn = {name: normal(name) for name in states}
    if forward == "gru":
        drawn["gates"][3] = np.clip(drawn["gates"][3], -1e4, 1e4)  # r q has no value where r is shut and q infinite
    if forward != function.name:
        (made,) = (f for f in FUNCTIONS if f.name == forward)
        values = {name: value for name, (value, _) in made.expected(drawn, 0.0, *made.options).items()}
        blocks = made.results.get("gates")
        drawn |= {"gates": np.stack([values[name] for name in blocks])} if blocks else {}
        drawn |= {name: values.get(name, normal(name)) for name in function.inputs if name not in drawn}
    drawn = {name: np.array(drawn[name], dtype) for name in function.inputs}
    if case.nan:
        name, block = case.nan
        spot = (rng.integers(case.B), rng.integers(case.H))
        drawn[name][(block, *spot) if name in BLOCKS else spot] = np.nan
    return drawn


GUARD = 12345.0
MARGIN = 5  # entries, so that nothing is aligned to a vector by chance


def _placed(values: Array, strided: bool, device: Device) -> tuple[Any, Any]:
    """values as the contract gives them to a record, and the memory around them, all GUARD."""
    *n, B, H = values.shape
    if not strided:
        memory = device.to_device(np.full(values.size + 2 * MARGIN, GUARD, values.dtype))
        view = memory[MARGIN : MARGIN + values.size].reshape(values.shape)
    else:
        blocks = n[0] if n else 1
        memory = device.to_device(np.full((B, blocks * H + 2 * MARGIN), GUARD, values.dtype))
        rows = memory[:, MARGIN : MARGIN + blocks * H].reshape(B, blocks, H)
        view = rows.swapaxes(0, 1) if n else rows[:, 0]
    view[...] = device.to_device(values)
    assert np.shares_memory(view, memory) or not values.size
    return view, memory


# ---- the proof -----------------------------------------------------------------------------------------------------


def prove_gates(
    gates: Gates,
    seed: int = 0,
    dtypes: tuple[Any, ...] = (np.float64, np.float32),
    device: Device = Device(),  # noqa: B008 (it doesn't change)
) -> None:
    """Raise AssertionError unless `gates` keeps the contract's pointwise level in every case, for each dtype.

    device: where the arrays of the record are, if not on the host.
    """
    for function in FUNCTIONS:
        for dtype in dtypes:
            for case in cases(function):
                _prove(gates, function, case, dtype, seed, device)


def prove_gates_case(
    gates: Gates, function: str, *, B: int, H: int, strided: bool = False, seed: int = 0, dtype: Any = np.float64
) -> None:
    """The same for one function and sizes of your own, in particular for tests that draw them.

    function: a name of FUNCTIONS, such as "lstm_backward" or "rnn-tanh".
    """
    (found,) = (f for f in FUNCTIONS if f.name == function)
    _prove(gates, found, Case(B, H, strided), dtype, seed, Device())


def _prove(gates: Gates, function: Function, case: Case, dtype: Any, seed: int, device: Device) -> None:
    where = f"{gates.name} gates, {function.name}, {np.dtype(dtype).name}, case '{case}'"
    inputs = _draw(function, case, dtype, np.random.default_rng(seed))
    runs = [_run(gates, function, case, inputs, device, where) for _ in range(2)]

    # float64 is compared with a float64 that has roundings of its own
    eps = float(np.finfo(dtype).eps) * (2 if dtype == np.float64 else 1)
    exact = {name: a.astype(np.float64) for name, a in inputs.items()}
    expected = function.expected(exact, eps, *function.options)
    # a subnormal result may be zero, and that is multiplied with the inputs
    largest = max(float(np.max(np.abs(a), initial=1, where=np.isfinite(a))) for a in inputs.values())
    floor = 4 * float(np.finfo(dtype).tiny) * largest
    for name, (value, allowed) in expected.items():
        allowed = allowed if isinstance(allowed, int) else allowed + floor
        compare(runs[0][name], value, allowed, dtype, f"{where}, {name}")
        assert runs[0][name].tobytes() == runs[1][name].tobytes(), f"{where}, {name}: two equal calls, different bits"


def _run(gates: Gates, function: Function, case: Case, inputs: Arrays, device: Device, where: str) -> Arrays:
    """The results by name, of one call among guards; and what may not be changed is looked at."""
    views, memories = {}, {}
    for name in function.arguments:
        shape = (4, case.B, case.H) if name in BLOCKS else (case.B, case.H)
        given = inputs.get(name, np.full(shape, np.nan, next(iter(inputs.values())).dtype))
        views[name], memories[name] = _placed(given, case.strided, device)
    if case.shared:
        views["c"] = views["c_prev"]
    try:
        function.of(gates)(*views.values(), *function.options)
    except Exception as error:
        raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error

    results: Arrays = {}
    for name, parts in function.results.items():
        got = device.to_host(views[name]).copy()
        results |= dict(zip(parts, got, strict=True)) if name in BLOCKS else {parts[0]: got}
    for name, given in inputs.items():
        if name not in function.results and not (case.shared and name == "c_prev"):
            kept = np.array_equal(device.to_host(views[name]), given, equal_nan=True)
            assert kept, f"{where}: the argument {name} was changed"
    for name, memory in memories.items():
        views[name][...] = GUARD
        assert case.shared or np.all(device.to_host(memory) == GUARD), (
            f"{where}: something beside {name} was overwritten"
        )
    return results
