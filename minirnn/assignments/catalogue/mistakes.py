"""The catalogue of known mistakes: what each is called, what it says, and how it shows in the cells' backward passes.

A mistake has variants, since people make it in more than one place: each variant is a setting of the switches in
`passes.py`, which gives the very numbers a student with that mistake gets. Mistakes that change finished tensors
(a factor, a transpose) are `operations.py`'s; mistakes that show outside the numbers (a changed input, two calls that
differ) are found by `observe.py`. All three name mistakes of this list.

The list was collected from course forums, issue trackers and published code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations, product
from typing import Any

from minirnn.assignments.catalogue.passes import TANH

Setting = dict[str, Any]


@dataclass(frozen=True)
class Mistake:
    """One entry. `wrong` is what people write, `right` what has to stand there, `look` where to look."""

    id: str
    family: str
    title: str
    wrong: str
    right: str
    look: str
    effect: str


_CARRY = "the gradients that the loop over time hands from step t to step t - 1"
_LOCAL = "the derivatives of the activations"
_PRODUCTS = "the matrix products behind dx, dh_prev and the weights' gradients"
_SUMS = "what is summed, over what, and what it is divided by"

MISTAKES: dict[str, Mistake] = {
    m.id: m
    for m in (
        # ---- batch and scale
        Mistake(
            "bias-batch", "batch and scale", "the bias gradient isn't summed over the batch",
            "db = da, its mean, or one row of it", "db = da.sum(axis=0)", _SUMS,
            "the biases learn too slowly, or follow one sample of the batch",
        ),
        Mistake(
            "batch-scale", "batch and scale", "a factor 1/N or N too many: the batch's mean taken twice, or a sum for a mean",
            "dW /= N here as well as in the loss", "divide by N once, where the loss is averaged", _SUMS,
            "the learning rate depends on the size of the batch",
        ),
        Mistake(
            "time-scale", "batch and scale", "a factor 1/T or T too many",
            "dW /= T", "the sum over the steps, undivided", _SUMS,
            "the learning rate depends on the length of the sequence",
        ),
        Mistake(
            "sign", "batch and scale", "the sign is wrong",
            "-dW", "dW", "minus signs, and who subtracts: the gradient or the update",
            "the loss rises",
        ),
        Mistake(
            "accumulated", "batch and scale", "gradients of an earlier call are still there: they aren't zeroed",
            "a total that lives outside the function", "start every call from zeros", "where the totals are made",
            "old batches pull on every update; the loss wanders and then diverges",
        ),
        Mistake(
            "clipped", "batch and scale", "the gradient is clipped inside the function that is checked",
            "np.clip(dW, -5, 5) in the backward pass", "clip after the backward pass, in the training loop",
            "clip, minimum, maximum, norm in the backward pass",
            "none while gradients are small; the direction is wrong when they are large",
        ),
        # ---- local derivatives
        Mistake(
            "tanh-slope-missing", "local derivative", "the derivative of tanh is missing",
            "da = dg", "da = dg * (1 - g**2)", _LOCAL, "gradients are too large where units are saturated",
        ),
        Mistake(
            "sigmoid-slope-missing", "local derivative", "the derivative of the sigmoid is missing on a gate",
            "da_i = di", "da_i = di * i * (1 - i)", _LOCAL,
            "the gate learns at least four times too fast and saturates",
        ),
        Mistake(
            "slope-twice", "local derivative", "the derivative is taken of the activation, as if it were the pre-activation",
            "1 - tanh(h)**2, or s(i) * (1 - s(i))", "1 - h**2, i * (1 - i): they are activations already", _LOCAL,
            "small and easily overlooked: training works, a little worse",
        ),
        Mistake(
            "slope-of-preactivation", "local derivative", "the pre-activation stands in the derivative instead of the activation",
            "1 - a**2, a * (1 - a)", "1 - tanh(a)**2, s(a) * (1 - s(a))", _LOCAL,
            "the sign turns for large pre-activations; training diverges",
        ),
        Mistake(
            "slope-exchanged", "local derivative", "a tanh has the sigmoid's derivative, or a sigmoid that of tanh",
            "g * (1 - g) for the candidate, 1 - i**2 for a gate", "1 - g**2 for tanh, i * (1 - i) for the sigmoid", _LOCAL,
            "one gate learns in a wrong direction for some units",
        ),
        Mistake(
            "slope-unsquared", "local derivative", "1 - y stands for the derivative of an activation y",
            "1 - y", "1 - y**2 for tanh, y * (1 - y) for the sigmoid", _LOCAL, "wrong sizes, sometimes wrong signs",
        ),
        Mistake(
            "tanh-c-slope-missing", "local derivative", "(1 - tanh(c)**2) is missing on the way from h to c",
            "dc = dc_next + dh * o", "dc = dc_next + dh * o * (1 - tanh(c)**2)", "the line that makes dc",
            "gradients are too large for large cell states",
        ),
        Mistake(
            "o-missing-in-dc", "local derivative", "the output gate is missing on the way from h to c",
            "dc = dc_next + dh * (1 - tanh(c)**2)", "dc = dc_next + dh * o * (1 - tanh(c)**2)", "the line that makes dc",
            "cells that the output gate hides get gradient all the same",
        ),
        Mistake(
            "h-to-c-missing", "local derivative", "the way from h to c is missing",
            "dc = dc_next", "dc = dc_next + dh * o * (1 - tanh(c)**2)", "the line that makes dc",
            "only the output gate learns",
        ),
        Mistake(
            "f-input", "local derivative", "df is made with c_t instead of c_{t-1}",
            "df = dc * c", "df = dc * c_prev", "the line that makes df", "the forget gate learns something else",
        ),
        Mistake(
            "o-input", "local derivative", "do is made with c instead of tanh(c)",
            "do = dh * c", "do = dh * tanh(c)", "the line that makes do", "the output gate's gradient is too large",
        ),
        # ---- recursion
        Mistake(
            "c-carry-dropped", "recursion", "the gradient into c isn't carried from step to step",
            "dc = dh * o * (1 - tanh(c)**2)", "dc = dc_next + dh * o * (1 - tanh(c)**2)", _CARRY,
            "the cell can't learn what lies more than a step back: the LSTM's point is lost",
        ),
        Mistake(
            "c-carry-without-f", "recursion", "the gradient into c is carried without the forget gate",
            "dc_prev = dc", "dc_prev = dc * f", _CARRY, "gradients of what was forgotten long ago never fade",
        ),
        Mistake(
            "h-carry-dropped", "recursion", "the gradient into h isn't carried from step to step",
            "da from dh[:, t] alone", "dh_t = dh[:, t] + dh_next, with dh_next = da @ Wh.T of step t + 1", _CARRY,
            "nothing is learned through the recurrent weights over more than a step",
        ),
        Mistake(
            "carries-never-assigned", "recursion", "the carried gradients are computed but never handed on",
            "dh_prev and dc_prev made in the loop, dh_next and dc_next never set", "dh_next, dc_next = dh_prev, dc_prev",
            _CARRY, "the network learns as if each sequence were one step long",
        ),
        Mistake(
            "upstream-dropped", "recursion", "the gradient that comes into each step from outside is used at some steps only",
            "dh_t = dh_next", "dh_t = dh[:, t] + dh_next", "where the loop reads dh[:, t]",
            "losses at the other steps teach nothing",
        ),
        Mistake(
            "gates-overwritten", "recursion", "dx or dh_prev is overwritten gate by gate instead of summed",
            "dh_prev = da_i @ Wh_i.T; dh_prev = da_f @ Wh_f.T; ...", "dh_prev = da_i @ Wh_i.T + da_f @ Wh_f.T + ...",
            "where the gates' shares of dx and dh_prev come together", "most of the gradient through time is lost",
        ),
        Mistake(
            "weights-overwritten", "recursion", "a weight gradient is overwritten at each step instead of summed",
            "dWx = x_t.T @ da", "dWx += x_t.T @ da", "the totals over the steps",
            "one step of each sequence decides the update",
        ),
        Mistake(
            "h-input", "recursion", "dWh is made with h_t instead of h_{t-1}",
            "dWh += h_t.T @ da_t", "dWh += h_{t-1}.T @ da_t", "what the cache holds as h_prev",
            "the recurrent weights get another gradient; training is slow and odd",
        ),
        Mistake(
            "loop-misses-step", "recursion", "the loop over time misses its first or its last step",
            "for t in range(T - 1, 0, -1)", "for t in reversed(range(T))", "the bounds of the loop",
            "one step of each sequence teaches nothing",
        ),
        Mistake(
            "loop-forward", "recursion", "the backward loop runs forwards in time",
            "for t in range(T)", "for t in reversed(range(T))", "the direction of the loop",
            "later losses never reach earlier steps",
        ),
        Mistake(
            "one-cache", "recursion", "all steps of the backward loop use the cache of one step",
            "the variable that the forward loop left behind", "caches[t]", "how caches are kept and read",
            "wrong for every sequence that isn't constant",
        ),
        Mistake(
            "truncated", "recursion", "the gradient is cut off after some steps",
            "a loop over the last k steps, or carries reset every k steps", "carry the gradient to the first step",
            "limits in the loop: max(0, t - k), a modulus, a constant", "nothing is learned over more than k steps",
        ),
        Mistake(
            "initial-state-forgotten", "recursion", "the gradient of an initial state is never set",
            "dh0 stays zero (or None)", "dh0 = dh_prev of the first step", "what happens after the loop",
            "none, unless the initial state is learned or comes from another network",
        ),
        Mistake(
            "last-gradient-ignored", "recursion", "the gradient into the last state is ignored",
            "dnext_c (or dh of the last step) isn't used", "add it where the recursion starts", "the arguments of backward",
            "an encoder whose last state is used gets no gradient",
        ),
        # ---- linear algebra
        Mistake(
            "wh-untransposed", "linear algebra", "Wh stands where its transpose belongs",
            "dh_prev = da @ Wh", "dh_prev = da @ Wh.T", _PRODUCTS,
            "the gradient through time is scrambled, and still falls for a while",
        ),
        Mistake(
            "weights-exchanged", "linear algebra", "Wx and Wh are exchanged",
            "dx = da @ Wh.T", "dx = da @ Wx.T, dh_prev = da @ Wh.T", _PRODUCTS, "runs only where D = H, and learns nothing over time",
        ),
        Mistake(
            "dw-transposed", "linear algebra", "a weight gradient is transposed",
            "dWh = da.T @ h_prev", "dWh = h_prev.T @ da", _PRODUCTS, "the update moves other weights than it should",
        ),
        Mistake(
            "gate-order", "linear algebra", "the gates' blocks stand in another order in backward than in forward",
            "concatenate([da_i, da_f, da_g, da_o])", "the order in which forward slices a", "the order of the blocks",
            "each gate is taught another's lesson",
        ),
        Mistake(
            "reshape-for-transpose", "linear algebra", "reshape stands where a transpose belongs",
            "x.reshape(D, N)", "x.T; dh.transpose(1, 0, 2)", "every reshape", "entries land in wrong places; shapes are right",
        ),
        Mistake(
            "missing-reduction", "linear algebra", "a sum over a broadcast axis is missing",
            "the gradient keeps the axis over which the argument was broadcast", "sum over that axis",
            _SUMS, "a crash, or one sample's gradient for all",
        ),
        Mistake(
            "scores-unscaled", "batch and scale", "the factor 1/sqrt(D) of the scores is missing in backward",
            "dquery = ds @ keys", "dquery = ds @ keys / sqrt(D)", "what forward divides the scores by",
            "query and keys learn too fast, by a factor of sqrt(D)",
        ),
        # ---- GRU
        Mistake(
            "z-path-missing", "recursion", "the way past the gates, z * dh, is missing",
            "dh_prev = da @ Wh.T", "dh_prev = da @ Wh.T + dh * z", _CARRY, "the GRU can't remember",
        ),
        Mistake(
            "z-sign", "local derivative", "dz has n - h_prev for h_prev - n",
            "dz = dh * (n - h_prev)", "dz = dh * (h_prev - n)", "the line that makes dz", "the update gate learns backwards",
        ),
        Mistake(
            "n-weight", "local derivative", "(1 - z) is missing, or z stands for it, on the way to the candidate",
            "dn = dh", "dn = dh * (1 - z)", "the line that makes dn", "the candidate's gradient has a wrong size",
        ),
        Mistake(
            "r-input", "local derivative", "dr is made with h_prev instead of h_prev @ Wh_n + b_n",
            "dr = da_n * h_prev", "dr = da_n * (h_prev @ Wh_n + b_n)", "the line that makes dr", "the reset gate learns something else",
        ),
        Mistake(
            "n-reset", "local derivative", "r is missing where the candidate's gradient enters the recurrent side",
            "da_n for both sides", "da_n for Wx, da_n * r for Wh", "the n block of the recurrent side",
            "the recurrent weights of the candidate learn what the reset gate had hidden",
        ),
        # ---- state and precision
        Mistake(
            "changed-in-place", "state and precision", "arguments, the upstream or the cache are changed in place",
            "dh[:, t] += dh_next; c *= f", "dh_t = dh[:, t] + dh_next", "+=, *= and out= on arrays that came from outside",
            "right once, wrong when the caller uses the array again",
        ),
        Mistake(
            "one-buffer", "state and precision", "all cached states are one and the same buffer",
            "cache.append(c) of a c that is changed in place", "cache.append(c.copy()), or a new c at each step",
            "what is stored at each step, and what is changed in place",
            "wrong wherever the state changes from step to step",
        ),
        Mistake(
            "random", "state and precision", "randomness isn't frozen: two forwards differ",
            "a new dropout mask in every call", "draw the mask once, keep it in the cache, and pass a seed for the check",
            "calls of np.random", "none in training; but nothing can be checked",
        ),
        Mistake(
            "ints", "state and precision", "an array of integers holds gradients or states",
            "np.zeros(shape, dtype=int), np.zeros_like(tokens)", "floats", "dtypes of buffers", "everything is cut to whole numbers",
        ),
        Mistake(
            "float32-step", "state and precision", "float32 with a tiny step: the judge's rounding, not the gradient, is seen",
            "h = 1e-7 in float32", "float64, or h near the fifth root of the rounding error", "the checker's step",
            "none: the gradient may well be right",
        ),
        Mistake(
            "kink", "state and precision", "a kink lies within the step of the difference",
            "relu at 0", "leave these entries out, or move the inputs", "relu, abs, max, clip in forward",
            "none: the gradient may well be right",
        ),
        # ---- output and embedding
        Mistake(
            "softmax-jacobian", "output and embedding", "the softmax's derivative is applied twice, or not at all",
            "dx = p * (1 - p) * (p - 1{y}), or dx = p", "dx = p - 1{y}", "the line that makes dx from the probabilities",
            "the rows of dx don't sum to 0: logits drift",
        ),
        Mistake(
            "padding", "output and embedding", "padded steps get gradient",
            "dx without the mask", "dx * mask", "where the mask enters backward", "the network learns to predict padding",
        ),
        Mistake(
            "embedding-scatter", "output and embedding", "repeated tokens overwrite each other's gradient",
            "dW[x] = dout, dW[x] += dout", "np.add.at(dW, x, dout)", "how dout is added into dW",
            "frequent tokens learn from their last occurrence only",
        ),
    )
}  # fmt: skip


def variants(id: str, cell: str, gates: str, T: int) -> Iterator[Setting]:
    """The settings of the switches that are this mistake in this cell; none where it can't be made there."""
    build = _BUILD.get(id)
    if build is not None:
        yield from build(cell, gates, T)


