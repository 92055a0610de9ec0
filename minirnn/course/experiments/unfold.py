"""An unrolled recurrent network: all numbers of its forward and backward pass, and the parts of a weight's gradient.

A recurrent network uses the same weights at every step. Unrolled over T steps, it is a feed-forward network of T layers
that share their weights, and it is differentiated as such (Werbos 1990). Give each step its own copy of the weights,
W_1 ... W_T, so that the loss is a function L(W_1, ..., W_T). Because W_1 = ... = W_T = W, the chain rule says

    dL/dW = dL/dW_1 + dL/dW_2 + ... + dL/dW_T

with every derivative taken at the same W. Backpropagation through time computes this sum. In the backward pass, step t
receives dh_t from two sources: its own loss, and step t+1, which used h_t:

    dh_t = dL_t/dh_t + W_hh^T da_(t+1)        da_t = dh_t (1 - h_t^2)        dW_hh,t = da_t h_(t-1)^T

The method. The network in the figure has 1 input, 2 hidden units and 4 steps. Its weights have one digit, so you can
check every number by hand. The target of y_t = v h_t is x_(t+1), and L_t = (y_t - x_(t+1))^2 / 2. For this network, and
for random RNNs, LSTMs and GRUs, finite differences give both sides of the equation without the chain rule: the right
side by changing an entry of one step's copy, and the left side by changing the entry in all copies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn import plots
from minirnn.course.experiment import Effort, Numbers, Outcome, Progress, Table, tracked, verdict
from minirnn.recurrent import STEPS, STEPS_BACKWARD
from minirnn_kernels.cell import CELLS

CLAIM = "The gradient of a shared weight is the sum of the contributions of all steps."
SOURCE = "The course's lecture on backpropagation through time; Werbos (1990), Proceedings of the IEEE 78(10)."

EPSILON = 1e-5  # of the finite differences: their error is about EPSILON^2 + 1e-16 / EPSILON, 1e-10 for numbers near 1
TOLERANCE = 1e-7  # relative to the norm of the whole gradient
EFFORTS = {"quick": (1, 5), "default": (4, 8), "full": (10, 20)}  # seeds, sequence length

Array = Any
Weights = tuple[Array, ...]  # W_ih, W_hh and the other weights and biases of the cell, as in `Cell.shapes`


@dataclass(frozen=True)
class Network:
    """A recurrent layer with a readout v (H,), and one sequence with inputs x (T, I) and targets (T,)."""

    kind: str
    weights: Weights
    v: Array
    x: Array
    targets: Array

    @property
    def states(self) -> int:
        """The number of arrays in the cell's state."""
        return len(CELLS[self.kind].states)

    @property
    def zeros(self) -> list[Array]:
        """The initial state, or a zero gradient of the state."""
        return [np.zeros((1, len(self.v)))] * self.states


def drawn() -> Network:
    """Return the network in the figure."""
    x = np.array([1.0, 0.5, -1.0, 0.5, 1.0])
    W_ih, W_hh = np.array([[0.8], [-0.5]]), np.array([[0.5, -0.6], [0.4, 0.7]])
    return Network("rnn", (W_ih, W_hh, np.array([0.0, 0.1])), np.array([1.0, -0.5]), x[:-1, None], x[1:])


def drawn_at_random(kind: str, seed: int, T: int, I: int = 2, H: int = 3) -> Network:
    """Return a network with normally distributed weights (deviation 0.5), readout, inputs and targets (deviation 1)."""
    rng = np.random.default_rng([seed, *map(ord, kind)])
    weights = tuple(0.5 * rng.standard_normal(shape) for shape in CELLS[kind].shapes(I, H).values())
    return Network(kind, weights, rng.standard_normal(H), rng.standard_normal((T, I)), rng.standard_normal(T))


def forward(network: Network, copies: Sequence[Weights]) -> tuple[Array, Array, list[Any]]:
    """Run the network with one copy of the weights per step; return h (T, H), the losses (T,) and the caches."""
    states, hs, caches = network.zeros, [], []
    for x, weights in zip(network.x, copies, strict=True):
        *states, cache = STEPS[network.kind](x[None], *states, *weights)
        hs.append(states[0][0])
        caches.append(cache)
    h = np.array(hs)
    return h, (h @ network.v - network.targets) ** 2 / 2, caches


def backward(network: Network) -> tuple[list[Weights], Array, Array]:
    """Backpropagate through time; return each step's part of the weights' gradients, dh (T, H) and dL_t/dh_t (T, H)."""
    T = len(network.x)
    h, _, caches = forward(network, [network.weights] * T)
    own = (h @ network.v - network.targets)[:, None] * network.v
    parts: list[Weights] = []
    from_next, dh = network.zeros, np.zeros_like(h)
    for t in reversed(range(T)):
        dh[t] = own[t] + from_next[0][0]
        _, *results = STEPS_BACKWARD[network.kind](dh[t : t + 1], *from_next[1:], caches[t])
        from_next = results[: network.states]
        parts.insert(0, tuple(results[network.states :]))
    return parts, dh, own


