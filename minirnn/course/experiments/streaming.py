"""Streaming: a recurrent network reads a text one character at a time, in constant time and memory.

All that it keeps of the past is its state, so the next character costs as much after a million characters as after
one. A model without a state has to read everything before again, and what that costs grows with the length of the text;
that is measured here with the same network, reading a prefix from its start.

An LSTM of 256 units writes 100,000 characters, each fed back as the next input. Each step is timed by itself: wall time
for the percentiles, which are what a user waits and which other programs disturb, and the thread's CPU time, which they
disturb less. In the last tenth the steps take turns with those of a stream that begins then, so that whatever disturbs
the one disturbs the other. Memory is counted in two ways: what Python and NumPy have allocated more at the end than
after the first thousand steps (tracemalloc, in a run of its own, which it slows down), and how much the process's
resident memory has grown.

The claim is held if in the last tenth the median CPU time of a step is within a tenth of that of the stream that has
just begun, less than 100 kB more are allocated at the end, and re-reading the longest prefix takes at least ten times
as long as a step.
The weights are drawn at random: what a step costs doesn't depend on their values.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np

from minirnn import random
from minirnn.course.experiment import Effort, Numbers, Outcome, Progress, Table
from minirnn.language.model import LanguageModel
from minirnn.plots import new_figure, style
from minirnn.language.sampling import read

CLAIM = "A recurrent network streams: a character costs the same time and memory however long the text is."
SOURCE = "The course's lecture on recurrent state and streaming inference."

VOCABULARY, HIDDEN, EMBEDDING = 100, 256, 64
SIZES: dict[Effort, dict[str, Any]] = {
    "quick": {"steps": 20_000, "prefixes": [1, 10, 100, 1000], "repeats": 3},
    "default": {"steps": 100_000, "prefixes": [1, 10, 100, 1000, 10_000], "repeats": 5},
    "full": {"steps": 1_000_000, "prefixes": [1, 10, 100, 1000, 10_000, 100_000], "repeats": 9},
}
PERCENTILES = (50, 90, 99, 99.9)
SETTLED = 1000  # steps after which memory is measured first
PARTS = 20  # of the stream, whose medians are drawn


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    size = SIZES[effort]
    random.manual_seed(seed)
    model = LanguageModel(VOCABULARY, "lstm", HIDDEN, embedding=EMBEDDING).eval()
    for _ in stream(model, SETTLED):  # compiles and warms up
        pass
    progress(0.1, "streaming")
    before = resident()
    wall, cpu, new = latencies(model, size["steps"])
    after = resident()
    progress(0.6, "streaming, counting memory")
    allocated = growth(model, size["steps"])
    progress(0.8, "re-reading prefixes")
    numbers = {
        "size": size,
        "percentiles_us": {str(p): float(np.percentile(wall, p)) / 1e3 for p in PERCENTILES},
        "largest_us": float(wall.max()) / 1e3,
        "cpu_median_us": [float(np.median(part)) / 1e3 for part in np.array_split(cpu, PARTS)],
        "last_tenth_us": float(np.median(cpu[-len(new) :])) / 1e3,
        "new_stream_us": float(np.median(new)) / 1e3,
        "allocated_bytes": allocated,
        "resident_bytes": None if before is None or after is None else after - before,
        "state_bytes": 2 * HIDDEN * 4,
        "reread_us": [reread(model, n, size["repeats"]) for n in size["prefixes"]],
    }
    return judge(numbers)


def stream(model: LanguageModel, steps: int) -> Iterator[np.ndarray]:
    """The scores (1, V) of each of `steps` steps, the best character being the next input."""
    ids = np.array([1])
    logits, states = read(model, ids[:, None])
    for _ in range(steps):
        logits, states = model.step(ids, states)
        ids = logits.argmax(axis=1)
        yield logits


def latencies(model: LanguageModel, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wall and CPU time (ns) of each step of a stream, and the CPU time of each of a stream that begins in its last
    tenth, the two taking turns."""
    times = np.empty((steps, 2), np.int64)
    new = np.empty((steps // 10, 2), np.int64)
    running, beginning = stream(model, steps), stream(model, len(new))
    for k in range(steps):
        times[k] = _timed(running)
        if (n := k - (steps - len(new))) >= 0:
            new[n] = _timed(beginning)
    return times[:, 0], times[:, 1], new[:, 1]


def _timed(running: Iterator[np.ndarray]) -> tuple[int, int]:
    """Wall and CPU time (ns) of one step."""
    began, used = time.perf_counter_ns(), time.thread_time_ns()
    next(running)
    return time.perf_counter_ns() - began, time.thread_time_ns() - used


def growth(model: LanguageModel, steps: int) -> int:
    """How many bytes more are allocated after `steps` steps than after the first `SETTLED` ones."""
    tracemalloc.start()
    try:
        settled = 0
        for k, _logits in enumerate(stream(model, steps)):
            if k == min(SETTLED, steps // 2):
                settled = tracemalloc.get_traced_memory()[0]
        return tracemalloc.get_traced_memory()[0] - settled
    finally:
        tracemalloc.stop()


def resident() -> int | None:
    """Bytes of the process in memory; None where the system doesn't say."""
    if not sys.platform.startswith("linux"):
        return None
    import resource

    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def reread(model: LanguageModel, length: int, repeats: int) -> float:
    """CPU time (µs) of reading a text of `length` characters from its start, the least of some readings."""
    ids = np.random.default_rng(0).integers(1, VOCABULARY, (length, 1))
    times = []
    for _ in range(repeats):
        began = time.process_time_ns()
        read(model, ids)
        times.append(time.process_time_ns() - began)
    return min(times) / 1e3


def judge(numbers: Numbers) -> Outcome:
    """The verdict, by the criterion in the module's docstring."""
    size = numbers["size"]
    last, new = numbers["last_tenth_us"], numbers["new_stream_us"]
    step, longest = numbers["percentiles_us"]["50"], numbers["reread_us"][-1]
    measured = (
        f"of {size['steps']:,} steps half take at most {step:.0f} µs and 99% at most "
        f"{numbers['percentiles_us']['99']:.0f} µs; CPU time {last:.1f} µs in the last tenth, {new:.1f} µs in a stream "
        f"that begins then; {numbers['allocated_bytes']:,} bytes more at the end; re-reading {size['prefixes'][-1]:,} "
        f"characters takes {longest / 1e3:.1f} ms."
    )
    wrong = [
        reason
        for failed, reason in (
            (abs(last - new) > 0.1 * new, "late steps and early ones differ by more than a tenth"),
            (numbers["allocated_bytes"] >= 100_000, "memory grew by 100 kB or more"),
            (longest < 10 * new, "re-reading the longest prefix took less than ten steps do"),
        )
        if failed
    ]
    if not wrong:
        return Outcome(numbers, measured, "held")
    return Outcome(numbers, measured, "did not hold" if len(wrong) == 3 else "held in part", "; ".join(wrong) + ".")


def tables(numbers: Numbers) -> list[Table]:
    kilobytes = [numbers["state_bytes"], numbers["allocated_bytes"], numbers["resident_bytes"]]
    return [
        Table(
            "Time of a step (µs, wall)",
            [*(f"{p:g}%" for p in PERCENTILES), "longest"],
            [[*numbers["percentiles_us"].values(), numbers["largest_us"]]],
        ),
        Table(
            f"Memory over {numbers['size']['steps']:,} steps (kB)",
            ["the state", "more allocated", "more resident"],
            [["-" if size is None else size / 1e3 for size in kilobytes]],
        ),
        Table(
            "Reading a prefix again (µs, CPU)",
            ["characters", "time", "in steps"],
            [
                [n, time, time / numbers["new_stream_us"]]
                for n, time in zip(numbers["size"]["prefixes"], numbers["reread_us"], strict=True)
            ],
        ),
    ]


@style()
def draw(numbers: Numbers) -> Any:
    """Left: the median time of a step along the stream. Right: streaming against re-reading, by the length so far."""
    figure, (left, right) = new_figure(columns=2)
    medians = numbers["cpu_median_us"]
    part = numbers["size"]["steps"] / 1000 / len(medians)
    left.plot([(k + 0.5) * part for k in range(len(medians))], medians, "ko-", markersize=3, label="this stream")
    left.plot(
        (0.9 * len(medians) * part, len(medians) * part),
        [numbers["new_stream_us"]] * 2,
        "k-",
        linewidth=5,
        alpha=0.4,
        label="a new stream, in turns with it",
    )
    left.legend(loc="lower left")
    left.set(xlabel="characters so far (thousands)", ylabel="CPU time of a step (µs, median)")
    left.set_ylim(0, 1.5 * max(medians))
    prefixes = numbers["size"]["prefixes"]
    right.loglog(prefixes, numbers["reread_us"], "ks--", markersize=4, label="reading the prefix again")
    step = numbers["new_stream_us"]
    right.loglog(prefixes, [step] * len(prefixes), "k-", label="one step from the state kept")
    right.set(xlabel="characters so far", ylabel="CPU time for the next one (µs)")
    right.legend()
    return figure
