"""Students' files with one mistake each: textual edits of correct files in three styles, and the places of the errors.

The edits are written by hand for each style and do not depend on how the check looks for mistakes. `base` and `one` list
the places where the check must find the mistake, derived on paper: `base` on the base problem (N 2, T 4, D 3, H 5; h0
random, c0 zero), `one` for T = 1. A place is a list of words: `dx:xxx.` (steps 0 to 3, x wrong), `dh0`, `dWx:ifg` (blocks). In the LSTM c0 is
zero, so that the forget gate's block is zero, and therefore right, at step 0.
"""

from __future__ import annotations

import functools
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))  # for `tests`, if only the folder of benchmarks is on the path

from tests.planting import replaced  # noqa: E402

STYLES = ("fused", "separate", "stacked")
FOLDER = Path(__file__).parent / "styles"
GATES = {"rnn": "h", "lstm": "ifog", "gru": "rzn"}  # in the order of CS231n, which the students' files have


@dataclass(frozen=True)
class Mutant:
    """One wrong file. `also` lists mistakes that give the same function, so that their names are correct as well."""

    mistake: str
    variant: str
    cell: str
    style: str
    source: str
    base: dict[str, str]
    one: dict[str, str]
    also: tuple[str, ...] = ()
    task: str = ""
    kind: str = "numbers"  # or "state": an error outside the numbers, on the tensors or arguments that `base` names
    edits: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return f"{self.mistake}{'/' + self.variant if self.variant else ''} {self.cell} {self.style}"


@functools.cache
def source(style: str) -> str:
    """Return the text of the correct file."""
    return (FOLDER / f"{style}.py").read_text(encoding="utf-8")


def edited(style: str, cell: str, edits: list[tuple[str, str]]) -> str:
    """Return the file with each edit made in the section of the cell. ValueError if the text of an edit does not occur."""
    text = source(style)
    start = text.index(f"# ---- {cell}\n")
    end = text.find("# ---- ", start + 5)
    end = len(text) if end < 0 else end
    section = text[start:end]
    for old, new in edits:
        section = replaced(section, old, new, where=f"{style} {cell}")
    return text[:start] + section + text[end:]


def place(words: str, cell: str) -> dict[str, str]:
    """Return the places that some words describe: "all", "exact", or words such as "dx:xxx. dh0 W:ifg".

    W stands for dWx, dWh and the biases, and * for all blocks.
    """
    gates = GATES[cell]
    biases = ["dbx", "dbh"] if cell == "gru" else ["db"]
    words = {"all": "dx:xxxx dh0 W:*", "all1": "dx:x dh0 W:*", "exact": "", "carry": "dx:xxx. dh0 W:*"}.get(words, words)
    found: dict[str, str] = {}
    for word in words.split():
        name, _, blocks = word.partition(":")
        blocks = gates if blocks == "*" else blocks
        names = {"W": ["dWx", "dWh", *biases], "b": biases}.get(name, [name])
        for tensor in names:
            found[tensor] = "" if tensor in ("dh0", "dprev_h", "dprev_c") else blocks
    return found


MUTANTS: list[Mutant] = []


def add(mistake: str, cell: str, base: str, one: str, also: Any = (), variant: Any = "", kind: Any = "numbers", task: Any = "", **edits: Any) -> None:
    """Add a mutant in each style that has edits."""
    for style, changes in edits.items():
        text = edited(style, cell, changes)
        also_named = tuple(also.split()) if isinstance(also, str) else also
        MUTANTS.append(
            Mutant(mistake, variant, cell, style, text, place(base, cell), place(one, cell), also_named, task or cell, kind, tuple(changes))
        )


CELLS = ("rnn", "lstm", "gru")
# the places for T = 1; in the LSTM, f is zero there
LOOP = {"fused": "reversed(range(T))", "separate": "range(T - 1, -1, -1)", "stacked": "reversed(range(T))"}
END = {
    ("fused", "rnn"): "return dx, dh0, dWx, dWh, db\n", ("separate", "rnn"): "return dx, dh_next, dWx, dWh, db",
    ("fused", "lstm"): "return dx, dh0, dWx, dWh, db\n", ("separate", "lstm"): "return dx, dh_next, dWx, dWh, db",
    ("fused", "gru"): "return dx, dh0, dWx, dWh, dbx, dbh", ("separate", "gru"): "return dx, dh_next, dWx, dWh, dbx, dbh",
    ("stacked", "rnn"): "return dxs.transpose(1, 0, 2), flow, dW[:D], dW[D:], db",
    ("stacked", "lstm"): "return dxs.transpose(1, 0, 2), flow, dW[:D], dW[D:], db",
    ("stacked", "gru"): "return dxs.transpose(1, 0, 2), flow, dWx, dWh, dbx, dbh",
}  # fmt: skip
LINE = {key: re.sub(r"^return ", "", line).strip() for key, line in END.items()}


def results(style: str, cell: str, change: Any) -> list[tuple[str, str]]:
    """Return an edit of the last line that applies `change` to the expression of each result."""
    parts = re.split(r", (?![^(]*\))", LINE[style, cell])
    return [(END[style, cell].strip(), "return " + ", ".join(change(n, part) for n, part in enumerate(parts)))]


ALL_ONE = {"rnn": "all1", "lstm": "dx:x dh0 W:iog", "gru": "all1"}

# ---- batch and scale -------------------------------------------------------------------------------------------------

