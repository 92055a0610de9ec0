"""The views of `minirnn chat`: the reasons for each word, the bot's state on a terminal, a figure of a conversation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from minirnn import plots
from minirnn.chatbot.bot import Answer, Chatbot, Conversation
from minirnn.chatbot.conversations import BOT, CAPITAL, SPECIAL, USER
from minirnn.language import from_arrays
from minirnn.recurrent.inspection import gates
from minirnn_kernels.cell import CELLS, LSTM

__all__ = ["Exchange", "figure", "last", "state", "why"]

Array = Any
MARKS = {SPECIAL[BOT]: "bot:", SPECIAL[USER]: "user:"}  # each ends an utterance and names the next speaker
BARS, PLAIN_BARS = "▁▂▃▄▅▆▇█", "_.-~+*%#"  # PLAIN_BARS: for terminals without these characters
UNITS_PER_LINE = 64
CHANGED = 0.25  # share of the scale by which a unit must move to be marked
LOOKED_AT = 3  # words
FIGURE_WORDS, FIGURE_UNITS = 100, 16  # the numbers that fit on a page


@dataclass(frozen=True)
class Exchange:
    """A turn of a conversation, for a figure."""

    number: int  # from 1
    state: tuple[Array, ...]  # the encoder's, before the turn
    heard: tuple[str, ...]  # the user's words
    replied: tuple[str, ...]  # the bot's words
    weights: Array | None  # as in `Answer`
    said: Array | None

    @property
    def length(self) -> int:
        """The number of words and marks in the turn."""
        return len(self.heard) + len(self.replied) + 2


# ---- /why


def why(answer: Answer) -> RenderableType:
    """Return a table of the reply's words: said or copied, and the words with the most attention."""
    if answer.weights is None or answer.said is None:
        return "This bot has no attention: all of its words come from its state and its vocabulary."
    table = Table("word", "said or copied", "words looked at", box=None, pad_edge=False)
    for word, share, weights in zip(answer.words, answer.said, answer.weights, strict=True):
        how = f"said {share:.0%}" if share >= 0.5 else f"copied {1 - share:.0%}"
        table.add_row(Text(word), how, Text(_looked_at(answer.conversation, weights)))
    notes = "A word is said from the vocabulary or copied from the conversation, with the share of its probability."
    if CAPITAL in answer.words:
        notes += f" {CAPITAL} makes the next word begin with a capital letter."
    return Group(table, Text(notes, style="dim"))


def _looked_at(conversation: Conversation, weights: Array) -> str:
    """Return the words with the largest weights, as "Zyphra 93% (user, 2 turns ago)", or "hello 93%" for this turn."""
    now = conversation.utterance[len(weights) - 1]
    shown = []
    for place in np.argsort(-weights)[:LOOKED_AT]:
        if weights[place] < 0.01:
            break
        ago = (now + 1 - conversation.utterance[place]) // 2
        who = "user" if conversation.utterance[place] % 2 == 0 else "bot"
        when = "" if ago == 0 else f" ({who}, {ago} turn{'s' if ago > 1 else ''} ago)"
        word = "(end)" if conversation.words[place] in MARKS else conversation.spellings[place]
        shown.append(f"{word} {weights[place]:.0%}{when}")
    return ", ".join(shown)


# ---- /state


def state(now: Conversation, before: Conversation | None, encoding: str) -> RenderableType:
    """Return the encoder's h, and an LSTM's c, as a bar for each unit, with the changes of the last turn below."""
    bars = BARS if BARS.encode(encoding, "replace").decode(encoding) == BARS else PLAIN_BARS
    parts: list[RenderableType] = []
    for k, (name, (values,)) in enumerate(zip(LSTM.states, now.state, strict=False)):  # other cells have only h
        change = None if before is None else values - before.state[k][0]
        scale = 1.0 if name == "h" else float(np.abs(values).max()) or 1.0
        parts += _drawn(name, values, change, scale, bars)
    return Group(*parts)


