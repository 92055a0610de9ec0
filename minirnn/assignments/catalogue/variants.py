"""The variants of the mistakes: the settings of the switches in `passes.py` that are a mistake of `mistakes.py`.

People make a mistake in more than one place: on one gate or on all, with or without the gradient of the initial state.
Each variant gives exactly the numbers that a student with this mistake gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, combinations, product
from typing import Any

from minirnn.assignments.catalogue.passes import TANH_GATES

Setting = dict[str, Any]  # switches that aren't None; `Switches(**setting)` checks the names and values
Builder = Callable[[str, str, int], Iterable[Setting]]


def variants(id: str, cell: str, gates: str, T: int) -> Iterator[Setting]:
    """Yield the variants of a mistake in a cell and T steps; none if the mistake isn't possible there."""
    yield from BUILDERS[id](cell, gates, T) if id in BUILDERS else ()


def _fixed(*settings: Setting, cell: str | None = None) -> Builder:
    """Return the builder of fixed settings, for one cell or for all."""
    return lambda in_cell, gates, T: settings if cell in (None, in_cell) else ()


def _subsets(places: Iterable[str], option: str, sizes: Iterable[int]) -> Iterator[Setting]:
    """Yield settings with the option in every combination of places of the given sizes."""
    places = list(places)
    return (dict.fromkeys(some, option) for n in sizes for some in combinations(places, n))


def _slopes(option: str, tanh: bool = True, sigmoid: bool = True, tanh_c: bool = True) -> Builder:
    """Return the builder of a wrong derivative on one gate, on several, or on all; tanh_c: also in tanh(c)."""

    def build(cell: str, gates: str, T: int) -> Iterator[Setting]:
        places = [f"slope_{gate}" for gate in gates if (tanh if gate in TANH_GATES else sigmoid)]
        places += ["tanh_c"] if tanh_c and cell == "lstm" else []
        return _subsets(places, option, range(1, len(places) + 1))

    return build


def _exchanged(cell: str, gates: str, T: int) -> Iterator[Setting]:
    yield from _slopes("other", sigmoid=False, tanh_c=False)(cell, gates, T)
    if cell != "rnn":
        yield from _slopes("other", tanh=False, tanh_c=False)(cell, gates, T)
        yield dict.fromkeys((f"slope_{gate}" for gate in gates), "other")


def _carries(cell: str) -> tuple[str, ...]:
    return ("carry_h", "carry_c") if cell == "lstm" else ("carry_h",)


def _without_dh0(setting: Setting) -> tuple[Setting, Setting]:
    """Return the setting with dh0 from the loop's last round, and with dh0 = 0."""
    return setting, {**setting, "h0": "zero"}


def _truncated(cell: str, gates: str, T: int) -> Iterator[Setting]:
    for k in range(1, T):
        for origin in ("start", "end"):
            cut = ("cut", k, origin)
            yield from _without_dh0(dict.fromkeys(_carries(cell), cut))
            if cell == "lstm" and k > 1:
                yield from ({"carry_h": cut}, {"carry_c": cut})
        yield from ({"window": k}, *_without_dh0({"steps": ("stop", k)}))


def _by_gate(cell: str, gates: str, T: int) -> Iterator[Setting]:
    for gate in gates if cell != "rnn" else "":
        yield from ({"blocks_x": gate, "blocks_h": gate}, {"blocks_h": gate}, {"blocks_x": gate})


def _gate_orders(cell: str, gates: str, T: int) -> Iterator[Setting]:
    cycles = chain(combinations(gates, 2), *((some, some[::-1]) for some in combinations(gates, 3)))
    places: tuple[Setting, ...] = ({}, {"order_at": "weights"}, {"order_at": "states"})
    return ({"order": cycle, **place} for cycle in cycles for place in places)


def _reshaped(cell: str, gates: str, T: int) -> Iterator[Setting]:
    # The RNN's Wh is square: Wh.reshape(H, H) is Wh itself, which is the mistake "wh-untransposed".
    places = ("outer_x", "outer_h", "back_x", *(("back_h",) if cell != "rnn" else ()))
    return chain([{"upstream": "reshaped"}], _subsets(places, "reshaped", (2, 1)))


