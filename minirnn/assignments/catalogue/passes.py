"""The backward passes of the recurrent cells with switches: each switch changes one thing, as a mistake would.

Without switches, `backward` computes the right gradient; the tests compare it with `minirnn.recurrent.cells`. With a
switch, it computes what a student with that mistake gets. The check compares a student's numbers with those of every
known mistake. The code has no other use: it is a loop over steps with a branch at every place where people go wrong.

Layout as in CS231n: x (N, T, D), Wx (D, K), Wh (H, K), biases (K,) with K = H, 4H or 3H. The order of the blocks of H
columns is an argument, `gates`. The equations are those of `minirnn_kernels.gates`, under the same names.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

Array = np.ndarray

# The order of the gates' blocks in CS231n, whose names, signatures and layout the assignments follow. It differs from
# the order of `minirnn_kernels.cell` (PyTorch's i, f, g, o), and the assignments import neither minirnn's cells nor its
# kernels: the check must not depend on the code that it helps to write.
COURSE_GATES = {"rnn": "h", "lstm": "ifog", "gru": "rzn"}
TANH_GATES = "hgn"  # the letters of the gates with tanh; the others are sigmoids

Gate = Literal["h", "i", "f", "o", "g", "r", "z", "n"]
Slope = Literal["missing", "twice", "pre", "other", "unsquared"]
Cut = tuple[Literal["cut"], int, Literal["start", "end"]]


@dataclass(frozen=True)
class Switches:
    """The switches of `backward`. None: this part is right.

    Raises TypeError for an unknown switch, and for a value that the switch doesn't have. (A ValueError would be
    mistaken for a product of arrays whose shapes don't fit.)
    """

    # The gradients from outside. "reshaped": dh of shape (N, T, H) is read as (T, N, H).
    upstream: Literal["last", "first", "all but last", "reshaped"] | None = None  # the steps whose dh is used
    dc_next: Literal["ignored"] | None = None  # the gradient into the last c

    # The loop over time. ("stop", k): only the last k steps.
    steps: Literal["forward", "skip first", "skip last"] | tuple[Literal["stop"], int] | None = None
    window: int | None = None  # the number of steps that the loss of each step goes back
    # "none": not carried from step to step. ("cut", k, origin): not carried over every k-th step, counted from there.
    carry_h: Literal["none"] | Cut | None = None
    # "no f": carried without the factor f. "only carried": without the share that comes from h.
    carry_c: Literal["none", "no f", "only carried"] | Cut | None = None
    h0: Literal["zero", "first"] | None = (
        None  # "zero": dh0 is never set; "first": it is that of the loop's first round
    )
    c0: Literal["zero"] | None = None  # dc0 is never set

    # What the cache holds.
    cache: Literal["last", "first"] | None = None  # all steps use the cache of this step
    cache_of: Literal["gates"] | None = None  # with `cache`: x and h_{t-1} are right nevertheless
    # One buffer for all steps. "previous": every cached c_{t-1} is the last c. "both": and so is every c_t.
    buffer_c: Literal["previous", "both"] | None = None
    buffer_h: Literal["previous", "next", "both"] | None = None  # the same for h; "next": every h_t
    input_h: Literal["next"] | None = None  # h_t instead of h_{t-1} in dWh

    # The sums over steps. "last": each step overwrites the earlier ones. "first": only the loop's first round counts.
    sum_x: Literal["last", "first"] | None = None
    sum_h: Literal["last", "first"] | None = None
    sum_b: Literal["last", "first"] | None = None
    # The sum over the batch in the bias gradients. "rows": not summed; "first", "last": one sample instead of all.
    bias: Literal["mean", "first", "last", "rows"] | None = None

    # The matrix products. "reshaped": reshape instead of a transpose. "untransposed": each block of Wh instead of its
    # transpose. "Wx", "Wh": the other matrix.
    back_h: Literal["untransposed", "reshaped", "Wx"] | None = None  # the matrix that leads to dh_prev
    back_x: Literal["reshaped", "Wh"] | None = None  # the matrix that leads to dx
    outer_x: Literal["reshaped"] | None = None  # x.T in dWx
    outer_h: Literal["reshaped"] | None = None  # h_prev.T in dWh
    blocks_x: Gate | None = None  # only the share of this gate reaches dx
    blocks_h: Gate | None = None  # only the share of this gate reaches dh_prev
    order: tuple[Gate, ...] | None = None  # each gate's gradient is in the block of the next one in this cycle
    order_at: Literal["weights", "states"] | None = None  # with `order`: only in the weights' or the states' gradients

    # The derivatives of the activations: "missing"; "twice": taken of the activation; "pre": the pre-activation in the
    # place of the activation; "other": tanh' for a sigmoid, and the reverse; "unsquared": 1 - y.
    slope_h: Slope | None = None
    slope_i: Slope | None = None
    slope_f: Slope | None = None
    slope_o: Slope | None = None
    slope_g: Slope | None = None
    slope_r: Slope | None = None
    slope_z: Slope | None = None
    slope_n: Slope | None = None
    tanh_c: Literal["missing", "twice", "pre", "unsquared"] | None = None  # the same for tanh(c)

    # LSTM.
    o_in_dc: Literal["missing"] | None = None  # the factor o on the path from h to c
    h_to_c: Literal["missing"] | None = None  # the whole path from h to c
    f_input: Literal["c"] | None = None  # df is computed with c_t
    o_input: Literal["c"] | None = None  # do is computed with c instead of tanh(c)

    # GRU.
    z_path: Literal["missing"] | None = None  # the path from h to h_prev past the gates
    z_sign: Literal["turned"] | None = None  # n - h_prev in dz
    n_weight: Literal["missing", "z"] | None = None  # the factor 1 - z of dn
    r_input: Literal["h"] | None = None  # dr is computed with h_prev
    n_reset: Literal["missing", "states", "weights"] | None = None  # where the factor r of the n block is missing

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not _fits(value, _types()[name]):
                raise TypeError(f"the switch {name} can't be {value!r}; its type is {_types()[name]}")

    def slope(self, gate: str) -> Slope | None:
        """Return the switch for the derivative of a gate's activation."""
        option: Slope | None = getattr(self, f"slope_{gate}")
        return option


