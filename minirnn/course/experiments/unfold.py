"""A recurrent network unrolled: all numbers of a forward and a backward pass, and what a weight's gradient is made of.

A recurrent network uses the same weights at every step. Unrolled over T steps it is a feed-forward network of T layers
that happen to share them, and that is how it is differentiated (Werbos 1990). Give each step its own copy of the
weights, W_1 ... W_T, and the loss is a function L(W_1, ..., W_T). As W_1 = ... = W_T = W, the chain rule says

    dL/dW = dL/dW_1 + dL/dW_2 + ... + dL/dW_T

each taken at the same W: what backpropagation through time adds up on its way back. Going back, step t receives dh_t
from two sides: from its own loss, and from step t+1, which used h_t:

    dh_t = dL_t/dh_t + W_hh^T da_(t+1)        da_t = dh_t (1 - h_t^2)        dW_hh,t = da_t h_(t-1)^T

What is done. The drawn network has 1 input, 2 hidden units and 4 steps; its weights have one digit, so every number can
be recomputed by hand. y_t = v h_t is to be x_(t+1), and L_t = (y_t - x_(t+1))^2 / 2. Then, for it and for random
RNNs, LSTMs and GRUs, both sides of the equation are taken by finite differences, which know nothing of the chain rule:
the right side by moving an entry of one step's copy alone, the left by moving it in all copies at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn import plots
from minirnn.recurrent import cells
from minirnn.course.experiment import Effort, Outcome, Progress, Table
from minirnn.recurrent.cells import STEPS
from minirnn_kernels.cell import CELLS

CLAIM = "The gradient of a shared weight is the sum of what each step contributes to it."
SOURCE = "The course week's lecture on backpropagation through time; Werbos (1990), Proceedings of the IEEE 78(10)."

BACK = {"rnn": cells.rnn_step_backward, "lstm": cells.lstm_step_backward, "gru": cells.gru_step_backward}
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
STEP = 1e-5  # of the differences: their error is about STEP^2 + 1e-16 / STEP, a few 1e-10 for numbers about 1
TOLERANCE = 1e-7  # relative to the norm of the whole gradient
EFFORTS = {"quick": (1, 5), "default": (4, 8), "full": (10, 20)}  # seeds, steps

Array = Any
Weights = tuple[Array, ...]  # W_ih, W_hh, b; of a GRU W_ih, W_hh, b_ih, b_hh


@dataclass(frozen=True)
class Network:
    """A recurrent layer, its readout v (H,), and one sequence: x (T, I), targets (T,)."""

    kind: str
    weights: Weights
    v: Array
    x: Array
    targets: Array


def drawn() -> Network:
    """The network of the figure."""
    x = np.array([1.0, 0.5, -1.0, 0.5, 1.0])
    W_ih, W_hh = np.array([[0.8], [-0.5]]), np.array([[0.5, -0.6], [0.4, 0.7]])
    return Network("rnn", (W_ih, W_hh, np.array([0.0, 0.1])), np.array([1.0, -0.5]), x[:-1, None], x[1:])


def drawn_at_random(kind: str, seed: int, T: int, I: int = 2, H: int = 3) -> Network:
    """A network of this kind with weights, inputs and targets from a standard normal distribution, weights halved."""
    rng = np.random.default_rng([seed, *map(ord, kind)])
    K = GATES[kind] * H
    shapes = [(K, I), (K, H), (K,)] + [(K,)] * (kind == "gru")
    weights = tuple(0.5 * rng.standard_normal(shape) for shape in shapes)
    return Network(kind, weights, rng.standard_normal(H), rng.standard_normal((T, I)), rng.standard_normal(T))


def forward(network: Network, copies: Sequence[Weights]) -> tuple[Array, Array, list[Any]]:
    """With a copy of the weights for each step -> h (T, H), losses (T,), caches."""
    states = [np.zeros((1, len(network.v)))] * len(CELLS[network.kind].states)
    hs, caches = [], []
    for x, weights in zip(network.x, copies, strict=True):
        *states, cache = STEPS[network.kind](x[None], *states, *weights)
        hs.append(states[0][0])
        caches.append(cache)
    h = np.array(hs)
    return h, (h @ network.v - network.targets) ** 2 / 2, caches


def backward(network: Network) -> tuple[list[Weights], Array, Array]:
    """Backpropagation through time -> each step's parts of the weights' gradients; dh (T, H); dL_t/dh_t (T, H)."""
    T = len(network.x)
    h, _, caches = forward(network, [network.weights] * T)
    own = (h @ network.v - network.targets)[:, None] * network.v
    from_next: Sequence[Array] = [np.zeros((1, len(network.v)))] * len(CELLS[network.kind].states)
    parts: list[Weights] = []
    dh = np.zeros_like(h)
    for t in reversed(range(T)):
        dh[t] = own[t] + from_next[0][0]
        back: Any = BACK[network.kind]
        _, *results = back(dh[t : t + 1], *from_next[1:], caches[t])
        from_next = results[: len(CELLS[network.kind].states)]
        parts.insert(0, tuple(results[len(CELLS[network.kind].states) :]))
    return parts, dh, own


def differences(network: Network, which: int, moved: Sequence[int]) -> Array:
    """Central differences of the whole loss by weight number `which`, moved in the copies of the steps `moved`."""
    T = len(network.x)
    found = np.zeros_like(network.weights[which])
    for place in np.ndindex(found.shape):
        losses = []
        for change in (STEP, -STEP):
            other = [w.copy() for w in network.weights]
            other[which][place] += change
            copies = [tuple(other) if t in moved else network.weights for t in range(T)]
            losses.append(forward(network, copies)[1].sum())
        found[place] = (losses[0] - losses[1]) / (2 * STEP)
    return found


def check(network: Network) -> dict[str, float]:
    """How far the sum of the parts, and each part, is from finite differences, and what one step alone would give.

    The largest over the weights (and steps), relative to the norm of the whole gradient by differences.
    """
    T = len(network.x)
    parts, _, _ = backward(network)
    found = {"sum": 0.0, "part": 0.0, "last": 0.0}
    for which in range(len(network.weights)):
        whole = differences(network, which, range(T))
        each = [differences(network, which, [t]) for t in range(T)]
        size = np.linalg.norm(whole)
        off = {
            "sum": sum(p[which] for p in parts) - whole,
            "last": parts[-1][which] - whole,
            "part": max((p[which] - e for p, e in zip(parts, each, strict=True)), key=np.linalg.norm),
        }
        found = {name: max(found[name], float(np.linalg.norm(a) / size)) for name, a in off.items()}
    return found


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    seeds, T = EFFORTS[effort]
    networks = [("RNN, the one drawn", drawn())]
    networks += [
        (f"{kind.upper()}, seed {s}", drawn_at_random(kind, s, T)) for kind in STEPS for s in range(seed, seed + seeds)
    ]
    checks = []
    for k, (name, network) in enumerate(networks):
        progress(k / len(networks), name)
        checks.append({"network": name, "steps": len(network.x), **check(network)})
    return judge({"drawn": numbers_of(drawn()), "checks": checks})


def judge(numbers: dict[str, Any]) -> Outcome:
    """The claim holds if every sum and every part is within TOLERANCE of finite differences."""
    worst = {name: max(c[name] for c in numbers["checks"]) for name in ("sum", "part")}
    last = float(np.median([c["last"] for c in numbers["checks"]]))
    count = len(numbers["checks"])
    measured = (
        f"in {count} networks the sum of the steps' parts is within {worst['sum']:.0e} of finite differences, each "
        f"part within {worst['part']:.0e} (relative to the gradient); the last step's part alone is off by {last:.0%}."
    )
    wrong = [c["network"] for c in numbers["checks"] if max(c["sum"], c["part"]) > TOLERANCE]
    if not wrong:
        return Outcome(numbers, measured, "held")
    why = f"More than {TOLERANCE:.0e} off: {', '.join(wrong)}."
    return Outcome(numbers, measured, "held in part" if len(wrong) < count else "did not hold", why)


def numbers_of(network: Network) -> dict[str, Any]:
    """Every number of the two passes, as the figure shows them."""
    T = len(network.x)
    h, losses, _ = forward(network, [network.weights] * T)
    parts, dh, own = backward(network)
    W_ih, W_hh, b = network.weights
    shown = {
        "W_ih": W_ih[:, 0], "W_hh": W_hh, "b": b, "v": network.v, "x": network.x[:, 0], "targets": network.targets,
        "h": h, "y": h @ network.v, "losses": losses, "own": own, "dh": dh, "parts": np.array([p[1] for p in parts]),
        "sum": sum(p[1] for p in parts), "differences": differences(network, 1, range(T)),
    }  # fmt: skip
    return {name: np.asarray(a).tolist() for name, a in shown.items()}


def tables(numbers: Mapping[str, Any]) -> list[Table]:
    d = numbers["drawn"]
    entries = [
        [f"{row + 1},{column + 1}", *(part[row][column] for part in d["parts"]), d["sum"][row][column],
         d["differences"][row][column]]
        for row in range(2) for column in range(2)
    ]  # fmt: skip
    checks = [[c["network"], c["steps"], c["sum"], c["part"], c["last"]] for c in numbers["checks"]]
    steps = [f"step {t + 1}" for t in range(len(d["parts"]))]
    return [
        Table("dW_hh of the network drawn, by steps", ["entry", *steps, "sum", "differences"], entries),
        Table("Off from finite differences, relative to the gradient's norm",
              ["network", "steps", "sum of parts", "worst part", "last part alone"], checks),
    ]  # fmt: skip


# ---- the figure: forward above, backward below, a column for each step


@plots.style()
def draw(numbers: Mapping[str, Any]) -> Any:
    d = numbers["drawn"]
    figure, (above, below) = plots.new_figure(7.2, 5.0, rows=2)
    for axes, top in ((above, 2.4), (below, 2.45)):
        axes.set(xlim=(-0.75, len(d["x"]) + 0.62), ylim=(-0.35, top))
        axes.axis("off")
    _draw_forward(above, d)
    _draw_backward(below, d)
    return figure


def _draw_forward(axes: Any, d: Mapping[str, Any]) -> None:
    T = len(d["x"])
    axes.set_title("forward  →", loc="left", fontweight="bold", pad=2)
    _box(axes, -0.55, 1, "$h_0$\n" + _column([0, 0]), edge="0.6")
    for t in range(T):
        _box(axes, t, -0.15, f"$x_{t + 1}$ = {_number(d['x'][t])}", edge="0.6")
        _box(axes, t, 1, f"$h_{t + 1}$\n" + _column(d["h"][t]))
        told = f"$y_{t + 1}$ = {_number(d['y'][t])}\nwanted {_number(d['targets'][t])}"
        _box(axes, t, 2.1, f"{told}\n$L_{t + 1}$ = {_number(d['losses'][t])}", edge="0.6")
        _arrow(axes, (t, 0.06), (t, 0.6), "$W_{ih}$")
        _arrow(axes, (t, 1.4), (t, 1.7), "$v$")
        _arrow(axes, (t - (0.36 if t == 0 else 0.79), 1), (t - 0.21, 1), above="$W_{hh}$")
    weights = (
        f"the same weights at each step\n$W_{{ih}}$ = {_row(d['W_ih'])}$^T$\n$W_{{hh}}$ = {_row(d['W_hh'][0])}\n"
        f"            {_row(d['W_hh'][1])}\n$b$ = {_row(d['b'])}$^T$\n$v$ = {_row(d['v'])}"
    )
    axes.text(T - 0.5, 0.95, weights, va="center", fontsize=7.5, linespacing=1.4)
    axes.text(T - 0.5, 2.1, f"$L = \\Sigma L_t$ = {_number(sum(d['losses']))}", va="center", fontsize=8)


def _draw_backward(axes: Any, d: Mapping[str, Any]) -> None:
    T = len(d["x"])
    axes.set_title("←  backward", loc="left", fontweight="bold", pad=2)
    for t in range(T):
        _box(axes, t, 2.1, f"from $L_{t + 1}$\n{_row(d['own'][t])}", edge="0.6")
        _box(axes, t, 1.1, f"$dh_{t + 1}$\n" + _column(d["dh"][t]))
        _box(axes, t, 0, f"step {t + 1}: $dW_{{hh}}$\n{_matrix(d['parts'][t])}", edge="0.6", mono=True)
        _arrow(axes, (t, 1.83), (t, 1.5))
        _arrow(axes, (t, 0.7), (t, 0.4))
        if t + 1 < T:
            _arrow(axes, (t + 0.79, 1.1), (t + 0.21, 1.1), above=_column(np.subtract(d["dh"][t], d["own"][t])))
            axes.text(t + 0.5, 0, "+", ha="center", va="center")
    axes.text(T - 0.5, 0, "=", ha="center", va="center")
    said = "$dh_t$ is the sum of what comes\nfrom the step's own loss and\nfrom the next step"
    axes.text(T - 0.5, 1.4, said, va="center", fontsize=7.5)
    total = f"$dW_{{hh}}$\n{_matrix(d['sum'])}\nby finite differences\n{_matrix(d['differences'])}"
    axes.text(T - 0.35, 0.18, total, va="center", fontsize=7, family="monospace", linespacing=1.25)


def _box(axes: Any, x: float, y: float, text: str, edge: str = "0", mono: bool = False) -> None:
    frame = {"boxstyle": "round,pad=0.3", "fc": "white", "ec": edge}
    family = {"family": "monospace", "fontsize": 7} if mono else {"fontsize": 7.5}
    axes.text(x, y, text, ha="center", va="center", bbox=frame, zorder=3, **family)


def _arrow(axes: Any, start: Any, end: Any, beside: str = "", above: str = "") -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "0", "lw": 0.9, "shrinkA": 0, "shrinkB": 0})
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    if beside:
        axes.text(x + 0.05, y, beside, va="center", fontsize=7.5)
    if above:
        axes.text(x, y + 0.07, above, ha="center", va="bottom", fontsize=7)


def _number(value: float) -> str:
    """Two digits, with a real minus sign."""
    return f"{value + 0.0:.2f}".replace("-0.00", "0.00").replace("-", "\N{MINUS SIGN}")


def _row(values: Sequence[float]) -> str:
    return "(" + ", ".join(map(_number, values)) + ")"


def _column(values: Sequence[float]) -> str:
    return "\n".join(map(_number, values))


def _matrix(rows: Sequence[Sequence[float]]) -> str:
    return "\n".join(" ".join(f"{_number(v):>5}" for v in row) for row in rows)
