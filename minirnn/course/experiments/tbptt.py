"""Truncated backpropagation through time: what does it cost to look back k steps only?

Backpropagation through time keeps every step until the walk back, so its memory grows with the length T of a sequence.
Truncated, it reads k steps, goes back over these k, and reads on from the state it had reached, which then counts as
given (Williams and Peng 1990). Memory is that of k steps. But the gradient is no longer that of the loss: what a step
did to losses in later pieces is left out.

What is done. A sequence of T steps is cut into pieces of k; the pieces' gradients are added up and followed by one
update. So all k see the same data and make the same number of updates, and differ in nothing but what they leave out.
(In practice there is an update after each piece: a smaller k then also means more updates.)

    bias     the truncated against the full gradient of an LSTM on text, untrained and trained: the relative distance
             |g_k - g| / |g| and the cosine; for all weights, and for W_hh, which has no gradient but through time
    loss     the LSTM trained on text by characters: the loss on a part it hasn't seen. (After few updates a short k may
             be ahead: what stands near is learned first. What truncation costs isn't measurable then.)
    recall   an LSTM trained to say a symbol that came 10 steps before, with noise between (`minirnn.course.recall`);
             its forget bias is 2, so that the full gradient learns it quickly
    memory   what NumPy holds at most during one update, with the NumPy kernels, which take all their memory afresh
    time     CPU time of one update

The claim is taken as four statements, each of which can fail: a quarter of the sequence needs at most half the memory;
recall works wherever k is larger than the gap; and nowhere else; on text a quarter loses at most 0.02 nats per
character. The last counts only where the shortest k loses more than that: if even that one doesn't, the updates were
too few to tell what truncation costs, and the numbers say so.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minirnn import nn, plots, random
from minirnn.recurrent import backends
from minirnn.course.experiment import Effort, Outcome, Progress, Table
from minirnn.course.fitting import fit
from minirnn.course.recall import SYMBOLS, TOKENS, after_a_gap
from minirnn.autograd import Tensor, no_grad
from minirnn.language.model import LanguageModel
from minirnn.recurrent.state import detach
from minirnn.language import Batches, CharTokenizer, load_corpus, split

CLAIM = (
    "Truncated to k steps, backpropagation through time needs memory for k steps and loses only what lies further back."
)
SOURCE = "The course week's lecture on backpropagation through time; Williams and Peng (1990), Neural Computation 2(4)."

GAP = 10
BATCH = 16
HIDDEN = {"text": 96, "recall": 48}
LOST = 0.02  # nats per character that truncation may cost
IGNORED = -100
Window = tuple[Any, Any]  # ids and targets, (T, B)
EFFORTS = {  # sequence length, truncations, seeds, updates on text and on recall
    "quick": (32, (4, 8, 16, 32), 1, 40, 120),
    "default": (64, (4, 8, 16, 32, 64), 2, 400, 200),
    "full": (256, (1, 2, 4, 8, 16, 32, 64, 128, 256), 5, 1000, 400),
}


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    length, cuts, seeds, text_updates, recall_updates = EFFORTS[effort]
    corpus = load_corpus("python-docs")
    tokenizer = CharTokenizer.from_text(corpus.text)
    read, unseen = split(tokenizer.encode(corpus.text))
    numbers: dict[str, Any] = {"length": length, "cuts": list(cuts), "gap": GAP, "corpus": corpus.sha256}
    numbers |= {"updates": text_updates, "bias": {"untrained": [], "trained": []}, "text": [], "recall": [], "cost": []}
    for s in range(seed, seed + seeds):
        text, recall = [], []
        for j, k in enumerate(cuts):
            progress((s - seed + j / len(cuts)) / seeds, f"seed {s}, truncated after {k}")
            model = text_model(tokenizer.vocab_size, s)
            train_text(model, Batches(read, BATCH, length), k, text_updates)
            text.append(loss_on(model, unseen))
            recall.append(train_recall(s, k, length, recall_updates))
        numbers["text"].append(text)
        numbers["recall"].append(recall)
        windows = [Batches(unseen, BATCH, length)[w] for w in range(3)]  # `model` is the one trained with the whole
        numbers["bias"]["untrained"].append([bias(text_model(tokenizer.vocab_size, s), windows, k) for k in cuts])
        numbers["bias"]["trained"].append([bias(model, windows, k) for k in cuts])
    numbers["cost"] = [cost(model, windows[0], k) for k in cuts]
    return judge(numbers)


def text_model(vocabulary: int, seed: int) -> LanguageModel:
    random.manual_seed(seed)
    return LanguageModel(vocabulary, "lstm", hidden=HIDDEN["text"], embedding=32)


def pieces(model: LanguageModel, ids: Any, targets: Any, k: int) -> Iterator[Tensor]:
    """The mean loss of a sequence, ids and targets (T, B), as the sum of those of its pieces of k steps each.

    The state goes from piece to piece, its gradient doesn't. Targets of IGNORED don't count; pieces of such only are
    left out.
    """
    state, counted = None, np.count_nonzero(targets != IGNORED)
    for begin in range(0, len(ids), k):
        wanted = targets[begin : begin + k]
        logits, state = model(ids[begin : begin + k], state)
        state = detach(state)
        if np.any(wanted != IGNORED):
            loss = nn.cross_entropy(logits.reshape(wanted.size, -1), wanted.reshape(-1), reduction="sum")
            yield loss * (1 / counted)


def train_text(model: LanguageModel, batches: Batches, k: int, updates: int) -> None:
    """Train on windows of the text, each from a state of zeros."""

    def loss_of(update: int) -> Any:
        return sum(pieces(model, *batches[update % len(batches)], k))

    fit(model, loss_of, updates)


def loss_on(model: LanguageModel, ids: Any) -> float:
    """Mean loss in nats per character on an unseen text, read as BATCH streams from end to end."""
    T = (len(ids) - 1) // BATCH
    with no_grad():
        (loss,) = pieces(model, *Batches(ids, BATCH, T)[0], T)
    return float(loss.item())


def train_recall(seed: int, k: int, length: int, updates: int) -> float:
    """Train to recall a symbol after a gap; how often it is right on new sequences."""
    random.manual_seed(seed)
    model = LanguageModel(TOKENS, "lstm", hidden=HIDDEN["recall"], embedding=16)
    nn.init.forget_bias_(model.rnn, 2.0)
    rng = np.random.default_rng([seed, 1])

    def loss_of(update: int) -> Any:
        return sum(pieces(model, *after_a_gap(rng, length, 32, GAP), k))

    fit(model, loss_of, updates, lr=1e-2)
    ids, targets = after_a_gap(np.random.default_rng(0), length, 200, GAP)
    with no_grad():
        answers = model(ids)[0].data.argmax(-1)
    return float(np.mean((answers == targets)[targets != IGNORED]))


def go_back(model: LanguageModel, window: Window, k: int) -> None:
    """The gradient of a window with pieces of k steps, each forgotten before the next."""
    model.zero_grad()
    for loss in pieces(model, *window, k):
        loss.backward()


def gradient(model: LanguageModel, window: Window, k: int) -> dict[str, Any]:
    """`go_back`'s gradient as vectors: of all weights, and of W_hh."""
    go_back(model, window, k)
    found = {name: np.asarray(p.grad, np.float64).ravel() for name, p in model.named_parameters()}
    return {"all": np.concatenate(list(found.values())), "W_hh": found["rnn.weight_hh_l0"]}