RIGHT = Switches()


@functools.cache
def _types() -> dict[str, Any]:
    return get_type_hints(Switches)


def _fits(value: Any, type_: Any) -> bool:
    """Return whether a value has the type of a switch: int, a Literal, a tuple, or a union of these and None."""
    parts = get_args(type_)
    if NoneType in parts:
        return any(_fits(value, part) for part in parts)
    if isinstance(value, tuple) and get_origin(type_) is tuple:
        wanted = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        return len(value) == len(wanted) and all(map(_fits, value, wanted))
    return value in parts if isinstance(value, str) else type_ is int and type(value) is int


@dataclass(frozen=True)
class Step:
    """What one step of the forward pass computes: pre-activations and gates by letter, next to its arguments."""

    x: Array
    h_prev: Array
    h: Array
    pre: dict[str, Array]
    gate: dict[str, Array]
    c_prev: Array | None = None
    c: Array | None = None
    recurrent_n: Array | None = None  # GRU: h W_n + b_n of the recurrent side


@dataclass(frozen=True)
class Trace:
    """A forward pass with everything that it computed."""

    cell: str
    gates: str
    Wx: Array
    Wh: Array
    biases: int
    steps: tuple[Step, ...]

    @property
    def h(self) -> Array:
        """All hidden states (N, T, H)."""
        return np.stack([step.h for step in self.steps], axis=1)


def forward(
    cell: str, gates: str, x: Array, h0: Array, c0: Array | None, Wx: Array, Wh: Array, biases: tuple[Array, ...]
) -> Trace:
    """Return the right forward pass over x (N, T, D). c0 None: zeros, for the LSTM."""
    h, c = h0, c0 if c0 is not None else np.zeros_like(h0)
    steps: list[Step] = []
    H = h0.shape[1]
    blocks = {letter: slice(k * H, (k + 1) * H) for k, letter in enumerate(gates)}
    for t in range(x.shape[1]):
        ax, ah = x[:, t] @ Wx + biases[0], h @ Wh
        if cell == "gru":
            steps.append(_gru(x[:, t], h, ax, ah + biases[1], blocks))
        else:
            pre = {letter: (ax + ah)[:, block] for letter, block in blocks.items()}
            gate = {letter: np.tanh(a) if letter in TANH_GATES else _sigmoid(a) for letter, a in pre.items()}
            if cell == "rnn":
                steps.append(Step(x[:, t], h, gate["h"], pre, gate))
            else:
                c_prev, c = c, gate["f"] * c + gate["i"] * gate["g"]
                steps.append(Step(x[:, t], h, gate["o"] * np.tanh(c), pre, gate, c_prev, c))
        h = steps[-1].h
    return Trace(cell, gates, Wx, Wh, len(biases), tuple(steps))


