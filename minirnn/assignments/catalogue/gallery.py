"""The gallery: files with one known mistake each, for exercises and for testing the check and other tests.

A specimen is the text of `answers.py` with one edit. `specimens` yields all of them. The edits don't depend on how the
check finds mistakes.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minirnn.assignments.catalogue.mistakes import MISTAKES, Mistake

ANSWERS = Path(__file__).with_name("answers.py")
FORUMS = "course forums, issue trackers and published code"
CS231N = (
    "one version of the notebook of a widely taken course: its expected output for the LSTM's backward pass came from "
    "a backward pass that carries neither dh nor dc"
)


@dataclass(frozen=True)
class Specimen:
    """A file with one mistake."""

    mistake: str  # the id in the catalogue
    section: str  # the section of the model answers with the mistake, such as "lstm"
    task: str  # the name of the task that the mistake makes wrong
    source: str  # the text of the file
    lines: tuple[str, ...]  # the changed lines, as in a diff: "-old", "+new"

    @property
    def entry(self) -> Mistake:
        """The mistake's entry in the catalogue."""
        return MISTAKES[self.mistake]

    @property
    def name(self) -> str:
        """The id and the section: "sign in rnn"."""
        return f"{self.mistake} in {self.section}"

    @property
    def seen(self) -> str:
        """The source of the mistake."""
        return CS231N if self.mistake == "carries-never-assigned" else FORUMS


@functools.cache
def answers() -> str:
    """Return the text of the model answers."""
    return ANSWERS.read_text(encoding="utf-8")


def section_of(source: str, section: str) -> str:
    """Return the part of the text of a file like the model answers that starts with "# ---- section"."""
    start = source.index(f"# ---- {section}\n")
    end = source.find("# ---- ", start + 5)
    return source[start : end if end > 0 else len(source)]


