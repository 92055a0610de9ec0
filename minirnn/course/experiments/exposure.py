"""Exposure bias: a model that was trained on true text only, and then has to go on from its own.

In training with teacher forcing, every input is a true token. When the model writes, every input is its own last token,
and it has never been exposed to that. The lecture says that this is why generated text falls into "the the the", and
that scheduled sampling cures it: in training, a growing share of the inputs are the model's own predictions (Bengio et
al. 2015; `minirnn.language.scheduled_sampling` has the three ways in which that share grows).

A character model with a GRU is trained on the documentation of Python for the same number of steps four times: with
teacher forcing, and with the share of true inputs falling linearly, exponentially and as an inverse sigmoid. Then it

- reads held-out text while a share of its inputs are its own draws, and its loss on the true next character is
  measured. This rises for any model, because drawn text leaves the true text behind; the question is by how much less
  it rises for a model that was exposed to that;
- goes on from places in the held-out text: greedily, by beam search, and drawn at two temperatures and from the
  nucleus. Of each text of some hundred characters it is counted how many of its 12-grams of characters stood in it
  before, and whether it ends in a loop (at least three rounds and 30 characters); of all words, how many are words of
  the training text. Real text of the same length is measured beside it;
- writes at temperature 1 for longer, and the share of known words is measured by the distance from the prompt. If
  errors piled up because the model reads its own text, that share would fall.

The claim is held if greedy text loops with teacher forcing in at least a tenth of the texts and scheduled sampling at
least halves that share with each of the three decays; in part if some of them do.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn.language.beam import beam_search
from minirnn.course.experiment import Effort, Numbers, Outcome, Progress, Table
from minirnn.autograd import no_grad
from minirnn.language.model import LanguageModel, from_arrays, to_arrays
from minirnn.nn import cross_entropy
from minirnn.plots import lines, new_figure, style
from minirnn.language.sampling import generate
from minirnn.language.scheduled_sampling import mixed_inputs
from minirnn.language import Batches, Corpus, ending_loop, load_corpus, repeated_share
from minirnn.language.training import TrainConfig, Trainer

CLAIM = "A model trained with teacher forcing repeats itself when it writes; scheduled sampling cures that."
SOURCE = "The course's lecture on exposure bias; Bengio, Vinyals, Jaitly and Shazeer 2015."

TEACHERS = {
    "always": "teacher forcing",
    "linear": "linear",
    "exponential": "exponential",
    "inverse-sigmoid": "inverse sigmoid",
}
TEACHER_END = 0.5
SIZES: dict[Effort, dict[str, int]] = {
    "quick": {"seeds": 1, "steps": 40, "prompts": 8, "length": 200, "windows": 3},
    "default": {"seeds": 2, "steps": 300, "prompts": 20, "length": 300, "windows": 8},
    "full": {"seeds": 3, "steps": 2000, "prompts": 100, "length": 500, "windows": 20},
}
OWN = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)  # shares of the model's own inputs at which the loss is measured
PROMPT = 60  # characters
GRAM = 12
LEAST_LOOP = 30  # characters
DRIFT = 3  # parts of a long text, `length` characters each

Writer = Callable[[LanguageModel, Any, str, int, int], str]  # model, tokenizer, prompt, length, seed -> text


def _drawn(**settings: Any) -> Writer:
    return lambda model, tokenizer, prompt, length, seed: "".join(
        generate(model, tokenizer, prompt, length, seed=seed, **settings)
    )


DECODERS: dict[str, Writer] = {
    "greedy": _drawn(temperature=0),
    "beam of 5": lambda model, tokenizer, prompt, length, seed: (
        beam_search(model, tokenizer, prompt, length, 5)[0].text
    ),
    "temperature 0.7": _drawn(temperature=0.7),
    "top-p 0.9": _drawn(top_p=0.9),
    "temperature 1": _drawn(),
}


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    size = SIZES[effort]
    corpus = load_corpus("python-docs")
    models: dict[str, list[dict[str, Any]]] = {teacher: [] for teacher in TEACHERS}
    total = size["seeds"] * len(TEACHERS)
    for k, (one, teacher) in enumerate(itertools.product(range(seed, seed + size["seeds"]), TEACHERS)):
        told = functools.partial(lambda k, what, done: progress((k + 0.8 * done) / total, what), k, teacher)
        trainer = train(corpus, teacher, size["steps"], one, told)
        models[teacher].append(measure(trainer, size["prompts"], size["length"], size["windows"]))
    numbers = {
        "corpus": {"name": corpus.name, "sha256": corpus.sha256},
        "size": size,
        "teacher_end": TEACHER_END,
        "own": list(OWN),
        "models": {teacher: averaged(results) for teacher, results in models.items()},
        "real": repetition(real_texts(trainer, size["prompts"], size["length"]), known_words(trainer)),
    }
    return judge(numbers)


def train(corpus: Corpus, teacher: str, steps: int, seed: int, told: Callable[[float], object]) -> Trainer:
    """A GRU of 128 units, trained."""
    config = TrainConfig(
        cell="gru", hidden=128, embedding=32, dropout=0.0, lr=4e-3, steps=steps, seed=seed,
        teacher=teacher, teacher_end=TEACHER_END,
    )  # fmt: skip
    trainer = Trainer(config, corpus)
    for step in range(steps):
        trainer.step()
        told((step + 1) / steps)
    return trainer


def measure(trainer: Trainer, prompts: int, length: int, windows: int) -> dict[str, Any]:
    """The losses at `OWN`, the repetition of each decoder, and the known words by distance."""
    starts = [text[:PROMPT] for text in held_out(trainer, prompts, PROMPT)]
    words = known_words(trainer)
    found: dict[str, Any] = {"loss": [exposed_loss(trainer, own, windows) for own in OWN], "decoders": {}}
    for name, write in DECODERS.items():
        texts = [write(trainer.model, trainer.tokenizer, p, length, k) for k, p in enumerate(starts)]
        found["decoders"][name] = repetition(texts, words)
        found["decoders"][name]["example"] = texts[0][:200]
    long = [
        DECODERS["temperature 1"](trainer.model, trainer.tokenizer, p, DRIFT * length, k) for k, p in enumerate(starts)
    ]
    parts = [[text[k * length : (k + 1) * length] for text in long] for k in range(DRIFT)]
    found["drift"] = [known_share(part, words) for part in parts]
    return found


def exposed_loss(trainer: Trainer, own: float, windows: int) -> float:
    """Mean loss (nats) on the true next character of the held-out text, a share `own` of the inputs being drawn.

    Over the first `windows` windows of `seq` characters. Each starts from the true text: its state is that after
    reading the windows before as they are.
    """
    model, total, count = trainer.model.eval(), 0.0, 0
    rng = np.random.default_rng(0)
    carried: list[np.ndarray] | None = None
    with no_grad():
        for x, y in itertools.islice(Batches(trainer.valid_ids, trainer.config.batch, trainer.config.seq), windows):
            mixed = mixed_inputs(model, x, carried, 1 - own, rng)
            logits, _state = model(mixed, from_arrays(carried))
            total += float(cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1), reduction="sum").item())
            count += y.size
            carried = to_arrays(model(x, from_arrays(carried))[1])
    model.train()
    return total / count


def held_out(trainer: Trainer, count: int, length: int) -> list[str]:
    """`count` pieces of the held-out text, evenly spaced."""
    text = trainer.tokenizer.decode(trainer.valid_ids)
    return [text[k * (len(text) // count) :][:length] for k in range(count)]


def real_texts(trainer: Trainer, count: int, length: int) -> list[str]:
    """What really stands behind the prompts."""
    return [text[PROMPT:] for text in held_out(trainer, count, PROMPT + length)]


def known_words(trainer: Trainer) -> set[str]:
    return set(_words(trainer.tokenizer.decode(trainer.train_ids)))


def known_share(texts: Sequence[str], known: set[str]) -> float | None:
    """The share of the words of the texts that are `known`; None where there are no words. A text's last one, which may
    be cut off, doesn't count."""
    words = [word for text in texts for word in _words(text)[:-1]]
    return sum(word in known for word in words) / len(words) if words else None


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text)


