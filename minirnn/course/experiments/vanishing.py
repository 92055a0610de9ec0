"""How far back does a gradient reach, and is that how long a network remembers?

The course says: an RNN forgets in 10-15 steps, an LSTM remembers 100 and more. The reason given is the gradient. Going
back one step multiplies it by the Jacobian of that step. An RNN's is W_hh^T diag(1 - h^2): its norm over d steps falls
or grows like a d-th power (Bengio, Simard and Frasconi 1994; Pascanu, Mikolov and Bengio 2013). An LSTM has a second
way back, through its cell c, where a step multiplies by the forget gate f and nothing else (Hochreiter and Schmidhuber
1997): with f near 1 nothing is lost.

What is done. The network reads a symbol and then noise (`minirnn.course.recall`), and at each step says the symbol.
`minirnn.recurrent.inspection.influence` gives the norm of dL_t/dh_s, what is left of step t's loss when it has come back to step
s. Divided by its value at s = t this is a share, 1 at distance 0; the distance at which it first falls under 1 % is
called the reach. Of an LSTM it is taken at c, its memory (at h it is lower from the first step on; the table has both).

    untrained   as the networks are initialised: weights uniform over ±1/√H
    trained     on sequences where a new symbol comes every 20 steps on average
    swept       untrained, W_hh of the RNN scaled to a spectral radius, the LSTM's forget bias set
    by gates    with the gradient kept from passing the recurrent weights of some of the gates: what carries it?

Beside the reach stands what it is meant to explain: how often the trained network says the right symbol after so many
steps of noise. The two needn't agree. A unit that holds a value against noise pulls small changes back to it, so the
gradient through it must vanish, however long it remembers (Bengio et al. 1994). What the reach limits is learning: here
short gaps between symbols teach the network what then works over long ones too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minirnn import nn, plots, random
from minirnn.course.experiment import Effort, Outcome, Progress, Table
from minirnn.course.fitting import fit
from minirnn.course.recall import SYMBOLS, TOKENS, at_random
from minirnn.autograd import no_grad
from minirnn.recurrent.inspection import gates, influence
from minirnn.language.model import LanguageModel

CLAIM = "An RNN forgets in 10-15 steps, an LSTM remembers 100 and more."
SOURCE = "The course week's lecture on vanishing gradients; Bengio, Simard and Frasconi (1994), Pascanu et al. (2013)."

KINDS = ("rnn", "lstm", "gru")
SHOWN = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
MEMORY = {"rnn": "h", "lstm": "c", "gru": "h"}  # where the reach is taken
RADII = (0.5, 0.8, 1.0, 1.1, 1.25, 1.5, 2.0)
FORGET_BIASES = (-1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
WAYS = {"lstm": ("ifgo", "", "i", "f", "g", "o"), "gru": ("rzn", "", "r", "z", "n")}
DISTANCES = (1, 10, 50, 100)
FAINT = 0.01
ROWS = 20  # the losses of so many last steps are looked back from
SEQUENCES = 16  # the shares are measured on
HIDDEN = 64
RATE = 0.05  # of new symbols, in training
EFFORTS = {"quick": (1, 120, 125), "default": (3, 600, 160), "full": (5, 1000, 260)}  # seeds, training steps, length


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    seeds, steps, length = EFFORTS[effort]
    numbers: dict[str, Any] = {"threshold": FAINT, "longest": length - ROWS, "untrained": {}, "trained": {}, "ways": {}}
    for k, kind in enumerate(KINDS):
        untrained, trained = [], []
        for run_seed in range(seed, seed + seeds):
            progress((k + (run_seed - seed) / seeds) / 4, f"{SHOWN[kind]}, seed {run_seed}")
            model = network(kind, run_seed)
            untrained.append(measure(model, length))
            losses = train(model, steps, run_seed)
            trained.append(measure(model, length) | {"loss": float(np.mean(losses[-steps // 10 :]))})
            if kind in WAYS:
                ways = numbers["ways"].setdefault(kind, {"untrained": [], "trained": []})
                ways["untrained"].append(by_ways(network(kind, run_seed), length))
                ways["trained"].append(by_ways(model, length))
            if run_seed == seed and kind != "gru":
                numbers.setdefault("example", {})[kind] = example(model)
        numbers["untrained"][kind], numbers["trained"][kind] = untrained, trained
    settings = [("rnn", r) for r in RADII] + [("lstm", b) for b in FORGET_BIASES]
    numbers["swept"] = []
    for k, (kind, value) in enumerate(settings):
        progress(0.75 + 0.25 * k / len(settings), f"{SHOWN[kind]}, {value}")
        reached = [measure(network(kind, s, value), length)["reach"][MEMORY[kind]] for s in range(seed, seed + seeds)]
        numbers["swept"].append({"kind": kind, "value": value, "reach": reached})
    return judge(numbers)


def network(kind: str, seed: int, value: float | None = None) -> LanguageModel:
    """A network for the task; value: the spectral radius of an RNN's W_hh, an LSTM's forget bias, or as it comes."""
    random.manual_seed(seed)
    model = LanguageModel(TOKENS, kind, hidden=HIDDEN, embedding=16, dtype=np.float64)
    if value is not None and kind == "rnn":
        W_hh = model.rnn.weight_hh_l0
        W_hh.data *= value / np.abs(np.linalg.eigvals(W_hh.data)).max()
        W_hh.bump_version()
    elif value is not None:
        nn.init.forget_bias_(model.rnn, value)
    return model


def train(model: LanguageModel, steps: int, seed: int, T: int = 60, B: int = 32) -> list[float]:
    """Train it, in float32, on sequences with symbols at random; each step's loss."""
    model.to(np.float32)
    rng = np.random.default_rng([seed, 1])

    def loss_of(step: int) -> Any:
        ids, targets = at_random(rng, T, B, RATE)
        return nn.cross_entropy(model(ids)[0].reshape(T * B, TOKENS), targets.reshape(-1))

    losses, _ = fit(model, loss_of, steps)
    model.to(np.float64)
    return losses