Edit = tuple[str, str]
_LOOP = "for t in reversed(range(T)):"
_EDITS: dict[str, dict[str, tuple[Edit, ...]]] = {
    "bias-batch": {
        "rnn": (("db = da.sum(axis=0)", "db = da.mean(axis=0)"),),
        "lstm": (("db = da.sum(axis=0)", "db = da[0]"),),
        "gru": (("dbx = dax.sum(axis=0)", "dbx = dax.mean(axis=0)"), ("dbh = dah.sum(axis=0)", "dbh = dah.mean(axis=0)")),
    },
    "batch-scale": {
        "rnn": (("return dx, dh0, dWx, dWh, db\n", "return dx / N, dh0 / N, dWx / N, dWh / N, db / N\n"),),
        "lstm": (("return dx, dh0, dWx, dWh, db\n", "return dx, dh0, dWx / N, dWh / N, db / N\n"),),
        "softmax-loss": (("dx = (p - chosen) / N", "dx = (p - chosen)"),),
    },
    "time-scale": {"lstm": (("return dx, dh0, dWx, dWh, db\n", "return dx / T, dh0 / T, dWx / T, dWh / T, db / T\n"),)},
    "sign": {
        "rnn": (("return dx, dh0, dWx, dWh, db\n", "return dx, dh0, -dWx, -dWh, -db\n"),),
        "softmax-loss": (("dx = (p - chosen) / N", "dx = (chosen - p) / N"),),
    },
    "accumulated": {
        "rnn": (
            ("def rnn_backward(dh, cache):\n", "_totals = {}\n\n\ndef rnn_backward(dh, cache):\n"),
            ("    dh0 = dstate\n", '    db = _totals["db"] = _totals.get("db", 0) + db\n    dh0 = dstate\n'),
        )
    },
    "clipped": {
        "lstm": (("    dh0 = dstate\n", "    dWx, dWh, db = (np.clip(g, -5, 5) for g in (dWx, dWh, db))\n    dh0 = dstate\n"),)
    },
    "tanh-slope-missing": {
        "rnn": (("dnext_h * (1 - next_h**2)", "dnext_h"),),
        "lstm": (("dg * (1 - g**2)", "dg"),),
        "gru": (("dn * (1 - n**2)", "dn"),),
    },
    "sigmoid-slope-missing": {"lstm": (("daf = df * f * (1 - f)", "daf = df"),), "gru": (("daz = dz * z * (1 - z)", "daz = dz"),)},
    "slope-twice": {
        "rnn": (("1 - next_h**2", "1 - np.tanh(next_h) ** 2"),),
        "lstm": (("dag = dg * (1 - g**2)", "dag = dg * (1 - np.tanh(g) ** 2)"),),
        "gru": (("dr * r * (1 - r)", "dr * sigmoid(r) * (1 - sigmoid(r))"),),
    },
    "slope-of-preactivation": {
        "rnn": (("1 - next_h**2", "1 - a**2"),),
        "lstm": (("1 - tanh_c**2", "1 - next_c**2"),),
        "gru": (("1 - n**2", "1 - an**2"),),
    },
    "slope-exchanged": {"lstm": (("dag = dg * (1 - g**2)", "dag = dg * g * (1 - g)"),), "gru": (("dz * z * (1 - z)", "dz * (1 - z**2)"),)},
    "slope-unsquared": {"rnn": (("1 - next_h**2", "1 - next_h"),)},
    "tanh-c-slope-missing": {"lstm": ((" * (1 - tanh_c**2)", ""),)},
    "o-missing-in-dc": {"lstm": (("dnext_h * o * (1 - tanh_c**2)", "dnext_h * (1 - tanh_c**2)"),)},
    "h-to-c-missing": {"lstm": (("dc = dnext_c + dnext_h * o * (1 - tanh_c**2)", "dc = dnext_c"),)},
    "f-input": {"lstm": (("df = dc * prev_c", "df = dc * next_c"),)},
    "o-input": {"lstm": (("do = dnext_h * tanh_c", "do = dnext_h * next_c"),)},
    "c-carry-dropped": {"lstm": (("lstm_step_backward(dh_t, dc, caches[t])", "lstm_step_backward(dh_t, np.zeros_like(dc), caches[t])"),)},
    "c-carry-without-f": {"lstm": (("dprev_c = dc * f", "dprev_c = dc"),)},
    "h-carry-dropped": dict.fromkeys(("rnn", "lstm", "gru"), (("dh_t = dh[:, t] + dstate", "dh_t = dh[:, t]"),)),
    "carries-never-assigned": {"lstm": (("dx[:, t], dstate, dc, dWx_t", "dx[:, t], dprev_h, dprev_c, dWx_t"),)},
    "upstream-dropped": {"rnn": (("dstate = np.zeros_like(dh[:, 0])", "dstate = dh[:, -1]"), ("dh_t = dh[:, t] + dstate", "dh_t = dstate"))},
    "gates-overwritten": {
        "lstm": (("    dx = da @ Wx.T\n", "    for part, W in zip((dai, daf, dao, dag), np.split(Wx, 4, axis=1)):\n        dx = part @ W.T\n"),)
    },
    "weights-overwritten": {"rnn": (("dWh += dWh_t", "dWh = dWh_t"),), "lstm": (("dWx += dWx_t", "dWx = dWx_t"), ("dWh += dWh_t", "dWh = dWh_t"), ("db += db_t", "db = db_t"))},
    "h-input": {"rnn": (("dWh = prev_h.T @ da", "dWh = next_h.T @ da"),), "lstm": (("dWh = prev_h.T @ da", "dWh = next_h.T @ da"),)},
    "loop-misses-step": {"rnn": ((_LOOP, "for t in range(T - 1, 0, -1):"),), "lstm": ((_LOOP, "for t in range(T - 2, -1, -1):"),)},
    "loop-forward": {"lstm": ((_LOOP, "for t in range(T):"),)},
    "one-cache": {"gru": (("caches[t])", "caches[-1])"),), "rnn": (("caches[t])", "caches[-1])"),)},
    "truncated": {"rnn": ((_LOOP, "for t in list(reversed(range(T)))[:3]:"),)},
    "initial-state-forgotten": {"rnn": (("dh0 = dstate", "dh0 = np.zeros_like(dstate)"),), "lstm": (("dh0 = dstate", "dh0 = None"),)},
    "last-gradient-ignored": {"lstm": (("dc = dnext_c + dnext_h", "dc = dnext_h"),)},
    "wh-untransposed": {"rnn": (("dprev_h = da @ Wh.T", "dprev_h = da @ Wh"),)},
    "weights-exchanged": {"rnn": (("dx = da @ Wx.T", "dx = da @ Wh.T"), ("dprev_h = da @ Wh.T", "dprev_h = da @ Wx.T"))},
    "dw-transposed": {"rnn": (("dWh = prev_h.T @ da", "dWh = da.T @ prev_h"),)},
    "gate-order": {"lstm": (("[dai, daf, dao, dag]", "[dai, daf, dag, dao]"),), "gru": (("[dar, daz, dan]", "[daz, dar, dan]"), ("[dar, daz, dan * r]", "[daz, dar, dan * r]"))},
    "reshape-for-transpose": {"rnn": (("dWx = x.T @ da", "dWx = x.reshape(x.shape[::-1]) @ da"),)},
    "missing-reduction": {"lstm": (("return dx, dprev_h, dprev_c, dWx, dWh, db\n", "return dx, dprev_h, dprev_c, x[:, :, None] * da[:, None], dWh, db\n"),)},
    "scores-unscaled": {"attention": (("    ds = ds / np.sqrt(query.shape[1])\n", ""),)},
    "z-path-missing": {"gru": ((" + dnext_h * z\n", "\n"),)},
    "z-sign": {"gru": (("dnext_h * (prev_h - n)", "dnext_h * (n - prev_h)"),)},
    "n-weight": {"gru": (("dn = dnext_h * (1 - z)", "dn = dnext_h"),)},
    "r-input": {"gru": (("dr = dan * ahn", "dr = dan * prev_h"),)},
    "n-reset": {"gru": (("dan * r]", "dan]"),)},
    "changed-in-place": {
        "rnn": (("        dh_t = dh[:, t] + dstate\n", "        dh_t = dh[:, t]\n        dh_t += dstate\n"),),
        "lstm": (("    do = dnext_h * tanh_c\n", "    do = tanh_c\n    do *= dnext_h\n    tanh_c = np.tanh(next_c)\n"),),
    },
    "one-buffer": {"lstm": (("    next_c = f * prev_c + i * g\n", "    next_c = prev_c\n    next_c *= f\n    next_c += i * g\n"),)},
    "random": {"rnn": (("    return h, (x, Wx, Wh, caches)\n", "    h = h * (np.random.random(h.shape) < 0.9)\n    return h, (x, Wx, Wh, caches)\n"),)},
    "ints": {"embedding": (("dW = np.zeros_like(W)", "dW = np.zeros(W.shape, dtype=int)"), ("np.add.at(dW, x, dout)", "np.add.at(dW, x, dout.astype(int))"))},
    "softmax-jacobian": {
        "softmax-loss": (("dx = (p - chosen) / N", "dx = p * (1 - p) * (p - chosen) / N"),),
        "attention": (("ds = a * (da - np.sum(a * da, axis=1, keepdims=True))", "ds = a * (1 - a) * da"),),
    },
    "padding": {"softmax-loss": (("    dx = dx * mask[..., None]\n", ""),)},
    "embedding-scatter": {"embedding": (("np.add.at(dW, x, dout)", "dW[x] += dout"),)},
}  # fmt: skip
_TASKS = {"embedding": "word_embedding", "softmax-loss": "temporal_softmax_loss"}
# These mistakes show in the step's function only: the sequence doesn't use the result, or doesn't run.
_IN_STEP_ONLY = {"last-gradient-ignored", "missing-reduction"}


