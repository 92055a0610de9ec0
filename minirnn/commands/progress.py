"""How a run is shown: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from minirnn.language.training import Reporter, StepReport, Trainer

__all__ = ["describe_loss", "reporting"]

PLAIN_SECONDS = 10.0  # between plain lines


def describe_loss(nats: float) -> str:
    """A loss in both units: nats, and bits = nats / ln 2."""
    return f"{nats:.4f} nats ({nats / math.log(2):.4f} bits) per character"


class Meter:
    """Smoothed loss and speed of a run, for the eye only: nothing here is stored."""

    def __init__(self, trainer: Trainer) -> None:
        self.total = trainer.config.steps
        self.characters = trainer.config.batch * trainer.config.seq
        self.first = trainer.steps_done
        self.began = self.mark = time.perf_counter()
        self.training = 0.0  # seconds in steps alone
        self.loss = 0.0
        self.report: StepReport | None = None

    def add(self, report: StepReport) -> None:
        self.training += time.perf_counter() - self.mark
        self.mark = time.perf_counter()
        self.report = report
        weight = max(1 / (report.step - self.first), 0.05)  # the mean at first, then of the last 20 steps or so
        self.loss += weight * (report.loss - self.loss)

    def pause(self) -> None:
        """The time since the last step was not spent on training; before the first one it doesn't count at all."""
        self.mark = time.perf_counter()
        if self.report is None:
            self.began = self.mark

    def text(self) -> str:
        """Loss, gradient norm, speed and time left, of the run so far."""
        if self.report is None:
            return ""
        done = self.report.step - self.first
        left = round((self.total - self.report.step) / done * (time.perf_counter() - self.began))
        return (
            f"loss {self.loss:.3f} nats {self.loss / math.log(2):.3f} bits  |g| {self.report.grad_norm:.2f}  "
            f"{done * self.characters / self.training:,.0f} char/s  {left // 60}:{left % 60:02d} left"
        )


class PlainReporter:
    """A line at each validation, and one now and then between them."""

    def __init__(self, console: Console, meter: Meter) -> None:
        self.console, self.meter = console, meter
        self.last = time.perf_counter()

    def step(self, report: StepReport) -> None:
        self.meter.add(report)
        if time.perf_counter() - self.last >= PLAIN_SECONDS:
            self._line(f"step {report.step}/{self.meter.total}  {self.meter.text()}")

    def validation(self, step: int, loss: float, best: bool) -> None:
        self.meter.pause()
        mark = "  (best so far)" if best else ""
        self._line(f"step {step}/{self.meter.total}  {self.meter.text()}  validation {describe_loss(loss)}{mark}")

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)
        self.last = time.perf_counter()


class BarReporter:
    """One live line: bar, step, loss, gradient norm, characters a second, time left, and the last validation."""

    def __init__(self, progress: Progress, task: TaskID, meter: Meter) -> None:
        self.progress, self.task, self.meter = progress, task, meter

    def step(self, report: StepReport) -> None:
        self.meter.add(report)
        self.progress.update(self.task, completed=report.step, numbers=self.meter.text())

    def validation(self, step: int, loss: float, best: bool) -> None:
        self.meter.pause()
        self.progress.update(self.task, validation=f"validation {loss:.3f}{' (best)' if best else ''}")


@contextlib.contextmanager
def reporting(trainer: Trainer, console: Console) -> Iterator[Reporter]:
    """The reporter that suits the console, for as long as the run lasts."""
    meter = Meter(trainer)
    if not console.is_terminal:
        yield PlainReporter(console, meter)
        return
    columns = (BarColumn(20), MofNCompleteColumn(), TextColumn("{task.fields[numbers]}\n  {task.fields[validation]}"))
    with Progress(*columns, console=console, refresh_per_second=5) as progress:
        task = progress.add_task("", total=meter.total, completed=trainer.steps_done, numbers="", validation="")
        yield BarReporter(progress, task, meter)