def _one_buffer(cell: str, gates: str, T: int) -> Iterator[Setting]:
    """Yield the variants for sequences. In a single step, the buffer is an argument, which is another mistake."""
    for_h = ("previous", "next", "both") if cell == "rnn" else ("previous",)  # only the RNN's backward reads h_t
    for_c = ("previous", "both") if cell == "lstm" else ()
    for h, c in product((None, *for_h), (None, *for_c)):
        setting = {name: value for name, value in (("buffer_h", h), ("buffer_c", c)) if value}
        if setting and T > 1:
            yield setting


def _in_lstm(build: Iterable[Setting], lstm: Iterable[Setting]) -> Builder:
    """Return the builder of some settings for all cells, and more for the LSTM."""
    return lambda cell, gates, T: (*build, *(lstm if cell == "lstm" else ()))


BUILDERS: dict[str, Builder] = {
    "bias-batch": _fixed({"bias": "rows"}, {"bias": "mean"}, {"bias": "first"}, {"bias": "last"}),
    "tanh-slope-missing": _slopes("missing", sigmoid=False, tanh_c=False),
    "sigmoid-slope-missing": _slopes("missing", tanh=False, tanh_c=False),
    "slope-twice": _slopes("twice"),
    "slope-of-preactivation": _slopes("pre"),
    "slope-exchanged": _exchanged,
    "slope-unsquared": _slopes("unsquared"),
    "tanh-c-slope-missing": _fixed({"tanh_c": "missing"}, cell="lstm"),
    "o-missing-in-dc": _fixed({"o_in_dc": "missing"}, cell="lstm"),
    "h-to-c-missing": _fixed({"h_to_c": "missing"}, cell="lstm"),
    "f-input": _fixed({"f_input": "c"}, cell="lstm"),
    "o-input": _fixed({"o_input": "c"}, cell="lstm"),
    "c-carry-dropped": _fixed(
        {"carry_c": "none"},
        {"carry_c": "only carried"},
        {"dc_next": "ignored"},
        {"dc_next": "ignored", "carry_c": "only carried"},
        cell="lstm",
    ),
    "c-carry-without-f": _fixed({"carry_c": "no f"}, cell="lstm"),
    "h-carry-dropped": _fixed(*_without_dh0({"carry_h": "none"})),
    "carries-never-assigned": lambda cell, gates, T: _without_dh0(dict.fromkeys(_carries(cell), "none")),
    "upstream-dropped": _fixed({"upstream": "last"}, {"upstream": "first"}),
    "gates-overwritten": _by_gate,
    "weights-overwritten": lambda cell, gates, T: chain.from_iterable(
        _subsets(("sum_x", "sum_h", "sum_b"), option, (3, 2, 1)) for option in ("last", "first")
    ),
    "h-input": _fixed({"input_h": "next"}),
    "loop-misses-step": _fixed({"steps": "skip first"}, {"steps": "skip last"}, {"steps": "skip first", "h0": "zero"}),
    "loop-forward": _fixed({"steps": "forward"}, {"steps": "forward", "h0": "first"}),
    "one-cache": _fixed({"cache": "last"}, {"cache": "first"}, {"cache": "last", "cache_of": "gates"}),
    "truncated": _truncated,
    "initial-state-forgotten": _in_lstm([{"h0": "zero"}], [{"c0": "zero"}, {"h0": "zero", "c0": "zero"}]),
    "last-gradient-ignored": _in_lstm([{"upstream": "all but last"}], [{"dc_next": "ignored"}]),
    "wh-untransposed": _fixed({"back_h": "untransposed"}),
    "weights-exchanged": _fixed({"back_x": "Wh", "back_h": "Wx"}, {"back_x": "Wh"}, {"back_h": "Wx"}),
    "gate-order": _gate_orders,
    "reshape-for-transpose": _reshaped,
    "z-path-missing": _fixed({"z_path": "missing"}, cell="gru"),
    "z-sign": _fixed({"z_sign": "turned"}, cell="gru"),
    "n-weight": _fixed({"n_weight": "missing"}, {"n_weight": "z"}, cell="gru"),
    "r-input": _fixed({"r_input": "h"}, cell="gru"),
    "n-reset": _fixed({"n_reset": "missing"}, {"n_reset": "states"}, {"n_reset": "weights"}, cell="gru"),
    "one-buffer": _one_buffer,
}