for cell in CELLS:
    one_b = {"rnn": "b:*", "lstm": "b:iog", "gru": "b:*"}[cell]
    two = cell == "gru"
    add("bias-batch", cell, "b:*", one_b, "missing-reduction batch-scale", "mean",
        fused=[(".sum(axis=0)", ".mean(axis=0)")],
        separate=[("np.sum(zh, axis=0)", "np.mean(zh, axis=0)")] if cell == "rnn" else [(".sum(0)", ".mean(0)")],
        stacked=[('np.einsum("nk->k", left)', "left.mean(0)"), ('np.einsum("nk->k", right)', "right.mean(0)")] if two
        else [('np.einsum("nk->k", du)', "du.mean(0)")])
    add("bias-batch", cell, "b:*", "b:*", "missing-reduction", "rows",
        stacked=[('dbx += np.einsum("nk->k", left)', "dbx = dbx + left"), ('dbh += np.einsum("nk->k", right)', "dbh = dbh + right")] if two
        else [('db += np.einsum("nk->k", du)', "db = db + du")])
    add("bias-batch", cell, "b:*", one_b, "", "one row",
        fused=[("da.sum(axis=0)", "da[0]")] if not two else [("dax.sum(axis=0)", "dax[0]"), ("dah.sum(axis=0)", "dah[0]")])
    for style in STYLES:
        for variant, text, mistake in (("1/N", "({}) / N", "batch-scale"), ("N", "({}) * N", "batch-scale"),
                                       ("1/T", "({}) / T", "time-scale"), ("T", "T * ({})", "time-scale"),
                                       ("all", "-({})", "sign")):
            one = "exact" if mistake == "time-scale" else ALL_ONE[cell]
            add(mistake, cell, "all", one, "", variant, **{style: results(style, cell, lambda n, part, text=text: text.format(part))})
        add("sign", cell, "W:*", {"lstm": "W:iog"}.get(cell, "W:*"), "", "weights",
            **{style: results(style, cell, lambda n, part: f"-({part})" if n > 1 else part)})
        add("sign", cell, "dx:xxxx", "dx:x", "", "dx", **{style: results(style, cell, lambda n, part: f"-({part})" if n == 0 else part)})
        add("clipped", cell, "all", "exact", "", "value",
            **{style: results(style, cell, lambda n, part: f"np.clip({part}, -10, 10)")})
        add("clipped", cell, "all", "exact", "", "norm",
            **{style: results(style, cell, lambda n, part: f"({part}) * min(1.0, 40.0 / np.linalg.norm({part}))")})

_KEPT = "_kept = {}\ndef kept(name, value):\n    _kept[name] = _kept.get(name, 0) + value\n    return _kept[name].copy()\n\n\n"
for cell in CELLS:
    for style in STYLES:
        text = edited(style, cell, results(style, cell, lambda n, part, cell=cell: f"kept('{cell}{n}', {part})" if n > 1 else part))
        MUTANTS.append(Mutant("accumulated", "", cell, style, text.replace("# ---- rnn", _KEPT + "# ---- rnn"),
                              place("W:*", cell), {}, (), cell, "state"))

# ---- local derivatives -----------------------------------------------------------------------------------------------

add("tanh-slope-missing", "rnn", "all", "all1",
    fused=[("dnext_h * (1 - next_h ** 2)", "dnext_h")], separate=[("dht * (1 - h * h)", "dht * 1.0")],
    stacked=[("total * (1 - s[\"now\"] ** 2)", "total.copy()")])
add("tanh-slope-missing", "lstm", "all", "dx:x dh0 W:g",
    fused=[("dg * (1 - g ** 2)", "dg")], separate=[("dc * i * (1 - g * g)", "dc * i")], stacked=[("dcell * i * (1 - g ** 2)", "dcell * i")])
add("tanh-slope-missing", "gru", "all", "dx:x dh0 W:rn",
    fused=[("dn * (1 - n ** 2)", "dn")], separate=[("(1 - z) * (1 - n * n)", "(1 - z)")], stacked=[("(1 - z) * (1 - n ** 2)", "(1 - z)")])
for k, (gate, fused) in enumerate((("i", "di * i * (1 - i)"), ("f", "df * f * (1 - f)"), ("o", "do * o * (1 - o)"))):
    add("sigmoid-slope-missing", "lstm", "all", "exact" if gate == "f" else f"dx:x dh0 W:{gate}", "", gate,
        fused=[(fused, "d" + gate)], separate=[(f" * {gate} * (1 - {gate})\n", "\n")], stacked=[(f" * {gate} * (1 - {gate})\n", "\n")])
for gate in "rz":
    add("sigmoid-slope-missing", "gru", "all", f"dx:x dh0 W:{gate}", "", gate,
        fused=[(f"d{gate} * {gate} * (1 - {gate})", f"d{gate}")], separate=[(f" * {gate} * (1 - {gate})\n", "\n")], stacked=[(f" * {gate} * (1 - {gate})\n", "\n")])

add("slope-twice", "rnn", "all", "all1",
    fused=[("1 - next_h ** 2", "1 - np.tanh(next_h) ** 2")], separate=[("(1 - h * h)", "(1 - np.tanh(h) ** 2)")],
    stacked=[('1 - s["now"] ** 2', '1 - np.tanh(s["now"]) ** 2')])
add("slope-twice", "lstm", "all", "dx:x dh0 W:iog", "", "all gates",
    fused=[(f"{q} * (1 - {q})", f"sigmoid({q}) * (1 - sigmoid({q}))") for q in "ifo"] + [("1 - g ** 2", "1 - np.tanh(g) ** 2")],
    separate=[(f"{q} * (1 - {q})", f"sig({q}) * (1 - sig({q}))") for q in "ifo"] + [("1 - g * g", "1 - np.tanh(g) ** 2")],
    stacked=[(f"{q} * (1 - {q})", f"logistic({q}) * (1 - logistic({q}))") for q in "ifo"] + [("1 - g ** 2", "1 - np.tanh(g) ** 2")])
add("slope-twice", "lstm", "all", "dx:x dh0 W:g", "", "g",
    fused=[("1 - g ** 2", "1 - np.tanh(g) ** 2")], separate=[("1 - g * g", "1 - np.tanh(g) ** 2")], stacked=[("1 - g ** 2", "1 - np.tanh(g) ** 2")])