def differences(network: Network, which: int, moved: Sequence[int]) -> Array:
    """Return central differences of the whole loss with respect to weight number `which`.

    The weight is changed in the copies of the steps `moved`.
    """
    found = np.zeros_like(network.weights[which])
    for place in np.ndindex(found.shape):
        losses = []
        for change in (EPSILON, -EPSILON):
            other = [w.copy() for w in network.weights]
            other[which][place] += change
            copies = [tuple(other) if t in moved else network.weights for t in range(len(network.x))]
            losses.append(forward(network, copies)[1].sum())
        found[place] = (losses[0] - losses[1]) / (2 * EPSILON)
    return found


def check(network: Network) -> dict[str, float]:
    """Return the errors of the sum of the parts, of the worst part, and of the last part taken as the whole gradient.

    Each is the largest over the weights, relative to the norm of the gradient by finite differences.
    """
    steps, errors = range(len(network.x)), []
    for which, parts in enumerate(zip(*backward(network)[0], strict=True)):
        whole = differences(network, which, steps)
        off = {
            "sum": sum(parts) - whole,
            "last": parts[-1] - whole,
            "part": max((parts[t] - differences(network, which, [t]) for t in steps), key=np.linalg.norm),
        }
        errors.append({name: float(np.linalg.norm(a) / np.linalg.norm(whole)) for name, a in off.items()})
    return {name: max(error[name] for error in errors) for name in errors[0]}


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    """Check the network in the figure and random networks of each kind, and judge the claim."""
    seeds, T = EFFORTS[effort]
    networks = [("RNN, the one drawn", drawn())] + [
        (f"{cell.title}, seed {s}", drawn_at_random(cell.name, s, T))
        for cell in CELLS.values()
        for s in range(seed, seed + seeds)
    ]
    checks = [
        {"network": name, "steps": len(network.x), **check(network)}
        for (name, network), _ in tracked(networks, progress, lambda item: item[0])
    ]
    return judge({"drawn": numbers_of(drawn()), "checks": checks})


def judge(numbers: Numbers) -> Outcome:
    """Judge the claim: it held if every sum and every part is within TOLERANCE of finite differences."""
    checks = numbers["checks"]
    worst = {name: max(c[name] for c in checks) for name in ("sum", "part")}
    last = float(np.median([c["last"] for c in checks]))
    measured = (
        f"in {len(checks)} networks, the sum of the steps' parts is within {worst['sum']:.0e} of finite differences, "
        f"and each part within {worst['part']:.0e} (relative to the gradient); the last step's part alone is off by "
        f"{last:.0%}."
    )
    wrong = [c["network"] for c in checks if max(c["sum"], c["part"]) > TOLERANCE]
    why = f"More than {TOLERANCE:.0e} off: {', '.join(wrong)}." if wrong else ""
    return Outcome(numbers, measured, verdict(not wrong, len(wrong) < len(checks)), why)


def numbers_of(network: Network) -> dict[str, Any]:
    """Return every number of the two passes, as the figure shows them."""
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


def tables(numbers: Numbers) -> list[Table]:
    """Return the parts of the gradient in the figure, and the errors of all networks."""
    d = numbers["drawn"]
    entries = [
        [f"{i + 1},{j + 1}", *(part[i][j] for part in d["parts"]), d["sum"][i][j], d["differences"][i][j]]
        for i, j in np.ndindex(2, 2)
    ]
    steps = [f"step {t + 1}" for t in range(len(d["parts"]))]
    checks = [[c["network"], c["steps"], c["sum"], c["part"], c["last"]] for c in numbers["checks"]]
    header = ["network", "steps", "sum of parts", "worst part", "last part alone"]
    return [
        Table("dW_hh of the network in the figure, by step", ["entry", *steps, "sum", "differences"], entries),
        Table("Distance from finite differences, relative to the gradient's norm", header, checks),
    ]


# ---- the figure: the forward pass above, the backward pass below, one column per step


@plots.style()
def draw(numbers: Numbers) -> Any:
    """Return a figure of the unrolled network with the numbers of both passes."""
    figure, (above, below) = plots.new_figure(7.2, 5.0, rows=2)
    d = numbers["drawn"]
    for axes, top, draw_pass in ((above, 2.4, _draw_forward), (below, 2.45, _draw_backward)):
        axes.set(xlim=(-0.75, len(d["x"]) + 0.62), ylim=(-0.35, top))
        axes.axis("off")
        draw_pass(axes, d)
    return figure


