"""The display of a training run: a live bar on a terminal, plain lines elsewhere."""

import contextlib
import math
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from minirnn.commands.output import say
from minirnn.language import Reporter, StepReport, Trainer

__all__ = ["describe_loss", "reporting"]

PLAIN_SECONDS = 10.0  # minimum time between plain lines


def describe_loss(nats: float) -> str:
    """Return a loss in nats and in bits = nats / ln 2."""
    return f"{nats:.4f} nats ({nats / math.log(2):.4f} bits) per character"


class Meter:
    """The smoothed loss and the speed of a run, for display only."""

    def __init__(self, trainer: Trainer) -> None:
        self.total = trainer.config.steps
        self.characters = trainer.config.batch * trainer.config.seq
        self.first = trainer.steps_done
        self.began = self.mark = time.perf_counter()
        self.training = 0.0  # seconds spent in steps
        self.loss = 0.0
        self.report: StepReport | None = None

    def add(self, report: StepReport) -> None:
        self.training += time.perf_counter() - self.mark
        self.mark = time.perf_counter()
        self.report = report
        weight = max(1 / (report.step - self.first), 0.05)  # first the mean, then a moving average of about 20 steps
        self.loss += weight * (report.loss - self.loss)

    def pause(self) -> None:
        """Exclude the time since the last step from the training time; before the first step, also from the total."""
        self.mark = time.perf_counter()
        if self.report is None:
            self.began = self.mark

    def text(self) -> str:
        """Return the loss, the gradient norm, the speed and the time left."""
        if self.report is None:
            return ""
        done = self.report.step - self.first
        left = round((self.total - self.report.step) / done * (time.perf_counter() - self.began))
        return (
            f"loss {self.loss:.3f} nats {self.loss / math.log(2):.3f} bits  |g| {self.report.grad_norm:.2f}  "
            f"{done * self.characters / self.training:,.0f} char/s  {left // 60}:{left % 60:02d} left"
        )


class PlainReporter:
    """Prints a line at each validation, and at most every PLAIN_SECONDS between them."""

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
        say(self.console, text)
        self.last = time.perf_counter()


class BarReporter:
    """One live line: bar, step, loss, gradient norm, characters per second, time left, and the last validation."""

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
    """Yield a reporter for the console: a bar on a terminal, else plain lines."""
    meter = Meter(trainer)
    if not console.is_terminal:
        yield PlainReporter(console, meter)
        return
    columns = (BarColumn(20), MofNCompleteColumn(), TextColumn("{task.fields[numbers]}\n  {task.fields[validation]}"))
    with Progress(*columns, console=console, refresh_per_second=5) as progress:
        task = progress.add_task("", total=meter.total, completed=trainer.steps_done, numbers="", validation="")
        yield BarReporter(progress, task, meter)
