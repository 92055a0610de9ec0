"""Training the chatbot on generated conversations, and scoring it on others: unseen phrasings, unseen values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from minirnn import optim, random
from minirnn.chatbot.batches import encode, shuffled
from minirnn.chatbot.bot import Chatbot
from minirnn.chatbot.conversations import DEVICES, FACTS, Split, Turn, Vocabulary, conversation, read
from minirnn.chatbot.model import ATTENTIONS, ConversationModel
from minirnn.language.model import CELLS
from minirnn.language.training import ConfigError, Diverged, one_blas_thread

__all__ = ["ChatbotConfig", "Scores", "conversations", "score", "train"]

SEEDS: dict[Split, int] = {"train": 0, "valid": 1, "test": 2}


@dataclass(frozen=True)
class ChatbotConfig:
    """The settings of a chatbot's training. `conversations` are made once; each pass forgets other words of them.

    The learning rate rises over 100 steps to `lr` and falls along half a cosine to 0 at `steps`; the gradient's norm is
    clipped at 5. `topics` are what the conversations are about.
    """

    cell: str = "lstm"
    hidden: int = 144
    attention: str = "dot"
    embedding: int = 64
    dropout: float = 0.0
    conversations: int = 30000
    steps: int = 5000
    batch: int = 16
    lr: float = 3e-3
    seed: int = 0
    topics: tuple[str, ...] = (*FACTS, *DEVICES)

    def __post_init__(self) -> None:
        for name, allowed in {"cell": tuple(CELLS), "attention": ATTENTIONS}.items():
            self._require(name, getattr(self, name) in allowed, "one of " + ", ".join(allowed))
        for name in ("hidden", "embedding", "conversations", "steps", "batch"):
            self._require(name, 1 <= getattr(self, name) <= 1_000_000, "from 1 to 1,000,000")
        self._require("hidden", self.hidden > 1, "at least 2")
        self._require("seed", self.seed >= 0, "at least 0")
        self._require("lr", math.isfinite(self.lr) and self.lr > 0, "a finite number above 0")
        self._require("dropout", 0 <= self.dropout < 1, "at least 0 and below 1")

    def _require(self, name: str, right: bool, expected: str) -> None:
        if not right:
            raise ConfigError(f"{name} must be {expected}, got {getattr(self, name)!r}")


def conversations(
    split: Split,
    count: int,
    seed: int = 0,
    values: Split | None = None,
    topics: tuple[str, ...] = (*FACTS, *DEVICES),
    told: Callable[[int], object] = lambda done: None,
) -> list[list[Turn]]:
    """So many conversations of a part, which differ from seed to seed; `values` as `conversation` takes it."""
    made = []
    for k in range(count):
        made.append(conversation((seed, SEEDS[split], k), split, values=values, topics=topics))
        told(k + 1)
    return made


@one_blas_thread()
def train(
    config: ChatbotConfig,
    told: Callable[[int, float], object] = lambda step, loss: None,
    preparing: Callable[[int], object] = lambda done: None,
) -> Chatbot:
    """A chatbot after `config.steps` steps, or as many as were done when `told` or `preparing` raised StopIteration.

    `told` hears the number of each step, from 1, and its loss in nats per word; `preparing` how many conversations are
    made. Diverged if the loss is no longer a finite number.
    """
    random.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    vocabulary = Vocabulary.of_conversations()
    model = ConversationModel(
        len(vocabulary), config.cell, config.hidden, config.attention, config.embedding, config.dropout
    )
    parameters: list[Any] = list(model.parameters())
    optimizer = optim.Adam(parameters, lr=config.lr)
    schedule = optim.CosineLR(optimizer, config.steps, min(100, config.steps // 10))
    step = 0
    try:
        made = conversations("train", config.conversations, config.seed, topics=config.topics, told=preparing)
        while step < config.steps:
            forgetting = rng if model.attends else None  # who can't copy has to know every word
            for batch in shuffled([encode(turns, vocabulary, forgetting) for turns in made], config.batch, rng):
                loss = model(batch).mean()
                optimizer.zero_grad()
                loss.backward()
                norm = optim.clip_grad_norm_(parameters, 5.0)
                if not math.isfinite(float(loss.item()) + norm):
                    raise Diverged(f"training diverged at step {step + 1}: the loss is {loss.item()}")
                optimizer.step()
                schedule.step()
                step += 1
                told(step, float(loss.item()))
                if step == config.steps:
                    break
    except StopIteration:
        pass
    return Chatbot(model, vocabulary, {"settings": {**asdict(config), "topics": list(config.topics)}, "steps": step})


@dataclass
class Scores:
    """Counts over conversations: `replies` and how many were exactly right; and of the turns that ask for a value that
    was told, [asked, replies that hold it], by the number of turns since it was told, and apart for values with a word
    that the bot doesn't know (`unknown`) and others (`known`)."""

    replies: int = 0
    exact: int = 0
    by_distance: dict[int, list[int]] = field(default_factory=dict)
    by_act: dict[str, list[int]] = field(default_factory=dict)  # [replies, exactly right], relatives apart
    unknown: list[int] = field(default_factory=lambda: [0, 0])
    known: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def exact_share(self) -> float:
        """Of all replies, those that are exactly right."""
        return share(self.exact, self.replies)

    @property
    def recalls(self) -> int:
        """The questions for a told value."""
        return self.unknown[0] + self.known[0]

    @property
    def recall_share(self) -> float:
        """Of the questions for a told value, those whose reply holds it."""
        return share(self.unknown[1] + self.known[1], self.recalls)


def share(right: int, of: int) -> float:
    """right / of, or nan where there is nothing to count."""
    return right / of if of else math.nan


def score(bot: Chatbot, held: Iterable[list[Turn]]) -> Scores:
    """Hold the conversations with the bot, each from its beginning; the user's turns don't depend on the replies."""
    scores = Scores()
    for turns in held:
        state = bot.beginning()
        for turn in turns:
            answer = bot.answer(turn.user, state)
            state = answer.conversation
            scores.replies += 1
            scores.exact += answer.text == turn.reply
            act = turn.act + " (relative)" * ("relation" in turn.topic)
            counts = scores.by_act.setdefault(act, [0, 0])
            counts[0] += 1
            counts[1] += answer.text == turn.reply
            if turn.act == "ask":
                known = all(word in bot.vocabulary for word in turn.value)
                for counts in (
                    scores.known if known else scores.unknown,
                    scores.by_distance.setdefault(turn.since, [0, 0]),
                ):
                    counts[0] += 1
                    counts[1] += holds(answer.text, turn.value)
    return scores


def holds(reply: str, value: tuple[str, ...]) -> bool:
    """Whether the words of `value` stand in the reply, next to each other."""
    words = tuple(read(reply)[0])
    return any(words[k : k + len(value)] == value for k in range(len(words)))