def bias(model: LanguageModel, windows: list[Window], k: int) -> dict[str, float]:
    """How far the truncated gradient is from the full one: relative distance and cosine, means over the windows."""
    rows = []
    for window in windows:
        full, cut = gradient(model, window, len(window[0])), gradient(model, window, k)
        row = {}
        for name in full:
            f, c = full[name], cut[name]
            row[f"distance, {name}"] = np.linalg.norm(c - f) / np.linalg.norm(f)
            row[f"cosine, {name}"] = (c @ f) / max(np.linalg.norm(c) * np.linalg.norm(f), 1e-30)
        rows.append(row)
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def cost(model: LanguageModel, window: Window, k: int, repeats: int = 5) -> dict[str, float]:
    """Of a gradient with pieces of k steps: CPU time, the least of some, and NumPy's largest memory."""
    times = []
    for _ in range(repeats):
        began = time.process_time()
        go_back(model, window, k)
        times.append(time.process_time() - began)
    with backends.kernels("numpy"):
        go_back(model, window, k)
        tracemalloc.start()
        try:
            go_back(model, window, k)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    return {"milliseconds": 1e3 * min(times), "megabytes": peak / 1e6}


def judge(numbers: dict[str, Any]) -> Outcome:
    cuts, quarter = numbers["cuts"], numbers["length"] // 4
    at = cuts.index(quarter)
    text = np.median(numbers["text"], axis=0)
    right = np.median(numbers["recall"], axis=0)
    memory = [c["megabytes"] for c in numbers["cost"]]
    lost, shortest = float(text[at] - text[-1]), float(text[0] - text[-1])
    halfway = (1 + 1 / SYMBOLS) / 2
    beyond = [float(r) for k, r in zip(cuts, right, strict=True) if k > GAP]
    within = [float(r) for k, r in zip(cuts, right, strict=True) if k <= GAP]
    statements = {
        f"k = {quarter} takes {memory[at] / memory[-1]:.0%} of the memory of {cuts[-1]}": memory[at] <= memory[-1] / 2,
        f"with k over the gap of {GAP}, recall is right in at least {min(beyond):.0%}": min(beyond) > halfway,
        f"with k up to {GAP} in at most {max(within):.0%} (chance: {1 / SYMBOLS:.0%})": max(within) < halfway,
    }
    on_text = f"on text it loses {lost:.3f} nats per character"
    unknown = ""
    if shortest > LOST:
        statements[on_text] = lost <= LOST
        measured = "; ".join(statements) + "."
    else:
        measured = "; ".join([*statements, f"{on_text}, and k = {cuts[0]} {shortest:.3f} (not counted)"]) + "."
        unknown = (
            f"What truncation costs on text isn't measurable after {numbers['updates']} updates: even k = {cuts[0]} "
            f"ends at {text[0]:.3f} nats per character, the whole sequence at {text[-1]:.3f}. So the verdict is on "
            "memory and recall only."
        )
    wrong = [statement for statement, held in statements.items() if not held]
    if not wrong:
        return Outcome(numbers, measured, "held", unknown)
    return Outcome(
        numbers, measured, "held in part" if len(wrong) < len(statements) else "did not hold",
        f"Not as claimed: {'; '.join(wrong)}. {unknown}".rstrip(),
    )  # fmt: skip


