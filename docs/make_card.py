"""Write the chatbot's card into docs/chatbot.md from the data stored with its weights."""

from __future__ import annotations

import re
from pathlib import Path

from minirnn.chatbot import Chatbot
from minirnn.commands.apply.train_chatbot import shown

PAGE = Path(__file__).parent / "chatbot.md"
BLOCK = re.compile(r"(<!-- card: begin.*?-->\n).*?(<!-- card: end -->)", re.DOTALL)


def card(bot: Chatbot) -> str:
    """Return the card as Markdown: how the weights were made, and their scores."""
    made, scores = bot.card, bot.card["scores"]
    weights = sum(parameter.size for parameter in bot.model.parameters())
    lines = [
        f"`{made['command']}`, seed {made['settings']['seed']}: {made['steps']:,} steps, {made['seconds'] / 60:.1f} "
        f"minutes of training, {made['seconds with scoring'] / 60:.1f} with scoring, on {made['cores']} cores "
        f"({made['cpu']}), {made['date']}. {weights:,} weights, {len(bot.vocabulary):,} words.",
        "",
        f"| {scores['conversations']} held-out conversations | values of the test | values of training |",
        "|---|---:|---:|",
    ]
    lines += [
        f"| {what} | {shown(scores['test'][what])} | {shown(scores['training'][what])} |" for what in scores["test"]
    ]
    acts = ", ".join(f"{act} {counts}" for act, counts in scores["by act"].items())
    lines += ["", f"Exactly right replies by the kind of user turn, with the values of the test: {acts}."]
    return "\n".join(lines) + "\n"


def page(text: str, bot: Chatbot) -> str:
    """Return the page with the bot's card inserted."""
    return BLOCK.sub(lambda match: match[1] + card(bot) + match[2], text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), Chatbot.load()), encoding="utf-8")