def _slopes(option: str, letters: str, tanh_c: bool = False) -> Iterator[Setting]:
    """The same wrong derivative on one gate, on several, on all."""
    places = ["slope_" + letter for letter in letters] + (["tanh_c"] if tanh_c else [])
    for n in range(1, len(places) + 1):
        for some in combinations(places, n):
            yield dict.fromkeys(some, option)


def _sigmoids(gates: str) -> str:
    return "".join(letter for letter in gates if letter not in TANH)


def _tanhs(gates: str) -> str:
    return "".join(letter for letter in gates if letter in TANH)


def _mixed(option: str, cell: str, gates: str) -> Iterator[Setting]:
    """Of the tanh alone, of sigmoids alone, of everything."""
    yield from _slopes(option, gates, cell == "lstm")


def _exchanged(cell: str, gates: str, T: int) -> Iterator[Setting]:
    yield from _slopes("other", _tanhs(gates))
    if len(gates) > 1:
        yield from _slopes("other", _sigmoids(gates))
        yield dict.fromkeys(("slope_" + letter for letter in gates), "other")


def _carried(names: tuple[str, ...], option: Any) -> Iterator[Setting]:
    """With the initial state's gradient as the first step gives it, or left at zero."""
    base = dict.fromkeys(names, option)
    yield base
    yield {**base, "h0": "zero"}


