"""How long can a recurrent network be taught to remember?

The claim. The course says that a simple recurrent network forgets within 10 to 15 steps and that an LSTM remembers
over 100 and more. In the simple network everything that is to be kept goes through a matrix and a tanh at each step,
and so does the gradient on its way back, which shrinks each time; the LSTM adds to its cell instead, and a forget gate
near 1 lets both pass.

The tasks (`memory_tasks.py`) can be solved only by who remembers: which key was the first symbol, what do the two
marked numbers add up to, in which order did two symbols come (all after Hochreiter and Schmidhuber 1997), and giving
back ten symbols (after Arjovsky, Shah and Bengio 2016). What matters and the answer lie at least `lag` steps apart.

What is done. For each lag a fresh network of one layer is trained with Adam on fresh batches of 16 sequences, its
gradient's norm clipped at 1. Every 100 steps it is measured on 200 new sequences; it stops when its error is below 2 %
of that of doing nothing (always giving the best constant answer), or when its steps are used up. 1,000 further
sequences then say how well it does. **Solved** is an error below 10 % of that of doing nothing; a random answer has
100 % (in the adding task 200 %).

All networks get the same batches, rate, clipping and number of steps, and no curriculum: lag 100 is learnt at lag 100.
They start as in PyTorch, but for the LSTM's and the GRU's gates: their biases are drawn so that the units hold
between 1 step and as many as the sequence has (`nn.init.chrono_`; Tallec and Ollivier 2018). The simple network has no
gate that could be told so. What this start is worth is seen in the row "LSTM, plain start", which begins as in PyTorch.

Three choices favour the claim. The rate and the number of steps were chosen so that the LSTM learns both tasks at lag
100 with every seed that was tried; the RNN got the same. And the first-symbol task has 8 keys, which is hard for the
RNN: units that are driven into saturation stay there, which can keep a few keys apart for good, but with 8 it confuses
some. `python benchmarks/memory_lag100.py --keys 4` shows how it does with fewer.

By default: two tasks, 128 units, one seed, 2,000 steps. With --full 3,000 steps and 5 seeds: first RNN and LSTM at
lag 100 (`lag_100`, some 8 minutes), then all networks and tasks at lags from 5 to 500, at most 9 hours on one core,
then 256 and 512 units at lag 100, at most 9 more; what is learnt early takes less.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from minirnn import nn, no_grad, plots, random
from minirnn.course.experiment import Effort, Outcome, Progress, Table
from minirnn.course.fitting import fit
from minirnn.course.memory_tasks import TASKS, Task
from minirnn.language.model import CELLS
from minirnn.autograd import Tensor

CLAIM = "A simple RNN forgets within 10 to 15 steps; an LSTM remembers over 100 and more."
SOURCE = "The course's lecture on long-term dependencies; Hochreiter and Schmidhuber 1997, section 5."

SOLVED = 0.1  # of the error of doing nothing
ENOUGH = 0.02  # training stops here
MOST = 0.8  # of the seeds: 4 of 5
CHECK_EVERY, CHECKED, TESTED = 100, 200, 1000
BATCH, RATE, CLIP = 16, 0.003, 1.0

PLAIN = "LSTM, plain start"
KINDS = {"RNN": "rnn", "LSTM": "lstm", "GRU": "gru", PLAIN: "lstm"}
LAGS = (5, 10, 20, 50, 100, 200, 500)
SEEDS = 5


@dataclass(frozen=True)
class Setting:
    """One network to train: a key of TASKS, a key of KINDS, and at most so many steps of training."""

    task: str
    network: str
    lag: int
    hidden: int = 128
    seed: int = 0
    steps: int = 3000


class Reader(nn.Module):
    """One recurrent layer over the inputs (T, B, I), and a linear one on the last `answers` steps' states."""

    def __init__(self, task: Task, network: str, lag: int, hidden: int) -> None:
        self.answers = task.answers
        self.rnn = CELLS[KINDS[network]](task.inputs, hidden)
        self.linear = nn.Linear(hidden, task.outputs)
        if network in ("LSTM", "GRU"):
            nn.init.chrono_(self.rnn, longest=max(3, lag))

    def forward(self, x: Any) -> Tensor:
        """x (T, B, I) -> (answers, B, outputs)."""
        out, _ = self.rnn(x)
        return self.linear(out[-self.answers :])


