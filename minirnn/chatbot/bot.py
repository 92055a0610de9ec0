"""A chatbot that remembers: it maps the user's text and the state of the conversation to a reply and a new state."""

import importlib.resources
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from minirnn import checkpoint, nn
from minirnn.autograd import no_grad
from minirnn.chatbot.conversations import BOT, NUMBER, SPECIAL, UNKNOWN, USER, Vocabulary, read, write
from minirnn.chatbot.model import ConversationModel
from minirnn.language import from_arrays, to_arrays

__all__ = ["Answer", "Chatbot", "Conversation"]

Array = npt.NDArray[Any]
LONGEST_TURN, LONGEST_REPLY = 60, 30  # words
BOT_KIND, CONVERSATION_KIND = "minirnn chatbot", "minirnn conversation"  # the "kind" in their files
NOTHING_SAID = "Please say something."


@dataclass(frozen=True)
class Conversation:
    """The state of a conversation, as an immutable value.

    state: the encoder's h, or h and c, (1, H) each.
    memory: (N, M), for the N words said so far.
    words, spellings: these words, in lower case and as they were typed.
    utterance: for each of these words, the number of its utterance.
    """

    state: tuple[Array, ...]
    memory: Array
    words: tuple[str, ...] = ()
    spellings: tuple[str, ...] = ()
    utterance: tuple[int, ...] = ()

    def state_dict(self) -> dict[str, Any]:
        """Return the state for `Chatbot.restore`, in types that a checkpoint can store."""
        return {
            "kind": CONVERSATION_KIND,
            "state": list(self.state),
            "memory": self.memory,
            "words": list(self.words),
            "spellings": list(self.spellings),
            "utterance": list(self.utterance),
        }


@dataclass(frozen=True)
class Answer:
    """A reply, with the reasons for its words.

    weights: (words, N), the attention over the N words said before the reply.
    said: (words,), the share of each word's probability that comes from the vocabulary; below 1/2, the word is copied.
    conversation: the state after the reply.

    `weights` and `said` are None without attention.
    """

    text: str
    words: tuple[str, ...]
    weights: Array | None
    said: Array | None
    conversation: Conversation