def repetition(texts: Sequence[str], known: set[str]) -> dict[str, Any]:
    """The mean share of repeated 12-grams, the share of texts that end in a loop, and the share of known words."""
    return {
        "repeated": float(np.mean([repeated_share(text, GRAM) for text in texts])),
        "loops": float(np.mean([ending_loop(text, least=LEAST_LOOP) is not None for text in texts])),
        "known": known_share(texts, known),
    }


def averaged(results: Sequence[Any]) -> Any:
    """The mean over runs of a structure of numbers, None where one is missing; of texts the first."""
    first = results[0]
    if isinstance(first, dict):
        return {key: averaged([result[key] for result in results]) for key in first}
    if isinstance(first, list):
        return [averaged(parts) for parts in zip(*results, strict=True)]
    if isinstance(first, str):
        return first
    return None if None in results else float(np.mean(results))


def judge(numbers: Numbers) -> Outcome:
    """The verdict, by the criterion in the module's docstring."""
    models = numbers["models"]
    greedy = {teacher: models[teacher]["decoders"]["greedy"] for teacher in TEACHERS}
    forced = greedy["always"]
    scheduled = [teacher for teacher in TEACHERS if teacher != "always"]
    cured = [teacher for teacher in scheduled if greedy[teacher]["loops"] <= 0.5 * forced["loops"]]
    nucleus = models["always"]["decoders"]["top-p 0.9"]
    measured = (
        f"greedy text ends in a loop in {forced['loops']:.0%} of the texts with teacher forcing, in "
        + ", ".join(f"{greedy[t]['loops']:.0%} ({TEACHERS[t]})" for t in scheduled)
        + f" with scheduled sampling, in {nucleus['loops']:.0%} when drawn with top-p 0.9 instead; repeated "
        f"{GRAM}-grams {forced['repeated']:.0%}, "
        + ", ".join(f"{greedy[t]['repeated']:.0%}" for t in scheduled)
        + f", {nucleus['repeated']:.0%}, in real text {numbers['real']['repeated']:.0%}."
    )
    true, own = ([models[teacher]["loss"][at] for teacher in TEACHERS] for at in (0, -1))
    drift = models["always"]["drift"]
    why = (
        f"Scheduled sampling does make the model better at reading its own text, where the loss goes from {own[0]:.2f} "
        f"to {_listed(own[1:])} nats, at the cost of true text ({true[0]:.2f} to {_listed(true[1:])}). But the loops "
        "come from always taking the likeliest character: drawn with top-p 0.9, "
        if min(own[1:]) < own[0] and all(nucleus["loops"] < 0.5 * greedy[teacher]["loops"] for teacher in TEACHERS)
        else f"Scheduled sampling changes the loss from {own[0]:.2f} to {_listed(own[1:])} nats on own text and from "
        f"{true[0]:.2f} to {_listed(true[1:])} on true text. Drawn with top-p 0.9, "
    )
    why += (
        f"{nucleus['loops']:.0%} of the texts of the model with teacher forcing end in one. Of what it writes at "
        f"temperature 1, {_percent(drift[0])} of the first words and {_percent(drift[-1])} of the last are known ones."
    )
    if forced["loops"] < 0.1:
        return Outcome(numbers, measured, "did not hold", "Greedy text hardly loops with teacher forcing.")
    if len(cured) == len(scheduled):
        return Outcome(numbers, measured, "held")
    return Outcome(numbers, measured, "held in part" if cured else "did not hold", why)


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def tables(numbers: Numbers) -> list[Table]:
    models, real = numbers["models"], numbers["real"]
    rows = [
        [TEACHERS[teacher], name, *(_percent(found[key]) for key in ("loops", "repeated", "known"))]
        for teacher in TEACHERS
        for name, found in models[teacher]["decoders"].items()
    ]
    rows.append(["real text", "", *(_percent(real[key]) for key in ("loops", "repeated", "known"))])
    parts = range(1, DRIFT + 1)
    return [
        Table("Free running", ["training", "written", "end in a loop", f"repeated {GRAM}-grams", "known words"], rows),
        Table(
            "Loss on the true next character (nats) by the share of the model's own inputs",
            ["training", *(f"{own:.0%}" for own in numbers["own"])],
            [[TEACHERS[teacher], *models[teacher]["loss"]] for teacher in TEACHERS],
        ),
        Table(
            f"Known words at temperature 1, by distance from the prompt ({numbers['size']['length']} characters each)",
            ["training", *(f"part {k}" for k in parts)],
            [[TEACHERS[teacher], *map(_percent, models[teacher]["drift"])] for teacher in TEACHERS],
        ),
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


@style()
def draw(numbers: Numbers) -> Any:
    """Left: loss against the share of own inputs. Right: how many texts end in a loop, by training and decoder."""
    figure, (left, right) = new_figure(columns=2, width_ratios=(2, 3))
    for k, (teacher, name) in enumerate(TEACHERS.items()):
        left.plot([100 * own for own in numbers["own"]], numbers["models"][teacher]["loss"], label=name, **lines(k))
    left.set(xlabel="own inputs while reading (%)", ylabel="loss on the true text (nats/character)")
    left.legend()
    width = 0.8 / len(TEACHERS)
    for k, (teacher, name) in enumerate(TEACHERS.items()):
        loops = [100 * numbers["models"][teacher]["decoders"][decoder]["loops"] for decoder in DECODERS]
        places = np.arange(len(DECODERS)) + (k - 1.5) * width
        shade = str(0.15 + 0.25 * k)
        right.bar(places, loops, width, color=shade, edgecolor="black", hatch=("", "///", "...", "xxx")[k], label=name)
    right.set(ylabel="texts that end in a loop (%)", ylim=(0, 105))
    right.set_xticks(range(len(DECODERS)), [re.sub(r" (?=[\d.]+$)", "\n", name) for name in DECODERS])
    right.legend()
    return figure
