"""Truncated backpropagation through time: what is the cost of looking back only k steps?

Backpropagation through time stores every step until the backward pass, so its memory grows with the length T of the
sequence. With truncation, it reads k steps, goes back over these k steps, and continues from the last state, which is
then treated as a constant (Williams and Peng 1990). The memory is that of k steps. But the result is no longer the
gradient of the loss: it omits the effect of a step on losses in later segments.

The method. A sequence of T steps is cut into segments of k steps; the gradients of the segments are added and followed
by one update. All values of k therefore use the same data and the same number of updates, and differ only in the terms
that they omit. (In practice, an update follows each segment, so that a smaller k also means more updates.)

    bias     the truncated and the full gradient of an LSTM on text, untrained and trained: the relative distance
             |g_k - g| / |g| and the cosine, for all weights and for W_hh, whose gradient comes only through time
    loss     the loss of an LSTM trained on characters of text, on a held-out part. (After few updates, a short k can be
             ahead, because nearby dependencies are learned first; the cost of truncation is then not measurable.)
    recall   the accuracy of an LSTM trained to repeat a symbol seen 10 steps earlier, with noise in between
             (`minirnn.course.recall`); its forget bias is 2, so that the full gradient learns the task quickly
    memory   the most memory that NumPy allocates during one update, with the NumPy kernels, which reuse no buffers
    time     the CPU time of one update

The claim is split into four statements that can each fail. A quarter of the sequence needs at most half the memory.
Recall works whenever k is larger than the gap. Recall fails for every smaller k. On text, a quarter of the sequence
costs at most 0.02 nats per character. The last statement counts only if the shortest k costs more than 0.02 nats;
otherwise, the updates were too few to measure the cost of truncation, and the result says so.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minirnn import Tensor, nn, no_grad, plots, random
from minirnn.course.experiment import Effort, Numbers, Outcome, Progress, Table, tracked, verdict
from minirnn.course.fitting import fit
from minirnn.course.measuring import cpu_seconds, tracing
from minirnn.course.recall import CHANCE, HALFWAY, TOKENS, after_a_gap
from minirnn.language import Batches, CharTokenizer, load_corpus, split
from minirnn.language.model import LanguageModel
from minirnn.recurrent import backends
from minirnn.recurrent.state import detach

CLAIM = "Truncated to k steps, backpropagation through time needs memory for k steps and loses only older dependencies."
SOURCE = "The course's lecture on backpropagation through time; Williams and Peng (1990), Neural Computation 2(4)."

GAP = 10  # steps between a symbol and its recall
BATCH = 16
HIDDEN = {"text": 96, "recall": 48}
LOST = 0.02  # nats per character that truncation may cost
IGNORED = -100  # a target that the loss ignores
Window = tuple[Any, Any]  # ids and targets, (T, B)
EFFORTS = {  # sequence length, truncations, seeds, updates on text, updates on recall
    "quick": (32, (4, 8, 16, 32), 1, 40, 120),
    "default": (64, (4, 8, 16, 32, 64), 2, 400, 200),
    "full": (256, (1, 2, 4, 8, 16, 32, 64, 128, 256), 5, 1000, 400),
}


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    """Train on text and recall with each truncation and seed, compare the gradients, and judge the claim."""
    length, cuts, seeds, text_updates, recall_updates = EFFORTS[effort]
    corpus = load_corpus("python-docs")
    tokenizer = CharTokenizer.from_text(corpus.text)
    train_ids, valid_ids = split(tokenizer.encode(corpus.text))
    windows = [Batches(valid_ids, BATCH, length)[w] for w in range(3)]
    numbers: dict[str, Any] = {"length": length, "cuts": list(cuts), "gap": GAP, "corpus": corpus.sha256}
    numbers |= {"updates": text_updates, "bias": {"untrained": [], "trained": []}, "text": [], "recall": [], "cost": []}
    for s, report in tracked(range(seed, seed + seeds), progress, lambda s: f"seed {s}"):
        text, recall = [], []
        for j, k in enumerate(cuts):
            report(j / len(cuts))
            model = text_model(tokenizer.vocab_size, s)
            train_text(model, Batches(train_ids, BATCH, length), k, text_updates)
            text.append(loss_on(model, valid_ids))
            recall.append(train_recall(s, k, length, recall_updates))
        numbers["text"].append(text)
        numbers["recall"].append(recall)
        # `model` was trained last, with k = length: without truncation.
        for state, network in (("untrained", text_model(tokenizer.vocab_size, s)), ("trained", model)):
            numbers["bias"][state].append([bias(network, windows, k) for k in cuts])
    numbers["cost"] = [cost(model, windows[0], k) for k in cuts]
    return judge(numbers)


def text_model(vocabulary: int, seed: int) -> LanguageModel:
    """Return an untrained LSTM for text."""
    random.manual_seed(seed)
    return LanguageModel(vocabulary, "lstm", hidden=HIDDEN["text"], embedding=32)


def segments(model: LanguageModel, ids: Any, targets: Any, k: int) -> Iterator[Tensor]:
    """Yield the losses of the segments of k steps; their sum is the mean loss of the sequence, ids and targets (T, B).

    A segment starts from the final state of the one before, without its gradient. IGNORED targets are not counted, and
    a segment without other targets is omitted.
    """
    state, counted = None, np.count_nonzero(targets != IGNORED)
    for begin in range(0, len(ids), k):
        wanted = targets[begin : begin + k]
        logits, state = model(ids[begin : begin + k], state)
        state = detach(state)
        if np.any(wanted != IGNORED):
            loss = nn.cross_entropy(logits.reshape(wanted.size, -1), wanted.reshape(-1), reduction="sum")
            yield loss * (1 / counted)


def total(model: LanguageModel, window: Window, k: int) -> Any:
    """Return the sum of the losses of a window's segments, a Tensor."""
    return sum(segments(model, *window, k))


