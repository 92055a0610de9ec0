"""Does a chatbot with a recurrent memory remember what it was told?

The same conversations, the same training, for an RNN, an LSTM and a GRU as encoder, with attention and copying and
without; the units of LSTM and GRU begin with long memories (`nn.init.chrono_`), for which an RNN has no gates. Then
each holds conversations that it never saw, and we count in how many of its answers the value stands that was asked
for, by how many turns ago it was said. Seen values occur in the training conversations; unseen ones don't, so only
copying can say them. Without attention, whatever is to be remembered has to pass through the state, word after word.

At first RNN and LSTM, two topics only, name and favourite colour, and short training, so that it fits into five
minutes: 800 steps without attention, 300 with it, about a minute each. With --full all cells, all topics and three
sizes, trained as the bot that comes with minirnn is.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from minirnn import plots
from minirnn.chatbot.training import ChatbotConfig, Scores, make_conversations, score, train
from minirnn.course.experiment import Effort, Outcome, Progress, Table
from minirnn.chatbot.conversations import DEVICES, FACTS, Split
from minirnn.chatbot.conversations.values import LISTS, NUMBERS

__all__ = ["CLAIM", "SOURCE", "draw", "run", "tables"]

CLAIM = "A chatbot with an LSTM remembers over the turns of a conversation what it was told; with an RNN it forgets."
SOURCE = (
    "The course's exercise: a context-aware chatbot over 5 to 10 turns, sizes 128/256/512, with and without attention."
)
CELLS = ("rnn", "lstm", "gru")
FAR = 3  # turns; from here on a value counts as said long ago: questions about older ones are rare
TOPICS = ("name", "colour")


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    """Train and score every combination of cell, attention and size."""
    full = effort == "full"
    settings: dict[str, Any] = {"topics": (*FACTS, *DEVICES)}
    held = 300
    steps = {"none": 5000, "dot": 5000}
    if not full:
        count, held = (3000, 40) if effort == "default" else (200, 5)
        steps = {"none": 800, "dot": 300} if effort == "default" else {"none": 40, "dot": 20}
        settings = {"topics": TOPICS, "conversations": count, "lr": 4e-3}
    sizes, cells = ((128, 256, 512), CELLS) if full else ((128,), CELLS[:2])
    plan = [(cell, attention, hidden) for hidden in sizes for attention in ("none", "dot") for cell in cells]
    rows = []
    for k, (cell, attention, hidden) in enumerate(plan):
        config = ChatbotConfig(
            cell=cell, attention=attention, hidden=hidden, seed=seed, steps=steps[attention], **settings
        )
        rows.append(
            compared(config, held, lambda step, k=k, c=config: progress((k + step / c.steps) / len(plan), c.cell))
        )
    numbers = {"rows": rows, "chance": chance(settings["topics"]), "topics": list(settings["topics"]), "held": held}
    return judged(numbers)


def compared(config: ChatbotConfig, held: int, told: Any) -> dict[str, Any]:
    """One network, trained and scored: a row of the table."""
    began = time.perf_counter()
    losses: list[float] = []

    def heard(step: int, loss: float) -> None:
        losses.append(loss)
        told(step)

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
    """Of the values said at least FAR turns ago, the share that was recalled."""
    counts = [counts for distance, counts in scores.by_distance.items() if distance >= FAR]
    return sum(right for _, right in counts) / max(1, sum(asked for asked, _ in counts))


def chance(topics: Sequence[str]) -> float:
    """How often a value is right that is drawn from those of its topic in training, topics being equally frequent."""
    kinds = {"pet": "name", "relation": "name", "timer": "count", "alarm": "time", "reminder": "errand"}
    lists = LISTS | NUMBERS
    return sum(1 / len(lists[kinds.get(topic, topic)]["train"]) for topic in topics) / len(topics)


def judged(numbers: Mapping[str, Any]) -> Outcome:
    """It held if the LSTM recalls four in five of the seen values after FAR turns or more, and the RNN half as many."""
    by = {(row["cell"], row["attention"]): row for row in numbers["rows"] if row["hidden"] == 128}
    lstm, rnn = (by[cell, "none"]["seen"]["far"] for cell in ("lstm", "rnn"))
    copying = by["lstm", "dot"]
    measured = (
        f"without attention, of the seen values said {FAR} turns ago or more, the LSTM recalls {lstm:.0%}, "
        f"the RNN {rnn:.0%} (chance {numbers['chance']:.0%}); with attention and copying the LSTM recalls "
        f"{copying['seen']['far']:.0%}, and {copying['unseen']['far']:.0%} of values it never saw."
    )
    kept, lost = lstm >= 0.8, rnn <= lstm / 2
    if kept and lost:
        return Outcome(numbers, measured, "held")
    why = (
        []
        if kept
        else ["The state has to carry a value through every word between, which even the LSTM learned too rarely."]
    )
    why += [] if lost else ["The RNN recalls more than half as many as the LSTM."]
    why += ["Attention looks at the words where they were said, and copying says what no vocabulary holds."]
    return Outcome(
        numbers,
        measured,
        "held in part" if kept or (lost and lstm > 2 * numbers["chance"]) else "did not hold",
        " ".join(why),
    )


def tables(numbers: Mapping[str, Any]) -> list[Table]:
    rows = [
        (
            row["cell"].upper(),
            "copying" if row["attention"] == "dot" else "none",
            row["hidden"],
            *(f"{row[part][what]:.0%}" for part in ("seen", "unseen") for what in ("recall", "far", "exact")),
            row["seconds"],
        )
        for row in numbers["rows"]
    ]
    header = ("cell", "attention", "units", "seen", f"≥ {FAR}", "exact", "unseen", f"≥ {FAR}", "exact", "s")
    title = (
        f"Values recalled, those said at least {FAR} turns ago, replies exactly right; chance {numbers['chance']:.1%}"
    )
    return [Table(title, header, rows)]


@plots.style()
def draw(numbers: Mapping[str, Any]) -> Any:
    """Recall over turns since a value was said: seen values, and unseen ones."""
    figure, panels = plots.new_figure(7.0, 3.0, 1, 2, sharey=True)
    rows = [row for row in numbers["rows"] if row["hidden"] == 128]
    for panel, part in zip(panels, ("seen", "unseen"), strict=True):
        for k, row in enumerate(rows):
            found = [(int(d), right / asked) for d, (asked, right) in row[part]["by distance"].items() if asked >= 3]
            label = row["cell"].upper() + (" + copying" if row["attention"] == "dot" else "")
            look = plots.lines(k) | {"linestyle": "-" if row["attention"] == "dot" else "--"}
            panel.plot([d for d, _ in found], [100 * share for _, share in found], label=label, **look)
        panel.set(title=f"{part} values", xlabel="turns since it was said", ylim=(-4, 104))
        panel.axhline(100 * numbers["chance"] if part == "seen" else 0, color="0.5", linewidth=0.8)
    panels[0].set_ylabel("right value in the answer, %")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