add("slope-twice", "lstm", "all", "dx:x dh0 W:ig", "", "tanh c",
    fused=[("1 - tanh_c ** 2", "1 - np.tanh(tanh_c) ** 2")], separate=[("1 - tc * tc", "1 - np.tanh(tc) ** 2")], stacked=[("1 - th ** 2", "1 - np.tanh(th) ** 2")])
add("slope-twice", "gru", "all", "all1", "", "all gates",
    fused=[(f"{q} * (1 - {q})", f"sigmoid({q}) * (1 - sigmoid({q}))") for q in "rz"] + [("1 - n ** 2", "1 - np.tanh(n) ** 2")],
    separate=[(f"{q} * (1 - {q})\n", f"sig({q}) * (1 - sig({q}))\n") for q in "rz"] + [("1 - n * n", "1 - np.tanh(n) ** 2")],
    stacked=[(f"{q} * (1 - {q})\n", f"logistic({q}) * (1 - logistic({q}))\n") for q in "rz"] + [("1 - n ** 2", "1 - np.tanh(n) ** 2")])

add("slope-of-preactivation", "rnn", "all", "all1",
    fused=[("1 - next_h ** 2", "1 - a ** 2")], separate=[("(1 - h * h)", "(1 - A[:, t] ** 2)")], stacked=[('1 - s["now"] ** 2', '1 - s["u"] ** 2')])
add("slope-of-preactivation", "lstm", "all", "dx:x dh0 W:iog", "", "all gates",
    fused=[(f"{q} * (1 - {q})", f"a{q} * (1 - a{q})") for q in "ifo"] + [("1 - g ** 2", "1 - ag ** 2")],
    separate=[(f"{q} * (1 - {q})", f"a{q} * (1 - a{q})") for q in "ifo"] + [("1 - g * g", "1 - ag ** 2")],
    stacked=[(f"{q} * (1 - {q})", f"u[:, {k}] * (1 - u[:, {k}])") for k, q in enumerate("ifo")] + [("1 - g ** 2", "1 - u[:, 3] ** 2")])
add("slope-of-preactivation", "lstm", "all", "dx:x dh0 W:ig", "", "c",
    fused=[("1 - tanh_c ** 2", "1 - next_c ** 2")], separate=[("1 - tc * tc", "1 - c * c")], stacked=[("1 - th ** 2", "1 - new ** 2")])
add("slope-of-preactivation", "lstm", "all", "dx:x dh0 W:o", "", "o",
    fused=[("o * (1 - o)", "ao * (1 - ao)")], separate=[("o * (1 - o)", "ao * (1 - ao)")], stacked=[("o * (1 - o)", "u[:, 2] * (1 - u[:, 2])")])
add("slope-of-preactivation", "gru", "all", "dx:x dh0 W:rn", "", "n",
    fused=[("1 - n ** 2", "1 - an ** 2")], separate=[("1 - n * n", "1 - an * an")], stacked=[("1 - n ** 2", "1 - un ** 2")])

add("slope-exchanged", "rnn", "all", "all1",
    fused=[("1 - next_h ** 2", "next_h * (1 - next_h)")], separate=[("(1 - h * h)", "h * (1 - h)")], stacked=[('(1 - s["now"] ** 2)', 's["now"] * (1 - s["now"])')])
add("slope-exchanged", "lstm", "all", "dx:x dh0 W:g", "", "g",
    fused=[("dg * (1 - g ** 2)", "dg * g * (1 - g)")], separate=[("(1 - g * g)", "g * (1 - g)")], stacked=[("(1 - g ** 2)", "g * (1 - g)")])
add("slope-exchanged", "lstm", "all", "dx:x dh0 W:o", "", "o",
    fused=[("o * (1 - o)", "(1 - o ** 2)")], separate=[("o * (1 - o)", "(1 - o ** 2)")], stacked=[("o * (1 - o)", "(1 - o ** 2)")])
add("slope-exchanged", "gru", "all", "dx:x dh0 W:z", "", "z",
    fused=[("z * (1 - z)", "(1 - z ** 2)")], separate=[(" * z * (1 - z)\n", " * (1 - z * z)\n")], stacked=[(" * z * (1 - z)\n", " * (1 - z * z)\n")])

add("tanh-c-slope-missing", "lstm", "all", "dx:x dh0 W:ig",
    fused=[(" * o * (1 - tanh_c ** 2)", " * o")], separate=[(" * o * (1 - tc * tc)", " * o")], stacked=[(" * o * (1 - th ** 2)", " * o")])
add("o-missing-in-dc", "lstm", "all", "dx:x dh0 W:ig",
    fused=[(" * o * (1 - tanh_c ** 2)", " * (1 - tanh_c ** 2)")], separate=[(" * o * (1 - tc * tc)", " * (1 - tc * tc)")],
    stacked=[(" * o * (1 - th ** 2)", " * (1 - th ** 2)")])
add("h-to-c-missing", "lstm", "all", "dx:x dh0 W:ig",
    fused=[("dc = dnext_c + dnext_h * o * (1 - tanh_c ** 2)", "dc = dnext_c")], separate=[("dc = dc_next + dht * o * (1 - tc * tc)", "dc = dc_next")],
    stacked=[("dcell = total * o * (1 - th ** 2)", "dcell = 0")])
add("f-input", "lstm", "all", "dx:x dh0 W:f",
    fused=[("df = dc * prev_c", "df = dc * next_c")], separate=[("zf = dc * c_prev", "zf = dc * c")], stacked=[("dcell * old", "dcell * new")])
add("o-input", "lstm", "all", "dx:x dh0 W:o",
    fused=[("do = dnext_h * tanh_c", "do = dnext_h * next_c")], separate=[("zo = dht * tc", "zo = dht * c")], stacked=[("total * th * o", "total * new * o")])

# ---- recursion -------------------------------------------------------------------------------------------------------

add("c-carry-dropped", "lstm", "carry", "exact",
    fused=[("dh[:, t] + dprev_h, dprev_c, cache[t]", "dh[:, t] + dprev_h, np.zeros((N, H)), cache[t]")],
    separate=[("dc = dc_next + dht", "dc = dht")], stacked=[("        dcell = dcell + memory\n", "")])
