"""Training a language model so that a run can be stopped at any step and continued with bitwise equal results.

A `Trainer` holds everything that the next step depends on: weights, optimiser, schedule, the carried state, the
position in the text and the random generator. Its `state_dict` is a checkpoint. A step depends on nothing else (no
clock, no count of validations or checkpoints), so a run that is killed and resumed ends with the same weights as an
undisturbed run, if NumPy, BLAS, threads and kernels are the same. A checkpoint does not record a device and can be
continued on any device.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np

from minirnn import checkpoint, optim, random
from minirnn.autograd import devices, no_grad
from minirnn.language.batches import Batches, TextTooShort, split
from minirnn.language.config import OPTIMIZERS, ConfigError, TrainConfig, usual_dropout
from minirnn.language.corpora import Corpus
from minirnn.language.model import LanguageModel, from_arrays, to_arrays
from minirnn.language.scheduled_sampling import decay, mixed_inputs
from minirnn.language.tokenizers import CharTokenizer, tokenizer_from_state
from minirnn.machine import blas_libraries, describe_blas
from minirnn.nn import cross_entropy
from minirnn.recurrent import backends

__all__ = [
    "ConfigError",
    "Diverged",
    "StepReport",
    "TrainConfig",
    "Trainer",
    "build_model",
    "environment",
    "load_model",
]


class Diverged(ValueError):
    """The loss, the gradient or a weight is no longer a finite number."""


@dataclasses.dataclass(frozen=True)
class StepReport:
    """One training step.

    step: its number, from 1. loss: mean, in nats per token. grad_norm: before clipping. lr: the rate used.
    """

    step: int
    loss: float
    grad_norm: float
    lr: float


class Trainer:
    """A run in progress: `step()` trains on the next window of the text, `validate()` measures on its last tenth.

    The model, the optimiser's state and the carried state are on `device`, "cpu" or "cupy". The text, the ids and all
    random draws are on the host; the model checks the ids of a window, then moves them. Raises DeviceError if the
    device is not available.
    """

    def __init__(self, config: TrainConfig, corpus: Corpus, device: str = "cpu") -> None:
        random.manual_seed(config.seed)
        self.corpus = corpus
        self.device = devices.named(device)
        self.tokenizer = CharTokenizer.from_text(corpus.text)
        self.train_ids, self.valid_ids = split(self.tokenizer.encode(corpus.text))
        needed = -(-(config.batch * config.seq + 1) * 10 // 9)
        if len(corpus.text) < max(needed, 20):
            raise TextTooShort(
                f"{corpus.name} has {len(corpus.text)} characters; batch {config.batch} x seq {config.seq} needs "
                f"{max(needed, 20)} (the last tenth is kept for validation); try a smaller --batch or --seq"
            )
        self.batches = Batches(self.train_ids, config.batch, config.seq)
        if config.dropout is None:
            config = dataclasses.replace(config, dropout=usual_dropout(config.steps / len(self.batches)))
        self.config = config
        self.model = build_model(config, self.tokenizer.vocab_size).to(device)
        self.optimizer = OPTIMIZERS[config.optimizer](list(self.model.parameters()), lr=config.lr)
        warmup = min(config.warmup, config.steps // 10)
        self.schedule = optim.CosineLR(self.optimizer, config.steps, warmup)
        self.share_true = decay(config.teacher, config.steps, config.teacher_end)
        self.carried: list[Any] | None = None  # arrays on the device
        self.steps_done = 0
        self.best_loss, self.best_step = math.inf, 0
        self.validations: list[list[float]] = []

    def step(self) -> StepReport:
        """Do one step of truncated backpropagation through time.

        Raises Diverged, before a weight changes, if the loss or the gradient is not finite.
        """
        if self.batches.position == 0:
            self.carried = None
        x, y = self.batches.next()
        with np.errstate(over="ignore", invalid="ignore"):  # checked below
            x = mixed_inputs(self.model, x, self.carried, self.share_true(self.steps_done), random.generator())
            logits, state = self.model(x, from_arrays(self.carried))
            loss = cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
            loss.backward()
            value = float(loss.item())
            limit = self.config.clip_norm if self.config.clip_norm is not None else math.inf
            norm = optim.clip_grad_norm_(self.model.parameters(), limit)
        rate = self.optimizer.lr
        if not (math.isfinite(value) and math.isfinite(norm)):
            self._diverged(f"the loss is {value} and the gradient's norm {norm}", rate)
        if self.config.clip_value is not None:
            optim.clip_grad_value_(self.model.parameters(), self.config.clip_value)
        with np.errstate(over="ignore", invalid="ignore"):
            self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        self.carried = to_arrays(state)
        self.steps_done += 1
        return StepReport(self.steps_done, value, norm, rate)

    def validate(self) -> float:
        """Return the mean loss over the last tenth of the text, in nats per token. Changes nothing.

        The state is carried from window to window. The text is read in as many parallel streams as have at least `seq`
        tokens each, at most `batch`.
        """
        streams = max(1, min(self.config.batch, (len(self.valid_ids) - 1) // self.config.seq))
        carried, total, count = None, 0.0, 0
        self.model.eval()
        with no_grad(), np.errstate(over="ignore", invalid="ignore"):
            for x, y in Batches(self.valid_ids, streams, self.config.seq, keep_tail=True):
                logits, state = self.model(x, from_arrays(carried))
                carried = to_arrays(state)
                flat = logits.reshape(-1, logits.shape[-1])
                total += float(cross_entropy(flat, y.reshape(-1), reduction="sum").item())
                count += y.size
        self.model.train()
        return total / count

    def record_validation(self) -> bool:
        """Validate and record the result. Return True if it is the best so far."""
        loss = self.validate()
        if not math.isfinite(loss):
            self._diverged(f"the validation loss is {loss}", self.optimizer.lr)
        self.validations.append([self.steps_done, loss])
        if loss >= self.best_loss:
            return False
        self.best_loss, self.best_step = loss, self.steps_done
        return True

    def _diverged(self, what: str, rate: float) -> None:
        raise Diverged(
            f"training diverged at step {self.steps_done + 1}: {what} (learning rate {rate:.3g}, "
            f"clip-norm {self.config.clip_norm}). Try a lower --lr, or a lower --clip-norm"
        )

    def save(self, path: Path) -> None:
        """Write a checkpoint. Raises Diverged, and writes nothing, if a weight is not finite."""
        if not all(np.isfinite(parameter.data).all() for parameter in self.model.parameters()):
            self._diverged("a weight is no longer finite", self.optimizer.lr)
        checkpoint.save(path, self.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the rest of the run depends on and that `load_model` needs."""
        return {
            "config": dataclasses.asdict(self.config),
            "corpus": {"name": self.corpus.name, "sha256": self.corpus.sha256},
            "tokenizer": self.tokenizer.state_dict(),
            "environment": environment(self.device),
            "step": self.steps_done,
            "position": self.batches.position,
            "best": {"loss": self.best_loss, "step": self.best_step},
            "validations": self.validations,
            "random": random.get_state(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "carried": None if self.carried is None else [devices.host(part) for part in self.carried],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state`. Raises ValueError, KeyError or TypeError if it does not fit this run's settings."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.steps_done = state["step"]
        self.batches.position = state["position"]
        self.best_loss, self.best_step = state["best"]["loss"], state["best"]["step"]
        self.validations = [list(pair) for pair in state["validations"]]
        carried = state["carried"]
        self.carried = None if carried is None else [devices.to(part, self.device) for part in carried]
        random.set_state(state["random"])

    @classmethod
    def resume(
        cls, path: Path, load_corpus: Callable[[str], Corpus], text: str | None = None, device: str = "cpu"
    ) -> Self:
        """Return the run stored at `path`, on any device. `text` is the new path of its text, if the text was moved."""
        state = checkpoint.load(path)
        with _as_checkpoint_error(path):
            config = TrainConfig(**state["config"])
            expected = state["corpus"]["sha256"]
        corpus = load_corpus(text or config.text)
        if corpus.sha256 != expected:
            raise ConfigError(
                f"{corpus.name} is not the text that {path} was trained on: "
                f"its SHA-256 is {corpus.sha256}, expected {expected}"
            )
        trainer = cls(config, corpus, device)
        with _as_checkpoint_error(path):
            trainer.load_state_dict(state)
        return trainer


def build_model(config: TrainConfig, vocab_size: int) -> LanguageModel:
    """Return a new model with these settings. A `dropout` of None means no dropout."""
    return LanguageModel(
        vocab_size,
        config.cell,
        config.hidden,
        config.layers,
        config.embedding,
        config.dropout or 0.0,
        dtype=np.dtype(config.dtype),
    )


def environment(device: str = "cpu") -> dict[str, Any]:
    """Return the settings, besides the checkpoint, that affect the exact result of a step on this device."""
    blas = sorted(describe_blas(library) for library in blas_libraries())
    return {"numpy": np.__version__, "blas": blas, "kernels": backends.chosen(devices.to(np.zeros(1), device)).name}


def load_model(path: Path, device: str = "cpu") -> tuple[LanguageModel, Any, dict[str, Any]]:
    """Return the model on `device`, the tokenizer and the whole state from the checkpoint at `path`.

    Raises CheckpointError if they do not match, and DeviceError if the device is not available.
    """
    state = checkpoint.load(path)
    with _as_checkpoint_error(path):
        tokenizer = tokenizer_from_state(state["tokenizer"])
        model = build_model(TrainConfig(**state["config"]), tokenizer.vocab_size)
        model.load_state_dict(state["model"])
    return model.to(device), tokenizer, state


@contextlib.contextmanager
def _as_checkpoint_error(path: Path) -> Iterator[None]:
    """Turn the errors of reading a state's parts into a CheckpointError that names the file."""
    try:
        yield
    except KeyError as error:
        raise checkpoint.CheckpointError(f"{path}: not the checkpoint of a training run: it lacks {error}") from error
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise checkpoint.CheckpointError(f"{path}: the checkpoint doesn't fit this run: {error}") from error
