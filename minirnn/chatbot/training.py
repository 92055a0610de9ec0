"""Training the chatbot on generated conversations, and scoring it on held-out ones: unseen phrasings, unseen values."""

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
from minirnn.language import LAYERS, Diverged, one_blas_thread
from minirnn.language.config import one_of, positive, require

__all__ = ["ChatbotConfig", "Scores", "holds", "make_conversations", "score", "share", "train"]

PART_SEEDS: dict[Split, int] = {"train": 0, "valid": 1, "test": 2}


@dataclass(frozen=True)
class ChatbotConfig:
    """The settings of a chatbot's training.

    conversations: their number; they are generated once, and each epoch hides other words of them.
    lr: the learning rate rises to `lr` over 100 steps, then falls to 0 along half a cosine. The norm of the gradient is
        clipped at 5.
    topics: the subjects of the conversations.
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
        require(
            self,
            (
                one_of("cell", LAYERS),
                one_of("attention", ATTENTIONS),
                ("hidden embedding conversations steps batch", lambda n: 1 <= n <= 1_000_000, "from 1 to 1,000,000"),
                ("hidden", lambda n: n > 1, "at least 2"),
                ("seed", lambda n: n >= 0, "at least 0"),
                ("lr", positive, "a finite number above 0"),
                ("dropout", lambda p: 0 <= p < 1, "at least 0 and below 1"),
            ),
        )


def make_conversations(
    split: Split,
    count: int,
    seed: int = 0,
    values: Split | None = None,
    topics: tuple[str, ...] = (*FACTS, *DEVICES),
    told: Callable[[int], object] = lambda done: None,
) -> list[list[Turn]]:
    """Return `count` conversations of a part and seed; `values` is the parameter of `conversation`.

    `told` is called with the number of conversations after each one.
    """
    made = []
    for k in range(count):
        made.append(conversation((seed, PART_SEEDS[split], k), split, values=values, topics=topics))
        told(k + 1)
    return made


@one_blas_thread()
def train(
    config: ChatbotConfig,
    told: Callable[[int, float], object] = lambda step, loss: None,
    preparing: Callable[[int], object] = lambda done: None,
) -> Chatbot:
    """Return a chatbot trained for `config.steps` steps, or until `told` or `preparing` raises StopIteration.

    `told` is called with the number of each step, from 1, and its loss in nats per word; `preparing` with the number of
    conversations generated so far. Raises Diverged if the loss is no longer a finite number.
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
        made = make_conversations("train", config.conversations, config.seed, topics=config.topics, told=preparing)
        while step < config.steps:
            forgetting = rng if model.attends else None  # without attention, the model needs the full vocabulary
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
    """Counts over conversations.

    replies, exact: the number of replies, and of exactly correct replies.
    by_act: for each act, with relatives separate, [replies, exactly correct].
    by_distance: for the questions about a told value, by the number of turns since it was told, [questions, replies
        that contain the value].
    unknown, known: the same for values with at least one word outside the vocabulary, and for the other values.
    """

    replies: int = 0
    exact: int = 0
    by_distance: dict[int, list[int]] = field(default_factory=dict)
    by_act: dict[str, list[int]] = field(default_factory=dict)
    unknown: list[int] = field(default_factory=lambda: [0, 0])
    known: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def exact_share(self) -> float:
        """The share of all replies that are exactly correct."""
        return share(self.exact, self.replies)

    @property
    def recalls(self) -> int:
        """The number of questions about a told value."""
        return self.unknown[0] + self.known[0]

    @property
    def recall_share(self) -> float:
        """The share of the questions about a told value whose reply contains the value."""
        return share(self.unknown[1] + self.known[1], self.recalls)


def share(right: int, of: int) -> float:
    """Return right / of, or nan if `of` is 0."""
    return right / of if of else math.nan


def score(bot: Chatbot, held: Iterable[list[Turn]]) -> Scores:
    """Play the conversations with the bot, each from its beginning. The user's turns do not depend on the replies."""
    scores = Scores()
    for turns in held:
        state = bot.beginning()
        for turn in turns:
            answer = bot.answer(turn.user, state)
            state = answer.conversation
            exact = answer.text == turn.reply
            scores.replies += 1
            scores.exact += exact
            act = turn.act + " (relative)" * ("relation" in turn.topic)
            tallies = [(scores.by_act.setdefault(act, [0, 0]), exact)]
            if turn.act == "ask":
                known = all(word in bot.vocabulary for word in turn.value)
                recalled = holds(answer.text, turn.value)
                tallies.append((scores.known if known else scores.unknown, recalled))
                tallies.append((scores.by_distance.setdefault(turn.since, [0, 0]), recalled))
            for tally, right in tallies:
                tally[0] += 1
                tally[1] += right
    return scores


def holds(reply: str, value: tuple[str, ...]) -> bool:
    """Return whether the reply contains the words of `value`, next to each other."""
    words = tuple(read(reply)[0])
    return any(words[k : k + len(value)] == value for k in range(len(words)))
