"""How far back does a gradient reach, and does a network remember for as long?

The course says: an RNN forgets in 10 to 15 steps, an LSTM remembers for 100 and more. The reason given is the gradient.
Each step of the backward pass multiplies it by the step's Jacobian. The Jacobian of an RNN is W_hh^T diag(1 - h^2), so
the norm of the gradient decays or grows exponentially with the distance (Bengio, Simard and Frasconi 1994; Pascanu,
Mikolov and Bengio 2013). An LSTM has a second path, through its cell c, on which a step multiplies the gradient only by
the forget gate f (Hochreiter and Schmidhuber 1997): with f near 1, nothing is lost.

The method. The network reads a symbol and then noise (`minirnn.course.recall`), and outputs the symbol at each step.
`minirnn.recurrent.inspection.influence` gives the norm of dL_t/dh_s: the part of the gradient of step t's loss that
arrives at step s. Divided by its value at s = t, it is a share, 1 at distance 0. The reach is the first distance at
which this share is below 1%. The reach of an LSTM is measured at c, its memory. (At h, the share is lower from the
first step on; the table has both.)

    untrained   with the initial weights: uniform over ±1/√H
    trained     on sequences with a new symbol every 20 steps on average
    swept       untrained, with a given spectral radius of the RNN's W_hh, or a given forget bias of the LSTM
    by gates    with the gradient blocked at the recurrent weights of some gates, to see which gates carry it

For comparison, the experiment measures how often the trained network outputs the correct symbol after a number of steps
of noise. This accuracy and the reach do not have to agree. A unit that keeps a value in spite of noise corrects small
changes of it, so the gradient through this unit must vanish, however long the unit remembers (Bengio et al. 1994). The
reach limits learning: here, short gaps between symbols teach the network a behaviour that also works over long gaps.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from minirnn import nn, no_grad, plots, random
from minirnn.course.experiment import Effort, Numbers, Outcome, Progress, Table, tracked, verdict, where
from minirnn.course.fitting import fit
from minirnn.course.recall import CHANCE, HALFWAY, SYMBOLS, TOKENS, at_random
from minirnn.language.model import LanguageModel
from minirnn.recurrent.inspection import gates, influence
from minirnn_kernels.cell import CELLS

CLAIM = "An RNN forgets in 10 to 15 steps; an LSTM remembers for 100 steps and more."
SOURCE = "The course's lecture on vanishing gradients; Bengio, Simard and Frasconi (1994), Pascanu et al. (2013)."

KINDS = ("rnn", "lstm", "gru")  # the networks of the claim
MEMORY = {kind: CELLS[kind].states[-1] for kind in KINDS}  # the state at which the reach is measured
RADII = (0.5, 0.8, 1.0, 1.1, 1.25, 1.5, 2.0)
FORGET_BIASES = (-1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
CARRY = {"lstm": "f", "gru": "z"}  # the gate that multiplies the previous memory
# The gates whose recurrent weights pass the gradient: all, none, or one.
PATHS = {kind: ("".join(CELLS[kind].gates), "", *CELLS[kind].gates) for kind in CARRY}
DISTANCES = (1, 10, 50, 100)  # steps
FAINT = 0.01  # the share that defines the reach
ROWS = 20  # the number of final steps whose losses are traced back
SEQUENCES = 16  # the number of sequences on which the shares are measured
HIDDEN = 64
SYMBOL_RATE = 0.05  # the probability of a new symbol at a step, in training
EFFORTS = {"quick": (1, 120, 125), "default": (3, 600, 160), "full": (5, 1000, 260)}  # seeds, training steps, length


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    """Measure each kind of network untrained and trained, then the swept networks, and judge the claim."""
    count, steps, length = EFFORTS[effort]
    seeds, states = range(seed, seed + count), ("untrained", "trained")
    numbers: dict[str, Any] = {"threshold": FAINT, "longest": length - ROWS}
    numbers |= {state: {kind: [] for kind in KINDS} for state in states}
    numbers |= {"ways": {kind: {state: [] for state in states} for kind in PATHS}, "example": {}}
    for (kind, s), _ in tracked(
        list(itertools.product(KINDS, seeds)),
        lambda done, what: progress(0.75 * done, what),
        lambda item: f"{CELLS[item[0]].title}, seed {item[1]}",
    ):
        model = network(kind, s)
        for state in states:
            loss = {"loss": train(model, steps, s)} if state == "trained" else {}
            numbers[state][kind].append(measure(model, length) | loss)
            if kind in PATHS:
                numbers["ways"][kind][state].append(by_paths(model, length))
        if s == seed and kind in ("rnn", "lstm"):
            numbers["example"][kind] = example(model)
    numbers["swept"] = [
        {
            "kind": kind,
            "value": value,
            "reach": [measure(network(kind, s, value), length)["reach"][MEMORY[kind]] for s in seeds],
        }
        for (kind, value), _ in tracked(
            [("rnn", radius) for radius in RADII] + [("lstm", bias) for bias in FORGET_BIASES],
            lambda done, what: progress(0.75 + 0.25 * done, what),
            lambda item: f"{CELLS[item[0]].title}, {item[1]}",
        )
    ]
    return judge(numbers)


def network(kind: str, seed: int, value: float | None = None) -> LanguageModel:
    """Return an untrained network; `value` sets the spectral radius of an RNN's W_hh or an LSTM's forget bias."""
    random.manual_seed(seed)
    model = LanguageModel(TOKENS, kind, hidden=HIDDEN, embedding=16, dtype=np.float64)
    if value is not None and kind == "rnn":
        W_hh = model.rnn.weight_hh_l0
        W_hh.data *= value / np.abs(np.linalg.eigvals(W_hh.data)).max()
        W_hh.bump_version()
    elif value is not None:
        nn.init.forget_bias_(model.rnn, value)
    return model


def train(model: LanguageModel, steps: int, seed: int, T: int = 60, B: int = 32) -> float:
    """Train in float32 on sequences with symbols at random steps; return the mean loss of the last tenth of steps."""
    model.to(np.float32)
    rng = np.random.default_rng([seed, 1])

    def loss_of(step: int) -> Any:
        ids, targets = at_random(rng, T, B, SYMBOL_RATE)
        return nn.cross_entropy(model(ids)[0].reshape(T * B, TOKENS), targets.reshape(-1))

    losses = fit(model, loss_of, steps)
    model.to(np.float64)
    return float(np.mean(losses[-steps // 10 :]))


def measure(model: LanguageModel, length: int) -> dict[str, Any]:
    """Return the shares by distance, the reach and the accuracy, on sequences of one symbol and then noise."""
    shares = _shares(model, length)
    ids, targets = at_random(np.random.default_rng(1), length, 200, 0.0)
    with no_grad():
        right = np.mean(model(ids)[0].data.argmax(-1) == targets, axis=1)
    return {
        "share": {name: _short(share) for name, share in shares.items()},
        "reach": {name: reach(share) for name, share in shares.items()},
        "right": _short(right),
    }


def by_paths(model: LanguageModel, length: int) -> dict[str, list[float]]:
    """Return the shares by distance with the gradient passing only through the recurrent weights of certain gates."""
    kind = model.rnn.kind
    return {path: _short(_shares(model, length, path)[MEMORY[kind]]) for path in PATHS[kind]}


def _shares(model: LanguageModel, length: int, through: str | None = None) -> dict[str, np.ndarray]:
    """Return `over_distance` of the gradient at each state, always on the same sequences."""
    ids, targets = at_random(np.random.default_rng(0), length, SEQUENCES, 0.0)
    return {name: over_distance(matrix) for name, matrix in _influence(model, ids, targets, through, ROWS).items()}


def example(model: LanguageModel, T: int = 40) -> dict[str, Any]:
    """Return a sequence with three symbols: its tokens, its influence matrix, and the forget gates of an LSTM."""
    ids, _ = at_random(np.random.default_rng(0), T, 1, 0.0)
    symbols = [0, 2, 1]
    ids[[0, 14, 28], 0] = symbols
    targets = np.repeat(symbols, [14, 14, T - 28])[:, None]
    matrix = _influence(model, ids, targets)[MEMORY[model.rnn.kind]]
    shown = {"tokens": [word(token) for token in ids[:, 0]], "influence": _short(matrix)}
    if model.rnn.kind == "lstm":
        f = gates(model.rnn, model.embedding.weight.data[ids])["f"][:, 0]
        shown["f"] = _short(f[:, np.argsort(f.mean(axis=0))])
    return shown


def word(token: int) -> str:
    """Return the text for a token: a capital letter for a symbol, a dot for noise."""
    return "ABCD"[token] if token < SYMBOLS else "·"


def over_distance(matrix: np.ndarray) -> np.ndarray:
    """Return the shares left after 0, 1, … T - ROWS - 1 steps, from norms (T, T): medians of the last ROWS losses."""
    T = len(matrix)
    rows = [matrix[t, t::-1][: T - ROWS] / matrix[t, t] for t in range(T - ROWS, T)]
    return np.asarray(np.median(rows, axis=0))


def reach(share: np.ndarray) -> int | None:
    """Return the first distance at which less than 1% is left; None if there is none."""
    under = np.flatnonzero(share < FAINT)
    return int(under[0]) if len(under) else None


def _influence(
    model: LanguageModel, ids: Any, targets: Any, through: str | None = None, rows: int | None = None
) -> dict[str, np.ndarray]:
    """Return the influence matrices of the losses at all steps, or only at the last `rows` steps."""
    with no_grad():
        logits, _ = model(ids)
    dlogits = nn.softmax(logits.data, axis=-1) - np.eye(TOKENS)[targets]
    dh = dlogits @ model.linear.weight.data
    if rows is not None:
        dh[:-rows] = 0
    return influence(model.rnn, model.embedding.weight.data[ids], dh, through=through)


def judge(numbers: Numbers) -> Outcome:
    """Judge the claim as six statements, by the medians over the seeds; it held in part if at least one is true.

    For the gradient, untrained and trained: the RNN's reach is 10 to 15 steps, and the LSTM's at least 100. For the
    accuracy: the RNN is nearer to chance than to 1 after 20 steps, and the LSTM nearer to 1 after 100.
    """
    longest = numbers["longest"]
    far = min(100, longest - 1)
    right = {kind: np.median([r["right"] for r in numbers["trained"][kind]], axis=0) for kind in KINDS}
    held = [bool(right["rnn"][20] < HALFWAY), bool(right["lstm"][far] > HALFWAY)]
    found = []
    for state in ("untrained", "trained"):
        rnn, lstm = (
            median_reach([r["reach"][MEMORY[kind]] for r in numbers[state][kind]], longest) for kind in ("rnn", "lstm")
        )
        held += [10 <= rnn <= 15, lstm >= 100]
        found.append(f"RNN {_steps(rnn, longest)} and LSTM {_steps(lstm, longest)} {state}")
    measured = f"the number of steps after which less than 1% of the gradient is left: {'; '.join(found)}."
    furthest = {}
    for kind in ("rnn", "lstm"):
        best = max(where(numbers["swept"], kind=kind), key=lambda s: median_reach(s["reach"], longest))
        furthest[kind] = (_steps(median_reach(best["reach"], longest), longest), best["value"])
    why = (
        f"{sum(held)} of six statements are true (for the RNN and the LSTM each: the gradient untrained, the gradient "
        f"trained, the accuracy). Untrained, the LSTM's reach is {furthest['lstm'][0]} steps with a forget "
        f"bias of {furthest['lstm'][1]:g}, and the RNN's is {furthest['rnn'][0]} with a spectral radius of "
        f"{furthest['rnn'][1]:g}. After {far} steps of noise, the trained RNN, LSTM and GRU output the correct symbol "
        f"in {right['rnn'][far]:.0%}, {right['lstm'][far]:.0%} and {right['gru'][far]:.0%} of the cases (chance: "
        f"{CHANCE:.0%})."
    )
    return Outcome(numbers, measured, verdict(all(held), any(held)), "" if all(held) else why)


def median_reach(reached: Sequence[int | None], longest: int) -> float:
    """Return the median reach of the seeds; a reach beyond `longest` counts as `longest`."""
    return float(np.median([longest if r is None else r for r in reached]))


def tables(numbers: Numbers) -> list[Table]:
    """Return the reach and accuracy of each network, the reach of the swept networks, and the shares by path."""
    longest = numbers["longest"]

    def reached(values: Sequence[int | None]) -> str:
        return " ".join(_steps(longest if v is None else v, longest) for v in values)

    kinds = [
        [
            f"{CELLS[kind].title}, {state}, at {name}",
            reached([r["reach"][name] for r in numbers[state][kind]]),
            *(float(np.median([r["share"][name][d] for r in numbers[state][kind]])) for d in (10, 50)),
            float(np.median([r["right"][100] for r in numbers[state][kind]])),
        ]
        for kind in KINDS
        for state in ("untrained", "trained")
        for name in numbers[state][kind][0]["share"]
    ]
    swept = [
        [
            f"{CELLS[s['kind']].title}, {'spectral radius' if s['kind'] == 'rnn' else 'forget bias'} {s['value']:g}",
            reached(s["reach"]),
        ]
        for s in numbers["swept"]
    ]
    paths = [
        [
            f"{CELLS[kind].title} {state}, {_path(kind, path)}",
            *(float(np.median([by_path[path][d] for by_path in seeds])) for d in DISTANCES),
        ]
        for kind, states in numbers["ways"].items()
        for state, seeds in states.items()
        for path in seeds[0]
    ]
    return [
        Table(
            "Steps until less than 1% is left, for each seed; the share left after 10 and 50 steps; accuracy after 100",
            ["network, state", "steps", "left, 10", "left, 50", "right, 100"],
            kinds,
        ),
        Table("Steps until less than 1% is left, untrained, with another initialisation", ["network", "steps"], swept),
        Table(
            "The share left if the gradient passes only through these gates",
            ["network, gates", *(f"left, {d}" for d in DISTANCES)],
            paths,
        ),
    ]


def _path(kind: str, path: str) -> str:
    return "all" if len(path) > 1 else f"{CARRY[kind]} and W_hh of {path}" if path else f"{CARRY[kind]} alone"


@plots.style()
def draw(numbers: Numbers) -> Any:
    """Return a figure of the shares by distance, the swept reach, two influence matrices and the forget gates."""
    figure, grid = plots.new_figure(7.2, 4.8, rows=2, columns=3)
    for axes, state in zip(grid[0], ("untrained", "trained"), strict=False):
        curves = {
            f"{CELLS[kind].title} ({MEMORY[kind]})": np.array([r["share"][MEMORY[kind]] for r in numbers[state][kind]])
            for kind in KINDS
        }
        curves["LSTM, f alone"] = np.array([by_path[""] for by_path in numbers["ways"]["lstm"][state]])
        plots.draw_decay(axes, curves)
        axes.set_title(state)
    grid[0, 0].set_ylabel("share of the gradient left")
    grid[0, 0].legend(loc="upper right", bbox_to_anchor=(1.02, 1.06), fontsize=7, labelspacing=0.3)
    _draw_sweep(grid[0, 2], numbers)
    for axes, kind in zip(grid[1], ("rnn", "lstm"), strict=False):
        shown = numbers["example"][kind]
        symbols = [token if token != word(SYMBOLS) else "" for token in shown["tokens"]]
        image = plots.draw_influence(axes, np.array(shown["influence"]), symbols)
        axes.set_title(f"{CELLS[kind].title}, trained")
    figure.colorbar(image, ax=grid[1, :2], pad=0.01, aspect=14, label="share of step t's gradient")
    trace = plots.draw_trace(grid[1, 2], np.array(shown["f"]), symbols)
    grid[1, 2].set(title="LSTM, trained: forget gates", xlabel="step (letter: a symbol)")
    figure.colorbar(trace, ax=grid[1, 2], pad=0.02, aspect=14)
    return figure


def _draw_sweep(axes: Any, numbers: Numbers) -> None:
    """Draw the reach against the spectral radius (lower axis) and against the forget bias (upper axis)."""
    longest, above = numbers["longest"], axes.twiny()
    for k, (kind, own, name) in enumerate((("rnn", axes, "spectral radius"), ("lstm", above, "forget bias"))):
        points = where(numbers["swept"], kind=kind)
        reached = [median_reach(s["reach"], longest) for s in points]
        own.plot([s["value"] for s in points], reached, **plots.lines(k), label=CELLS[kind].title)
        own.set_xlabel(f"{name} ({CELLS[kind].title})")
    axes.axhline(longest, color="0.4", lw=0.8)
    axes.text(0.02, longest, f"not within {longest}", transform=axes.get_yaxis_transform(), va="bottom", fontsize=7)
    axes.set(yscale="log", ylabel="steps until 1%", ylim=(3, longest * 1.6))
    above.grid(False)
    axes.legend(handles=[*axes.lines[:1], *above.lines], loc="lower right")


def _steps(steps: float, longest: int) -> str:
    return f"over {longest}" if steps >= longest else f"{steps:g}"


def _short(values: np.ndarray) -> Any:
    """Return an array as nested lists of numbers with four significant digits, for JSON."""
    return [_short(value) if np.ndim(value) else float(f"{value:.4g}") for value in values]
