"""Does a chatbot with a recurrent memory remember what it was told?

An RNN, an LSTM and a GRU are compared as encoders, with and without attention and copying, on the same conversations
and with the same training. The units of the LSTM and the GRU start with long memories (`nn.init.chrono_`); an RNN has
no gates for such an initialisation. Each chatbot then holds held-out conversations, and the experiment counts how often
its answer contains the requested value, by the number of turns since the value was given. Seen values occur in the
training conversations. Unseen values do not, so a chatbot can produce them only by copying. Without attention, the
state has to carry every value through all the words that follow it.

By default, the experiment compares the RNN and the LSTM on two topics, the name and the favourite colour, with short
training that fits into five minutes: 800 steps without attention and 300 with it, about a minute each. With --full, it
compares all cells on all topics in three sizes, trained like the chatbot that comes with minirnn.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any

from minirnn import plots
from minirnn.chatbot.conversations import DEVICES, FACTS, Split
from minirnn.chatbot.conversations.values import LISTS, NUMBERS
from minirnn.chatbot.training import ChatbotConfig, Scores, make_conversations, score, train
from minirnn.course.experiment import Effort, Numbers, Outcome, Progress, Table, percent, tracked, verdict, where
from minirnn_kernels.cell import CELLS

CLAIM = "A chatbot with an LSTM remembers what it was told for several turns of a conversation; with an RNN it forgets."
SOURCE = (
    "The course's exercise: a context-aware chatbot over 5 to 10 turns, sizes 128/256/512, with and without attention."
)
FAR = 3  # turns: the distance from which a value counts as given long ago; questions about older values are rare
EFFORTS: dict[Effort, dict[str, Any]] = {  # "held": the number of test conversations; the rest is ChatbotConfig's
    "quick": {"held": 5, "steps": {"none": 40, "dot": 20}, "conversations": 200, "lr": 4e-3},
    "default": {"held": 40, "steps": {"none": 800, "dot": 300}, "conversations": 3000, "lr": 4e-3},
    "full": {"held": 300, "steps": {"none": 5000, "dot": 5000}},
}


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    """Train and score every combination of size, attention and cell, and judge the claim."""
    settings = dict(EFFORTS[effort])
    held, steps = settings.pop("held"), settings.pop("steps")
    full = effort == "full"
    topics = (*FACTS, *DEVICES) if full else ("name", "colour")
    configs = [
        ChatbotConfig(
            cell=cell, attention=attention, hidden=hidden, seed=seed, steps=steps[attention], topics=topics, **settings
        )
        for hidden in ((128, 256, 512) if full else (128,))
        for attention in ("none", "dot")
        for cell in (CELLS if full else ("rnn", "lstm"))
    ]
    rows = [
        compared(config, held, report)
        for config, report in tracked(configs, progress, lambda config: config.cell)
    ]
    return judge({"rows": rows, "chance": chance(topics), "topics": list(topics), "held": held})


def compared(config: ChatbotConfig, held: int, report: Callable[[float], object]) -> dict[str, Any]:
    """Train and score one network; return its row of the table. `report(share)` is called after each step."""
    began = time.perf_counter()
    losses: list[float] = []

    def heard(step: int, loss: float) -> None:
        losses.append(loss)
        report(step / config.steps)

    bot = train(config, heard)
    row: dict[str, Any] = {
        "cell": config.cell,
        "attention": config.attention,
        "hidden": config.hidden,
        "steps": config.steps,
        "loss": sum(losses[-50:]) / len(losses[-50:]),
        "seconds": round(time.perf_counter() - began, 1),
    }
    parts: dict[str, Split] = {"seen": "train", "unseen": "test"}
    for name, part in parts.items():
        scores = score(bot, make_conversations("test", held, config.seed, values=part, topics=config.topics))
        row[name] = {
            "recall": scores.recall_share,
            "far": _far(scores),
            "exact": scores.exact_share,
            "by distance": {str(d): list(counts) for d, counts in sorted(scores.by_distance.items())},
        }
    return row


def _far(scores: Scores) -> float:
    """Return the share of recalled values among those given at least FAR turns ago."""
    counts = [counts for distance, counts in scores.by_distance.items() if distance >= FAR]
    return sum(right for _, right in counts) / max(1, sum(asked for asked, _ in counts))


def chance(topics: Sequence[str]) -> float:
    """Return the accuracy of guessing a random training value for the correct topic, with equally frequent topics."""
    kinds = {"pet": "name", "relation": "name", "timer": "count", "alarm": "time", "reminder": "errand"}
    lists = LISTS | NUMBERS
    return sum(1 / len(lists[kinds.get(topic, topic)]["train"]) for topic in topics) / len(topics)


def judge(numbers: Numbers) -> Outcome:
    """Judge the claim by the recall of seen values given at least FAR turns ago, without attention, at 128 units.

    It held if the LSTM recalls at least 80% of them and the RNN at most half as many as the LSTM. It held in part if
    only the first condition is true, or if only the second is true and the LSTM recalls more than twice as many as by
    chance.
    """
    lstm, rnn, copying = (
        where(numbers["rows"], hidden=128, cell=cell, attention=attention)[0]
        for cell, attention in (("lstm", "none"), ("rnn", "none"), ("lstm", "dot"))
    )
    kept, lost = lstm["seen"]["far"] >= 0.8, rnn["seen"]["far"] <= lstm["seen"]["far"] / 2
    measured = (
        f"without attention, of the seen values given {FAR} or more turns ago, the LSTM recalls "
        f"{percent(lstm['seen']['far'])}, the RNN {percent(rnn['seen']['far'])} (chance "
        f"{percent(numbers['chance'])}); with attention and copying, the LSTM recalls "
        f"{percent(copying['seen']['far'])}, and {percent(copying['unseen']['far'])} of the unseen values."
    )
    reasons = {
        "The state has to carry a value through all words that follow it; even the LSTM rarely learned this.": not kept,
        "The RNN recalls more than half as many values as the LSTM.": not lost,
        "Attention reads the words where they were said, and copying produces words outside the vocabulary.": True,
    }
    why = " ".join(reason for reason, applies in reasons.items() if applies)
    in_part = kept or (lost and lstm["seen"]["far"] > 2 * numbers["chance"])
    return Outcome(numbers, measured, verdict(kept and lost, in_part), "" if kept and lost else why)


def tables(numbers: Numbers) -> list[Table]:
    """Return the recall, the share of exact replies, and the training time of each network."""
    rows = [
        (
            CELLS[row["cell"]].title,
            "copying" if row["attention"] == "dot" else "none",
            row["hidden"],
            *(percent(row[part][what]) for part in ("seen", "unseen") for what in ("recall", "far", "exact")),
            row["seconds"],
        )
        for row in numbers["rows"]
    ]
    header = ("cell", "attention", "units", "seen", f"≥ {FAR}", "exact", "unseen", f"≥ {FAR}", "exact", "s")
    title = (
        f"Share of values recalled: all, and those given at least {FAR} turns ago; share of exactly correct replies; "
        f"chance {percent(numbers['chance'], 1)}"
    )
    return [Table(title, header, rows)]


@plots.style()
def draw(numbers: Numbers) -> Any:
    """Return a figure of the recall against the turns since a value was given, for seen and unseen values."""
    figure, panels = plots.new_figure(7.0, 3.0, 1, 2, sharey=True)
    for panel, part in zip(panels, ("seen", "unseen"), strict=True):
        for k, row in enumerate(where(numbers["rows"], hidden=128)):
            copying = row["attention"] == "dot"
            counts = row[part]["by distance"].items()
            recalled = {int(distance): 100 * right / asked for distance, (asked, right) in counts if asked >= 3}
            label = CELLS[row["cell"]].title + " + copying" * copying
            look = plots.lines(k) | {"linestyle": "-" if copying else "--"}
            panel.plot(list(recalled), list(recalled.values()), label=label, **look)
        panel.set(title=f"{part} values", xlabel="turns since the value was given", ylim=(-4, 104))
        panel.axhline(100 * numbers["chance"] if part == "seen" else 0, color="0.5", linewidth=0.8)
    panels[0].set_ylabel("correct value in the answer (%)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
