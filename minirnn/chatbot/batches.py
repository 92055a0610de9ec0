"""Conversations as arrays for the chatbot's network: words as ids, with some words hidden in training, and batches.

The bot should treat a known value, "Oslo", and an unknown one, "Zyphra", in the same way. In training, each word of a
value is therefore replaced by the id of unknown words in half of the conversations in which it occurs; a word that no
reply needs is also replaced sometimes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from minirnn.chatbot.conversations import BOT, NUMBER, SPECIAL, UNKNOWN, USER, Turn, Vocabulary, read, value_words
from minirnn.chatbot.model import Batch, Ints

__all__ = ["Encoded", "batch", "encode", "shuffled"]

HIDE_VALUE, HIDE_WORD = 0.5, 0.02  # probabilities
SORTED_BATCHES = 64  # batches within which conversations are sorted by length


@dataclass(frozen=True)
class Encoded:
    """One conversation: for each utterance (user, bot, user, …) the ids and the names of its words.

    Two words have the same name only if they are equal; unknown words share one id, but not one name. The user's
    utterances end with the mark BOT, the bot's with USER.
    """

    ids: list[list[int]]
    names: list[list[int]]

    @property
    def turns(self) -> int:
        return len(self.ids) // 2

    @property
    def length(self) -> int:
        return sum(map(len, self.ids))


def encode(turns: Sequence[Turn], vocabulary: Vocabulary, rng: np.random.Generator | None = None) -> Encoded:
    """Return the turns as ids. With `rng`, as in training, hide words, each in the whole conversation."""
    utterances = [words for turn in turns for words in (read(turn.user)[0], turn.words)]
    values = frozenset(value_words())
    replied = {word for words in utterances[1::2] for word in words}
    known: dict[str, int] = {}
    names: dict[str, int] = {}
    for word in dict.fromkeys(word for words in utterances for word in words):
        known[word] = vocabulary.id(word)
        if rng is not None:
            share = HIDE_VALUE if word in values else 0.0 if word in replied else HIDE_WORD
            if rng.random() < share:
                known[word] = NUMBER if any(map(str.isdigit, word)) else UNKNOWN
        names[word] = known[word] if known[word] >= len(SPECIAL) else len(vocabulary) + len(names)
    marks = (BOT, USER)
    return Encoded(
        [[*(known[word] for word in words), marks[k % 2]] for k, words in enumerate(utterances)],
        [[*(names[word] for word in words), marks[k % 2]] for k, words in enumerate(utterances)],
    )


def batch(conversations: Sequence[Encoded]) -> Batch:
    """Return conversations with equal numbers of turns as one batch. Raises ValueError if the numbers differ."""
    turns = {conversation.turns for conversation in conversations}
    if len(turns) != 1:
        raise ValueError(f"conversations: expected equal numbers of turns, got {sorted(turns)}")
    B, K = len(conversations), turns.pop()
    lengths = np.array([len(words) for conversation in conversations for words in conversation.ids])
    ends = lengths.reshape(B, 2 * K).cumsum(axis=1)  # ends[b, u]: the index t after utterance u
    spans = zip(ends.reshape(-1) - lengths, ends.reshape(-1), strict=True)
    places = [range(start * B + m // (2 * K), end * B, B) for m, (start, end) in enumerate(spans)]
    replies = [conversation.ids[1::2] for conversation in conversations]
    reply_names = [conversation.names[1::2] for conversation in conversations]
    names = _columns([_joined(conversation.names) for conversation in conversations], -1)
    before = np.concatenate([np.full((1, B), -1), names[:-1]])
    targets = _rows([_joined(words) for words in replies], -1)
    wanted = _rows([_joined(named) for named in reply_names], -2)
    just_said = _rows([_joined([-2, *words[:-1]] for words in named) for named in reply_names], -2)
    return Batch(
        ids=_columns([_joined(conversation.ids) for conversation in conversations], USER),
        utterance=_columns([_indices(conversation.ids) for conversation in conversations], 2 * K),
        places=_columns(places, 0),
        lengths=lengths,
        starts=ends[:, ::2] - 1,
        previous=_columns([[BOT, *words[:-1]] for reply in replies for words in reply], USER).reshape(-1, B, K),
        sizes=lengths.reshape(B, 2 * K)[:, 1::2],
        turn=_rows([_indices(words) for words in replies], 0),
        step=_rows([_joined(range(len(reply)) for reply in words) for words in replies], 0),
        targets=targets,
        said=(targets == USER) | (targets >= len(SPECIAL)),
        same=wanted[..., None] == names.T[:, None],
        follows=just_said[..., None] == before.T[:, None],
    )


def _joined(lists: Iterable[Iterable[int]]) -> list[int]:
    return [value for values in lists for value in values]


def _indices(lists: Iterable[Iterable[int]]) -> list[int]:
    """Return, for each value of each list, the index of its list."""
    return [k for k, values in enumerate(lists) for _ in values]


def _rows(lists: Sequence[Sequence[int]], fill: int) -> Ints:
    """Return the lists as the rows of an array, padded with `fill`."""
    longest = max(map(len, lists))
    return np.array([[*values, *[fill] * (longest - len(values))] for values in lists])


def _columns(lists: Sequence[Sequence[int]], fill: int) -> Ints:
    return np.ascontiguousarray(_rows(lists, fill).T)


def shuffled(pool: Sequence[Encoded], size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """Yield every conversation of the pool once, in batches of at most `size`, with equal turns and similar lengths."""
    order = rng.permutation(len(pool))
    groups: list[list[int]] = []
    for start in range(0, len(order), size * SORTED_BATCHES):
        part = sorted(order[start : start + size * SORTED_BATCHES], key=lambda k: (pool[k].turns, pool[k].length))
        for turns in {pool[k].turns for k in part}:
            alike = [k for k in part if pool[k].turns == turns]
            groups += [alike[k : k + size] for k in range(0, len(alike), size)]
    for k in rng.permutation(len(groups)):
        yield batch([pool[index] for index in groups[k]])