def measure(model: LanguageModel, length: int) -> dict[str, Any]:
    """On sequences of a symbol and then noise: the shares over distance, the reach, how often the answer is right."""
    shares = _shares(model, length)
    ids, targets = at_random(np.random.default_rng(1), length, 200, 0.0)
    with no_grad():
        right = np.mean(model(ids)[0].data.argmax(-1) == targets, axis=1)
    return {
        "share": {name: _short(share) for name, share in shares.items()},
        "reach": {name: reach(share) for name, share in shares.items()},
        "right": _short(right),
    }


def by_ways(model: LanguageModel, length: int) -> dict[str, list[float]]:
    """The shares over distance where the gradient passes only the recurrent weights of these gates."""
    kind = model.rnn.kind
    return {way: _short(_shares(model, length, way)[MEMORY[kind]]) for way in WAYS[kind]}


def _shares(model: LanguageModel, length: int, through: str | None = None) -> dict[str, np.ndarray]:
    """`over_distance` of the gradient at each state, always on the same sequences."""
    ids, targets = at_random(np.random.default_rng(0), length, SEQUENCES, 0.0)
    return {name: over_distance(matrix) for name, matrix in _influence(model, ids, targets, through, ROWS).items()}


def example(model: LanguageModel, T: int = 40) -> dict[str, Any]:
    """One sequence with three symbols: its tokens, its influence matrix, and an LSTM's forget gates."""
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
    """How a token is shown: symbols as capitals, noise as a dot."""
    return "ABCD"[token] if token < SYMBOLS else "·"


def over_distance(matrix: np.ndarray) -> np.ndarray:
    """(T, T) norms -> the share that is left after 0, 1, … T - ROWS - 1 steps: the median over the last ROWS losses."""
    T = len(matrix)
    rows = [matrix[t, t::-1][: T - ROWS] / matrix[t, t] for t in range(T - ROWS, T)]
    return np.asarray(np.median(rows, axis=0))


def reach(share: np.ndarray) -> int | None:
    """The first distance at which less than 1 % is left; None if there is none."""
    under = np.flatnonzero(share < FAINT)
    return int(under[0]) if len(under) else None


