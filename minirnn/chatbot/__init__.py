"""The chatbot: generated conversations, its network, training, scores, and the trained weights.

Other packages import the names below from here, and the generated conversations from `minirnn.chatbot.conversations`.
"""

from minirnn.chatbot.bot import Answer, Chatbot, Conversation
from minirnn.chatbot.model import ConversationModel
from minirnn.chatbot.training import ChatbotConfig, Scores, holds, make_conversations, score, train

__all__ = [
    "Answer",
    "Chatbot",
    "ChatbotConfig",
    "Conversation",
    "ConversationModel",
    "Scores",
    "holds",
    "make_conversations",
    "score",
    "train",
]
