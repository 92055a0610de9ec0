"""Conversations with a bot that is to remember what it is told: generated, as many as are wanted, from seeds."""

from minirnn.chatbot.conversations.dialogue import DEVICES, FACTS, Turn, conversation, ordinary_words, value_words
from minirnn.chatbot.conversations.values import Split, made_up
from minirnn.chatbot.conversations.vocabulary import BOT, NUMBER, SPECIAL, UNKNOWN, USER, Vocabulary
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