def _h_dropped(cell: str, gates: str, T: int) -> Iterator[Setting]:
    yield from _carried(("carry_h",), "none")


def _never(cell: str, gates: str, T: int) -> Iterator[Setting]:
    yield from _carried(("carry_h", "carry_c") if cell == "lstm" else ("carry_h",), "none")


def _c_dropped(cell: str, gates: str, T: int) -> Iterator[Setting]:
    if cell == "lstm":
        yield {"carry_c": "none"}
        yield {"carry_c": "only carried"}
        yield {"dc_next": "ignored"}
        yield {"dc_next": "ignored", "carry_c": "only carried"}


def _truncated(cell: str, gates: str, T: int) -> Iterator[Setting]:
    carries = ("carry_h", "carry_c") if cell == "lstm" else ("carry_h",)
    for k in range(1, T):
        for origin in ("start", "end"):
            yield from _carried(carries, ("cut", k, origin))
            if cell == "lstm" and k > 1:
                yield {"carry_h": ("cut", k, origin)}
                yield {"carry_c": ("cut", k, origin)}
        yield {"window": k}
        yield from ({"steps": ("stop", k)}, {"steps": ("stop", k), "h0": "zero"})


def _overwritten(cell: str, gates: str, T: int) -> Iterator[Setting]:
    names = ("sum_x", "sum_h", "sum_b")
    for option in ("last", "first"):
        for some in chain.from_iterable(combinations(names, n) for n in (3, 2, 1)):
            yield dict.fromkeys(some, option)