def _gru(x: Array, h: Array, ax: Array, ah: Array, blocks: dict[str, slice]) -> Step:
    n_h = ah[:, blocks["n"]]
    pre = {letter: ax[:, blocks[letter]] + ah[:, blocks[letter]] for letter in "rz"}
    gate = {letter: _sigmoid(a) for letter, a in pre.items()}
    pre["n"] = ax[:, blocks["n"]] + gate["r"] * n_h
    gate["n"] = np.tanh(pre["n"])
    return Step(x, h, (1 - gate["z"]) * gate["n"] + gate["z"] * h, pre, gate, recurrent_n=n_h)


def backward(trace: Trace, dh: Array, dc: Array | None, s: Switches = RIGHT) -> dict[str, Array]:
    """Return the gradients by name: dx, dh0, (dc0,) dWx, dWh, db, (dbh).

    dh: (N, T, H), the gradients into all hidden states. dc: (N, H), the gradient into the last c, or None for zero.
    """
    if s.window is not None:
        return _windows(trace, dh, dc, s.window, replace(s, window=None))
    dh = _upstream(dh, s.upstream)
    cached = _cached(trace, s)
    T = len(cached)
    zero = np.zeros_like(trace.steps[0].h)
    dh0 = dh_next = zero
    dc_prev = dc_next = zero if dc is None or s.dc_next == "ignored" else dc
    dx = np.stack([np.zeros_like(step.x) for step in trace.steps], axis=1)
    shares: list[tuple[Array, ...]] = []
    for t in _sequence(T, s.steps):
        da, da_h, dc_prev, past = _gates_backward(trace.cell, cached[t], dh[:, t] + dh_next, dc_next, s)
        dx[:, t], dh_prev = _to_states(trace, *_sides(da, da_h, "states", s), s)
        dh_prev = dh_prev if past is None else dh_prev + past
        shares.append(_to_weights(trace, cached[t], *_sides(da, da_h, "weights", s), s))
        if s.h0 != "first" or len(shares) == 1:
            dh0 = dh_prev
        dh_next = zero if _cut(s.carry_h, t, T) else dh_prev
        dc_next = zero if _cut(s.carry_c, t, T) else dc_prev
    found = {"dx": dx, "dh0": zero if s.h0 == "zero" else dh0}
    if trace.cell == "lstm":
        found["dc0"] = zero if s.c0 == "zero" else dc_prev
    return found | _totals(trace, shares, s)


def _windows(trace: Trace, dh: Array, dc: Array | None, k: int, s: Switches) -> dict[str, Array]:
    """Return the sum over all steps t of the gradients of step t's loss, each carried back over k steps."""
    total: dict[str, Array] = {}
    T = len(trace.steps)
    for t in range(T):
        first = max(0, t - k + 1)
        alone = np.zeros_like(dh[:, first : t + 1])
        alone[:, -1] = dh[:, t]
        part = replace(trace, steps=trace.steps[first : t + 1])
        found = backward(part, alone, dc if t == T - 1 else None, s)
        found["dx"] = np.pad(found["dx"], ((0, 0), (first, T - 1 - t), (0, 0)))
        if first > 0:  # the window doesn't reach the initial states
            found |= {name: np.zeros_like(found[name]) for name in ("dh0", "dc0") if name in found}
        total = {name: total[name] + value if total else value for name, value in found.items()}
    return total