def train_text(model: LanguageModel, batches: Batches, k: int, updates: int) -> None:
    """Train on windows of the text, each from a state of zeros."""
    fit(model, lambda update: total(model, batches[update % len(batches)], k), updates)


def loss_on(model: LanguageModel, ids: Any) -> float:
    """Return the mean loss in nats per character on a text, read as BATCH parallel streams."""
    T = (len(ids) - 1) // BATCH
    with no_grad():
        (loss,) = segments(model, *Batches(ids, BATCH, T)[0], T)
    return float(loss.item())


def train_recall(seed: int, k: int, length: int, updates: int) -> float:
    """Train an LSTM to recall a symbol after a gap, and return its accuracy on new sequences."""
    random.manual_seed(seed)
    model = LanguageModel(TOKENS, "lstm", hidden=HIDDEN["recall"], embedding=16)
    nn.init.forget_bias_(model.rnn, 2.0)
    rng = np.random.default_rng([seed, 1])
    fit(model, lambda update: total(model, after_a_gap(rng, length, 32, GAP), k), updates, lr=1e-2)
    ids, targets = after_a_gap(np.random.default_rng(0), length, 200, GAP)
    with no_grad():
        answers = model(ids)[0].data.argmax(-1)
    return float(np.mean((answers == targets)[targets != IGNORED]))


def backward(model: LanguageModel, window: Window, k: int) -> None:
    """Compute the gradient of a window in segments of k steps; each segment's graph is freed before the next."""
    model.zero_grad()
    for loss in segments(model, *window, k):
        loss.backward()


def gradient(model: LanguageModel, window: Window, k: int) -> dict[str, Any]:
    """Return the gradient in segments of k steps as vectors: of all weights, and of W_hh."""
    backward(model, window, k)
    found = {name: np.asarray(p.grad, np.float64).ravel() for name, p in model.named_parameters()}
    return {"all": np.concatenate(list(found.values())), "W_hh": found["rnn.weight_hh_l0"]}


def bias(model: LanguageModel, windows: Sequence[Window], k: int) -> dict[str, float]:
    """Return the relative distance and the cosine of the truncated and the full gradient, as means over the windows."""
    rows = []
    for window in windows:
        full, cut = gradient(model, window, len(window[0])), gradient(model, window, k)
        row = {}
        for name, f in full.items():
            c = cut[name]
            row[f"distance, {name}"] = np.linalg.norm(c - f) / np.linalg.norm(f)
            row[f"cosine, {name}"] = (c @ f) / max(np.linalg.norm(c) * np.linalg.norm(f), 1e-30)
        rows.append(row)
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def cost(model: LanguageModel, window: Window, k: int, repeats: int = 5) -> dict[str, float]:
    """Return the minimum CPU time and NumPy's peak memory of computing a gradient in segments of k steps."""
    seconds = cpu_seconds(lambda: backward(model, window, k), repeats).min()
    with backends.kernels("numpy"):
        backward(model, window, k)
        with tracing() as allocated:
            backward(model, window, k)
            _, peak = allocated()
    return {"milliseconds": 1e3 * float(seconds), "megabytes": peak / 1e6}


