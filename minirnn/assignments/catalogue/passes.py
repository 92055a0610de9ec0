"""The recurrent cells' backward passes with switches: each switch changes one thing, as a mistake would.

With no switch thrown, `backward` is the right gradient (the tests hold it against `minirnn.cells`). With one thrown it
is what a student gets who makes that mistake; so a student's numbers can be compared with those of every known
mistake. It is written for that purpose alone: a loop over steps, nothing fused, a branch at every place where people
go wrong.

Layout as in CS231n: x (N, T, D), Wx (D, K), Wh (H, K), biases (K,), K = H, 4H, 3H; the blocks of H columns in the
order of `gates`. The equations are those of `minirnn_kernels.gates`, under the same names.

Switches (a mapping; what is absent is right):

    upstream     "last", "first", "all but last": only these steps' dh is used; "reshaped": (N, T) taken for (T, N)
    steps        "forward": the loop runs from 0 on; "skip first", "skip last"; ("stop", k): only the last k steps
    window       k: each step's loss goes back k steps only
    cache        "last", "first": all steps use that step's cache; with cache_of "gates", x and h_{t-1} are right
    buffer_c     "previous", "both": every cached c_{t-1} (and c_t) is the last one
    buffer_h     "previous", "next", "both": every cached h_{t-1}, h_t is the last one
    carry_h      "none", ("cut", k, "start" or "end"): the gradient into h isn't carried, or not over every k-th step
    carry_c      the same for c; "no f": carried without the factor f; "only carried": without the way through h
    h0, c0       "zero": that result is never set; h0 "first": the one of the loop's first round
    dc_next      "ignored": what comes into the last c
    sum_x, sum_h, sum_b    "last": each step overwrites the share of the one before; "first": only the first counts
    input_h      "next": h_t in the place of h_{t-1} in dWh
    back_h       "untransposed": the blocks of Wh, not of its transpose; "reshaped"; "Wx"
    back_x       "reshaped"; "Wh"
    outer_x, outer_h       "reshaped": x.reshape(D, N) for x.T
    blocks_x, blocks_h     a letter: only this gate's share reaches dx, dh
    bias         "mean", "first", "last": over the batch; "rows": not summed
    order        {letter: letter}: a gate's gradient lands in another's block; with order_at "weights", "states" or both
    slope_L      for gate L: "missing", "twice", "pre", "other", "unsquared"
    tanh_c       "missing", "twice", "pre", "unsquared";  o_in_dc "missing";  h_to_c "missing"
    f_input      "c": df with c_t;  o_input "c": do with c for tanh(c)
    z_path       "missing";  z_sign "turned";  n_weight "missing", "z";  r_input "h", "x";  n_reset "missing",
                 "states", "weights" (GRU)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray
Switches = Mapping[str, Any]

ORDERS = {"rnn": "h", "lstm": "ifog", "gru": "rzn"}
TANH = "hgn"  # the gates with tanh; the others are sigmoids


@dataclass(frozen=True)
class Step:
    """What one step of the forward pass knew: its input, states before and after, pre-activations, gates by letter."""

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
    """A forward pass with everything kept."""

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
    """The right forward pass over x (N, T, D). c0 None: zeros, for the LSTM."""
    h, c = h0, c0 if c0 is not None else np.zeros_like(h0)
    steps = []
    H = h0.shape[1]
    blocks = {letter: slice(k * H, (k + 1) * H) for k, letter in enumerate(gates)}
    for t in range(x.shape[1]):
        ax, ah = x[:, t] @ Wx + biases[0], h @ Wh
        if cell == "gru":
            step = _gru(x[:, t], h, ax, ah + biases[1], blocks)
        else:
            pre = {letter: (ax + ah)[:, block] for letter, block in blocks.items()}
            gate = {letter: np.tanh(a) if letter in TANH else _sigmoid(a) for letter, a in pre.items()}
            if cell == "rnn":
                step = Step(x[:, t], h, gate["h"], pre, gate)
            else:
                c_next = gate["f"] * c + gate["i"] * gate["g"]
                step = Step(x[:, t], h, gate["o"] * np.tanh(c_next), pre, gate, c, c_next)
                c = c_next
        steps.append(step)
        h = step.h
    return Trace(cell, gates, Wx, Wh, len(biases), tuple(steps))


def _gru(x: Array, h: Array, ax: Array, ah: Array, blocks: dict[str, slice]) -> Step:
    n_h = ah[:, blocks["n"]]
    pre = {letter: ax[:, blocks[letter]] + ah[:, blocks[letter]] for letter in "rz"}
    gate = {letter: _sigmoid(a) for letter, a in pre.items()}
    pre["n"] = ax[:, blocks["n"]] + gate["r"] * n_h
    gate["n"] = np.tanh(pre["n"])
    return Step(x, h, (1 - gate["z"]) * gate["n"] + gate["z"] * h, pre, gate, recurrent_n=n_h)


def backward(trace: Trace, dh: Array, dc: Array | None, s: Switches) -> dict[str, Array]:
    """dh (N, T, H) into all hidden states, dc (N, H) into the last c -> dx, dh0, (dc0,) dWx, dWh, db, (dbh) by name."""
    T = len(trace.steps)
    if "window" in s:
        return _windows(trace, dh, dc, s)
    dh = _upstream(dh, s.get("upstream"))
    cached = _cached(trace, s)
    zero = np.zeros_like(trace.steps[0].h)
    dh_next, dc_next = zero, zero if dc is None or s.get("dc_next") == "ignored" else dc
    dx = np.zeros_like(np.stack([step.x for step in trace.steps], axis=1))
    shares: list[tuple[Array, ...]] = []
    last_h, last_c = dh_next, dc_next
    for t in _sequence(T, s.get("steps")):
        step = cached[t]
        da, da_h, dc_prev, direct = _gates_backward(trace.cell, step, dh[:, t] + dh_next, dc_next, s)
        dx[:, t], dh_prev = _to_states(trace, da, da_h, direct, s)
        shares.append(_to_weights(trace, step, da, da_h, s))
        if s.get("h0") != "first" or not shares[1:]:
            last_h = dh_prev
        last_c = dc_prev
        dh_next = zero if _cut(s.get("carry_h"), t, T) else dh_prev
        dc_next = zero if _cut(s.get("carry_c"), t, T) else dc_prev
    return {"dx": dx, **_initial(trace.cell, last_h, last_c, zero, s), **_totals(trace, shares, s)}


def _windows(trace: Trace, dh: Array, dc: Array | None, s: Switches) -> dict[str, Array]:
    """Each step's upstream alone, through the k steps that end there; the results added up."""
    rest = {name: value for name, value in s.items() if name != "window"}
    total: dict[str, Array] = {}
    T, k = len(trace.steps), s["window"]
    for t in range(T):
        first = max(0, t - k + 1)
        part = replace(trace, steps=trace.steps[first : t + 1])
        alone = np.zeros_like(dh[:, first : t + 1])
        alone[:, -1] = dh[:, t]
        found = backward(part, alone, dc if t == T - 1 else None, rest)
        dx = np.zeros_like(np.stack([step.x for step in trace.steps], axis=1))
        dx[:, first : t + 1] = found["dx"]
        found["dx"] = dx
        for name in ("dh0", "dc0"):
            if name in found and first > 0:
                found[name] = np.zeros_like(found[name])
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
    steps = list(trace.steps)
    if "cache" in s:
        one = steps[-1 if s["cache"] == "last" else 0]
        whole = s.get("cache_of") is None
        steps = [one if whole else replace(one, x=step.x, h_prev=step.h_prev) for step in steps]
    last = trace.steps[-1]
    if "buffer_c" in s:
        both: dict[str, Any] = {"c": last.c} if s["buffer_c"] == "both" else {}
        steps = [replace(step, c_prev=last.c, **both) for step in steps]
    if "buffer_h" in s:
        names = {"previous": ["h_prev"], "next": ["h"], "both": ["h_prev", "h"]}[s["buffer_h"]]
        same: dict[str, Any] = dict.fromkeys(names, last.h)
        steps = [replace(step, **same) for step in steps]
    return steps