def tables(numbers: Mapping[str, Any]) -> list[Table]:
    cuts = numbers["cuts"]
    medians = [
        _median(numbers["bias"][state], name)
        for state in ("untrained", "trained")
        for name in ("distance, W_hh", "cosine, W_hh")
    ]
    text, right = np.median(numbers["text"], axis=0), np.median(numbers["recall"], axis=0)
    return [
        Table("The truncated gradient of W_hh against the full one, on text",
              ["k", *(f"{what}, {state}" for state in ("untrained", "trained") for what in ("distance", "cosine"))],
              [[str(k), *(float(m[j]) for m in medians)] for j, k in enumerate(cuts)]),
        Table("After training, and what an update costs",
              ["k", "text (nats/char)", f"recall after {GAP}", "CPU time (ms)", "memory (MB)"],
              [[str(k), float(text[j]), float(right[j]), numbers["cost"][j]["milliseconds"],
                numbers["cost"][j]["megabytes"]] for j, k in enumerate(cuts)]),
    ]  # fmt: skip


def _median(seeds: Any, name: str) -> Any:
    """The median over the seeds of what `bias` gave for each truncation."""
    return np.median([[row[name] for row in rows] for rows in seeds], axis=0)


@plots.style()
def draw(numbers: Mapping[str, Any]) -> Any:
    cuts, cost_of = numbers["cuts"], numbers["cost"]
    figure, ((near, losses), (recalled, costs)) = plots.new_figure(7.2, 4.6, rows=2, columns=2)
    for k, (state, name) in enumerate((s, n) for s in ("untrained", "trained") for n in ("distance", "cosine")):
        near.plot(cuts, _median(numbers["bias"][state], f"{name}, W_hh"), **plots.lines(k), label=f"{name}, {state}")
    near.set(ylabel="distance, cosine (no unit)", title="bias of the gradient of $W_{hh}$ (text)")
    near.legend(ncol=1, fontsize=7)
    _with_seeds(losses, cuts, numbers["text"])
    losses.set(ylabel="loss (nats per character)", title="text, after training")
    _with_seeds(recalled, cuts, np.multiply(numbers["recall"], 100))
    recalled.axhline(100 / SYMBOLS, color="0.4", lw=0.8)
    recalled.text(cuts[-1], 100 / SYMBOLS, "chance", ha="right", va="top", fontsize=7)
    recalled.axvline(numbers["gap"], color="0.4", lw=0.8, ls=":")
    recalled.text(numbers["gap"] * 0.95, 60, "the gap", ha="right", rotation=90, va="center", fontsize=7)
    recalled.set(
        ylabel="right answers (%)", ylim=(0, 105), title=f"recall after {numbers['gap']} steps, after training"
    )
    time_axes = costs.twinx()
    costs.plot(cuts, [c["megabytes"] for c in cost_of], **plots.lines(0), label="memory")
    time_axes.plot(cuts, [c["milliseconds"] for c in cost_of], **plots.lines(1), label="time")
    costs.set(ylabel="memory (MB)", ylim=(0, None), title=f"cost of a gradient over {numbers['length']} steps")
    time_axes.set(ylabel="CPU time (ms)", ylim=(0, None))
    time_axes.grid(False)
    time_axes.spines["right"].set_visible(True)
    costs.legend(handles=[*costs.lines, *time_axes.lines], loc="upper center")
    for axes in (near, losses, recalled, costs):
        axes.set_xscale("log", base=2)
        axes.set_xticks(cuts, map(str, cuts))
        axes.set_xlabel("truncated after k steps")
    return figure


def _with_seeds(axes: Any, cuts: Any, values: Any) -> None:
    """The median of the seeds as a line, each seed as a point."""
    axes.plot(cuts, np.median(values, axis=0), **plots.lines(0))
    for row in values:
        axes.plot(cuts, row, "x", color="0.5", markersize=4)
