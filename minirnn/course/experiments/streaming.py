"""Streaming: a recurrent network reads a text one character at a time, in constant time and memory.

The state is the network's only memory of the past, so the next character costs the same after one character or after a
million. A model without a state has to read all previous characters again, at a cost that grows with the length of the
text. Here, the same network reads a prefix from its start to measure that cost.

An LSTM with 256 units writes 100,000 characters; each is its next input. Each step is timed separately: by wall time,
the latency that a user sees, for the percentiles; and by CPU time of the thread, which other programs disturb less. In
the last tenth, these steps are interleaved with the steps of a new stream, so that a disturbance affects both streams.
Memory is measured in two ways: by tracemalloc in a separate run, which it slows down, as the additional bytes that
Python and NumPy have allocated at the end compared with after the first thousand steps; and by the growth of the
process's resident memory.

The claim held if all of the following are true. In the last tenth, the median CPU time of a step is within 10% of that
of the new stream. Less than 100 kB of additional memory is allocated at the end. Reading the longest prefix again takes
at least ten times as long as a step.
The weights are random, because the cost of a step does not depend on their values.
"""

import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from minirnn import plots, random
from minirnn.course.experiment import Effort, Numbers, Outcome, Progress, Table, verdict
from minirnn.course.measuring import cpu_seconds, tracing
from minirnn.language.model import LanguageModel
from minirnn.language.sampling import read

CLAIM = "A recurrent network streams: a character costs the same time and memory however long the text is."
SOURCE = "The course's lecture on recurrent state and streaming inference."

VOCABULARY, HIDDEN, EMBEDDING = 100, 256, 64
EFFORTS: dict[Effort, dict[str, Any]] = {
    "quick": {"steps": 20_000, "prefixes": [1, 10, 100, 1000], "repeats": 3},
    "default": {"steps": 100_000, "prefixes": [1, 10, 100, 1000, 10_000], "repeats": 5},
    "full": {"steps": 1_000_000, "prefixes": [1, 10, 100, 1000, 10_000, 100_000], "repeats": 9},
}
PERCENTILES = (50, 90, 99, 99.9)
SETTLED = 1000  # the first steps, during which caches are filled; memory is compared with its size after them
PARTS = 20  # the number of parts of the stream with a point in the figure


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    """Time a stream and measure its memory, time the reading of prefixes, and judge the claim."""
    size = EFFORTS[effort]
    random.manual_seed(seed)
    model = LanguageModel(VOCABULARY, "lstm", HIDDEN, embedding=EMBEDDING).eval()
    for _ in stream(model, SETTLED):  # compile the kernels and warm up
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
    """Yield the scores (1, V) of each of `steps` steps; the next input is the character with the highest score."""
    ids = np.array([1])
    _, states = read(model, ids[:, None])
    for _ in range(steps):
        logits, states = model.step(ids, states)
        ids = logits.argmax(axis=1)
        yield logits


