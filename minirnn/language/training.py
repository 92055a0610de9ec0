"""Training a language model so that it can be stopped anywhere and continued to the same bits.

A `Trainer` holds everything that the next step depends on: weights, optimiser, schedule, the state carried over the
text, the position in it and the random generator. Its `state_dict` is a checkpoint. What a step computes depends on
nothing else (no clock, no count of validations or checkpoints), so a run that is killed and resumed ends where an
undisturbed one does, as long as the machine computes alike (same NumPy, BLAS, threads and kernels). A checkpoint says
nothing of a device and can be continued on any.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

try:
    import fcntl
except ImportError:  # Windows has none: there, two runs in one folder are not noticed
    fcntl = None  # type: ignore[assignment]

import numpy as np

from minirnn import checkpoint, optim, random
from minirnn.autograd import devices, no_grad
from minirnn.checkpoint import CheckpointError
from minirnn.language import Batches, CharTokenizer, Corpus, TextTooShort, split, tokenizer_from_state
from minirnn.language.model import CELLS, LanguageModel, from_arrays, to_arrays
from minirnn.language.scheduled_sampling import DECAYS, decay, mixed_inputs
from minirnn.machine import blas_libraries, describe_blas
from minirnn.nn import cross_entropy
from minirnn.recurrent import backends

__all__ = [
    "BEST",
    "LAST",
    "ConfigError",
    "Diverged",
    "Reporter",
    "StepReport",
    "TrainConfig",
    "Trainer",
    "calibrate",
    "checkpoint_file",
    "ctrl_c",
    "load_model",
    "one_blas_thread",
    "run",
]

LAST = "last.safetensors"
BEST = "best.safetensors"
OPTIMIZERS: dict[str, Any] = {
    "sgd": optim.SGD,
    "rmsprop": optim.RMSprop,
    "adagrad": optim.Adagrad,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
}
VALIDATIONS = 20  # in a run, unless told otherwise


class ConfigError(ValueError):
    """A setting that can't be used. The message names it, the value that came and what was expected."""