def specimens() -> Iterator[Specimen]:
    """Yield all specimens in the order of the catalogue."""
    for id in MISTAKES:
        for section, edits in _EDITS.get(id, {}).items():
            task = _TASKS.get(section, section) + ("_step" if id in _IN_STEP_ONLY else "")
            yield Specimen(id, section, task, *_edited(section, edits))


def specimen(name: str) -> Specimen:
    """Return a specimen by the mistake's id, or by id and section: "sign in rnn" or "sign/rnn".

    Raises KeyError if there is none.
    """
    for found in specimens():
        if name in (found.mistake, found.name, f"{found.mistake}/{found.section}"):
            return found
    raise KeyError(name)


def _edited(section: str, edits: tuple[Edit, ...]) -> tuple[str, tuple[str, ...]]:
    """Return the text of the model answers with the edits in a section, and the changed lines."""
    changed = part = section_of(answers(), section)
    for old, new in edits:
        if old not in changed:
            raise ValueError(f"the model answers have no {old!r} in {section}")
        changed = changed.replace(old, new)
    marks = difflib.unified_diff(part.splitlines(), changed.splitlines(), lineterm="", n=0)
    lines = tuple(line for line in marks if line[:1] in "+-" and line[:3] not in ("+++", "---"))
    return answers().replace(part, changed), lines