add("c-carry-without-f", "lstm", "carry", "exact",
    fused=[("dprev_c = dc * f", "dprev_c = dc")], separate=[("dc_next = dc * f", "dc_next = dc")], stacked=[("memory = dcell * f", "memory = dcell")])
for cell in CELLS:
    same = "carries-never-assigned truncated" if cell != "lstm" else "truncated"
    add("h-carry-dropped", cell, "carry", "exact", same,
        fused=[("dh[:, t] + dprev_h", "dh[:, t]")], separate=[("dht = dh[:, t] + dh_next", "dht = dh[:, t]")],
        stacked=[("total = up[t] + flow", "total = up[t]")])
    same = "h-carry-dropped truncated c-carry-dropped"
    lstm = cell == "lstm"
    add("carries-never-assigned", cell, "carry", "dh0", same, "dh0 zero",
        fused=[("dx[:, t], dprev_h, dprev_c, dWx_t" if lstm else "dx[:, t], dprev_h, dWx_t",
                "dx[:, t], _h, _c, dWx_t" if lstm else "dx[:, t], _h, dWx_t")],
        separate=[("        dh_next = dhp\n" + ("        dc_next = dc * f\n" if lstm else ""), "")] if cell != "rnn" else [("dh_next = zh @ Wh.T", "dh_prev = zh @ Wh.T")],
        stacked=[("memory = dcell * f", "dprev_c = dcell * f"), ("flow = dz[:, D:]", "dprev = dz[:, D:]")] if lstm else
        [("flow = dz[:, D:]", "dprev = dz[:, D:]")] if cell == "rnn" else [("flow = np.einsum", "dprev = np.einsum"), ("flow += total", "dprev += total")])
    add("upstream-dropped", cell, "carry", "exact", "", "last only",
        fused=[("dprev_h = np.zeros((N, H))\n" if not lstm else "dprev_h, dprev_c = np.zeros((N, H)), np.zeros((N, H))\n",
                "dprev_h = dh[:, -1].copy()\n" if not lstm else "dprev_h, dprev_c = dh[:, -1].copy(), np.zeros((N, H))\n"),
               ("dh[:, t] + dprev_h", "dprev_h")],
        separate=[("dh_next = np.zeros((N, H))", "dh_next = dh[:, T - 1]"), ("dht = dh[:, t] + dh_next", "dht = dh_next")],
        stacked=[("flow = np.zeros((N, H))", "flow = up[-1]"), ("total = up[t] + flow", "total = flow")])
    one_w = {"lstm": "dx:x dh0 W:iog"}.get(cell, "all1")
    for style in STYLES:
        loop = LOOP[style]
        # the first step is missed: dx there is zero, dh0 is one step early, the weights lack its share (f's is zero)
        first = {"lstm": "dx:x... dh0 W:iog"}.get(cell, "dx:x... dh0 W:*")
        add("loop-misses-step", cell, first, one_w, "", "first", **{style: [(loop, "range(T - 1, 0, -1)")]})
        add("loop-misses-step", cell, "all", one_w, "last-gradient-ignored", "last", **{style: [(loop, "range(T - 2, -1, -1)")]})
        add("loop-forward", cell, "all", "exact", "", **{style: [(f"for t in {loop}", "for t in range(T)")]})
    add("one-cache", cell, "carry", "exact", "", "last",
        fused=[("cache[t])", "cache[-1])")],
        stacked=[("s = tape[t]", "s = tape[-1]")])
    add("one-cache", cell, "all", "exact", "", "first",
        fused=[("cache[t])", "cache[0])")], stacked=[("s = tape[t]", "s = tape[0]")])
    add("truncated", cell, "dx:xx.. dh0 W:*", "exact", "", "stop after 2",
        fused=[("in reversed(range(T))", "in reversed(range(max(0, T - 2), T))")],
        separate=[("range(T - 1, -1, -1)", "range(T - 1, max(-1, T - 3), -1)")],
        stacked=[("in reversed(range(T))", "in list(reversed(range(T)))[:2]")])
    cut = "        if t % 3 == 0:\n            {} = np.zeros((N, H)){}\n"
    # every third step: nothing passes from step 3 to step 2
    add("truncated", cell, "carry", "dh0", "", "every 3 from the start",
        fused=[("        dWx += dWx_t\n", cut.format("dprev_h", "\n            dprev_c = dprev_h" if lstm else "") + "        dWx += dWx_t\n")],
        stacked=[("        flow = dz[:, D:]\n", "        flow = dz[:, D:]\n" + cut.format("flow", "\n            memory = flow" if lstm else ""))] if cell != "gru"
        else [("        flow += total * z\n", "        flow += total * z\n" + cut.format("flow", ""))])
    # three steps back from the end: nothing passes from step 1 to step 0, where the LSTM's f is zero
    add("truncated", cell, {"lstm": "dx:x... dh0 W:iog"}.get(cell, "dx:x... dh0 W:*"), "exact", "", "after 3 from the end",
        fused=[("    for t in reversed(range(T)):\n", "    for t in reversed(range(T)):\n        if (T - 1 - t) % 3 == 0:\n            dprev_h = np.zeros((N, H))\n" + ("            dprev_c = dprev_h\n" if lstm else ""))])
    add("initial-state-forgotten", cell, "dh0", "dh0", "", "zero",
        fused=[("    dh0 = dprev_h\n", "")], separate=[("return dx, dh_next,", "return dx, np.zeros((N, H)),")],
        stacked=[("(1, 0, 2), flow,", "(1, 0, 2), np.zeros((N, H)),")])
    add("initial-state-forgotten", cell, "dh0", "dh0", "", "None",
        separate=[("return dx, dh_next,", "return dx, None,")], stacked=[("(1, 0, 2), flow,", "(1, 0, 2), None,")])
    add("last-gradient-ignored", cell, "all", one_w, "loop-misses-step", "dh of the last step",
        fused=[("    dh0 = np.zeros((N, H))\n", "    dh = dh.copy()\n    dh[:, -1] = 0\n    dh0 = np.zeros((N, H))\n")],
        separate=[("        dht = dh[:, t] + dh_next\n", "        dht = dh[:, t] + dh_next if t < T - 1 else dh_next\n")],
        stacked=[("total = up[t] + flow", "total = up[t] * (t + 1 < T) + flow")])

    one_h = {"lstm": "dWh:iog"}.get(cell, "dWh:*")
    add("h-input", cell, "dWh:*", one_h, "",
        fused=[("prev_h.T.dot", "next_h.T.dot")], separate=[("h_prev.T @", "h.T @")],
        stacked=[('z = s["z"]', 'z = np.hstack([s["z"][:, :D], s["now"]])')] if cell != "gru" else [('"nh,nk->hk", past', '"nh,nk->hk", now')])
    names = {"gru": ["dWx", "dWh", "dbx", "dbh"]}.get(cell, ["dWx", "dWh", "db"])
    add("weights-overwritten", cell, "W:*", "exact", "", "all",
        fused=[(f"{name} += {name}_t", f"{name} = {name}_t") for name in names],
        separate=[(" += xt.T", " = xt.T"), (" += h_prev.T", " = h_prev.T"), (".sum(0)", ".sum(0) ")] + [(f"db{q} += ", f"db{q} = ") for q in (GATES[cell] + ("hn" if cell == "gru" else ""))][: len(GATES[cell])] + ([("dbhn += ", "dbhn = ")] if cell == "gru" else [])
        if cell != "rnn" else [("dWx += ", "dWx = "), ("dWh += ", "dWh = "), ("db += ", "db = ")],
        stacked=[("dW += ", "dW = "), ("db += ", "db = ")] if cell != "gru" else [(f"{name} += ", f"{name} = ") for name in names])
    add("weights-overwritten", cell, "dWh:*", "exact", "", "dWh",
        fused=[("dWh += dWh_t", "dWh = dWh_t")], separate=[("dWh += ", "dWh = ")] if cell == "rnn" else [(f"dWh{q} += ", f"dWh{q} = ") for q in GATES[cell]])