def _draw_forward(axes: Any, d: Numbers) -> None:
    T = len(d["x"])
    axes.set_title("forward  →", loc="left", fontweight="bold", pad=2)
    _box(axes, -0.55, 1, "$h_0$\n" + _column([0, 0]), edge="0.6")
    for t in range(T):
        _box(axes, t, -0.15, f"$x_{t + 1}$ = {_number(d['x'][t])}", edge="0.6")
        _box(axes, t, 1, f"$h_{t + 1}$\n" + _column(d["h"][t]))
        output = f"$y_{t + 1}$ = {_number(d['y'][t])}\ntarget {_number(d['targets'][t])}"
        _box(axes, t, 2.1, f"{output}\n$L_{t + 1}$ = {_number(d['losses'][t])}", edge="0.6")
        _arrow(axes, (t, 0.06), (t, 0.6), right="$W_{ih}$")
        _arrow(axes, (t, 1.4), (t, 1.7), right="$v$")
        _arrow(axes, (t - (0.36 if t == 0 else 0.79), 1), (t - 0.21, 1), above="$W_{hh}$")
    weights = (
        f"the same weights at each step\n$W_{{ih}}$ = {_row(d['W_ih'])}$^T$\n$W_{{hh}}$ = {_row(d['W_hh'][0])}\n"
        f"            {_row(d['W_hh'][1])}\n$b$ = {_row(d['b'])}$^T$\n$v$ = {_row(d['v'])}"
    )
    axes.text(T - 0.5, 0.95, weights, va="center", fontsize=7.5, linespacing=1.4)
    axes.text(T - 0.5, 2.1, f"$L = \\Sigma L_t$ = {_number(sum(d['losses']))}", va="center", fontsize=8)


def _draw_backward(axes: Any, d: Numbers) -> None:
    T = len(d["x"])
    axes.set_title("←  backward", loc="left", fontweight="bold", pad=2)
    for t in range(T):
        _box(axes, t, 2.1, f"from $L_{t + 1}$\n{_row(d['own'][t])}", edge="0.6")
        _box(axes, t, 1.1, f"$dh_{t + 1}$\n" + _column(d["dh"][t]))
        _box(axes, t, 0, f"step {t + 1}: $dW_{{hh}}$\n{_matrix(d['parts'][t])}", edge="0.6", family="monospace", size=7)
        _arrow(axes, (t, 1.83), (t, 1.5))
        _arrow(axes, (t, 0.7), (t, 0.4))
        axes.text(t + 0.5, 0, "+" if t + 1 < T else "=", ha="center", va="center")
        if t + 1 < T:
            _arrow(axes, (t + 0.79, 1.1), (t + 0.21, 1.1), above=_column(np.subtract(d["dh"][t], d["own"][t])))
    explanation = "$dh_t$ is the sum of the gradients\nfrom the step's own loss and\nfrom the next step"
    axes.text(T - 0.5, 1.4, explanation, va="center", fontsize=7.5)
    total = f"$dW_{{hh}}$\n{_matrix(d['sum'])}\nby finite differences\n{_matrix(d['differences'])}"
    axes.text(T - 0.35, 0.18, total, va="center", fontsize=7, family="monospace", linespacing=1.25)


def _box(axes: Any, x: float, y: float, text: str, edge: str = "0", size: float = 7.5, **options: Any) -> None:
    frame = {"boxstyle": "round,pad=0.3", "fc": "white", "ec": edge}
    axes.text(x, y, text, ha="center", va="center", bbox=frame, zorder=3, fontsize=size, **options)


def _arrow(axes: Any, start: Any, end: Any, right: str = "", above: str = "") -> None:
    """Draw an arrow from `start` to `end`, with a text to its right or above."""
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "0", "lw": 0.9, "shrinkA": 0, "shrinkB": 0})
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    axes.text(x + 0.05, y, right, va="center", fontsize=7.5)
    axes.text(x, y + 0.07, above, ha="center", va="bottom", fontsize=7)


def _number(value: float) -> str:
    """Return a number with two decimals and a typographic minus sign."""
    return f"{value + 0.0:.2f}".replace("-0.00", "0.00").replace("-", "\N{MINUS SIGN}")


def _row(values: Sequence[float]) -> str:
    return "(" + ", ".join(map(_number, values)) + ")"


def _column(values: Sequence[float]) -> str:
    return "\n".join(map(_number, values))


def _matrix(rows: Sequence[Sequence[float]]) -> str:
    return "\n".join(" ".join(f"{_number(v):>5}" for v in row) for row in rows)
