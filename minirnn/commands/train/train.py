"""`minirnn train`: train a character model, or continue a run."""

import dataclasses
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from minirnn import checkpoint
from minirnn.commands.output import make_folder, require_writable, say
from minirnn.commands.progress import describe_loss, reporting
from minirnn.language import (
    BEST,
    LAST,
    ConfigError,
    Diverged,
    TrainConfig,
    Trainer,
    bigram_loss,
    calibrate,
    checkpoint_file,
    environment,
    load_corpus,
    run,
    unigram_loss,
)

__all__ = ["prepare", "resume", "start", "train"]


def start(
    config: TrainConfig,
    console: Console,
    out: Path | None,
    epochs: float | None = None,
    minutes: float | None = None,
    device: str = "cpu",
) -> bool:
    """Start a new run in `out`, for `config.steps` steps, or for a number of epochs or minutes."""
    began = time.perf_counter()
    for name, value in (("epochs", epochs), ("minutes", minutes)):
        if value is not None and not 0 < value <= 1_000_000:
            raise ConfigError(f"{name} must be a number above 0 and at most 1,000,000, got {value}")
    folder = out or Path("runs") / time.strftime("%Y%m%d-%H%M%S")
    prepare(folder)
    corpus = load_corpus(config.text)
    config = dataclasses.replace(config, text=corpus.name)
    say(console, f"text: {corpus.name}, {len(corpus.text):,} characters, SHA-256 {corpus.sha256}")
    if minutes is not None:
        say(console, f"measuring how many steps fit into {minutes:g} minutes ...")
        config = calibrate(config, corpus, 60 * minutes - (time.perf_counter() - began), device)
    trainer = Trainer(config, corpus, device)
    if epochs is not None:
        config = dataclasses.replace(config, steps=max(1, round(epochs * len(trainer.batches))))
        trainer = Trainer(config, corpus, device)
    return train(trainer, folder, console)


def resume(folder: Path, console: Console, text: str | None, given: dict[str, Any], device: str = "cpu") -> bool:
    """Continue the run in `folder`, on any device.

    given: the settings on the command line, which must equal those of the run.
    """
    path = checkpoint_file(folder, LAST)
    trainer = Trainer.resume(path, load_corpus, text, device)
    for name, value in given.items():
        if getattr(trainer.config, name) != value:
            raise ConfigError(
                f"{name.replace('_', '-')} of the run in {folder} is {getattr(trainer.config, name)}, not {value}: "
                "a resumed run keeps its settings"
            )
    if trainer.steps_done >= trainer.config.steps:
        say(console, f"{folder}: the run is complete, all {trainer.config.steps} steps are done")
        return True
    before, now = checkpoint.load(path).get("environment"), environment(device)
    if before != now:
        say(console, f"note: the bits can differ from an undisturbed run: it began with {before}, this is {now}")
    say(console, f"continuing at step {trainer.steps_done} of {trainer.config.steps}")
    return train(trainer, path.parent, console)


def train(trainer: Trainer, folder: Path, console: Console) -> bool:
    """Train to the end and print the result. Return False if Ctrl-C stopped the run."""
    config = trainer.config
    parameters = sum(parameter.data.size for parameter in trainer.model.parameters())
    say(
        console,
        f"{config.layers} x {config.cell} {config.hidden}, {parameters:,} weights, {config.dtype}, seed {config.seed}; "
        f"{config.steps} steps of {config.batch} x {config.seq} characters, {config.optimizer} at {config.lr:g}, "
        f"dropout {config.dropout:.2g}; checkpoints in {folder}",
    )
    try:
        with reporting(trainer, console) as reporter:
            finished = run(trainer, folder, reporter)
    except Diverged as error:
        raise Diverged(f"{error}. The last checkpoint before that is kept in {folder}") from None
    if not finished:
        say(console, f"stopped after step {trainer.steps_done} of {config.steps}; the run is saved")
        say(console, f"continue with: minirnn train --resume {folder}")
        return False
    parts = trainer.train_ids, trainer.valid_ids, trainer.tokenizer.vocab_size
    say(console, f"validation on the last {len(trainer.valid_ids):,} characters:")
    say(console, f"  unigram model  {describe_loss(unigram_loss(*parts))}")
    say(console, f"  bigram model   {describe_loss(bigram_loss(*parts))}")
    say(console, f"  this model     {describe_loss(trainer.best_loss)} (best, at step {trainer.best_step}: {BEST})")
    say(console, f"sample from it with: minirnn sample {folder}")
    return True


def prepare(folder: Path) -> None:
    """Make the folder of a new run. Raises ConfigError if it holds a run or is not writable."""
    if any((folder / name).exists() for name in (LAST, BEST)):
        raise ConfigError(f"{folder} already holds a run: continue it with --resume {folder}, or choose another --out")
    make_folder(folder)
    require_writable(folder)