for cell, gates in (("lstm", "ifog"), ("gru", "rzn")):
    last = {"lstm": ("dhp += zf @ Whf.T", "dhp += zo @ Who.T", "dhp += zg @ Whg.T"), "gru": ("dhp += zr @ Whr.T", "dhp += zz @ Whz.T")}[cell]
    lastx = {"lstm": ("dxt += zf @ Wxf.T", "dxt += zo @ Wxo.T", "dxt += zg @ Wxg.T"), "gru": ("dxt += zz @ Wxz.T", "dxt += zn @ Wxn.T")}[cell]
    if cell == "lstm":
        add("gates-overwritten", cell, "carry", "dh0", "", "dh_prev", separate=[(line, line.replace("+=", "=")) for line in last])
        add("gates-overwritten", cell, "all", "dx:x dh0", "", "both", separate=[(line, line.replace("+=", "=")) for line in (*last, *lastx)])
    add("gates-overwritten", cell, "dx:xxxx", "dx:x", "", "dx", separate=[(line, line.replace("+=", "=")) for line in lastx])

# ---- linear algebra --------------------------------------------------------------------------------------------------

add("wh-untransposed", "rnn", "carry", "dh0", fused=[("da.dot(Wh.T)", "da.dot(Wh)")], separate=[("zh @ Wh.T", "zh @ Wh")],
    stacked=[("flow = dz[:, D:]", "flow = du @ Wh")])
add("wh-untransposed", "lstm", "carry", "dh0", separate=[(f"@ Wh{q}.T", f"@ Wh{q}") for q in "ifog"])
add("wh-untransposed", "gru", "carry", "dh0", separate=[(f"@ Wh{q}.T", f"@ Wh{q}") for q in "rzn"])
for cell in CELLS:
    right = "dah" if cell == "gru" else "da"
    left = "dax" if cell == "gru" else "da"
    one = {"rnn": "dx:x dh0"}.get(cell, "dx:x dh0")
    add("weights-exchanged", cell, "all", one, "", "both",
        fused=[(f"dx = {left}.dot(Wx.T)", f"dx = {left}.dot(Wh.T)"), (f"{right}.dot(Wh.T)" + (" + " if cell == "gru" else "\n"), f"{right}.dot(Wx.T)" + (" + " if cell == "gru" else "\n"))]
        if cell == "gru" else [("dx = da.dot(Wx.T)", "dx = da.dot(Wh.T)"), ("dprev_h = da.dot(Wh.T)", "dprev_h = da.dot(Wx.T)")])
    add("weights-exchanged", cell, "dx:xxxx", "dx:x", "", "dx",
        separate=[("zh @ Wx.T", "zh @ Wh.T")] if cell == "rnn" else [(f"@ Wx{q}.T", f"@ Wh{q}.T") for q in GATES[cell]],
        stacked=[("dxs[t] = dz[:, :D]", "dxs[t] = dz[:, D:]")] if cell != "gru" else [("left, Wx)", "left, Wh)")])
    square = {"lstm": "dWh:iog"}.get(cell, "dWh:*")
    if cell == "rnn":
        add("dw-transposed", cell, "dWh:*", "dWh:*", fused=[("prev_h.T.dot(da)", "da.T.dot(prev_h)")], separate=[("h_prev.T @ zh", "zh.T @ h_prev")],
            stacked=[("dW[D:], db", "dW[D:].T, db")])
    else:
        add("dw-transposed", cell, "dWh:*", square, "", "blocks",
            separate=[(f"h_prev.T @ z{q}\n", f"z{q}.T @ h_prev\n") for q in (GATES[cell] if cell == "lstm" else "rz")] + ([("h_prev.T @ znr", "znr.T @ h_prev")] if cell == "gru" else []))
        add("dw-transposed", cell, "dWh:*", "dWh:*", "", "whole", fused=[("dWh, db", "dWh.T, db")] if False else results("fused", cell, lambda n, part: part + ".T" if n == 3 else part),
            stacked=results("stacked", cell, lambda n, part: part + ".T" if n == 3 else part))
    add("dw-transposed", cell, "dWx:*", "dWx:*", "", "dWx", **{style: results(style, cell, lambda n, part: part + ".T" if n == 2 else part) for style in STYLES})