@dataclass
class Chatbot:
    """A network, its vocabulary, and the conversation that `reply` continues.

    card: how the weights were made. `answer` computes a reply without changing the bot.
    """

    model: ConversationModel
    vocabulary: Vocabulary
    card: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.model.eval()
        self.reset()

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None) -> Self:
        """Return the bot that `save` wrote to `path`, or minirnn's own chatbot. Raises CheckpointError."""
        if path is None:
            with importlib.resources.as_file(
                importlib.resources.files("minirnn.chatbot") / "chatbot.safetensors"
            ) as file:
                return cls.load(file)
        stored = checkpoint.load(path)
        if not isinstance(stored, dict) or stored.get("kind") != BOT_KIND:
            raise checkpoint.CheckpointError(f"{os.fspath(path)}: a checkpoint, but not of a chatbot")
        try:
            vocabulary = Vocabulary(**stored["vocabulary"])
            model = ConversationModel(len(vocabulary), **stored["settings"])
            model.load_state_dict(stored["model"])
            if not all(np.isfinite(parameter.data).all() for parameter in model.parameters()):
                raise ValueError("a weight is not a finite number")
            return cls(model, vocabulary, dict(stored["card"]))
        except (KeyError, TypeError, ValueError) as error:
            raise checkpoint.CheckpointError(f"{os.fspath(path)}: the chatbot in it is damaged: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the weights, the vocabulary and the card. The conversation is not saved."""
        checkpoint.save(
            path,
            {
                "kind": BOT_KIND,
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
        """Return the reply to `text`, which can be any string, and add both to the conversation."""
        answer = self.answer(text, self.conversation)
        self.conversation = answer.conversation
        return answer.text

    def beginning(self) -> Conversation:
        """Return the conversation in which nothing has been said."""
        model = self.model
        dtype = model.embedding.weight.dtype
        width = model.hidden + 2 * (model.hidden // 2) if model.attends else 0
        zeros = tuple(np.zeros((1, model.hidden), dtype) for _ in range(model.states))
        return Conversation(zeros, np.zeros((0, width), dtype))

    @no_grad()
    def answer(self, text: str, conversation: Conversation) -> Answer:
        """Return the reply to the first 60 words of `text`, with the reasons for it."""
        words, spellings = (parts[:LONGEST_TURN] for parts in read(text))
        if not words:
            return Answer(NOTHING_SAID, (), None, None, conversation)
        before = self._hear(conversation, words, spellings, BOT)
        words, spellings, weights, said = self._decode(before)
        after = self._hear(before, words, spellings, USER)
        return Answer(write(spellings), tuple(words), weights, said, after)

    def restore(self, state: dict[str, Any]) -> Conversation:
        """Return the conversation for a state from `state_dict`. Raises ValueError if it does not fit this bot."""
        try:
            if state["kind"] != CONVERSATION_KIND:
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
        empty = self.beginning()
        wanted = [*(array.shape for array in empty.state), empty.memory.shape[1:]]
        if shapes != wanted:
            raise ValueError(
                f"this conversation was held with another bot: its arrays have the shapes {shapes}, expected {wanted}"
            )
        counts = {len(made.memory), len(made.words), len(made.spellings), len(made.utterance)}
        if len(counts) != 1 or not (finite and texts and ascending):
            raise ValueError("this conversation is damaged")
        return made

    # ---- reading an utterance

    def _hear(self, before: Conversation, words: Sequence[str], spellings: Sequence[str], mark: int) -> Conversation:
        """Return the conversation after an utterance that ends with the mark."""
        model = self.model
        ids = np.array([*map(self.vocabulary.id, words), mark])[:, None]
        heard, final = model.encoder(model.embedding(ids), from_arrays([part[None] for part in before.state]))
        state = tuple(part[0] for part in to_arrays(final))
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

    # ---- generating a reply

    def _decode(self, before: Conversation) -> tuple[list[str], list[str], Array | None, Array | None]:
        """Return the greedily decoded reply: words, spellings, attention weights, and shares said."""
        decoder = _Decoder(self.model, self.vocabulary, before)
        reply: list[tuple[str, str, Array, float]] = []  # the word, its spelling, attention weights, share said
        while len(reply) < LONGEST_REPLY:
            said, copied, gate = decoder.step(reply[-1][0] if reply else None)
            mixed = decoder.mixture(said, copied, gate)
            if not reply:
                mixed[USER] = -1.0  # a reply has at least one word
            best = int(mixed.argmax())
            if best == USER:
                break
            sources = np.flatnonzero(decoder.places == best)
            from_copying = (1.0 - gate) * copied[sources].sum()
            share = 1.0 - float(from_copying / mixed[best]) if from_copying else 1.0
            if share >= 0.5:
                word = spelling = self.vocabulary.words[best]
            else:
                source = sources[copied[sources].argmax()]
                word, spelling = before.words[source], before.spellings[source]
            reply.append((word, spelling, copied, share))
        words, spellings, weights, shares = map(list, zip(*reply, strict=True))
        return words, spellings, *((np.array(weights), np.array(shares)) if self.model.attends else (None, None))


class _Decoder:
    """The decoder, with its state within a reply to the conversation `before`."""

    def __init__(self, model: ConversationModel, vocabulary: Vocabulary, before: Conversation) -> None:
        self.model, self.vocabulary, self.memory = model, vocabulary, before.memory
        self.age = np.array(before.utterance[-1:]) - np.array(before.utterance, np.int64)
        self.earlier = np.array(["", *before.words[:-1]])[: len(before.words)]  # the word before each word
        self.places = _places(before.words, vocabulary)
        self.states = [tuple(part.data for part in model.begin(before.state[0]))]

    def step(self, word: str | None) -> tuple[Array, Array, float]:
        """Read `word` (None: the beginning). Return the probabilities (V,), the attention (N,) and the gate g."""
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
        """Return the probability of each word: of the vocabulary, then of the conversation's other words by `places`.

        Words that can't be in a reply (unknown, number, the mark BOT) get -1.
        """
        mixed = np.zeros(max(len(said), self.places.max(initial=0) + 1))
        mixed[: len(said)] = gate * said
        np.add.at(mixed, self.places, (1.0 - gate) * copied)
        mixed[[UNKNOWN, NUMBER, BOT]] = -1.0
        return mixed


def _places(words: Sequence[str], vocabulary: Vocabulary) -> Array:
    """Return the id of each word. Equal words outside the vocabulary share a number above the ids."""
    names: dict[str, int] = {word: k for k, word in enumerate(SPECIAL)}
    for word in words:
        if word not in names:
            index = vocabulary.id(word)
            names[word] = index if index >= len(SPECIAL) else len(vocabulary) + len(names)
    return np.array([names[word] for word in words], np.int64)
