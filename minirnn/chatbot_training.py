"""Training the chatbot on generated conversations, and scoring it on others: unseen phrasings, unseen values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from minirnn import optim, random
from minirnn.models.chatbot import Chatbot
from minirnn.models.conversation import ATTENTIONS, ConversationModel
from minirnn.models.conversation_batches import encode, shuffled
from minirnn.models.language_model import CELLS
from minirnn.text.conversations import DEVICES, FACTS, Split, Turn, Vocabulary, conversation, read
from minirnn.training import ConfigError, one_blas_thread

__all__ = ["ChatbotConfig", "Scores", "conversations", "score", "train"]

SEEDS: dict[Split, int] = {"train": 0, "valid": 1, "test": 2}


@dataclass(frozen=True)
class ChatbotConfig:
    """The settings of a chatbot's training. `conversations` are made once; each pass forgets other words of them.

    The learning rate rises over 100 steps to `lr` and falls along half a cosine to 0 at `steps`; the gradient's norm is
    clipped at 5. `topics` are what the conversations are about.
    """

    cell: str = "lstm"
    hidden: int = 128
    attention: str = "dot"
    embedding: int = 64
    dropout: float = 0.0
    conversations: int = 30000
    steps: int = 6000
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
    """A chatbot after `config.steps` steps, or as many as were done when `told` raised StopIteration.

    `told` hears the number of each step, from 1, and its loss in nats per word; `preparing` how many conversations are
    made. FloatingPointError if the loss is no longer a finite number.
    """
    random.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    vocabulary = Vocabulary.of_conversations()
    made = conversations("train", config.conversations, config.seed, topics=config.topics, told=preparing)
    model = ConversationModel(
        len(vocabulary), config.cell, config.hidden, config.attention, config.embedding, config.dropout
    )
    parameters: list[Any] = list(model.parameters())
    optimizer = optim.Adam(parameters, lr=config.lr)
    schedule = optim.CosineLR(optimizer, config.steps, min(100, config.steps // 10))
    step = 0
    try:
        while step < config.steps:
            forgetting = rng if model.attends else None  # who can't copy has to know every word
            for batch in shuffled([encode(turns, vocabulary, forgetting) for turns in made], config.batch, rng):
                losses, _ = model(batch)
                loss = losses.mean()
                optimizer.zero_grad()
                loss.backward()
                norm = optim.clip_grad_norm_(parameters, 5.0)
                if not math.isfinite(float(loss.item()) + norm):
                    raise FloatingPointError(f"training diverged at step {step + 1}: try a lower --lr than {config.lr}")
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
    """Counts over conversations: `replies` and how many were exactly right; `recalls`, the turns that ask for a value
    that was told, and how many of the replies hold it; the same by the number of turns since it was told."""

    replies: int = 0
    exact: int = 0
    recalls: int = 0
    recalled: int = 0
    by_distance: dict[int, list[int]] = field(default_factory=dict)  # turns since: [asked, right]
    wrong: list[tuple[Turn, str]] = field(default_factory=list)

    def share(self, right: int, of: int) -> float:
        return right / of if of else math.nan

    @property
    def exact_share(self) -> float:
        """Of all replies, those that are exactly right."""
        return self.share(self.exact, self.replies)

    @property
    def recall_share(self) -> float:
        """Of the questions for a told value, those whose reply holds it."""
        return self.share(self.recalled, self.recalls)


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
            if answer.text != turn.reply:
                scores.wrong.append((turn, answer.text))
            if turn.act == "ask":
                right = holds(answer.text, turn.value)
                scores.recalls += 1
                scores.recalled += right
                counts = scores.by_distance.setdefault(turn.since, [0, 0])
                counts[0] += 1
                counts[1] += right
    return scores


def holds(reply: str, value: tuple[str, ...]) -> bool:
    """Whether the words of `value` stand in the reply, next to each other."""
    words = tuple(read(reply)[0])
    return any(words[k : k + len(value)] == value for k in range(len(words)))
