"""The settings of a training run, and the error for a setting that can't be used."""

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from minirnn import optim
from minirnn.language.model import LAYERS
from minirnn.language.scheduled_sampling import DECAYS, decay

__all__ = ["OPTIMIZERS", "ConfigError", "TrainConfig", "one_of", "positive", "require", "usual_dropout"]

OPTIMIZERS: dict[str, Any] = {
    "sgd": optim.SGD,
    "rmsprop": optim.RMSprop,
    "adagrad": optim.Adagrad,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
}
VALIDATIONS_PER_RUN = 20  # the default


class ConfigError(ValueError):
    """A setting can't be used. The message names the setting, the given value and what was expected."""


Rule = tuple[str, Callable[[Any], bool], str]  # names of settings, a test of a value, the expected values in words


def require(config: object, rules: Iterable[Rule]) -> None:
    """Raise ConfigError for the first setting of `config` whose value fails the test of its rule."""
    for names, valid, expected in rules:
        for name in names.split():
            if not valid(value := getattr(config, name)):
                raise ConfigError(f"{name.replace('_', '-')} must be {expected}, got {value!r}")


def one_of(name: str, allowed: Collection[str]) -> Rule:
    """Return the rule that the setting `name` is one of the `allowed` values."""
    return name, allowed.__contains__, "one of " + ", ".join(allowed)


def positive(value: float) -> bool:
    """Return whether the value is a finite number above 0."""
    return math.isfinite(value) and value > 0


RULES: tuple[Rule, ...] = (
    ("hidden layers embedding seq batch", lambda n: n >= 1, "at least 1"),
    ("hidden layers embedding seq batch", lambda n: n <= 1_000_000, "at most 1,000,000"),
    ("steps checkpoint_every validate_every", lambda n: n is None or n >= 1, "at least 1"),
    ("warmup seed", lambda n: n >= 0, "at least 0"),
    ("lr clip_norm clip_value", lambda x: x is None or positive(x), "a finite number above 0"),
    ("dropout", lambda p: p is None or 0 <= p < 1, "at least 0 and below 1"),
    ("teacher_end", lambda p: 0 < p < 1, "above 0 and below 1"),
    one_of("cell", LAYERS),
    one_of("optimizer", OPTIMIZERS),
    one_of("teacher", DECAYS),
    one_of("dtype", ("float32", "float64")),
)


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a training run.

    text: a name or path that `load_corpus` accepts.
    lr, warmup: the learning rate rises to `lr` over `warmup` steps (at most a tenth of the run), then falls to 0 along
        half a cosine.
    clip_norm, clip_value: None switches the clipping off.
    dropout: None chooses a rate by the number of passes through the text (`usual_dropout`); the `config` attribute of a
        trainer has the chosen number.
    teacher: how the share of true inputs falls to `teacher_end` at the end of the run, one of
        `scheduled_sampling.DECAYS`; "always" is teacher forcing.
    validate_every: steps from one validation to the next; None means a twentieth of the run.
    """

    text: str = "python-docs"
    cell: str = "lstm"
    hidden: int = 512
    layers: int = 1
    embedding: int = 64
    dropout: float | None = None
    seq: int = 64
    batch: int = 32
    optimizer: str = "adam"
    lr: float = 3e-3
    warmup: int = 50
    clip_norm: float | None = 5.0
    clip_value: float | None = None
    teacher: str = "always"
    teacher_end: float = 0.5
    steps: int = 2000
    validate_every: int | None = None
    checkpoint_every: int = 200
    seed: int = 0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        require(self, RULES)
        try:
            decay(self.teacher, self.steps, self.teacher_end)
        except ValueError as error:
            raise ConfigError(f"teacher-{error}") from None

    @property
    def interval(self) -> int:
        """The number of steps from one validation to the next."""
        return self.validate_every or max(1, self.steps // VALIDATIONS_PER_RUN)


def usual_dropout(passes: float) -> float:
    """Return the dropout rate for a run that passes through its text this many times.

    The rate is 0.085 times the root of the number of passes, at most 0.6: 0.15 for 3 passes, 0.28 for 11, 0.45 for 28.
    A long run with a small rate overfits; a short run with a large rate learns little.
    """
    return min(0.6, 0.085 * math.sqrt(passes))