class Diverged(ValueError):
    """The loss, the gradient or a weight is no longer a finite number."""


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a run. `text` is what `load_corpus` takes; `clip_norm` and `clip_value` of None don't clip.

    The learning rate rises over `warmup` steps (at most a tenth of the run) to `lr` and falls along half a cosine to 0
    at `steps`. `validate_every` of None is a twentieth of the run. `dropout` of None depends on how often a run passes
    through its text (`usual_dropout`); a trainer's own `config` has the number. `teacher` is how the share of true
    inputs falls, to `teacher_end` at the end of the run: one of `scheduled_sampling.DECAYS`; "always" is teacher
    forcing.
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
        for name in ("hidden", "layers", "embedding", "seq", "batch"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
            self._require(name, getattr(self, name) <= 1_000_000, "at most 1,000,000")
        for name in ("steps", "checkpoint_every", "validate_every"):
            self._require(name, getattr(self, name) is None or getattr(self, name) >= 1, "at least 1")
        for name in ("warmup", "seed"):
            self._require(name, getattr(self, name) >= 0, "at least 0")
        for name in ("lr", "clip_norm", "clip_value"):
            value = getattr(self, name)
            self._require(name, value is None or (math.isfinite(value) and value > 0), "a finite number above 0")
        self._require("dropout", self.dropout is None or 0 <= self.dropout < 1, "at least 0 and below 1")
        self._require("teacher_end", 0 < self.teacher_end < 1, "above 0 and below 1")
        choices: dict[str, Any] = {"cell": CELLS, "optimizer": OPTIMIZERS, "teacher": DECAYS}
        for name, allowed in (choices | {"dtype": ("float32", "float64")}).items():
            self._require(name, getattr(self, name) in allowed, "one of " + ", ".join(allowed))
        try:
            decay(self.teacher, self.steps, self.teacher_end)
        except ValueError as error:
            raise ConfigError(f"teacher-{error}") from None

    def _require(self, name: str, right: bool, expected: str) -> None:
        if not right:
            raise ConfigError(f"{name.replace('_', '-')} must be {expected}, got {getattr(self, name)!r}")

    @property
    def interval(self) -> int:
        """Steps from one validation to the next."""
        return self.validate_every or max(1, self.steps // VALIDATIONS)


@dataclass(frozen=True)
class StepReport:
    """One training step: its number from 1 on, mean loss (nats per token), gradient norm before clipping, rate used."""

    step: int
    loss: float
    grad_norm: float
    lr: float


def usual_dropout(passes: float) -> float:
    """The share of activations dropped by a run that passes so many times through its text.

    0.085 times the root of the passes, at most 0.6: 0.15 for three of them, 0.28 for eleven, 0.45 for 28. A long run
    at the rate of a short one learns its text by heart, a short one at the rate of a long one learns little. README.md
    has what runs of some lengths reach.
    """
    return min(0.6, 0.085 * math.sqrt(passes))


class Trainer:
    """A run in progress: `step()` trains on the next window of the text, `validate()` measures on its last tenth.

    The model, the optimiser's state and the carried state are on `device`, "cpu" or "cupy". Text, ids and all draws are
    on the host; the model moves the ids of a window after it has checked them. DeviceError where there is no such
    device.
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
        """One step of truncated backpropagation through time; Diverged, before a weight changes, if it isn't finite."""
        if self.batches.position == 0:
            self.carried = None
        x, y = self.batches.next()
        with np.errstate(over="ignore", invalid="ignore"):  # looked at below
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
        """Mean loss over the last tenth of the text in nats per token, the state carried through. Changes nothing.

        The part is read in as many parallel streams as have at least `seq` tokens, at most `batch`.
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
        """Validate and keep the result; True if it is the best so far."""
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
        """Write a checkpoint. Diverged, and nothing is written, if a weight isn't finite."""
        if not all(np.isfinite(parameter.data).all() for parameter in self.model.parameters()):
            self._diverged("a weight is no longer finite", self.optimizer.lr)
        checkpoint.save(path, self.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on, and what `load_model` needs."""
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
        """Continue from `state`; ValueError, KeyError or TypeError if it belongs to something else."""
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
    ) -> Trainer:
        """The run stored at `path`, where it stood, on any device. `text`: where its text is now, if it was moved."""
        state = checkpoint.load(path)
        with _as_checkpoint_error(path):
            config = TrainConfig(**state["config"])
            expected = state["corpus"]["sha256"]
        corpus = load_corpus(text or config.text)
        if corpus.sha256 != expected:
            raise ConfigError(
                f"{corpus.name} is not the text that {path} was trained on: SHA-256 {corpus.sha256}, then {expected}"
            )
        trainer = cls(config, corpus, device)
        with _as_checkpoint_error(path):
            trainer.load_state_dict(state)
        return trainer


def build_model(config: TrainConfig, vocab_size: int) -> LanguageModel:
    """A fresh model of these settings, without dropout where it is left to the length of a run."""
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
    """What the bits of a step on this device depend on beside the checkpoint."""
    blas = sorted(describe_blas(library) for library in blas_libraries())
    return {"numpy": np.__version__, "blas": blas, "kernels": backends.chosen(devices.to(np.zeros(1), device)).name}


def checkpoint_file(run_folder: Path, prefer: str) -> Path:
    """The file `prefer` (BEST or LAST) of a run, or the other one; a path to a file stands for itself."""
    if not run_folder.is_dir():
        if run_folder.exists():
            return run_folder
        raise CheckpointError(f"{run_folder}: there is no such run or checkpoint")
    for name in (prefer, LAST, BEST):
        if (run_folder / name).exists():
            return run_folder / name
    raise CheckpointError(f"{run_folder}: this folder holds no checkpoint ({LAST} or {BEST})")


def load_model(path: Path, device: str = "cpu") -> tuple[LanguageModel, Any, dict[str, Any]]:
    """The model on `device`, the tokenizer and the whole state in the checkpoint at `path`.

    CheckpointError if they don't fit, DeviceError where there is no such device.
    """
    state = checkpoint.load(path)
    with _as_checkpoint_error(path):
        tokenizer = tokenizer_from_state(state["tokenizer"])
        model = build_model(TrainConfig(**state["config"]), tokenizer.vocab_size)
        model.load_state_dict(state["model"])
    return model.to(device), tokenizer, state


@contextlib.contextmanager
def _as_checkpoint_error(path: Path) -> Iterator[None]:
    """Turns what goes wrong in taking a state apart into a CheckpointError that names the file."""
    try:
        yield
    except KeyError as error:
        raise CheckpointError(f"{path}: not the checkpoint of a training run: it lacks {error}") from error
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(f"{path}: the checkpoint doesn't fit: {error}") from error


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keeps BLAS to one thread where the recurrent layers have threads of their own.

    OpenBLAS's threads go on spinning for some milliseconds after each product, on the cores that the layers' threads
    then have to share with them: a training step can take twice as long.
    """
    if backends.chosen(np.zeros(1)).name == "numba":
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        with threadpool_limits(limits=1, user_api="blas"):
            yield
    else:
        yield


class Reporter(Protocol):
    """Who is told how a run goes."""

    def step(self, report: StepReport) -> None: ...

    def validation(self, step: int, loss: float, best: bool) -> None: ...


@one_blas_thread()
def run(trainer: Trainer, folder: Path, reporter: Reporter) -> bool:
    """Train to the end, checkpoints going to `folder`; False if Ctrl-C stopped it (then the last step is stored too).

    A checkpoint is written at the start, every `checkpoint_every` steps and at the end, and the best validated state
    beside it. Whatever is raised, the checkpoints stay as last written.
    """
    config = trainer.config
    with _alone_in(folder), ctrl_c() as stopped:
        for leftover in folder.glob(".*.safetensors.*.tmp"):  # of a save that was killed
            leftover.unlink()
        if trainer.steps_done == 0 and not trainer.validations:
            _validate(trainer, folder, reporter)
            trainer.save(folder / LAST)
        while trainer.steps_done < config.steps and not stopped():
            reporter.step(trainer.step())
            done = trainer.steps_done
            finished = done == config.steps
            if done % config.interval == 0 or finished:
                _validate(trainer, folder, reporter)
            if done % config.checkpoint_every == 0 or finished:
                trainer.save(folder / LAST)
        if trainer.steps_done < config.steps:
            trainer.save(folder / LAST)
        return trainer.steps_done == config.steps


def _validate(trainer: Trainer, folder: Path, reporter: Reporter) -> None:
    best = trainer.record_validation()
    if best:
        trainer.save(folder / BEST)
    reporter.validation(trainer.steps_done, trainer.validations[-1][1], best)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Inside, no other process trains in `folder`; the lock goes with the process, however that ends."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ConfigError(f"{folder}: another process is training in this folder") from None
    finally:
        os.close(handle)


@contextlib.contextmanager
def ctrl_c() -> Iterator[Callable[[], bool]]:
    """Inside, the first Ctrl-C only makes the yielded function say True; the second interrupts as usual."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return

    def handler(signum: int, frame: FrameType | None) -> None:
        if pressed.is_set():
            signal.default_int_handler(signum, frame)
        pressed.set()

    before = signal.signal(signal.SIGINT, handler)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


@one_blas_thread()
def calibrate(config: TrainConfig, corpus: Corpus, seconds: float, device: str = "cpu") -> TrainConfig:
    """`config` with as many steps as fit into `seconds`, this measurement and the validations included.

    It times a few steps and a validation of a run of its own, which is thrown away; the random generator is put back.
    """
    began = time.perf_counter()
    kept = random.get_state()
    scratch = Trainer(config, corpus, device)
    for _ in range(3):  # the first steps find cold caches and allocate
        scratch.step()
    scratch.validate()
    times: list[float] = []
    limit = min(3.0, 0.05 * seconds)
    while len(times) < 5 or sum(times) < limit:
        start = time.perf_counter()
        scratch.step()
        times.append(time.perf_counter() - start)
    start = time.perf_counter()
    scratch.validate()
    validation = time.perf_counter() - start
    random.set_state(kept)

    validations = max(1, min(VALIDATIONS, int(0.05 * seconds / validation)))
    left = seconds - (time.perf_counter() - began) - (validations + 1) * validation
    steps = max(1, int(left / (sum(times) / len(times))))
    return dataclasses.replace(config, steps=steps, validate_every=-(-steps // validations))