add("gate-order", "lstm", "all", "dx:x dh0 W:og", "", "o and g",
    fused=[("(dai, daf, dao, dag)", "(dai, daf, dag, dao)")], stacked=[("du[:, 2] =", "du[:, 9] ="), ("du[:, 3] =", "du[:, 2] ="), ("du[:, 9] =", "du[:, 3] =")])
add("gate-order", "lstm", "W:og", "W:og", "", "o and g, results", separate=[("o, dWxg]", "g, dWxo]"), ("o, dWhg]", "g, dWho]"), ("dbo, dbg]", "dbg, dbo]")] if False else
    [("[dWxi, dWxf, dWxo, dWxg]", "[dWxi, dWxf, dWxg, dWxo]"), ("[dWhi, dWhf, dWho, dWhg]", "[dWhi, dWhf, dWhg, dWho]"), ("[dbi, dbf, dbo, dbg]", "[dbi, dbf, dbg, dbo]")])
add("gate-order", "gru", "all", "dx:x dh0 W:rz", "", "r and z",
    fused=[("(dar, daz, dan)", "(daz, dar, dan)"), ("(dar, daz, dan * r)", "(daz, dar, dan * r)")],
    stacked=[("[dr, dz, dn]", "[dz, dr, dn]"), ("[dr, dz, dn * r]", "[dz, dr, dn * r]")])
add("gate-order", "gru", "W:rz", "W:rz", "", "r and z, results",
    separate=[("[dWxr, dWxz,", "[dWxz, dWxr,"), ("[dWhr, dWhz,", "[dWhz, dWhr,"), ("[dbr, dbz, dbn]", "[dbz, dbr, dbn]"), ("[dbr, dbz, dbhn]", "[dbz, dbr, dbhn]")])
for cell in CELLS:
    square = {"lstm": "dWx:iog"}.get(cell, "dWx:*")
    da = "dax" if cell == "gru" else "da"
    add("reshape-for-transpose", cell, "dWx:*", square, "", "x",
        fused=[(f"x.T.dot({da})", f"x.reshape(x.shape[1], x.shape[0]).dot({da})")],
        separate=[("x[:, t].T @", "x[:, t].reshape(D, N) @")] if cell == "rnn" else [("xt.T @", "xt.reshape(D, N) @")])
    add("reshape-for-transpose", cell, "all", "exact", "", "upstream", stacked=[("up = dh.transpose(1, 0, 2)", "up = dh.reshape(dh.shape[1], dh.shape[0], -1)")])
    add("reshape-for-transpose", cell, "dx:xxxx", "dx:x", "", "Wx", fused=[(f"{da}.dot(Wx.T)", f"{da}.dot(Wx.reshape(-1, x.shape[1]))")],
        **({"separate": [("zh @ Wx.T", "zh @ Wx.reshape(H, D)")]} if cell == "rnn" else {}))
    add("reshape-for-transpose", cell, "carry", "dh0", "wh-untransposed" if cell == "rnn" else "", "Wh", fused=[(("dah" if cell == "gru" else "da") + ".dot(Wh.T)", ("dah" if cell == "gru" else "da") + ".dot(Wh.reshape(-1, prev_h.shape[1]))")])
    add("missing-reduction", cell, "dWx:*", "dWx:*", "", "samples kept",
        stacked=[('dWx, dWh = np.zeros(Wx.shape), np.zeros(Wh.shape)', 'dWx, dWh = 0, np.zeros(Wh.shape)'), ('dWx += np.einsum("nd,nk->dk", s["x"], left)', 'dWx = dWx + np.einsum("nd,nk->ndk", s["x"], left)')] if cell == "gru"
        else [("dW = np.zeros(W.shape)", "dW = np.zeros(W.shape)\n    dA = 0"), ('        z = s["z"]\n', '        z = s["z"]\n        dA = dA + z[:, :D, None] * du[:, None]\n'), ("dW[:D], dW[D:]", "dA, dW[D:]")])

# ---- GRU -------------------------------------------------------------------------------------------------------------

add("z-path-missing", "gru", "carry", "dh0", fused=[(" + dnext_h * z", "")], separate=[("dhp = dht * z", "dhp = 0 * dht")], stacked=[("        flow += total * z\n", "")])
add("z-sign", "gru", "all", "dx:x dh0 W:z", fused=[("(prev_h - n)", "(n - prev_h)")], separate=[("(h_prev - n)", "(n - h_prev)")], stacked=[("total * (past - n)", "total * (n - past)")])
add("n-weight", "gru", "all", "dx:x dh0 W:rn", "", "missing", fused=[("dn = dnext_h * (1 - z)", "dn = dnext_h")], separate=[("zn = dht * (1 - z) *", "zn = dht *")],
    stacked=[("dn = total * (1 - z) *", "dn = total *")])
add("n-weight", "gru", "all", "dx:x dh0 W:rn", "", "z", fused=[("dn = dnext_h * (1 - z)", "dn = dnext_h * z")], separate=[("zn = dht * (1 - z) *", "zn = dht * z *")])
add("r-input", "gru", "all", "dx:x dh0 W:r", fused=[("dr = dan * hn", "dr = dan * prev_h")], separate=[("zn * hn * r", "zn * h_prev * r")], stacked=[("dn * m * r", "dn * past * r")])
add("n-reset", "gru", "dx:xxx. dh0 W:*", "dh0 dWh:n dbh:n", fused=[("dan * r))", "dan))")], separate=[("znr = zn * r", "znr = zn")], stacked=[("dz, dn * r]", "dz, dn]")])