def _influence(
    model: LanguageModel, ids: Any, targets: Any, through: str | None = None, rows: int | None = None
) -> dict[str, np.ndarray]:
    """The influence matrices of the loss at each step, or at the last `rows` only."""
    with no_grad():
        logits, _ = model(ids)
    dlogits = nn.softmax(logits.data, axis=-1) - np.eye(TOKENS)[targets]
    dh = dlogits @ model.linear.weight.data
    if rows is not None:
        dh[:-rows] = 0
    return influence(model.rnn, model.embedding.weight.data[ids], dh, through=through)


def judge(numbers: dict[str, Any]) -> Outcome:
    """The claim is taken as six statements, judged by the medians of the seeds.

    Of the gradient, untrained and trained: the RNN's reach is 10 to 15 steps, the LSTM's at least 100. Of the answers:
    nearer to chance than to 1 after 20 steps (RNN), nearer to 1 after 100 (LSTM).
    """
    longest = numbers["longest"]
    far = min(100, longest - 1)
    right = {k: np.median([r["right"] for r in numbers["trained"][k]], axis=0) for k in KINDS}
    halfway = (1 + 1 / SYMBOLS) / 2
    held = [bool(right["rnn"][20] < halfway), bool(right["lstm"][far] > halfway)]
    found = []
    for state in ("untrained", "trained"):
        rnn, lstm = (median_reach([r["reach"][MEMORY[k]] for r in numbers[state][k]], longest) for k in ("rnn", "lstm"))
        held += [10 <= rnn <= 15, lstm >= 100]
        found.append(f"RNN {_steps(rnn, longest)}, LSTM {_steps(lstm, longest)} steps {state}")
    measured = f"under 1 % of the gradient is left after: {'; '.join(found)}."
    if all(held):
        return Outcome(numbers, measured, "held")
    best = {
        kind: max((s for s in numbers["swept"] if s["kind"] == kind), key=lambda s: median_reach(s["reach"], longest))
        for kind in ("rnn", "lstm")
    }
    furthest = {kind: _steps(median_reach(s["reach"], longest), longest) for kind, s in best.items()}
    why = (
        f"{sum(held)} of six statements hold (gradient and answers, RNN and LSTM, the gradient untrained and trained). "
        f"Untrained, the LSTM reaches {furthest['lstm']} steps with a forget bias of "
        f"{best['lstm']['value']:g}, and the RNN {furthest['rnn']} with a spectral "
        f"radius of {best['rnn']['value']:g}. What they remember: after {far} steps of noise the trained RNN, LSTM and "
        f"GRU say the right symbol in {right['rnn'][far]:.0%}, {right['lstm'][far]:.0%} and {right['gru'][far]:.0%} of "
        f"the cases (chance: {1 / SYMBOLS:.0%})."
    )
    return Outcome(numbers, measured, "held in part" if any(held) else "did not hold", why)


def median_reach(reached: Sequence[int | None], longest: int) -> float:
    """The median of the seeds' reaches; where there is none within `longest`, it counts as that."""
    return float(np.median([longest if r is None else r for r in reached]))


def tables(numbers: Mapping[str, Any]) -> list[Table]:
    longest = numbers["longest"]

    def reached(values: Sequence[int | None]) -> str:
        return " ".join(_steps(longest if v is None else v, longest) for v in values)

    kinds: list[list[str | float]] = [
        [
            f"{SHOWN[kind]}, {state}, at {name}",
            reached([r["reach"][name] for r in numbers[state][kind]]),
            *(float(np.median([r["share"][name][d] for r in numbers[state][kind]])) for d in (10, 50)),
            float(np.median([r["right"][100] for r in numbers[state][kind]])),
        ]
        for kind in KINDS
        for state in ("untrained", "trained")
        for name in numbers[state][kind][0]["share"]
    ]
    swept: list[list[str]] = [
        [f"{SHOWN[s['kind']]}, {'spectral radius' if s['kind'] == 'rnn' else 'forget bias'} {s['value']:g}",
         reached(s["reach"])]
        for s in numbers["swept"]
    ]  # fmt: skip
    ways: list[list[str | float]] = [
        [
            f"{SHOWN[kind]} {state}, {_way(kind, way)}",
            *(float(np.median([by_way[way][d] for by_way in seeds])) for d in DISTANCES),
        ]
        for kind, states in numbers["ways"].items()
        for state, seeds in states.items()
        for way in seeds[0]
    ]
    return [
        Table("Steps until under 1 % is left, of each seed; what is left after 10 and 50; answers right after 100",
              ["network, state", "steps", "left, 10", "left, 50", "right, 100"], kinds),
        Table("The same untrained, with another initialisation", ["network", "steps"], swept),
        Table("What is left where the gradient passes these ways only",
              ["network, ways", *(f"left, {d}" for d in DISTANCES)], ways),
    ]  # fmt: skip