def _upstream(dh: Array, option: str | None) -> Array:
    if option is None:
        return dh
    if option == "reshaped":
        N, T, H = dh.shape
        return dh.reshape(T, N, H).transpose(1, 0, 2)
    kept = np.zeros_like(dh)
    part = {"last": slice(-1, None), "first": slice(0, 1), "all but last": slice(0, -1)}[option]
    kept[:, part] = dh[:, part]
    return kept


def _cached(trace: Trace, s: Switches) -> list[Step]:
    steps, last = list(trace.steps), trace.steps[-1]
    if s.cache is not None:
        one = last if s.cache == "last" else steps[0]
        steps = [one if s.cache_of is None else replace(one, x=step.x, h_prev=step.h_prev) for step in steps]
    same: dict[str, Any] = {}
    for name, option, buffer in (("c", s.buffer_c, last.c), ("h", s.buffer_h, last.h)):
        same |= {f"{name}_prev": buffer} if option in ("previous", "both") else {}
        same |= {name: buffer} if option in ("next", "both") else {}
    return [replace(step, **same) for step in steps] if same else steps


def _sequence(T: int, option: str | tuple[str, int] | None) -> range:
    """Return the order in which the loop visits the steps."""
    if isinstance(option, tuple):
        return range(T - 1, max(-1, T - 1 - option[1]), -1)
    if option == "forward":
        return range(T)
    return range(T - 2 if option == "skip last" else T - 1, 0 if option == "skip first" else -1, -1)


def _cut(option: str | Cut | None, t: int, T: int) -> bool:
    """Return whether the gradient stops between step t and step t - 1."""
    if isinstance(option, tuple):
        _, k, origin = option
        return (t if origin == "start" else T - t) % k == 0
    return option == "none"


GateGradients = dict[str, Array]  # the gradients into the pre-activations, by the gate's letter


def _gates_backward(
    cell: str, step: Step, dh: Array, dc_next: Array, s: Switches
) -> tuple[GateGradients, GateGradients, Array, Array | None]:
    """Return da of the input side, da of the recurrent side, dc_prev, and the share of dh_prev past the gates."""
    if cell == "gru":
        return _gru_backward(step, dh, dc_next, s)
    if cell == "rnn":
        y = step.gate["h"] if s.buffer_h is None else step.h
        da = {"h": dh * _slope("h", y, step.pre["h"], s.slope_h)}
        return da, da, dc_next, None
    gate, c = step.gate, step.c
    assert c is not None
    tanh_c = np.tanh(c)
    do = dh * (c if s.o_input == "c" else tanh_c)
    from_h = dh * (1 if s.o_in_dc == "missing" else gate["o"]) * _slope("g", tanh_c, c, s.tanh_c)
    dc = dc_next if s.h_to_c == "missing" else dc_next + from_h
    d = {"i": dc * gate["g"], "f": dc * (c if s.f_input == "c" else step.c_prev), "g": dc * gate["i"], "o": do}
    da = {letter: d[letter] * _slope(letter, gate[letter], step.pre[letter], s.slope(letter)) for letter in d}
    dc_prev = dc if s.carry_c == "no f" else (dc_next if s.carry_c == "only carried" else dc) * gate["f"]
    return da, da, dc_prev, None


def _gru_backward(
    step: Step, dh: Array, dc: Array, s: Switches
) -> tuple[GateGradients, GateGradients, Array, Array | None]:
    r, z, n = (step.gate[letter] for letter in "rzn")
    weight: Any = {"missing": 1, "z": z, None: 1 - z}[s.n_weight]
    dz = dh * (n - step.h_prev if s.z_sign == "turned" else step.h_prev - n)
    da_n = dh * weight * _slope("n", n, step.pre["n"], s.slope_n)
    dr = da_n * (step.h_prev if s.r_input == "h" else step.recurrent_n)
    da_r = dr * _slope("r", r, step.pre["r"], s.slope_r)
    da_z = dz * _slope("z", z, step.pre["z"], s.slope_z)
    da = {"r": da_r, "z": da_z, "n": da_n}
    da_h = {**da, "n": da_n if s.n_reset == "missing" else da_n * r}
    return da, da_h, dc, None if s.z_path == "missing" else dh * z