def _by_gate(cell: str, gates: str, T: int) -> Iterator[Setting]:
    for letter in gates if len(gates) > 1 else "":
        yield {"blocks_x": letter, "blocks_h": letter}
        yield {"blocks_h": letter}
        yield {"blocks_x": letter}


def _gate_orders(cell: str, gates: str, T: int) -> Iterator[Setting]:
    for a, b in combinations(gates, 2):
        for at in ("both", "weights", "states"):
            yield {"order": {a: b, b: a}, **({} if at == "both" else {"order_at": at})}
    for some in combinations(gates, 3):
        for a, b, c in (some, some[::-1]):
            for at in ("both", "weights", "states"):
                yield {"order": {a: b, b: c, c: a}, **({} if at == "both" else {"order_at": at})}


def _reshaped(cell: str, gates: str, T: int) -> Iterator[Setting]:
    places = {"outer_x": "reshaped", "outer_h": "reshaped", "back_x": "reshaped", "back_h": "reshaped"}
    if cell == "rnn":  # Wh is square: its reshape is Wh itself, which is another mistake
        del places["back_h"]
    yield {"upstream": "reshaped"}
    for n in (2, 1):
        for some in combinations(places, n):
            yield {name: places[name] for name in some}


def _some(*settings: Setting, cell: str | None = None) -> Any:
    """Fixed settings, for one cell or for all."""
    return lambda c, gates, T: iter(settings if cell in (None, c) else ())