def measure(setting: Setting) -> dict[str, Any]:
    """Train and test one network: its setting, the curve [[steps, error], ...], steps trained and error at the end.

    Errors are shares of that of doing nothing. An error that isn't finite counts as None.
    """
    task, draws = TASKS[setting.task], np.random.default_rng([setting.seed, setting.lag])
    random.manual_seed(setting.seed)
    model = Reader(task, setting.network, setting.lag, setting.hidden)

    def loss_of(step: int) -> Tensor:
        x, targets = task.draw(draws, setting.lag, BATCH)
        return task.loss(model(x), targets)

    checks = np.random.default_rng([setting.seed, setting.lag, 1])
    curve = [[0, error(model, task, setting.lag, checks, CHECKED)]]

    def told(step: int, loss: float) -> bool:
        if step % CHECK_EVERY == 0:
            curve.append([step, error(model, task, setting.lag, checks, CHECKED)])
        return curve[-1][1] < ENOUGH

    losses, _ = fit(model, loss_of, setting.steps, lr=RATE, clip_norm=CLIP, told=told)
    final = error(model, task, setting.lag, np.random.default_rng([setting.seed, setting.lag, 2]), TESTED)
    finite = [[step, value] for step, value in curve if math.isfinite(value)]
    return {
        **asdict(setting),
        "curve": finite,
        "trained": len(losses),
        "error": final if math.isfinite(final) else None,
    }


def error(model: Reader, task: Task, lag: int, rng: np.random.Generator, count: int) -> float:
    """The error on `count` new sequences, as a share of that of doing nothing."""
    x, targets = task.draw(rng, lag, count)
    with no_grad():
        return task.error(model(x).data, targets)


def lag_100(seed: int = 0) -> list[Setting]:
    """What the claim is judged by first: two tasks at a lag of 100, RNN and LSTM, 5 seeds."""
    grid = itertools.product(("first symbol", "adding"), range(seed, seed + SEEDS), ("LSTM", "RNN"))
    return [Setting(task, network, 100, seed=s) for task, s, network in grid]


def settings(effort: Effort, seed: int) -> list[Setting]:
    """What is trained, in this order, each once."""
    if effort == "quick":
        grid = itertools.product((5, 20, 100), ("RNN", "LSTM"))
        return [Setting("first symbol", network, lag, 64, seed, 300) for lag, network in grid]
    if effort == "default":
        tasks = itertools.product(("first symbol", "adding"), (5, 10, 20, 50, 100), ("RNN", "LSTM"))
        plain = Setting("first symbol", PLAIN, 100, seed=seed, steps=2000)
        return [*(Setting(task, network, lag, seed=seed, steps=2000) for task, lag, network in tasks), plain]
    seeds = range(seed, seed + SEEDS)
    lags = (Setting(t, n, lag, 128, s) for lag, t, n, s in itertools.product(LAGS, TASKS, KINDS, seeds))
    sizes = (
        Setting(t, n, 100, h, s) for h, t, n, s in itertools.product((256, 512), TASKS, ("RNN", "LSTM", "GRU"), seeds)
    )
    return list(dict.fromkeys([*lag_100(seed), *lags, *sizes]))


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    """Train all settings of the effort and judge."""
    return judged(list(measured(settings(effort, seed), progress)))


