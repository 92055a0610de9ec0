"""Write the chatbot's card in docs/chatbot.md from what is stored with its weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from minirnn.models.chatbot import Chatbot

PAGE = Path(__file__).parent / "chatbot.md"
BLOCK = re.compile(r"(<!-- card: begin.*?-->\n).*?(<!-- card: end -->)", re.DOTALL)


def card(bot: Chatbot) -> str:
    """The card as Markdown: how the weights were made, and their scores."""
    made, scores = bot.card, bot.card["scores"]
    weights = sum(parameter.size for parameter in bot.model.parameters())
    lines = [
        f"`{made['command']}`, seed {made['settings']['seed']}: {made['steps']:,} steps in {made['seconds'] / 60:.1f} "
        f"minutes on {made['cores']} cores ({made['cpu']}), {made['date']}. {weights:,} weights, "
        f"{len(bot.vocabulary):,} words.",
        "",
        f"| {scores['conversations']} test conversations | unseen values | seen values |",
        "|---|---:|---:|",
    ]
    lines += [f"| {what} | {row('unseen', scores, what)} | {row('seen', scores, what)} |" for what in scores["unseen"]]
    return "\n".join(lines) + "\n"


def row(values: str, scores: dict[str, Any], what: str) -> str:
    number = scores[values][what]
    return f"{number:.2%}" if isinstance(number, float) else f"{number:,}"


def page(text: str, bot: Chatbot) -> str:
    """The page with the bot's card in its place."""
    return BLOCK.sub(lambda match: match[1] + card(bot) + match[2], text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), Chatbot.load()), encoding="utf-8")