def _one_buffer(cell: str, gates: str, T: int) -> Iterator[Setting]:
    """Of sequences: in a single step it changes the arguments, which is seen elsewhere. Only the RNN reads h_t again."""
    for h, c in product(
        (None, "previous", "next", "both") if cell == "rnn" else (None, "previous"),
        (None, "previous", "both") if cell == "lstm" else (None,),
    ):
        setting = {name: value for name, value in (("buffer_h", h), ("buffer_c", c)) if value}
        if setting and T > 1:
            yield setting


def _forgotten(cell: str, gates: str, T: int) -> Iterator[Setting]:
    yield {"h0": "zero"}
    if cell == "lstm":
        yield from ({"c0": "zero"}, {"h0": "zero", "c0": "zero"})


def _ignored(cell: str, gates: str, T: int) -> Iterator[Setting]:
    yield {"upstream": "all but last"}
    if cell == "lstm":
        yield {"dc_next": "ignored"}


_BUILD: dict[str, Any] = {
    "bias-batch": _some({"bias": "rows"}, {"bias": "mean"}, {"bias": "first"}, {"bias": "last"}),
    "tanh-slope-missing": lambda c, gates, T: _slopes("missing", _tanhs(gates)),
    "sigmoid-slope-missing": lambda c, gates, T: _slopes("missing", _sigmoids(gates)),
    "slope-twice": lambda c, gates, T: _mixed("twice", c, gates),
    "slope-of-preactivation": lambda c, gates, T: _mixed("pre", c, gates),
    "slope-exchanged": _exchanged,
    "slope-unsquared": lambda c, gates, T: _mixed("unsquared", c, gates),
    "tanh-c-slope-missing": _some({"tanh_c": "missing"}, cell="lstm"),
    "o-missing-in-dc": _some({"o_in_dc": "missing"}, cell="lstm"),
    "h-to-c-missing": _some({"h_to_c": "missing"}, cell="lstm"),
    "f-input": _some({"f_input": "c"}, cell="lstm"),
    "o-input": _some({"o_input": "c"}, cell="lstm"),
    "c-carry-dropped": _c_dropped,
    "c-carry-without-f": _some({"carry_c": "no f"}, cell="lstm"),
    "h-carry-dropped": _h_dropped,
    "carries-never-assigned": _never,
    "upstream-dropped": _some({"upstream": "last"}, {"upstream": "first"}),
    "gates-overwritten": _by_gate,
    "weights-overwritten": _overwritten,
    "h-input": _some({"input_h": "next"}),
    "loop-misses-step": _some({"steps": "skip first"}, {"steps": "skip last"}, {"steps": "skip first", "h0": "zero"}),
    "loop-forward": _some({"steps": "forward"}, {"steps": "forward", "h0": "first"}),
    "one-cache": _some({"cache": "last"}, {"cache": "first"}, {"cache": "last", "cache_of": "gates"}),
    "truncated": _truncated,
    "initial-state-forgotten": _forgotten,
    "last-gradient-ignored": _ignored,
    "wh-untransposed": _some({"back_h": "untransposed"}),
    "weights-exchanged": _some({"back_x": "Wh", "back_h": "Wx"}, {"back_x": "Wh"}, {"back_h": "Wx"}),
    "gate-order": _gate_orders,
    "reshape-for-transpose": _reshaped,
    "z-path-missing": _some({"z_path": "missing"}, cell="gru"),
    "z-sign": _some({"z_sign": "turned"}, cell="gru"),
    "n-weight": _some({"n_weight": "missing"}, {"n_weight": "z"}, cell="gru"),
    "r-input": _some({"r_input": "h"}, cell="gru"),
    "n-reset": _some({"n_reset": "missing"}, {"n_reset": "states"}, {"n_reset": "weights"}, cell="gru"),
    "one-buffer": _one_buffer,
}  # fmt: skip