def _way(kind: str, way: str) -> str:
    carried = {"lstm": "f", "gru": "z"}[kind]
    return "all" if len(way) > 1 else f"{carried} and W_hh of {way}" if way else f"{carried} alone"


@plots.style()
def draw(numbers: Mapping[str, Any]) -> Any:
    figure, grid = plots.new_figure(7.2, 4.8, rows=2, columns=3)
    for axes, state in zip(grid[0], ("untrained", "trained"), strict=False):
        curves = {
            f"{SHOWN[kind]} ({MEMORY[kind]})": np.array([r["share"][MEMORY[kind]] for r in numbers[state][kind]])
            for kind in KINDS
        }
        curves["LSTM, f alone"] = np.array([by_way[""] for by_way in numbers["ways"]["lstm"][state]])
        plots.draw_decay(axes, curves)
        axes.set_title(state)
    grid[0, 0].set_ylabel("share of the gradient left")
    grid[0, 0].legend(loc="upper right", bbox_to_anchor=(1.02, 1.06), fontsize=7, labelspacing=0.3)
    _draw_sweep(grid[0, 2], numbers)
    for axes, kind in zip(grid[1], ("rnn", "lstm"), strict=False):
        shown = numbers["example"][kind]
        image = plots.draw_influence(axes, np.array(shown["influence"]), _symbols(shown["tokens"]))
        axes.set_title(f"{SHOWN[kind]}, trained")
    figure.colorbar(image, ax=grid[1, :2], pad=0.01, aspect=14, label="share of step t's gradient")
    shown = numbers["example"]["lstm"]
    trace = plots.draw_trace(grid[1, 2], np.array(shown["f"]), _symbols(shown["tokens"]))
    grid[1, 2].set(title="LSTM, trained: forget gates", xlabel="step (letter: a symbol)")
    figure.colorbar(trace, ax=grid[1, 2], pad=0.02, aspect=14)
    return figure


def _draw_sweep(axes: Any, numbers: Mapping[str, Any]) -> None:
    """The reach over the spectral radius (below) and over the forget bias (above)."""
    longest, above = numbers["longest"], axes.twiny()
    for k, (kind, own, name) in enumerate((("rnn", axes, "spectral radius"), ("lstm", above, "forget bias"))):
        points = [s for s in numbers["swept"] if s["kind"] == kind]
        reached = [median_reach(s["reach"], longest) for s in points]
        own.plot([s["value"] for s in points], reached, **plots.lines(k), label=SHOWN[kind])
        own.set_xlabel(f"{name} ({SHOWN[kind]})")
    axes.axhline(longest, color="0.4", lw=0.8)
    axes.text(0.02, longest, f"not within {longest}", transform=axes.get_yaxis_transform(), va="bottom", fontsize=7)
    axes.set(yscale="log", ylabel="steps until 1 %", ylim=(3, longest * 1.6))
    above.grid(False)
    axes.legend(handles=[*axes.lines[:1], *above.lines], loc="lower right")


def _symbols(tokens: Sequence[str]) -> list[str]:
    return [token if token != word(SYMBOLS) else "" for token in tokens]


def _steps(steps: float, longest: int) -> str:
    return f"over {longest}" if steps >= longest else f"{steps:g}"


def _short(values: np.ndarray) -> Any:
    """As JSON holds them: lists, to four digits."""
    if values.ndim > 1:
        return [_short(row) for row in values]
    return [float(f"{v:.4g}") for v in values]
