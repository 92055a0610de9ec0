"""Generated conversations with a bot that remembers what it is told, from a seed, in any number."""

from minirnn.chatbot.conversations.dialogue import DEVICES, FACTS, Turn, conversation
from minirnn.chatbot.conversations.values import Split, made_up
from minirnn.chatbot.conversations.vocabulary import (
    BOT,
    NUMBER,
    SPECIAL,
    UNKNOWN,
    USER,
    Vocabulary,
    ordinary_words,
    value_words,
)
from minirnn.chatbot.conversations.words import CAPITAL, read, write

__all__ = [
    "BOT",
    "CAPITAL",
    "DEVICES",
    "FACTS",
    "NUMBER",
    "SPECIAL",
    "UNKNOWN",
    "USER",
    "Split",
    "Turn",
    "Vocabulary",
    "conversation",
    "made_up",
    "ordinary_words",
    "read",
    "value_words",
    "write",
]