def _sequence(T: int, option: Any) -> range:
    if option == "forward":
        return range(T)
    if option == "skip first":
        return range(T - 1, 0, -1)
    if option == "skip last":
        return range(T - 2, -1, -1)
    if isinstance(option, tuple):
        return range(T - 1, max(-1, T - 1 - option[1]), -1)
    return range(T - 1, -1, -1)


def _cut(option: Any, t: int, T: int) -> bool:
    """Whether the gradient stops between step t and step t - 1."""
    if option == "none":
        return True
    if isinstance(option, tuple):
        _, k, origin = option
        return (t if origin == "start" else T - t) % k == 0
    return False


def _gates_backward(
    cell: str, step: Step, dh: Array, dc_next: Array, s: Switches
) -> tuple[dict[str, Array], dict[str, Array], Array, Array | None]:
    """-> da of the input side by letter, da of the recurrent side, dc_prev, what reaches h_prev past the products."""
    if cell == "rnn":
        gate = step.gate if "buffer_h" not in s else {"h": step.h}
        da = {"h": dh * _slope("h", gate["h"], step.pre["h"], s.get("slope_h"))}
        return da, da, dc_next, None
    if cell == "gru":
        return _gru_backward(step, dh, dc_next, s)
    gate, c = step.gate, step.c
    assert c is not None
    tanh_c = np.tanh(c)
    do = dh * (c if s.get("o_input") == "c" else tanh_c)
    through_h = dh * (1 if s.get("o_in_dc") == "missing" else gate["o"]) * _slope("g", tanh_c, c, s.get("tanh_c"))
    dc = dc_next if s.get("h_to_c") == "missing" else dc_next + through_h
    d = {"i": dc * gate["g"], "f": dc * (c if s.get("f_input") == "c" else step.c_prev), "g": dc * gate["i"], "o": do}
    da = {letter: d[letter] * _slope(letter, gate[letter], step.pre[letter], s.get("slope_" + letter)) for letter in d}
    carry = s.get("carry_c")
    dc_prev = dc if carry == "no f" else (dc_next if carry == "only carried" else dc) * gate["f"]
    return da, da, dc_prev, None


