"""Exposure bias: a model trained only on true text has to continue from its own text.

In training with teacher forcing, every input is a true token. When the model generates text, every input is its own
last token, a situation that it never met in training. The lecture says that this causes generated text to loop ("the
the the"), and that scheduled sampling cures it: in training, a growing share of the inputs are the model's own
predictions (Bengio et al. 2015; `minirnn.language.scheduled_sampling` has three schedules for that share).

A character model with a GRU is trained four times on the documentation of Python, for the same number of steps: with
teacher forcing, and with the share of true inputs falling linearly, exponentially and as an inverse sigmoid. Each model
is then measured in three ways:

- It reads held-out text in which a share of the inputs are its own samples, and its loss on the true next character is
  measured. This loss rises for every model, because sampled text departs from the true text. The question is whether it
  rises less for a model that met its own samples in training.
- It continues from places in the held-out text: greedily, by beam search, and by sampling at two temperatures and from
  the nucleus. For each text of some hundred characters, the experiment counts the 12-grams of characters that occurred
  earlier in the same text, and checks whether the text ends in a loop (at least three rounds and 30 characters). It
  also counts the words that occur in the training text. Real text of the same length is measured for comparison.
- It generates longer texts at temperature 1, and the share of known words is measured by distance from the prompt. If
  errors accumulate because the model reads its own text, this share falls.

The claim held if at least a tenth of the greedy texts with teacher forcing end in a loop, and scheduled sampling at
least halves that share with all three schedules. It held in part if only some of the schedules do.
"""

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn import no_grad, plots
from minirnn.course.experiment import Effort, Numbers, Outcome, Progress, Table, percent, tracked, verdict
from minirnn.language import Batches, Corpus, ending_loop, load_corpus, repeated_share
from minirnn.language.beam import beam_search
from minirnn.language.model import LanguageModel, from_arrays, to_arrays
from minirnn.language.sampling import generate
from minirnn.language.scheduled_sampling import mixed_inputs
from minirnn.language.training import TrainConfig, Trainer
from minirnn.nn import cross_entropy

CLAIM = "A model trained with teacher forcing repeats itself when it generates text; scheduled sampling cures that."
SOURCE = "The course's lecture on exposure bias; Bengio, Vinyals, Jaitly and Shazeer 2015."

TEACHERS = {
    "always": "teacher forcing",
    "linear": "linear",
    "exponential": "exponential",
    "inverse-sigmoid": "inverse sigmoid",
}
SCHEDULED = tuple(TEACHERS)[1:]
TEACHER_END = 0.5
EFFORTS: dict[Effort, dict[str, int]] = {
    "quick": {"seeds": 1, "steps": 40, "prompts": 8, "length": 200, "windows": 3},
    "default": {"seeds": 2, "steps": 300, "prompts": 20, "length": 300, "windows": 8},
    "full": {"seeds": 3, "steps": 2000, "prompts": 100, "length": 500, "windows": 20},
}
OWN = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)  # the shares of the model's own inputs at which the loss is measured
PROMPT = 60  # characters in a prompt
GRAM = 12  # characters in an n-gram
LEAST_LOOP = 30  # characters in the shortest loop that counts
DRIFT = 3  # the number of parts of a long text, `length` characters each

Writer = Callable[[LanguageModel, Any, str, int, int], str]  # model, tokenizer, prompt, length, seed -> text


def _sampled(**settings: Any) -> Writer:
    return lambda model, tokenizer, prompt, length, seed: "".join(
        generate(model, tokenizer, prompt, length, seed=seed, **settings)
    )


DECODERS: dict[str, Writer] = {
    "greedy": _sampled(temperature=0),
    "beam of 5": lambda model, tokenizer, prompt, length, seed: (
        beam_search(model, tokenizer, prompt, length, 5)[0].text
    ),
    "temperature 0.7": _sampled(temperature=0.7),
    "top-p 0.9": _sampled(top_p=0.9),
    "temperature 1": _sampled(),
}


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    """Train and measure a model with each schedule and seed, and judge the claim."""
    size = EFFORTS[effort]
    corpus = load_corpus("python-docs")
    models: dict[str, list[dict[str, Any]]] = {teacher: [] for teacher in TEACHERS}
    todo = list(itertools.product(range(seed, seed + size["seeds"]), TEACHERS))
    for (one, teacher), report in tracked(todo, progress, lambda item: item[1]):
        trainer = train(corpus, teacher, size["steps"], one, report)
        models[teacher].append(measure(trainer, size["prompts"], size["length"], size["windows"]))
    return judge(
        {
            "corpus": {"name": corpus.name, "sha256": corpus.sha256},
            "size": size,
            "teacher_end": TEACHER_END,
            "own": list(OWN),
            "models": {teacher: averaged(results) for teacher, results in models.items()},
            "real": repetition(real_texts(trainer, size["prompts"], size["length"]), known_words(trainer)),
        }
    )