# ---- state and precision ---------------------------------------------------------------------------------------------

add("one-buffer", "lstm", "all", "dx:x dh0 W:f",
    fused=[("    next_c = f * prev_c + i * g\n", "    next_c = prev_c\n    next_c *= f\n    next_c += i * g\n")])
add("one-buffer", "lstm", "all", "dx:x dh0 W:f",
    stacked=[('cell = s["f"] * cell + s["i"] * s["g"]', 'cell *= s["f"]\n        cell += s["i"] * s["g"]')])
for cell in CELLS:
    add("changed-in-place", cell, "dh", "", "", "upstream", "state",
        fused=[("dh[:, t] + dprev_h", "dh[:, t]"), ("        dx[:, t], dprev_h", "        dh[:, t] += dprev_h\n        dx[:, t], dprev_h")],
        separate=[("dht = dh[:, t] + dh_next", "dh[:, t] += dh_next\n        dht = dh[:, t]")],
        stacked=[("total = up[t] + flow", "total = up[t]\n        total += flow")])
    bias = "bx" if cell == "gru" else "b"
    add("changed-in-place", cell, "x", "", "", "input", "state", fused=[(f"def {cell}_forward(x, h0, Wx, Wh, {'bx, bh' if cell == 'gru' else 'b'}):\n", f"def {cell}_forward(x, h0, Wx, Wh, {'bx, bh' if cell == 'gru' else 'b'}):\n    x -= x.mean() * 0.1\n")])
    add("random", cell, "h", "", "", "", "state",
        fused=[("return h, cache", "return h * (np.random.random(h.shape) < 0.9), cache")],
        stacked=[('(tape, Wx, Wh)\n', '(tape, Wx, Wh)\n')] if False else [('np.stack([s["now"] for s in tape], axis=1)', 'np.stack([s["now"] for s in tape], axis=1) + 1e-3 * np.random.randn(*h0.shape)[:, None]')])
    add("ints", cell, "dx", "", "", "dx", "state",
        fused=[("dx = np.zeros((N, T, x.shape[1])", "dx = np.zeros((N, T, x.shape[1]), dtype=int")],
        separate=[("dx = np.zeros(x.shape)", "dx = np.zeros(x.shape, dtype=int)")] if cell == "rnn" else [("dx = np.zeros((N, T, D))", "dx = np.zeros((N, T, D), dtype=int)")],
        stacked=[("dxs = np.zeros((T, N, D))", "dxs = np.zeros((T, N, D), int)")] if cell != "gru" else [("dxs = np.zeros((T, N, len(Wx)))", "dxs = np.zeros((T, N, len(Wx)), int)")])
add("changed-in-place", "lstm", "cache", "", "", "cache", "state", fused=[("    da = np.hstack((dai", "    tanh_c *= 0.5\n    da = np.hstack((dai")],
    stacked=[("total = up[t] + flow\n        dcell", "total = up[t] + flow\n        s['g'] = g * 0.5\n        dcell")])

# ---- steps -----------------------------------------------------------------------------------------------------------

STEP = "dx:* dprev_h dprev_c"
add("last-gradient-ignored", "lstm", "dx dprev_h dprev_c W:ifg", "", "c-carry-dropped", "dnext_c", task="lstm_step",
    fused=[("dc = dnext_c + dnext_h", "dc = dnext_h")])
add("c-carry-without-f", "lstm", "dprev_c", "", "", "step", task="lstm_step", fused=[("dprev_c = dc * f", "dprev_c = dc")])
add("f-input", "lstm", "dx dprev_h W:f", "", "", "step", task="lstm_step", fused=[("df = dc * prev_c", "df = dc * next_c")])
add("tanh-c-slope-missing", "lstm", "dx dprev_h dprev_c W:ifg", "", "", "step", task="lstm_step", fused=[(" * o * (1 - tanh_c ** 2)", " * o")])
add("o-missing-in-dc", "lstm", "dx dprev_h dprev_c W:ifg", "", "", "step", task="lstm_step", fused=[(" * o * (1 - tanh_c ** 2)", " * (1 - tanh_c ** 2)")])
add("wh-untransposed", "rnn", "dprev_h", "", "", "step", task="rnn_step", fused=[("da.dot(Wh.T)", "da.dot(Wh)")])
add("initial-state-forgotten", "lstm", "dprev_c", "", "", "step", task="lstm_step", fused=[("dprev_c = dc * f", "dprev_c = np.zeros_like(dc)")])
add("gate-order", "lstm", "dx dprev_h W:og", "", "", "step", task="lstm_step", fused=[("(dai, daf, dao, dag)", "(dai, daf, dag, dao)")])

# ---- embedding, loss, attention --------------------------------------------------------------------------------------