def latencies(model: LanguageModel, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the wall and CPU times (ns) of a stream's steps, and the CPU times (ns) of a new stream's steps.

    The new stream begins in the last tenth of the first one; their steps are interleaved.
    """
    times = np.empty((steps, 2), np.int64)
    new = np.empty((steps // 10, 2), np.int64)
    running, beginning = stream(model, steps), stream(model, len(new))
    for k in range(steps):
        times[k] = _timed(running)
        if (n := k - (steps - len(new))) >= 0:
            new[n] = _timed(beginning)
    return times[:, 0], times[:, 1], new[:, 1]


def _timed(running: Iterator[np.ndarray]) -> tuple[int, int]:
    """Run one step and return its wall and CPU time (ns)."""
    wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
    next(running)
    return time.perf_counter_ns() - wall, time.thread_time_ns() - cpu


def growth(model: LanguageModel, steps: int) -> int:
    """Return how many more bytes are allocated after `steps` steps than after the first `SETTLED` steps."""
    settled = 0
    with tracing() as allocated:
        for k, _ in enumerate(stream(model, steps)):
            if k == min(SETTLED, steps // 2):
                settled, _peak = allocated()
        return allocated()[0] - settled


def resident() -> int | None:
    """Return the resident memory of the process in bytes; None if the operating system does not report it."""
    if not sys.platform.startswith("linux"):
        return None
    import resource

    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def reread(model: LanguageModel, length: int, repeats: int) -> float:
    """Return the minimum CPU time (µs), over the repeats, to read a text of `length` characters from its start."""
    ids = np.random.default_rng(0).integers(1, VOCABULARY, (length, 1))
    return float(cpu_seconds(lambda: read(model, ids), repeats).min()) * 1e6


def judge(numbers: Numbers) -> Outcome:
    """Judge the claim by the criterion in the module's docstring; it held in part if one or two of its parts did."""
    size, percentiles = numbers["size"], numbers["percentiles_us"]
    last, new, longest = numbers["last_tenth_us"], numbers["new_stream_us"], numbers["reread_us"][-1]
    measured = (
        f"of {size['steps']:,} steps, half take at most {percentiles['50']:.0f} µs and 99% at most "
        f"{percentiles['99']:.0f} µs; the CPU time is {last:.1f} µs in the last tenth and {new:.1f} µs in the new "
        f"stream; the allocated memory changes by {numbers['allocated_bytes']:,} bytes; re-reading "
        f"{size['prefixes'][-1]:,} characters takes {longest / 1e3:.1f} ms."
    )
    failures = {
        "Late and early steps differ by more than 10%.": abs(last - new) > 0.1 * new,
        "Memory grew by 100 kB or more.": numbers["allocated_bytes"] >= 100_000,
        "Re-reading the longest prefix takes less time than ten steps.": longest < 10 * new,
    }
    wrong = [reason for reason, failed in failures.items() if failed]
    return Outcome(numbers, measured, verdict(not wrong, len(wrong) < len(failures)), " ".join(wrong))


def tables(numbers: Numbers) -> list[Table]:
    """Return the time of a step, the memory, and the time to read a prefix again."""
    size, kilobytes = numbers["size"], [numbers[f"{name}_bytes"] for name in ("state", "allocated", "resident")]
    return [
        Table(
            "Time of a step (µs, wall)",
            [*(f"{p:g}%" for p in PERCENTILES), "longest"],
            [[*numbers["percentiles_us"].values(), numbers["largest_us"]]],
        ),
        Table(
            f"Memory over {size['steps']:,} steps (kB)",
            ["the state", "additional allocated", "additional resident"],
            [["-" if size is None else size / 1e3 for size in kilobytes]],
        ),
        Table(
            "Reading a prefix again (µs, CPU)",
            ["characters", "time", "in steps"],
            [
                [n, time, time / numbers["new_stream_us"]]
                for n, time in zip(size["prefixes"], numbers["reread_us"], strict=True)
            ],
        ),
    ]


@plots.style()
def draw(numbers: Numbers) -> Any:
    """Return a figure: the median time of a step along the stream, and one step compared with reading the prefix."""
    figure, (left, right) = plots.new_figure(columns=2)
    medians, new, prefixes = numbers["cpu_median_us"], numbers["new_stream_us"], numbers["size"]["prefixes"]
    part = numbers["size"]["steps"] / 1000 / len(medians)
    left.plot([(k + 0.5) * part for k in range(len(medians))], medians, "ko-", markersize=3, label="this stream")
    left.plot(
        (0.9 * len(medians) * part, len(medians) * part),
        [new] * 2,
        "k-",
        linewidth=5,
        alpha=0.4,
        label="a new stream, interleaved",
    )
    left.legend(loc="lower left")
    left.set(
        xlabel="characters so far (thousands)",
        ylabel="CPU time of a step (µs, median)",
        ylim=(0, 1.5 * max(medians)),
    )
    right.loglog(prefixes, numbers["reread_us"], "ks--", markersize=4, label="reading the prefix again")
    right.loglog(prefixes, [new] * len(prefixes), "k-", label="one step from the stored state")
    right.set(xlabel="characters so far", ylabel="CPU time for the next one (µs)")
    right.legend()
    return figure