def train(corpus: Corpus, teacher: str, steps: int, seed: int, report: Callable[[float], object]) -> Trainer:
    """Train a GRU with 128 units; `report(share)` is called after each step, and leaves a fifth to `measure`."""
    config = TrainConfig(
        cell="gru", hidden=128, embedding=32, dropout=0.0, lr=4e-3, steps=steps, seed=seed,
        teacher=teacher, teacher_end=TEACHER_END,
    )  # fmt: skip
    trainer = Trainer(config, corpus)
    for step in range(steps):
        trainer.step()
        report(0.8 * (step + 1) / steps)
    return trainer


def measure(trainer: Trainer, prompts: int, length: int, windows: int) -> dict[str, Any]:
    """Return the losses at `OWN`, the repetition with each decoder, and the share of known words by distance."""
    starts = [text[:PROMPT] for text in held_out(trainer, prompts, PROMPT)]
    words = known_words(trainer)

    def texts(decoder: str, length: int) -> list[str]:
        write = DECODERS[decoder]
        return [write(trainer.model, trainer.tokenizer, start, length, k) for k, start in enumerate(starts)]

    found: dict[str, Any] = {"loss": [exposed_loss(trainer, own, windows) for own in OWN], "decoders": {}}
    for name in DECODERS:
        written = texts(name, length)
        found["decoders"][name] = repetition(written, words) | {"example": written[0][:200]}
    long = texts("temperature 1", DRIFT * length)
    found["drift"] = [known_share([text[k * length :][:length] for text in long], words) for k in range(DRIFT)]
    return found


def exposed_loss(trainer: Trainer, own: float, windows: int) -> float:
    """Return the mean loss (nats) on the next character of the held-out text, with a share `own` of sampled inputs.

    The mean is over the first `windows` windows of `seq` characters. The state at the start of a window is the state
    after reading the true text of the windows before it.
    """
    model, total, count = trainer.model.eval(), 0.0, 0
    rng = np.random.default_rng(0)
    carried: list[np.ndarray] | None = None
    with no_grad():
        for x, y in itertools.islice(Batches(trainer.valid_ids, trainer.config.batch, trainer.config.seq), windows):
            mixed = mixed_inputs(model, x, carried, 1 - own, rng)
            logits, _ = model(mixed, from_arrays(carried))
            total += float(cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1), reduction="sum").item())
            count += y.size
            carried = to_arrays(model(x, from_arrays(carried))[1])
    model.train()
    return total / count


