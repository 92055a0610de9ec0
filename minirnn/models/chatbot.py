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
from minirnn.checkpoint import CheckpointError
from minirnn.graph import no_grad
from minirnn.models.conversation import ConversationModel
from minirnn.text.conversations import BOT, END, UNKNOWN, USER, Vocabulary, read, write

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
    """A reply, and why: for each of its words (marks and END included) what the decoder looked at.

    `weights` (words, N): the attention over the N words said before it; `gates` (words,): the share g of the vocabulary
    in the mixture, 1 - g that of copying. Both None without attention. `conversation`: as it is now.
    """

    text: str
    words: tuple[str, ...]
    weights: Array | None
    gates: Array | None
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
                importlib.resources.files("minirnn.models") / "chatbot.safetensors"
            ) as file:
                return cls.load(file)
        stored = checkpoint.load(path)
        if not isinstance(stored, dict) or stored.get("kind") != FORMAT:
            raise CheckpointError(f"{os.fspath(path)}: a checkpoint, but not of a chatbot")
        try:
            vocabulary = Vocabulary(**stored["vocabulary"])
            model = ConversationModel(len(vocabulary), **stored["settings"])
            model.load_state_dict(stored["model"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{os.fspath(path)}: the chatbot in it is damaged: {error}") from None
        return cls(model, vocabulary, stored["card"])

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
        width = model.hidden + model.hidden // 2 if model.attends else 0
        zeros = tuple(np.zeros((1, model.hidden), dtype) for _ in range(model.states))
        return Conversation(zeros, np.zeros((0, width), dtype))

    @no_grad()
    def answer(self, text: str, conversation: Conversation) -> Answer:
        """The reply to `text`, of which the first 60 words count, and why it is that."""
        words, spellings = (parts[:LONGEST_TURN] for parts in read(text))
        if not words:
            return Answer(NOTHING_SAID, (), None, None, conversation)
        before = self._hear(conversation, USER, words, spellings)
        replied, shown, weights, gates = self._decode(before)
        after = self._hear(before, BOT, replied, shown)
        return Answer(write(shown), (*replied, "<end>"), weights, gates, after)

    def restore(self, state: dict[str, Any]) -> Conversation:
        """The conversation that `state_dict` described. ValueError if it isn't one, or not one of this bot's."""
        try:
            if state["kind"] != "minirnn conversation":
                raise KeyError("kind")
            parts = {name: tuple(state[name]) for name in ("state", "words", "spellings", "utterance")}
            made = Conversation(memory=state["memory"], **parts)
            counts = {len(made.memory), len(made.words), len(made.spellings), len(made.utterance)}
            texts = all(isinstance(word, str) for word in (*made.words, *made.spellings))
            numbers = all(type(number) is int for number in made.utterance)
        except (KeyError, TypeError, AttributeError):
            raise ValueError("this is not a conversation") from None
        expected = self.beginning()
        shapes = [array.shape for array in made.state] + [made.memory.shape[1:]]
        wanted = [array.shape for array in expected.state] + [expected.memory.shape[1:]]
        arrays = [*made.state, made.memory]
        if shapes != wanted or any(array.dtype != expected.memory.dtype for array in arrays):
            raise ValueError(
                f"this conversation was held with another bot: its arrays are {shapes}, this bot's {wanted}"
            )
        if len(counts) != 1 or not texts or not numbers or not all(np.isfinite(array).all() for array in arrays):
            raise ValueError("this conversation is damaged")
        return made

    # ---- hearing

    def _hear(
        self, conversation: Conversation, mark: int, words: Sequence[str], spellings: Sequence[str]
    ) -> Conversation:
        """The conversation after an utterance by USER or BOT."""
        model = self.model
        ids = np.array([mark, *map(self.vocabulary.id, words)])[:, None]
        state = tuple(part[None] for part in conversation.state)
        heard, final = model.encoder(model.embedding(ids), state if model.states > 1 else state[0])
        parts = [heard.data[:, 0]]
        if model.attends:
            back, _ = model.backward_encoder(model.embedding(ids[::-1]))
            parts.append(back.data[::-1, 0])
        memory = np.concatenate(parts, axis=1) if model.attends else conversation.memory[:0]
        said = conversation.utterance[-1] + 1 if conversation.utterance else 0
        kept = len(ids) if model.attends else 0
        name = self.vocabulary.words[mark]
        return Conversation(
            tuple(part.data[0] for part in (final if model.states > 1 else (final,))),
            np.concatenate([conversation.memory, memory]),
            conversation.words + (name, *words)[:kept],
            conversation.spellings + (name, *spellings)[:kept],
            conversation.utterance + (said,) * kept,
        )

    # ---- answering

    def _decode(self, before: Conversation) -> tuple[list[str], list[str], Array | None, Array | None]:
        """The most probable word, one after the other: words, their spellings, attention weights, gates."""
        model, size = self.model, len(self.vocabulary)
        places = self._places(before.words)
        after_mark, _ = model.encoder(
            model.embedding(np.array([[BOT]])),
            tuple(part[None] for part in before.state) if model.states > 1 else before.state[0][None],
        )
        states = [tuple(part.data for part in model.begin(after_mark[0]))]
        memory = before.memory[None]
        age = np.log1p(before.utterance[-1] - np.array(before.utterance)) if before.utterance else np.zeros(0)
        bias = age.astype(memory.dtype)[None, None]
        index = BOT
        words: list[str] = []
        shown: list[str] = []
        looked: list[Array] = []
        gates: list[float] = []
        while len(words) < LONGEST_REPLY:
            out, states = model.decoder.step(model.embedding.weight.data[[index]], states)
            row = out
            copied, gate = np.zeros(0), 1.0
            if model.attends:
                context, weights = model.attention(out[None], memory, bias=-model.recency.data * bias)
                row = np.concatenate([out, context.data[0]], axis=1)
                gate = float(nn.sigmoid(model.gate(row).data)[0, 0])
                copied = weights.data[0, 0]
                looked.append(copied)
                gates.append(gate)
            said = nn.softmax(model.scores(row).data[0].astype(np.float64))
            mixed = np.zeros(max([size, *(places + 1)]))
            mixed[:size] = gate * said
            np.add.at(mixed, places, (1.0 - gate) * copied)
            mixed[:END] = 0.0  # nobody says "unknown"
            best = int(mixed.argmax())
            if best == END:
                break
            sources = np.flatnonzero(places == best)
            if best >= size or (len(sources) and (1.0 - gate) * copied[sources].sum() > gate * said[best]):
                source = sources[copied[sources].argmax()]
                words.append(before.words[source])
                shown.append(before.spellings[source])
            else:
                words.append(self.vocabulary.words[best])
                shown.append(self.vocabulary.words[best])
            index = self.vocabulary.id(words[-1])
        return words, shown, np.array(looked) if looked else None, np.array(gates) if gates else None

    def _places(self, words: Sequence[str]) -> Array:
        """For each word its id, or a number above all ids that equal words share; marks get UNKNOWN."""
        names: dict[str, int] = dict.fromkeys(self.vocabulary.words[:END], UNKNOWN)
        for word in words:
            if word not in names:
                index = self.vocabulary.id(word)
                names[word] = index if index > END else len(self.vocabulary) + len(names)
        return np.array([names[word] for word in words], np.int64)
