"""A chatbot that remembers: words in, words out, and the state of the conversation as a value between them."""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn import checkpoint, nn
from minirnn.autograd import no_grad
from minirnn.chatbot.conversations import BOT, NUMBER, SPECIAL, UNKNOWN, USER, Vocabulary, read, write
from minirnn.chatbot.model import ConversationModel
from minirnn.checkpoint import CheckpointError

__all__ = ["Answer", "Chatbot", "Conversation"]

Array = npt.NDArray[Any]
LONGEST_TURN, LONGEST_REPLY = 60, 30  # words
NOTHING_SAID = "Please say something."
FORMAT = "minirnn chatbot"


@dataclass(frozen=True)
class Conversation:
    """All that a bot knows of a conversation, as a value: `reply` returns a new one and leaves the old one as it is.

    `state`: the encoder's h, or h and c, (1, H) each. For each of the N words said so far: `words` and `spellings`,
    `utterance`, the number of the utterance that it is in, and its `memory`, (N, M).
    """

    state: tuple[Array, ...]
    memory: Array
    words: tuple[str, ...] = ()
    spellings: tuple[str, ...] = ()
    utterance: tuple[int, ...] = ()

    def state_dict(self) -> dict[str, Any]:
        """What `Chatbot.restore` takes: arrays, lists and words, as a checkpoint can hold them."""
        return {
            "kind": "minirnn conversation",
            "state": list(self.state),
            "memory": self.memory,
            "words": list(self.words),
            "spellings": list(self.spellings),
            "utterance": list(self.utterance),
        }


@dataclass(frozen=True)
class Answer:
    """A reply, and why each of its `words` was said.

    `weights` (words, N): the attention over the N words said before the reply. `said` (words,): the share of the word's
    probability that came from the vocabulary; where it is below a half, the word is copied. Both are None without
    attention. `conversation`: as it is now.
    """

    text: str
    words: tuple[str, ...]
    weights: Array | None
    said: Array | None
    conversation: Conversation