def held_out(trainer: Trainer, count: int, length: int) -> list[str]:
    """Return `count` evenly spaced pieces of the held-out text."""
    text = trainer.tokenizer.decode(trainer.valid_ids)
    return [text[k * (len(text) // count) :][:length] for k in range(count)]


def real_texts(trainer: Trainer, count: int, length: int) -> list[str]:
    """Return the true continuations of the prompts."""
    return [text[PROMPT:] for text in held_out(trainer, count, PROMPT + length)]


def known_words(trainer: Trainer) -> set[str]:
    """Return the words of the training text."""
    return set(_words(trainer.tokenizer.decode(trainer.train_ids)))


def known_share(texts: Sequence[str], known: set[str]) -> float | None:
    """Return the share of the texts' words that are in `known`; None if there are no words.

    The last word of each text is not counted, because it can be incomplete.
    """
    words = [word for text in texts for word in _words(text)[:-1]]
    return sum(word in known for word in words) / len(words) if words else None


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text)


def repetition(texts: Sequence[str], known: set[str]) -> dict[str, Any]:
    """Return the mean share of repeated 12-grams, the share of texts that end in a loop, and that of known words."""
    return {
        "repeated": float(np.mean([repeated_share(text, GRAM) for text in texts])),
        "loops": float(np.mean([ending_loop(text, least=LEAST_LOOP) is not None for text in texts])),
        "known": known_share(texts, known),
    }


def averaged(results: Sequence[Any]) -> Any:
    """Return the mean of equally structured results: the first of texts, and None where a number is missing."""
    first = results[0]
    if isinstance(first, dict):
        return {key: averaged([result[key] for result in results]) for key in first}
    if isinstance(first, list):
        return [averaged(parts) for parts in zip(*results, strict=True)]
    if isinstance(first, str):
        return first
    return None if None in results else float(np.mean(results))


def judge(numbers: Numbers) -> Outcome:
    """Judge the claim by the criterion in the module's docstring."""
    models = numbers["models"]
    greedy = {teacher: models[teacher]["decoders"]["greedy"] for teacher in TEACHERS}
    forced, nucleus = greedy["always"], models["always"]["decoders"]["top-p 0.9"]
    cured = [greedy[teacher]["loops"] <= 0.5 * forced["loops"] for teacher in SCHEDULED]
    measured = (
        f"greedy text ends in a loop in {percent(forced['loops'])} of the texts with teacher forcing, and in "
        + ", ".join(f"{percent(greedy[teacher]['loops'])} ({TEACHERS[teacher]})" for teacher in SCHEDULED)
        + f" with scheduled sampling; {percent(nucleus['loops'])} of the texts do with teacher forcing and sampling at "
        f"top-p 0.9; the shares of repeated {GRAM}-grams are {percent(forced['repeated'])}, "
        + ", ".join(percent(greedy[teacher]["repeated"]) for teacher in SCHEDULED)
        + f" and {percent(nucleus['repeated'])} here, and {percent(numbers['real']['repeated'])} in real text."
    )
    if forced["loops"] < 0.1:
        return Outcome(numbers, measured, "did not hold", "Greedy text hardly loops with teacher forcing.")
    why = "" if all(cured) else _why(models)
    return Outcome(numbers, measured, verdict(all(cured), any(cured)), why)


def _why(models: Numbers) -> str:
    """Return what the losses and decoders show about the cause of the loops."""
    nucleus = models["always"]["decoders"]["top-p 0.9"]["loops"]
    true, own = ([models[teacher]["loss"][at] for teacher in TEACHERS] for at in (0, -1))
    drift = models["always"]["drift"]
    if min(own[1:]) < own[0] and all(nucleus < 0.5 * models[t]["decoders"]["greedy"]["loops"] for t in TEACHERS):
        finding = (
            f"Scheduled sampling makes the model better at reading its own text: the loss falls from {own[0]:.2f} to "
            f"{_listed(own[1:])} nats. The loss on true text rises from {true[0]:.2f} to {_listed(true[1:])} nats. But "
            "the cause of the loops is the choice of the most likely character at every step: with top-p 0.9, only "
        )
    else:
        finding = (
            f"Scheduled sampling changes the loss from {own[0]:.2f} to {_listed(own[1:])} nats on the model's own text "
            f"and from {true[0]:.2f} to {_listed(true[1:])} nats on true text. With top-p 0.9, "
        )
    return (
        f"{finding}{percent(nucleus)} of the texts of the model with teacher forcing end in a loop. At temperature 1, "
        f"{percent(drift[0])} of the words in the first part of its texts are known words, and {percent(drift[-1])} in "
        "the last part."
    )


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def tables(numbers: Numbers) -> list[Table]:
    """Return the repetition of generated texts, the loss by share of own inputs, and the known words by distance."""
    models = {name: numbers["models"][teacher] for teacher, name in TEACHERS.items()}
    measured = [
        (name, decoder, found) for name, model in models.items() for decoder, found in model["decoders"].items()
    ]
    return [
        Table(
            "Generated text",
            ["training", "decoding", "end in a loop", f"repeated {GRAM}-grams", "known words"],
            [
                [name, decoder, *(percent(found[key]) for key in ("loops", "repeated", "known"))]
                for name, decoder, found in [*measured, ("real text", "", numbers["real"])]
            ],
        ),
        Table(
            "Loss on the true next character (nats) by the share of the model's own inputs",
            ["training", *map(percent, numbers["own"])],
            [[name, *model["loss"]] for name, model in models.items()],
        ),
        Table(
            f"Known words at temperature 1, by distance from the prompt ({numbers['size']['length']} characters each)",
            ["training", *(f"part {k + 1}" for k in range(DRIFT))],
            [[name, *map(percent, model["drift"])] for name, model in models.items()],
        ),
    ]


@plots.style()
def draw(numbers: Numbers) -> Any:
    """Return a figure: the loss by the share of own inputs, and the texts ending in a loop by training and decoder."""
    figure, (left, right) = plots.new_figure(columns=2, width_ratios=(2, 3))
    width = 0.8 / len(TEACHERS)
    for k, ((teacher, name), hatch) in enumerate(zip(TEACHERS.items(), ("", "///", "...", "xxx"), strict=True)):
        model = numbers["models"][teacher]
        left.plot([100 * own for own in numbers["own"]], model["loss"], label=name, **plots.lines(k))
        loops = [100 * model["decoders"][decoder]["loops"] for decoder in DECODERS]
        places = np.arange(len(DECODERS)) + (k - 1.5) * width
        right.bar(places, loops, width, color=str(0.15 + 0.25 * k), edgecolor="black", hatch=hatch, label=name)
    left.set(xlabel="own inputs while reading (%)", ylabel="loss on the true text (nats/character)")
    right.set(ylabel="texts that end in a loop (%)", ylim=(0, 105))
    right.set_xticks(range(len(DECODERS)), [re.sub(r" (?=[\d.]+$)", "\n", name) for name in DECODERS])
    left.legend()
    right.legend()
    return figure