def measured(todo: Sequence[Setting], progress: Progress) -> Iterator[dict[str, Any]]:
    """Each setting's result, in order."""
    total = sum(cost(setting) for setting in todo)
    done = 0.0
    for setting in todo:
        progress(done / total, f"{setting.task}, {setting.network}, lag {setting.lag}, {setting.hidden} units")
        yield measure(setting)
        done += cost(setting)


def cost(setting: Setting) -> float:
    """About how long it takes, in no unit: for the progress bar."""
    gates = {"rnn": 1, "gru": 3, "lstm": 4}[KINDS[setting.network]]
    return gates * setting.steps * (setting.lag + 10) * setting.hidden * (setting.hidden + 100)


def judged(results: list[dict[str, Any]]) -> Outcome:
    """Held: the RNN solved no task at a lag of 20 or more, the LSTM each at 100 or more, a plain one too.

    Did not hold: neither of the first two. The rest is in part. A plain start that wasn't tried doesn't count.
    """
    longest = {network: longest_solved(results, network) for network in ("RNN", "LSTM")}
    forgets = max(longest["RNN"].values()) < 20
    remembers = min(longest["LSTM"].values()) >= 100
    plain = [r for r in results if r["network"] == PLAIN and r["lag"] >= 100]
    unaided = not plain or min(longest_solved(plain, PLAIN).values()) >= 100
    steps = max(r["steps"] for r in results)
    why = [
        f"The RNN still learnt a lag of {max(longest['RNN'].values())}." * (not forgets),
        f"The LSTM did not learn a lag of 100 in every task within {steps:,} steps." * (not remembers),
        f"An LSTM that starts as in PyTorch did not learn a lag of 100 within {steps:,} steps: its forget gates start "
        "near 1/2, and the cell fades as the RNN does. It is the start with open forget gates that remembers."
        * (not unaided),
    ]
    said = [
        f"{network}: " + ", ".join(f"{task} {lag}" for task, lag in lags.items()) for network, lags in longest.items()
    ]
    return Outcome(
        {"results": results, "solved_below": SOLVED},
        f"longest lag learnt within {steps:,} steps of training (longest tried: {max(r['lag'] for r in results)}), "
        + "; ".join(said)
        + ".",
        "held" if forgets and remembers and unaided else "held in part" if forgets or remembers else "did not hold",
        " ".join(filter(None, why)),
    )


def longest_solved(results: Sequence[Mapping[str, Any]], network: str) -> dict[str, int]:
    """For each task the longest lag that this network solved in 4 of 5 seeds, at its smallest size; 0 if none."""
    own = smallest(results)
    return {
        task: max((lag for lag in distinct(own, "lag") if solved_share(own, task, network, lag) >= MOST), default=0)
        for task in distinct(own, "task")
    }