def _drawn(name: str, values: Array, change: Array | None, scale: float, bars: str) -> list[RenderableType]:
    title = f"{name}, {len(values)} units, from {bars[0]} -{scale:.2g} to {bars[-1]} +{scale:.2g}"
    marks = ""
    if change is not None:
        far = np.abs(change) > CHANGED * scale
        title += (
            f"; the last turn moved a unit by {np.abs(change).mean():.2g} on average, "
            f"{far.sum()} of them by more than {CHANGED * scale:.2g} (+ up, - down)"
        )
        marks = "".join(" " if not moved else "+" if by > 0 else "-" for moved, by in zip(far, change, strict=True))
    levels = np.clip((values / scale + 1) / 2 * len(bars), 0, len(bars) - 1).astype(int)
    lines: list[RenderableType] = [Text(title)]
    for start in range(0, len(values), UNITS_PER_LINE):
        drawn = "".join(bars[level] for level in levels[start : start + UNITS_PER_LINE])
        lines.append(Text(f"{start:5d} {drawn}", no_wrap=True))
        if marks[start : start + UNITS_PER_LINE].strip():
            lines.append(Text(" " * 6 + marks[start : start + UNITS_PER_LINE], no_wrap=True))
    return lines


# ---- the figure


def last(turns: Sequence[Exchange]) -> tuple[Exchange, ...]:
    """Return the last turns that fit on a page, at least one."""
    lengths = np.cumsum([turn.length for turn in reversed(turns)])
    return tuple(turns[-max(1, int(np.sum(lengths <= FIGURE_WORDS))) :])


def figure(bot: Chatbot, turns: Sequence[Exchange]) -> Any:
    """Draw states, gates and attention over these turns, from `last`. Raises PlotError if there are no turns."""
    if not turns:
        raise plots.PlotError("figure: nothing was said, so there is nothing to draw")
    words, marks = _transcript(turns)
    weights, said = _attention(turns) if bot.model.attends else (None, [])
    states = _states(bot, turns, words)
    if weights is not None and len(weights) > len(words):
        words, marks = ["(earlier)", *words], [place + 1 for place in marks]
        states = {name: np.pad(values, ((1, 0), (0, 0)), constant_values=np.nan) for name, values in states.items()}
    first, final = turns[0].number, turns[-1].number
    title = "A conversation" if first == 1 else f"The last part of a conversation, turns {first} to {final}"
    title += "" if weights is None else f", with attention (→: copied; {CAPITAL}: a capital letter follows)"
    title += f"\n{states['h'].shape[1]} of the encoder's {bot.model.hidden} units, from the slowest to the fastest"
    labels = [MARKS.get(word, word) for word in words]
    return plots.attention_and_states(states, labels, weights, said, marks, title)


def _transcript(turns: Sequence[Exchange]) -> tuple[list[str], list[int]]:
    """Return all words, with a mark after each utterance, and the indices of the marks."""
    words: list[str] = []
    marks = []
    for turn in turns:
        for mark, said in zip(MARKS, (turn.heard, turn.replied), strict=True):
            marks.append(len(words) + len(said))
            words += [*said, mark]
    return words, marks


def _attention(turns: Sequence[Exchange]) -> tuple[Array, list[str]]:
    """Return the weights: a row for each word of the turns, a column for each word of a reply, NaN for later words.

    If words before these turns had attention, the first row has the sum of their weights.
    """
    columns, said, heard = [], [], 0
    total = sum(turn.length for turn in turns)
    for turn in turns:
        assert turn.weights is not None  # the bot has attention
        assert turn.said is not None
        heard += len(turn.heard) + 1
        for word, share, weights in zip(turn.replied, turn.said, turn.weights, strict=True):
            column = np.full(total + 1, np.nan)
            earlier = len(weights) - heard
            column[0] = weights[:earlier].sum() if earlier else np.nan
            column[1 : 1 + heard] = weights[earlier:]
            columns.append(column)
            said.append(word if share >= 0.5 else f"→ {word}")
        heard += len(turn.replied) + 1
    matrix = np.stack(columns, axis=1) if columns else np.zeros((total + 1, 0))
    return matrix[int(np.isnan(matrix[:1]).all()) :], said


def _states(bot: Chatbot, turns: Sequence[Exchange], words: Sequence[str]) -> dict[str, Array]:
    """Return h, c and the gates over the words, (T, n) for n of the units, from the slowest to the fastest."""
    model = bot.model
    ids = np.array([SPECIAL.index(word) if word in MARKS else bot.vocabulary.id(word) for word in words])
    found = gates(model.encoder, model.embedding.weight.data[ids], from_arrays(list(turns[0].state)))
    cell = CELLS[model.encoder.kind]
    kept = {name: found[name][:, 0] for name in (*cell.states, *cell.gates)}
    memory = kept.get("c", kept["h"])
    units = np.argsort(np.abs(np.diff(memory, axis=0)).mean(axis=0))
    chosen = units[np.linspace(0, len(units) - 1, min(len(units), FIGURE_UNITS)).round().astype(int)]
    return {name: values[:, chosen] for name, values in kept.items()}