def _slope(letter: str, y: Array, a: Array, option: Slope | None) -> Any:
    """Return the activation's derivative from its value y and the pre-activation a, or what people write instead."""
    if option == "missing":
        return 1.0
    if option == "unsquared":
        return 1 - y
    tanh = (letter in TANH_GATES) != (option == "other")
    if option == "twice":
        y = np.tanh(y) if tanh else _sigmoid(y)
    elif option == "pre":
        y = a
    return 1 - y * y if tanh else y * (1 - y)


def _sides(
    da: GateGradients, da_h: GateGradients, where: Literal["states", "weights"], s: Switches
) -> tuple[GateGradients, GateGradients]:
    """Return da of the input and of the recurrent side, as they enter the products for the states or the weights."""
    if s.n_reset == where:
        da_h = {**da_h, "n": da["n"]}
    if s.order is None or s.order_at not in (None, where):
        return da, da_h
    block = dict(zip(s.order, s.order[1:] + s.order[:1], strict=True))
    ordered = [{block.get(letter, letter): value for letter, value in side.items()} for side in (da, da_h)]  # type: ignore[call-overload]
    return ordered[0], ordered[1]


def _to_states(trace: Trace, da: GateGradients, da_h: GateGradients, s: Switches) -> tuple[Array, Array]:
    """Return dx and dh_prev of one step, without the share past the gates."""
    left, right = _columns(trace, _only(da, s.blocks_x)), _columns(trace, _only(da_h, s.blocks_h))
    Wx, Wh = trace.Wx, trace.Wh
    dx = left @ (Wh.T if s.back_x == "Wh" else _transposed(Wx, s.back_x))
    if s.back_h != "untransposed":
        return dx, right @ (Wx.T if s.back_h == "Wx" else _transposed(Wh, s.back_h))
    H = Wh.shape[0]
    return dx, np.sum([right[:, k : k + H] @ Wh[:, k : k + H] for k in range(0, Wh.shape[1], H)], axis=0)


def _to_weights(trace: Trace, step: Step, da: GateGradients, da_h: GateGradients, s: Switches) -> tuple[Array, ...]:
    """Return the shares of one step in dWx, dWh and the bias gradients."""
    left, right = _columns(trace, da), _columns(trace, da_h)
    h = step.h if s.input_h == "next" else step.h_prev
    biases = [_over_batch(side, s.bias) for side in (left, right)[: trace.biases]]
    return _transposed(step.x, s.outer_x) @ left, _transposed(h, s.outer_h) @ right, *biases


def _transposed(matrix: Array, option: str | None) -> Array:
    return matrix.reshape(matrix.shape[::-1]) if option == "reshaped" else matrix.T


def _over_batch(da: Array, option: str | None) -> Array:
    if option in ("first", "last"):
        return da[0 if option == "first" else -1]
    if option == "rows":
        return da
    return da.mean(axis=0) if option == "mean" else da.sum(axis=0)


def _only(da: GateGradients, letter: str | None) -> GateGradients:
    if letter is None:
        return da
    return {name: value if name == letter else np.zeros_like(value) for name, value in da.items()}


def _columns(trace: Trace, da: GateGradients) -> Array:
    return np.concatenate([da[letter] for letter in trace.gates], axis=1) if len(da) > 1 else da[trace.gates]


def _totals(trace: Trace, shares: list[tuple[Array, ...]], s: Switches) -> dict[str, Array]:
    """Return the weights' gradients: the sums of the steps' shares, or zeros if the loop has no round."""
    shapes = [trace.Wx.shape, trace.Wh.shape, *[trace.Wx.shape[1:]] * trace.biases]
    parts = zip(*(shares or [tuple(map(np.zeros, shapes))]), strict=True)
    options = (s.sum_x, s.sum_h, s.sum_b, s.sum_b)
    kept = {"last": slice(-1, None), "first": slice(1), None: slice(None)}
    return {
        name: functools.reduce(np.add, part[kept[option]])
        for name, option, part in zip(("dWx", "dWh", "db", "dbh"), options, parts, strict=False)
    }


def _sigmoid(a: Array) -> Array:
    e = np.exp(-np.abs(a))
    return np.asarray(np.where(a >= 0, 1, e) / (1 + e))