def _gru_backward(
    step: Step, dh: Array, dc: Array, s: Switches
) -> tuple[dict[str, Array], dict[str, Array], Array, Array | None]:
    r, z, n = (step.gate[letter] for letter in "rzn")
    weight: Any = {"missing": 1, "z": z}.get(s.get("n_weight", ""), 1 - z)
    dz = dh * (n - step.h_prev if s.get("z_sign") == "turned" else step.h_prev - n)
    da_n = dh * weight * _slope("n", n, step.pre["n"], s.get("slope_n"))
    dr = da_n * (step.h_prev if s.get("r_input") == "h" else step.recurrent_n)
    da_r = dr * _slope("r", r, step.pre["r"], s.get("slope_r"))
    da_z = dz * _slope("z", z, step.pre["z"], s.get("slope_z"))
    da = {"r": da_r, "z": da_z, "n": da_n}
    da_h = {**da, "n": da_n if s.get("n_reset") == "missing" else da_n * r}
    return da, da_h, dc, None if s.get("z_path") == "missing" else dh * z


def _slope(letter: str, y: Array, a: Array, option: str | None) -> Any:
    """The activation's derivative, from its value y and the pre-activation a; or what people write instead."""
    if option == "missing":
        return 1.0
    tanh = letter in TANH
    if option == "other":
        tanh = not tanh
    if option == "unsquared":
        return 1 - y
    if option == "twice":
        y = np.tanh(y) if tanh else _sigmoid(y)
    elif option == "pre":
        y = a
    return 1 - y * y if tanh else y * (1 - y)