def judge(numbers: Numbers) -> Outcome:
    """Judge the claim by the statements in the module's docstring; it held in part if at least one is true."""
    cuts, quarter = numbers["cuts"], numbers["length"] // 4
    at = cuts.index(quarter)
    text, right = (np.median(numbers[task], axis=0) for task in ("text", "recall"))
    memory = [c["megabytes"] for c in numbers["cost"]]
    lost, shortest = float(text[at] - text[-1]), float(text[0] - text[-1])
    beyond = min(float(r) for k, r in zip(cuts, right, strict=True) if k > GAP)
    within = max(float(r) for k, r in zip(cuts, right, strict=True) if k <= GAP)
    statements = {
        f"k = {quarter} needs {memory[at] / memory[-1]:.0%} of the memory of k = {cuts[-1]}": (
            memory[at] <= memory[-1] / 2
        ),
        f"recall is at least {beyond:.0%} for k above the gap of {GAP}": beyond > HALFWAY,
        f"recall is at most {within:.0%} for k up to {GAP} (chance: {CHANCE:.0%})": within < HALFWAY,
    }
    on_text, why = f"on text, k = {quarter} costs {lost:.3f} nats per character", ""
    if shortest > LOST:
        statements[on_text] = lost <= LOST
    else:
        on_text += f", and k = {cuts[0]} costs {shortest:.3f} (not counted)"
        why = (
            f"The cost of truncation on text isn't measurable after {numbers['updates']} updates: even k = {cuts[0]} "
            f"ends at {text[0]:.3f} nats per character, and the whole sequence at {text[-1]:.3f}. The verdict is "
            "therefore on memory and recall only."
        )
    measured = "; ".join(dict.fromkeys([*statements, on_text])) + "."  # `on_text` can be among the statements
    wrong = [statement for statement, held in statements.items() if not held]
    if wrong:
        why = f"Not as claimed: {'; '.join(wrong)}. {why}".rstrip()
    return Outcome(numbers, measured, verdict(not wrong, len(wrong) < len(statements)), why)


def tables(numbers: Numbers) -> list[Table]:
    """Return the bias of the truncated gradient, and the results and costs of training."""
    cuts = numbers["cuts"]
    biases = _biases(numbers)
    text, right = (np.median(numbers[task], axis=0) for task in ("text", "recall"))
    costs = [(c["milliseconds"], c["megabytes"]) for c in numbers["cost"]]
    return [
        Table(
            "The truncated gradient of W_hh compared with the full one, on text",
            ["k", *biases],
            [[str(k), *(float(b[j]) for b in biases.values())] for j, k in enumerate(cuts)],
        ),
        Table(
            "After training, and the cost of an update",
            ["k", "text (nats/char)", f"recall after {GAP}", "CPU time (ms)", "memory (MB)"],
            [[str(k), float(text[j]), float(right[j]), *costs[j]] for j, k in enumerate(cuts)],
        ),
    ]


def _biases(numbers: Numbers) -> dict[str, Any]:
    """Return the distance and the cosine of W_hh's gradient, untrained and trained: each truncation's median."""
    return {
        f"{what}, {state}": np.median([[row[f"{what}, W_hh"] for row in rows] for rows in seeds], axis=0)
        for state, seeds in numbers["bias"].items()
        for what in ("distance", "cosine")
    }


@plots.style()
def draw(numbers: Numbers) -> Any:
    """Return a figure of the bias, the loss on text, the recall and the costs against the truncation k."""
    cuts, gap = numbers["cuts"], numbers["gap"]
    figure, ((near, losses), (recalled, costs)) = plots.new_figure(7.2, 4.6, rows=2, columns=2)
    for k, (name, values) in enumerate(_biases(numbers).items()):
        near.plot(cuts, values, **plots.lines(k), label=name)
    near.set(ylabel="distance, cosine", title="bias of the gradient of $W_{hh}$ (text)")
    near.legend(ncol=1, fontsize=7)
    for axes, values in ((losses, numbers["text"]), (recalled, np.multiply(numbers["recall"], 100))):
        axes.plot(cuts, np.median(values, axis=0), **plots.lines(0))
        axes.plot(cuts, np.transpose(values), "x", color="0.5", markersize=4)
    losses.set(ylabel="loss (nats per character)", title="text, after training")
    recalled.axhline(100 * CHANCE, color="0.4", lw=0.8)
    recalled.text(cuts[-1], 100 * CHANCE, "chance", ha="right", va="top", fontsize=7)
    recalled.axvline(gap, color="0.4", lw=0.8, ls=":")
    recalled.text(gap * 0.95, 60, "the gap", ha="right", rotation=90, va="center", fontsize=7)
    recalled.set(ylabel="accuracy (%)", ylim=(0, 105), title=f"recall after {gap} steps, after training")
    time_axes = costs.twinx()
    costs.plot(cuts, [c["megabytes"] for c in numbers["cost"]], **plots.lines(0), label="memory")
    time_axes.plot(cuts, [c["milliseconds"] for c in numbers["cost"]], **plots.lines(1), label="time")
    costs.set(ylabel="memory (MB)", ylim=(0, None), title=f"cost of a gradient over {numbers['length']} steps")
    time_axes.set(ylabel="CPU time (ms)", ylim=(0, None))
    time_axes.grid(False)
    time_axes.spines["right"].set_visible(True)
    costs.legend(handles=[*costs.lines, *time_axes.lines], loc="upper center")
    for axes in (near, losses, recalled, costs):
        plots.log_ticks(axes, cuts)
        axes.set_xlabel("truncated after k steps")
    return figure