def smallest(results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The results of the fewest hidden units."""
    fewest = min(r["hidden"] for r in results)
    return [r for r in results if r["hidden"] == fewest]


def solved_share(results: Sequence[Mapping[str, Any]], task: str, network: str, lag: int) -> float:
    """Share of the seeds that solved it; 0 where there are none."""
    errors = errors_of(results, task, network, lag)
    return sum(e < SOLVED for e in errors) / max(1, len(errors))


def errors_of(results: Sequence[Mapping[str, Any]], task: str, network: str, lag: int) -> list[float]:
    """The errors of the seeds; infinite where training diverged."""
    rows = [r for r in results if (r["task"], r["network"], r["lag"]) == (task, network, lag)]
    return [math.inf if r["error"] is None else r["error"] for r in rows]


def distinct(results: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    """The values under `key`, each once: numbers by size, networks and tasks as they are listed above."""
    known = {"network": list(KINDS), "task": list(TASKS)}
    return sorted({r[key] for r in results}, key=known[key].index if key in known else None)


def tables(numbers: Mapping[str, Any]) -> list[Table]:
    """For each task the error of each network at each lag."""
    results = numbers["results"]
    lags = distinct(results, "lag")
    shown = []
    for task in distinct(results, "task"):
        rows: list[list[str | int]] = []
        for hidden, network in itertools.product(distinct(results, "hidden"), distinct(results, "network")):
            own = [r for r in results if r["hidden"] == hidden]
            cells = [_cell(errors_of(own, task, network, lag)) for lag in lags]
            if any(cells):
                rows.append([network, hidden, *cells])
        rows.append(["doing nothing", "", *["100 %"] * len(lags)])
        rows.append(["random answers", "", *[f"{100 * TASKS[task].chance / TASKS[task].nothing:.0f} %"] * len(lags)])
        what = "wrong answers" if TASKS[task].classes else "mean squared error"
        title = (
            f"{task}: median error in % of that of doing nothing ({what} {TASKS[task].nothing:.3g}), "
            f"and how many seeds solved it (below {100 * SOLVED:.0f} %)"
        )
        shown.append(Table(title, ["network", "units", *(f"lag {lag}" for lag in lags)], rows))
    return shown


def _cell(errors: Sequence[float]) -> str:
    if not errors:
        return ""
    median = sorted(errors)[len(errors) // 2]
    share = f"{100 * median:.3g} %" if math.isfinite(median) else "diverged"
    return f"{share} ({sum(e < SOLVED for e in errors)}/{len(errors)})"


@plots.style()
def draw(numbers: Mapping[str, Any]) -> Any:
    """For each task a column: the learning curves at lag 100 (or the longest there is), and the error at each lag."""
    results = smallest(numbers["results"])
    tasks, lags = distinct(results, "task"), distinct(results, "lag")
    height = 1 + (len(lags) > 1)
    figure, axes = plots.new_figure(
        3.5 * max(2, len(tasks)), 1 + 1.7 * height, height, len(tasks), squeeze=False, sharey=True
    )
    for task, panels in zip(tasks, axes.T, strict=True):
        _draw_curves(panels[0], results, task, max(lag for lag in lags if lag <= max(100, lags[0])))
        for panel in panels[1:]:
            _draw_errors(panel, results, task)
        for panel in panels:
            panel.set_ylim(-5, 130)
            for level in (100, 100 * SOLVED):
                panel.axhline(level, color="0.5", linewidth=0.8)
    for left, right in axes[:, [0, -1]]:
        left.set_ylabel("error (% of doing nothing)")
        for level, word in ((100, "doing\nnothing"), (100 * SOLVED, "solved\nbelow")):
            right.text(1.01, level, word, transform=right.get_yaxis_transform(), va="center", fontsize=7.5)
    figure.legend(*axes[-1, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, handlelength=2.6)
    return figure


def _draw_curves(panel: Any, results: Sequence[Mapping[str, Any]], task: str, lag: int) -> None:
    """Error while training, a line for each seed."""
    for k, network in enumerate(distinct(results, "network")):
        label = network
        for r in results:
            if (r["task"], r["network"], r["lag"]) == (task, network, lag):
                steps, errors = zip(*r["curve"], strict=True)
                panel.plot(steps, [100 * e for e in errors], label=label, **plots.lines(k) | {"linewidth": 0.9})
                label = "_"  # the legend has it already
    panel.set(title=f"{task}, lag {lag}: while training", xlabel="training step")


def _draw_errors(panel: Any, results: Sequence[Mapping[str, Any]], task: str) -> None:
    """Median error over the seeds after training, at each lag."""
    lags = distinct(results, "lag")
    for k, network in enumerate(distinct(results, "network")):
        errors = {lag: sorted(errors_of(results, task, network, lag)) for lag in lags}
        middle = [(lag, 100 * own[len(own) // 2]) for lag, own in errors.items() if own]
        if middle:
            panel.plot(*zip(*middle, strict=True), label=network, **plots.lines(k))
    panel.set(title=f"{task}: after training", xlabel="lag (steps)", xscale="log")
    panel.set_xticks(lags, [str(lag) for lag in lags])
    panel.minorticks_off()
