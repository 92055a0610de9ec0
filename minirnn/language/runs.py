"""A training run and its folder: the training loop with its checkpoints, and the number of steps for a given time."""

import dataclasses
import time
from pathlib import Path
from typing import Protocol

from minirnn import random
from minirnn.checkpoint import CheckpointError
from minirnn.language.config import VALIDATIONS_PER_RUN, TrainConfig
from minirnn.language.corpora import Corpus
from minirnn.language.process import ctrl_c, exclusive, one_blas_thread
from minirnn.language.training import StepReport, Trainer

__all__ = ["BEST", "LAST", "Reporter", "calibrate", "checkpoint_file", "run"]

LAST = "last.safetensors"
BEST = "best.safetensors"


class Reporter(Protocol):
    """Receives the progress of a run."""

    def step(self, report: StepReport) -> None: ...

    def validation(self, step: int, loss: float, best: bool) -> None: ...


def checkpoint_file(run_folder: Path, prefer: str) -> Path:
    """Return the file `prefer` (BEST or LAST) of a run, or else the other one; return the path of a file unchanged."""
    if not run_folder.is_dir():
        if run_folder.exists():
            return run_folder
        raise CheckpointError(f"{run_folder}: there is no such run or checkpoint")
    for name in (prefer, LAST, BEST):
        if (run_folder / name).exists():
            return run_folder / name
    raise CheckpointError(f"{run_folder}: this folder holds no checkpoint ({LAST} or {BEST})")


@one_blas_thread()
def run(trainer: Trainer, folder: Path, reporter: Reporter) -> bool:
    """Train to the end and write checkpoints into `folder`. Return False if Ctrl-C stopped the run.

    LAST is written at the start, every `checkpoint_every` steps, at the end and after Ctrl-C; BEST after each
    validation that is the best so far. An exception leaves the checkpoints as they were last written.
    """
    config = trainer.config
    with exclusive(folder), ctrl_c() as stopped:
        for leftover in folder.glob(".*.safetensors.*.tmp"):  # from a process that was killed while saving
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


@one_blas_thread()
def calibrate(config: TrainConfig, corpus: Corpus, seconds: float, device: str = "cpu") -> TrainConfig:
    """Return `config` with as many steps as fit into `seconds`, including this measurement and the validations.

    The measurement times a few steps and a validation of a temporary run, then restores the random generator.
    """
    began = time.perf_counter()
    kept = random.get_state()
    scratch = Trainer(config, corpus, device)
    for _ in range(3):  # cold caches and first allocations
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

    validations = max(1, min(VALIDATIONS_PER_RUN, int(0.05 * seconds / validation)))
    left = seconds - (time.perf_counter() - began) - (validations + 1) * validation
    steps = max(1, int(left / (sum(times) / len(times))))
    return dataclasses.replace(config, steps=steps, validate_every=-(-steps // validations))