def _to_states(
    trace: Trace, da: dict[str, Array], da_h: dict[str, Array], direct: Array | None, s: Switches
) -> tuple[Array, Array]:
    """-> dx, dh_prev of one step."""
    if s.get("n_reset") == "states":
        da_h = {**da_h, "n": da["n"]}
    if s.get("order_at") in (None, "states"):
        da, da_h = _ordered(da, s), _ordered(da_h, s)
    left = _columns(trace, _only(da, s.get("blocks_x")))
    right = _columns(trace, _only(da_h, s.get("blocks_h")))
    Wx, Wh = trace.Wx, trace.Wh
    back_x, back_h = s.get("back_x"), s.get("back_h")
    dx = left @ Wh.T if back_x == "Wh" else left @ (Wx.reshape(Wx.shape[::-1]) if back_x == "reshaped" else Wx.T)
    if back_h == "Wx":
        dh = right @ Wx.T
    elif back_h == "untransposed":
        H = Wh.shape[0]
        blocks = range(0, Wh.shape[1], H)
        dh = np.sum([right[:, k : k + H] @ Wh[:, k : k + H] for k in blocks], axis=0)
    else:
        dh = right @ (Wh.reshape(Wh.shape[::-1]) if back_h == "reshaped" else Wh.T)
    return dx, dh if direct is None else dh + direct


def _to_weights(
    trace: Trace, step: Step, da: dict[str, Array], da_h: dict[str, Array], s: Switches
) -> tuple[Array, ...]:
    """-> one step's shares of dWx, dWh and the biases."""
    if s.get("n_reset") == "weights":
        da_h = {**da_h, "n": da["n"]}
    if s.get("order_at") in (None, "weights"):
        da, da_h = _ordered(da, s), _ordered(da_h, s)
    left, right = _columns(trace, da), _columns(trace, da_h)
    h = step.h if s.get("input_h") == "next" else step.h_prev
    biases = [_over_batch(side, s.get("bias")) for side in (left, right)[: trace.biases]]
    return _outer(step.x, left, s.get("outer_x")), _outer(h, right, s.get("outer_h")), *biases


def _outer(x: Array, da: Array, option: str | None) -> Array:
    if option == "reshaped":
        return x.reshape(x.shape[::-1]) @ da
    return x.T @ da


def _over_batch(da: Array, option: str | None) -> Array:
    if option == "rows":
        return da
    if option == "mean":
        return da.mean(axis=0)
    if option in ("first", "last"):
        return da[0 if option == "first" else -1]
    return da.sum(axis=0)


def _ordered(da: dict[str, Array], s: Switches) -> dict[str, Array]:
    """Each gate's gradient in the block of the gate that `order` names."""
    order = s.get("order")
    return da if order is None else {order.get(letter, letter): value for letter, value in da.items()}


def _only(da: dict[str, Array], letter: str | None) -> dict[str, Array]:
    if letter is None:
        return da
    return {name: value if name == letter else np.zeros_like(value) for name, value in da.items()}


def _columns(trace: Trace, da: dict[str, Array]) -> Array:
    return np.concatenate([da[letter] for letter in trace.gates], axis=1) if len(da) > 1 else da[trace.gates]


def _initial(cell: str, dh_prev: Array, dc_prev: Array, zero: Array, s: Switches) -> dict[str, Array]:
    found = {"dh0": zero if s.get("h0") == "zero" else dh_prev}
    if cell == "lstm":
        found["dc0"] = zero if s.get("c0") == "zero" else dc_prev
    return found


def _totals(trace: Trace, shares: list[tuple[Array, ...]], s: Switches) -> dict[str, Array]:
    names = ("dWx", "dWh", "db", "dbh")[: 2 + trace.biases]
    if not shares:
        shares = [
            tuple(np.zeros(shape) for shape in (trace.Wx.shape, trace.Wh.shape, *[trace.Wx.shape[1:]] * trace.biases))
        ]
    options = [s.get("sum_x"), s.get("sum_h"), s.get("sum_b"), s.get("sum_b")]
    found = {}
    for name, option, parts in zip(names, options, zip(*shares, strict=True), strict=False):
        found[name] = parts[-1] if option == "last" else parts[0] if option == "first" else sum(parts[1:], parts[0])
    return found


def _sigmoid(a: Array) -> Array:
    e = np.exp(-np.abs(a))
    return np.asarray(np.where(a >= 0, 1, e) / (1 + e))
