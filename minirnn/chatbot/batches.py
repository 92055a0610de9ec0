"""Conversations as arrays for the chatbot's network: words as ids, with some words hidden in training, and batches.

The bot should treat a known value, "Oslo", and an unknown one, "Zyphra", in the same way. In training, each word of a
value is therefore replaced by the id of unknown words in half of the conversations in which it occurs; a word that no
reply needs is also replaced sometimes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from minirnn.chatbot.conversations import BOT, NUMBER, SPECIAL, UNKNOWN, USER, Turn, Vocabulary, read, value_words
from minirnn.chatbot.model import Batch

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
    T = max(conversation.length for conversation in conversations)
    D = max(len(words) for conversation in conversations for words in conversation.ids[1::2])
    L = max(len(words) for conversation in conversations for words in conversation.ids)
    ids, names = np.full((T, B), USER), np.full((T, B), -1)
    utterance = np.full((T, B), 2 * K)
    places, lengths = np.zeros((L, 2 * K * B), np.int64), np.zeros(2 * K * B, np.int64)
    starts = np.zeros((B, K), np.int64)
    previous, sizes = np.full((D, B, K), USER), np.zeros((B, K), np.int64)
    Q = max(sum(map(len, conversation.ids[1::2])) for conversation in conversations)
    turn, step, targets = np.zeros((B, Q), np.int64), np.zeros((B, Q), np.int64), np.full((B, Q), -1)
    wanted, just_said = np.full((B, Q), -2), np.full((B, Q), -2)  # names
    for b, conversation in enumerate(conversations):
        place = answered = 0
        for u, (words, named) in enumerate(zip(conversation.ids, conversation.names, strict=True)):
            n, m = len(words), b * 2 * K + u
            ids[place : place + n, b], names[place : place + n, b] = words, named
            utterance[place : place + n, b] = u
            lengths[m], places[:n, m] = n, np.arange(place, place + n) * B + b
            if u % 2:
                k, at = u // 2, slice(answered, answered + n)
                starts[b, k], sizes[b, k] = place - 1, n
                previous[:n, b, k] = [BOT, *words[:-1]]
                turn[b, at], step[b, at], targets[b, at] = k, np.arange(n), words
                wanted[b, at], just_said[b, at] = named, [-2, *named[:-1]]
                answered += n
            place += n
    before = np.concatenate([np.full((1, B), -1), names[:-1]])
    return Batch(
        ids, utterance, places, lengths, starts, previous, sizes, turn, step, targets,
        said=(targets == USER) | (targets >= len(SPECIAL)),
        same=wanted[..., None] == names.T[:, None],
        follows=just_said[..., None] == before.T[:, None],
    )  # fmt: skip


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