_OTHER = {
    ("embedding", "loops"): """
import numpy as np
def word_embedding_forward(x, W):
    out = np.zeros(x.shape + W.shape[1:])
    for index in np.ndindex(x.shape):
        out[index] = W[x[index]]
    return out, (x, W)
def word_embedding_backward(dout, cache):
    x, W = cache
    dW = np.zeros(W.shape)
    for index in np.ndindex(x.shape):
        dW[x[index]] += dout[index]
    return dW
""",
    ("embedding", "add.at"): """
import numpy as np
def word_embedding_forward(x, W):
    return W[x, :], (x, W.shape)
def word_embedding_backward(dout, cache):
    x, shape = cache
    dW = np.zeros(shape)
    np.add.at(dW, x, dout)
    return dW
""",
    ("embedding", "flat"): """
import numpy as np
def word_embedding_forward(x, W):
    return np.take(W, x, axis=0), dict(x=x, V=len(W))
def word_embedding_backward(dout, cache):
    tokens = cache["x"].reshape(-1)
    rows = dout.reshape(len(tokens), -1)
    dW = np.zeros((cache["V"], rows.shape[1]))
    for token, row in zip(tokens, rows):
        dW[token] = dW[token] + row
    return dW
""",
    ("loss", "flat"): """
import numpy as np
def temporal_softmax_loss(x, y, mask, verbose=False):
    N, T, V = x.shape
    x_flat, y_flat, mask_flat = x.reshape(N * T, V), y.reshape(N * T), mask.reshape(N * T)
    probs = np.exp(x_flat - np.max(x_flat, axis=1, keepdims=True))
    probs /= np.sum(probs, axis=1, keepdims=True)
    loss = -np.sum(mask_flat * np.log(probs[np.arange(N * T), y_flat])) / N
    dx_flat = probs.copy()
    dx_flat[np.arange(N * T), y_flat] -= 1
    dx_flat /= N
    dx_flat *= mask_flat[:, None]
    return loss, dx_flat.reshape(N, T, V)
""",
    ("loss", "one-hot"): """
import numpy as np
def temporal_softmax_loss(x, y, mask):
    p = np.exp(x) / np.exp(x).sum(axis=-1)[..., None]
    t = np.eye(x.shape[-1])[y]
    grad = p - t
    grad = grad * mask[:, :, None] / len(x)
    return -(np.log((p * t).sum(-1)) * mask).sum() / len(x), grad
""",
    ("loss", "loops"): """
import numpy as np
def temporal_softmax_loss(x, y, mask):
    loss, dx = 0.0, np.zeros(x.shape)
    for n in range(len(x)):
        for t in range(x.shape[1]):
            e = np.exp(x[n, t] - max(x[n, t]))
            q = e / sum(e)
            if mask[n, t]:
                loss -= np.log(q[y[n, t]])
            one = np.zeros(len(q))
            one[y[n, t]] = 1
            d = q - one
            dx[n, t] = d * mask[n, t]
    return loss / len(x), dx / len(x)
""",
    ("attention", "einsum"): """
import numpy as np
def attention_forward(query, keys, values, mask):
    s = np.einsum("nd,ntd->nt", query, keys) / np.sqrt(query.shape[-1])
    s = np.where(mask, s, -1e30)
    a = np.exp(s - s.max(1, keepdims=True))
    a = a / a.sum(1, keepdims=True)
    return np.einsum("nt,nte->ne", a, values), (query, keys, values, a)
def attention_backward(dout, cache):
    q, k, v, a = cache
    da = np.einsum("ne,nte->nt", dout, v)
    ds = a * (da - (a * da).sum(1, keepdims=True))
    ds /= np.sqrt(q.shape[-1])
    return np.einsum("nt,ntd->nd", ds, k), np.einsum("nt,nd->ntd", ds, q), np.einsum("nt,ne->nte", a, dout)
""",
}  # fmt: skip
_TASK = {"embedding": "word_embedding", "loss": "temporal_softmax_loss", "attention": "attention"}
GATES.update(dict.fromkeys(_TASK, "h"))


def add_other(mistake: str, section: str, style: str, base: str, old: str, new: str, variant: str = "", kind: str = "numbers", one: str = "") -> None:
    text = replaced(_OTHER[section, style], old, new, where=f"{section} {style}")
    wrong = dict.fromkeys(base.split(), "")
    MUTANTS.append(Mutant(mistake, variant, section, style, text, wrong, dict.fromkeys(one.split(), ""), (), _TASK[section], kind))


add_other("embedding-scatter", "embedding", "loops", "dW", "dW[x[index]] +=", "dW[x[index]] =", "=")
add_other("embedding-scatter", "embedding", "add.at", "dW", "np.add.at(dW, x, dout)", "dW[x] += dout", "+=")
add_other("embedding-scatter", "embedding", "add.at", "dW", "np.add.at(dW, x, dout)", "dW[x] = dout", "=")
add_other("embedding-scatter", "embedding", "flat", "dW", "dW[token] = dW[token] + row", "dW[token] = row", "=")
add_other("sign", "embedding", "flat", "dW", "return dW", "return -dW")
add_other("ints", "embedding", "add.at", "dW", "dW = np.zeros(shape)\n    np.add.at(dW, x, dout)", "dW = np.zeros(shape, int)\n    np.add.at(dW, x, dout.astype(int))", kind="state")
for _style, _right, _none, _twice, _mask, _nomask in (
    ("flat", "    dx_flat[np.arange(N * T), y_flat] -= 1\n", "", "    dx_flat[np.arange(N * T), y_flat] -= 1\n    dx_flat *= probs * (1 - probs)\n", "    dx_flat *= mask_flat[:, None]\n", ""),
    ("one-hot", "grad = p - t", "grad = p", "grad = p * (p - t - (p * (p - t)).sum(-1, keepdims=True))", " * mask[:, :, None]", ""),
    ("loops", "d = q - one", "d = q", "d = (np.diag(q) - np.outer(q, q)) @ (q - one)", "d * mask[n, t]", "d"),
):  # fmt: skip
    add_other("softmax-jacobian", "loss", _style, "dx", _right, _none, "not at all")
    add_other("softmax-jacobian", "loss", _style, "dx", _right, _twice, "twice")
    add_other("padding", "loss", _style, "dx", _mask, _nomask)
add_other("batch-scale", "loss", "flat", "dx", "    dx_flat /= N\n", "")
add_other("softmax-jacobian", "attention", "einsum", "dquery dkeys", "ds = a * (da - (a * da).sum(1, keepdims=True))", "ds = a * da", "not at all", one="dquery dkeys")
add_other("softmax-jacobian", "attention", "einsum", "dquery dkeys", "ds = a * (da - (a * da).sum(1, keepdims=True))", "ds = a * (1 - a) * da", "diagonal")
add_other("scores-unscaled", "attention", "einsum", "dquery dkeys", "    ds /= np.sqrt(q.shape[-1])\n", "")