@dataclass
class Chatbot:
    """A network, its vocabulary, and the conversation that `reply` goes on with.

    `card` says how the weights were made. `answer` does the work, and changes nothing.
    """

    model: ConversationModel
    vocabulary: Vocabulary
    card: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.model.eval()
        self.reset()

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None) -> Chatbot:
        """The bot that `save` wrote, or the one that comes with minirnn; CheckpointError says what is wrong."""
        if path is None:
            with importlib.resources.as_file(
                importlib.resources.files("minirnn.chatbot") / "chatbot.safetensors"
            ) as file:
                return cls.load(file)
        stored = checkpoint.load(path)
        if not isinstance(stored, dict) or stored.get("kind") != FORMAT:
            raise CheckpointError(f"{os.fspath(path)}: a checkpoint, but not of a chatbot")
        try:
            vocabulary = Vocabulary(**stored["vocabulary"])
            model = ConversationModel(len(vocabulary), **stored["settings"])
            model.load_state_dict(stored["model"])
            if not all(np.isfinite(parameter.data).all() for parameter in model.parameters()):
                raise ValueError("a weight is not a finite number")
            return cls(model, vocabulary, dict(stored["card"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{os.fspath(path)}: the chatbot in it is damaged: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write weights, vocabulary and card; the conversation is not part of it."""
        checkpoint.save(
            path,
            {
                "kind": FORMAT,
                "settings": self.model.settings,
                "vocabulary": self.vocabulary.state_dict(),
                "card": self.card,
                "model": self.model.state_dict(),
            },
        )

    def reset(self) -> None:
        """Forget the conversation."""
        self.conversation = self.beginning()

    def reply(self, text: str) -> str:
        """What the bot says to `text`, which may be anything; it remembers both."""
        answer = self.answer(text, self.conversation)
        self.conversation = answer.conversation
        return answer.text

    def beginning(self) -> Conversation:
        """The conversation in which nothing has been said."""
        model = self.model
        dtype = model.embedding.weight.dtype
        width = model.hidden + 2 * (model.hidden // 2) if model.attends else 0
        zeros = tuple(np.zeros((1, model.hidden), dtype) for _ in range(model.states))
        return Conversation(zeros, np.zeros((0, width), dtype))

    @no_grad()
    def answer(self, text: str, conversation: Conversation) -> Answer:
        """The reply to `text`, of which the first 60 words count, and why it is that."""
        words, spellings = (parts[:LONGEST_TURN] for parts in read(text))
        if not words:
            return Answer(NOTHING_SAID, (), None, None, conversation)
        before = self._hear(conversation, words, spellings, BOT)
        words, spellings, weights, said = self._decode(before)
        after = self._hear(before, words, spellings, USER)
        return Answer(write(spellings), tuple(words), weights, said, after)

    def restore(self, state: dict[str, Any]) -> Conversation:
        """The conversation that `state_dict` described. ValueError if it isn't one, or not one of this bot's."""
        try:
            if state["kind"] != "minirnn conversation":
                raise KeyError("kind")
            parts = {name: tuple(state[name]) for name in ("state", "words", "spellings", "utterance")}
            made = Conversation(memory=state["memory"], **parts)
            arrays = [*made.state, made.memory]
            shapes = [*(array.shape for array in made.state), made.memory.shape[1:]]
            finite = all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays)
            texts = all(isinstance(word, str) for word in (*made.words, *made.spellings))
            ascending = all(type(n) is int and 0 <= n <= k for k, n in enumerate(made.utterance))
            ascending = ascending and list(made.utterance) == sorted(made.utterance)
        except (KeyError, TypeError, AttributeError):
            raise ValueError("this is not a conversation") from None
        expected = self.beginning()
        wanted = [*(array.shape for array in expected.state), expected.memory.shape[1:]]
        if shapes != wanted:
            raise ValueError(
                f"this conversation was held with another bot: its arrays are {shapes}, this bot's {wanted}"
            )
        counts = {len(made.memory), len(made.words), len(made.spellings), len(made.utterance)}
        if len(counts) != 1 or not (finite and texts and ascending):
            raise ValueError("this conversation is damaged")
        return made

    # ---- hearing

    def _hear(self, before: Conversation, words: Sequence[str], spellings: Sequence[str], mark: int) -> Conversation:
        """The conversation after an utterance that ends with the mark."""
        model = self.model
        ids = np.array([*map(self.vocabulary.id, words), mark])[:, None]
        given = tuple(part[None] for part in before.state)
        heard, final = model.encoder(model.embedding(ids), given if model.states > 1 else given[0])
        state = tuple(part.data[0] for part in (final if model.states > 1 else (final,)))
        if not model.attends:
            return Conversation(state, before.memory)
        alone, _ = model.utterances(model.embedding(ids))
        memory = np.concatenate([heard.data[:, 0], alone.data[:, 0]], axis=1)
        number = before.utterance[-1] + 1 if before.utterance else 0
        return Conversation(
            state,
            np.concatenate([before.memory, memory]),
            (*before.words, *words, SPECIAL[mark]),
            (*before.spellings, *spellings, SPECIAL[mark]),
            (*before.utterance, *[number] * len(ids)),
        )

    # ---- answering

    def _decode(self, before: Conversation) -> tuple[list[str], list[str], Array | None, Array | None]:
        """The most probable word, one after the other: words, their spellings, attention weights, shares said."""
        decoder = _Decoder(self.model, self.vocabulary, before)
        words: list[str] = []
        spellings: list[str] = []
        looked: list[Array] = []
        shares: list[float] = []
        while len(words) < LONGEST_REPLY:
            said, copied, gate = decoder.step(words[-1] if words else None)
            mixed = decoder.mixture(said, copied, gate)
            if not words:
                mixed[USER] = -1.0  # a reply has a word
            best = int(mixed.argmax())
            if best == USER:
                break
            sources = np.flatnonzero(decoder.places == best)
            from_copying = (1.0 - gate) * copied[sources].sum()
            share = 1.0 - float(from_copying / mixed[best]) if from_copying else 1.0
            if share >= 0.5:
                words.append(self.vocabulary.words[best])
                spellings.append(words[-1])
            else:
                source = sources[copied[sources].argmax()]
                words.append(before.words[source])
                spellings.append(before.spellings[source])
            looked.append(copied)
            shares.append(share)
        why = (np.array(looked), np.array(shares)) if self.model.attends else (None, None)
        return words, spellings, *why


class _Decoder:
    """The decoder at work on a reply, after the conversation `before`."""

    def __init__(self, model: ConversationModel, vocabulary: Vocabulary, before: Conversation) -> None:
        self.model, self.vocabulary, self.memory = model, vocabulary, before.memory
        self.age = np.array(before.utterance[-1:]) - np.array(before.utterance, np.int64)
        self.earlier = np.array(["", *before.words[:-1]])[: len(before.words)]  # the word before each
        self.places = _places(before.words, vocabulary)
        self.states = [tuple(part.data for part in model.begin(before.state[0]))]

    def step(self, word: str | None) -> tuple[Array, Array, float]:
        """After `word` (None: at the beginning): the vocabulary's probabilities (V,), attention (N,), the gate g."""
        model = self.model
        index = BOT if word is None else self.vocabulary.id(word)
        row, self.states = model.decoder.step(model.embedding.weight.data[[index]], self.states)
        copied, gate = np.zeros(0), 1.0
        if model.attends:
            follows = np.zeros(len(self.earlier), bool) if word is None else self.earlier == word
            bias = model.bias(row[None], self.age[None, None], follows[None, None])
            context, weights = model.attention(row[None], self.memory[None], bias=bias)
            row = np.concatenate([row, context.data[0]], axis=1)
            gate = float(nn.sigmoid(model.gate(row)).data[0, 0])
            copied = weights.data[0, 0].astype(np.float64)
        return nn.softmax(model.scores(row).data[0].astype(np.float64)), copied, gate

    def mixture(self, said: Array, copied: Array, gate: float) -> Array:
        """p of each word of the vocabulary, and of those of the conversation beyond it, as `places` numbers them.

        What nobody can say (unknown, number, the bot's mark) gets -1.
        """
        mixed = np.zeros(max(len(said), self.places.max(initial=0) + 1))
        mixed[: len(said)] = gate * said
        np.add.at(mixed, self.places, (1.0 - gate) * copied)
        mixed[[UNKNOWN, NUMBER, BOT]] = -1.0
        return mixed


def _places(words: Sequence[str], vocabulary: Vocabulary) -> Array:
    """For each word its id or, beyond the vocabulary, a number that equal words share."""
    names: dict[str, int] = {word: k for k, word in enumerate(SPECIAL)}
    for word in words:
        if word not in names:
            index = vocabulary.id(word)
            names[word] = index if index >= len(SPECIAL) else len(vocabulary) + len(names)
    return np.array([names[word] for word in words], np.int64)
